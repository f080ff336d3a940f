"""The model's tree: znodes, and what each operation checks and changes.

A znode is a value and never changes; an operation puts another one in its place. So a copy of the tree is a copy of one
dictionary, and a multi that fails is a copy thrown away. An operation raises `Refused` before it changes anything, and gives
what its client is told and the events that it causes.

Canonical values throughout: the time of a zxid is the zxid itself, a session is its number.
"""

import re
from dataclasses import dataclass, field, replace

from harness import wire
from harness.wire import Writer

from . import access, decoding, quotas
from .errors import (
    BAD_ARGUMENTS, BAD_VERSION, MARSHALLING, NO_AUTH, NO_CHILDREN_FOR_EPHEMERALS, NO_NODE, NODE_EXISTS, NOT_EMPTY, NOT_TRIED,
    Refused)
from .watches import CHILDREN, DATA, Change, Event

EPHEMERAL, SEQUENTIAL, TTL = (1, 3), (2, 3, 6), (5, 6)
TTL_MAX = (1 << 40) - 1
UNDELETABLE = ("/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config")
INVALID_CHARACTER = re.compile("[\0-\x1f\x7f-\x9f\ud800-\uf8ff\ufff0-\uffff\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Node:
    """A znode. `creations` counts children that ever were; on the wire it is shown as creations plus deletions."""

    data: bytes = b""
    acl: tuple = wire.OPEN_ACL
    czxid: int = 0
    mzxid: int = 0
    pzxid: int = 0
    version: int = 0
    creations: int = 0
    aversion: int = 0
    owner: int = 0
    children: frozenset = frozenset()

    def stat(self):
        count = len(self.children)
        return wire.STAT.pack(
            self.czxid, self.mzxid, self.czxid, self.mzxid, self.version, 2 * self.creations - count, self.aversion, self.owner,
            len(self.data or b""), count, self.pzxid)


@dataclass(frozen=True)
class Caller:
    """Who asks: its session and what its connection has proved."""

    session: int
    identities: frozenset


@dataclass
class Done:
    """What came of one operation: its result as it stands in a multi, the body of a reply of its own, and its events."""

    result: int
    body: bytes = b""
    events: list = field(default_factory=list)


def parent_of(path):
    """The text before the last slash, where "" is the root."""
    if path is None:
        raise Refused(MARSHALLING)
    if "/" not in path or "\0" in path:
        raise Refused(BAD_ARGUMENTS)
    return path[:path.rindex("/")]


def validate(path):
    """What may be the path of a znode; null may not."""
    if path == "/":
        return
    if not path or path[0] != "/" or INVALID_CHARACTER.search(path) or {"", ".", ".."} & set(path[1:].split("/")):
        raise Refused(BAD_ARGUMENTS)


def next_version(current, expected):
    if expected not in (-1, current):
        raise Refused(BAD_VERSION)
    return current + 1


class Tree:
    """All znodes by path."""

    def __init__(self):
        self.nodes = {
            "/": Node(children=frozenset({"zookeeper"})),
            "/zookeeper": Node(children=frozenset({"quota", "config"})),
            "/zookeeper/quota": Node(),
            "/zookeeper/config": Node(acl=((access.READ, "world", "anyone"),), aversion=-1),
        }
        self.limited = frozenset()  # Parts of the tree that have a quota.

    def copy(self):
        copied = Tree()
        copied.nodes, copied.limited = dict(self.nodes), self.limited
        return copied

    def node(self, path):
        """The znode or `Refused`; the root has a second name."""
        if path is None:
            raise Refused(MARSHALLING)
        if (path or "/") not in self.nodes:
            raise Refused(NO_NODE)
        return self.nodes[path or "/"]

    def allowed(self, path, wanted, identities):
        """The znode, if one of the wanted permissions is given."""
        node = self.node(path)
        if not access.allows(node.acl, wanted, identities):
            raise Refused(NO_AUTH)
        return node

    def change(self, path, **values):
        self.nodes[path or "/"] = replace(self.node(path), **values)

    def count(self, path, count, size):
        """A znode has come (1), gone (-1) or changed (0), with so many more bytes."""
        limits, stats = quotas.stands_for(path, quotas.LIMITS), quotas.stands_for(path, quotas.STATS)
        if limits and count:
            self.limited = self.limited | {limits} if count > 0 else self.limited - {limits}
        if stats and count > 0:
            held = [len(node.data or b"") for each, node in self.nodes.items() if each == stats or each.startswith(stats + "/")]
            self.change(path, data=quotas.text(len(held), sum(held)))
        usage = quotas.stats_of(quotas.covering(self.limited, "" if path == "/" else path))
        if usage in self.nodes and usage != quotas.stats_of(""):
            self.change(usage, data=quotas.counted_on(self.nodes[usage].data, count, size))

    def ephemerals(self, session):
        return sorted(path for path, node in self.nodes.items() if node.owner == session)

    # --- Operations ---

    def create(self, caller, zxid, request):
        path = request.path
        if not 0 <= request.flags <= 6:
            raise Refused(BAD_ARGUMENTS)
        if request.flags in TTL and not 1 <= request.ttl <= TTL_MAX:
            raise Refused(BAD_ARGUMENTS)
        parent_path = parent_of(path)
        acl = access.fixed(request.acl, caller.identities)
        parent = self.allowed(parent_path, access.CREATE, caller.identities)
        if request.flags in SEQUENTIAL:
            path += f"{parent.creations:010}"
        validate(path)
        if path in self.nodes:
            raise Refused(NODE_EXISTS)
        if parent.owner:
            raise Refused(NO_CHILDREN_FOR_EPHEMERALS)
        owner = caller.session if request.flags in EPHEMERAL else 0
        self.nodes[path] = made = Node(request.data, acl, zxid, zxid, zxid, owner=owner)
        self.change(
            parent_path, creations=parent.creations + 1, pzxid=zxid, children=parent.children | {path[len(parent_path) + 1:]})
        self.count(path, 1, len(request.data or b""))
        name = bytes(Writer().ustring(path).bytes)
        return Done(request.kind, name if request.kind == wire.CREATE else name + made.stat(), [
            Event(DATA, Change.CREATED, path, acl),
            Event(CHILDREN, Change.CHILDREN, parent_path or "/", parent.acl)])

    def delete(self, caller, zxid, request):
        parent_path = parent_of(request.path)
        if request.path in UNDELETABLE:
            raise Refused(BAD_ARGUMENTS)
        self.allowed(parent_path, access.DELETE, caller.identities)
        node = self.node(request.path)
        next_version(node.version, request.version)
        if node.children:
            raise Refused(NOT_EMPTY)
        return Done(wire.DELETE, events=self.remove(zxid, request.path))

    def remove(self, zxid, path):
        """Takes a znode away, whoever may want it, and gives the events."""
        parent_path = parent_of(path)
        parent, node = self.node(parent_path), self.nodes.pop(path)
        self.change(parent_path, pzxid=zxid, children=parent.children - {path[len(parent_path) + 1:]})
        self.count(path, -1, -len(node.data or b""))
        return [
            Event(DATA, Change.DELETED, path, node.acl),
            Event(CHILDREN, Change.DELETED, path, node.acl),
            Event(CHILDREN, Change.CHILDREN, parent_path or "/", parent.acl)]

    def set_data(self, caller, zxid, request):
        validate(request.path)
        node = self.allowed(request.path, access.WRITE, caller.identities)
        version = next_version(node.version, request.version)
        self.change(request.path, data=request.data, version=version, mzxid=zxid)
        stat = self.node(request.path).stat()
        self.count(request.path, 0, len(request.data or b"") - len(node.data or b""))
        return Done(wire.SET_DATA, stat, [Event(DATA, Change.DATA, request.path, node.acl)])

    def set_acl(self, caller, _zxid, request):
        validate(request.path)
        acl = access.fixed(request.acl, caller.identities)
        node = self.allowed(request.path, access.ADMIN, caller.identities)
        version = next_version(node.aversion, request.version)
        self.change(request.path, acl=acl, aversion=version)
        return Done(wire.SET_ACL, self.node(request.path).stat())

    def check(self, caller, _zxid, request):
        validate(request.path)
        node = self.allowed(request.path, access.READ, caller.identities)
        next_version(node.version, request.version)
        return Done(wire.CHECK)

    def close_session(self, session, zxid):
        return [event for path in self.ephemerals(session) for event in self.remove(zxid, path)]

    def one(self, caller, zxid, request):
        """Any single operation."""
        operation = {
            decoding.Create: self.create, decoding.Delete: self.delete, decoding.SetData: self.set_data,
            decoding.SetAcl: self.set_acl, decoding.Check: self.check}[type(request)]
        return operation(caller, zxid, request)

    def multi(self, caller, zxid, requests):
        """All operations or none; its body tells of each. A failure is no error of the whole."""
        if any(isinstance(request, decoding.Read) or request.path is None for request in requests):
            raise Refused(MARSHALLING)
        trial, done, failure = self.copy(), [], None
        for request in requests:
            try:
                done.append(trial.one(caller, zxid, request))
            except Refused as refused:
                if refused.code == MARSHALLING:
                    raise
                failure = refused.code
                break
        if failure is None:
            self.nodes, self.limited = trial.nodes, trial.limited
            return Done(wire.MULTI, results(done), [event for each in done for event in each.events])
        codes = [0] * len(done) + [failure] + [NOT_TRIED] * (len(requests) - len(done) - 1)
        return Done(wire.MULTI, results([error(code) for code in codes]))


def error(code):
    """A result that is only a code."""
    return Done(-1, bytes(Writer().int(code).bytes))


def results(done):
    """The body of a multi's reply."""
    writer = Writer()
    for each in done:
        code = wire.Reader(each.body).int() if each.result == -1 else 0
        writer.int(each.result).boolean(False).int(code)
        writer.bytes += each.body
    return bytes(writer.int(-1).boolean(True).int(-1).bytes)
