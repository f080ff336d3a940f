"""Headers, pings, errors: what is common to all requests."""

import pytest

from harness import wire
from harness.wire import Writer

from .client import (
    BAD_VERSION, MARSHALLING, NODE_EXISTS, OK, UNIMPLEMENTED, Client, acl_body, path_and, path_body, path_watch)


@pytest.mark.parametrize("xid", [1, 0, -7, (1 << 31) - 1, -(1 << 31)])
def test_an_xid_is_echoed_and_means_nothing(client, xid):
    assert client.call(wire.EXISTS, path_watch("/"), xid).xid == xid


def test_a_ping_is_answered_as_ping_whatever_its_xid(client):
    client.submit(wire.PING, xid=77)
    reply = client.reply()
    assert (reply.xid, reply.err, reply.body) == (wire.PING_XID, OK, b"")


def test_a_write_carries_its_own_zxid_also_when_it_fails(client, home):
    before = client.ping().zxid
    assert client.create(home).err == NODE_EXISTS
    failed = client.ping().zxid
    assert failed == before + 1
    assert client.delete(home, 5).zxid == failed + 1
    reply = client.create(f"{home}/a")
    assert (reply.err, reply.zxid) == (OK, failed + 2)
    assert client.exists(home).zxid == reply.zxid


def test_a_body_that_does_not_decode_takes_no_zxid(client):
    before = client.ping().zxid
    for opcode in (wire.CREATE, wire.DELETE, wire.SET_DATA, wire.SET_ACL, wire.CREATE2, wire.CREATE_TTL, wire.GET_DATA):
        reply = client.call(opcode, b"\0\0\0\1")
        assert (reply.err, reply.zxid, reply.body) == (MARSHALLING, before, b"")
    assert client.ping().zxid == before


def null_vectors(*counts):
    writer = Writer().long(0)
    for count in counts:
        writer.int(count)
    return bytes(writer.bytes)


UNDECODABLE = [
    ("addWatch with an unknown mode", wire.ADD_WATCH, path_and("/", 2)),
    ("checkWatches with an unknown type", wire.CHECK_WATCHES, path_and("/", 6)),
    ("removeWatches with an unknown type", wire.REMOVE_WATCHES, path_and("/", 0)),
    ("setWatches with a null vector", wire.SET_WATCHES, null_vectors(0, -1, 0)),
    ("setWatches2 with a null vector", wire.SET_WATCHES2, null_vectors(0, 0, 0, 0, -1)),
    ("setACL in a multi", wire.MULTI, wire.multi_body([(wire.SET_ACL, acl_body("/", ((31, "world", "anyone"),)))])),
    ("a read in a multi", wire.MULTI, wire.multi_body([(wire.GET_DATA, path_watch("/"))])),
    ("deleteContainer in a multi", wire.MULTI, wire.multi_body([(wire.DELETE_CONTAINER, path_body("/nothing"))])),
    ("an unknown operation in a multi", wire.MULTI, wire.multi_body([(999, b"")])),
    ("unknown flags in a multi", wire.MULTI, wire.multi_body([(wire.CREATE, wire.create_body("/x", flags=9))])),
    ("exists in a multiRead", wire.MULTI_READ, wire.multi_body([(wire.EXISTS, path_watch("/"))])),
    ("a null path", wire.GET_DATA, Writer().ustring(None).boolean(False).bytes),
    ("a null path in exists", wire.EXISTS, Writer().ustring(None).boolean(False).bytes),
    ("a create of a null path", wire.CREATE, wire.create_body(None)),
    ("a delete of a null path", wire.DELETE, Writer().ustring(None).int(-1).bytes),
]


@pytest.mark.parametrize("opcode, body", [row[1:] for row in UNDECODABLE], ids=[row[0] for row in UNDECODABLE])
def test_what_cannot_be_understood_is_an_error_and_the_connection_stays(client, opcode, body):
    reply = client.call(opcode, body)
    assert (reply.err, reply.body) == (MARSHALLING, b"")
    assert client.ping().err == OK


