"""What one client asked for and was promised, and which part of it a server may show after a crash.

A writer owns the nodes below its root and its children of the shared parent, so every request's outcome is known when it is
sent: its error, and the nodes before and after. The journal of requests can be walked back. After a crash the tree must show
the outcome of *some first part* of the requests, no shorter than what was acknowledged: `settle` finds that part, and from then
on the writer's memory is what the server remembers.

A node remembers by which requests it was made and changed, so its zxids can be compared, too: an acknowledgement says a
request's zxid, and an unacknowledged request that survived has one that fits between those of its neighbours.
"""

import base64
from typing import NamedTuple, Optional

from harness import wire
from harness.dump import shorten

NODES_MAX = 60
OPEN = ((31, "world", "anyone"),)
OTHER_ACLS = (((31, "world", "anyone"), (1, "ip", "10.0.0.0/8")), ((31, "digest", "crash:hash"), (31, "world", "anyone")))
NO_NODE, BAD_VERSION, NODE_EXISTS = -101, -103, -110
EPHEMERAL, SEQUENTIAL = 1, 2
SHARED_PARENT, SHARED_VALUE = "/shared", "/shared-value"
MULTI_FAILED = b"\xff\xff\xff\xff"  # The type of the first result.


class Request:
    """One write that was asked for."""

    def __init__(self, number, opcode, body=b"", err=0):
        self.number, self.opcode, self.body, self.err = number, opcode, bytes(body), err
        self.zxid = None
        self.path = None  # What a create must answer, if that is known before.
        self.multi_fails = False
        self.shared_key = None
        self.shared_creates = 0
        self.shared_sets = 0
        self.closes = None  # The session that it ends.
        self.undo, self.redo = [], []  # (key, node) before and after, in the order of the changes.


class Node(NamedTuple):
    """A node as its writer believes it to be. `children` and `creates` are counts, the rest is as in a stat."""

    data: bytes
    acl: tuple
    owner: int
    made_by: Request
    set_by: Request
    children_by: Request
    version: int = 0
    aversion: int = 0
    creates: int = 0
    children: int = 0


class Mismatch(AssertionError):
    """The tree after a crash is not what any first part of the requests leads to."""


