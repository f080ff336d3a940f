"""`terminate_session` ends a session as its client's silence would; Java's server has that over JMX only."""

import json

import pytest

from harness import wire
from harness.servers import SUPER_AUTH, free_port
from harness.waiting import eventually

from .conftest import DEFAULT, HttpServer, ask

SUPER = {"Authorization": " ".join(SUPER_AUTH)}


@pytest.fixture(autouse=True)
def of_zabd(kind):
    if kind != "zabd":
        pytest.skip("Java has no such command")


def terminate(server, session, headers=SUPER):
    status, _, text = ask(server.admin_port, "/commands/terminate_session", "POST", json.dumps({"session": session}).encode(), headers)
    return status, json.loads(text)


def is_there(session, path):
    return session.call(wire.EXISTS, wire.Writer().ustring(path).boolean(False).bytes).err == 0


def is_over(session, port):
    """The connection is closed, and whoever comes back for the session hears that there is none."""
    assert session.frame() is None
    connection = wire.Connection(port)
    connection.send_frame(wire.connect_request(30_000, session.session_id, session.password))
    reader = wire.Reader(connection.frame(), 4)
    assert (reader.int(), reader.int(), reader.long()) == (0, 0, 0)
    connection.close()


def test_a_session_ends_with_its_ephemerals(kind, tmp_path):
    with HttpServer(kind, tmp_path, DEFAULT, admin={}) as server:
        victim, other = wire.Session(server.port, 30_000), wire.Session(server.port, 30_000)
        assert victim.create("/e", flags=1).err == other.create("/mine", flags=1).err == 0
        text = f"{victim.session_id:#x}"
        assert terminate(server, text) == (200, {"session": text, "command": "terminate_session", "error": None})
        is_over(victim, server.port)
        assert not is_there(other, "/e") and is_there(other, "/mine")
        status, answer = terminate(server, text)
        assert (status, answer["error"]) == (404, "There is no such session")
        assert terminate(server, "nobody")[0] == terminate(server, None)[0] == 400
        assert terminate(server, f"{other.session_id:#x}", headers={})[0] == 401
        assert is_there(other, "/mine")
        assert terminate(server, other.session_id)[0] == 200
        is_over(other, server.port)
        assert f"Session {text} is ended by an operator" in server.log_text()


class Member(HttpServer):
    """One of an ensemble."""

    def __init__(self, number, directory, lines):
        self.number = number
        config = {**lines, "initLimit": 10, "syncLimit": 5, "localSessionsEnabled": "true", "localSessionsUpgradingEnabled": "true"}
        super().__init__("zabd", directory, DEFAULT, config=config, admin={})

    def write_config(self):
        super().write_config()
        (self.data_dir / "myid").write_text(f"{self.number}\n")


def test_a_members_session_ends_at_the_leader(tmp_path):
    """One that only a server knows ends there."""
    lines = {f"server.{number}": f"127.0.0.1:{free_port()}:{free_port()}" for number in (1, 2)}
    members = [Member(number, tmp_path / str(number), lines) for number in (1, 2)]
    try:
        for member in members:
            member.start(wait=False)
        for member in members:
            member.await_serving()
        is_leading = [json.loads(ask(member.admin_port, "/commands/leader")[2])["is_leader"] for member in members]
        leader, follower = sorted(members, key=lambda member: not is_leading[members.index(member)])
        known, local = wire.Session(follower.port, 30_000), wire.Session(follower.port, 30_000)
        assert known.create("/e", flags=1).err == 0
        status, answer = terminate(follower, f"{known.session_id:#x}")
        assert status == 503 and answer["error"].startswith("Sessions end at the leader"), answer
        assert terminate(leader, f"{local.session_id:#x}")[0] == 404
        assert terminate(leader, f"{known.session_id:#x}")[0] == 200
        is_over(known, follower.port)
        assert terminate(follower, f"{local.session_id:#x}")[0] == 200
        assert local.frame() is None
        asking = wire.Session(leader.port, 30_000)
        eventually(lambda: not is_there(asking, "/e"), what="the ephemeral goes")
        asking.close()
    finally:
        for member in members:
            member.kill()
