"""Whom a member serves, and as what: without a quorum, with sessions of its own, and as a leader that has no clients.

Each question is asked of Java 3.9.5 too, alone or as a member beside zabd; where Java's answer is another one, the test
says so.
"""

import re
import struct
import time
import zlib

import pytest
from harness import wire
from harness.servers import four_letter_word
from harness.waiting import eventually

from . import members

READ_ONLY = {"readonlymode.enabled": "true"}
NOT_READ_ONLY, EPHEMERAL_ON_LOCAL_SESSION = -119, -120
EPHEMERAL = 1
SECONDS_MAX = 30


def connect(port, session_id=0, password=bytes(16), read_only=True):
    """A connection and the answer to its connect request: (timeout, session, password, read-only); None if it is closed."""
    connection = wire.Connection(port)
    connection.send_frame(wire.connect_request(10_000, session_id, password, read_only=read_only))
    frame = connection.frame()
    if frame is None:
        return connection, None
    reader = wire.Reader(frame, 8)
    return connection, (reader.int(), reader.long(), reader.buffer(), reader.boolean())


def ask(connection, opcode, body=b"", xid=1):
    """(error, body) of the reply."""
    connection.send_frame(wire.Writer().int(xid).int(opcode).bytes + bytes(body))
    reader = wire.Reader(connection.frame(), 4)
    assert reader.int() == xid
    reader.long()
    return reader.int(), reader.data[reader.offset:]


def word(ensemble, number, name):
    """The answer to a four-letter word; empty while the port is closed."""
    try:
        return four_letter_word(ensemble.members[number].port, name, timeout=5)
    except OSError:
        return ""


def figure(ensemble, number, name):
    """A figure of `mntr`."""
    return re.search(rf"^zk_{name}\t(.*)$", word(ensemble, number, "mntr"), re.MULTILINE).group(1)


PATH = wire.Writer().ustring("/kept").boolean(False).bytes
WRITES = [
    (wire.CREATE, wire.create_body("/never")),
    (wire.SET_DATA, wire.Writer().ustring("/kept").buffer(b"never").int(-1).bytes),
    (wire.DELETE, wire.Writer().ustring("/kept").int(-1).bytes),
    (wire.SYNC, wire.Writer().ustring("/kept").bytes),
    (wire.MULTI, wire.Writer().int(-1).boolean(True).int(-1).bytes),
]


@pytest.mark.parametrize("kind", ["zabd", "java395"])
def test_a_member_without_a_quorum_is_read(tmp_path, kind):
    """It serves reads to those who take that, refuses writes, and closes all of them when there is a leader again."""
    # Without the first, Java answers with bytes that no client can read.
    config = {"localSessionsEnabled": "true"} if kind == "java395" else {}
    with members.Ensemble([kind, "zabd"], tmp_path, config=config, properties=READ_ONLY) as ensemble:
        assert word(ensemble, 1, "isro") == "rw"
        before = wire.Session(ensemble.members[1].port)
        assert before.create("/kept", b"kept").err == 0
        if kind == "java395":
            assert before.create("/e", flags=EPHEMERAL).err == EPHEMERAL_ON_LOCAL_SESSION
        ensemble.await_level()
        ensemble.members[2].kill()
        eventually(lambda: word(ensemble, 1, "isro") == "ro", SECONDS_MAX, what="reads without a leader")
        report = word(ensemble, 1, "srvr")
        assert "Mode: read-only" in report and "READ-ONLY mode; serving only read-only clients\n" in report
        assert figure(ensemble, 1, "server_state") == "read-only"

        port = ensemble.members[1].port
        assert connect(port, read_only=False)[1] is None
        assert connect(port, read_only=None)[1] is None
        if kind == "zabd":
            # It is the ensemble's session; Java's of this test is not.
            assert connect(port, before.session_id, before.password)[1] is None
        reader, (_, session, password, is_read_only) = connect(port)
        assert session >> 56 == 1 and is_read_only
        err, body = ask(reader, wire.GET_DATA, PATH)
        assert err == 0 and b"kept" in body
        for opcode, body in WRITES:
            assert ask(reader, opcode, body)[0] == NOT_READ_ONLY, opcode
        moved, answer = connect(port, session, password)
        assert answer[1] == session and reader.frame() is None
        assert ask(moved, wire.CLOSE_SESSION)[0] == 0 and moved.frame() is None

        reader, (_, session, password, _) = connect(port)
        ensemble.members[2].start()
        assert reader.frame() is None, "a session without a leader outlives that"
        ensemble.members[1].await_serving()
        assert word(ensemble, 1, "isro") == "rw"
        refused, answer = connect(port, session, password)
        assert answer[:2] == (0, 0) and not answer[3] and refused.frame() is None
        after = wire.Session(port)
        assert after.call(wire.GET_DATA, PATH).err == 0
        # A leader shows its new epoch at once; who follows does with the next write, and local sessions are none.
        assert after.create("/after").err == 0
        after.end()
        ensemble.assert_equal_trees()