class Ledger:
    """See the module's description. Keys of nodes are paths, or the number of the request that made a shared child."""

    def __init__(self, name, random):
        self.name, self.random = name, random
        self.root = f"/{name}"
        self.session_id = None
        self.nodes = {}
        self.asked = []
        self.acknowledged = 0
        self.number = 0
        self.shared_paths = {}  # Of shared children, by their key, once an acknowledgement or a dump has told them.
        self.shared_creates = self.shared_sets = 0  # Over all that is settled.

    # --- Asking -------------------------------------------------------------------------------------------------------

    def make_root(self):
        """The first request of all."""
        request = self._request(wire.CREATE, wire.create_body(self.root, b"root"))
        request.path = self.root
        self._put(request, self.root, Node(b"root", OPEN, 0, request, request, request))
        return self._ask(request)

    def next_request(self):
        """One more write of some kind, entered into the journal."""
        kinds, weights = zip(*self.KINDS)
        if len(self.nodes) > NODES_MAX:
            return self._ask(self._delete())
        return self._ask(self.random.choices(kinds, weights)[0](self))

    def close_session(self):
        """The last request of a session: its ephemerals go with it."""
        request = self._request(wire.CLOSE_SESSION)
        request.closes = self.session_id
        for key, node in list(self.nodes.items()):
            if node.owner == self.session_id:
                self._remove(request, key)
        return self._ask(request)

    def _request(self, opcode, body=b"", err=0):
        self.number += 1
        return Request(self.number, opcode, body, err)

    def _ask(self, request):
        self.asked.append(request)
        return request

    def _put(self, request, key, node):
        request.undo.append((key, self.nodes.get(key)))
        request.redo.append((key, node))
        self._replace(key, node)

    def _replace(self, key, node):
        if node is None:
            self.nodes.pop(key, None)
        else:
            self.nodes[key] = node

    def _add(self, request, path, data, flags=0):
        """The new node and its parent's counters."""
        parent_key = path.rsplit("/", 1)[0]
        owner = self.session_id if flags & EPHEMERAL else 0
        self._put(request, path, Node(data, OPEN, owner, request, request, request))
        parent = self.nodes[parent_key]
        self._put(request, parent_key, parent._replace(
            children_by=request, creates=parent.creates + 1, children=parent.children + 1))

    def _remove(self, request, key):
        self._put(request, key, None)
        if isinstance(key, str):
            parent_key = key.rsplit("/", 1)[0]
            parent = self.nodes[parent_key]
            self._put(request, parent_key, parent._replace(children_by=request, children=parent.children - 1))

    def _label(self, request):
        return f"{self.name}:{request.number}".encode()

    def _leaf(self):
        """The key of some own node without children, or None; shared ones count once their path is known."""
        keys = [key for key, node in self.nodes.items()
                if key != self.root and not node.children and (isinstance(key, str) or key in self.shared_paths)]
        return self.random.choice(keys) if keys else None

    def _own(self):
        """The path of some own node below the root, or the root."""
        return self.random.choice([key for key in self.nodes if isinstance(key, str)])

    def _create(self, flags=None):
        request = self._request(wire.CREATE)
        flags = self.random.choice((0, 0, 0, EPHEMERAL)) if flags is None else flags
        asked = path = f"{self.root}/n{request.number}"
        if flags & SEQUENTIAL:
            asked = f"{self.root}/s-"
            path = f"{asked}{self.nodes[self.root].creates:010}"
        data = self._label(request) + b"." * self.random.choice((0, 10, 100, 100, 1000))
        request.body = wire.create_body(asked, data, flags)
        request.path = path
        self._add(request, path, data, flags)
        return request

    def _create_sequential(self):
        return self._create(SEQUENTIAL | self.random.choice((0, EPHEMERAL)))

    def _create_shared(self):
        request = self._request(wire.CREATE)
        flags = SEQUENTIAL | self.random.choice((0, EPHEMERAL))
        data = self._label(request)
        request.body = wire.create_body(f"{SHARED_PARENT}/q-", data, flags)
        request.shared_key = request.number
        request.shared_creates = 1
        owner = self.session_id if flags & EPHEMERAL else 0
        self._put(request, request.number, Node(data, OPEN, owner, request, request, request))
        return request

    def _set(self):
        key = self._own()
        node = self.nodes[key]
        request = self._request(wire.SET_DATA)
        data = self._label(request)
        version = self.random.choice((-1, node.version))
        request.body = set_body(key, data, version)
        self._put(request, key, node._replace(data=data, version=node.version + 1, set_by=request))
        return request

    def _set_acl(self):
        key = self._own()
        node = self.nodes[key]
        acl = self.random.choice(OTHER_ACLS)
        request = self._request(wire.SET_ACL, wire.Writer().ustring(key).acl(acl).int(-1).bytes)
        self._put(request, key, node._replace(acl=acl, aversion=node.aversion + 1))
        return request

    def _delete(self):
        key = self._leaf()
        if key is None:
            return self._create()
        path = self.shared_paths.get(key, key)
        request = self._request(wire.DELETE, wire.Writer().ustring(path).int(self.nodes[key].version).bytes)
        self._remove(request, key)
        return request

    def _set_shared(self):
        """Every writer sets the shared value; setting its own root with it shows whether this one did."""
        request = self._request(wire.MULTI)
        data = self._label(request)
        request.shared_sets = 1
        request.body = wire.multi_body([
            (wire.SET_DATA, set_body(SHARED_VALUE, data)), (wire.SET_DATA, set_body(self.root, data))])
        root = self.nodes[self.root]
        self._put(request, self.root, root._replace(data=data, version=root.version + 1, set_by=request))
        return request

    def _multi(self):
        request = self._request(wire.MULTI)
        data = self._label(request)
        path, flags = f"{self.root}/m{request.number}", self.random.choice((0, EPHEMERAL))
        operations = [(wire.CREATE, wire.create_body(path, data))]
        self._add(request, path, data)
        operations.append((wire.CREATE2, wire.create_body(f"{path}/c", data, flags)))
        self._add(request, f"{path}/c", data, flags)
        operations.append((wire.SET_DATA, set_body(path, data + b"!", 0)))
        self._put(request, path, self.nodes[path]._replace(data=data + b"!", version=1))
        operations.append((wire.CHECK, wire.Writer().ustring(path).int(1).bytes))
        leaf = self._leaf()
        if leaf is not None:
            target = self.shared_paths.get(leaf, leaf)
            operations.append((wire.DELETE, wire.Writer().ustring(target).int(-1).bytes))
            self._remove(request, leaf)
        request.body = wire.multi_body(operations)
        return request

    def _multi_that_fails(self):
        request = self._request(wire.MULTI)
        request.multi_fails = True
        request.body = wire.multi_body([
            (wire.CREATE, wire.create_body(f"{self.root}/never{request.number}")),
            (wire.SET_DATA, set_body(self.root, b"never")),
            (wire.CHECK, wire.Writer().ustring(f"{self.root}/missing").int(0).bytes)])
        return request

    def _fail(self):
        missing = f"{self.root}/missing"
        key = self._own()
        opcode, body, err = self.random.choice((
            (wire.CREATE, wire.create_body(key, b"never"), NODE_EXISTS),
            (wire.DELETE, wire.Writer().ustring(missing).int(-1).bytes, NO_NODE),
            (wire.SET_DATA, set_body(key, b"never", self.nodes[key].version + 1), BAD_VERSION)))
        return self._request(opcode, body, err)

    KINDS = (
        (_create, 30), (_create_sequential, 8), (_create_shared, 10), (_set, 20), (_set_acl, 4), (_delete, 16),
        (_set_shared, 6), (_multi, 6), (_multi_that_fails, 3), (_fail, 6))

    # --- Being answered -----------------------------------------------------------------------------------------------

    def acknowledge(self, reply):
        """The reply to the first request that has none yet."""
        request = self.asked[self.acknowledged]
        assert reply.xid == request.number, f"{self.name}: reply to {reply.xid}, expected {request.number}"
        assert reply.err == request.err, f"{self.name}: request {request.number} got {reply.err}, expected {request.err}"
        if request.opcode == wire.MULTI:
            assert (reply.body[:4] == MULTI_FAILED) == request.multi_fails, f"{self.name}: multi {request.number}"
        if request.opcode == wire.CREATE and not reply.err:
            path = reply.reader().ustring()
            if request.shared_key is not None:
                self.shared_paths[request.shared_key] = path
            else:
                assert path == request.path, f"{self.name}: created {path}, expected {request.path}"
        request.zxid = reply.zxid
        self.acknowledged += 1

    # --- After a crash ------------------------------------------------------------------------------------------------

    def settle(self, actual):
        """Decides how many of the requests the server remembers; gives the fewest and the most that it can be.

        `actual` holds this writer's nodes by key. The two counts differ by requests that leave no trace but a zxid.
        """
        wrong = {key for key in self.nodes.keys() | actual.keys() if self._differs(key, actual)}
        at_first = dict.fromkeys(sorted(wrong, key=str)[:3], len(self.asked))
        fits = []
        for count in range(len(self.asked), self.acknowledged - 1, -1):
            if not wrong:
                fits.append(count)
            if count > self.acknowledged:
                for key, before in reversed(self.asked[count - 1].undo):
                    self._replace(key, before)
                    (wrong.add if self._differs(key, actual) else wrong.discard)(key)
        if not fits:
            raise Mismatch(self._explain(wrong, at_first, actual))
        self._restore(fits[0], actual)
        return fits[-1], fits[0]

    def _restore(self, count, actual):
        """The state behind `count` requests, out of that behind the acknowledged ones."""
        for request in self.asked[self.acknowledged:count]:
            for key, after in request.redo:
                self._replace(key, after)
        for key, node in self.nodes.items():
            stat = actual[key]["stat"]
            for request, zxid in ((node.made_by, "czxid"), (node.set_by, "mzxid"), (node.children_by, "pzxid")):
                if request.zxid is None:
                    request.zxid = stat[zxid]
            if not isinstance(key, str):
                self.shared_paths[key] = actual[key]["path"]
        survivors = self.asked[:count]
        zxids = [request.zxid for request in survivors if request.zxid is not None]
        assert zxids == sorted(set(zxids)), f"{self.name}: the zxids of requests are not in their order: {zxids}"
        self.shared_creates += sum(request.shared_creates for request in survivors)
        self.shared_sets += sum(request.shared_sets for request in survivors)
        if self.session_id in [request.closes for request in survivors]:
            self.session_id = None
        self.shared_paths = {key: path for key, path in self.shared_paths.items() if key in self.nodes}
        self.asked, self.acknowledged = [], 0

    def _differs(self, key, actual):
        """What is wrong with a node, or None."""
        expected, found = self.nodes.get(key), actual.get(key)
        if expected is None or found is None:
            if expected is found:
                return None
            return "is missing" if found is None else "was never asked for, or had been deleted"
        stat = found["stat"]
        pairs = {
            "data": (expected.data, base64.b64decode(found["data"])),
            "acl": (expected.acl, tuple(tuple(entry) for entry in found["acl"])),
            "owner": (expected.owner, stat["ephemeralOwner"]),
            "version": (expected.version, stat["version"]),
            "aversion": (expected.aversion, stat["aversion"]),
            "cversion": (2 * expected.creates - expected.children, stat["cversion"]),
            "children": (expected.children, stat["numChildren"]),
            "czxid": (expected.made_by.zxid, stat["czxid"]),
            "mzxid": (expected.set_by.zxid, stat["mzxid"]),
            "pzxid": (expected.children_by.zxid, stat["pzxid"]),
        }
        if key in self.shared_paths:
            pairs["path"] = (self.shared_paths[key], found["path"])
        for name, (wanted, shown) in pairs.items():
            if wanted is not None and wanted != shown:
                return f"has {name} {shorten(shown)}, expected {shorten(wanted)}"
        return None

    def _explain(self, wrong, at_first, actual):
        lines = [f"{self.name}: {self.acknowledged} of {len(self.asked)} requests were acknowledged; the tree shows no first part"]
        lines += [f"  behind the acknowledged ones {key} {self._differs(key, actual)}" for key in sorted(wrong, key=str)[:5]]
        lines += [f"  behind all of them {key} does not fit either" for key in at_first]
        return "\n".join(lines)


def set_body(path, data, version=-1):
    """SetDataRequest."""
    return bytes(wire.Writer().ustring(path).buffer(data).int(version).bytes)
