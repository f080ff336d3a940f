"""One valid request of every kind, and everything that can systematically be wrong with it.

Each variant is a whole frame with a good header: what is wrong is in the body. Where lengths, counts and numbers stand is noted
when a body is written, so that each of them can be replaced by values that no honest client sends.
"""

import random
from dataclasses import dataclass

from harness import wire
from harness.wire import Writer

# -1 is null where a length stands; 2,097,150 is the longest field; the others are what a decoder may trip over.
ODD_INTS = (-1, -2, -(1 << 31), 1, (1 << 31) - 1, 100_000, 2_097_150, 2_097_151)
FLIPS_PER_KIND = 30


class NotingWriter(Writer):
    """Notes where every int stands."""

    def __init__(self):
        super().__init__()
        self.ints = []

    def int(self, value):
        self.ints.append(len(self.bytes))
        return super().int(value)


@dataclass
class Kind:
    """A kind of request with a valid body."""

    name: str
    opcode: int
    body: bytes
    ints: list


@dataclass
class Variant:
    """A request that is to be answered alike."""

    name: str
    opcode: int
    body: bytes


def kind(name, opcode, write):
    writer = NotingWriter()
    write(writer)
    return Kind(name, opcode, bytes(writer.bytes), writer.ints)


def path_watch(path):
    return lambda w: w.ustring(path).boolean(False)


def create(path, flags, ttl=None):
    def write(w):
        w.ustring(path).buffer(b"data").acl(wire.OPEN_ACL).int(flags)
        if ttl is not None:
            w.long(ttl)
    return write


def multi(operations):
    def write(w):
        for opcode, operation in operations:
            w.int(opcode).boolean(False).int(-1)
            operation(w)
        w.int(-1).boolean(True).int(-1)
    return write


def strings(w, *values):
    w.int(len(values))
    for value in values:
        w.ustring(value)


def watches(path, lists):
    def write(w):
        w.long(1 << 40)
        for _ in range(lists):
            strings(w, path)
    return write


def kinds(root):
    """All of them; whatever they create or delete is below `root`, which must exist with a child `there`."""
    path_version = (lambda w: w.ustring(f"{root}/there").int(-1))
    return [
        kind("create", wire.CREATE, create(f"{root}/a", 0)),
        kind("create2", wire.CREATE2, create(f"{root}/s-", 2)),
        kind("createContainer", wire.CREATE_CONTAINER, create(f"{root}/c", 4)),
        kind("createTTL", wire.CREATE_TTL, create(f"{root}/t", 5, 3_600_000)),
        kind("delete", wire.DELETE, lambda w: w.ustring(f"{root}/a").int(-1)),
        kind("setData", wire.SET_DATA, lambda w: w.ustring(f"{root}/there").buffer(b"d").int(-1)),
        kind("setACL", wire.SET_ACL, lambda w: w.ustring(f"{root}/there").acl(wire.OPEN_ACL).int(-1)),
        kind("multi", wire.MULTI, multi([
            (wire.CREATE, create(f"{root}/x", 0)), (wire.SET_DATA, lambda w: w.ustring(f"{root}/x").buffer(b"2").int(0)),
            (wire.CHECK, lambda w: w.ustring(f"{root}/x").int(1)), (wire.DELETE, lambda w: w.ustring(f"{root}/x").int(-1))])),
        kind("multiRead", wire.MULTI_READ, multi([
            (wire.GET_DATA, path_watch(f"{root}/there")), (wire.GET_CHILDREN, path_watch(root))])),
        kind("reconfig", wire.RECONFIG, lambda w: w.ustring(None).ustring(None).ustring("server.1=a:1:2").long(-1)),
        kind("exists", wire.EXISTS, path_watch(f"{root}/there")),
        kind("getData", wire.GET_DATA, path_watch(f"{root}/there")),
        kind("getACL", wire.GET_ACL, lambda w: w.ustring(f"{root}/there")),
        kind("getChildren", wire.GET_CHILDREN, path_watch(f"{root}/there")),
        kind("getChildren2", wire.GET_CHILDREN2, path_watch(f"{root}/there")),
        kind("sync", wire.SYNC, lambda w: w.ustring(root)),
        kind("getEphemerals", wire.GET_EPHEMERALS, lambda w: w.ustring(root)),
        kind("getAllChildrenNumber", wire.GET_ALL_CHILDREN_NUMBER, lambda w: w.ustring(f"{root}/there")),
        kind("whoAmI", wire.WHO_AM_I, lambda w: None),
        kind("ping", wire.PING, lambda w: None),
        kind("setWatches", wire.SET_WATCHES, watches(f"{root}/watched", 3)),
        kind("setWatches2", wire.SET_WATCHES2, watches(f"{root}/watched", 5)),
        kind("addWatch", wire.ADD_WATCH, lambda w: w.ustring(f"{root}/watched").int(0)),
        kind("checkWatches", wire.CHECK_WATCHES, path_version),
        kind("removeWatches", wire.REMOVE_WATCHES, path_version),
        kind("auth", wire.AUTH, lambda w: w.int(0).ustring("digest").buffer(b"user:password")),
        kind("sasl", wire.SASL, lambda w: w.buffer(b"token")),
    ]


def truncated(each):
    """Cut behind every byte, and with something behind its end."""
    for length in range(len(each.body)):
        yield Variant(f"{each.name} cut at {length}", each.opcode, each.body[:length])
    yield Variant(f"{each.name} with more behind it", each.opcode, each.body + b"more")


def with_odd_ints(each):
    """Every length, count and number replaced by every odd value."""
    for number, at in enumerate(each.ints):
        for value in ODD_INTS:
            body = each.body[:at] + bytes(Writer().int(value).bytes) + each.body[at + 4:]
            yield Variant(f"{each.name} with {value} as int {number}", each.opcode, body)


def with_flipped_bits(each, seed):
    """Some bits are not as they were sent."""
    draw = random.Random(f"{seed}/{each.name}")
    for number in range(FLIPS_PER_KIND if each.body else 0):
        body = bytearray(each.body)
        for _ in range(draw.choice((1, 1, 2, 4))):
            body[draw.randrange(len(body))] ^= 1 << draw.randrange(8)
        yield Variant(f"{each.name} flipped {number}: {body.hex()}", each.opcode, bytes(body))


def garbage(each, seed):
    """Nothing is as it should be."""
    draw = random.Random(f"{seed}/{each.name}/garbage")
    for number in range(5):
        body = draw.randbytes(draw.randrange(1, 60))
        yield Variant(f"{each.name} of garbage {number}: {body.hex()}", each.opcode, body)
