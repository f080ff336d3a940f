"""kill -9 under pipelined writes, again and again on the same directory.

Six writers keep creates, sets, deletes, multis, ephemerals and sequential nodes on their way, some of which must fail, and now
and then close their sessions. At a random moment the server is killed, sometimes once more while it recovers. What it shows
after its next start is compared with what each writer asked for and was promised (`ledger.py`), to the last zxid:

- nothing acknowledged, and nothing that anybody was shown, is missing;
- there is nothing that was not asked for: each writer's requests are there up to some point, none beyond it;
- the zxids add up: each request that is there took one, whether it succeeded or not, and so did each new session;
- sessions that were not closed are there and can be resumed, with their ephemerals; of closed ones nothing is left.

Every so often real Java servers, 3.8.0 and 3.9.5, load copies of the directory and must show the very same.
"""

import base64
import random
import shutil
import subprocess
import threading
import time

import pytest

from harness import wire
from harness.dump import differences, dump_tree
from harness.servers import Server

from .clients import Observer, Trigger, Writer
from .ledger import SHARED_PARENT, SHARED_VALUE

WRITERS = 6
JAVA_EVERY = 20
ACKNOWLEDGED_MAX = 1500  # Before a kill.
DELAY_SECONDS_MAX = 0.02
# Longer than a writer waits for an answer.
THREAD_SECONDS_MAX = 2 * wire.ANSWER_SECONDS
FIXED = {"/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota", SHARED_PARENT, SHARED_VALUE}
CONFIG = {"tickTime": 2000, "maxSessionTimeout": 600_000}

SCENARIOS = {
    # As installed: one long log with 64 MiB of zeros behind its end, no snapshot but those of the starts.
    "plain": ({}, {}),
    # Snapshots all the time, and with each a new log; old files are purged at every start.
    "snapshots": ({"autopurge.purgeInterval": 1, "autopurge.snapRetainCount": 3}, {"snapCount": 100, "preAllocSize": 64}),
    # Logs that roll by size, on a directory of their own, and purged, too.
    "rolls": (
        {"autopurge.purgeInterval": 1, "autopurge.snapRetainCount": 3},
        {"txnLogSizeLimitInKb": 32, "preAllocSize": 16, "snapCount": 2000}),
    # Batches that wait for company and have a limit, compressed snapshots.
    "batches": ({}, {
        "snapCount": 300, "snapshot.compression.method": "snappy", "flushDelay": 2, "maxBatchSize": 40, "preAllocSize": 1024}),
}


