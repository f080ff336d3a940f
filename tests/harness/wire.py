"""A client of raw frames: what is sent and what comes back are bytes, so that nothing is hidden by a library.

`Connection` moves frames; `Session` adds the handshake, request numbers and the few record layouts that the suites use.
"""

import socket
import struct
import time
from dataclasses import dataclass

from .waiting import eventually

CREATE, DELETE, EXISTS, GET_DATA, SET_DATA, GET_ACL, SET_ACL, GET_CHILDREN, SYNC = 1, 2, 3, 4, 5, 6, 7, 8, 9
PING, GET_CHILDREN2, CHECK, MULTI, CREATE2, RECONFIG, CHECK_WATCHES, REMOVE_WATCHES = 11, 12, 13, 14, 15, 16, 17, 18
CREATE_CONTAINER, DELETE_CONTAINER, CREATE_TTL, MULTI_READ = 19, 20, 21, 22
AUTH, SET_WATCHES, SASL, GET_EPHEMERALS, GET_ALL_CHILDREN_NUMBER = 100, 101, 102, 103, 104
SET_WATCHES2, ADD_WATCH, WHO_AM_I, CREATE_SESSION, CLOSE_SESSION = 105, 106, 107, -10, -11

EVENT_XID, PING_XID, AUTH_XID, SET_WATCHES_XID = -1, -2, -4, -8
STAT_FIELDS = (
    "czxid", "mzxid", "ctime", "mtime", "version", "cversion", "aversion", "ephemeralOwner", "dataLength", "numChildren",
    "pzxid")
STAT = struct.Struct(">qqqqiiiqiiq")
OPEN_ACL = ((31, "world", "anyone"),)


class Writer:
    """Appends jute primitives."""

    def __init__(self):
        self.bytes = bytearray()

    def boolean(self, value):
        self.bytes.append(1 if value else 0)
        return self

    def int(self, value):
        self.bytes += struct.pack(">i", value)
        return self

    def long(self, value):
        self.bytes += struct.pack(">q", value)
        return self

    def buffer(self, value):
        if value is None:
            return self.int(-1)
        self.int(len(value))
        self.bytes += value
        return self

    def ustring(self, value):
        return self.buffer(None if value is None else value.encode())

    def acl(self, entries):
        self.int(len(entries))
        for perms, scheme, name in entries:
            self.int(perms).ustring(scheme).ustring(name)
        return self


class Reader:
    """Takes jute primitives off the front; a short record is a `struct.error` or an assertion."""

    def __init__(self, data, offset=0):
        self.data, self.offset = data, offset

    def _take(self, layout):
        (value,) = struct.unpack_from(layout, self.data, self.offset)
        self.offset += struct.calcsize(layout)
        return value

    def boolean(self):
        return self._take(">B") != 0

    def int(self):
        return self._take(">i")

    def long(self):
        return self._take(">q")

    def buffer(self):
        length = self.int()
        if length == -1:
            return None
        assert 0 <= length <= len(self.data) - self.offset, f"length {length} at {self.offset - 4}"
        self.offset += length
        return self.data[self.offset - length:self.offset]

    def ustring(self):
        value = self.buffer()
        return None if value is None else value.decode()

    def vector(self, element):
        return [element() for _ in range(self.int())]

    def stat(self):
        self.offset += STAT.size
        return dict(zip(STAT_FIELDS, STAT.unpack_from(self.data, self.offset - STAT.size)))

    def acl(self):
        return (self.int(), self.ustring(), self.ustring())

    def done(self):
        """Asserts that nothing is left over."""
        assert self.offset == len(self.data), f"{len(self.data) - self.offset} bytes left over"


@dataclass
class Reply:
    """A reply's header, and its body still encoded."""

    xid: int
    zxid: int
    err: int
    body: bytes

    def reader(self):
        return Reader(self.body)


class Closed(AssertionError):
    """The server closed the connection where something was expected of it."""


def exactly(connection, count):
    """So many bytes of a socket, and no more."""
    taken = b""
    while len(taken) < count:
        more = connection.recv(count - len(taken))
        assert more, "the connection was closed"
        taken += more
    return taken


# How long an answer may take: the disk of a machine that builds as well has been seen to take 40 s for one sync.
ANSWER_SECONDS = 120


