"""Whoever reaches the quorum port of a leader and does not behave as a server does: what that can cost, and what an operator reads."""

import contextlib
import os
import re
import resource
import socket
import ssl
import struct

from harness import wire
from harness.observing import status_bytes
from harness.servers import Server, free_port
from harness.waiting import eventually

from . import members

OBSERVER_INFO, LEADER_INFO, ACK_EPOCH, SNAP = 16, 17, 18, 15
NODES, NODE_BYTES = 64, 1_000_000
ROUNDS, STRANGERS = 4, 10
# Between two attempts to reach a server is a second at most.
ATTEMPTS = 5
# All of them together, while snapshots are taken: less than one of them. And less than half of one when what that took is given
# back, which the allocator does a second later.
PEAK_BYTES_MAX, GROWTH_BYTES_MAX = 60_000_000, 30_000_000
# For all of them together.
BEGUN_BYTES_MAX = 16_000_000
SECONDS_MAX = 20


def packet(kind, zxid, data):
    """`QuorumPacket` without identities."""
    return bytes(wire.Writer().int(kind).long(zxid).buffer(data).int(-1).bytes)


def take_packet(stranger):
    """Kind, zxid and data of a packet without identities."""
    kind, zxid, length = struct.unpack(">iqi", wire.exactly(stranger, 16))
    data = wire.exactly(stranger, max(length, 0))
    assert wire.exactly(stranger, 4) == b"\xff" * 4
    return kind, zxid, data


def connect(port, patience=30):
    """A connection that takes little before somebody reads."""
    stranger = socket.socket()
    stranger.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stranger.settimeout(patience)
    stranger.connect(("127.0.0.1", port))
    return stranger


def ask_for_a_snapshot(port, number):
    """An observer that has lost what it had."""
    stranger = connect(port)
    info = struct.pack(">qiq", number, 0x10000, 0)
    stranger.sendall(packet(OBSERVER_INFO, 1 << 32, info))
    kind, zxid, _ = take_packet(stranger)
    assert kind == LEADER_INFO
    stranger.sendall(packet(ACK_EPOCH, 0, struct.pack(">i", zxid >> 32)))
    return stranger


def resident_bytes(server):
    return status_bytes(server.process.pid, "VmRSS")


def test_learners_that_do_not_read_cost_a_leader_no_memory(tmp_path):
    """Forty that ask for a snapshot of 64 MB and leave it at that; with each ten of them the tree is another one."""
    with members.Ensemble(["zabd"] * 3, tmp_path) as ensemble, contextlib.ExitStack() as strangers:
        leader = ensemble.leader()
        server = ensemble.members[leader]
        session = wire.Session(server.port, members.SESSION_MS)
        for number in range(NODES):
            assert session.create(f"/large-{number}", bytes(NODE_BYTES)).err == 0
        before = resident_bytes(server)
        for turn in range(ROUNDS):
            assert session.create(f"/turn-{turn}", b"").err == 0
            numbers = range(1000 + turn * STRANGERS, 1000 + (turn + 1) * STRANGERS)
            asking = [strangers.enter_context(ask_for_a_snapshot(ensemble.ports[leader][1], each)) for each in numbers]
            for stranger in asking:
                assert take_packet(stranger)[0] == SNAP
                # It has begun to leave.
                wire.exactly(stranger, 100_000)
        grown = resident_bytes(server) - before
        assert grown < PEAK_BYTES_MAX, f"{grown} bytes more"
        eventually(lambda: resident_bytes(server) - before < GROWTH_BYTES_MAX, SECONDS_MAX, what="what snapshots took is given back")
        taken = [line for line in server.log_text().splitlines() if "taken for" in line]
        assert ROUNDS <= len(taken) <= 3 * ROUNDS, taken
        # A member comes back all the same.
        other = ensemble.members[ensemble.others(leader)[0]]
        other.kill()
        other.start()
        ensemble.assert_equal_trees()


