"""A data directory goes from one server to another and back; what clients see stays the same.

Each test dumps the whole server before it is stopped or killed and after another kind of server opened the same directory.
"""

import re
import threading

import pytest

from harness import wire
from harness.dump import differences, dump_tree, from_golden
from harness.places import GOLDEN
from harness.servers import Server, copy_data, four_letter_word
from harness.waiting import eventually

from . import work

# `X` is the server under test; with Java as X the suite proves itself.
ROUTES = [("X", "java38", "X"), ("X", "java395", "X"), ("java38", "X", "java38"), ("java395", "X", "java395"), ("X", "X", "X")]


class House:
    """One data directory, opened by one server after another."""

    def __init__(self, directory, properties=None):
        self.directory = directory
        self.properties = {**work.PROPERTIES, **(properties or {})}
        self.count = 0
        self.server = None
        self.of_java = set()

    def open(self, kind):
        """The next server on the directory."""
        self.count += 1
        if self.server and self.server.kind != "zabd":
            self.of_java |= {each.name for each in self.directory.glob("data/version-2/snapshot.*")}
        self.server = Server(
            kind, self.directory / f"{self.count}-{kind}", config=work.CONFIG, properties=self.properties,
            data_dir=self.directory / "data", data_log_dir=self.directory / "log")
        return self.server.start()

    def check_log(self):
        """A successor that finds the digest wrong, or a record it cannot read, says so in its log or in its figures."""
        own_doubt = self.javas_doubt_of_its_own_snapshot()
        complaints = [line for line in self.server.complaints() if not (own_doubt and own_doubt.search(line))]
        assert not complaints, complaints[:5]
        mismatches = re.search(r"zk_digest_mismatches_count\t(\S+)", four_letter_word(self.server.port, "mntr"))
        # Java counts the promise and the record at the same transaction.
        assert mismatches and float(mismatches.group(1)) <= (2 if own_doubt else 0), mismatches

    def javas_doubt_of_its_own_snapshot(self):
        """What Java says if its own snapshot ended within a transaction: a mismatch at the one before, and at no other.

        Java notes a digest after it has changed the znodes, so the snapshot may promise a digest that is one transaction old.
        """
        log = self.server.log_text()
        read = re.findall(r"Reading snapshot \S*/(snapshot\.\S+)", log)
        promise = re.search(r"digest in the snapshot has digest version of 2, with zxid as 0x([0-9a-f]+)", log)
        if self.server.kind == "zabd" or not promise or read[-1] not in self.of_java:
            return None
        zxid = int(promise.group(1), 16)
        return re.compile(rf"Value is Zxid\. (Last )?[Vv]alue:{zxid}\b|on txn: \d+,-?\d+,{zxid},")


def assert_same(before, after):
    """The successor shows what its predecessor showed after the dump's own session had closed."""
    expected = {**before, "zxid": before["zxid_after"]}
    assert differences(expected, after) == []


@pytest.fixture
def house(tmp_path):
    houses = []

    def build(**arguments):
        houses.append(House(tmp_path / f"house-{len(houses)}", **arguments))
        return houses[-1]

    yield build
    for each in houses:
        if each.server:
            each.server.kill()


@pytest.mark.parametrize("how", ["stop", "kill"])
@pytest.mark.parametrize("route", ROUTES, ids="-to-".join)
def test_there_and_back(house, kind, route, how):
    route = [kind if each == "X" else each for each in route]
    place = house()
    server = place.open(route[0])
    left_open = work.first(server.port)
    before = dump_tree(server.port)
    getattr(server, how)()

    server = place.open(route[1])
    place.check_log()
    assert_same(before, dump_tree(server.port))
    left_open = work.second(server.port, left_open)
    before = dump_tree(server.port)
    getattr(server, how)()

    server = place.open(route[2])
    place.check_log()
    assert_same(before, dump_tree(server.port))
    resumed = wire.Session(server.port, session_id=left_open[0].session_id, password=left_open[0].password)
    assert resumed.session_id == left_open[0].session_id
    assert work.ephemerals(resumed) == sorted(["/multi-again/e", "/open-a", "/second-ephemeral"])
    resumed.end()


def change_the_root_twice(server):
    """Its data, and its children, in one transaction."""
    session = wire.Session(server.port, work.LONG_MS)
    parts = [(wire.SET_DATA, work.set_data("/", b"changed")), (wire.CREATE, wire.create_body("/child-of-the-root"))]
    work.must(session.call(wire.MULTI, wire.multi_body(parts)))
    work.must(session.create("/what-follows"))
    session.end()


@pytest.mark.parametrize("java", ["java38", "java395"])
def test_java_names_a_wrong_digest_for_the_root(house, kind, java):
    """Java plans changes of the root's data and of its children under two names, and forgets one of them for the digest in the
    record. Its own tree comes to another one, as zabd's does; for the same request zabd names what Java comes to."""
    place = house()
    server = place.open(java)
    change_the_root_twice(server)
    assert len(re.findall("First digest mismatch on txn", server.log_text())) == 1, "Java is mended: nobody need know of this"
    before = dump_tree(server.port)
    server.kill()
    server = place.open(kind)
    eventually(lambda: "Digests are not matching" in server.log_text(), what="its line in the log")
    mismatches = re.search(r"zk_digest_mismatches_count\t(\S+)", four_letter_word(server.port, "mntr"))
    assert float(mismatches.group(1)) == 1, "the record behind it is right again"
    assert_same(before, dump_tree(server.port))

    place = house()
    server = place.open("zabd")
    change_the_root_twice(server)
    place.check_log()
    server.kill()
    server = place.open(java)
    place.check_log()


