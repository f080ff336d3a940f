"""What happens to a StatefulSet in its life, one thing after the other, while clients write.

Nothing acknowledged is lost, each client keeps its session all along, and no write fails for good. What a step costs is the
longest time that a client waited between two acknowledged writes: it is told, and has a bound that a machine with much else to
do keeps too (up to 0.5 s were seen), below all of ZooKeeper's own timeouts (`syncLimit` is 10 s here): a step that waits for one of those
fails. `figures.py` measures it on a quiet machine.
"""

import signal

import pytest

from harness.waiting import eventually

from .clients import hello, sanity_test
from .cluster import READY_SECONDS_MAX
from .wishes import RECOMMENDED, TUTORIAL

GAP_SECONDS_MAX = 3


def await_restart(cluster, ordinal, why):
    """Returns when the kubelet has started a pod's container anew, for this reason, and it is ready again."""
    restart = cluster.pods[ordinal].name, why
    eventually(lambda: restart in cluster.restarts, READY_SECONDS_MAX, f"{restart}")
    cluster.restarts.remove(restart)
    cluster.await_ready()


@pytest.mark.parametrize("wishes", [TUTORIAL, RECOMMENDED], ids=["tutorial", "recommended"])
def test_a_life_under_load(run, load, wishes, record_property):
    cluster = run(wishes)
    cluster.leader()
    sanity_test(cluster, 0, 1)
    shown = hello(cluster, 1)
    writing = load(cluster)

    # Updating: the highest ordinal first, each ready before the next one goes.
    for ordinal in reversed(cluster.ordinals):
        with writing.step(f"rolling update, {cluster.role(ordinal)}"):
            assert cluster.replace_pod(ordinal) == 0

    # A process that fails: killed as by the kernel when memory is short; asked to end from inside, as the tutorial does.
    leader = cluster.leader()
    with writing.step("leader killed"):
        cluster.pods[leader].container.kill(signal.SIGKILL)
        await_restart(cluster, leader, "failed")
    with writing.step("process 1 told to end from inside"):
        cluster.pods[0].exec("pkill", "java")
        await_restart(cluster, 0, "ended")

    # A node that dies without a word, and the pod back under another address while the others still hold its connections.
    follower = next(ordinal for ordinal in cluster.ordinals if ordinal != cluster.leader())
    with writing.step("follower's node lost"):
        cluster.lose_pod(follower)
        cluster.create_pod(follower)
        cluster.await_ready()

    # Nodes are drained one after the other; the budget lets one pod be away.
    with writing.step("three nodes drained"):
        assert cluster.evict(0)
        cluster.create_pod(0)
        cluster.await_ready()
        assert cluster.evict(1)
        assert hello(cluster, 0) == shown
        cluster.create_pod(1)
        # The budget lets the next one go at the word of the member that has just come back: two that are ready must be a quorum.
        eventually(lambda: cluster.evict(2), READY_SECONDS_MAX, "the third node is drained")
        assert hello(cluster, 1) == shown
        cluster.create_pod(2)
        cluster.await_ready()

    assert cluster.restarts == []
    acknowledged = writing.finish()
    gaps = "; ".join(f"{name} {1000 * gap:.0f} ms" for name, gap in writing.gaps.items())
    kazoo = f"kazoo's longest write {1000 * writing.kazoo.gap_seconds:.0f} ms"
    record_property("counted", f"{acknowledged} writes acknowledged, none lost; {kazoo}; without writes: {gaps}")
    assert max(writing.gaps.values()) <= GAP_SECONDS_MAX, gaps


def test_a_probe_whose_program_is_gone_starts_the_container_anew(run, load):
    """The tutorial removes `zookeeper-ready` from a running container: that its server serves does not count."""
    cluster = run(TUTORIAL)
    cluster.leader()
    writing = load(cluster)
    cluster.pods[0].exec("rm", "/usr/bin/zookeeper-ready")
    await_restart(cluster, 0, "was not live")
    assert cluster.pods[0].exec("ls", "/usr/bin/zookeeper-ready"), "it is back"
    assert cluster.restarts == []
    assert writing.finish() > 0
