"""Ensembles of zabd and Java that are hurt from outside, with either of them leading: cut off, stopped, killed with writes in flight,
without room on a disk, under weights. What `test_hurt.py` and `test_ensemble.py` do to zabd alone, or to whole mixed ensembles by killing.

With the variable HURTS above 1 everything is done that often, in every way, and to both kinds of ensembles.
"""

import os
import time

import pytest

from harness import wire
from harness.disk import Disk
from harness.waiting import eventually

from . import members, storm
from .kills import kill_leaders
from .members import await_progress, finish

BRISK = storm.BRISK
SILENCE_SECONDS = BRISK["tickTime"] * BRISK["syncLimit"] / 1000
SECONDS_MAX = 30
HURTS = int(os.environ.get("HURTS", "1"))
# The last one leads first.
MOSTLY_JAVA = ("java395", "java395", "zabd")
MOSTLY_ZABD = ("zabd", "zabd", "java395")


def kinds_of(first, second):
    """Both, or only the first when it is to be short."""
    return pytest.mark.parametrize("kinds", [first, second] if HURTS > 1 else [first], ids="-".join)


KINDS = kinds_of(MOSTLY_JAVA, MOSTLY_ZABD)


def lead_last(ensemble, writers):
    """The member that is alone of its kind leads, under load."""
    ensemble.lead_by(3, meanwhile=lambda _: await_progress(writers))
    await_progress(writers)


@KINDS
def test_a_leader_and_then_a_follower_are_cut_off(tmp_path, write_through, kinds):
    """One way, the other way and both: whoever reaches a quorum goes on, and who does not serves nobody."""
    with members.Ensemble(kinds, tmp_path, has_network=True, config=BRISK) as ensemble:
        writers = write_through(ensemble)
        await_progress(writers)
        for ways in ("to", "from", "both")[:HURTS]:
            lead_last(ensemble, writers)
            ensemble.cut_off(3, ways)
            ensemble.leader(among=ensemble.others(3))
            await_progress(writers)
            eventually(lambda: ensemble.mode(3) is None, SECONDS_MAX, "a leader without followers goes on serving")
            ensemble.network.heal()
            ensemble.members[3].await_serving()
            leader = ensemble.leader()
            lone = next(number for number in ensemble.others(leader) if number != 3)
            ensemble.cut_off(lone, ways)
            time.sleep(2 * SILENCE_SECONDS)
            await_progress(writers)
            ensemble.network.heal()
            ensemble.members[lone].await_serving()
            await_progress(writers)
        finish(ensemble, writers)


@pytest.mark.parametrize("kinds", [MOSTLY_JAVA, MOSTLY_ZABD], ids="-".join)
def test_a_leader_that_is_stopped_acknowledges_nothing_that_is_lost(tmp_path, write_through, kinds):
    """It goes on as if it led: what it was asked for meanwhile it may have proposed to nobody, and must not acknowledge."""
    with members.Ensemble(kinds, tmp_path, has_network=True, config=BRISK) as ensemble:
        writers = write_through(ensemble)
        await_progress(writers)
        for turn in range(HURTS):
            lead_last(ensemble, writers)
            own = wire.Session(ensemble.members[3].port, members.SESSION_MS)
            ensemble.pause(3)
            asked = [f"/asked-of-a-stopped-leader-{turn}-{number}" for number in range(50)]
            for path in asked:
                own.submit(wire.CREATE, wire.create_body(path))
            ensemble.leader(among=ensemble.others(3))
            await_progress(writers, 100)
            ensemble.resume(3)
            acknowledged = answered(own, len(asked))
            ensemble.members[3].await_serving()
            await_progress(writers)
            session = wire.Session(ensemble.members[ensemble.leader()].port)
            for path in asked[:acknowledged]:
                found = session.call(wire.EXISTS, wire.Writer().ustring(path).boolean(False).bytes)
                assert found.err == 0, f"{path} was acknowledged, and is not there"
            session.end()
        finish(ensemble, writers)


def answered(session, count):
    """How many of so many creates are acknowledged before the connection ends."""
    for number in range(count):
        try:
            reply = session.reply()
        except (OSError, wire.Closed):
            return number
        if reply is None or reply.err != 0:
            return number
    return count


