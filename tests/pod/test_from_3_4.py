"""The image of Kubernetes' tutorial has ZooKeeper 3.4: what a rolling change of that image to ours finds and does."""

import re
import subprocess

import pytest
from kazoo.client import KazooClient

from harness import places
from harness.servers import die_with_parent, four_letter_word
from harness.waiting import eventually

from .conftest import as_pod, ports
from .test_start_zookeeper import pod_hosts, pod_words

MEMBERS = range(3)
# Java's are slow to start on a busy machine.
TICK = "tickTime=1000"


@pytest.fixture
def java34(room):
    """`java34(number, clients, server, election)`: a member on the volume of pod `zk-<number>`, as that image's script configures it."""
    processes = []

    def start(number, clients, server, election):
        data = room / f"zk-{number}" / "data"
        (data / "log").mkdir(parents=True)
        (data / "myid").write_text(f"{number + 1}\n")
        lines = [f"clientPort={clients[number]}", f"dataDir={data}", f"dataLogDir={data}/log", TICK, "initLimit=10", "syncLimit=5"]
        lines += [f"server.{each + 1}=127.0.1.{each + 1}:{server}:{election}" for each in MEMBERS]
        config = room / f"java-{number}.cfg"
        config.write_text("\n".join(lines) + "\n")
        with open(room / f"java-{number}.log", "wb") as log:
            processes.append(subprocess.Popen(
                ["java", "-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", places.JAVA34_CLASSPATH,
                 "org.apache.zookeeper.server.quorum.QuorumPeerMain", config],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


def mode(port):
    try:
        found = re.search(r"Mode: (\w+)", four_letter_word(port, "srvr"))
    except OSError:
        return None
    return found and found.group(1)


def test_a_young_ensemble_changes_its_image_pod_by_pod(pod, java34, room):
    """Members that have logs and no snapshot, followers first; the session of a client goes on all along."""
    clients, (server, election) = ports(3), ports(2)
    running = [java34(number, clients, server, election) for number in MEMBERS]
    eventually(lambda: all(mode(port) for port in clients), 60, "an ensemble of 3.4")
    client = KazooClient(",".join(f"127.0.0.1:{port}" for port in clients), timeout=30)
    client.start()
    session = client.client_id[0]
    client.create("/before", b"3.4")
    client.create("/mine", ephemeral=True)
    order = sorted(MEMBERS, key=lambda number: mode(clients[number]) == "leader")
    young = [number for number in MEMBERS if not list((room / f"zk-{number}/data/version-2").glob("snapshot.*"))]
    # Who came late may have been sent a snapshot.
    assert young, "the leader's first follower begins with a log alone"
    changed = []
    for number in order:
        running[number].kill()
        running[number].wait()
        words = [*pod_words(room, f"zk-{number}", clients[number], server, election), f"--tick_time={TICK.split('=')[1]}"]
        inside = as_pod(f"zk-{number}", pod_hosts(room, number, MEMBERS))
        changed.append(pod("start-zookeeper", *words, port=clients[number], inside=inside).await_serving())
        assert ("logs of Java 3.4 without a snapshot" in changed[-1].said()) == (number in young)
        client.retry(client.create, f"/by-{number}", b"both")
    assert client.client_id[0] == session and client.retry(client.exists, "/mine")
    for port in clients:
        reader = KazooClient(f"127.0.0.1:{port}")
        reader.start()
        reader.sync("/")
        assert {"before", "mine", *(f"by-{number}" for number in MEMBERS)} <= set(reader.get_children("/"))
        reader.stop()
    client.stop()
