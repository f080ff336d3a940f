"""What a configuration key changes about connections and requests, each shown by its effect."""

import struct
import time

import pytest

from harness import wire
from harness.wire import Closed

from .client import NO_AUTH, OK, READ, REQUIRE_AUTH, Client

NOBODY = ((READ, "digest", "nobody:bm9ib2R5"),)
CLOSE_SESSION = -11


def is_closed(act):
    """Whether the server ends the connection instead of answering."""
    try:
        act()
    except (Closed, OSError):
        return True
    return False


def records(data_dir):
    """(type, bytes behind the header) of every record of the logs, oldest first."""
    for log in sorted((data_dir / "version-2").glob("log.*"), key=lambda log: int(log.name[4:], 16)):
        content, at = log.read_bytes(), 16
        while at + 12 <= len(content):
            length = struct.unpack(">i", content[at + 8:at + 12])[0]
            if length == 0:
                break
            record = content[at + 12:at + 12 + length]
            yield struct.unpack(">i", record[28:32])[0], record[32:]
            at += 12 + length + 1


@pytest.mark.parametrize("lists", [True, False])
def test_a_closing_session_lists_its_ephemerals_unless_told_not_to(house_of, lists):
    house = house_of(properties={"closeSessionTxn.enabled": str(lists).lower(), "digest.enabled": "false"})
    client = house.client()
    assert client.create("/ephemeral", flags=1).err == OK
    client.end()
    body = [body for kind, body in records(house.server.data_dir) if kind == CLOSE_SESSION][-1]
    listed = struct.pack(">ii", 1, len("/ephemeral")) + b"/ephemeral"
    assert body == (listed if lists else b"")
    assert house.client().exists("/ephemeral").err == -101


def test_large_requests_share_an_allowance(house_of):
    house = house_of(properties={"largeRequestThreshold": 1000, "largeRequestMaxBytes": 3000})
    client = house.client()
    assert client.create("/small").err == OK
    assert client.set("/small", bytes(900)).err == OK
    for _ in range(10):
        assert client.set("/small", bytes(2000)).err == OK, "what is answered is given back"
    assert is_closed(lambda: client.set("/small", bytes(3001)))
    after = house.client()
    assert after.get("/small").err == OK
    assert house.figure("large_requests_rejected") == 1


def test_skipped_access_lists_are_not_asked(house_of):
    strict, lax = house_of(), house_of(properties={"skipACL": "yes"})
    answers = []
    for house in (strict, lax):
        client = house.client()
        assert client.create("/locked", b"data", acl=NOBODY).err == OK
        answers.append([client.get("/locked").err, client.set("/locked", b"x").err])
    assert answers == [[NO_AUTH, NO_AUTH], [OK, OK]]


def test_who_has_not_proved_an_enforced_scheme_is_turned_away(house_of):
    house = house_of(properties={"enforce.auth.enabled": "true", "enforce.auth.schemes": "digest"})
    stranger = house.client()
    assert stranger.create("/a").err == REQUIRE_AUTH
    known = house.client()
    known.auth("digest", "user:secret")
    assert known.create("/a").err == OK


def test_connections_in_all_are_limited(house_of):
    house = house_of(properties={"maxCnxns": 2})
    first, second = house.client(), house.client()
    assert is_closed(lambda: Client(house.port))
    assert first.create("/first").err == OK
    assert second.exists("/first").err == OK


def test_connections_of_one_address_are_limited(house_of):
    house = house_of(config={"maxClientCnxns": 1})
    only = house.client()
    assert is_closed(lambda: Client(house.port))
    assert only.create("/only").err == OK


def test_a_connection_that_asks_for_nothing_is_closed(house_of):
    house = house_of(properties={"nio.sessionlessCnxnTimeout": 1000})
    start = time.monotonic()
    connection = wire.Connection(house.port)
    connection.until_closed(10)
    assert 0.9 < time.monotonic() - start < 6


def test_new_sessions_are_paid_from_the_bucket(house_of):
    """Two tokens, none of which ever comes back."""
    house = house_of(config={"connection_throttle_tokens": 2, "connection_throttle_fill_count": 0})
    clients = [house.client(), house.client()]
    assert is_closed(lambda: Client(house.port))
    assert [client.create(f"/{number}").err for number, client in enumerate(clients)] == [OK, OK]


def test_a_full_pipeline_answers_all_that_was_asked(house_of):
    """With a limit of one request in flight, a thousand sent at once are only slowed down."""
    house = house_of(properties={"globalOutstandingLimit": 1})
    client = house.client()
    assert client.create("/counter").err == OK
    body = bytes(wire.Writer().ustring("/counter").buffer(b"x").int(-1).bytes)
    for _ in range(1000):
        client.submit(wire.SET_DATA, body)
    replies = [client.reply() for _ in range(1000)]
    assert {reply.err for reply in replies} == {OK}
    assert [reply.zxid for reply in replies] == list(range(replies[0].zxid, replies[0].zxid + 1000))
