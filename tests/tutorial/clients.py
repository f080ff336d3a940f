"""Clients outside of pods, who write all the time through the service, and keep a ledger of what was acknowledged.

A write that is not acknowledged is tried again, as clients do; one that is refused is a failure, and so is a session that is gone.
Some are the suite's own, which turn to another pod at once and tell what a step costs; one is kazoo's, which knows nothing but
the service's name. Inside of pods there is `zkCli.sh`, as the tutorial's reader uses it.
"""

import json
import select
import subprocess
import sys
import time
from contextlib import contextmanager

from ensemble import members
from harness import dump, places, wire
from harness.servers import die_with_parent
from harness.waiting import eventually

from .cluster import READY_SECONDS_MAX
from .pods import RESOLVER
from .wishes import CLIENT_PORT

RETRY_SECONDS = 0.002
# What `zkCli.sh` of 3.9 says before a command's own output; the page's 3.4 says the same without the first line and the zxid.
CONNECTED = "Connecting to localhost:2181\n\nWATCHER::\n\nWatchedEvent state:SyncConnected type:None path:null zxid: -1\n"
# Runs a command that resolves names as a pod does: $1 is the resolver's configuration.
WITH_RESOLVER = 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'


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


class KazooWriter:
    """`kazoo_writer`, which finds pods by the service's name; its ledger, once it is stopped."""

    path = "/kazoo"
    assert_kept = members.Writer.assert_writes_kept

    def __init__(self, cluster):
        resolver = cluster.directory / "resolv.conf"
        resolver.write_text(RESOLVER)
        words = ["unshare", "--mount", "sh", "-c", WITH_RESOLVER, "sh", str(resolver), sys.executable, "-m", "tutorial.kazoo_writer",
                 f"{cluster.wishes.service}:{CLIENT_PORT}", self.path]
        with cluster.network.node.entered():
            self.process = subprocess.Popen(
                words, cwd=places.ROOT / "tests", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                preexec_fn=die_with_parent)
        begun, _, _ = select.select([self.process.stdout], [], [], READY_SECONDS_MAX)
        assert begun and self.process.stdout.readline() == "begun\n", self.end()

    def stop(self):
        """Lets it write some more, and takes its ledger."""
        ledger, complaints = self.process.communicate(timeout=READY_SECONDS_MAX)
        assert self.process.returncode == 0, complaints
        self.__dict__.update(json.loads(ledger))
        self.created, self.created_asked = set(self.created), set(self.created_asked)

    def end(self):
        """Ends it without a word; gives what it complained of."""
        if self.process.returncode is not None:
            return ""
        self.process.kill()
        return self.process.communicate()[1]


class Load:
    """Some writers, and what a step costs them."""

    def __init__(self, cluster, count=3, has_kazoo=True):
        self.cluster = cluster
        self.writers = [Writer(cluster, number) for number in range(count)]
        self.gaps = {}
        for writer in self.writers:
            writer.start()
        self.kazoo = KazooWriter(cluster) if has_kazoo else None
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
        if self.kazoo:
            self.kazoo.end()

    def finish(self):
        """Ends the writers, and holds their ledgers against what each pod shows; gives how many writes were acknowledged."""
        writers = [*self.writers, self.kazoo] if self.kazoo else self.writers
        for writer in writers:
            writer.stop()
        trees = {ordinal: tree(self.cluster, ordinal) for ordinal in self.cluster.ordinals}
        for ordinal, nodes in trees.items():
            for writer in writers:
                writer.assert_kept(nodes)
            lines = dump.differences({"nodes": trees[0]}, {"nodes": nodes})
            assert not lines, f"pod {ordinal} differs from pod 0:\n" + "\n".join(lines)
        return sum(writer.sets_acknowledged + len(writer.created) for writer in writers)


def tree(cluster, ordinal):
    """Every node that a pod shows, when it has all that was written before."""
    session = cluster.session(ordinal)
    reply = session.call(wire.SYNC, wire.Writer().ustring("/").bytes)
    assert reply.err == 0
    nodes = [node for node in dump.read_nodes(session, sorted(dump.all_paths(session))) if not node["path"].startswith("/zookeeper")]
    session.end()
    return nodes


def sanity_test(cluster, writer, reader):
    """The tutorial's: written through one pod, read through another, by the shell inside of them, and shown as to its reader."""
    assert shell(cluster, writer, "create", "/hello", "world") == (CONNECTED, "Created /hello\n")
    eventually(lambda: hello(cluster, reader) == (CONNECTED + "world\n", ""), READY_SECONDS_MAX, f"/hello through pod {reader}")


def hello(cluster, ordinal):
    """What `get /hello` shows in a pod, on both streams; `sanity_test` says what that should be."""
    return shell(cluster, ordinal, "get", "/hello")


def shell(cluster, ordinal, *words):
    """What `kubectl exec POD -- zkCli.sh WORDS` shows, output and errors."""
    done = cluster.pods[ordinal].container.exec("zkCli.sh", *words)
    return done.stdout, done.stderr
