"""Several sides through the same actions, compared after each one. The first side is what is expected."""

import struct

from harness import wire
from harness.wire import Reader

from .actions import SLOTS, Burst, End
from .differences import WRITES

CREATES = (wire.CREATE, wire.CREATE2, wire.CREATE_CONTAINER, wire.CREATE_TTL)


class Parted(AssertionError):
    """Two sides gave different answers; says all that is needed to see it again."""


class Lockstep:
    """One walk from servers that have just started."""

    def __init__(self, name, sides):
        self.name, self.sides = name, sides
        self.steps = 0
        for slot in range(SLOTS):
            self.compare("connect", lambda side, slot=slot: side.connect(slot))

    def walk(self, generator, steps):
        """Takes that many steps; raises `Parted` at the first difference."""
        for _ in range(steps):
            action = generator.action()
            heard = self.step(action)
            if isinstance(action, Burst):
                for path, zxid in learned(action, heard):
                    generator.note(path, zxid)

    def step(self, action):
        """Takes one step; gives what the client heard that acted."""
        self.steps += 1
        self.each(action, lambda side: side.begin(action))
        heard = self.compare(action, lambda side: side.finish(action))
        if not isinstance(action, Burst) or any(request.opcode in WRITES for request in action.requests):
            self.hear_others(action)
        if isinstance(action, End):
            self.compare(f"connect after {action}", lambda side: side.connect(action.slot))
        return heard

    def hear_others(self, action):
        """What the clients heard that did not act."""
        others = [slot for slot in range(SLOTS) if slot != action.slot]
        ordered = not isinstance(action, End)
        self.each(action, lambda side: side.send_pings(others))
        for slot in others:
            self.compare(f"heard by client {slot} of {action}", lambda side, slot=slot: side.take_ping(slot, ordered))

    def each(self, action, ask):
        """What each side answers; a side that cannot answer has parted from the others."""
        answers = {}
        for side in self.sides:
            try:
                answers[side.name] = ask(side)
            except (OSError, AssertionError, ValueError, struct.error) as error:
                raise Parted(f"{self.name}, step {self.steps}: {action}\n--- {side.name}\n  {error!r}") from error
        return answers

    def compare(self, action, ask):
        """What all sides answer."""
        heard = self.each(action, ask)
        expected = heard[self.sides[0].name]
        if all(actual == expected for actual in heard.values()):
            return expected
        answers = [f"--- {name}\n" + "\n".join(f"  {readable(frame)}" for frame in frames) for name, frames in heard.items()]
        raise Parted("\n".join([f"{self.name}, step {self.steps}: {action}", *answers]))


def learned(action, frames):
    """The name that each create was given, and each zxid."""
    replies = [frame for frame in frames if len(frame) >= 20 and Reader(frame, 4).int() != wire.EVENT_XID]
    for request, frame in zip(action.requests, replies):
        _, zxid, err = struct.unpack_from(">iqi", frame, 4)
        yield Reader(frame, 20).ustring() if err == 0 and request.opcode in CREATES else None, zxid


def readable(frame):
    """A canonical frame for people."""
    if len(frame) < 20:
        return repr(frame)
    reader = Reader(frame, 4)
    xid, zxid, err = reader.int(), reader.long(), reader.int()
    body = frame[reader.offset:]
    if xid == wire.EVENT_XID:
        return f"event zxid {zxid:#x} type {reader.int()} state {reader.int()} path {reader.buffer()!r}"
    text = f"reply {xid} zxid {zxid:#x} err {err} body {body.hex()}"
    if err == 0 and len(body) >= wire.STAT.size:
        text += f" (last {wire.STAT.size} bytes as a stat: {Reader(body, len(body) - wire.STAT.size).stat()})"
    return text