@pytest.mark.parametrize("kind", ["zabd", "java395"])
def test_an_empty_member_alone_is_read(tmp_path, kind):
    """It may have no voice in an election, and yet there is nothing wrong with what it shows."""
    ensemble = members.Ensemble(
        [kind, "zabd", "zabd"], tmp_path, config={"localSessionsEnabled": "true"}, properties=READ_ONLY, is_started=False)
    server = ensemble.members[1]
    server.start(wait=False)
    with server:
        eventually(lambda: word(ensemble, 1, "isro") == "ro", SECONDS_MAX, what="reads without a leader")
        reader, (_, session, _, is_read_only) = connect(server.port)
        assert session and is_read_only
        assert ask(reader, wire.GET_DATA, wire.Writer().ustring("/").boolean(False).bytes)[0] == 0
        assert ask(reader, wire.CREATE, wire.create_body("/never"))[0] == NOT_READ_ONLY


KINDS_OF_LOCAL = [("zabd",) * 4, ("java395", "zabd", "zabd", "zabd"), ("zabd", "java395", "java395", "java395")]


def logged_sessions(ensemble, number):
    """Sessions that all servers know of, as `dump` shows them, whatever the role."""
    text = word(ensemble, number, "dump").split("ephemeral nodes dump:")[0]
    assert "Local Session Sets (" in text, text
    return set(re.findall(r"0x[0-9a-f]+", text[text.index("Global Session"):]))


@pytest.mark.parametrize("upgrading", ["true", "false"])
@pytest.mark.parametrize("kinds", KINDS_OF_LOCAL, ids="-".join)
def test_local_sessions(tmp_path, kinds, upgrading):
    """On every role: no transaction makes or ends them, another server does not know them, an ephemeral makes them
    global or is refused."""
    config = {"localSessionsEnabled": "true", "localSessionsUpgradingEnabled": upgrading}
    with members.Ensemble(list(kinds), tmp_path, observers=(4,), config=config) as ensemble:
        ensemble.leader()
        roles = {}
        for number, server in ensemble.members.items():
            roles.setdefault(ensemble.mode(number), number)
            others = [other for other in ensemble.members if other != number]
            shown = f"{kinds[number - 1]} as {ensemble.mode(number)}"
            sync(server.port)
            zxid = members.dump.last_zxid(server.port)
            session = wire.Session(server.port)
            assert session.session_id >> 56 == number
            assert figure(ensemble, number, "local_sessions") == "1", shown
            assert session.call(wire.GET_DATA, wire.Writer().ustring("/").boolean(False).bytes).err == 0
            path = f"/plain-{number}"
            made = session.create(path)
            assert (made.err, made.zxid) == (0, max(zxid + 1, made.zxid & ~0xffffffff | 1)), shown

            elsewhere = ensemble.members[others[0]].port
            stranger, answer = connect(elsewhere, session.session_id, session.password, read_only=False)
            assert answer[:2] == (0, 0) and stranger.frame() is None, f"{shown}: not known elsewhere"

            again, answer = connect(server.port, session.session_id, session.password, read_only=False)
            assert answer[1] == session.session_id, f"{shown}: known to its server"
            assert ask(again, wire.CLOSE_SESSION)[0] == 0 and again.frame() is None
            assert figure(ensemble, number, "local_sessions") == "0", shown

            session = wire.Session(server.port)
            made = session.create(f"/ephemeral-{number}", flags=EPHEMERAL)
            hexed = f"0x{session.session_id:x}"
            if upgrading == "true":
                assert made.err == 0, shown
                for _, each in ((n, s) for n, s in ensemble.members.items()):
                    sync(each.port)
                assert figure(ensemble, number, "local_sessions") == "0", shown
                for other in ensemble.members:
                    assert hexed in logged_sessions(ensemble, other), f"{shown}: known to {other}"
                moved, answer = connect(elsewhere, session.session_id, session.password, read_only=False)
                assert answer[1] == session.session_id, f"{shown}: moves"
                assert ask(moved, wire.CLOSE_SESSION)[0] == 0 and moved.frame() is None
                check = wire.Session(elsewhere)
                exists = check.call(wire.EXISTS, wire.Writer().ustring(f"/ephemeral-{number}").boolean(False).bytes)
                assert exists.err == -101, shown
                check.end()
            else:
                assert made.err == EPHEMERAL_ON_LOCAL_SESSION, shown
                assert session.create(f"/after-{number}").zxid == made.zxid + 1, f"{shown}: the refusal takes a zxid"
                session.end()
        assert set(roles) == {"leader", "follower", "observer"}
        ensemble.assert_equal_trees()


def sync(port):
    """The server shows everything that was committed before."""
    session = wire.Session(port)
    assert session.call(wire.SYNC, wire.Writer().ustring("/").bytes).err == 0
    session.end()


