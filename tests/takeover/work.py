"""Work that leaves every kind of record and node behind, in a fixed order, through raw sessions.

`first` starts from an empty server and leaves sessions open; `second` goes on after a takeover: it resumes a session of `first`
with its password, which only a server that read the session table can accept.
"""

import time
from dataclasses import dataclass

from harness import wire
from harness.wire import Writer

LONG_MS = 600_000
EXPIRY_SECONDS_MAX = 30
CONFIG = {"tickTime": 500, "minSessionTimeout": 1000, "maxSessionTimeout": LONG_MS}
PROPERTIES = {
    "extendedTypesEnabled": "true",
    "znode.container.checkIntervalMs": 3_600_000,  # The reaper stays away: its moment is not reproducible.
    "preAllocSize": 64,
    "snapCount": 150,
}
TTL_MAX = (1 << 40) - 1
READ, WRITE, ALL = 1, 2, 31


@dataclass
class OpenSession:
    """A session whose connection is gone: what a client keeps to come back."""

    session_id: int
    password: bytes
    ephemeral: str


def path_body(path, *more):
    writer = Writer().ustring(path)
    for value in more:
        writer.int(value)
    return bytes(writer.bytes)


def set_data(path, data, version=-1):
    return bytes(Writer().ustring(path).buffer(data).int(version).bytes)


def set_acl(path, acl, version=-1):
    return bytes(Writer().ustring(path).acl(acl).int(version).bytes)


def must(reply, err=0):
    assert reply.err == err, f"error {reply.err}, expected {err}"
    return reply


def at_once():
    """A lone server has applied what it has acknowledged."""


def set_root(session, data, settle):
    """The root's data, while nothing else is on its way.

    Java's leader plans changes of the root's data and of its children under two names, `/` and the empty one. If both are on their
    way at once, the digest that it names is one that no server comes to, itself included
    (`test_java_names_a_wrong_digest_for_the_root`).
    """
    settle()
    must(session.call(wire.SET_DATA, set_data("/", data)))
    settle()


def first(port, settle=at_once):
    """The first half; gives the sessions that stay open. `settle` returns when whoever leads has applied all that was acknowledged."""
    session = wire.PingingSession(port, LONG_MS)
    nodes(session, settle)
    lists_of_rights(session)
    transactions(session)
    quotas(session)
    failures(session)
    many(session, "/many", 200)
    expired(port, session)
    left_open = [leave_open(port, "/open-a", 1), leave_open(port, "/open-b", 3)]
    must(session.create("/closed-with-session", flags=1))
    session.end()
    wire.PingingSession(port, LONG_MS).end()
    return left_open


def second(port, left_open, settle=at_once):
    """The second half: the successor goes on where the first server was stopped."""
    session = wire.PingingSession(port, LONG_MS, left_open[0].session_id, left_open[0].password)
    assert session.session_id == left_open[0].session_id, "the session did not survive"
    assert ephemerals(session) == [left_open[0].ephemeral]
    must(session.create("/seq/again-", flags=2))
    must(session.create("/second-ephemeral", flags=1))
    set_root(session, b"data of the root, again", settle)
    must(session.call(wire.SET_DATA, set_data("/quota/in", b"1234567")))
    must(session.call(wire.DELETE, path_body("/null", -1)))
    must(session.create("/null", None))
    transactions(session, "/multi-again")
    failures(session)
    many(session, "/many-again", 100)
    session.close()
    other = wire.PingingSession(port, LONG_MS, left_open[1].session_id, left_open[1].password)
    other.end()
    return [left_open[0]]


def ephemerals(session):
    reader = must(session.call(wire.GET_EPHEMERALS, path_body("/"))).reader()
    return sorted(reader.vector(reader.ustring))


def nodes(session, settle):
    """Every kind of node and content."""
    must(session.create("/null", None))
    must(session.create("/empty", b""))
    must(session.create("/binary", bytes(range(256))))
    must(session.create("/large", b"x" * 700_000))
    must(session.call(wire.SET_DATA, set_data("/large", b"y" * 600_000)))
    must(session.create("/ü-Ω-漢", "grün".encode()))
    must(session.create("/%41#?&= odd\u00a0", b""))
    deep = ""
    for level in range(20):
        deep += f"/level-{level}"
        must(session.create(deep, b"d"))
    must(session.create("/seq"))
    for _ in range(3):
        must(session.create("/seq/n-", flags=2))
        must(session.create("/seq/e-", flags=3))
    must(session.create("/seq/", flags=2))
    must(session.call(wire.DELETE, path_body("/seq/n-0000000000", 0)))
    must(session.create("/container", flags=4, opcode=wire.CREATE_CONTAINER))
    must(session.create("/container/child"))
    must(session.create("/container-empty", flags=4, opcode=wire.CREATE_CONTAINER))
    must(session.create("/ttl", flags=5, opcode=wire.CREATE_TTL, ttl=3_600_000))
    must(session.create("/ttl-max", flags=5, opcode=wire.CREATE_TTL, ttl=TTL_MAX))
    must(session.create("/ttl-seq-", flags=6, opcode=wire.CREATE_TTL, ttl=86_400_000))
    must(session.create("/create2", b"with a stat", opcode=wire.CREATE2))
    for version in range(5):
        must(session.call(wire.SET_DATA, set_data("/create2", b"v%d" % version, version)))
    set_root(session, b"data of the root", settle)
    must(session.call(wire.SET_DATA, set_data("/empty", None)))
    must(session.call(wire.SYNC, path_body("/")))


