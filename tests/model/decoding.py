"""The model's reading of requests: as lenient as Java's, and as particular about nulls.

Bytes that are no record are `Undecodable`, bytes behind a record are left alone. Nulls are read as such; only over the null list
of a create in a multi Java stumbles while it decodes, which makes a difference to the zxid.
"""

import re
import struct
from dataclasses import dataclass, replace

from harness import wire

FIELD_BYTES_MAX = 2 * 0xFFFFF
READS, WRITES = "reads", "writes"


class Undecodable(Exception):
    """The bytes are not the record that they should be."""


class NullList(Exception):
    """A create in a multi has null for its list."""


@dataclass(frozen=True)
class Create:
    path: str
    data: bytes
    acl: tuple
    flags: int
    ttl: int = -1
    kind: int = wire.CREATE  # How it is answered: with a Stat as CREATE2.


@dataclass(frozen=True)
class Delete:
    path: str
    version: int


@dataclass(frozen=True)
class SetData:
    path: str
    data: bytes
    version: int


@dataclass(frozen=True)
class SetAcl:
    path: str
    acl: tuple
    version: int


@dataclass(frozen=True)
class Check:
    path: str
    version: int


@dataclass(frozen=True)
class Read:
    """A read inside a multi or multiRead; the watch flag is not looked at."""

    opcode: int
    path: str


def text(raw):
    """UTF-8 as Java reads it: what is malformed becomes U+FFFD, an encoded surrogate or its beginning one of them."""
    if raw is None:
        return None
    return re.sub(rb"\xed[\xa0-\xbf][\x80-\xbf]?", "\ufffd".encode(), raw).decode("utf-8", "replace")


class Reader:
    """Takes fields off the front of a body."""

    def __init__(self, body):
        self.body, self.offset = body, 0

    def bytes(self, length):
        if length > len(self.body) - self.offset:
            raise Undecodable
        self.offset += length
        return self.body[self.offset - length:self.offset]

    def boolean(self):
        return self.bytes(1) != b"\0"

    def int(self):
        return struct.unpack(">i", self.bytes(4))[0]

    def long(self):
        return struct.unpack(">q", self.bytes(8))[0]

    def buffer(self):
        length = self.int()
        if length == -1:
            return None
        if not 0 <= length <= FIELD_BYTES_MAX:
            raise Undecodable
        return self.bytes(length)

    def text(self):
        return text(self.buffer())

    def vector(self, element):
        """A count below −1 is an empty list, −1 is none."""
        count = self.int()
        return None if count == -1 else tuple(element() for _ in range(count))

    def acl(self):
        return self.vector(lambda: (self.int(), self.text(), self.text()))


def create(reader):
    return Create(reader.text(), reader.buffer(), reader.acl(), reader.int())


def create2(reader):
    return replace(create(reader), kind=wire.CREATE2)


def create_ttl(reader):
    return replace(create2(reader), ttl=reader.long())


def delete(reader):
    return Delete(reader.text(), reader.int())


def set_data(reader):
    return SetData(reader.text(), reader.buffer(), reader.int())


def set_acl(reader):
    return SetAcl(reader.text(), reader.acl(), reader.int())


def check(reader):
    return Check(reader.text(), reader.int())


def multi(reader):
    """The operations of a multi or multiRead: writes or reads, never both."""
    operations, kinds = [], set()
    while True:
        opcode, done, _ = reader.int(), reader.boolean(), reader.int()
        if done:
            return operations
        if opcode in (wire.GET_DATA, wire.GET_CHILDREN):
            operations.append(Read(opcode, reader.text()))
            reader.boolean()
        else:
            operations.append(_multi_write(opcode, reader))
        kinds.add(READS if isinstance(operations[-1], Read) else WRITES)
        if len(kinds) > 1:
            raise Undecodable


def _multi_write(opcode, reader):
    """One operation of a multi: there the flags choose what a create makes."""
    if opcode in (wire.CREATE, wire.CREATE2, wire.CREATE_CONTAINER):
        made = create(reader)
        if not 0 <= made.flags <= 6:
            raise Undecodable
        if made.acl is None:
            raise NullList
        if made.flags > 4:
            raise Undecodable  # A TTL is missing.
        return replace(made, kind=wire.CREATE if opcode == wire.CREATE and made.flags < 4 else wire.CREATE2)
    if opcode == wire.CREATE_TTL:
        made = create_ttl(reader)
        return made if made.flags in (5, 6) else replace(made, ttl=-1, kind=wire.CREATE2 if made.flags == 4 else wire.CREATE)
    decoders = {wire.DELETE: delete, wire.SET_DATA: set_data, wire.CHECK: check}
    if opcode not in decoders:
        raise Undecodable
    return decoders[opcode](reader)
