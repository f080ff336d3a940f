"""A reply may be longer than any znode: whoever reads it gets it, however many were asked for behind a write."""

import struct

from harness import wire

CHILDREN = 24_000
NAME = "x" * 200


def framed(xid, opcode, body):
    content = struct.pack(">ii", xid, opcode) + bytes(body)
    return struct.pack(">i", len(content)) + content


def test_lists_behind_a_write_all_arrive(house_of):
    """Sixteen lists of five megabytes each are more than is kept for a client that does not read; this one reads."""
    session = wire.Session(house_of().port, timeout_ms=40_000)
    session.create("/long")
    session.create("/written")
    for start in range(0, CHILDREN, 3000):
        parts = [(wire.CREATE, wire.create_body(f"/long/{NAME}{number}")) for number in range(start, start + 3000)]
        assert session.call(wire.MULTI, wire.multi_body(parts)).err == 0
    asked = framed(900, wire.SET_DATA, wire.Writer().ustring("/written").buffer(b"v").int(-1).bytes)
    for number in range(16):
        asked += framed(901 + number, wire.GET_CHILDREN, wire.Writer().ustring("/long").boolean(False).bytes)
    session.send(asked)
    lengths = [len(session.frame(60) or b"") for _ in range(17)]
    assert min(lengths[1:]) > CHILDREN * 200, lengths
    session.end()
