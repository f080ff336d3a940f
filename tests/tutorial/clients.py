"""Clients outside of pods, who write all the time through the service, and keep a ledger of what was acknowledged.

A write that is not acknowledged is tried again, as clients do; one that is refused is a failure, and so is a session that is gone.
"""

import time
from contextlib import contextmanager

from ensemble import members
from harness import dump, wire
from harness.waiting import eventually

from .cluster import READY_SECONDS_MAX
from .wishes import CLIENT_PORT

RETRY_SECONDS = 0.002


class Writer(members.Writer):
    """One client: its session goes with it from pod to pod."""

    def __init__(self, cluster, number):
        super().__init__(None, number)
        self.cluster = cluster
        self.sessions = set()

    def run(self):
        with self.cluster.network.node.entered():
            super().run()

    def write_through_somebody(self):
        address = self.cluster.endpoint()
        try:
            if address is None:
                raise ConnectionRefusedError("the service has no endpoint")
            xid = self.session.xid if self.session else 0
            session = members.PatientSession(
                CLIENT_PORT, members.SESSION_MS, self.session_id, self.password, self.last_zxid, xid, host=address)
        except (OSError, wire.Closed):
            time.sleep(RETRY_SECONDS)
            return
        self.go_on_with(session)


class Load:
    """Some writers, and what a step costs them."""

    def __init__(self, cluster, count=3):
        self.cluster = cluster
        self.writers = [Writer(cluster, number) for number in range(count)]
        self.gaps = {}
        for writer in self.writers:
            writer.start()
        members.await_progress(self.writers)

    @contextmanager
    def step(self, name):
        """Measures the longest time between two acknowledged writes of a client while something is done, and a little longer."""
        before = [len(writer.gaps) for writer in self.writers]
        yield
        members.await_progress(self.writers)
        self.gaps[name] = max(max(writer.gaps[count:]) for writer, count in zip(self.writers, before))

    def end(self):
        """Ends the writers without a word."""
        for writer in self.writers:
            writer.ends.set()
            writer.join()

    def finish(self):
        """Ends the writers, and holds their ledgers against what each pod shows; gives how many writes were acknowledged."""
        for writer in self.writers:
            writer.stop()
        trees = {ordinal: tree(self.cluster, ordinal) for ordinal in self.cluster.ordinals}
        for ordinal, nodes in trees.items():
            for writer in self.writers:
                writer.assert_kept(nodes)
            lines = dump.differences({"nodes": trees[0]}, {"nodes": nodes})
            assert not lines, f"pod {ordinal} differs from pod 0:\n" + "\n".join(lines)
        return sum(writer.sets_acknowledged + len(writer.created) for writer in self.writers)


def tree(cluster, ordinal):
    """Every node that a pod shows, when it has all that was written before."""
    session = cluster.session(ordinal)
    reply = session.call(wire.SYNC, wire.Writer().ustring("/").bytes)
    assert reply.err == 0
    nodes = [node for node in dump.read_nodes(session, sorted(dump.all_paths(session))) if not node["path"].startswith("/zookeeper")]
    session.end()
    return nodes


def create_and_get(cluster, writer, reader, path, data):
    """The tutorial's sanity test: written through one pod, read through another."""
    session = cluster.session(writer)
    assert session.create(path, data).err == 0
    session.end()
    eventually(lambda: get(cluster, reader, path) == data, READY_SECONDS_MAX, f"{path} through pod {reader}")


def get(cluster, ordinal, path):
    """A node's data; None if it is not there."""
    session = cluster.session(ordinal)
    reply = session.call(wire.GET_DATA, wire.Writer().ustring(path).boolean(False).bytes)
    session.end()
    return reply.reader().buffer() if reply.err == 0 else None
