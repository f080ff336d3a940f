"""Everything that a transaction can be, proposed and applied by zabd and Java for each other, and directories that change hands.

The program of `takeover/work.py` leaves every kind of node, record and session behind; here its halves go through members of an
ensemble, led by one kind and then by the other.
"""

import pytest

from harness import dump, wire
from harness.waiting import eventually
from takeover import work

from . import members

SECONDS_MAX = 60
PROPERTIES = {"extendedTypesEnabled": "true", "znode.container.checkIntervalMs": 100, "preAllocSize": 64, "snapCount": 150}
CONFIG = {"maxSessionTimeout": work.LONG_MS, "minSessionTimeout": 1000}
# An instant that is over when anybody looks.
TTL_MS = 1
OTHER = {"zabd": "java395", "java38": "zabd", "java395": "zabd"}


def port_beside(ensemble, number):
    """The port of a member that does not lead, of the other kind if there is one."""
    others = sorted(ensemble.others(number), key=lambda each: ensemble.members[each].kind == ensemble.members[number].kind)
    return ensemble.members[others[0]].port


def await_leader(ensemble, leader):
    """Returns when the leader has applied what the member beside it has: that may have answered its client first."""
    zxid = dump.last_zxid(port_beside(ensemble, leader))
    eventually(lambda: zxid <= dump.last_zxid(ensemble.members[leader].port), SECONDS_MAX, what="the leader's own application")


def assert_reaped(ensemble, name):
    """The leader removes a container that had a child, and what has lived too long, everywhere."""
    session = wire.Session(port_beside(ensemble, ensemble.leader()))
    container, lived = f"/container-{name}", f"/lived-{name}"
    assert session.create(container, flags=4, opcode=wire.CREATE_CONTAINER).err == 0
    assert session.create(f"{container}/child").err == 0
    assert session.call(wire.DELETE, work.path_body(f"{container}/child", -1)).err == 0
    assert session.create(lived, flags=5, opcode=wire.CREATE_TTL, ttl=TTL_MS).err == 0
    for path in (container, lived):
        exists = wire.Writer().ustring(path).boolean(False).bytes
        eventually(lambda: session.call(wire.EXISTS, exists).err == -101, SECONDS_MAX, what=f"the end of {path}")
    session.end()


@pytest.mark.parametrize(
    "kinds", [("zabd", "java38", "zabd")], ids="-".join)
def test_every_kind_of_transaction_and_directories_that_change_hands(tmp_path, kinds):
    """Sessions and ephemerals of the first half are there in the second, and all of it when zabd goes on where Java was, and
    Java where zabd was."""
    with members.Ensemble(list(kinds), tmp_path, config=CONFIG, properties=PROPERTIES) as ensemble:
        first, second = (3, 2) if kinds[2] == "zabd" and kinds[1] != "zabd" else (2, 3)
        ensemble.lead_by(first)
        sessions = work.first(port_beside(ensemble, first), lambda: await_leader(ensemble, first))
        assert_reaped(ensemble, "first")
        ensemble.lead_by(second)
        assert ensemble.members[first].kind != ensemble.members[second].kind
        sessions = work.second(port_beside(ensemble, second), sessions, lambda: await_leader(ensemble, second))
        assert_reaped(ensemble, "second")
        ensemble.assert_equal_trees()
        before = ensemble.trees()[1]
        for number, server in ensemble.members.items():
            server.kill()
            ensemble.members[number] = ensemble.member(number, OTHER[server.kind])
        for server in ensemble.members.values():
            server.start(wait=False)
        ensemble.await_serving()
        ensemble.assert_equal_trees()
        assert not dump.differences({"nodes": before}, {"nodes": ensemble.trees()[1]})
        for kept in sessions:
            session = wire.Session(port_beside(ensemble, ensemble.leader()), work.LONG_MS, kept.session_id, kept.password)
            assert session.session_id == kept.session_id
            assert work.ephemerals(session) == sorted([kept.ephemeral, "/multi-again/e", "/second-ephemeral"])
            session.end()
        ensemble.assert_equal_trees()
