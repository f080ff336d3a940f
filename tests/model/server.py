"""The model of a standalone server: what it answers to every frame, and what it tells whom.

It is as simple as one can say it: one tree, one number for the last zxid, one request after the other; no log, no pipeline, no
time. Frames are canonical (see `golden_wire.canonical`): sessions are numbers in their order, times are zxids, sets are sorted.
"""

import struct

from harness import wire
from harness.java_order import in_java_order
from harness.wire import Writer

from . import access, decoding
from .errors import BAD_ARGUMENTS, MARSHALLING, NO_NODE, NO_WATCHER, Refused
from .tree import Caller, Done, Tree, error, results
from .watches import CHILDREN, DATA, PERSISTENT, RECURSIVE, SELECTIONS, Change, Watches

NO_ZXID = -1
WRITES = {
    wire.CREATE: decoding.create,
    wire.CREATE2: decoding.create2,
    wire.CREATE_CONTAINER: decoding.create2,
    wire.CREATE_TTL: decoding.create_ttl,
    wire.DELETE: decoding.delete,
    wire.SET_DATA: decoding.set_data,
    wire.SET_ACL: decoding.set_acl,
    wire.MULTI: decoding.multi}


def frame(xid, zxid, err, body=b""):
    """A whole frame."""
    return struct.pack(">iiqi", 16 + len(body), xid, zxid, err) + body


def event_frame(zxid, change, path):
    return frame(wire.EVENT_XID, zxid, 0, bytes(Writer().int(change).int(3).ustring(path).bytes))


def names(each):
    """A vector of strings, sorted."""
    writer = Writer().int(len(each))
    for name in sorted(each):
        writer.ustring(name)
    return bytes(writer.bytes)


def data_and_stat(node):
    return bytes(Writer().buffer(node.data).bytes) + node.stat()


class Connection:
    """A client's connection: its session, what it has proved, and the frames on their way to it."""

    def __init__(self, session):
        self.session = session
        self.identities = {access.ADDRESS}
        self.frames = []

    def take(self):
        """All frames so far."""
        taken, self.frames = self.frames, []
        return taken