class Connection:
    """One TCP connection that carries frames."""

    def __init__(self, port, timeout=ANSWER_SECONDS, host="127.0.0.1"):
        self.socket = socket.create_connection((host, port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = bytearray()

    def send(self, data):
        """Sends bytes as they are."""
        self.socket.sendall(data)

    def send_frame(self, payload):
        """Sends one frame: its length, then the payload."""
        self.send(struct.pack(">i", len(payload)) + bytes(payload))

    def frame(self, timeout=ANSWER_SECONDS):
        """The next frame with its length, or None when the server has closed. Raises TimeoutError when nothing comes."""
        while not self._whole():
            self.socket.settimeout(timeout)
            try:
                chunk = self.socket.recv(65536)
            except (ConnectionResetError, BrokenPipeError):
                chunk = b""
            if not chunk:
                if self.received:
                    raise Closed(f"closed within a frame: {self.received.hex()}")
                return None
            self.received += chunk
        length = 4 + struct.unpack_from(">i", self.received)[0]
        frame = bytes(self.received[:length])
        del self.received[:length]
        return frame

    def _whole(self):
        return len(self.received) >= 4 and len(self.received) >= 4 + struct.unpack_from(">i", self.received)[0]

    def until_closed(self, timeout=ANSWER_SECONDS):
        """All bytes up to the server's close."""
        self.socket.settimeout(timeout)
        data = bytes(self.received)
        try:
            while chunk := self.socket.recv(65536):
                data += chunk
        except ConnectionResetError:
            pass
        return data

    def is_quiet(self, seconds=0.05):
        """Whether the connection is open and nothing arrives for a moment."""
        if self.received:
            return False
        self.socket.settimeout(seconds)
        try:
            self.received += self.socket.recv(65536)
        except TimeoutError:
            return True
        except ConnectionResetError:
            return False
        return False

    def close(self):
        """Closes without a closeSession: the session lives on."""
        self.socket.close()


def connect_request(timeout_ms=10_000, session_id=0, password=bytes(16), last_zxid=0, read_only=False):
    """A connect request's payload; `read_only=None` leaves the last byte out, as clients of 3.3 do."""
    writer = Writer().int(0).long(last_zxid).int(timeout_ms).long(session_id).buffer(password)
    if read_only is not None:
        writer.boolean(read_only)
    return bytes(writer.bytes)


class Session(Connection):
    """A connection with a session: numbers requests, keeps events apart from replies.

    A session that goes on over another connection goes on counting behind `xid`, as clients do: a server may still have to hear
    of a transaction that it was asked for elsewhere, and knows its own clients' by session and number.
    """

    def __init__(self, port, timeout_ms=10_000, session_id=0, password=bytes(16), last_zxid=0, xid=0, host="127.0.0.1"):
        super().__init__(port, host=host)
        self.send_frame(connect_request(timeout_ms, session_id, password, last_zxid))
        frame = self.frame()
        if frame is None:
            raise Closed("connection refused without an answer")
        reader = Reader(frame, 4)
        assert reader.int() == 0, "protocol version"
        self.timeout_ms, self.session_id, self.password = reader.int(), reader.long(), reader.buffer()
        self.xid = xid
        self.events = []

    def submit(self, opcode, body=b"", xid=None):
        """Sends a request and gives its number, without waiting."""
        if xid is None:
            self.xid += 1
            xid = self.xid
        self.send_frame(struct.pack(">ii", xid, opcode) + bytes(body))
        return xid

    def reply(self):
        """The next reply; events that come before it are put aside. None when the server has closed."""
        while (frame := self.frame()) is not None:
            reader = Reader(frame, 4)
            xid, zxid, err = reader.int(), reader.long(), reader.int()
            if xid != EVENT_XID:
                return Reply(xid, zxid, err, frame[reader.offset:])
            self.events.append((zxid, reader.int(), reader.int(), reader.ustring()))
        return None

    def call(self, opcode, body=b"", xid=None):
        """Sends a request and waits for its reply."""
        sent = self.submit(opcode, body, xid)
        reply = self.reply()
        if reply is None:
            raise Closed(f"closed without a reply to opcode {opcode}")
        assert reply.xid == sent, f"reply to {reply.xid}, expected {sent}"
        return reply

    def auth(self, scheme, data):
        """Adds an identity."""
        body = Writer().int(0).ustring(scheme).buffer(data.encode()).bytes
        return self.call(AUTH, body, AUTH_XID)

    def create(self, path, data=b"", flags=0, acl=OPEN_ACL, opcode=CREATE, ttl=None):
        """Creates a node; gives the reply."""
        return self.call(opcode, create_body(path, data, flags, acl, ttl))

    def end(self):
        """Closes the session and waits for the server to close the connection."""
        reply = self.call(CLOSE_SESSION)
        assert reply.err == 0 and self.frame() is None
        self.close()


# How long a session hears nothing before it says that it is there, in seconds.
PING_SECONDS = 2


class PingingSession(Session):
    """A session that says that it is there when it hears nothing, as clients do.

    Java 3.8.0 may leave a request lie until the next one comes, when it has no other client (ZOOKEEPER-4537).
    """

    def frame(self, timeout=ANSWER_SECONDS):
        deadline = time.monotonic() + timeout
        while True:
            # Before there is a session, only the server may speak.
            has_session = hasattr(self, "events")
            try:
                frame = super().frame(PING_SECONDS if has_session else timeout)
            except TimeoutError:
                if time.monotonic() > deadline or not has_session:
                    raise
                self.submit(PING, xid=PING_XID)
                continue
            if frame is None or Reader(frame, 4).int() != PING_XID:
                return frame


def create_body(path, data=b"", flags=0, acl=OPEN_ACL, ttl=None):
    """CreateRequest, or CreateTTLRequest when `ttl` is given."""
    writer = Writer().ustring(path).buffer(data).acl(acl).int(flags)
    if ttl is not None:
        writer.long(ttl)
    return bytes(writer.bytes)


def multi_body(operations):
    """A MultiOperationRecord of (opcode, body) pairs."""
    writer = Writer()
    for opcode, body in operations:
        writer.int(opcode).boolean(False).int(-1)
        writer.bytes += body
    return bytes(writer.int(-1).boolean(True).int(-1).bytes)


def password_of(session_id):
    """The 16 bytes that any ZooKeeper server accepts for this session id."""
    mask = (1 << 48) - 1
    state = ((session_id ^ 0xB3415C00) ^ 0x5DEECE66D) & mask
    password = b""
    for _ in range(4):
        state = (state * 0x5DEECE66D + 0xB) & mask
        password += struct.pack("<I", (state >> 16) & 0xFFFFFFFF)
    return password


def until_session(port, timeout_ms, seconds=20):
    """A session, as soon as the server lets one in."""
    sessions = []

    def opened():
        try:
            sessions.append(Session(port, timeout_ms))
        except Closed:
            return False
        return True

    eventually(opened, seconds, what="sessions are let in")
    return sessions[0]