def lists_of_rights(session):
    """ACLs of every scheme, shared and not."""
    must(session.auth("digest", "alice:secret"))
    must(session.auth("digest", "bob:a:b"))
    must(session.create("/acl-auth", acl=[(ALL, "auth", "")]))
    must(session.create("/acl-auth-again", acl=[(ALL, "auth", "")]))
    must(session.create("/acl-ip", acl=[(ALL, "ip", "127.0.0.1"), (READ, "ip", "10.0.0.0/8")]))
    must(session.create("/acl-read", acl=[(READ, "world", "anyone"), (ALL, "auth", "")]))
    must(session.create("/acl-twice", acl=[(ALL, "world", "anyone"), (ALL, "world", "anyone")]))
    must(session.create("/acl-none", acl=[(0, "world", "anyone")]))
    must(session.call(wire.SET_ACL, set_acl("/acl-ip", [(ALL, "digest", "carol:x")], 0)))
    must(session.call(wire.SET_ACL, set_acl("/create2", wire.OPEN_ACL)))
    must(session.create("/acl-gone", acl=[(READ | WRITE, "digest", "dave:y")]))
    must(session.call(wire.DELETE, path_body("/acl-gone", -1)))


def transactions(session, root="/multi"):
    """multi with every operation, one that fails, an empty one."""
    must(session.create(root))
    must(session.call(wire.MULTI, wire.multi_body([
        (wire.CREATE, wire.create_body(f"{root}/a", b"1")),
        (wire.CREATE2, wire.create_body(f"{root}/s-", b"2", 2)),
        (wire.CREATE_CONTAINER, wire.create_body(f"{root}/c", flags=4)),
        (wire.CREATE_TTL, wire.create_body(f"{root}/t", flags=5, ttl=1_000_000)),
        (wire.CREATE, wire.create_body(f"{root}/e", flags=1)),
        (wire.CREATE, wire.create_body(f"{root}/a/below", None)),
        (wire.SET_DATA, set_data(f"{root}/a", b"changed", 0)),
        (wire.CHECK, path_body(f"{root}/a", 1)),
        (wire.DELETE, path_body(f"{root}/a/below", 0)),
    ])))
    must(session.call(wire.MULTI, wire.multi_body([
        (wire.CREATE, wire.create_body(f"{root}/never", b"")),
        (wire.CHECK, path_body(f"{root}/a", 99)),
        (wire.CREATE, wire.create_body(f"{root}/neither", b"")),
    ])))
    must(session.call(wire.MULTI, wire.multi_body([])))


def quotas(session):
    """A limit, its usage, and changes below it."""
    must(session.create("/quota", b"12345"))
    must(session.create("/zookeeper/quota/quota"))
    must(session.create("/zookeeper/quota/quota/zookeeper_limits", b"count=5,bytes=1000=;byteHardLimit=-1;countHardLimit=-1"))
    must(session.create("/zookeeper/quota/quota/zookeeper_stats", b"count=0,bytes=0"))
    must(session.create("/quota/in", b"123"))
    must(session.create("/quota/in/deeper", b"1234"))
    must(session.call(wire.SET_DATA, set_data("/quota/in", b"")))
    must(session.create("/quota/gone", b"123"))
    must(session.call(wire.DELETE, path_body("/quota/gone", -1)))


def failures(session):
    """Refused writes: each takes a zxid and is in the log."""
    must(session.create("/seq"), -110)
    must(session.create("/none/x"), -101)
    must(session.create("/bad//path"), -101)
    must(session.create("/acl", acl=[]), -114)
    must(session.call(wire.DELETE, path_body("/seq", -1)), -111)
    must(session.call(wire.DELETE, path_body("/create2", 77)), -103)
    must(session.call(wire.SET_DATA, set_data("/none", b"")), -101)
    must(session.call(wire.SET_ACL, set_acl("/seq", [(ALL, "nobody", "x")])), -114)


def many(session, root, count):
    """Pipelined writes, so that snapshots and log files change underneath."""
    must(session.create(root))
    for number in range(count):
        session.submit(wire.CREATE, wire.create_body(f"{root}/{number}", b"%d" % number))
    for number in range(0, count, 3):
        session.submit(wire.SET_DATA, set_data(f"{root}/{number}", b"again", 0))
    for number in range(0, count, 5):
        session.submit(wire.DELETE, path_body(f"{root}/{number}", -1))
    for _ in range(len(range(count)) + len(range(0, count, 3)) + len(range(0, count, 5))):
        must(session.reply())


def expired(port, observer):
    """A session that expires: its ephemeral goes with it."""
    short = wire.Session(port, 1000)
    must(short.create("/expires", flags=1))
    deadline = time.monotonic() + EXPIRY_SECONDS_MAX
    while observer.call(wire.EXISTS, Writer().ustring("/expires").boolean(False).bytes).err == 0:
        assert time.monotonic() < deadline, "the session did not expire"
        time.sleep(0.05)
    short.close()


def leave_open(port, path, flags):
    """A session with an ephemeral whose client is gone."""
    session = wire.PingingSession(port, LONG_MS)
    must(session.create(path, b"mine", flags))
    kept = OpenSession(session.session_id, session.password, ephemerals(session)[0])
    session.close()
    return kept
