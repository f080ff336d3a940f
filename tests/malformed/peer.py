"""A client without manners: sends what it likes, and tells what it got in a form that two servers can be compared by."""

import socket
import struct

from harness import wire
from harness.wire import Reader, Writer

ANSWER_SECONDS_MAX = 20
SILENCE_SECONDS = 5
LONG_MS = 30_000


class Peer(wire.Connection):
    """One connection; every method that listens gives a list of what was said."""

    def __init__(self, port):
        super().__init__(port)
        self.has_session = False

    # --- Speaking -----------------------------------------------------------------------------------------------------

    def say(self, *pieces):
        """Sends pieces as they are. A server that has closed before the last of them is no error."""
        try:
            for piece in pieces:
                self.socket.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return self

    def drip(self, data):
        """Sends byte by byte."""
        return self.say(*(data[at:at + 1] for at in range(len(data))))

    def hush(self):
        """Will not say any more."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        return self

    def hello(self, timeout_ms=LONG_MS):
        """The handshake, so that what follows is requests."""
        self.say(frame(wire.connect_request(timeout_ms)))
        assert self.frame(ANSWER_SECONDS_MAX) is not None, "no session"
        self.has_session = True
        return self

    # --- Listening ----------------------------------------------------------------------------------------------------

    def rest(self):
        """Everything up to the server's close, or up to a long silence."""
        heard = []
        try:
            while (one := self.frame(SILENCE_SECONDS)) is not None:
                heard.append(self._told(one))
        except wire.Closed:
            return [*heard, "closed within a frame"]
        except TimeoutError:
            return [*heard, "stays open"]
        return [*heard, "closed"]

    def rest_bytes(self):
        """The same, when what comes is text."""
        try:
            return [self.until_closed(SILENCE_SECONDS), "closed"]
        except TimeoutError:
            return ["stays open"]

    def until_pong(self):
        """Everything up to the answer to a ping, which is sent now: so the connection is in order."""
        if self.has_session:
            self.say(request(wire.PING_XID, wire.PING))
        heard = []
        while (one := self.frame(ANSWER_SECONDS_MAX)) is not None:
            heard.append(self._told(one))
            if not self.has_session:
                self.has_session = True
                self.say(request(wire.PING_XID, wire.PING))
            elif heard[-1][:3] == ("reply", wire.PING_XID, 0):
                return heard[:-1] + ["in order"]
        return [*heard, "closed"]

    def answer(self, names_have_no_order=False):
        """Events and then the reply to one request, or the server's close."""
        heard = []
        while (one := self.frame(ANSWER_SECONDS_MAX)) is not None:
            if names_have_no_order and one[16:20] == bytes(4):
                one = one[:20] + b"".join(sorted(split_strings(one[24:])))
            heard.append(self._told(one))
            if heard[-1][0] == "reply":
                return heard
        return [*heard, "closed"]

    def _told(self, one):
        """A frame without what differs from server to server: ids, times, zxids."""
        reader = Reader(one, 4)
        if not self.has_session:
            reader.int()
            timeout, session, password = reader.int(), reader.long(), reader.buffer()
            return ("session", timeout, session != 0, password == wire.password_of(session) if session else password, len(one))
        xid, zxid, err = reader.int(), reader.long(), reader.int()
        if xid == wire.EVENT_XID:
            return ("event", reader.int(), reader.int(), reader.ustring())
        body = one[reader.offset:]
        return ("reply", xid, err, zxid if zxid in (0, -1) else "zxid", body.hex() if len(body) <= 32 else f"{len(body)} bytes")


def split_strings(data):
    """The elements of a vector of strings, each with its length."""
    reader = Reader(data)
    while reader.offset < len(data):
        value = reader.buffer()
        yield struct.pack(">i", len(value)) + value


def frame(payload):
    """A length that is right, and the payload."""
    return struct.pack(">i", len(payload)) + bytes(payload)


def request(xid, opcode, body=b""):
    """A whole request."""
    return frame(struct.pack(">ii", xid, opcode) + bytes(body))


def read(path, xid=1):
    """getData without a watch."""
    return request(xid, wire.GET_DATA, Writer().ustring(path).boolean(False).bytes)


def exists(path, xid=1):
    """exists without a watch."""
    return request(xid, wire.EXISTS, Writer().ustring(path).boolean(False).bytes)
