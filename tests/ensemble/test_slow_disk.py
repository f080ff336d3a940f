"""A member whose disk stands still: a quorum of the others has what is written, so nobody waits for it."""

import shutil
import time

import pytest

from harness import wire
from harness.faulty_disk import FaultyDisk, library
from harness.observing import status_bytes
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


@pytest.mark.parametrize("kind", ["zabd", "java395"])
def test_a_leader_whose_disk_stands_still_brings_a_learner_in(tmp_path, kind):
    """The learner needs a snapshot, and with it there is a quorum again."""
    Faulty.library = library(tmp_path)
    with members.Ensemble((kind,) * 3, tmp_path, server=Faulty, config={"syncLimit": 60}) as ensemble:
        ensemble.lead_by(3)
        session = wire.PingingSession(ensemble.members[2].port, 30_000)
        assert session.create(PATH, b"0").err == 0
        ensemble.await_level()
        ensemble.members[3].order("stuck version-2/log.")
        assert session.create("/in-no-log-of-the-leader").err == 0
        emptied = ensemble.members[1]
        emptied.kill()
        shutil.rmtree(emptied.data_dir / "version-2")
        emptied.start(wait=False)
        begin = time.monotonic()
        assert session.create("/with-the-learner").err == 0
        assert time.monotonic() - begin < 10
        # Another one, for the same transaction.
        emptied.kill()
        shutil.rmtree(emptied.data_dir / "version-2")
        emptied.start()
        assert ensemble.mode(3) == "leader"
        ensemble.members[3].order()
        session.end()
        ensemble.assert_equal_trees()


def test_a_leader_whose_disk_stands_still_keeps_no_memory_full(tmp_path):
    """While others go on: it lets one of them lead, and its clients find somebody who answers."""
    Faulty.library = library(tmp_path)
    with members.Ensemble(("zabd",) * 3, tmp_path, server=Faulty, config={"syncLimit": 60}) as ensemble:
        ensemble.lead_by(3)
        session = wire.PingingSession(ensemble.members[1].port, 30_000)
        assert session.create(PATH, b"0").err == 0
        ensemble.await_level()
        hung = ensemble.members[3]
        before = status_bytes(hung.process.pid, "VmRSS")
        hung.order("stuck version-2/log.")
        data = wire.Writer().ustring(PATH).buffer(b"x" * 900_000).int(-1).bytes
        written = 0
        while ensemble.mode(3) == "leader":
            assert written < 2000
            try:
                written += session.call(wire.SET_DATA, data).err == 0
            except wire.Closed:
                break
        assert written > 20, "until then nobody waits"
        leader = ensemble.leader(among=(1, 2))
        again = wire.PingingSession(ensemble.members[leader].port, 30_000)
        for _ in range(300):
            assert again.call(wire.SET_DATA, data).err == 0
        # What it had when it gave up, and what it was sent in the two seconds before that.
        assert status_bytes(hung.process.pid, "VmRSS") - before < 512 << 20
        assert "this one's disk stands still, and others go on without it" in hung.log_text()
        hung.order()
        again.end()
        ensemble.assert_equal_trees()
