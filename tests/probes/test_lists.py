"""Members whose lists in zoo.cfg differ: who is not counted by its leader serves, and is not ready."""

import pytest

from harness import wire
from harness.waiting import eventually
from ensemble.test_growing import Growing

from .probing import QUESTIONS, Probed

ALL = set(QUESTIONS)


class ProbedGrowing(Growing):
    """Members with ports for probes, but for those of Java."""

    def member(self, number, kind):
        server = super().member(number, kind)
        if kind != "zabd":
            return server
        probed = Probed(server.directory, port=server.port, config=server.config)
        probed.properties = server.properties
        return probed


@pytest.mark.parametrize("kind", ["zabd", "java395"])
def test_who_is_not_in_the_leaders_list_is_not_ready_and_says_why(tmp_path, kind):
    """An update that waits for each ready member before it goes on stops there: with the next one there would be two quorums."""
    with ProbedGrowing([kind] * 3 + ["zabd"], tmp_path, is_started=False) as ensemble:
        ensemble.of(3)
        old, new = [ensemble.members[number] for number in (1, 2, 3)], ensemble.members[4]
        for server in old:
            server.start(wait=False)
        ensemble.await_serving()
        before = ensemble.leader()
        ensemble.of(4)
        new.start()
        told = new.watch("readiness")
        eventually(lambda: new.holds() == ALL - {"ready"}, what="a member without a vote")
        assert next(told) == "NOT_SERVING"
        lists = f"leader {before} counts voters 1, 2, 3, and this server's own list has 1, 2, 3, 4; hint: give all members one list and restart them"
        assert new.log_text().count(f"This server is not counted: {lists}") == 1
        eventually(lambda: new.why("ready")["serving"] == f"-following without a vote: {lists}", what="both lists")
        session = wire.Session(new.port)
        assert session.create("/served").err == 0
        session.end()

        if kind != "zabd":
            return
        for server in old:
            server.kill()
        for server in old:
            server.start(wait=False)
        ensemble.await_serving()
        assert next(told) == "SERVING", "all have one list"
        after = "leading" if ensemble.leader() == 4 else "following"
        eventually(lambda: new.why("ready")["serving"] == f"+{after}", what="a vote")
