"""How leaders bring learners into step, read from the bytes that leaders send: what kind it was, and what came with it.

    LEADERINFO  DIFF | TRUNC | SNAP + stream  (PROPOSAL COMMIT)*  NEWLEADER  …  UPTODATE

A packet is `int type, long zxid, buffer data, vector of identities`; a snapshot's stream has no length and ends with a signature.
"""

import struct
from dataclasses import dataclass, field

PROPOSAL, NEWLEADER, UPTODATE, DIFF, TRUNC, SNAP = 2, 10, 12, 13, 14, 15
KINDS = {DIFF: "DIFF", TRUNC: "TRUNC", SNAP: "SNAP"}
HEAD = struct.Struct(">iqi")
STREAM_END = struct.pack(">i", 10) + b"BenWasHere"


@dataclass
class Synchronisation:
    """What one leader told one learner."""

    learner: int
    leader: int
    kind: str = None
    zxid: int = None
    # Positions between the first packet and NEWLEADER.
    proposals: list = field(default_factory=list)
    is_over: bool = False


class Recorder:
    """All synchronisations of an ensemble whose members reach each other through a network."""

    def __init__(self, network):
        """Listens from now on."""
        self.network = network
        self.found = []
        self.holds_acknowledgements = False
        network.listener = self._listen

    def of(self, learner):
        """Those of one learner that have got to their kind."""
        return [each for each in self.found if each.learner == learner and each.kind]

    def _listen(self, learner, leader):
        found = Synchronisation(learner, leader)
        self.found.append(found)
        packets = self._packets(found)
        next(packets)

        def heard(chunk):
            if not found.is_over:
                packets.send(chunk)

        return heard

    def _packets(self, found):
        """Takes chunks, for as long as they are of interest."""
        data = bytearray()
        while True:
            while (length := packet_length(data)) is None:
                data += yield
            kind, zxid, _ = HEAD.unpack_from(data)
            del data[:length]
            if kind in KINDS:
                found.kind, found.zxid = KINDS[kind], zxid
            if kind == SNAP:
                while (end := data.find(STREAM_END)) < 0:
                    del data[:max(0, len(data) - len(STREAM_END))]
                    data += yield
                del data[:end + len(STREAM_END)]
            elif kind == PROPOSAL:
                found.proposals.append(zxid)
            elif kind == NEWLEADER:
                found.is_over = True
                if self.holds_acknowledgements:
                    self.network.directions[found.learner, found.leader].is_open.clear()
                yield


def packet_length(data):
    """The length of the packet at the front; None if it is not whole yet."""
    if len(data) < HEAD.size:
        return None
    at = HEAD.size + max(0, HEAD.unpack_from(data)[2])
    if len(data) < at + 4:
        return None
    identities = struct.unpack_from(">i", data, at)[0]
    assert identities <= 0, "a leader asks for nothing in somebody's name"
    return at + 4
