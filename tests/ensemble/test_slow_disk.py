"""A member whose disk stands still: a quorum of the others has what is written, so nobody waits for it."""

import time

import pytest

from harness import wire
from harness.faulty_disk import FaultyDisk, library
from harness.servers import Server

from . import members

PATH = "/written"
WRITE_SECONDS_MAX = 2
WRITES = 20


class Faulty(FaultyDisk, Server):
    """A member whose disk does what the test orders."""


@pytest.mark.parametrize("role", ["leader", "follower"])
@pytest.mark.parametrize("kinds", [("zabd", "zabd", "zabd"), ("java395", "java395", "zabd"), ("java395", "java395", "java395")], ids="-".join)
def test_a_disk_that_stands_still_delays_nobody(tmp_path, kinds, role):
    """Neither its own clients, whose writes are answered and shown at once; behind it all have the same."""
    Faulty.library = library(tmp_path)
    # Who is not heard to have written something is given up by a leader in the end.
    with members.Ensemble(kinds, tmp_path, server=Faulty, config={"syncLimit": 60}) as ensemble:
        ensemble.lead_by(3 if role == "leader" else 2)
        sessions = {number: wire.PingingSession(server.port, 30_000) for number, server in ensemble.members.items()}
        assert sessions[1].create(PATH, b"0").err == 0
        ensemble.await_level()
        hung = ensemble.members[3]
        hung.order("stuck version-2/log.")
        for turn in range(1, WRITES + 1):
            data = b"%d" % turn
            writer = sessions[1 + turn % 3]
            begin = time.monotonic()
            assert writer.call(wire.SET_DATA, wire.Writer().ustring(PATH).buffer(data).int(-1).bytes).err == 0
            reply = writer.call(wire.GET_DATA, wire.Writer().ustring(PATH).boolean(False).bytes)
            assert time.monotonic() - begin < WRITE_SECONDS_MAX
            assert reply.reader().buffer() == data
        hung.order()
        for session in sessions.values():
            session.end()
        ensemble.assert_equal_trees()