class ModelServer:
    """One server from its first start on."""

    def __init__(self, events_have_zxids=True):
        self.events_have_zxids = events_have_zxids
        self.tree, self.watches = Tree(), Watches()
        self.zxid = 0
        self.sessions = set()
        self.sessions_ever = 0

    # --- Sessions ---

    def begin_session(self):
        self.zxid += 1
        self.sessions_ever += 1
        self.sessions.add(self.sessions_ever)
        return Connection(self.sessions_ever)

    def resume_session(self, session):
        """Another connection for a session, or None if there is no such session."""
        return Connection(session) if session in self.sessions else None

    def end_session(self, connection, xid):
        self.zxid += 1
        self.sessions.remove(connection.session)
        self.tell(self.tree.close_session(connection.session, self.zxid))
        connection.frames.append(frame(xid, self.zxid, 0))
        self.lose(connection)

    def lose(self, connection):
        """The connection is no more; its session may be."""
        self.watches.forget(connection)

    def tell(self, events):
        for connection, event in self.watches.fire(events):
            zxid = self.zxid if self.events_have_zxids else NO_ZXID
            connection.frames.append(event_frame(zxid, event.change, event.path))

    # --- Requests ---

    def request(self, connection, xid, opcode, body):
        """Serves one request of a connection with a session."""
        if opcode == wire.AUTH:
            connection.frames.append(self.auth(connection, xid, decoding.Reader(body)))
        elif opcode in WRITES:
            self.write(connection, xid, opcode, body)
        else:
            self.read(connection, xid, opcode, body)

    def auth(self, connection, xid, reader):
        reader.int()
        scheme, data = reader.text(), reader.buffer()
        assert scheme == "digest"
        connection.identities |= access.proved_by(data.decode())
        return frame(xid, 0, 0)

    def write(self, connection, xid, opcode, body):
        try:
            request = WRITES[opcode](decoding.Reader(body))
        except (decoding.Undecodable, decoding.NullList) as fault:
            # Of bodies that are no record, only those of multis take a zxid.
            self.zxid += opcode == wire.MULTI and isinstance(fault, decoding.Undecodable)
            connection.frames.append(frame(xid, self.zxid, MARSHALLING))
            return
        self.zxid += 1
        caller = Caller(connection.session, frozenset(connection.identities))
        try:
            done = (self.tree.multi if opcode == wire.MULTI else self.tree.one)(caller, self.zxid, request)
        except Refused as refused:
            connection.frames.append(frame(xid, self.zxid, refused.code))
            return
        self.tell(done.events)
        connection.frames.append(frame(xid, self.zxid, 0, done.body))

    def read(self, connection, xid, opcode, body):
        if opcode == wire.MULTI_READ:
            connection.frames.append(self.multi_read(connection, xid, body))
            return
        try:
            answer = READS[opcode](self, connection, decoding.Reader(body))
        except decoding.Undecodable:
            connection.frames.append(frame(xid, self.zxid, MARSHALLING))
        except Refused as refused:
            connection.frames.append(frame(xid, self.zxid, refused.code))
        else:
            connection.frames.append(frame(xid, self.zxid, 0, answer))

    def ping(self, _connection, _reader):
        return b""

    def sync(self, _connection, reader):
        return bytes(Writer().ustring(reader.text()).bytes)

    def watch(self, wanted, table, path, connection):
        if wanted:
            self.watches.add(table, path, connection)

    def exists(self, connection, reader):
        path, watch = reader.text(), reader.boolean()
        if path is not None and "\0" in path:
            raise Refused(BAD_ARGUMENTS)
        try:
            node = self.tree.allowed(path, access.READ, connection.identities)
        except Refused as refused:
            self.watch(watch and refused.code == NO_NODE, DATA, path, connection)
            raise
        self.watch(watch, DATA, path, connection)
        return node.stat()

    def get_data(self, connection, reader):
        path, watch = reader.text(), reader.boolean()
        node = self.tree.allowed(path, access.READ, connection.identities)
        self.watch(watch, DATA, path, connection)
        return data_and_stat(node)

    def get_children(self, connection, reader):
        path, watch = reader.text(), reader.boolean()
        node = self.tree.allowed(path, access.READ, connection.identities)
        self.watch(watch, CHILDREN, path, connection)
        return names(node.children)

    def get_children2(self, connection, reader):
        listed = self.get_children(connection, decoding.Reader(reader.body))
        return listed + self.tree.node(reader.text()).stat()

    def get_acl(self, connection, reader):
        node = self.tree.allowed(reader.text(), access.READ | access.ADMIN, connection.identities)
        shown = node.acl if access.allows(node.acl, access.ADMIN, connection.identities) else access.masked(node.acl)
        return bytes(Writer().acl(shown).bytes) + node.stat()

    def get_all_children_number(self, connection, reader):
        path = reader.text()
        self.tree.allowed(path, access.READ, connection.identities)
        if path == "/":
            return bytes(Writer().int(len(self.tree.nodes) - 1).bytes)
        return bytes(Writer().int(sum(each.startswith(path + "/") for each in self.tree.nodes)).bytes)

    def get_ephemerals(self, connection, reader):
        prefix = reader.text() or ""
        if prefix.strip() in ("", "/"):
            prefix = ""
        return names([path for path in self.tree.ephemerals(connection.session) if path.startswith(prefix)])

    def who_am_i(self, connection, _reader):
        writer = Writer().int(len(connection.identities))
        for identity in in_java_order(connection.identities):
            writer.ustring(identity[0]).ustring(access.user(identity))
        return bytes(writer.bytes)

    def multi_read(self, connection, xid, body):
        """Each read has its own result. What is no read ends it with an error and the results so far."""
        try:
            requests = decoding.multi(decoding.Reader(body))
        except (decoding.Undecodable, decoding.NullList):
            return frame(xid, self.zxid, MARSHALLING)
        done = []
        for request in requests:
            if not isinstance(request, decoding.Read) or request.path is None:
                return frame(xid, self.zxid, MARSHALLING, results(done))
            try:
                node = self.tree.allowed(request.path, access.READ, connection.identities)
            except Refused as refused:
                done.append(error(refused.code))
            else:
                answer = data_and_stat(node) if request.opcode == wire.GET_DATA else names(node.children)
                done.append(Done(request.opcode, answer))
        return frame(xid, self.zxid, 0, results(done))

    # --- Watches ---

    def add_watch(self, connection, reader):
        path, mode = reader.text(), reader.int()
        if mode not in (0, 1):
            raise Refused(MARSHALLING)
        self.watches.add_staying(path, connection, (PERSISTENT, RECURSIVE)[mode])
        return bytes(4)

    def check_watches(self, connection, reader):
        path, kind = reader.text(), reader.int()
        if kind not in SELECTIONS:
            raise Refused(MARSHALLING)
        if not self.watches.has(path, connection, kind):
            raise Refused(NO_WATCHER)
        return b""

    def remove_watches(self, connection, reader):
        self.check_watches(connection, decoding.Reader(reader.body))
        self.watches.remove(reader.text(), connection, reader.int())
        return b""

    def set_watches(self, connection, reader):
        since = reader.long()
        data, exist, child = (reader.vector(reader.text) for _ in range(3))
        self.catch_up(connection, since, data, exist, child)
        return b""

    def set_watches2(self, connection, reader):
        since = reader.long()
        data, exist, child, persistent, recursive = (reader.vector(reader.text) for _ in range(5))
        self.catch_up(connection, since, data, exist, child)
        for mode, paths in ((PERSISTENT, persistent), (RECURSIVE, recursive)):
            for path in paths:
                self.watches.add_staying(path, connection, mode)
        return b""

    def catch_up(self, connection, since, data, exist, child):
        """Events for what changed since then, watches for what did not."""
        for path in data:
            node = self.tree.nodes.get(path or "/")
            missed = Change.DELETED if node is None else Change.DATA if node.mzxid > since else None
            self.missed(connection, DATA, path, missed)
        for path in exist:
            self.missed(connection, DATA, path, Change.CREATED if (path or "/") in self.tree.nodes else None)
        for path in child:
            node = self.tree.nodes.get(path or "/")
            missed = Change.DELETED if node is None else Change.CHILDREN if node.pzxid > since else None
            self.missed(connection, CHILDREN, path, missed)

    def missed(self, connection, table, path, change):
        if change is None:
            self.watches.add(table, path, connection)
        else:
            connection.frames.append(event_frame(NO_ZXID, change, path))


READS = {
    wire.PING: ModelServer.ping,
    wire.SYNC: ModelServer.sync,
    wire.EXISTS: ModelServer.exists,
    wire.GET_DATA: ModelServer.get_data,
    wire.GET_CHILDREN: ModelServer.get_children,
    wire.GET_CHILDREN2: ModelServer.get_children2,
    wire.GET_ACL: ModelServer.get_acl,
    wire.GET_ALL_CHILDREN_NUMBER: ModelServer.get_all_children_number,
    wire.GET_EPHEMERALS: ModelServer.get_ephemerals,
    wire.WHO_AM_I: ModelServer.who_am_i,
    wire.ADD_WATCH: ModelServer.add_watch,
    wire.CHECK_WATCHES: ModelServer.check_watches,
    wire.REMOVE_WATCHES: ModelServer.remove_watches,
    wire.SET_WATCHES: ModelServer.set_watches,
    wire.SET_WATCHES2: ModelServer.set_watches2}
