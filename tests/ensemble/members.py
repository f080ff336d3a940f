"""Ensembles of real processes, each member zabd or Java, and what is asked of them as a whole."""

import contextlib
import re
import threading
import time

from harness import dump, wire
from harness.servers import Server, ServerFailed, free_port, four_letter_word

from . import java_log
from .network import Network

LEVEL_SECONDS_MAX = 60
# A leader that ends is heard of as an exception in Java; a tree that is another is not to be heard of at all.
COMPLAINT = re.compile(r"(?i)digests? .*not match|digest mismatch|panicked")
# A writer's ephemeral outlives the comparison of trees on a slow machine.
SESSION_MS = 600_000
# A member that hangs is left for another one then.
PATIENCE_SECONDS = 1
WRITES_PER_CREATE = 10


def kinds_by_id(kinds):
    """Members from 1 on, unless they have ids already."""
    return kinds if isinstance(kinds, dict) else {number: kind for number, kind in enumerate(kinds, 1)}


class Ensemble:
    """Servers of one list of members, on ports of their own; each may be replaced by one of another kind."""

    def __init__(
            self, kinds, directory, observers=(), config=None, properties=None, own_hosts=False, has_network=False,
            data_dirs=None, is_started=True, server=Server):
        """`config` and `properties` are every member's. With `own_hosts` each has a loopback address of its own for the others;
        with `has_network`, members reach each other through proxies. `data_dirs` gives members other directories.

        `with` starts them all, unless that is left to whoever says that they are not started. `server` makes each of them.
        """
        self.directory, self.is_started, self.server = directory, is_started, server
        self.config = {"initLimit": 10, "syncLimit": 5, "tickTime": 500, "maxSessionTimeout": SESSION_MS, **(config or {})}
        self.properties, self.own_hosts = properties or {}, own_hosts
        self.data_dirs = data_dirs or {}
        self.ports = {number: (free_port(), free_port(), free_port()) for number in kinds_by_id(kinds)}
        self.lines_differ = has_network
        self.network = None
        if has_network:
            self.network = Network({number: ports[1:] for number, ports in self.ports.items()})
        self.java_quorum_ports = set()
        self.observers = set(observers)
        self.hung = set()
        # Per member, from where to where its log speaks of a tree that has been given up since.
        self.given_up = {number: [] for number in self.ports}
        self.members = {number: self.member(number, kind) for number, kind in kinds_by_id(kinds).items()}

    def member(self, number, kind):
        config = dict(self.config)
        for other in self.ports:
            quorum, election = self.network.address(number, other) if self.network else self.ports[other][1:]
            role = ":observer" if other in self.observers else ""
            host = f"127.0.0.{other}" if self.own_hosts else "127.0.0.1"
            config[f"server.{other}"] = f"{host}:{quorum}:{election}{role}"
        directory = self.directory / f"server{number}"
        server = self.server(
            kind, directory, port=self.ports[number][0], config=config, properties=self.properties,
            data_dir=self.data_dirs.get(number))
        server.data_dir.mkdir(parents=True, exist_ok=True)
        (server.data_dir / "myid").write_text(f"{number}\n")
        if kind != "zabd":
            reached_by = [self.network.address(other, number)[0] for other in self.ports] if self.network else []
            self.java_quorum_ports.update([self.ports[number][1], *reached_by])
        return server

    def start(self):
        for server in self.members.values():
            server.start(wait=False)
        self.await_serving()
        return self

    def await_serving(self):
        """Returns when every member that runs serves."""
        for server in self.members.values():
            if server.running:
                server.await_serving()

    def replace(self, number, kind):
        """The same member, on the same data, by another program."""
        self.members[number].kill()
        self.members[number] = self.member(number, kind).start()

    def __enter__(self):
        return self.start() if self.is_started else self

    def __exit__(self, *_):
        for server in self.members.values():
            server.kill()
        if self.network:
            self.network.close()

    def cut_off(self, number, ways):
        """Holds back what comes `to` a member, what comes `from` it, or `both`, until the network heals."""
        for other in self.others(number):
            if ways != "from":
                self.network.hold(other, number)
            if ways != "to":
                self.network.hold(number, other)

    def pause(self, number):
        """A member hangs: its connections stand, nothing is answered."""
        self.members[number].pause()
        self.hung.add(number)

    def resume(self, number):
        self.hung.remove(number)
        self.members[number].resume()

    def others(self, number):
        """All members but one."""
        return [other for other in self.members if other != number]

    def mode(self, number):
        """`leader`, `follower`, `observer`, `read-only`; None while it does not serve."""
        try:
            found = re.search(r"Mode: ([\w-]+)", four_letter_word(self.members[number].port, "srvr", timeout=2))
        except OSError:
            return None
        return found and found.group(1)

    def leader(self, among=None):
        """Who leads, of all or of some; waits until somebody does."""
        deadline = time.monotonic() + LEVEL_SECONDS_MAX
        while time.monotonic() < deadline:
            for number in among or self.members:
                if number not in self.hung and self.members[number].running and self.mode(number) == "leader":
                    return number
            time.sleep(0.01)
        raise AssertionError("nobody leads")

    def lead_by(self, number, meanwhile=None):
        """Lets one of three lead, whatever their numbers: of the others one lacks what is written without it, and the other is away.

        `meanwhile` returns when something was written; by default it is written here.
        """
        if self.leader() == number:
            return
        behind, away = sorted(self.others(number), key=lambda other: other != self.leader())
        self.members[behind].kill()
        self.leader(among=(number, away))
        (meanwhile or self._write_through_two)(number)
        self.members[away].kill()
        # A leader notices some time later that it is alone; only then the two can agree.
        self.members[behind].start()
        assert self.leader() == number
        self.members[away].start(wait=False)
        self.await_serving()

    def _write_through_two(self, number):
        """What one member shows, a quorum has."""
        deadline = time.monotonic() + LEVEL_SECONDS_MAX
        self.members[number].await_serving()
        self.write_something(self.members[number].port, deadline)

    def await_level(self):
        """Returns when all running members show the same zxid, and it stays."""
        deadline = time.monotonic() + LEVEL_SECONDS_MAX
        running = {number: server for number, server in self.members.items() if server.running}
        self.await_serving()
        # A new epoch alone moves the leader's zxid and not that of who needed no snapshot: a session moves everybody's.
        self.write_something(next(iter(running.values())).port, deadline)
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

    def write_something(self, port, deadline):
        """A session, opened and closed; a member that was a leader may still have to find out that it is none."""
        while True:
            try:
                return wire.Session(port).end()
            except (OSError, wire.Closed):
                assert time.monotonic() < deadline, "a member lets no session in"
                time.sleep(0.02)

    def trees(self):
        """What every running member shows, node by node; sessions of their readers apart."""
        self.await_level()
        found = {}
        for number, server in self.members.items():
            if server.running:
                # Longer than a machine that is busy keeps a server of Java from answering.
                kind = wire.PingingSession if server.kind == "java38" else wire.Session
                session = kind(server.port, timeout_ms=60_000)
                session.auth("digest", "super:test")
                found[number] = dump.read_nodes(session, sorted(dump.all_paths(session)))
                for node in found[number]:
                    if node["path"] == "/zookeeper/config":
                        # Every member sets it for itself when it begins to serve, to what its own lines say.
                        node["stat"]["mtime"] = 0
                        if self.lines_differ:
                            node["data"], node["stat"]["dataLength"] = "", 0
                session.end()
        return found

    def assert_equal_trees(self):
        found = self.trees()
        (first, expected), *others = found.items()
        for number, nodes in others:
            lines = dump.differences({"nodes": expected}, {"nodes": nodes})
            assert not lines, f"server {number} differs from server {first}:\n" + "\n".join(lines)
        for number, server in self.members.items():
            log = server.log_text()
            for start, end in reversed(self.given_up[number]):
                log = log[:start] + log[end:]
            complaints = self.complaints(log)
            assert not complaints, f"server {number}: {complaints}"

    def complaints(self, log):
        """The lines that say that a tree is another.

        Java complains without a cause behind a snapshot that it got from a Java leader under load: the stream holds more
        transactions than it says, and their records' digests are compared all the same (`DataTree.compareDigest`). What it
        says then proves nothing; the comparison of the trees does. Nor does what Java 3.8 says of what it has logged twice, or
        while a role ends, or what a thread of any Java says that outlives its role (`java_log`).
        """
        found, leader_port, proves_nothing, is_ending_role, outlives_role = [], 0, False, False, False
        for line in log.splitlines():
            if connected := re.search(r"Successfully connected to leader, using address: \S+?:(\d+)$", line):
                leader_port, proves_nothing = int(connected.group(1)), False
            if "Getting a snapshot from leader" in line:
                proves_nothing = leader_port in self.java_quorum_ports
            is_ending_role = java_log.is_ending_role(line, is_ending_role)
            outlives_role = java_log.outlives_role(line, outlives_role)
            if not COMPLAINT.search(line):
                continue
            is_of_old_role = is_ending_role or outlives_role and line.startswith("[CommitProcessor:")
            if "igest" in line and (proves_nothing or is_of_old_role or java_log.is_written_twice(line, log)):
                continue
            found.append(line)
        return found


