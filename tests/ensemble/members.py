"""Ensembles of real processes, each member zabd or Java, and what is asked of them as a whole."""

import re
import threading
import time

from harness import dump, wire
from harness.servers import Server, ServerFailed, free_port, four_letter_word

LEVEL_SECONDS_MAX = 60
# A leader that ends is heard of as an exception in Java; a tree that is another is not to be heard of at all.
COMPLAINT = re.compile(r"(?i)digests? .*not match|digest mismatch|panicked")
SESSION_MS = 20_000


def kinds_by_id(kinds):
    """Members from 1 on."""
    return {number: kind for number, kind in enumerate(kinds, 1)}


class Ensemble:
    """Servers of one list of members, on ports of their own; each may be replaced by one of another kind."""

    def __init__(self, kinds, directory, observers=(), config=None, properties=None, own_hosts=False):
        """`config` and `properties` are every member's. With `own_hosts` each has a loopback address of its own for the others."""
        self.directory = directory
        self.config, self.properties = config or {}, properties or {}
        self.own_hosts = own_hosts
        self.ports = {number: (free_port(), free_port(), free_port()) for number in kinds_by_id(kinds)}
        self.java_quorum_ports = set()
        self.observers = set(observers)
        self.members = {number: self.member(number, kind) for number, kind in kinds_by_id(kinds).items()}

    def member(self, number, kind):
        config = {"initLimit": 10, "syncLimit": 5, "tickTime": 500, **self.config}
        for other, (_, quorum, election) in self.ports.items():
            role = ":observer" if other in self.observers else ""
            host = f"127.0.0.{other}" if self.own_hosts else "127.0.0.1"
            config[f"server.{other}"] = f"{host}:{quorum}:{election}{role}"
        directory = self.directory / f"server{number}"
        server = Server(kind, directory, port=self.ports[number][0], config=config, properties=self.properties)
        server.data_dir.mkdir(parents=True, exist_ok=True)
        (server.data_dir / "myid").write_text(f"{number}\n")
        if kind != "zabd":
            self.java_quorum_ports.add(self.ports[number][1])
        return server

    def start(self):
        for server in self.members.values():
            server.start(wait=False)
        for server in self.members.values():
            server.await_serving()
        return self

    def replace(self, number, kind):
        """The same member, on the same data, by another program."""
        self.members[number].kill()
        self.members[number] = self.member(number, kind).start()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        for server in self.members.values():
            server.kill()

    def mode(self, number):
        """`leader`, `follower`, `observer`, `read-only`; None while it does not serve."""
        try:
            found = re.search(r"Mode: ([\w-]+)", four_letter_word(self.members[number].port, "srvr", timeout=2))
        except OSError:
            return None
        return found and found.group(1)

    def leader(self):
        """Who leads; waits until somebody does."""
        deadline = time.monotonic() + LEVEL_SECONDS_MAX
        while time.monotonic() < deadline:
            for number, server in self.members.items():
                if server.running and self.mode(number) == "leader":
                    return number
            time.sleep(0.01)
        raise AssertionError("nobody leads")

    def await_level(self):
        """Returns when all running members show the same zxid, and it stays."""
        deadline = time.monotonic() + LEVEL_SECONDS_MAX
        # A new epoch alone moves the leader's zxid and not that of who needed no snapshot: a session moves everybody's.
        running = {number: server for number, server in self.members.items() if server.running}
        wire.Session(next(iter(running.values())).port).end()
        before = None
        while time.monotonic() < deadline:
            try:
                zxids = {dump.last_zxid(server.port) for server in running.values()}
            except (OSError, AttributeError):
                zxids = set()
            if len(zxids) == 1 and zxids == before:
                return
            before = zxids
            time.sleep(0.2)
        raise AssertionError(f"members are not level: {before}")

    def trees(self):
        """What every running member shows, node by node; sessions of their readers apart."""
        self.await_level()
        found = {}
        for number, server in self.members.items():
            if server.running:
                session = wire.Session(server.port)
                session.auth("digest", "super:test")
                found[number] = dump.read_nodes(session, sorted(dump.all_paths(session)))
                for node in found[number]:
                    if node["path"] == "/zookeeper/config":
                        # Every member sets it for itself when it begins to serve.
                        node["stat"]["mtime"] = 0
                session.end()
        return found

    def assert_equal_trees(self):
        found = self.trees()
        (first, expected), *others = found.items()
        for number, nodes in others:
            lines = dump.differences({"nodes": expected}, {"nodes": nodes})
            assert not lines, f"server {number} differs from server {first}:\n" + "\n".join(lines)
        for number, server in self.members.items():
            complaints = self.complaints(server.log_text())
            assert not complaints, f"server {number}: {complaints}"

    def complaints(self, log):
        """The lines that say that a tree is another.

        Java complains without a cause behind a snapshot that it got from a Java leader under load: the stream holds more
        transactions than it says, and their records' digests are compared all the same (`DataTree.compareDigest`). What it
        says then proves nothing; the comparison of the trees does.
        """
        found, leader_port, proves_nothing = [], 0, False
        for line in log.splitlines():
            if connected := re.search(r"Successfully connected to leader, using address: \S+?:(\d+)$", line):
                leader_port, proves_nothing = int(connected.group(1)), False
            if "Getting a snapshot from leader" in line:
                proves_nothing = leader_port in self.java_quorum_ports
            if COMPLAINT.search(line) and not (proves_nothing and "igest" in line):
                found.append(line)
        return found


