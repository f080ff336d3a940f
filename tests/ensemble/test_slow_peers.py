"""A follower behind a narrow link is waited for while nobody else can commit, and does not come back in vain for ever.

Java closes a learner that acknowledges nothing for `syncLimit`, however much waits for it.
"""

import pytest

from harness import wire

from . import members

MEGABYTE = bytes(1_000_000)
# More than a link may have unsent of what is committed.
WRITES = 90
NARROW_BYTES_PER_S = 25_000_000


@pytest.mark.parametrize("kinds", [["zabd"] * 3], ids="-".join)
def test_a_leader_goes_at_the_pace_of_the_only_follower(tmp_path, kinds):
    with members.Ensemble(kinds, tmp_path, has_network=True) as ensemble:
        leader = ensemble.leader()
        slow, away = ensemble.others(leader)
        server = ensemble.members[leader]
        session = wire.Session(server.port)
        members.create(session, "/long", 0)
        session.end()
        ensemble.await_level()
        ensemble.members[away].kill()
        ensemble.network.narrow(leader, slow, NARROW_BYTES_PER_S)
        # One each, so that no pause of a client keeps the leader from having all of them under way.
        sessions = [wire.Session(server.port, timeout_ms=60_000) for _ in range(WRITES)]
        for session in sessions:
            session.submit(wire.SET_DATA, wire.Writer().ustring("/long").buffer(MEGABYTE).int(-1).bytes)
        replies = [session.reply() for session in sessions]
        assert all(replies), "the leader gave up"
        assert [reply.err for reply in replies] == [0] * WRITES
        for session in sessions:
            session.end()
        assert ensemble.mode(leader) == "leader"
        assert "takes them more slowly" not in server.log_text()
        ensemble.network.heal()
        ensemble.members[away].start()
        ensemble.assert_equal_trees()
