"""Ensembles that are hurt from outside: members hang, are cut off, restart in every order, run out of disk; links are cut, slow,
narrow, or carry one way only. Members reach each other through proxies, no root needed but for the disk.

Meanwhile writers write; who can still reach a quorum goes on, and at the end every member has what was acknowledged.
"""

import itertools
import re
import time

import pytest

from harness.disk import Disk
from harness.servers import four_letter_word
from harness.waiting import eventually

from . import members, storm
from .members import await_progress, finish

# A member that says nothing is given up after this; everything that is faster did not wait for it.
SILENCE_SECONDS = 5
NOT_WAITING_SECONDS = 1.5
BRISK = storm.BRISK


def brisk(size, tmp_path, **arguments):
    """An ensemble that notices silence after a second."""
    return members.Ensemble(["zabd"] * size, tmp_path, has_network=True, config=BRISK, **arguments)


class Steady:
    """A client of one member that writes large values, and how long each took."""

    def __init__(self, ensemble, number):
        self.session = members.wire.Session(ensemble.members[number].port, members.SESSION_MS)
        self.path = f"/steady-{number}"
        members.create(self.session, self.path, 0)

    def slowest(self, writes, bytes_each):
        """The longest of so many writes."""
        took = []
        for _ in range(writes):
            body = members.wire.Writer().ustring(self.path).buffer(bytes(bytes_each)).int(-1).bytes
            begin = time.monotonic()
            assert self.session.call(members.wire.SET_DATA, body).err == 0
            took.append(time.monotonic() - begin)
        return max(took)


def test_a_follower_that_hangs_slows_nobody(tmp_path, write_through):
    """It is sent more than any socket buffer holds; all others are as fast as before, and it catches up."""
    config = {"tickTime": 500, "syncLimit": SILENCE_SECONDS * 2, "initLimit": 20}
    with members.Ensemble(["zabd"] * 5, tmp_path, has_network=True, config=config) as ensemble:
        leader = ensemble.leader()
        hung, other = ensemble.others(leader)[:2]
        steady = [Steady(ensemble, number) for number in (leader, other)]
        ensemble.pause(hung)
        began = time.monotonic()
        for client in steady:
            assert client.slowest(100, 200_000) < NOT_WAITING_SECONDS
        assert time.monotonic() - began < SILENCE_SECONDS, "the member was not silent for long enough to matter"
        ensemble.resume(hung)
        writers = write_through(ensemble)
        await_progress(writers)
        assert ensemble.leader() == leader, "nobody had a reason to elect"
        finish(ensemble, writers)


def test_a_follower_that_hangs_for_long_comes_back(tmp_path, write_through):
    with brisk(3, tmp_path) as ensemble:
        writers = write_through(ensemble)
        await_progress(writers)
        leader = ensemble.leader()
        hung = ensemble.others(leader)[0]
        ensemble.pause(hung)
        time.sleep(2 * BRISK["tickTime"] * BRISK["syncLimit"] / 1000)
        await_progress(writers)
        assert f"Lost follower {hung}: it was silent for too long" in ensemble.members[leader].log_text()
        ensemble.resume(hung)
        await_progress(writers)
        finish(ensemble, writers)


def test_a_leader_that_hangs_is_replaced(tmp_path, write_through):
    """When it goes on it still believes that it leads; nothing of what it thinks is acknowledged."""
    with brisk(3, tmp_path) as ensemble:
        writers = write_through(ensemble)
        await_progress(writers)
        for _ in range(3):
            hung = ensemble.leader()
            ensemble.pause(hung)
            ensemble.leader(among=ensemble.others(hung))
            await_progress(writers)
            ensemble.resume(hung)
            await_progress(writers)
        finish(ensemble, writers)


