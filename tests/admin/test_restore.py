"""A snapshot that is sent to `restore` takes the place of everything, beside Java 3.9.5, and for good, which Java's does not.

Java changes what it has in memory and leaves its clients, its log and its disk as they were; what is compared with it is what it
answers. What becomes of clients, of a restart and of a server that is killed is zabd's own.
"""

import gzip
import http.client
import json
import re
import socket
import struct
import threading
import time
import zlib
from pathlib import Path

import pytest

from ensemble.members import Ensemble
from harness import dump, wire
from harness.faulty_disk import FaultyDisk, library
from harness.servers import SUPER_AUTH, Server, free_port
from harness.waiting import eventually
from harness.wire import Writer

from .conftest import DEFAULT, HttpServer, ask
from .test_commands import SUPER, both, command

LONG_MS = 30_000
# Each may follow the last at once.
AT_ONCE = {"rateLimiterIntervalInMS": 0}
NO_ERROR = {"command": "restore", "error": None}


def restore(server, body, headers=SUPER, name="restore", **more):
    """Status and answer."""
    return command(server, name, method="POST", body=body, headers=headers, **more)


def snapshot(server):
    """A snapshot of the server, and as of which transaction it is; as soon as it may be had."""
    answers = []

    def taken():
        answers.append(ask(server.admin_port, "/commands/snapshot", headers=SUPER))
        return answers[-1][0] == 200

    eventually(taken, what="a snapshot")
    _, headers, body = answers[-1]
    return body, int(headers["last_zxid"], 16)


def get(session, path):
    """What a znode holds; None if it is not there."""
    reply = session.call(wire.GET_DATA, Writer().ustring(path).boolean(False).bytes)
    return reply.reader().buffer() if reply.err == 0 else None


def set_data(session, path, data):
    """Its new version's stat."""
    reply = session.call(wire.SET_DATA, Writer().ustring(path).buffer(data).int(-1).bytes)
    assert reply.err == 0
    return reply


def is_there(port, path):
    """Whether a znode is."""
    session = wire.Session(port, LONG_MS)
    found = session.call(wire.EXISTS, Writer().ustring(path).boolean(False).bytes).err == 0
    session.end()
    return found


@pytest.fixture(scope="module")
def servers(start_both):
    """Both servers with some znodes; what comes of them does not matter to the next test."""
    started = start_both(provider=DEFAULT, admin=AT_ONCE)
    for server in started.values():
        session = wire.Session(server.port, LONG_MS)
        for number in range(20):
            assert session.create(f"/{number}", b"x" * number).err == 0
        session.end()
    return started


@pytest.fixture
def server(kind, tmp_path):
    """A server of its own for what must not be seen by others."""
    if kind != "zabd":
        pytest.skip("what Java does not do")
    started = HttpServer(kind, tmp_path / "server", provider=DEFAULT, admin=AT_ONCE)
    with started:
        yield started


def test_who_may_not_restore_is_told_as_by_java(servers, kind):
    for headers in ({}, {"Authorization": "nope a:b"}, {"Authorization": "digest"}):
        expected, ours = (restore(servers[each], b"x", headers=headers) for each in ("java395", kind))
        assert ours == expected and ours[0] == 401


def changed(body, at):
    """One bit is another one."""
    body = bytearray(body)
    body[at] ^= 1
    return bytes(body)


def without_sections(body):
    """As servers before 3.6 wrote it: one seal."""
    return body[:-54]