def test_packets_that_strangers_begin_cost_a_leader_no_memory(tmp_path):
    """150 connections that send most of a megabyte of a first packet, and nothing more."""
    with members.Ensemble(["zabd"] * 3, tmp_path) as ensemble, contextlib.ExitStack() as strangers:
        leader = ensemble.leader()
        server = ensemble.members[leader]
        begun = packet(OBSERVER_INFO, 0, bytes(1_000_000))[:890_000]
        before = resident_bytes(server)
        for _ in range(150):
            stranger = strangers.enter_context(connect(ensemble.ports[leader][1]))
            with contextlib.suppress(ConnectionError):
                stranger.sendall(begun)
                assert stranger.recv(1) == b""
        grown = status_bytes(server.process.pid, "VmHWM") - before
        assert grown < BEGUN_BYTES_MAX, f"{grown} bytes more"
        assert "its first packet has more than 16384 bytes" in server.log_text()
        assert wire.Session(server.port, members.SESSION_MS).create("/goes-on", b"").err == 0


def test_whoever_is_refused_is_named_once(tmp_path):
    """Somebody who speaks another protocol, and somebody who calls itself by the leader's number, again and again."""
    with members.Ensemble(["zabd"] * 3, tmp_path) as ensemble:
        leader = ensemble.leader()
        server, port = ensemble.members[leader], ensemble.ports[leader][1]
        addresses = []
        double = packet(OBSERVER_INFO, 0, struct.pack(">qiq", leader, 0x10000, 0))
        for said in [b"GET / HTTP/1.1\r\nHost: zabd\r\n\r\n", double] * 5:
            with connect(port) as stranger:
                addresses.append("%s:%d" % stranger.getsockname())
                stranger.sendall(said)
                with contextlib.suppress(ConnectionResetError):
                    assert stranger.recv(1) == b""
        session = wire.Session(server.port, members.SESSION_MS)
        assert session.create("/goes-on", b"").err == 0
        line = re.compile(r"WARN .*Closing the connection of (\S+) to the quorum port: (.*)")
        # The log is written by a thread of its own.
        eventually(lambda: len(line.findall(server.log_text())) >= 2, what="two lines")
        named = line.findall(server.log_text())
        assert [why for _, why in named] == [
            "it announces a field of 774966538 bytes, and 2097150 are allowed; hint: jute.maxbuffer must be the same on all "
            "servers, and nobody else must reach the quorum port",
            "it calls itself by this server's own id; hint: two servers have the same myid, or the address of one stands at "
            "the other's server.N line",
        ], named
        assert [who for who, _ in named] == addresses[:2], "each of them is told once, when it comes first"


def threads_and_descriptors(server):
    return [len(os.listdir(f"/proc/{server.process.pid}/{name}")) for name in ("task", "fd")]


def test_an_election_port_outlives_a_connection_that_it_cannot_take(tmp_path):
    """ZOOKEEPER-2836: no descriptor is free when somebody comes; when there is one again, the port takes connections as before."""
    with members.Ensemble(["zabd"] * 3, tmp_path) as ensemble:
        leader = ensemble.leader()
        number = next(each for each in ensemble.members if each != leader)
        server, port = ensemble.members[number], ensemble.ports[number][2]
        _, most = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (0, most))
        with connect(port):
            eventually(lambda: "Cannot accept connections of other servers" in server.log_text(), SECONDS_MAX, what="a failed accept")
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (most, most))
        with connect(port) as stranger:
            stranger.sendall(struct.pack(">qq", -7, 1))
            assert stranger.recv(1) == b"", "somebody listens, and wants a member"
        ensemble.members[leader].kill()
        assert ensemble.leader() != leader
        ensemble.await_serving()


