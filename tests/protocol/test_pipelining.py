"""Whoever says much at once, and no more behind it: all that was said before the end is done."""

import socket

from harness import wire
from harness.waiting import eventually
from harness.wire import Writer

from .test_long_replies import framed

# More than is in flight at once, and than is read at once.
COUNT = 60_000


def set_data(xid):
    return framed(xid, wire.SET_DATA, Writer().ustring("/told").buffer(b"%d" % xid).int(-1).bytes)


def test_what_was_said_before_the_end_is_done(house_of):
    port = house_of().port
    observer, speaker = wire.Session(port, timeout_ms=40_000), wire.Session(port, timeout_ms=40_000)
    assert observer.create("/told").err == 0
    speaker.socket.settimeout(60)
    speaker.send(b"".join(set_data(xid) for xid in range(1, COUNT + 1)))
    speaker.socket.shutdown(socket.SHUT_WR)
    speaker.until_closed()

    def version():
        return observer.call(wire.EXISTS, Writer().ustring("/told").boolean(False).bytes).reader().stat()["version"]

    eventually(lambda: version() == COUNT, 60, "all is done")
    speaker.close()
    observer.end()