@pytest.mark.parametrize("kinds", [("zabd",) * 3, ("java395", "zabd", "zabd"), ("zabd", "java395", "java395")], ids="-".join)
def test_a_leader_may_leave_clients_to_others(tmp_path, kinds):
    """It leads, and closes who connects; whoever leads next does the same, and serves as a follower."""
    ensemble = members.Ensemble(list(kinds), tmp_path, properties={"leaderServes": "no"})
    not_serving = "This ZooKeeper instance is not currently serving requests\n"
    modes = lambda: {number: ensemble.mode(number) for number in ensemble.members}
    followers = lambda: [number for number, mode in modes().items() if mode == "follower"]
    try:
        for server in ensemble.members.values():
            server.start(wait=False)
        for _ in range(2):
            eventually(lambda: len(followers()) == 2, SECONDS_MAX, what="two followers")
            (leader,) = set(ensemble.members) - set(followers())
            assert word(ensemble, leader, "srvr") == not_serving and word(ensemble, leader, "isro") == "null"
            assert connect(ensemble.members[leader].port)[1] is None
            for number in followers():
                session = wire.Session(ensemble.members[number].port)
                assert session.create(f"/served-by-{number}").err in (0, -110)
                session.end()
            ensemble.members[leader].kill()
            eventually(lambda: len(followers()) == 1, SECONDS_MAX, what="another leader")
            ensemble.members[leader].start(wait=False)
    finally:
        ensemble.__exit__()


NOBODY = 0x7777
EXISTS_ORPHAN = wire.Writer().ustring("/orphan").boolean(False).bytes
NO_NODE = -101


def log_orphan(server, zxid, cversion):
    """Writes a log with one transaction behind all others: an ephemeral whose session does not exist."""
    header = struct.pack(">qiqqi", NOBODY, 0, zxid, int(time.time() * 1000), wire.CREATE)
    body = wire.Writer().ustring("/orphan").buffer(b"").acl(wire.OPEN_ACL).boolean(True).int(cversion).bytes
    entry = header + bytes(body)
    record = struct.pack(">qi", zlib.adler32(entry), len(entry)) + entry + b"B"
    (server.data_dir / "version-2" / f"log.{zxid:x}").write_bytes(b"ZKLG" + struct.pack(">iq", 2, 0) + record)


def test_the_last_of_three_waits_for_nobody_to_take_the_lead(tmp_path):
    with members.Ensemble(["zabd"] * 3, tmp_path) as ensemble:
        leader = ensemble.leader()
        for number in ensemble.others(leader):
            ensemble.members[number].kill()
        assert ensemble.members[leader].stop() == 0
        said = ensemble.members[leader].log_text()
        assert "Leading no more: the others that follow are no quorum to hand the lead to, after " in said


@pytest.mark.parametrize("kinds", [("zabd",) * 3, ("java395", "zabd", "zabd")], ids="-".join)
def test_ephemerals_of_nobody_are_removed(tmp_path, kinds):
    """Defects of servers of long ago left some. A new leader removes them everywhere."""
    with members.Ensemble(list(kinds), tmp_path) as ensemble:
        ensemble.await_level()
        session = wire.Session(ensemble.members[1].port)
        root = session.call(wire.EXISTS, wire.Writer().ustring("/").boolean(False).bytes).reader().stat()
        session.end()
        ensemble.await_level()
        zxid = members.dump.last_zxid(ensemble.members[1].port)
        for server in ensemble.members.values():
            server.kill()
            log_orphan(server, zxid + 1, root["cversion"] + 1)
        for server in ensemble.members.values():
            server.start(wait=False)
        for server in ensemble.members.values():
            server.await_serving()
        assert ensemble.members[ensemble.leader()].kind == "zabd"
        for server in ensemble.members.values():
            sync(server.port)
            session = wire.Session(server.port)
            assert session.call(wire.EXISTS, EXISTS_ORPHAN).err == NO_NODE
            session.end()
        assert f"Removing the ephemerals of session 0x{NOBODY:x}, which is gone" in ensemble.members[ensemble.leader()].log_text()
        ensemble.assert_equal_trees()


def test_a_session_that_moved_writes_by_multis_alone(tmp_path):
    """ZOOKEEPER-2886: whoever owns a session is asked behind a multi as behind every write, and only once."""
    with members.Ensemble(["zabd"] * 3, tmp_path) as ensemble:
        first = wire.Session(ensemble.members[1].port, members.SESSION_MS)
        assert first.create("/e", flags=EPHEMERAL).err == 0
        for number, path in ((2, "/two"), (3, "/three"), (1, "/one")):
            connection, answer = connect(ensemble.members[number].port, first.session_id, first.password)
            assert answer[1] == first.session_id
            for name in ("a", "b"):
                done, _ = ask(connection, wire.MULTI, wire.multi_body([(wire.CREATE, wire.create_body(f"{path}-{name}"))]))
                assert done == 0, (number, name)
        assert ask(connection, wire.CLOSE_SESSION)[0] == 0
        ensemble.assert_equal_trees()