def test_attempts_to_reach_who_cannot_be_reached_leave_nothing_behind(tmp_path):
    """ZOOKEEPER-4309 and 4736: of two peers one is not there, and the other's port closes whatever it has accepted."""
    often = {"fastleader.minNotificationInterval": 20, "fastleader.maxNotificationInterval": 20}
    ensemble = members.Ensemble(["zabd"] * 3, tmp_path, is_started=False, properties=often)
    with ensemble, socket.create_server(("127.0.0.1", ensemble.ports[2][2])) as port:
        port.settimeout(SECONDS_MAX)
        server = ensemble.members[1].start(wait=False)

        def after(attempts):
            for _ in range(attempts):
                port.accept()[0].close()
            return threads_and_descriptors(server)

        before = after(2)
        grown = [now - then for now, then in zip(after(ATTEMPTS), before)]
        assert max(grown) < ATTEMPTS - 1, f"threads and descriptors grew by {grown} in {ATTEMPTS} attempts"


def test_whoever_comes_to_the_election_port_costs_nothing_and_disturbs_nobody(tmp_path):
    """ZOOKEEPER-3769: whatever they send or leave out, the next election is held."""
    with members.Ensemble(["zabd"] * 3, tmp_path) as ensemble:
        leader = ensemble.leader()
        number = next(each for each in ensemble.members if each != leader)
        server, port = ensemble.members[number], ensemble.ports[number][2]
        before = threads_and_descriptors(server)
        # Nothing; what is too long; a version that is none; who was introduced well, and goes on in no notification.
        well = struct.pack(">qqi", -65536, 77, 14) + b"127.0.0.1:3888"
        said = [b"", struct.pack(">qqi", -65536, 77, 1 << 30), struct.pack(">qq", -7, 1), well + struct.pack(">i", 3) + b"abc"]
        for words in said * 25:
            with connect(port) as stranger:
                stranger.sendall(words)
        eventually(lambda: max(map(int.__sub__, threads_and_descriptors(server), before)) <= 0, 30, what="all of it is given back")
        ensemble.members[leader].kill()
        assert ensemble.leader() != leader
        ensemble.await_serving()


def test_two_servers_of_one_id_are_named(tmp_path):
    """They take each other's place at the leader, over and over; what a leader counts is what the newer connection says."""
    with members.Ensemble(["zabd"] * 3, tmp_path) as ensemble:
        ensemble.await_level()
        assert ensemble.leader() == 3
        ports = [free_port() for _ in range(3)]
        lines = {other: tuple(ports[1:]) if other == 2 else ensemble.ports[other][1:] for other in ensemble.ports}
        config = {f"server.{other}": "127.0.0.1:%d:%d" % line for other, line in lines.items()}
        twin = Server("zabd", tmp_path / "twin", port=ports[0], config={**ensemble.config, **config})
        twin.data_dir.mkdir(parents=True)
        (twin.data_dir / "myid").write_text("2\n")
        twin.start(wait=False)
        try:
            line = re.compile(r"ERROR .*Server 2 connects from 127\.0\.0\.1:\d+ and from 127\.0\.0\.1:\d+, again and again, .*two servers have myid 2")
            leader = ensemble.members[3]
            eventually(lambda: line.search(leader.log_text()), 30, what="the two are named")
            assert wire.Session(leader.port, members.SESSION_MS).create("/goes-on").err == 0
            assert len(line.findall(leader.log_text())) == 1
        finally:
            twin.kill()


def test_a_member_that_speaks_tls_is_told_from_a_stranger(tmp_path):
    """To a member that does not: on both ports, with what to do about it."""
    with members.Ensemble(["zabd"] * 2, tmp_path) as ensemble:
        leader = ensemble.leader()
        # Of each machine a reason is told once.
        for machine, (name, port) in enumerate(zip(("quorum", "election"), ensemble.ports[leader][1:]), 2):
            with socket.create_connection(("127.0.0.1", port), 30, (f"127.0.0.{machine}", 0)) as stranger:
                stranger.sendall(ssl_hello())
                with contextlib.suppress(ConnectionResetError):
                    assert stranger.recv(1) == b""
            line = re.compile(
                rf"WARN .*Closing the connection of \S+ to the {name} port: it speaks TLS, .*hint: set sslQuorum=true, or portUnification=true")
            eventually(lambda line=line: line.search(ensemble.members[leader].log_text()), what=name)


def ssl_hello():
    """What a client of TLS says first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="zoo.example")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()
