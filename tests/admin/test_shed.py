"""`shed_connections` sends a share of the clients away, as the command of Java's release 3.10 does, which 3.9 does not have."""

import json

import pytest

from harness import wire
from harness.servers import SUPER_AUTH
from harness.waiting import eventually

from .conftest import DEFAULT, ask

SUPER = {"Authorization": " ".join(SUPER_AUTH)}
MISSING, RANGE = "Missing required field: percentage", "Percentage must be between 0 and 100"


@pytest.fixture(scope="module")
def server(start_both, kind):
    if kind != "zabd":
        pytest.skip("Java 3.9 does not have it")
    return start_both(provider=DEFAULT, admin={})[kind]


def shed(server, body, name="shed_connections", headers=SUPER, method="POST"):
    """Status and answer."""
    body = json.dumps(body).encode() if isinstance(body, dict) else body
    status, headers, text = ask(server.admin_port, f"/commands/{name}", method, body, headers)
    assert headers["Content-Type"] == "application/json"
    return status, json.loads(text)


def answer(count, percentage):
    told = {"connections_shed": count, "percentage_requested": percentage, "command": "shed_connections", "error": None}
    return 200, told


@pytest.mark.parametrize("percentage,count", [(0, 0), (25, 3), (100, 10)])
def test_a_share_of_the_clients_is_sent_away(server, percentage, count):
    """Their sessions live on, and the others notice nothing."""
    sessions = [wire.Session(server.port, 30_000) for _ in range(10)]
    for number, session in enumerate(sessions):
        assert session.create(f"/{number}-{percentage}", flags=1).err == 0
    assert shed(server, {"percentage": percentage}, "shed" if percentage == 25 else "shed_connections") == answer(count, percentage)
    here = []
    for session in sessions:
        try:
            session.submit(wire.PING, xid=wire.PING_XID)
            here.append(session.reply() is not None)
        except ConnectionError:
            here.append(False)
    assert here.count(False) == count
    eventually(lambda: f"Shed {count} out of 10 connections ({percentage}%)" in server.log_text())
    for number, (session, is_here) in enumerate(zip(sessions, here)):
        if not is_here:
            session.close()
            session = wire.Session(server.port, 30_000, session.session_id, session.password)
        assert session.call(wire.EXISTS, wire.Writer().ustring(f"/{number}-{percentage}").boolean(False).bytes).err == 0
        session.end()


@pytest.mark.parametrize("body,error,expected", [(*case, 400) for case in [
    (b"", MISSING), ({}, MISSING), (b"[50]", MISSING), ({"percent": 5}, MISSING),
    ({"percentage": -1}, RANGE), ({"percentage": 101}, RANGE), ({"percentage": None}, RANGE),
    (b"{", "Invalid JSON or failed to read request body: ")]] + [(b"{" * 70_000, "Invalid JSON or failed to read request body: ", 413)])
def test_what_is_no_percentage_sends_nobody_away(server, body, error, expected):
    session = wire.Session(server.port, 30_000)
    status, told = shed(server, body)
    assert status == expected and told["error"].startswith(error) and told["command"] == "shed_connections", told
    assert session.call(wire.PING, xid=wire.PING_XID).err == 0
    session.end()


def test_who_may_not_is_told_so(server):
    error = {"command": "shed_connections", "error": "Auth info is missing for the command"}
    assert shed(server, {"percentage": 100}, headers={}) == (401, error)
    assert shed(server, {"percentage": 100}, headers={"Authorization": "nope a:b"})[0] == 401
    assert shed(server, None, method="GET")[0] == 405