def test_what_is_no_snapshot_is_refused_as_by_java_and_loses_nothing(servers, kind):
    body, _ = snapshot(servers[kind])
    offered = [b"", b"x", b"ZKSN", b"x" * 3000, body[:100], body[:len(body) // 2], body[:-1], changed(body, 0),
               changed(body, len(body) // 2), changed(body, -60), changed(body, -20)]
    for number, each in enumerate(offered):
        expected, ours = (restore(servers[server], each) for server in ("java395", kind))
        assert ours == expected == (500, NO_ERROR), number
    assert is_there(servers[kind].port, "/19")
    told = [command(server, "monitor")[1] for server in servers.values()]
    assert [each["restore_error_count"] for each in told] == [len(offered)] * len(told)
    assert not list((servers[kind].data_dir / "version-2").glob("new-*"))


def test_a_snapshot_is_restored_and_answered_as_by_java(servers, kind):
    """Both know what the other one sent, too."""
    sent = {each: snapshot(server) for each, server in servers.items()}
    for body, zxid in sent.values():
        expected, ours = (restore(servers[each], body) for each in ("java395", kind))
        assert ours == expected == (200, {"last_zxid": zxid, **NO_ERROR})
    assert restore(servers[kind], body, name="rest") == ours
    for server in servers.values():
        told = command(server, "monitor")[1]
        assert told["cnt_restore_time"] >= 2 and is_there(server.port, "/19")


def sealed(*sections):
    """The sections of a snapshot, each with its seal."""
    whole = b""
    for section in sections:
        whole += section
        whole += struct.pack(">q", zlib.adler32(whole)) + b"\x00\x00\x00\x01/"
    return whole


def sections_of(body):
    """Body, digest and last zxid of a snapshot that has all of them."""
    return body[:-67], body[-54:-34], body[-21:-13]


def test_a_snapshot_of_a_server_that_went_on_meanwhile_is_restored_as_by_java(servers, kind):
    """Java's snapshots are not of one moment when anybody writes, and their digest is that of the last one."""
    body, zxid = snapshot(servers[kind])
    first, digest, last = sections_of(body)
    assert sealed(first, digest, last) == body
    other = sealed(first, digest[:12] + struct.pack(">q", 4711), last)
    expected, ours = (restore(servers[each], other) for each in ("java395", kind))
    assert ours == expected == (200, {"last_zxid": zxid, **NO_ERROR})
    if kind == "zabd":
        assert "Digests are not matching in the snapshot that is restored" in servers[kind].log_text()
        assert command(servers[kind], "monitor")[1]["digest_mismatches_count"] == 1


def test_it_takes_back_what_it_has_sent_whatever_the_form(servers, kind):
    """Java's does not take what it has compressed, nor what an older one wrote."""
    if kind != "zabd":
        return
    body, zxid = snapshot(servers[kind])
    first, digest, _ = sections_of(body)
    for form, told in ((gzip.compress(body), zxid), (sealed(first, digest), zxid), (sealed(first), 0)):
        assert restore(servers[kind], form) == (200, {"last_zxid": told, **NO_ERROR})
        assert is_there(servers[kind].port, "/19")
    assert restore(servers[kind], gzip.compress(body)[:-20]) == (500, NO_ERROR)


def test_one_in_each_interval(start_both, kind):
    pair = start_both(provider=DEFAULT, admin={})
    for expected in ((500, NO_ERROR), (429, NO_ERROR)):
        java, ours = (restore(pair[each], b"x") for each in ("java395", kind))
        assert ours == java == expected
    told = [command(server, "monitor")[1]["restore_rate_limited_count"] for server in pair.values()]
    assert told == [1] * len(pair)


def test_one_that_is_slow_keeps_nobody_else_from_restoring(servers, kind):
    """There is no interval, so whoever asks while another one's snapshot still comes is answered as if he were alone."""
    for server in dict.fromkeys((servers["java395"], servers[kind])):
        body, zxid = snapshot(server)
        begun = {"zabd": "A snapshot is being taken in", "java395": "Before restore database"}[server.kind]
        before = server.log_text().count(begun)
        slow = http.client.HTTPConnection("127.0.0.1", server.admin_port, timeout=30)
        slow.putrequest("POST", "/commands/restore")
        for name, value in {**SUPER, "Content-Length": len(body)}.items():
            slow.putheader(name, value)
        slow.endheaders(body[:10])
        eventually(lambda: server.log_text().count(begun) > before)  # noqa: B023
        time.sleep(0.005)  # No interval is over with the next millisecond.
        assert restore(server, body) == (200, {"last_zxid": zxid, **NO_ERROR})
        slow.send(body[10:])
        answer = slow.getresponse()
        assert (answer.status, json.loads(answer.read())["last_zxid"]) == (200, zxid)
        slow.close()


@pytest.mark.parametrize("admin, properties, status", [
    ({"restore.enabled": "false"}, {}, 503),
    ({}, {"serializeLastProcessedZxid.enabled": "false"}, 500),
])
def test_it_may_be_switched_off(start_both, kind, admin, properties, status):
    pair = start_both(provider=DEFAULT, admin=admin, properties=properties)
    java, ours = (restore(pair[each], b"x") for each in ("java395", kind))
    assert ours == java == (status, NO_ERROR)


def test_what_was_restored_is_there_after_a_restart_and_for_java(server, tmp_path):
    session = wire.Session(server.port, LONG_MS)
    assert session.create("/kept", b"before").err == 0
    body, zxid = snapshot(server)
    kept = dump.read_nodes(session, ["/kept"])
    set_data(session, "/kept", b"after")
    assert session.create("/later").err == 0
    last = dump.last_zxid(server.port)
    assert restore(server, body) == (200, {"last_zxid": zxid, **NO_ERROR})
    assert dump.last_zxid(server.port) > last, "no client is ahead of it"
    fresh = wire.Session(server.port, LONG_MS, last_zxid=last)
    assert dump.read_nodes(fresh, ["/kept"]) == kept and get(fresh, "/later") is None
    assert fresh.create("/new", b"behind it").err == 0
    server.kill()
    folder = server.data_dir / "version-2"
    assert {path.name for path in (folder / "replaced").iterdir()} >= {"snapshot.0", "log.1"}
    assert len([path for path in folder.iterdir() if path.name.startswith("snapshot.")]) == 1
    with server:
        again = wire.Session(server.port, LONG_MS, fresh.session_id, fresh.password)
        assert dump.read_nodes(again, ["/kept"]) == kept
        assert (get(again, "/later"), get(again, "/new")) == (None, b"behind it")
        again.close()
        before = dump.dump_tree(server.port)
        assert not server.complaints()
    server.kill()
    with Server("java395", tmp_path / "java", data_dir=server.data_dir) as java:
        found = dump.dump_tree(java.port)
        assert dump.differences({**before, "zxid": found["zxid"]}, found) == []
        assert not java.complaints()


def test_who_was_connected_comes_back_or_has_expired(server):
    """Sessions and ephemerals are those of the snapshot; nobody sees anything of the new tree over an old connection."""
    old = wire.Session(server.port, LONG_MS)
    assert old.create("/mine", flags=1).err == 0
    ended = wire.Session(server.port, LONG_MS)
    assert ended.create("/its", flags=1).err == 0
    body, _ = snapshot(server)
    ended.end()
    young = wire.Session(server.port, LONG_MS)
    assert young.create("/young", flags=1).err == 0
    for each in (old, young):
        assert each.call(wire.EXISTS, Writer().ustring("/nobody").boolean(True).bytes).err == -101
    assert restore(server, body)[0] == 200
    for each in (old, young):
        assert each.frame() is None
    back = wire.Session(server.port, LONG_MS, old.session_id, old.password, last_zxid=dump.last_zxid(server.port))
    assert back.session_id == old.session_id and get(back, "/mine") == b""
    # Of a session that was in the snapshot nobody knows that it has ended since: it expires, as after any restart.
    assert get(back, "/its") == b"" and get(back, "/young") is None
    assert back.create("/nobody").err == 0 and not back.events
    expired = wire.Session(server.port, LONG_MS, young.session_id, young.password)
    assert (expired.session_id, expired.timeout_ms) == (0, 0)
    assert ask(server.admin_port, "/commands/watch_summary")[2].count(b": 0") == 3


class Pipelining(threading.Thread):
    """Writes one znode after the other, until nobody answers."""

    def __init__(self, port, name):
        super().__init__()
        self.port, self.name_of_mine, self.answered, self.sent = port, name, 0, 0
        self.session = wire.Session(port, LONG_MS)
        self.is_closed = False

    def run(self):
        try:
            while True:
                for _ in range(20):
                    self.session.submit(wire.CREATE, wire.create_body(f"/{self.name_of_mine}-{self.sent}"))
                    self.sent += 1
                for _ in range(20):
                    reply = self.session.reply()
                    if reply is None:
                        self.is_closed = True
                        return
                    assert reply.err == 0
                    self.answered += 1
        except (wire.Closed, OSError):
            self.is_closed = True


def test_writes_that_are_under_way_are_answered_or_their_connection_ends(server):
    """What was written before is gone with the rest, and what is written behind it stays, also after a kill."""
    body, _ = snapshot(server)
    for _ in range(3):
        writers = [Pipelining(server.port, f"w{number}") for number in range(4)]
        for writer in writers:
            writer.start()
        eventually(lambda: all(writer.answered > 200 for writer in writers))
        assert restore(server, body)[0] == 200
        for writer in writers:
            writer.join(20)
            assert writer.is_closed
        session = wire.Session(server.port, LONG_MS)
        children = session.call(wire.GET_CHILDREN, Writer().ustring("/").boolean(False).bytes).reader()
        names = children.vector(children.ustring)
        assert [name for name in names if name.startswith("w")] == []
        assert session.create("/behind").err == 0
        server.kill()
        server.start()
        assert is_there(server.port, "/behind") and not is_there(server.port, "/w0-0")
    assert not server.complaints()


def test_a_session_that_asks_meanwhile_gets_its_answer(server):
    body, _ = snapshot(server)
    answers = []

    def keep_asking():
        for _ in range(300):
            try:
                answers.append(wire.Session(server.port, LONG_MS).session_id)
            except (wire.Closed, OSError):
                answers.append(None)

    asking = [threading.Thread(target=keep_asking) for _ in range(2)]
    for each in asking:
        each.start()
    for _ in range(10):
        assert restore(server, body)[0] == 200
    for each in asking:
        each.join()
    # Those that were established in the old tree were closed with it.
    assert len(answers) == 600 and answers.count(None) < 100


def test_one_that_is_broken_off_leaves_nothing(server):
    body, _ = snapshot(server)
    with socket.create_connection(("127.0.0.1", server.admin_port)) as half:
        head = f"POST /commands/restore HTTP/1.1\r\nHost: x\r\nAuthorization: {' '.join(SUPER_AUTH)}\r\nContent-Length: {len(body)}\r\n\r\n"
        half.sendall(head.encode() + body[:-1])
        eventually(lambda: list((server.data_dir / "version-2").glob("new-snapshot.0.incoming-*")))
        time.sleep(0.005)  # No interval is over with the next millisecond.
        assert restore(server, body)[0] == 200, "nobody waits for it"
    eventually(lambda: "the snapshot did not come to its end" in server.log_text())
    assert not list((server.data_dir / "version-2").glob("new-*"))
    assert restore(server, body)[0] == 200


def sent_whole(port, body):
    """A socket on which all of a snapshot was sent, and nothing answered yet."""
    sender = socket.create_connection(("127.0.0.1", port))
    head = f"POST /commands/restore HTTP/1.1\r\nHost: x\r\nAuthorization: {' '.join(SUPER_AUTH)}\r\nContent-Length: {len(body)}\r\n\r\n"
    sender.sendall(head.encode() + body)
    return sender


def is_served(port, peer):
    """Whether the server has a socket for whoever comes from the port `peer`."""
    lines = [line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
    return any(line[1].endswith(f":{port:04X}") and line[2].endswith(f":{peer:04X}") for line in lines)


@pytest.fixture(scope="session")
def faulty_disk(tmp_path_factory):
    """A library between a server and its disk."""
    return library(tmp_path_factory.mktemp("faulty-disk"))


class Faulty(FaultyDisk, HttpServer):
    """A server whose disk does what the test orders."""


@pytest.fixture
def faulty(kind, tmp_path, faulty_disk):
    if kind != "zabd":
        pytest.skip("what Java does not do")
    server = Faulty(kind, tmp_path / "faulty", provider=DEFAULT, admin=AT_ONCE)
    server.library = faulty_disk
    with server:
        yield server


def with_two_pasts(server):
    """A server whose snapshot lacks `/later`."""
    session = wire.Session(server.port, LONG_MS)
    assert session.create("/kept").err == 0
    body, _ = snapshot(server)
    assert session.create("/later").err == 0
    return session, body


# What is written one after the other: what comes, the same anew, and how far it is.
@pytest.mark.parametrize("file", ["new-snapshot.0.incoming-0", "new-snapshot.0.unnamed", "restoring.tmp"])
def test_a_kill_before_the_snapshot_has_its_name_loses_nothing(faulty, file):
    session, body = with_two_pasts(faulty)
    faulty.order(f"stuck {file}")
    asking = threading.Thread(target=lambda: pytest.raises(OSError, restore, faulty, body))
    asking.start()
    eventually(lambda: list((faulty.data_dir / "version-2").glob(file)))
    if file != "restoring.tmp":
        assert session.create("/meanwhile").err == 0, "others go on"
    faulty.kill()
    asking.join()
    faulty.order()
    with faulty:
        assert is_there(faulty.port, "/later") and is_there(faulty.port, "/kept")
        assert file == "restoring.tmp" or is_there(faulty.port, "/meanwhile")
        assert not faulty.complaints()
        # It was no fault of the snapshot.
        assert restore(faulty, body)[0] == 200 and not is_there(faulty.port, "/later")


def test_whoever_hangs_up_gets_nothing_done_later(faulty):
    """The work goes on until its disk answers, keeps its file until then, and ends before the commit."""
    session, body = with_two_pasts(faulty)
    faulty.order("stuck new-snapshot.0.unnamed")
    sender = sent_whole(faulty.admin_port, body)
    eventually(lambda: list((faulty.data_dir / "version-2").glob("new-snapshot.0.unnamed")))
    port = sender.getsockname()[1]
    assert is_served(faulty.admin_port, port)
    sender.close()
    eventually(lambda: not is_served(faulty.admin_port, port), what="its end is noticed")
    assert list((faulty.data_dir / "version-2").glob("new-snapshot.0.unnamed")), "its work is not done yet"
    faulty.order()
    eventually(lambda: "whoever sent it has hung up" in faulty.log_text())
    assert session.create("/behind").err == 0, "the same connection, the same session"
    assert is_there(faulty.port, "/later") and is_there(faulty.port, "/kept")
    assert not list((faulty.data_dir / "version-2").glob("new-*"))
    assert restore(faulty, body)[0] == 200 and not is_there(faulty.port, "/later")


def asks_for_a_snapshot(port):
    """A connection over which a snapshot was asked for, and nothing answered yet."""
    asking = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    asking.request("GET", "/commands/snapshot", headers=SUPER)
    return asking


def test_those_who_ask_while_another_one_is_under_way_take_turns(faulty):
    """Java's wait for each other, too. Meanwhile there are threads for whoever asks for anything else."""
    session, body = with_two_pasts(faulty)
    stuck = f"new-snapshot.{dump.last_zxid(faulty.port):x}"
    faulty.order(f"stuck {stuck}")
    asking = [asks_for_a_snapshot(faulty.admin_port)]
    eventually(lambda: list((faulty.data_dir / "version-2").glob(f"{stuck}.*")))
    time.sleep(0.005)  # No interval is over with the next millisecond.
    asking += [asks_for_a_snapshot(faulty.admin_port)]
    restoring = sent_whole(faulty.admin_port, body)
    for _ in range(40):
        assert ask(faulty.admin_port, "/commands/ruok")[0] == 200
    faulty.order()
    assert [each.getresponse().status for each in asking] == [200, 200]
    assert restoring.recv(12) == b"HTTP/1.1 200"
    assert session.frame() is None


def test_a_disk_that_fails_before_the_commit_is_told_and_everybody_goes_on(faulty):
    session, body = with_two_pasts(faulty)
    for order in ("full new-snapshot.0.incoming-0", "full new-snapshot.0.unnamed", "broken new-snapshot.0.unnamed", "full restoring.tmp"):
        faulty.order(order)
        assert restore(faulty, body) == (500, NO_ERROR), order
        faulty.order()
        assert session.create(f"/behind-{order.split()[0]}-{order.split()[1]}").err == 0, "the same connection, the same session"
    assert faulty.log_text().count("Nothing was restored, and nothing is lost") == 4
    faulty.kill()
    with faulty:
        assert is_there(faulty.port, "/behind-full-restoring.tmp") and is_there(faulty.port, "/later")


def test_a_member_refuses_and_says_what_to_do(kind, tmp_path):
    """Java restores the one that is asked, and nobody else."""
    if kind != "zabd":
        return
    line = f"127.0.0.1:{free_port()}:{free_port()}"
    config = {"server.1": line, "standaloneEnabled": "false", "initLimit": 10, "syncLimit": 5}
    with HttpServer(kind, tmp_path, provider=DEFAULT, admin=AT_ONCE, config=config) as member:
        status, answer = restore(member, b"x")
    assert status == 503 and answer["command"] == "restore"
    assert re.match("This server is a member of an ensemble, .*: stop all members, put the snapshot into", answer["error"])


def test_an_ensemble_is_restored_as_the_manual_says(kind, tmp_path):
    """From a snapshot that a lone server sent, on three servers that have nothing, whatever they had before."""
    if kind != "zabd":
        return
    with HttpServer("zabd", tmp_path / "source", provider=DEFAULT, admin=AT_ONCE) as source:
        session = wire.Session(source.port, LONG_MS)
        for number in range(5):
            assert session.create(f"/{number}").err == 0
        body, _ = snapshot(source)
    with Ensemble(("zabd",) * 3, tmp_path, is_started=False) as ensemble:
        members = list(ensemble.members.values())
        for member in members:
            (member.data_dir / "version-2").mkdir()
            (member.data_dir / "version-2" / "snapshot.a00000000").write_bytes(body)
        ensemble.start()
        assert all(is_there(member.port, "/4") for member in members)
        # Who has seen the last of the ninth epoch is not ahead.
        writer = wire.Session(members[0].port, LONG_MS, last_zxid=0x9_0000_1234)
        assert writer.create("/new").err == 0 and not any(member.complaints() for member in members)
