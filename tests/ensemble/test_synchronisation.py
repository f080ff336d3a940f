"""Each way to bring a learner into step, between Java and zabd, in both directions.

What kind it was is read from the leader's bytes. Behind each, all trees and digests are the same, and a learner that is started once
more has all that there is: nothing but what is new is sent to it.
"""

import pytest

from harness import wire
from harness.servers import four_letter_word
from harness.waiting import eventually

from . import members
from .synchronisations import Recorder

SUBJECT = 3
SECONDS_MAX = 60
FEW = 20
# More than a leader has in memory: Java 500 transactions, zabd at most 2,000.
MORE_THAN_JAVA_KEEPS, MORE_THAN_ZABD_KEEPS = 700, 2300
PIPELINED_MAX = 200
# More than a leader lets wait for a learner in step, 64 MiB, in fewer transactions than it has in memory when they are short.
LONG_BYTES, LONG_COUNT = 900_000, 80
UNKNOWN = "/unknown-to-others"
UNDER_WAY, BEHIND = "/under-way", "/behind"
CONFIG = {"maxSessionTimeout": 120_000, "initLimit": 60}
# A follower that is not heard counts as there for longer than the test takes.
PATIENT = {"syncLimit": 120}
PAIRS = [("zabd", "java38"), ("zabd", "java395"), ("java38", "zabd"), ("java395", "zabd")]


class Trio:
    """Two members of the leader's kind, and the learner."""

    def __init__(self, leading, learning, directory, config=None):
        self.leading = leading
        self.ensemble = members.Ensemble(
            [leading, leading, learning], directory, config={**CONFIG, **(config or {})}, has_network=True)
        self.recorder = Recorder(self.ensemble.network)
        self.learner = self.ensemble.members[SUBJECT]

    def write(self, count, data=b"x", numbers=(1, 2)):
        """So many creations through the leader, acknowledged."""
        session = wire.Session(self.ensemble.members[self.ensemble.leader(among=numbers)].port, CONFIG["maxSessionTimeout"])
        parent = f"/written-{session.session_id:x}"
        assert session.create(parent).err == 0
        for start in range(0, count, PIPELINED_MAX):
            names = range(start, min(count, start + PIPELINED_MAX))
            for name in names:
                session.submit(wire.CREATE, wire.create_body(f"{parent}/{name}", data))
            assert [session.reply().err for _ in names] == [0] * len(names)
        session.end()

    def write_long(self):
        """Another long value for the same node, again and again."""
        session = wire.Session(self.ensemble.members[self.ensemble.leader(among=(1, 2))].port, CONFIG["maxSessionTimeout"])
        session.create("/long")
        for number in range(LONG_COUNT):
            body = wire.Writer().ustring("/long").buffer(bytes([number]) * LONG_BYTES).int(-1).bytes
            assert session.call(wire.SET_DATA, body).err == 0
        session.end()

    def come_back(self, kind, proposals=None):
        """The learner starts, and is brought into step in this way."""
        before = len(self.recorder.of(SUBJECT))
        self.learner.start()
        self.assert_synchronised(before, kind, proposals)
        self.assert_same_everywhere()
        self.restart()

    def assert_synchronised(self, before, kind, proposals=None):
        found = self.recorder.of(SUBJECT)[before:]
        assert [each.kind for each in found] == [kind], found
        assert self.ensemble.members[found[0].leader].kind == self.leading, found
        if proposals is not None:
            count = len(found[0].proposals)
            assert proposals <= count <= proposals + FEW, f"{count} proposals came, not {proposals}"

    def restart(self):
        """All that it was given is on its disk."""
        before = len(self.recorder.of(SUBJECT))
        self.learner.kill()
        self.learner.start()
        self.assert_synchronised(before, "DIFF", 0)
        self.assert_same_everywhere()

    def assert_same_everywhere(self):
        """Nodes with stats and access lists, digests where they are noted, and no complaint about one."""
        self.ensemble.assert_equal_trees()
        noted = [digests(server) for server in self.ensemble.members.values()]
        for zxid in set(noted[0]) | set(noted[1]) | set(noted[2]):
            assert len({each[zxid] for each in noted if zxid in each}) == 1, f"digests differ at 0x{zxid:x}"
        for number, server in self.ensemble.members.items():
            assert "zk_digest_mismatches_count\t0\n" in four_letter_word(server.port, "mntr"), f"server {number}"

    def lead_by_learner(self):
        """Leaders end until the learner leads."""
        while (leader := self.ensemble.leader()) != SUBJECT:
            self.ensemble.members[leader].stop()
            self.ensemble.leader(among=self.ensemble.others(leader))
            self.ensemble.members[leader].start()
        self.ensemble.await_level()

    def die_with_proposals(self):
        """The learner leads, and dies with what only it has logged."""
        self.lead_by_learner()
        session = wire.Session(self.learner.port, CONFIG["maxSessionTimeout"])
        for other in (1, 2):
            self.ensemble.network.hold(SUBJECT, other)
        submit(session, UNKNOWN, self.learner)
        self.learner.kill()
        for other in (1, 2):
            self.ensemble.network.cut(SUBJECT, other)
        self.ensemble.network.heal()

    def restart_leaders(self, properties):
        """The same members, told something else."""
        self.ensemble.properties.update(properties)
        for number in (1, 2):
            self.ensemble.replace(number, self.leading)

    def forget(self):
        for path in (self.learner.data_dir / "version-2").iterdir():
            path.unlink()

    def assert_unknown(self):
        for nodes in self.ensemble.trees().values():
            assert not [node["path"] for node in nodes if node["path"].startswith(UNKNOWN)]


