"""A session with a method per operation.

Every method gives the `Reply`, so that a test reads `assert client.create("/a").err == OK`.
"""

import struct

from harness import wire
from harness.wire import Reader, Writer

OK, MARSHALLING, UNIMPLEMENTED, BAD_ARGUMENTS = 0, -5, -6, -8
NO_NODE, NO_AUTH, BAD_VERSION, NO_CHILDREN_FOR_EPHEMERALS = -101, -102, -103, -108
NODE_EXISTS, NOT_EMPTY, INVALID_ACL, AUTH_FAILED = -110, -111, -114, -115
NO_WATCHER, RECONFIG_DISABLED, REQUIRE_AUTH, QUOTA_EXCEEDED, THROTTLED = -121, -123, -124, -125, -127
RUNTIME_INCONSISTENCY = -2

READ, WRITE, CREATE, DELETE, ADMIN, ALL = 1, 2, 4, 8, 16, 31
PERSISTENT, EPHEMERAL, SEQUENTIAL, EPHEMERAL_SEQUENTIAL, CONTAINER, TTL, TTL_SEQUENTIAL = range(7)
CREATED, DELETED, DATA_CHANGED, CHILDREN_CHANGED = 1, 2, 3, 4
OPEN = ((ALL, "world", "anyone"),)

WAIT_SECONDS_MAX = 20


def path_body(path):
    return bytes(Writer().ustring(path).bytes)


def path_and(path, number):
    return bytes(Writer().ustring(path).int(number).bytes)


def path_watch(path, watch=False):
    return bytes(Writer().ustring(path).boolean(watch).bytes)


def data_body(path, data, version=-1):
    return bytes(Writer().ustring(path).buffer(data).int(version).bytes)


def acl_body(path, acl, version=-1):
    return bytes(Writer().ustring(path).acl(acl).int(version).bytes)


class Client(wire.Session):
    """See the module's description."""

    def exists(self, path, watch=False):
        return self.call(wire.EXISTS, path_watch(path, watch))

    def get(self, path, watch=False):
        return self.call(wire.GET_DATA, path_watch(path, watch))

    def children(self, path, watch=False):
        return self.call(wire.GET_CHILDREN, path_watch(path, watch))

    def set(self, path, data, version=-1):
        return self.call(wire.SET_DATA, data_body(path, data, version))

    def delete(self, path, version=-1):
        return self.call(wire.DELETE, path_and(path, version))

    def get_acl(self, path):
        return self.call(wire.GET_ACL, path_body(path))

    def set_acl(self, path, acl, version=-1):
        return self.call(wire.SET_ACL, acl_body(path, acl, version))

    def add_watch(self, path, mode):
        return self.call(wire.ADD_WATCH, path_and(path, mode))

    def multi(self, operations):
        return self.call(wire.MULTI, wire.multi_body(operations))

    def submit_together(self, requests):
        """Sends (opcode, body) pairs in one piece, so that the server's close cannot come between them."""
        frames = []
        for opcode, body in requests:
            self.xid += 1
            payload = struct.pack(">ii", self.xid, opcode) + bytes(body)
            frames.append(struct.pack(">i", len(payload)) + payload)
        self.send(b"".join(frames))

    def ping(self):
        return self.call(wire.PING, xid=wire.PING_XID)

    def stat(self, path):
        """The stat of a node that exists."""
        reply = self.exists(path)
        assert reply.err == OK, f"{path}: {reply.err}"
        return reply.reader().stat()

    def names(self, path):
        """The children of a node that exists, sorted."""
        reply = self.children(path)
        assert reply.err == OK, f"{path}: {reply.err}"
        reader = reply.reader()
        return sorted(reader.vector(reader.ustring))

    def acl_of(self, path):
        """The list of a node that shows it."""
        reply = self.get_acl(path)
        assert reply.err == OK, f"{path}: {reply.err}"
        reader = reply.reader()
        return reader.vector(reader.acl)

    def heard(self):
        """Types and paths of all events that were sent before now."""
        self.ping()
        heard = [(kind, path) for _, kind, state, path in self.events if state == 3]
        assert len(heard) == len(self.events), "an event with another state than SyncConnected"
        self.events = []
        return heard

    def is_closed(self, timeout=WAIT_SECONDS_MAX):
        """Whether the server closes the connection without another byte."""
        return self.frame(timeout) is None


def created_path(reply):
    """The path in a successful reply to a create of any kind."""
    assert reply.err == OK, reply.err
    return reply.reader().ustring()


def multi_results(reply):
    """(type, error) of each operation in a reply to multi."""
    assert reply.err == OK, reply.err
    reader, results = Reader(reply.body), []
    while True:
        kind, done, err = reader.int(), reader.boolean(), reader.int()
        if done:
            assert (kind, err) == (-1, -1)
            reader.done()
            return results
        results.append((kind, err))
        if kind == -1:
            assert reader.int() == err
        elif kind == wire.CREATE:
            reader.ustring()
        elif kind == wire.CREATE2:
            reader.ustring()
            reader.stat()
        elif kind == wire.SET_DATA:
            reader.stat()
