"""What pods cost, measured: from start to ready, without writes in a rolling update, memory; Java's beside it.

    sudo env PYTHONPATH=tests .deps/venv/bin/python -m tutorial.figures --rounds 10 --kinds zabd,java

The pods are those of the suite as k8s/zabd.yaml wants them; Java 3.9.5 has the zoo.cfg of the same flags and 512 MiB, and is ready when
`srvr` says a mode. A start is timed from the moment when the runtime is asked for the container, with its mounts. One client writes
through the service, one write after the other, and turns to another pod at once when its own goes.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from harness import places

from .cluster import Cluster, ask
from .clients import Load
from .wishes import RECOMMENDED, Probe

IDLE_SECONDS = 10
# Asked by the kubelet in each of its rounds.
OFTEN = replace(RECOMMENDED.readiness, period_seconds=0)
JAVA = Path(os.path.realpath(shutil.which("java"))).parents[1]
JAVA_COMMAND = """mkdir -p /var/lib/zookeeper/data /var/lib/zookeeper/log
host=$(hostname)
echo $((${host##*-} + 1)) >/var/lib/zookeeper/data/myid
cat >/var/lib/zookeeper/zoo.cfg <<'END'
clientPort=2181
dataDir=/var/lib/zookeeper/data
dataLogDir=/var/lib/zookeeper/log
tickTime=2000
initLimit=10
syncLimit=5
maxClientCnxns=60
autopurge.purgeInterval=12
admin.enableServer=false
4lw.commands.whitelist=*
@SERVERS@
END
exec /opt/java/bin/java -Xmx512m -Xms512m -cp '/opt/jars/*' org.apache.zookeeper.server.quorum.QuorumPeerMain \\
  /var/lib/zookeeper/zoo.cfg"""


class Serving(Probe):
    """Ready when `srvr` says a mode."""

    def succeeds(self, pod):
        return "Mode: " in ask(pod.address, "srvr")


class Kind:
    """A server to measure."""

    def __init__(self, name):
        self.name = name

    def wishes(self, servers):
        """Those of our manifest, for this server and so many."""
        wishes = replace(RECOMMENDED, replicas=servers, min_ready_seconds=0, startup=None, readiness=OFTEN)
        if self.name == "zabd":
            return replace(wishes, command=tuple(word.replace("--servers=3", f"--servers={servers}") for word in wishes.command))
        hosts = [f"{wishes.name}-{ordinal}.{wishes.domain}" for ordinal in range(servers)]
        lines = [f"server.{number}={host}:2888:3888" for number, host in enumerate(hosts, 1)] if servers > 1 else []
        command = ("sh", "-c", JAVA_COMMAND.replace("@SERVERS@", "\n".join(lines)))
        return replace(wishes, command=command, readiness=Serving((), None, 0, 0, 1), liveness=None)

    def cluster(self, wishes):
        """A cluster without pods."""
        directory = Path(tempfile.mkdtemp(prefix="zabd-figures-", dir=places.ROOT / "target"))
        directory.chmod(0o755)
        made = Cluster(wishes, directory)
        if self.name == "java":
            shutil.copytree(JAVA, made.image.root / "opt/java", ignore_dangling_symlinks=True)
            shutil.copytree(places.DEPS / "zookeeper-3.9.5", made.image.root / "opt/jars")
            shutil.copy(shutil.which("mkdir"), made.image.root / "usr/bin/mkdir")
        return made


def close(cluster):
    cluster.close()
    shutil.rmtree(cluster.directory)


def start_seconds(kind, servers):
    """From the first container's start until all are ready, on empty volumes."""
    wishes = kind.wishes(servers)
    # Asked here, without a pause, and not by the kubelet.
    cluster = kind.cluster(replace(wishes, readiness=None))
    try:
        pods = [cluster.create_pod(ordinal) for ordinal in range(servers)]
        with cluster.network.node.entered():
            while not all(wishes.readiness.succeeds(pod) for pod in pods):
                time.sleep(0.001)
        return time.monotonic() - pods[0].container.started
    finally:
        close(cluster)


def idle_mib(kind, servers):
    """The largest resident set of a server that has just started and does nothing, and its own part of that."""
    cluster = kind.cluster(kind.wishes(servers))
    try:
        cluster.apply()
        time.sleep(IDLE_SECONDS)
        found = []
        for pod in cluster.pods.values():
            status = dict(line.split(":", 1) for line in Path(f"/proc/{pod.container.first_process}/status").read_text().splitlines())
            found.append([int(status[key].split()[0]) / 1024 for key in ("VmRSS", "RssAnon")])
        return max(found)
    finally:
        close(cluster)


def rolling_gaps(kind, rounds):
    """The write gaps of rolling updates: of leaders' steps and of followers'."""
    cluster = kind.cluster(kind.wishes(3))
    gaps = {"leader": [], "follower": []}
    load = None
    try:
        cluster.apply()
        cluster.leader()
        load = Load(cluster, count=1, has_kazoo=False)
        for _ in range(rounds):
            for ordinal in reversed(range(3)):
                role = cluster.role(ordinal)
                with load.step(role):
                    cluster.replace_pod(ordinal)
                gaps[role].append(load.gaps[role])
        load.finish()
        return gaps
    finally:
        if load:
            load.end()
        close(cluster)


def shown(seconds):
    milliseconds = [1000 * each for each in seconds]
    return f"{statistics.median(milliseconds):.0f} (at most {max(milliseconds):.0f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", type=lambda text: text.split(","), default=["zabd"], help="zabd,java for both")
    parser.add_argument("--rounds", type=int, default=10, help="starts, and rolling updates")
    arguments = parser.parse_args()
    rows = {}
    for name in arguments.kinds:
        kind = Kind(name)
        gaps = rolling_gaps(kind, arguments.rounds)
        cells = {
            "container start to ready, standalone, ms": shown([start_seconds(kind, 1) for _ in range(arguments.rounds)]),
            "three containers from nothing to all ready, ms": shown([start_seconds(kind, 3) for _ in range(arguments.rounds)]),
            "without writes while a follower's pod is replaced, ms": shown(gaps["follower"]),
            "without writes while the leader's pod is replaced, ms": shown(gaps["leader"]),
            "idle, standalone: RSS (of it anonymous), MiB": "{:.1f} ({:.1f})".format(*idle_mib(kind, 1)),
            "idle, a member of three: RSS (of it anonymous), MiB": "{:.1f} ({:.1f})".format(*idle_mib(kind, 3)),
        }
        for row, cell in cells.items():
            rows.setdefault(row, []).append(cell)
    print(f"| median of {arguments.rounds} | {' | '.join(arguments.kinds)} |\n| --- |{' --- |' * len(arguments.kinds)}")
    for row, cells in rows.items():
        print(f"| {row} | {' | '.join(cells)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
