"""What clients ask for is counted under the names of Java's release 3.10: reads whether they succeed or not, writes when they are done.

Java 3.9, which the other suites of figures compare with, has none of these.
"""

import struct

import pytest

from harness import wire
from harness.observing import figures
from harness.servers import four_letter_word
from harness.waiting import eventually
from harness.wire import Writer
from protocol import client as c
from protocol.client import Client

# What the server is to do at once, and looks for what is over ten times a second.
PROPERTIES = {"extendedTypesEnabled": "true", "znode.container.checkIntervalMs": "100"}


@pytest.fixture
def server(start, kind):
    if kind != "zabd":
        pytest.skip("Java 3.9 does not count these")
    return start(kind, properties=PROPERTIES)


def counted(server, prefix="op_count_"):
    """What is not 0, without the beginning of its name."""
    shown = figures(server.port)
    assert any(name.startswith(prefix) for name in shown)
    return {name.removeprefix(prefix): int(value) for name, value in shown.items() if name.startswith(prefix) and value != "0"}


# A call, under what it counts, and what it is answered.
READS = [
    (lambda s: s.get("/a"), "get_data", c.OK), (lambda s: s.get("/nothing"), "get_data", c.NO_NODE),
    (lambda s: s.exists("/a"), "exists", c.OK), (lambda s: s.exists("/nothing"), "exists", c.NO_NODE),
    (lambda s: s.children("/"), "get_children", c.OK),
    (lambda s: s.call(wire.GET_CHILDREN2, c.path_watch("/nothing")), "get_children", c.NO_NODE),
    (lambda s: s.get_acl("/a"), "get_acl", c.OK),
    (lambda s: s.call(wire.SYNC, c.path_body("/")), "sync", c.OK),
    (lambda s: s.call(wire.PING, xid=wire.PING_XID), "ping", c.OK),
    (lambda s: s.call(wire.WHO_AM_I), "who_am_i", c.OK),
    (lambda s: s.call(wire.GET_EPHEMERALS, c.path_body("/")), "get_ephemerals", c.OK),
    (lambda s: s.call(wire.GET_ALL_CHILDREN_NUMBER, c.path_body("/")), "get_all_children_number", c.OK),
    (lambda s: s.call(wire.MULTI_READ, wire.multi_body([(wire.GET_DATA, c.path_watch("/a"))])), "multi_read", c.OK),
    (lambda s: s.add_watch("/a", 0), "add_watch", c.OK),
    (lambda s: s.call(wire.CHECK_WATCHES, c.path_and("/a", 3)), "check_watches", c.OK),
    (lambda s: s.call(wire.REMOVE_WATCHES, c.path_and("/nothing", 3)), "remove_watches", c.NO_WATCHER),
    (lambda s: s.call(wire.SET_WATCHES, struct.pack(">qiii", 0, 0, 0, 0), xid=wire.SET_WATCHES_XID), "set_watches", c.OK),
]
WRITES = [
    (lambda s: s.create("/b"), "create", c.OK), (lambda s: s.create("/b"), None, c.NODE_EXISTS),
    (lambda s: s.create("/box", flags=c.CONTAINER, opcode=wire.CREATE_CONTAINER), "create", c.OK),
    (lambda s: s.set("/b", b"x"), "set_data", c.OK), (lambda s: s.set("/b", b"x", 77), None, c.BAD_VERSION),
    (lambda s: s.set_acl("/b", c.OPEN), "set_acl", c.OK),
    (lambda s: s.delete("/b"), "delete", c.OK), (lambda s: s.delete("/b"), None, c.NO_NODE),
    (lambda s: s.multi([(wire.CHECK, c.path_and("/a", 0))]), "multi", c.OK),
    # Its results say that it failed; it was answered all the same.
    (lambda s: s.multi([(wire.CHECK, c.path_and("/a", 7))]), "multi", c.OK),
    (lambda s: s.call(wire.RECONFIG, Writer().ustring(None).ustring(None).ustring("x").long(-1).bytes), None, c.RECONFIG_DISABLED),
]


def test_each_operation_counts_under_its_name(server):
    session = Client(server.port, 30_000)
    session.create("/a")
    four_letter_word(server.port, "srst")
    expected = {}
    for call, name, err in READS + WRITES:
        assert call(session).err == err, name
        if name:
            expected[name] = expected.get(name, 0) + 1
    assert counted(server) == {**expected, "total": sum(expected.values())}
    four_letter_word(server.port, "srst")
    assert counted(server) == {}
    # What is refused untried, and what belongs to no session, is nobody's operation.
    session.auth("digest", "a:b")
    session.close()
    ending = Client(server.port, 30_000)
    ending.end()
    again = Client(server.port, 30_000)
    resumed = Client(server.port, 30_000, again.session_id, again.password)
    assert counted(server) == {"create_session": 2, "close_session": 1, "total": 3}
    again.close()
    resumed.close()


def test_what_waits_behind_a_write_is_counted_when_it_is_answered(server):
    session = Client(server.port, 30_000)
    four_letter_word(server.port, "srst")
    sent = [(wire.CREATE, wire.create_body("/a")), (wire.GET_DATA, c.path_watch("/a")), (wire.GET_DATA, c.path_watch("/b")),
            (wire.CREATE, wire.create_body("/a")), (wire.EXISTS, c.path_watch("/a"))]
    session.submit_together(sent)
    assert [session.reply().err for _ in sent] == [c.OK, c.OK, c.NO_NODE, c.NODE_EXISTS, c.OK]
    assert counted(server) == {"create": 1, "get_data": 2, "exists": 1, "total": 4}
    session.close()


def test_znodes_with_a_time_to_live_are_counted(server):
    session = Client(server.port, 30_000)
    for path, ttl in (("/short", 1), ("/long", 600_000)):
        assert session.create(path, flags=c.TTL, opcode=wire.CREATE_TTL, ttl=ttl).err == c.OK
    failed = [(wire.CREATE_TTL, wire.create_body("/undone", flags=c.TTL, ttl=1)), (wire.CHECK, c.path_and("/", 77))]
    assert session.multi(failed).err == c.OK
    assert session.create("/box", flags=c.CONTAINER, opcode=wire.CREATE_CONTAINER).err == c.OK
    eventually(lambda: counted(server, "ttl_node_") == {"created_count": 2, "deleted_count": 1}, what="the short one goes")
    assert session.delete("/long").err == session.delete("/box").err == c.OK
    assert counted(server, "ttl_node_") == {"created_count": 2, "deleted_count": 2}
    session.close()