class Writer(threading.Thread):
    """Writes one value after the other to a znode of its own, through whichever member takes it, and remembers what was
    acknowledged: the value that is there at the end may be newer than that, never older.

    It holds one ephemeral in one session all along.
    """

    def __init__(self, ensemble, number):
        super().__init__()
        self.ensemble, self.number = ensemble, number
        self.path = f"/writer-{number}"
        self.session_id, self.password = 0, bytes(16)
        self.asked = self.acknowledged = 0
        self.gaps = []
        self.last = time.monotonic()
        self.failure = None
        self.ends = threading.Event()

    def run(self):
        try:
            while not self.ends.is_set():
                self.write_through_somebody()
        except Exception as failure:  # pylint: disable=broad-except
            self.failure = failure

    def write_through_somebody(self):
        ports = [server.port for server in self.ensemble.members.values()]
        port = ports[(self.number + self.asked) % len(ports)]
        try:
            session = wire.Session(port, SESSION_MS, self.session_id, self.password)
        except (OSError, wire.Closed):
            time.sleep(0.005)
            self.asked += 1
            return
        assert session.session_id, f"the session 0x{self.session_id:x} is gone"
        is_new = self.session_id == 0
        self.session_id, self.password = session.session_id, session.password
        try:
            if is_new:
                create(session, self.path, 0)
                create(session, self.path + "-ephemeral", 1)
            self.write(session)
        except (OSError, wire.Closed):
            session.close()

    def write(self, session):
        while not self.ends.is_set():
            self.asked += 1
            body = wire.Writer().ustring(self.path).buffer(str(self.asked).encode()).int(-1).bytes
            reply = session.call(wire.SET_DATA, body)
            if reply.err == -118:
                raise wire.Closed("the session has moved")
            assert reply.err == 0, f"a write was refused with {reply.err}"
            self.acknowledged = self.asked
            now = time.monotonic()
            self.gaps.append(now - self.last)
            self.last = now
        session.close()

    def stop(self):
        self.ends.set()
        self.join()
        if self.failure:
            raise self.failure

    def assert_kept(self, nodes):
        """Holds the ledger against one member's tree."""
        by_path = {node["path"]: node for node in nodes}
        found = int(dump.base64.b64decode(by_path[self.path]["data"]))
        assert self.acknowledged <= found <= self.asked, (
            f"{self.path} is {found}, {self.acknowledged} was acknowledged, {self.asked} was asked for")
        owner = by_path[self.path + "-ephemeral"]["stat"]["ephemeralOwner"]
        assert owner == self.session_id, "an ephemeral is not its session's"


def create(session, path, flags):
    body = wire.Writer().ustring(path).buffer(b"0").acl(wire.OPEN_ACL).int(flags).bytes
    reply = session.call(wire.CREATE, body)
    assert reply.err in (0, -110), f"{path}: {reply.err}"
