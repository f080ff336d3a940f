"""Kafka: two brokers elect their controller and keep topics, configurations and sessions in ZooKeeper, by Java's client 3.8."""

import subprocess

import pytest
from harness import places
from harness.servers import die_with_parent, free_port
from harness.waiting import eventually

from .applications import Work, ensemble_of, program, there_and_back

JARS = places.DEPS / "kafka"
JAVA = [
    "java", "-Xmx384m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{JARS}/*",
    f"-Dlog4j.configuration=file:{places.TESTS}/applications/log4j.properties"]
BROKER = """broker.id={number}
listeners=PLAINTEXT://127.0.0.1:{port}
log.dirs={directory}/logs
zookeeper.connect={hosts}/kafka
zookeeper.session.timeout.ms=6000
offsets.topic.replication.factor=2
min.insync.replicas=1
auto.create.topics.enable=false
"""


@pytest.fixture(name="brokers")
def brokers_fixture(tmp_path):
    with ensemble_of(["java395"] * 3, tmp_path) as ensemble:
        hosts = ",".join(server.hosts for server in ensemble.members.values())
        processes, ports = [], []
        for number in (1, 2):
            directory = tmp_path / f"broker{number}"
            directory.mkdir()
            ports.append(free_port())
            (directory / "broker").write_text(BROKER.format(number=number, port=ports[-1], directory=directory, hosts=hosts))
            processes.append(program([*JAVA, "kafka.Kafka", str(directory / "broker")], directory / "log"))
        try:
            for server in ensemble.members.values():
                with kazoo_client(server.hosts) as client:
                    eventually(lambda client=client: broker_ids(client) == ["1", "2"], 60, "two brokers")
            yield ensemble, ",".join(f"127.0.0.1:{port}" for port in ports)
        finally:
            for process in processes:
                process.kill()
                process.wait()


class kazoo_client:  # pylint: disable=invalid-name
    """A client for the time of a block."""

    def __init__(self, hosts):
        from kazoo.client import KazooClient  # pylint: disable=import-outside-toplevel
        self.client = KazooClient(hosts)

    def __enter__(self):
        self.client.start()
        return self.client

    def __exit__(self, *_):
        self.client.stop()
        self.client.close()


def broker_ids(client):
    """Which brokers hold their ephemerals."""
    return sorted(client.get_children("/kafka/brokers/ids")) if client.exists("/kafka/brokers/ids") else []


def test_brokers_keep_topics_and_sessions(brokers, tmp_path):
    ensemble, servers = brokers
    with open(tmp_path / "work.log", "ab") as log:
        worker = subprocess.Popen(
            [*JAVA, str(places.TESTS / "applications" / "KafkaWork.java"), servers],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, bufsize=1, preexec_fn=die_with_parent)
    try:
        sessions = {number: broker_session(ensemble, number) for number in (1, 2)}

        def topic(number):
            worker.stdin.write(f"{number}\n")
            said = worker.stdout.readline()
            assert said == f"done {number}\n", said

        work = Work(topic, 120)
        work.start()
        there_and_back(ensemble, work)
        done = work.end()
        kept = {f"topic-{number}" for number in range(0, done, 2)}
        # The controller deletes topics in its own time.
        with kazoo_client(ensemble.members[1].hosts) as client:
            eventually(lambda: topics(client) == kept, 60, lambda: f"topics {topics(client)} and not {kept}")
        listed, _ = worker.communicate(timeout=60)
        assert {name for name in listed.split() if name.startswith("topic-")} == kept
        assert {number: broker_session(ensemble, number) for number in (1, 2)} == sessions, "a broker's session was lost"
    finally:
        worker.kill()
        worker.wait()


def broker_session(ensemble, number):
    """The session that holds a broker's ephemeral."""
    with kazoo_client(ensemble.members[2].hosts) as client:
        client.sync("/kafka")
        return client.get(f"/kafka/brokers/ids/{number}")[1].ephemeralOwner


def topics(client):
    """The test's topics, as ZooKeeper knows them."""
    return {name for name in client.get_children("/kafka/brokers/topics") if name.startswith("topic-")}
