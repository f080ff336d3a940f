"""The figures of a member say what was proposed and committed, to a leader and to its followers."""

from harness import wire
from harness.servers import four_letter_word

from .members import Ensemble

NAMES = ("proposal_count", "commit_count", "learner_proposal_received_count", "learner_commit_received_count")
WRITES = 20


def figures(server):
    lines = four_letter_word(server.port, "mntr").splitlines()
    found = dict(line.removeprefix("zk_").split("\t", 1) for line in lines)
    return [int(float(found[name])) for name in NAMES]


def test_members_count_what_is_proposed_and_committed(tmp_path):
    """Whoever leads, a Java server among them says the same."""
    with Ensemble(["zabd", "zabd", "java395"], tmp_path) as ensemble:
        ensemble.await_level()
        leader = ensemble.leader()
        session = wire.Session(ensemble.members[leader].port)
        assert session.create("/node").err == 0
        ensemble.await_level()
        for server in ensemble.members.values():
            assert four_letter_word(server.port, "srst") == "Server stats reset.\n"
        body = bytes(wire.Writer().ustring("/node").buffer(b"x").int(-1).bytes)
        assert [session.call(wire.SET_DATA, body).err for _ in range(WRITES)] == [0] * WRITES
        ensemble.await_level()
        found = {number: figures(server) for number, server in ensemble.members.items()}
        proposals = found[leader][0]
        # The comparison of positions begins a session and ends it.
        assert proposals == WRITES + 2
        for number, counts in found.items():
            assert counts == ([proposals, proposals, 0, 0] if number == leader else [0, 0, proposals, proposals]), found