OPTIONS = {
    "snapshot-gz": {"snapshot.compression.method": "gz"},
    "snapshot-snappy": {"snapshot.compression.method": "snappy"},
    "digest-off": {"digest.enabled": "false"},
    "close-session-txn-off": {"closeSessionTxn.enabled": "false"},
}


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("route", [("X", "java395"), ("java395", "X")], ids="-to-".join)
def test_options_of_the_files(house, kind, route, option):
    route = [kind if each == "X" else each for each in route]
    place = house(properties=OPTIONS[option])
    server = place.open(route[0])
    left_open = work.first(server.port)
    before = dump_tree(server.port)
    assert shown_options(place) == [option], "an option that shows nowhere proves nothing"
    server.kill()
    server = place.open(route[1])
    place.check_log()
    assert_same(before, dump_tree(server.port))
    work.second(server.port, left_open)


def shown_options(place):
    """Which of the options a running server, behind `work.first`, and its files show."""
    snapshots = [path.name for path in place.directory.glob("data/version-2/snapshot.*")]
    log = b"".join(path.read_bytes() for path in place.directory.glob("log/version-2/log.*"))
    digests = re.findall(r": (-?\d+)$", four_letter_word(place.server.port, "hash"), re.M)
    is_shown = {
        "snapshot-gz": snapshots and all(name.endswith(".gz") for name in snapshots),
        "snapshot-snappy": snapshots and all(name.endswith(".snappy") for name in snapshots),
        "digest-off": set(digests) <= {"0"},
        # A path stands in the record of its creation, and again in that of its session's end if that lists ephemerals.
        "close-session-txn-off": log.count(b"/closed-with-session") == 1,
    }
    return [option for option in OPTIONS if is_shown[option]]


def test_killed_under_load(house, kind):
    """Three servers open copies of what a killed server left, and agree on every byte; nothing acknowledged is missing."""
    place = house()
    server = place.open(kind)
    acknowledged = load_until_killed(server)
    assert len(acknowledged) > 100
    dumps = {}
    for kind in ("java38", "java395", "zabd"):
        copy = house()
        copy.directory.mkdir()
        copy_data(place.directory / "data", copy.directory / "data")
        copy_data(place.directory / "log", copy.directory / "log")
        opened = copy.open(kind)
        copy.check_log()
        dumps[kind] = dump_tree(opened.port)
        opened.kill()
    assert differences(dumps["java38"], dumps["java395"]) == []
    assert differences(dumps["java38"], dumps["zabd"]) == []
    present = {node["path"] for node in dumps["zabd"]["nodes"]}
    assert acknowledged - present == set()


def load_until_killed(server, writers=4, acknowledged_min=1500):
    """Pipelined creates from several connections, cut by SIGKILL; gives the acknowledged paths."""
    acknowledged, enough = set(), threading.Event()

    def write(writer):
        session = wire.Session(server.port, work.LONG_MS)
        try:
            for batch in range(1_000_000):
                paths = [f"/load-{writer}-{batch}-{number}" for number in range(20)]
                for number, path in enumerate(paths):
                    session.submit(wire.CREATE, wire.create_body(path, b"x" * 100, flags=number % 2))
                for path in paths:
                    reply = session.reply()
                    if reply is None:
                        return
                    assert reply.err == 0
                    acknowledged.add(path)
                if len(acknowledged) >= acknowledged_min:
                    enough.set()
        except (OSError, AssertionError):
            return

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(writers)]
    for thread in threads:
        thread.start()
    assert enough.wait(60), "too slow to acknowledge"
    server.kill()
    for thread in threads:
        thread.join()
    return acknowledged


def golden_directories():
    """(name, folder) of every golden directory."""
    folders = sorted(path.parent for path in GOLDEN.glob("java-*/*/tree.json"))
    return [("/".join(folder.parts[-2:]), folder) for folder in folders]


GOLDEN_PROPERTIES = {
    "java-3.4.14/standalone": {"snapshot.trust.empty": "true"},
    "java-3.8.0/opt-no-closesessiontxn": {"closeSessionTxn.enabled": "false"},
    "java-3.9.5/opt-digest-off": {"digest.enabled": "false"},
}


def snapshots_of(name, folder):
    """Which snapshot to start from: all as they are, and, where the golden README allows it, each older one."""
    yield None
    if name in ("java-3.8.0/standalone", "java-3.8.0/fuzzy"):
        yield from sorted((path.name for path in (folder / "version-2").glob("snapshot.*")), key=snapshot_zxid)[:-1]


def snapshot_zxid(name):
    return int(name.split(".")[1], 16)


GOLDEN_CASES = [(name, newest) for name, folder in golden_directories() for newest in snapshots_of(name, folder)]


@pytest.mark.parametrize(("name", "newest"), GOLDEN_CASES, ids=lambda value: value or "all")
def test_golden_directory(start, kind, tmp_path, name, newest):
    copy = copy_data(GOLDEN / name, tmp_path / "copy")
    nested = (copy / "data").exists()
    data = copy / "data" if nested else copy
    if newest:
        for path in (data / "version-2").glob("snapshot.*"):
            if snapshot_zxid(path.name) > snapshot_zxid(newest):
                path.unlink()
    properties = {"extendedTypesEnabled": "true", "znode.container.checkIntervalMs": 3_600_000, **GOLDEN_PROPERTIES.get(name, {})}
    server = start(
        kind, config={"maxSessionTimeout": 600_000}, properties=properties, data_dir=data,
        data_log_dir=copy / "log" if nested else None)
    expected = from_golden((copy / "tree.json").read_text())
    assert differences(expected, dump_tree(server.port)) == []
