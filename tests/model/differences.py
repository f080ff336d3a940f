"""Where servers may differ, and the one rule by which each such place is compared. Nothing else is excused.

    What Java leaves open                                       Rule
    ----------------------------------------------------------  ----------------------------------------------------------
    Names come in the order of a hash table.                    They are sorted.
    A session's ephemerals go in the order of a hash table.     What clients hear of its end is sorted.
    A connection whose end is noticed late makes the server     Who leaves without a closeSession waits for the server's
    forget the one that has taken over its session.             end.
    A changed access list is not seen by the checks behind it   In a burst no write stands behind a setACL (op.setACL.behind).
    before it is on the disk.
    A multi that stumbles over a null id leaves the changes of  In a burst no id is null.
    its earlier parts to the checks behind it, until it is on
    the disk.

    What zabd does differently from Java 3.9.5                  Rule
    ----------------------------------------------------------  ----------------------------------------------------------
    Characters above U+FFFF are written in UTF-8, not as two    Java's are joined.
    surrogates, which no reader understands.
    Flags that contradict the opcode are bad arguments.         Not asked for; `golden_wire` asks.
    A null cannot be watched; in Java it can, in vain           Not asked for.
    (op.watch.null).
    A multiRead that stumbles over a null has no results; Java  Not asked for.
    gives those before it.
    Of a null and another fault in one request, either may be   A request has at most one null, and then no fault before
    the one that is named.                                      it.

    What Java 3.8.0 does differently from 3.9                   Rule of walks beside it (`as_of_38`)
    ----------------------------------------------------------  ----------------------------------------------------------
    Events have no zxid.                                        It is taken out.
    exists asks for no right.                                   Only lists are set that let anyone read.
    A standard watch replaces a persistent one; checkWatches    Neither is asked for.
    finds the watches of others.
    Bodies that do not decode take a zxid; create2 in a multi   Not asked for, nor anything with a null.
    has no Stat; other flags have other meanings there.
    IPv6 addresses are invalid.                                 Not asked for.
"""

import struct

from golden_wire.canonical import Canonical
from harness import wire

WRITES = {
    wire.CREATE, wire.DELETE, wire.SET_DATA, wire.SET_ACL, wire.MULTI, wire.CREATE2, wire.CREATE_CONTAINER, wire.CREATE_TTL}

NULL_IDS = ("world", "digest", "ip")  # Over an entry of these schemes without an id, Java stumbles.


def may_stand_behind(request, earlier):
    """Whether a request of a burst has one answer, whatever the disk does."""
    return request.opcode not in WRITES or all(each.opcode != wire.SET_ACL for each in earlier)


EVENT_PATH, REPLY_PATH = 28, 20  # Where a path stands in an event and in the reply to sync.


def with_joined_surrogates(frame, at):
    """A frame that ends with a text: pairs of surrogates in it become the character that they stand for."""
    joined = frame[at + 4:].decode("utf-8", "surrogatepass").encode("utf-16", "surrogatepass").decode("utf-16").encode()
    return struct.pack(">i", at + len(joined)) + frame[4:at] + struct.pack(">i", len(joined)) + joined


NO_ZXID = struct.pack(">q", -1)


class Heard(Canonical):
    """A server's canonical frames."""

    def __init__(self, kind, as_of_38=False):
        super().__init__()
        self.is_java = kind.startswith("java")
        self.as_of_38 = as_of_38

    def in_order(self, names):
        return sorted(names)

    def answer(self, request, response):
        canonical = super().answer(request, response)
        if self.as_of_38 and request is None:
            canonical = canonical[:8] + NO_ZXID + canonical[16:]
        if self.is_java and request is None:
            return with_joined_surrogates(canonical, EVENT_PATH)
        if self.is_java and struct.unpack_from(">i", request, 8)[0] == wire.SYNC and len(canonical) > REPLY_PATH + 4:
            return with_joined_surrogates(canonical, REPLY_PATH)
        return canonical