@pytest.mark.parametrize("ways", ["both", "to", "from"])
def test_a_leader_without_its_followers_steps_down(tmp_path, write_through, ways):
    """Nothing reaches it, or nothing of it arrives, or both."""
    with brisk(3, tmp_path) as ensemble:
        writers = write_through(ensemble)
        await_progress(writers)
        lone = ensemble.leader()
        ensemble.cut_off(lone, ways)
        ensemble.leader(among=ensemble.others(lone))
        await_progress(writers)
        deadline = time.monotonic() + 10
        while ensemble.mode(lone) is not None:
            assert time.monotonic() < deadline, "a leader without followers goes on serving"
            time.sleep(0.02)
        ensemble.network.heal()
        ensemble.members[lone].await_serving()
        await_progress(writers)
        finish(ensemble, writers)


@pytest.mark.parametrize("ways", ["both", "to", "from"])
def test_a_follower_that_is_cut_off_disturbs_nobody(tmp_path, write_through, ways):
    """The others keep their leader, also when it comes back with what it has heard and said alone."""
    with brisk(5, tmp_path) as ensemble:
        writers = write_through(ensemble)
        await_progress(writers)
        leader = ensemble.leader()
        lone = ensemble.others(leader)[0]
        ensemble.cut_off(lone, ways)
        time.sleep(2 * BRISK["tickTime"] * BRISK["syncLimit"] / 1000)
        await_progress(writers)
        ensemble.network.heal()
        ensemble.members[lone].await_serving()
        await_progress(writers)
        assert ensemble.leader() == leader
        finish(ensemble, writers)


def test_a_bridge_is_enough(tmp_path, write_through):
    """Two halves that only one member reaches: a majority that all reach each other goes on."""
    with brisk(5, tmp_path) as ensemble:
        writers = write_through(ensemble)
        await_progress(writers)
        leader = ensemble.leader()
        others = ensemble.others(leader)
        ensemble.network.split({leader, others[0], others[2]}, {others[1], others[3], others[2]})
        await_progress(writers, 100)
        ensemble.network.heal()
        # The leader finds itself in the smaller part.
        leader = ensemble.leader()
        others = ensemble.others(leader)
        ensemble.network.split({leader, others[0]}, set(others[1:]))
        ensemble.leader(among=others[1:])
        await_progress(writers)
        ensemble.network.heal()
        finish(ensemble, writers)


def test_a_slow_link_slows_nobody_else(tmp_path, write_through):
    """One follower hears and is heard late, and little: a quorum without it is as fast as ever."""
    with brisk(3, tmp_path) as ensemble:
        leader = ensemble.leader()
        slow, other = ensemble.others(leader)
        for pair in ((slow, leader), (leader, slow)):
            ensemble.network.slow(*pair, 0.3)
            ensemble.network.narrow(*pair, 2_000_000)
        for number in (leader, other):
            assert Steady(ensemble, number).slowest(50, 20_000) < 0.3
        writers = write_through(ensemble)
        await_progress(writers)
        ensemble.network.heal()
        await_progress(writers)
        finish(ensemble, writers)


def test_connections_that_are_cut_are_made_again(tmp_path, write_through):
    with brisk(3, tmp_path) as ensemble:
        writers = write_through(ensemble)
        await_progress(writers)
        pairs = list(itertools.combinations(ensemble.members, 2))
        for turn in range(12):
            ensemble.network.cut(*pairs[turn % 3])
            await_progress(writers, 5)
        finish(ensemble, writers)


def test_restarts_in_every_order(tmp_path, write_through):
    """All are down, and come back in every order; two are enough to go on, and the third finds them."""
    with brisk(3, tmp_path) as ensemble:
        writers = write_through(ensemble)
        for order in itertools.permutations(ensemble.members):
            await_progress(writers)
            for number in reversed(order):
                ensemble.members[number].kill()
            for number in order[:2]:
                ensemble.members[number].start(wait=False)
            await_progress(writers)
            ensemble.members[order[2]].start()
        finish(ensemble, writers)