class Crash:
    """One directory and its clients, through all the lives of its server."""

    def __init__(self, kind, directory, scenario, seed):
        self.random = random.Random(seed)
        self.directory = directory
        config, self.properties = SCENARIOS[scenario]
        self.config = {**CONFIG, **config}
        self.data = [("data", directory / "data"), *([("log", directory / "log")] if scenario == "rolls" else [])]
        self.server = self._server(kind, directory, directory)
        self.writers = [Writer(f"w{number}", random.Random(f"{seed}/{number}")) for number in range(WRITERS)]
        self.observer = Observer()
        self.sessions = set()
        self.zxid = 0  # The last one before the clients went on.
        self.new_sessions = 0  # Since then.
        self.log_seen = 0
        self.kills = self.kills_in_recovery = self.acknowledged = self.unanswered = self.survived = 0

    @property
    def clients(self):
        """Everybody with a session."""
        return [*self.writers, self.observer]

    def _server(self, kind, directory, data):
        has_log_dir = len(self.data) > 1
        return Server(
            kind, directory, config=self.config, properties=self.properties, data_dir=data / "data",
            data_log_dir=data / "log" if has_log_dir else None)

    def prepare(self):
        """What all writers share."""
        self.server.start()
        session = wire.Session(self.server.port)
        assert session.create(SHARED_PARENT).err == 0
        assert session.create(SHARED_VALUE).err == 0
        session.end()
        self.zxid = 4

    def live_and_die(self):
        """Lets the clients work until the server is killed."""
        acknowledged = self.random.choice((self.random.randrange(50), self.random.randrange(ACKNOWLEDGED_MAX)))
        trigger = Trigger(self.server.process.pid, acknowledged, self.random.uniform(0, DELAY_SECONDS_MAX))
        threads = [
            threading.Thread(target=client.run, args=(self.server.port, trigger), daemon=True) for client in self.clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(THREAD_SECONDS_MAX)
            assert not thread.is_alive(), "the server was not killed: it stopped to acknowledge"
        assert self.server.kill() == -9, self.server.log_text()[-3000:]
        for client in self.clients:
            if client.failure:
                raise client.failure
        self.kills += 1
        self.acknowledged += sum(writer.ledger.acknowledged for writer in self.writers)
        self.unanswered += sum(len(writer.ledger.asked) - writer.ledger.acknowledged for writer in self.writers)

    def die_while_recovering(self):
        """A start that is cut."""
        self.server.start(wait=False)
        time.sleep(self.random.uniform(0, 0.05))
        self.server.kill()
        self.kills_in_recovery += 1

    def recover(self):
        """Starts the server, compares what it shows, and gives that."""
        self.server.start()
        dump = dump_tree(self.server.port)
        self._check_log()
        self._check_sessions(dump)
        nodes = {node["path"]: node for node in dump["nodes"]}
        self.observer.check(nodes, dump["zxid"])
        fewest, most = self._check_nodes(nodes)
        taken = dump["zxid"] - self.zxid - self.new_sessions
        assert fewest <= taken <= most, f"{taken} zxids were taken by writes, {fewest} to {most} writes are there"
        self.survived += most
        self.zxid = dump["zxid_after"]
        return dump

    def _check_log(self):
        complaints = self.server.complaints(since=self.log_seen)
        assert not complaints, complaints[:5]
        self.log_seen = len(self.server.log_text())

    def _check_sessions(self, dump):
        """Those that are known, perhaps less those whose closing was not answered, and no more others than were asked for."""
        made = sum(client.sessions_made for client in self.clients)
        asking = sum(client.is_asking for client in self.clients)
        shown = {int(session, 16) for session in dump["sessions"]}
        closing = {request.closes for writer in self.writers for request in writer.ledger.asked if request.closes}
        held = {client.session_id for client in self.clients if client.session_id}
        missing = (self.sessions | held) - closing - shown
        assert not missing, f"sessions are gone: {missing}"
        unknown = shown - self.sessions - held - closing
        assert len(unknown) <= asking, f"{len(unknown)} sessions that nobody asked for"
        self.new_sessions = made + len(unknown)
        self.sessions = shown
        for client in self.clients:
            client.sessions_made, client.is_asking = 0, False

    def _check_nodes(self, nodes):
        """Each writer's share of the tree, and what they share; the fewest and the most requests that they show."""
        shares = {writer.name: {} for writer in self.writers}
        for path, node in nodes.items():
            if path in FIXED:
                continue
            if path.startswith(f"{SHARED_PARENT}/"):
                name, _, number = base64.b64decode(node["data"]).decode().partition(":")
                shares[name][int(number)] = node
            else:
                shares[path.split("/")[1]][path] = node
        fewest = most = 0
        for writer in self.writers:
            low, high = writer.ledger.settle(shares[writer.name])
            fewest, most = fewest + low, most + high
            if writer.ledger.session_id is None:
                writer.forget_session()
            is_there = writer.session_id in self.sessions
            assert is_there == bool(writer.session_id), f"the session of {writer.name} is {'' if is_there else 'not '}there"
        self._check_shared(nodes)
        return fewest, most

    def _check_shared(self, nodes):
        ledgers = [writer.ledger for writer in self.writers]
        parent, value = nodes[SHARED_PARENT]["stat"], nodes[SHARED_VALUE]["stat"]
        creates, sets = sum(each.shared_creates for each in ledgers), sum(each.shared_sets for each in ledgers)
        assert (parent["cversion"] + parent["numChildren"]) / 2 == creates, "creates of shared children do not add up"
        assert value["version"] == sets, "sets of the shared value do not add up"
        children = sorted(
            (node["stat"]["czxid"], path) for path, node in nodes.items() if path.startswith(f"{SHARED_PARENT}/"))
        paths = [path for _, path in children]
        assert paths == sorted(paths), "shared children are not numbered in the order of their creation"

    def compare_with_java(self, dump, copies):
        """Java on copies of the directory that zabd had before it started."""
        servers = [self._server(kind, copy.parent, copy).start(wait=False) for kind, copy in copies.items()]
        try:
            for server in servers:
                server.await_serving()
                complaints = server.complaints()
                assert not complaints, complaints[:5]
                assert differences(dump, dump_tree(server.port)) == [], server.kind
        finally:
            for server in servers:
                server.kill()
        for copy in copies.values():
            shutil.rmtree(copy.parent)

    def copies(self):
        """One copy of the directory for each Java."""
        copies = {}
        for kind in ("java38", "java395"):
            copies[kind] = self.directory / f"{self.kills}-{kind}" / "copy"
            copies[kind].mkdir(parents=True)
            for name, path in self.data:
                # Killed servers leave logs with 64 MiB of zeros that were never written.
                subprocess.run(["cp", "-r", "--sparse=always", path, copies[kind] / name], check=True)
        return copies


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.timeout(0)
def test_killed_again_and_again(kind, tmp_path, request, scenario, record_property):
    kills = -(-request.config.getoption("--kills") // len(SCENARIOS))
    seed = request.config.getoption("--seed")
    seed = random.SystemRandom().randrange(1 << 32) if seed is None else seed
    crash = Crash(kind, tmp_path, scenario, f"{seed}/{scenario}")
    print(f"--seed {seed}")
    begin = time.monotonic()
    try:
        crash.prepare()
        while crash.kills < kills:
            crash.live_and_die()
            is_for_java = crash.kills % JAVA_EVERY == 0 or crash.kills == kills
            copies = crash.copies() if is_for_java else {}
            for _ in range(crash.random.choice((0, 0, 0, 1, 2))):
                crash.die_while_recovering()
            dump = crash.recover()
            crash.compare_with_java(dump, copies)
    finally:
        crash.server.kill()
    record_property("counted", (
        f"{scenario}: {crash.kills} kills under load and {crash.kills_in_recovery} during recovery, {crash.acknowledged} writes "
        f"acknowledged, {crash.unanswered} unanswered of which {crash.survived - crash.acknowledged} survived, "
        f"{time.monotonic() - begin:.0f} s"))
