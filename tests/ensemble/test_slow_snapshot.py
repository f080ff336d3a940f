"""A snapshot that takes many times `initLimit` to reach a member arrives all the same: how long it takes is a matter of its size and
the network. An empty member comes back behind a narrow link, of zabd and of Java, to leaders of both kinds."""

import shutil
import time

import pytest
from harness import wire

from . import members

INIT_SECONDS = 2
CONFIG = {"tickTime": 200, "initLimit": 10, "syncLimit": 10}
# Java sends what its log has, unless it is told not to look.
PROPERTIES = {"snapshotSizeFactor": "-1"}
NODES, NODE_BYTES = 240, 100_000
# What Java has handed to its kernel, up to 4 MiB, must reach the other side within `initLimit`.
BYTES_PER_SECOND = 2_800_000
# More than either keeps in memory.
FORGOTTEN = 2500
PIPELINED = 100


def fill(port):
    """Makes a tree that is large, and older than what a leader remembers."""
    session = wire.Session(port, members.SESSION_MS)
    for number in range(NODES):
        assert session.create(f"/large-{number}", bytes(NODE_BYTES)).err == 0
    members.create(session, "/small", 0)
    body = wire.Writer().ustring("/small").buffer(b"x").int(-1).bytes
    for _ in range(FORGOTTEN // PIPELINED):
        sent = [session.submit(wire.SET_DATA, body) for _ in range(PIPELINED)]
        for xid in sent:
            reply = session.reply()
            assert (reply.xid, reply.err) == (xid, 0)
    session.end()


@pytest.mark.parametrize(
    "leading, joining", [("zabd", "zabd"), ("zabd", "java395"), ("java395", "zabd")], ids=lambda kind: kind)
def test_a_snapshot_takes_longer_than_init_limit(tmp_path, leading, joining):
    """The first attempt succeeds."""
    kinds = [joining, leading, leading]
    with members.Ensemble(kinds, tmp_path, has_network=True, config=CONFIG, properties=PROPERTIES) as ensemble:
        ensemble.await_serving()
        joiner = 1
        if ensemble.leader() == joiner:
            ensemble.members[joiner].kill()
            ensemble.leader(among=(2, 3))
        else:
            ensemble.members[joiner].kill()
        leader = ensemble.leader(among=(2, 3))
        assert ensemble.members[leader].kind == leading
        fill(ensemble.members[leader].port)
        shutil.rmtree(ensemble.members[joiner].data_dir / "version-2")
        ensemble.network.narrow(leader, joiner, BYTES_PER_SECOND)
        began = time.monotonic()
        ensemble.members[joiner].start(wait=False)
        ensemble.members[joiner].await_serving()
        assert time.monotonic() - began > 3 * INIT_SECONDS, "the link was not narrow"
        ensemble.network.heal()
        assert ensemble.leader() == leader
        log = ensemble.members[joiner].log_text()
        attempts = log.count("Getting a snapshot from leader") if joining == "java395" else log.count("LOOKING for a leader:")
        assert attempts == (1 if joining == "java395" else 0), log
        ensemble.assert_equal_trees()