def test_a_rolling_restart_under_load(tmp_path, write_through):
    """Every member is told to end and comes back, the leader last: nobody waits for a silence to be noticed."""
    with members.Ensemble(["zabd"] * 5, tmp_path, has_network=True) as ensemble:
        writers = write_through(ensemble)
        await_progress(writers)
        leader = ensemble.leader()
        for number in ensemble.others(leader) + [leader]:
            assert ensemble.members[number].stop() == 0
            await_progress(writers)
            ensemble.members[number].start()
            await_progress(writers)
        finish(ensemble, writers)
        assert max(gap for writer in writers for gap in writer.gaps) < NOT_WAITING_SECONDS


@pytest.mark.parametrize("role", ["leader", "follower"])
def test_a_disk_without_room_stops_one_member_only(tmp_path, write_through, role):
    """A follower that cannot log is waited for by nobody, a leader that cannot lets another one lead. Neither serves anybody then, and it says
    why, until there is room."""
    with Disk(tmp_path / "disk", "24m") as disk, members.Ensemble(
            ["zabd"] * 3, tmp_path, config=BRISK, data_dirs={3: disk.path / "data"}, properties={"preAllocSize": 64}) as ensemble:
        writers = write_through(ensemble, payload=bytes(2000))
        await_progress(writers)
        while (ensemble.leader() == 3) != (role == "leader"):
            leader = ensemble.leader()
            ensemble.members[leader].stop()
            await_progress(writers)
            ensemble.members[leader].start()
            ensemble.await_serving()
        disk.fill()
        deadline = time.monotonic() + 20
        while "has no room" not in ensemble.members[3].log_text():
            assert time.monotonic() < deadline, "the disk is full and nobody says so"
            await_progress(writers)
        ensemble.leader(among=(1, 2))
        await_progress(writers, 100)
        while not re.search(r"WARN .* Without a leader for \d+s: the log has no room; ", ensemble.members[3].log_text()):
            assert time.monotonic() < deadline, "it serves nobody and does not say why"
            await_progress(writers)
        assert four_letter_word(ensemble.members[3].port, "srvr") == "This ZooKeeper instance is not currently serving requests\n"
        disk.free()
        await_progress(writers)
        finish(ensemble, writers)


@pytest.mark.parametrize("role", ["leader", "follower"])
def test_a_disk_without_room_for_an_epoch_ends_nobody(tmp_path, role):
    """Nothing is written when the disk fills, so that an epoch is the first thing for which there is no room. Whoever would lead then lets another
    one, long before `initLimit`; whoever would follow is not waited for; and as soon as there is room it serves as before."""
    with Disk(tmp_path / "disk", "24m") as disk, members.Ensemble(
            ["zabd"] * 3, tmp_path, config={**BRISK, "initLimit": 1000}, data_dirs={3: disk.path / "data"},
            properties={"preAllocSize": 64}) as ensemble:
        ensemble.lead_by(2)
        ensemble.await_serving()
        disk.fill()
        if role == "leader":
            ensemble.members[2].kill()
            lacks_room(ensemble.members[3])
            ensemble.members[2].start(wait=False)
        else:
            ensemble.pause(3)
            ensemble.members[2].kill()
            ensemble.members[2].start()
            ensemble.resume(3)
            lacks_room(ensemble.members[3])
        ensemble.leader(among=(1, 2))
        members.create(members.wire.Session(ensemble.members[1].port, members.SESSION_MS), "/without", 0)
        assert ensemble.members[3].running
        disk.free()
        ensemble.await_serving()
        session = members.wire.Session(ensemble.members[3].port, members.SESSION_MS)
        members.create(session, "/with", 0)
        ensemble.assert_equal_trees()


def lacks_room(server):
    """Returns when it has said that there is no room for an epoch."""
    said = re.compile(r"ERROR .* Writes wait: cannot write \S+Epoch: .*; \d+ bytes are free for ")
    eventually(lambda: said.search(server.log_text()), members.LEVEL_SECONDS_MAX, what="a member that says what it has no room for")
