"""Makes two runs of one scenario comparable, byte for byte, without ignoring what matters.

Nothing is simply cut out. A session id is replaced by its *label* in the order of first sight, so an ephemeral must name the
right session; a password must be the function of its session id; a time is replaced by the zxid it belongs to, after checking
that one zxid has one time. Everything else stays as it is, the order of names too: it is that of Java's tables.
"""

import struct

from harness import wire
from harness.wire import Reader, Writer


class Canonical:
    """The canonical form of one run's answers. One instance per run: it remembers sessions and times."""

    def __init__(self):
        self.labels = {}
        self.time_of_zxid = {}

    def answer(self, request, response):
        """Canonical bytes of a whole answer; `request` is None for an event, bytes of a frame otherwise."""
        if not response:
            return b""
        reader = Reader(response, 4)
        writer = Writer()
        xid, zxid, err = reader.int(), reader.long(), reader.int()
        writer.int(xid).long(zxid).int(err)
        opcode = struct.unpack_from(">i", request, 8)[0] if request and len(request) >= 12 else None
        if opcode is not None and (err == 0 or opcode in (wire.MULTI, wire.MULTI_READ)):
            self._body(opcode, reader, writer)
        return self._framed(response, reader, writer)

    def connect(self, response):
        """Canonical bytes of a connect response: protocol, timeout, the session's label, readOnly if present."""
        if not response:
            return b""
        reader = Reader(response, 4)
        writer = Writer().int(reader.int()).int(reader.int())
        session_id, password = reader.long(), reader.buffer()
        expected = wire.password_of(session_id) if session_id else bytes(16)
        assert password == expected, f"password {password.hex()} of session {session_id:#x}"
        writer.long(self._label(session_id)).buffer(bytes(16))
        return self._framed(response, reader, writer)

    def _framed(self, response, reader, writer):
        rest = response[reader.offset:]
        length = struct.unpack_from(">i", response)[0]
        assert length == len(response) - 4, "frame length"
        return struct.pack(">i", length) + bytes(writer.bytes) + rest

    def _label(self, session_id):
        if session_id == 0:
            return 0
        return self.labels.setdefault(session_id, len(self.labels) + 1)

    def _time(self, zxid, time_ms):
        if zxid == 0:
            assert time_ms == 0, f"time {time_ms} of zxid 0"
            return 0
        known = self.time_of_zxid.setdefault(zxid, time_ms)
        assert known == time_ms and time_ms > 1_600_000_000_000, f"zxid {zxid:#x} has times {known} and {time_ms}"
        return zxid

    def _stat(self, reader, writer):
        stat = reader.stat()
        stat["ctime"] = self._time(stat["czxid"], stat["ctime"])
        stat["mtime"] = self._time(stat["mzxid"], stat["mtime"])
        stat["ephemeralOwner"] = self._label(stat["ephemeralOwner"])
        writer.bytes += wire.STAT.pack(*stat.values())

    def _names(self, reader, writer):
        names = reader.vector(reader.ustring)
        writer.int(len(names))
        for name in self.in_order(names):
            writer.ustring(name)

    def in_order(self, names):
        """The names as they are compared."""
        return names

    def _body(self, opcode, reader, writer):
        if opcode in (wire.EXISTS, wire.SET_DATA, wire.SET_ACL):
            self._stat(reader, writer)
        elif opcode in (wire.CREATE2, wire.CREATE_CONTAINER, wire.CREATE_TTL):
            writer.ustring(reader.ustring())
            self._stat(reader, writer)
        elif opcode == wire.GET_DATA:
            writer.buffer(reader.buffer())
            self._stat(reader, writer)
        elif opcode in (wire.GET_CHILDREN, wire.GET_CHILDREN2, wire.GET_EPHEMERALS):
            self._names(reader, writer)
            if opcode == wire.GET_CHILDREN2:
                self._stat(reader, writer)
        elif opcode == wire.GET_ACL:
            writer.acl(reader.vector(reader.acl))
            self._stat(reader, writer)
        elif opcode == wire.WHO_AM_I:
            identities = reader.vector(lambda: (reader.ustring(), reader.ustring()))
            writer.int(len(identities))
            for scheme, name in identities:
                writer.ustring(scheme).ustring(name)
        elif opcode in (wire.MULTI, wire.MULTI_READ) and reader.offset < len(reader.data):
            self._multi(reader, writer)

    def _multi(self, reader, writer):
        while True:
            result, done, err = reader.int(), reader.boolean(), reader.int()
            writer.int(result).boolean(done).int(err)
            if done:
                return
            if result == -1:
                writer.int(reader.int())
            elif result == wire.CREATE:
                writer.ustring(reader.ustring())
            elif result not in (wire.DELETE, wire.CHECK):
                self._body(result, reader, writer)