class PatientSession(wire.Session):
    """A session that waits for its server only so long."""

    def frame(self, timeout=PATIENCE_SECONDS):
        return super().frame(timeout)


class Writer(threading.Thread):
    """Writes one value after the other to a znode of its own, through whichever member takes it, creates a node for every
    tenth, and remembers what was acknowledged: at the end all of it is there, and nothing that was not asked for.

    It holds one ephemeral in one session all along. What it is told never goes back, whomever it asks.
    """

    def __init__(self, ensemble, number, payload=b""):
        super().__init__()
        self.ensemble, self.number, self.payload = ensemble, number, payload
        self.path = f"/writer-{number}"
        self.session_id, self.password = 0, bytes(16)
        self.session = None
        self.asked = self.acknowledged = 0
        self.last_zxid = 0
        self.is_ready = False
        self.sets_asked = self.sets_acknowledged = 0
        self.created_asked, self.created = set(), set()
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
            xid = self.session.xid if self.session else 0
            session = PatientSession(port, SESSION_MS, self.session_id, self.password, self.last_zxid, xid)
        except (OSError, wire.Closed):
            time.sleep(0.005)
            self.asked += 1
            return
        self.go_on_with(session)

    def go_on_with(self, session):
        """Reads, and then writes for as long as this connection of the session lasts."""
        assert session.session_id, f"the session 0x{self.session_id:x} is gone"
        self.session_id, self.password, self.session = session.session_id, session.password, session
        try:
            if not self.is_ready:
                create(session, self.path, 0)
                create(session, self.path + "-ephemeral", 1)
                self.is_ready = True
            self.read(session)
            self.write(session)
        except (OSError, wire.Closed):
            session.close()

    def read(self, session):
        """Whoever has been told of a write is told of it by everybody."""
        reply = session.call(wire.GET_DATA, wire.Writer().ustring(self.path).boolean(False).bytes)
        assert reply.err == 0, f"{self.path} is not there: {reply.err}"
        found = number_in(reply.reader().buffer())
        assert self.acknowledged <= found <= self.asked, (
            f"{self.path} is {found} for a client that knows of {self.acknowledged}")

    def write(self, session):
        while not self.ends.is_set():
            self.asked += 1
            if self.asked % WRITES_PER_CREATE == 0:
                name = f"{self.path}/{self.asked}"
                self.created_asked.add(name)
                self.acknowledge(session.create(name))
                self.created.add(name)
            self.sets_asked += 1
            data = str(self.asked).encode() + b" " + self.payload
            self.acknowledge(session.call(wire.SET_DATA, wire.Writer().ustring(self.path).buffer(data).int(-1).bytes))
            self.sets_acknowledged += 1
            self.acknowledged = self.asked
            now = time.monotonic()
            self.gaps.append(now - self.last)
            self.last = now
        session.close()

    def acknowledge(self, reply):
        if reply.err == -118:
            raise wire.Closed("the session has moved")
        assert reply.err == 0, f"a write was refused with {reply.err}"
        assert self.last_zxid < reply.zxid, f"0x{reply.zxid:x} was acknowledged after 0x{self.last_zxid:x}"
        self.last_zxid = reply.zxid

    def stop(self):
        self.ends.set()
        self.join()
        if self.failure:
            raise self.failure

    def assert_kept(self, nodes):
        """Holds the ledger against one member's tree."""
        by_path = self.assert_writes_kept(nodes)
        owner = by_path[self.path + "-ephemeral"]["stat"]["ephemeralOwner"]
        assert owner == self.session_id, "an ephemeral is not its session's"

    def assert_writes_kept(self, nodes):
        """The same without the ephemeral; gives the nodes by their paths."""
        by_path = {node["path"]: node for node in nodes}
        node = by_path[self.path]
        found, sets = number_in(dump.base64.b64decode(node["data"])), node["stat"]["version"]
        assert self.acknowledged <= found <= self.asked, (
            f"{self.path} is {found}, {self.acknowledged} was acknowledged, {self.asked} was asked for")
        assert self.sets_acknowledged <= sets <= self.sets_asked, (
            f"{self.path} was set {sets} times, {self.sets_acknowledged} acknowledged, {self.sets_asked} asked for")
        children = {path for path in by_path if path.startswith(self.path + "/")}
        assert not self.created - children, f"acknowledged and lost: {sorted(self.created - children)}"
        assert not children - self.created_asked, f"never asked for: {sorted(children - self.created_asked)}"
        return by_path


