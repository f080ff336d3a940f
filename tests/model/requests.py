"""Requests as bytes and as text for people: one function per operation.

Nothing here checks anything: a path may be null or no UTF-8 at all, flags may not exist, lists may be null.
"""

from dataclasses import dataclass, replace

from harness import wire
from harness.wire import Writer


@dataclass(frozen=True)
class Request:
    """One frame behind its length and header; `xid` is None where the client numbers it."""

    opcode: int
    body: bytes
    text: str
    xid: int = None

    def __str__(self):
        return f"{self.text} [opcode {self.opcode}, body {self.body.hex()}]"


def encoded(path):
    """A path as it is written into a request; bytes are written as they are."""
    return path if isinstance(path, bytes) or path is None else path.encode()


def create(path, data=b"", acl=wire.OPEN_ACL, flags=0, opcode=wire.CREATE, ttl=None):
    writer = _acl(Writer().buffer(encoded(path)).buffer(data), acl).int(flags)
    if ttl is not None:
        writer.long(ttl)
    return Request(opcode, bytes(writer.bytes), f"create {path!r} flags {flags} ttl {ttl} data {data!r} acl {acl}")


def delete(path, version=-1):
    body = Writer().buffer(encoded(path)).int(version).bytes
    return Request(wire.DELETE, bytes(body), f"delete {path!r} version {version}")


def set_data(path, data=b"", version=-1):
    body = Writer().buffer(encoded(path)).buffer(data).int(version).bytes
    return Request(wire.SET_DATA, bytes(body), f"setData {path!r} {data!r} version {version}")


def set_acl(path, acl=wire.OPEN_ACL, version=-1):
    body = _acl(Writer().buffer(encoded(path)), acl).int(version).bytes
    return Request(wire.SET_ACL, bytes(body), f"setACL {path!r} {acl} version {version}")


def check(path, version=-1):
    body = Writer().buffer(encoded(path)).int(version).bytes
    return Request(wire.CHECK, bytes(body), f"check {path!r} version {version}")


def multi(*parts):
    return _joined(wire.MULTI, "multi", parts)


def multi_read(*parts):
    return _joined(wire.MULTI_READ, "multiRead", parts)


def exists(path, watch=False):
    return _with_path(wire.EXISTS, "exists", path, watch)


def get_data(path, watch=False):
    return _with_path(wire.GET_DATA, "getData", path, watch)


def get_children(path, watch=False):
    return _with_path(wire.GET_CHILDREN, "getChildren", path, watch)


def get_children2(path, watch=False):
    return _with_path(wire.GET_CHILDREN2, "getChildren2", path, watch)


def get_acl(path):
    return _with_path(wire.GET_ACL, "getACL", path)


def get_ephemerals(prefix):
    return _with_path(wire.GET_EPHEMERALS, "getEphemerals", prefix)


def get_all_children_number(path):
    return _with_path(wire.GET_ALL_CHILDREN_NUMBER, "getAllChildrenNumber", path)


def sync(path):
    return _with_path(wire.SYNC, "sync", path)


def add_watch(path, mode):
    return _with_path(wire.ADD_WATCH, "addWatch", path, mode)


def check_watches(path, kind):
    return _with_path(wire.CHECK_WATCHES, "checkWatches", path, kind)


def remove_watches(path, kind):
    return _with_path(wire.REMOVE_WATCHES, "removeWatches", path, kind)


def set_watches(since, data=(), exist=(), child=()):
    return _set_watches(wire.SET_WATCHES, since, (data, exist, child))


def set_watches2(since, data=(), exist=(), child=(), persistent=(), recursive=()):
    return _set_watches(wire.SET_WATCHES2, since, (data, exist, child, persistent, recursive))


def who_am_i():
    return Request(wire.WHO_AM_I, b"", "whoAmI")


def auth(scheme, data):
    body = Writer().int(0).ustring(scheme).buffer(data.encode()).bytes
    return Request(wire.AUTH, bytes(body), f"auth {scheme} {data}", wire.AUTH_XID)


def cut(request, length):
    """The same, ended after so many bytes of its body."""
    return replace(request, body=request.body[:length], text=f"cut {request.text}")


def _acl(writer, entries):
    return writer.int(-1) if entries is None else writer.acl(entries)


def _joined(opcode, name, parts):
    body = wire.multi_body([(part.opcode, part.body) for part in parts])
    return Request(opcode, body, f"{name} ({', '.join(f'{part.opcode}: {part.text}' for part in parts)})")


def _with_path(opcode, name, path, *extra):
    writer = Writer().buffer(encoded(path))
    for value in extra:
        writer.boolean(value) if isinstance(value, bool) else writer.int(value)
    return Request(opcode, bytes(writer.bytes), " ".join([name, repr(path), *map(str, extra)]))


def _set_watches(opcode, since, lists):
    writer = Writer().long(since)
    for paths in lists:
        writer.int(len(paths))
        for path in paths:
            writer.buffer(encoded(path))
    return Request(opcode, bytes(writer.bytes), f"setWatches since {since:#x} {lists}", wire.SET_WATCHES_XID)
