"""A client may say all it has to say before it listens for the first time: what it said is done, and each reply comes in its order."""

import socket
import struct

import pytest

from harness import wire
from harness.wire import Writer

from .test_long_replies import framed

# Of replies so much that no socket keeps it, and of requests less than zabd does.
COUNT = 60_000
PATH = "/a-znode-with-a-long-name-0123456789012345678901234567890123456789"


def get_data(xid):
    return framed(xid, wire.GET_DATA, Writer().ustring(PATH).boolean(False).bytes)


def set_data(xid):
    return framed(xid, wire.SET_DATA, Writer().ustring(PATH).buffer(b"%d" % xid).int(-1).bytes)


@pytest.mark.parametrize("asked", [get_data, set_data])
def test_replies_wait_for_a_client_that_says_everything_first(house_of, asked):
    port = house_of().port
    session = wire.Session(port, timeout_ms=40_000)
    assert session.create(PATH, bytes(500)).err == 0
    session.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
    session.socket.settimeout(60)
    session.send(b"".join(asked(xid) for xid in range(2, COUNT + 2)))
    heard = [struct.unpack(">iqi", session.frame(60)[4:20]) for _ in range(COUNT)]
    assert [(xid, err) for xid, _, err in heard] == [(xid, 0) for xid in range(2, COUNT + 2)]
    assert [zxid for _, zxid, _ in heard] == sorted(zxid for _, zxid, _ in heard)
    session.xid = COUNT + 2
    stat = wire.Reader(session.call(wire.EXISTS, Writer().ustring(PATH).boolean(False).bytes).body).stat()
    assert stat["version"] == (COUNT if asked is set_data else 0)
    session.end()