@pytest.mark.parametrize("opcode", [0, -1, 10, 13, 23, 99, 108, 999, -2, -12])
def test_an_unknown_operation_is_answered_and_the_connection_closed(house, opcode):
    client = house.client()
    before = client.ping().zxid
    reply = client.call(opcode, bytes(50))
    assert (reply.err, reply.zxid, reply.body) == (UNIMPLEMENTED, -1, b"")
    assert client.is_closed()
    assert house.client().ping().zxid == before + 1  # The new session took the only one.


def test_what_stands_before_an_unknown_operation_is_still_done(house, home):
    client = house.client()
    client.submit(wire.CREATE, wire.create_body(f"{home}/before"))
    client.submit(999)
    client.until_closed()
    assert house.client().exists(f"{home}/before").err == OK


def test_error_codes_are_numbers_of_the_table(client, home):
    """One request for each code that a standalone server gives without special configuration."""
    client.create(f"{home}/e", flags=1)
    client.create(f"{home}/locked", acl=((31, "digest", "nobody:nothing="),))
    for code, reply in (
        (-5, client.call(wire.ADD_WATCH, path_and(home, 9))),
        (-8, client.create("no-slash")),
        (-101, client.get(f"{home}/missing")),
        (-102, client.get(f"{home}/locked")),
        (-103, client.set(home, b"", 9)),
        (-108, client.create(f"{home}/e/child")),
        (-110, client.create(home)),
        (-111, client.delete(home)),
        (-114, client.create(f"{home}/x", acl=())),
        (-121, client.call(wire.CHECK_WATCHES, path_and(home, 3))),
        (-123, client.call(wire.RECONFIG, Writer().ustring(None).ustring(None).ustring(None).long(-1).bytes)),
    ):
        assert (reply.err, reply.body) == (code, b"")


def test_reconfig_has_no_meaning_for_a_standalone_server(house_of):
    client = house_of(config={"reconfigEnabled": "true"}).client()
    before = client.ping().zxid
    reply = client.call(wire.RECONFIG, Writer().ustring(None).ustring(None).ustring("server.1=x").long(-1).bytes)
    assert (reply.err, reply.zxid, reply.body) == (UNIMPLEMENTED, before + 1, b"")
    assert client.ping().err == OK


def test_the_eager_check_of_rights_is_for_learners(house_of):
    """On a standalone server a write that its ACL forbids takes its zxid all the same."""
    client = house_of(properties={"enableEagerACLCheck": "true"}).client()
    assert client.create("/locked", acl=((1, "world", "anyone"),)).err == OK
    before = client.ping().zxid
    assert client.set("/locked", b"").err == -102
    assert client.ping().zxid == before + 1


def test_versions_are_compared_as_they_are(client, home):
    assert client.set(home, b"1", 0).err == OK
    assert client.set(home, b"2", 0).err == BAD_VERSION
    assert client.set(home, b"2", -2).err == BAD_VERSION
    assert client.set(home, b"2", -1).err == OK


def test_closing_a_session_answers_and_closes(house, home):
    client = house.client()
    client.create(f"{home}/e", flags=1)
    reply = client.call(wire.CLOSE_SESSION)
    assert (reply.err, reply.body) == (OK, b"")
    assert client.is_closed()
    looker = house.client()
    assert looker.exists(f"{home}/e").err == -101
    gone = Client(house.port, session_id=client.session_id, password=client.password)
    assert gone.session_id == 0
    gone.close()


def test_sasl_without_a_configuration_is_a_null_token(client):
    reply = client.call(wire.SASL, Writer().buffer(b"token").bytes)
    assert (reply.err, reply.zxid, reply.body) == (OK, 0, b"\xff\xff\xff\xff")
    assert client.ping().err == OK