def submit(session, prefix, server):
    """A few creations, which are in a member's log; nobody waits for answers."""
    for number in range(FEW):
        session.submit(wire.CREATE, wire.create_body(f"{prefix}-{number}"))
    last = f"{prefix}-{FEW - 1}".encode()
    eventually(lambda: last in newest_log(server), SECONDS_MAX, what="the proposals in the log")


def digests(server):
    """What a member has noted of its tree now and then, by zxid."""
    lines = four_letter_word(server.port, "hash").splitlines()
    return {int(zxid, 16): digest for zxid, digest in (line.split(": ") for line in lines)}


def newest_log(server):
    logs = sorted((server.data_dir / "version-2").glob("log.*"), key=lambda path: int(path.suffix[1:], 16))
    return logs[-1].read_bytes() if logs else b""


@pytest.fixture(name="trio")
def trio_fixture(tmp_path, request):
    trio = Trio(*request.param, tmp_path)
    with trio.ensemble:
        # Without it, a learner's history ends before all that a leader of Java knows of.
        trio.write(FEW, numbers=(1, 2, SUBJECT))
        yield trio


of_pairs = pytest.mark.parametrize("trio", PAIRS, indirect=True, ids="-leads-".join)


@of_pairs
def test_what_is_missing_is_sent(trio):
    """A little is in the leader's memory; for more it reads its log, if it may; an empty learner gets all."""
    trio.learner.kill()
    trio.write(FEW)
    trio.come_back("DIFF", FEW)
    trio.learner.kill()
    much = MORE_THAN_ZABD_KEEPS if trio.leading == "zabd" else MORE_THAN_JAVA_KEEPS
    trio.write(much)
    trio.come_back("DIFF", much)
    trio.restart_leaders({"snapshotSizeFactor": -1})
    trio.learner.kill()
    trio.write(much)
    trio.come_back("SNAP")
    trio.learner.kill()
    trio.forget()
    trio.come_back("SNAP")


@pytest.mark.parametrize("trio", [("zabd", "zabd"), ("zabd", "java395")], indirect=True, ids="-leads-".join)
def test_a_few_long_transactions_are_sent_out_of_the_log(trio):
    """Without a limit, and the learner has them at its first attempt. The tree is sent where it is so much smaller."""
    for kind, properties in [("SNAP", {}), ("DIFF", {"snapshotSizeFactor": 0})]:
        trio.restart_leaders(properties)
        trio.learner.kill()
        trio.write_long()
        before = len(trio.recorder.of(SUBJECT))
        trio.learner.start()
        trio.assert_synchronised(before, kind, LONG_COUNT if kind == "DIFF" else None)
        trio.assert_same_everywhere()


@of_pairs
def test_what_was_never_committed_is_cut_off(trio):
    """A leader died with what nobody else has. The next one tells it to cut; once there is something new, it gets all anew."""
    if trio.leading == "zabd":
        # An established leader of zabd trusts no cut: a snapshot of Java's may hold what its log does not any more.
        trio.recorder.holds_acknowledgements = True
        before = len(trio.recorder.of(SUBJECT))
        trio.die_with_proposals()
        trio.learner.start(wait=False)
        eventually(lambda: len(trio.recorder.of(SUBJECT)) > before, SECONDS_MAX, what="a leader")
        trio.recorder.holds_acknowledgements = False
        trio.ensemble.network.heal()
        trio.learner.await_serving()
        trio.assert_synchronised(before, "TRUNC")
        trio.assert_same_everywhere()
        trio.restart()
        trio.assert_unknown()
        trio.die_with_proposals()
        trio.come_back("SNAP")
    else:
        trio.die_with_proposals()
        trio.ensemble.leader(among=(1, 2))
        trio.come_back("TRUNC")
    trio.assert_unknown()
    trio.die_with_proposals()
    trio.write(FEW)
    trio.come_back("SNAP")
    trio.assert_unknown()


@pytest.mark.parametrize("learning", ["java38", "java395"])
def test_who_comes_back_with_what_is_under_way_keeps_it(tmp_path, learning):
    """Its leader goes on, and has what is newer. Nobody sends it what it has, nor tells it that this is committed: a follower of
    Java ends over a commit that is not of the oldest proposal that it was sent."""
    trio = Trio("zabd", learning, tmp_path, PATIENT)
    with trio.ensemble:
        if trio.ensemble.leader() == SUBJECT:
            trio.learner.kill()
            trio.ensemble.leader(among=(1, 2))
            trio.learner.start()
        leader, network = trio.ensemble.leader(), trio.ensemble.network
        session = wire.Session(trio.ensemble.members[leader].port, CONFIG["maxSessionTimeout"])
        for follower in trio.ensemble.others(leader):
            network.hold(follower, leader)
        submit(session, UNDER_WAY, trio.learner)
        network.hold(leader, SUBJECT)
        submit(session, BEHIND, trio.ensemble.members[leader])
        before = len(trio.recorder.of(SUBJECT))
        network.cut(SUBJECT, leader)
        network.release(leader, SUBJECT)
        network.release(SUBJECT, leader)
        replies = [session.reply() for _ in range(2 * FEW)]
        assert [reply.err for reply in replies] == [0] * (2 * FEW)
        trio.assert_synchronised(before, "DIFF", 0)
        assert trio.recorder.of(SUBJECT)[before].zxid == replies[FEW - 1].zxid, "it has all that was under way"
        network.heal()
        session.end()
        trio.assert_same_everywhere()
