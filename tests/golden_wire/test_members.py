"""The captured exchanges of members of ensembles: of one without a quorum that serves reads, and of one that is reconfigured.

They were captured from Java 3.8.0. zabd is not reconfigured yet: there Java alone is asked, for what zabd will have to repeat.
"""

import struct

import pytest

from harness import wire
from harness.servers import SUPER_AUTH, Server, four_letter_word, free_port
from harness.waiting import eventually

from . import replay
from .canonical import Canonical

BOTH = pytest.mark.parametrize("each", ["java38", "X"])
PORTS = (23194, 23195, 23196, 23197, 23198, 23199)  # As captured.


@pytest.fixture
def member(tmp_path):
    """`member(kind, ports, config, properties)`: the first member of an ensemble; its ports are client, quorum, election."""
    servers = []

    def start(kind, ports, config, properties=None):
        client, quorum, election = ports
        own = f"127.0.0.1:{quorum}:{election}:participant;127.0.0.1:{client}"
        config = {"initLimit": 10, "syncLimit": 5, "server.1": own, **config}
        server = Server(kind, tmp_path / "member", port=client, config=config, properties=properties)
        server.data_dir.mkdir(parents=True)
        (server.data_dir / "myid").write_text("1\n")
        # A member of zabd without any data is nobody until it has heard all others, unless it is told so.
        (server.data_dir / "initialize").write_text("")
        servers.append(server)
        return server.start(wait=False)

    yield start
    for server in servers:
        server.kill()


@pytest.fixture
def reading(member, kind):
    """`reading(kind, local)`: a member of two that serves reads without the other one."""

    def start(each, local):
        config = {"server.2": f"127.0.0.1:{free_port()}:{free_port()}:participant", "localSessionsEnabled": local}
        server = member(kind if each == "X" else each, [free_port() for _ in range(3)], config, {"readonlymode.enabled": "true"})
        assert eventually(lambda: word(server, "isro") == "ro")
        return server

    return start


def word(server, name):
    """The answer, as soon as the port is open."""
    try:
        return four_letter_word(server.port, name)
    except OSError:
        return None


def captured(*connections):
    """The lines of these connections."""
    return [line for line in replay.golden("3.8.0", replay.Of.MEMBERS) if line["conn"] in connections]


@BOTH
def test_a_member_without_a_quorum_serves_reads(reading, each):
    exchanges, _ = replay.run(captured("RO-local", "RO-local-2"), reading(each, "true").port)
    assert len(exchanges) == 7
    for exchange in exchanges:
        assert exchange.actual == exchange.expected, exchange.name


@BOTH
def test_without_local_sessions_there_is_none_to_read_with(reading, kind, each):
    """Java's answer is a header that no client understands; zabd's is a session."""
    (line,) = captured("RO-global")
    connection = wire.Connection(reading(each, "false").port)
    connection.send(bytes.fromhex(line["request_hex"]))
    frame = connection.frame()
    if each == "X" and kind == "zabd":
        (with_local,) = captured("RO-local")[:1]
        assert Canonical().connect(frame) == Canonical().connect(bytes.fromhex(with_local["response_hex"]))
    else:
        assert frame == bytes.fromhex(line["response_hex"])
    assert connection.is_quiet()
    connection.close()


def test_a_lone_member_is_reconfigured(member):
    """The transactions between the captured ones are ours: what counts are their numbers."""
    ports = [free_port() for _ in PORTS]
    server = member("java38", ports[:3], {"standaloneEnabled": "false", "reconfigEnabled": "true"})
    server.await_serving()
    session = wire.Session(server.port)
    assert session.auth(*SUPER_AUTH).err == 0
    expected, actual = Canonical(), Canonical()
    lines = captured("single-member ensemble")
    for line in lines:
        request = bytes.fromhex(line["request_hex"])
        number, opcode = struct.unpack_from(">ii", request, 4)
        while session.xid < number - 1:
            assert session.create(f"/{session.xid}").err == 0
        session.xid = number
        session.send(with_ports(request, PORTS, ports))
        as_data = request[:8] + struct.pack(">i", wire.GET_DATA)
        said = with_ports(session.frame(), ports, PORTS)
        assert actual.answer(as_data, said) == expected.answer(as_data, bytes.fromhex(line["response_hex"])), line["name"]
    assert [line["name"] for line in lines] == ["reconfig_add_observer", "reconfig_remove_observer"]
    session.end()


def with_ports(data, these, those):
    """Ports of five digits in a text, in the place of others."""
    for this, that in zip(these, those):
        data = data.replace(f":{this}".encode(), f"?{that}".encode())
    return data.replace(b"?", b":")