def await_progress(writers, count=20):
    """Returns when every writer has had so many more writes acknowledged."""
    goals = [len(writer.gaps) + count for writer in writers]
    deadline = time.monotonic() + LEVEL_SECONDS_MAX
    while any(len(writer.gaps) < goal for writer, goal in zip(writers, goals)):
        failures = [writer.failure for writer in writers if writer.failure]
        assert not failures, failures
        assert time.monotonic() < deadline, "nobody takes writes"
        time.sleep(0.005)


def finish(ensemble, writers):
    """Ends the writers and compares everything."""
    for writer in writers:
        writer.stop()
    trees = ensemble.trees()
    for nodes in trees.values():
        for writer in writers:
            writer.assert_kept(nodes)
    ensemble.assert_equal_trees()


def number_in(data):
    """The number that a writer has put there."""
    return int(data.split()[0])


def create(session, path, flags):
    body = wire.Writer().ustring(path).buffer(b"0").acl(wire.OPEN_ACL).int(flags).bytes
    reply = session.call(wire.CREATE, body)
    assert reply.err in (0, -110), f"{path}: {reply.err}"


@contextlib.contextmanager
def asking(clients):
    """These threads ask meanwhile, each until its `ends` is set, and none has come to a `failure`."""
    for client in clients:
        client.start()
    try:
        yield
    finally:
        for client in clients:
            client.ends.set()
        for client in clients:
            client.join()
    assert_unharmed(clients)


def assert_unharmed(clients):
    """None of these threads has come to a failure."""
    failures = [client.failure for client in clients if client.failure]
    assert not failures, failures
