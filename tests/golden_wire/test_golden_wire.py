"""Every captured exchange, byte for byte, against the server under test; then where zabd deliberately differs from Java.

zabd answers as 3.9.5 does. Its differences are the table `DEVIATIONS` and `test_resume_with_a_wrong_password`; nothing else is
excused.
"""

from dataclasses import dataclass

import pytest

from harness import wire
from harness.servers import Server, four_letter_word

from . import replay

CAPTURE = {"java38": "3.8.0", "java395": "3.9.5", "zabd": "3.9.5"}


@pytest.fixture(scope="module")
def replayed(kind, tmp_path_factory):
    """The whole scenario, once: exchanges by name, and the connections it leaves open."""
    directory = tmp_path_factory.mktemp("golden_wire")
    with Server(kind, directory, config=replay.CONFIG, properties=replay.PROPERTIES) as server:
        exchanges, state = replay.run(replay.golden(CAPTURE[kind]), server.port)
        rest = {label: unasked(connection) for label, connection in state.open_connections().items()}
        yield {exchange.name: exchange for exchange in exchanges}, rest


def unasked(connection):
    """What a connection that the scenario leaves open holds after it: events, or the server's close."""
    said = []
    while not connection.is_quiet():
        frame = connection.frame()
        if frame is None:
            return [*said, "closed"]
        reader = wire.Reader(frame, 4)
        xid, _zxid, err = reader.int(), reader.long(), reader.int()
        said.append((xid, err, reader.int(), reader.int(), reader.ustring()))
        reader.done()
    return said


@pytest.mark.parametrize("name", [line["name"] for line in replay.golden("3.9.5")])
def test_exchange(replayed, name):
    exchanges, _ = replayed
    exchange = exchanges[name]
    assert exchange.actual == exchange.expected, exchange.note


def test_nothing_is_said_unasked(replayed, kind):
    _, rest = replayed
    child_event = (wire.EVENT_XID, 0, 4, 3, "/a")
    # The last line closes A, whose ephemeral was a child of what C watches. A wrong password before it cuts B2 on Java only.
    expected = {"C": [child_event], "B2": [] if kind == "zabd" else ["closed"]}
    assert {label: said for label, said in rest.items() if said} == {label: said for label, said in expected.items() if said}


def test_every_name_is_tested_once():
    for version in ("3.8.0", "3.9.5"):
        names = [line["name"] for line in replay.golden(version)]
        assert len(names) == len(set(names)) == replay.LINES
    # `test_members.py` has a place for each of these.
    behind = [line["conn"] for line in replay.golden("3.8.0", replay.Of.MEMBERS)]
    assert {label: behind.count(label) for label in behind} == {
        "RO-local": 6, "RO-local-2": 1, "RO-global": 1, "single-member ensemble": 2}
    assert replay.golden("3.9.5", replay.Of.MEMBERS) == []


@dataclass
class Deviation:
    """A request to which zabd answers differently from some release of Java."""

    name: str
    opcode: int
    body: bytes
    err: int
    closes: bool
    same_on: tuple = ()  # Java servers that answer so, too.


UNKNOWN_OPCODE, BAD_ARGUMENTS = -6, -8


def create(flags, ttl=None):
    return wire.create_body("/contradiction", flags=flags, ttl=ttl)


def contradiction(name, opcode, flags, ttl=None):
    return Deviation(name, opcode, create(flags, ttl), BAD_ARGUMENTS, closes=False)


DEVIATIONS = [
    # Requests that only a server may make are unknown opcodes.
    Deviation("check_outside_multi", wire.CHECK, wire.Writer().ustring("/").int(-1).bytes, UNKNOWN_OPCODE, True, ("java395",)),
    Deviation("delete_container", wire.DELETE_CONTAINER, wire.Writer().ustring("/none").bytes, UNKNOWN_OPCODE, True),
    Deviation("create_session", wire.CREATE_SESSION, wire.Writer().int(10_000).bytes, UNKNOWN_OPCODE, True),
    # An opcode and flags that contradict each other are bad arguments.
    contradiction("create_with_ttl_flags", wire.CREATE, 5),
    contradiction("create2_with_ttl_sequential_flags", wire.CREATE2, 6),
    contradiction("container_with_persistent_flags", wire.CREATE_CONTAINER, 0),
    contradiction("container_with_ephemeral_flags", wire.CREATE_CONTAINER, 1),
    contradiction("container_with_sequential_flags", wire.CREATE_CONTAINER, 2),
    contradiction("container_with_ttl_flags", wire.CREATE_CONTAINER, 5),
    contradiction("ttl_with_persistent_flags", wire.CREATE_TTL, 0, 1000),
    contradiction("ttl_with_ephemeral_flags", wire.CREATE_TTL, 1, 1000),
    contradiction("ttl_with_container_flags", wire.CREATE_TTL, 4, 1000),
]


@pytest.fixture(scope="module")
def extended_server(kind, tmp_path_factory):
    with Server(kind, tmp_path_factory.mktemp("deviations"), properties=replay.PROPERTIES) as server:
        yield server


@pytest.mark.parametrize("deviation", DEVIATIONS, ids=lambda deviation: deviation.name)
def test_deviation(extended_server, kind, deviation):
    if kind != "zabd" and kind not in deviation.same_on:
        pytest.skip("what zabd does, and this server does not")
    session = wire.Session(extended_server.port)
    reply = session.call(deviation.opcode, deviation.body)
    assert (reply.err, reply.body) == (deviation.err, b"")
    if deviation.closes:
        assert reply.zxid == -1
        assert session.frame() is None
    else:
        exists = session.call(wire.EXISTS, wire.Writer().ustring("/contradiction").boolean(False).bytes)
        assert exists.err == -101
        session.end()


@pytest.mark.parametrize("opcode", [wire.CREATE, wire.CREATE2], ids=["create", "create2"])
def test_a_plain_creation_with_a_containers_flags_makes_one(extended_server, kind, opcode):
    """As Go's client asks; in Java the znode is an ordinary one, and the tree's digest says otherwise."""
    if kind != "zabd":
        pytest.skip("what zabd does, and this server does not")
    session = wire.Session(extended_server.port)
    path = f"/container-{opcode}"
    reply = session.call(opcode, wire.create_body(path, flags=4))
    assert reply.err == 0 and reply.body.startswith(wire.Writer().ustring(path).bytes)
    assert len(reply.body) == 4 + len(path) + (68 if opcode == wire.CREATE2 else 0)
    session.end()
    server_word = four_letter_word(extended_server.port, "mntr")
    assert "zk_digest_mismatches_count\t0" in server_word


def test_resume_with_a_wrong_password(extended_server, kind):
    if kind != "zabd":
        pytest.skip("what zabd does, and this server does not")
    owner = wire.Session(extended_server.port)
    assert owner.create("/held", flags=1).err == 0
    intruder = wire.Session(extended_server.port, session_id=owner.session_id, password=b"\7" * 16)
    assert (intruder.session_id, intruder.timeout_ms, intruder.password) == (0, 0, bytes(16))
    assert intruder.frame() is None
    assert owner.call(wire.PING, xid=wire.PING_XID).err == 0
    owner.end()
