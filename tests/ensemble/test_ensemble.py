"""Ensembles of real processes lose nothing that was acknowledged, whoever their members are and whatever ends them.

Writers go from server to server all the time, each with one session and one ephemeral in it. At the end every member's
tree is compared node by node, stats and access lists included, and held against the writers' ledgers.
"""

import time

import pytest

from harness import wire
from harness.waiting import eventually

from . import members
from .members import await_progress, finish


def test_three_members_outlive_each_other(tmp_path, write_through):
    """Leaders and followers are killed and told to end, again and again, and come back; then all at once."""
    with members.Ensemble(["zabd"] * 3, tmp_path) as ensemble:
        writers = write_through(ensemble)
        await_progress(writers)
        for turn in range(12):
            leader = ensemble.leader()
            victim = leader if turn % 3 != 2 else leader % 3 + 1
            end = ensemble.members[victim].stop if turn % 2 else ensemble.members[victim].kill
            end()
            await_progress(writers)
            ensemble.members[victim].start()
            await_progress(writers)
        for server in ensemble.members.values():
            server.kill()
        for server in ensemble.members.values():
            server.start(wait=False)
        await_progress(writers)
        finish(ensemble, writers)


def test_members_with_short_lives_take_snapshots_too(tmp_path):
    """No life is long enough for one: each member counts what its earlier ones left, too."""
    with members.Ensemble(["zabd"] * 3, tmp_path, config={"snapCount": 20}) as ensemble:
        for life in range(4):
            session = wire.Session(ensemble.members[ensemble.leader()].port)
            for number in range(8):
                members.create(session, f"/{life}-{number}", 0)
            ensemble.await_level()
            for server in ensemble.members.values():
                server.kill()
            ensemble.start()
        for number, server in ensemble.members.items():
            taken = lambda: [path.name for path in (server.data_dir / "version-2").glob("snapshot.*[1-9a-f]*")]
            assert eventually(taken, what=f"a snapshot of member {number}")


def test_a_minority_serves_nobody(tmp_path):
    """A member without a quorum answers no client, and takes part again when there is one."""
    with members.Ensemble(["zabd"] * 3, tmp_path) as ensemble:
        lone = ensemble.leader()
        others = [number for number in ensemble.members if number != lone]
        for number in others:
            ensemble.members[number].kill()
        deadline = time.monotonic() + 20
        while ensemble.mode(lone) is not None:
            assert time.monotonic() < deadline, "a leader without followers goes on serving"
            time.sleep(0.05)
        with pytest.raises((members.wire.Closed, OSError)):
            members.wire.Session(ensemble.members[lone].port)
        ensemble.members[others[0]].start()
        ensemble.members[lone].await_serving()
        session = members.wire.Session(ensemble.members[lone].port)
        members.create(session, "/again", 0)
        session.end()


def test_an_empty_member_does_not_outvote_data(tmp_path):
    """One member has data, two come without any: nothing is lost, in whatever order they come."""
    with members.Ensemble(["zabd"] * 3, tmp_path) as ensemble:
        session = members.wire.Session(ensemble.members[1].port)
        members.create(session, "/precious", 0)
        session.end()
        ensemble.await_level()
        for server in ensemble.members.values():
            server.kill()
        for number in (1, 3):
            data = ensemble.members[number].data_dir / "version-2"
            for path in data.iterdir():
                path.unlink()
            ensemble.members[number].start(wait=False)
        time.sleep(1)  # Long enough for the two to have elected each other, if they would.
        assert [ensemble.mode(number) for number in (1, 3)] == [None, None]
        ensemble.members[2].start()
        for number in (1, 3):
            ensemble.members[number].await_serving()
        for nodes in ensemble.trees().values():
            assert "/precious" in {node["path"] for node in nodes}


def test_the_first_snapshot_tells_the_members(tmp_path):
    """Where a Java server takes over what never got another snapshot, and leads, it shows what is in this one."""
    with members.Ensemble(["zabd"] * 3, tmp_path) as ensemble:
        for server in ensemble.members.values():
            server.kill()
        config = wire.Writer().ustring("/zookeeper/config").boolean(False).bytes
        texts = set()
        for number, server in ensemble.members.items():
            ensemble.members[number] = ensemble.member(number, "java395")
            ensemble.members[number].start(wait=False)
        ensemble.await_serving()
        for server in ensemble.members.values():
            session = wire.Session(server.port)
            texts.add(session.call(wire.GET_DATA, config).reader().buffer())
            session.end()
        assert len(texts) == 1 and texts.pop().count(b"server.") == 3


def test_an_observer_follows(tmp_path, write_through):
    """An observer serves clients and is in nobody's way, whoever it is and whomever it observes."""
    with members.Ensemble(["zabd", "java395", "zabd", "zabd", "java38"], tmp_path, observers=(4, 5)) as ensemble:
        writers = write_through(ensemble)
        await_progress(writers)
        assert {ensemble.mode(number) for number in (4, 5)} == {"observer"}
        ensemble.members[ensemble.leader()].kill()
        await_progress(writers)
        ensemble.members[4].kill()
        await_progress(writers)
        ensemble.members[4].start()
        finish(ensemble, writers)


@pytest.mark.parametrize(
    "kinds", [("java395", "java38", "zabd"), ("zabd", "java395", "zabd"), ("zabd", "java38", "zabd")], ids="-".join)
def test_mixed_with_java(tmp_path, write_through, kinds):
    """Every member leads in turn, and is killed for it."""
    with members.Ensemble(kinds, tmp_path) as ensemble:
        writers = write_through(ensemble)
        await_progress(writers)
        for number in ensemble.members:
            ensemble.lead_by(number, meanwhile=lambda _: await_progress(writers))
            await_progress(writers)
            assert ensemble.leader() == number
        finish(ensemble, writers)


@pytest.mark.parametrize("java", ["java395", "java38"])
def test_java_is_replaced_and_comes_back(tmp_path, write_through, java):
    """Member by member to zabd on Java's own files, and member by member back on zabd's, under load."""
    with members.Ensemble([java] * 3, tmp_path) as ensemble:
        writers = write_through(ensemble)
        await_progress(writers)
        for kind in ("zabd", java):
            leader = ensemble.leader()
            for number in [each for each in ensemble.members if each != leader] + [leader]:
                ensemble.replace(number, kind)
                await_progress(writers)
        finish(ensemble, writers)
