"""Three members: who is ready with a quorum, without one, with peers that hang, and with files that are damaged."""

import pytest

from harness.waiting import eventually
from ensemble.members import Ensemble

from .probing import QUESTIONS, Probed

ALL = set(QUESTIONS)
WITHOUT_QUORUM = {"live", "startup"}


class ProbedEnsemble(Ensemble):
    """Members with ports for probes."""

    def member(self, number, kind):
        server = super().member(number, kind)
        probed = Probed(server.directory, port=server.port, config=server.config)
        probed.properties = server.properties
        return probed


@pytest.fixture
def ensemble(tmp_path):
    with ProbedEnsemble(["zabd"] * 3, tmp_path, is_started=False) as three:
        yield three


def await_all(ensemble, held, numbers=None):
    """All members of these numbers hold exactly these questions, at some moment soon."""
    for number in numbers or ensemble.members:
        server = ensemble.members[number]
        eventually(lambda server=server: server.running and server.holds() == held, what=f"{held} of server {number}")


def test_members_of_a_quorum_are_ready_and_say_what_they_are(ensemble):
    ensemble.start()
    await_all(ensemble, ALL)
    leader = ensemble.leader()
    for number, server in ensemble.members.items():
        part = "leading" if number == leader else "following"
        assert server.why("ready")["serving"] == "+" + part
        assert server.why("live") == {"loops": "+4 turn"}


def test_without_a_quorum_the_last_one_lives_and_is_not_ready(ensemble):
    ensemble.start()
    await_all(ensemble, ALL)
    last = ensemble.leader()
    told = ensemble.members[last].watch("readiness")
    assert next(told) == "SERVING"
    for number in ensemble.others(last):
        ensemble.members[number].kill()
    assert next(told) == "NOT_SERVING", "a watcher hears of it"
    server = ensemble.members[last]
    waits = f"-looking for a leader: this server votes for server {last}; voters "
    eventually(lambda: server.why("ready")["serving"].startswith(waits), what="a search, and what it waits for")
    assert server.holds() == WITHOUT_QUORUM
    back = ensemble.others(last)[0]
    ensemble.members[back].start()
    assert next(told) == "SERVING"
    await_all(ensemble, ALL, [last, back])


def test_peers_that_hang_leave_the_third_without_a_quorum(ensemble):
    ensemble.start()
    await_all(ensemble, ALL)
    last = ensemble.leader()
    hung = ensemble.others(last)
    for number in hung:
        ensemble.pause(number)
    await_all(ensemble, WITHOUT_QUORUM, [last])
    with pytest.raises(TimeoutError):
        ensemble.members[hung[0]].get("/livez", timeout=0.2)
    for number in hung:
        ensemble.resume(number)
    await_all(ensemble, ALL)


def test_a_member_that_serves_reads_only_is_not_ready(tmp_path):
    with ProbedEnsemble(["zabd"] * 3, tmp_path, properties={"readonlymode.enabled": "true"}) as three:
        await_all(three, ALL)
        leader = three.leader()
        for number in three.others(leader):
            three.members[number].kill()
        last = three.members[leader]
        eventually(lambda: "reads only" in last.why("ready")["serving"], what="read-only mode")
        assert last.holds() == WITHOUT_QUORUM


def test_members_that_lost_data_are_no_quorum(ensemble):
    """They have no vote: nobody is ready, and a restart of anybody would not help, so all live."""
    for number in (1, 2):
        folder = ensemble.members[number].data_dir / "version-2"
        folder.mkdir(parents=True)
        (folder / "lost-data").write_text("a test says so\n")
    for server in ensemble.members.values():
        server.start(wait=False)
    for server in ensemble.members.values():
        eventually(lambda server=server: has_started(server), what="a start")
    await_all(ensemble, WITHOUT_QUORUM)
    lost, empty = "has lost its data and does not vote", "is empty and votes only when every other voter is heard to look for a leader"
    for number, why in {1: lost, 2: lost, 3: f"{empty}; voters 1, 2 have lost their data and do not vote"}.items():
        server, waits = ensemble.members[number], f"-looking for a leader: this server {why}; "
        eventually(lambda server=server, waits=waits: server.why("ready")["serving"].startswith(waits), what=waits)


def has_started(server):
    try:
        return server.status("startup") == 200
    except OSError:
        return False