@pytest.mark.parametrize("role", ["leader", "follower"] if HURTS > 1 else ["leader"])
def test_a_disk_without_room_beside_java(tmp_path, write_through, role):
    """A follower of Java's that cannot log keeps nobody from going on, and a leader of Java's servers that cannot lets one of them lead."""
    with Disk(tmp_path / "disk", "24m") as disk, members.Ensemble(
            MOSTLY_JAVA, tmp_path, data_dirs={3: disk.path / "data"}, properties={"preAllocSize": 64}) as ensemble:
        writers = write_through(ensemble, payload=bytes(2000))
        await_progress(writers)
        ensemble.lead_by(3 if role == "leader" else 2, meanwhile=lambda _: await_progress(writers))
        await_progress(writers)
        disk.fill()
        deadline = time.monotonic() + SECONDS_MAX
        while "has no room" not in ensemble.members[3].log_text():
            assert time.monotonic() < deadline, "the disk is full and nobody says so"
            await_progress(writers, 5)
        ensemble.leader(among=(1, 2))
        await_progress(writers, 100)
        disk.free()
        ensemble.members[3].await_serving()
        await_progress(writers)
        finish(ensemble, writers)


WEIGHTS = {"group.1": "1:2:3", "weight.1": 3, "weight.2": 1, "weight.3": 1}
GROUPS = {"group.1": "1:2:3", "group.2": "4:5", "group.3": "6", **{f"weight.{number}": 1 for number in range(1, 7)}}


@kinds_of(("java395", "zabd", "java395"), ("zabd", "java395", "zabd"))
def test_weights_decide_beside_java(tmp_path, write_through, kinds):
    """The first has more than half of the weight: nobody goes on without it, and it goes on without anybody."""
    with members.Ensemble(kinds, tmp_path, config={**BRISK, **WEIGHTS}) as ensemble:
        writers = write_through(ensemble)
        await_progress(writers)
        for number in (2, 3):
            ensemble.members[number].kill()
        await_progress(writers)
        assert ensemble.leader() == 1
        for number in (2, 3):
            ensemble.members[number].start()
        await_progress(writers)
        ensemble.members[1].kill()
        eventually(lambda: [ensemble.mode(number) for number in (2, 3)] == [None, None], SECONDS_MAX, "two without the weight serve")
        ensemble.members[1].start()
        ensemble.await_serving()
        await_progress(writers)
        finish(ensemble, writers)


def test_groups_decide_beside_java(tmp_path, write_through):
    """Two of three groups, with most of each: a group and a half are not enough."""
    kinds = ("java395", "zabd", "zabd", "zabd", "java395", "zabd")
    with members.Ensemble(kinds, tmp_path, config={**BRISK, **GROUPS}) as ensemble:
        writers = write_through(ensemble)
        await_progress(writers)
        for number in (6, 1):
            ensemble.members[number].kill()
        await_progress(writers)
        ensemble.members[5].kill()
        left = (2, 3, 4)
        eventually(lambda: [ensemble.mode(each) for each in left] == [None] * 3, SECONDS_MAX, "one group of three goes on")
        ensemble.members[6].start(wait=False)
        for number in (*left, 6):
            ensemble.members[number].await_serving()
        await_progress(writers)
        for number in (1, 5):
            ensemble.members[number].start()
        await_progress(writers)
        finish(ensemble, writers)


@KINDS
def test_leaders_are_killed_with_writes_in_flight(tmp_path, kinds):
    """`python -m ensemble.kills` does it as often as one likes."""
    with members.Ensemble(kinds, tmp_path, config=BRISK) as ensemble:
        kill_leaders(ensemble, 2 * HURTS)


def test_a_follower_that_is_stopped_for_long_comes_back(tmp_path, write_through):
    """Java's leader gives a silent follower of zabd up, and zabd's one of Java's; nobody waits for it, and it is brought into step."""
    with members.Ensemble(MOSTLY_JAVA, tmp_path, config=BRISK) as ensemble:
        writers = write_through(ensemble)
        for leader, hung in ((3, 1), (2, 3)):
            ensemble.lead_by(leader, meanwhile=lambda _: await_progress(writers))
            await_progress(writers)
            ensemble.pause(hung)
            time.sleep(2 * SILENCE_SECONDS)
            await_progress(writers)
            ensemble.resume(hung)
            ensemble.members[hung].await_serving()
            await_progress(writers)
        finish(ensemble, writers)
