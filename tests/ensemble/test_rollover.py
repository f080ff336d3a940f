"""The counter in the zxid runs out: a new epoch begins, sessions go on, and nothing acknowledged is lost.

That takes four thousand million transactions; Java's own way to see it sooner is to let each leader begin near the end.
"""

import time

import pytest

from harness import wire

from . import members
from .members import await_progress, finish

# So many transactions, and the next one would have no position.
LEFT = 0x100
PROPERTIES = {"testingonly.initialZxid": str(0xffffffff - LEFT), "test.allowDiscontinuousProposals": "true"}
SECONDS_MAX = 90


def epoch(ensemble):
    """The newest epoch that anybody shows."""
    zxids = []
    for server in ensemble.members.values():
        try:
            zxids.append(members.dump.last_zxid(server.port))
        except (OSError, AttributeError):
            pass
    return max(zxids, default=0) >> 32


@pytest.mark.parametrize("kinds", [("zabd",) * 3, ("java395", "zabd", "zabd")], ids="-".join)
def test_an_epoch_ends_when_its_counter_does(tmp_path, write_through, kinds):
    with members.Ensemble(list(kinds), tmp_path, properties=dict(PROPERTIES)) as ensemble:
        first = wire.Session(ensemble.members[1].port).create("/first")
        assert first.err == 0 and first.zxid & 0xffffffff > 0xffffffff - LEFT, "where a leader begins to count"
        writers = write_through(ensemble)
        await_progress(writers)
        goal = epoch(ensemble) + 3
        deadline = time.monotonic() + SECONDS_MAX
        while epoch(ensemble) < goal:
            assert time.monotonic() < deadline, "epochs do not end"
            await_progress(writers)
        # What follows must not end one in the midst of a comparison. The logs end near the last counter.
        del ensemble.properties["testingonly.initialZxid"]
        for server in ensemble.members.values():
            server.kill()
        for number, kind in members.kinds_by_id(kinds).items():
            ensemble.members[number] = ensemble.member(number, kind)
            ensemble.members[number].start(wait=False)
        for server in ensemble.members.values():
            server.await_serving()
        await_progress(writers)
        finish(ensemble, writers)
