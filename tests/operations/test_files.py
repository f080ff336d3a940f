"""What the keys of log and snapshots do to the files: the same to Java's and to zabd's."""

import itertools
import os
import re
import subprocess
import time
import zlib
from pathlib import Path

import pytest

from harness import places, wire
from harness.servers import die_with_parent, four_letter_word, free_port
from harness.snapshots import node, write_snapshot
from harness.waiting import eventually
from harness.wire import Writer

from .conftest import figures

BOTH = pytest.mark.parametrize("each", ["java395", "X"])
LONG_MS = 30_000
HEADER_BYTES = 16


@pytest.fixture
def begin(start, kind):
    """`begin(each, config, **properties)`: a server of that kind, and a session with it."""

    def run(each, config=None, **properties):
        properties = {key.replace("_", "."): value for key, value in properties.items()}
        server = start(kind if each == "X" else each, config=config, properties=properties)
        return server, wire.Session(server.port, LONG_MS)

    return run


def files(server, prefix):
    """The files of one sort, by the zxid in their names, the oldest first."""
    found = [path for path in (server.data_dir / "version-2").iterdir() if path.name.startswith(f"{prefix}.")]
    return sorted(found, key=zxid_of)


def zxid_of(path):
    return int(path.name.split(".")[1], 16)


def write(session, count, size=10, batch=50):
    """So many transactions, pipelined; gives the last zxid."""
    zxid = 0
    for begin in range(0, count, batch):
        sent = [session.submit(wire.SET_DATA, set_body(size)) for _ in range(min(batch, count - begin))]
        for xid in sent:
            reply = session.reply()
            assert (reply.xid, reply.err) == (xid, 0)
            zxid = reply.zxid
    return zxid


def set_body(size):
    return bytes(Writer().ustring("/").buffer(b"x" * size).int(-1).bytes)


# --- When a file ends and the next begins ---------------------------------------------------------------------------


@BOTH
def test_a_snapshot_is_taken_between_half_of_snap_count_and_all_of_it(begin, each):
    server, session = begin(each, snapCount=40)
    last = 0
    while last < 400:
        last = write(session, 5)
        # One that falls due while another is taken is left out, by Java's server, too.
        assert eventually(lambda: len(files(server, "snapshot")) >= len(files(server, "log")))
    assert eventually(lambda: len(files(server, "snapshot")) > last // 41)
    # A log ends where a snapshot begins; the record that completes the count is the last in its file.
    begins = [zxid_of(path) for path in files(server, "log")]
    lengths = [later - earlier for earlier, later in zip(begins, begins[1:])]
    assert len(lengths) > 400 // 41 and all(20 <= length <= 41 for length in lengths), lengths


@BOTH
def test_short_lives_take_snapshots_too(start, kind, each):
    """No life is long enough for one, and still the log behind the newest stays short, and purges find something to remove."""
    lives = 12 if each == "X" else 5
    server = start(kind if each == "X" else each, config={"snapCount": 40, "autopurge.purgeInterval": 1})
    for _ in range(lives):
        last = write(wire.Session(server.port, LONG_MS), 15)
        # Java takes one at every start.
        assert eventually(lambda: last - zxid_of(files(server, "snapshot")[-1]) <= 41), files(server, "snapshot")
        server.kill()
        server.start()
    assert last >= lives * 16
    if each == "X":
        assert eventually(lambda: zxid_of(files(server, "log")[0]) > 1), "the first log is purged"
        assert eventually(lambda: len(files(server, "snapshot")) <= 4)


def test_what_many_lives_left_is_in_a_snapshot_soon(start, only_zabd):
    """A start finds more than is to be between two snapshots: it serves, and takes one without waiting for a write."""
    server = start("zabd", config={"snapCount": 100_000})
    last = write(wire.Session(server.port, LONG_MS), 200)
    server.kill()
    assert [path.name for path in files(server, "snapshot")] == ["snapshot.0"]
    server.config["snapCount"] = 100
    for _ in range(2):
        server.start()
        assert eventually(lambda: zxid_of(files(server, "snapshot")[-1]) == last)
        server.kill()
    assert [zxid_of(path) for path in files(server, "snapshot")] == [0, last], "one is enough"


def test_a_start_reads_little_of_logs_that_it_needs_nothing_of(begin, only_zabd):
    """They came out of a backup that keeps no holes: what was taken ahead in each of them is real zeros now."""
    ahead_kb = 4096
    server, session = begin("zabd", snapCount=4, preAllocSize=ahead_kb)
    last = 0
    while len(files(server, "log")) < 30:
        last = write(session, 5)
        assert eventually(lambda: last - zxid_of(files(server, "snapshot")[-1]) <= 5)
    server.kill()
    for path in files(server, "log"):
        data = path.read_bytes()
        path.write_bytes(data.ljust(ahead_kb * 1024, b"\0"))
    server.start()
    read = int(re.search(r"rchar: (\d+)", Path(f"/proc/{server.process.pid}/io").read_text()).group(1))
    assert read < 8 * ahead_kb * 1024, "the newest one or two, more than once, and not thirty"
    assert write(wire.Session(server.port, LONG_MS), 1) > last


@BOTH
def test_a_snapshot_count_below_2_is_2(begin, each):
    server, session = begin(each, snapCount=1)
    for _ in range(10):
        write(session, 1)
    assert eventually(lambda: len(files(server, "log")) >= 5)


def test_a_snapshot_is_taken_by_size_of_the_log(begin, only_zabd):
    """Java counts the room ahead too, so that there is nothing to compare."""
    server, session = begin("zabd", snapSizeLimitInKb=100)
    write(session, 300, size=1000)
    assert eventually(lambda: len(files(server, "snapshot")) >= 300 // 101)
    assert len(files(server, "log")) >= 300 // 101


@BOTH
def test_a_log_ends_at_its_size(begin, each):
    server, session = begin(each, preAllocSize=1, txnLogSizeLimitInKb=10)
    for _ in range(10):
        write(session, 5, size=1000, batch=1)
    logs = files(server, "log")
    assert 4 <= len(logs) <= 12, [path.name for path in logs]
    # Java counts the room ahead, zabd what is written.
    assert all(10_240 < path.stat().st_size < 10_240 + 2 * 1100 + 4096 + 1024 for path in logs[:-1])
    assert [path.name for path in files(server, "snapshot")] == ["snapshot.0"], "no snapshot goes with it"


@BOTH
def test_a_log_takes_room_ahead_in_steps(begin, each):
    server, session = begin(each, preAllocSize=64)
    sizes = []
    for count in (1, 49, 60):
        write(session, count, size=1000, batch=1)
        (log,) = files(server, "log")
        sizes.append(log.stat().st_size)
    assert sizes == [HEADER_BYTES + (steps << 16) for steps in (1, 1, 2)]
    data = log.read_bytes()
    assert data[:HEADER_BYTES].hex() == "5a4b4c47000000020000000000000000"
    assert not any(data[-3000:]), "the room is zeros"


@BOTH
@pytest.mark.parametrize("is_torn", [False, True])
def test_a_log_that_may_only_be_read_is_enough(start, kind, each, is_torn):
    """As after a restore by somebody else: what is in it is served, and the next transaction begins a file of its own."""
    server = start(kind if each == "X" else each)
    last = write(wire.Session(server.port, LONG_MS), 5)
    server.kill()
    (log,) = files(server, "log")
    if is_torn:
        data = log.read_bytes().rstrip(b"\0")
        log.write_bytes(data[:-3])
        last -= 1
    log.chmod(0o444)
    assert log.stat().st_uid == os.geteuid()
    command = server.command()
    if os.geteuid() == 0:
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    server.command = lambda: command
    for life in range(2):
        server.start()
        assert write(wire.Session(server.port, LONG_MS), 1) == last + 2 * (life + 1)
        server.kill()
    assert [zxid_of(path) for path in files(server, "log")][:2] == [1, last + 1]
    assert not server.complaints()


# --- What is in a snapshot ------------------------------------------------------------------------------------------


SNAPSHOT_OPTIONS = {
    "as it is": {},
    "without digest": {"digest.enabled": "false"},
    "without last zxid": {"serializeLastProcessedZxid.enabled": "false"},
    "without both": {"digest.enabled": "false", "serializeLastProcessedZxid.enabled": "false"},
}


@pytest.mark.parametrize("option", SNAPSHOT_OPTIONS)
def test_the_first_snapshot_has_the_sections_of_javas(start, kind, option):
    """Not its bytes: Java writes the children of `/zookeeper` in the order of its hash table, and no digest at zxid 0."""
    taken = []
    for each in ("java395", kind):
        server = start(each, properties=SNAPSHOT_OPTIONS[option])
        (snapshot,) = files(server, "snapshot")
        data = snapshot.read_bytes()
        end = data.index(b"\0\0\0\x01/") + 5
        taken.append((snapshot.name, sorted(data[:end]), len(data)))
    assert taken[0] == taken[1]


@BOTH
@pytest.mark.parametrize(("method", "suffix", "magic"), [
    ("", "", b"ZKSN"), ("gz", ".gz", b"\x1f\x8b\x08"), ("snappy", ".snappy", b"\x82SNAPPY"), ("lzma", "", b"ZKSN")])
def test_a_snapshot_is_compressed_as_configured(begin, each, method, suffix, magic):
    server, _ = begin(each, **{"snapshot.compression.method": method})
    (snapshot,) = files(server, "snapshot")
    assert snapshot.name == f"snapshot.0{suffix}"
    assert snapshot.read_bytes().startswith(magic)


@BOTH
def test_without_digests_there_are_none(begin, each):
    server, session = begin(each, **{"digest.enabled": "false"})
    write(session, 300)
    assert re.findall(r": (-?\d+)$", four_letter_word(server.port, "hash"), re.M) in ([], ["0", "0"])
    server.kill()
    if server.kind == "zabd":
        # Java 3.9.5 does not read its own snapshot then: it takes the last zxid for the digest.
        server.properties["digest.enabled"] = "true"
    server.start()
    assert figures(server)["digest_mismatches_count"] == "0"


@BOTH
def test_nodes_of_3_5_3_with_a_time_to_live(start, kind, each):
    """Release 3.5.3 wrote the highest bit and the milliseconds for an owner; later ones write eight bits and the milliseconds."""
    ttl_ms = 123
    # A file with neither digest nor last zxid ends with its checksum.
    properties = {"extendedTypesEnabled": "true", "znode.container.checkIntervalMs": 3_600_000, **SNAPSHOT_OPTIONS["without both"]}
    server = start(kind if each == "X" else each, properties={**properties, "snapCount": 4})
    session = wire.Session(server.port, LONG_MS)
    assert session.create("/old", flags=5, opcode=wire.CREATE_TTL, ttl=ttl_ms).err == 0
    write(session, 40, batch=1)
    assert eventually(lambda: len(files(server, "snapshot")) > 3)
    server.stop()
    # The last one may be in the making.
    newest = files(server, "snapshot")[-2]
    for path in (*files(server, "snapshot"), *files(server, "log")):
        if path != newest:
            path.unlink()
    data = newest.read_bytes()
    of_today, of_3_5_3 = ((mark << 56 | ttl_ms).to_bytes(8, "big") for mark in (0xFF, 0x80))
    assert data.count(of_today) == 1 and data.endswith(b"\0\0\0\x01/")
    data = data[:-13].replace(of_today, of_3_5_3)
    newest.write_bytes(data + zlib.adler32(data).to_bytes(8, "big") + b"\0\0\0\x01/")
    server.properties = {**properties, "emulate353TTLNodes": "true"}
    exists = wire.Writer().ustring("/old").boolean(False).bytes
    stat = wire.Session(server.start().port, LONG_MS).call(wire.EXISTS, exists).reader().stat()
    assert stat["ephemeralOwner"] == 0, "it is no ephemeral, whose session would be gone"
    server.stop()
    server.properties["znode.container.checkIntervalMs"] = 50
    session = wire.Session(server.start().port, LONG_MS)
    assert eventually(lambda: session.call(wire.EXISTS, exists).err == -101), "its time is over"


# --- When a write is durable ----------------------------------------------------------------------------------------


@BOTH
def test_without_force_sync_nothing_is_synced(begin, each):
    server, session = begin(each, forceSync="no")
    write(session, 20)
    shown = figures(server)
    assert (shown["cnt_fsynctime"], shown["sum_sync_processor_batch_size"]) == ("0", "21")


@BOTH
def test_a_flush_delay_counts_from_the_sync_before(begin, each):
    """The delay is far longer than the test may take, so whoever waits for it without need does not pass."""
    server, session = begin(each, flushDelay=60_000, maxWriteQueuePollTime=400)
    write(session, 1)
    started = time.monotonic()
    write(session, 1)
    took = time.monotonic() - started
    assert 0.35 < took < 30, "the queue is empty for as long as maxWriteQueuePollTime says"


@BOTH
def test_a_full_batch_waits_for_nobody(begin, each):
    server, session = begin(each, flushDelay=60_000, maxWriteQueuePollTime=2_000, maxBatchSize=10)
    started = time.monotonic()
    write(session, 50, batch=10)
    assert time.monotonic() - started < 2, "five batches, none of which had to wait for the pause"


# --- What goes ------------------------------------------------------------------------------------------------------


@BOTH
def test_a_purge_at_start_keeps_what_is_needed(start, kind, each):
    server = start(kind if each == "X" else each, properties={"snapCount": 10, "preAllocSize": 16})
    session = wire.Session(server.port, LONG_MS)
    for _ in range(20):
        write(session, 10, batch=1)
    eventually(lambda: len(files(server, "snapshot")) > 12)
    server.kill()
    snapshots = files(server, "snapshot")
    # A snapshot that was cut short is no snapshot, so it does not count among those that are kept.
    snapshots[-1].write_bytes(snapshots[-1].read_bytes()[:-3])
    logs = files(server, "log")
    server.config |= {"autopurge.snapRetainCount": 4, "autopurge.purgeInterval": 1}
    server.start()

    def is_purged():
        """A start may owe a snapshot for what the log holds, and the purge may come before it or behind it."""
        taken = [path for path in files(server, "snapshot") if path not in snapshots]
        for counted in {len(taken), 0}:
            oldest = [*snapshots[:-1], *taken[:counted]][-4]
            needed = {path for path in logs if zxid_of(path) > zxid_of(oldest)}
            needed.add(max((path for path in logs if zxid_of(path) <= zxid_of(oldest)), key=zxid_of))
            kept = {path for path in snapshots if zxid_of(path) >= zxid_of(oldest)}
            if set(files(server, "snapshot")) == kept | set(taken) and set(files(server, "log")) & set(logs) == needed:
                return len(taken) <= 1
        return False

    assert eventually(is_purged), (files(server, "snapshot"), files(server, "log"))


@BOTH
def test_fewer_than_three_snapshots_are_never_kept(start, kind, each):
    server = start(kind if each == "X" else each, properties={"snapCount": 10, "preAllocSize": 16})
    session = wire.Session(server.port, LONG_MS)
    for _ in range(20):
        write(session, 10, batch=1)
    eventually(lambda: len(files(server, "snapshot")) > 12)
    server.kill()
    before = files(server, "snapshot")
    server.config |= {"autopurge.snapRetainCount": 1, "autopurge.purgeInterval": 1}
    server.start()

    def is_purged():
        """A start may owe a snapshot for what the log holds, and the purge may come before it or behind it."""
        left = files(server, "snapshot")
        taken = [path for path in left if path not in before]
        return len(taken) <= 1 and left in (before[-3:] + taken, (before + taken)[-3:])

    assert eventually(is_purged), files(server, "snapshot")
    if kind != "java395" and each == "X":
        assert "Invalid autopurge.snapRetainCount: 1. Defaulting to 3" in server.log_text()


# --- What a start makes of damage -----------------------------------------------------------------------------------


@BOTH
def test_a_damaged_snapshot_gives_way_to_the_one_before(start, kind, each):
    server = start(kind if each == "X" else each, properties={"snapCount": 20, "preAllocSize": 16})
    session = wire.Session(server.port, LONG_MS)
    last = write(session, 100, batch=1)
    eventually(lambda: len(files(server, "snapshot")) > 3)
    server.kill()
    newest = files(server, "snapshot")[-1]
    newest.write_bytes(newest.read_bytes()[:-7])
    server.start()
    shown = re.search(r"Zxid: (0x[0-9a-f]+)", four_letter_word(server.port, "srvr")).group(1)
    assert int(shown, 16) == last


@BOTH
def test_javas_tools_read_every_file(start, kind, each):
    """TxnLogToolkit and SnapshotFormatter, each file to its end."""
    properties = {"snapCount": 30, "extendedTypesEnabled": "true", "snapshot.compression.method": "gz"}
    server = start(kind if each == "X" else each, config={"preAllocSize": 64}, properties=properties)
    session = wire.Session(server.port, LONG_MS)
    for number in range(60):
        assert session.create(f"/n{number}", b"x" * number).err == 0
    assert session.create("/ttl", b"", 5, opcode=wire.CREATE_TTL, ttl=100_000).err == 0
    assert session.create("/container", b"", 4, opcode=wire.CREATE_CONTAINER).err == 0
    assert session.create("/n1", b"").err == -110
    session.create("/ephemeral", b"", 1)
    both = wire.multi_body([
        (wire.CREATE, wire.create_body("/both", b"")), (wire.DELETE, bytes(Writer().ustring("/both").int(0).bytes))])
    assert session.call(wire.MULTI, both).err == 0
    # One that becomes due before the one in front of it has begun is the same.
    more = itertools.count()

    def are_three():
        assert session.create(f"/more-{next(more)}").err == 0
        return len(files(server, "snapshot")) > 2

    eventually(are_three, what="three snapshots")
    last = session.call(wire.CLOSE_SESSION).zxid
    server.stop()
    logged = [line for path in files(server, "log") for line in tool("persistence.TxnLogToolkit", path)]
    # Each transaction is one line, with its zxid; what it did stands behind its kind.
    zxids = [int(found[1], 16) for found in map(re.compile(r" zxid (0x\w+) ").search, logged) if found]
    assert zxids == list(range(1, last + 1))
    for kind_of in ("createSession", "create", "createTTL", "createContainer", "error", "multi", "closeSession"):
        assert any(f" {kind_of} " in f"{line} " for line in logged), kind_of
    newest = tool("SnapshotFormatter", files(server, "snapshot")[-1])
    assert "/n1" in newest


def tool(name, path):
    """What a tool of Java's server prints about a file."""
    command = ["java", "-cp", places.JAVA395_CLASSPATH, f"org.apache.zookeeper.server.{name}", "-d", path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, preexec_fn=die_with_parent)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@BOTH
def test_when_no_snapshot_is_whole_nothing_begins_empty(start, ends, kind, each):
    """Not even if there are no logs: the nodes of the snapshots would be gone without a word, as they are in Java."""
    server = start(kind if each == "X" else each, properties={"snapCount": 20})
    session = wire.Session(server.port, LONG_MS)
    session.create("/there", b"")
    write(session, 100, batch=1)
    assert eventually(lambda: len(files(server, "snapshot")) > 1)
    server.kill()
    for log in files(server, "log"):
        log.unlink()
    for snapshot in files(server, "snapshot"):
        snapshot.write_bytes(snapshot.read_bytes()[:-7])
    if server.kind != "zabd":
        server.start()
        assert wire.Session(server.port, LONG_MS).create("/there", b"").err == 0
        return
    ended = ends("zabd", *server.command()[1:])
    assert ended.status == 1
    assert ended.err.startswith(f"none of the snapshots in {server.data_dir}/version-2 is whole, restore one from a copy")


def test_damage_in_a_log_is_named_and_nothing_is_touched(start, ends, only_zabd):
    server = start("zabd", properties={"preAllocSize": 16})
    session = wire.Session(server.port, LONG_MS)
    write(session, 100)
    server.kill()
    (log,) = files(server, "log")
    data = bytearray(log.read_bytes())
    data[2000] ^= 0xFF
    log.write_bytes(data)
    names = sorted(path.name for path in log.parent.iterdir())
    ended = ends("zabd", *server.command()[1:])
    assert ended.status == 1
    said = re.match(rf"{log}: (.+) at offset (\d+); (.+)", ended.err.splitlines()[0])
    assert said and 1900 < int(said.group(2)) <= 2000, ended.err
    assert "restore the file from a copy" in said.group(3)
    assert "Unexpected exception, exiting abnormally" in ended.out
    assert log.read_bytes() == data and sorted(path.name for path in log.parent.iterdir()) == names


@BOTH
def test_logs_without_a_snapshot_are_refused_unless_they_are_trusted(start, ends, kind, each):
    server = start(kind if each == "X" else each)
    session = wire.Session(server.port, LONG_MS)
    last = write(session, 30)
    server.kill()
    for snapshot in files(server, "snapshot"):
        snapshot.unlink()
    ended = ends(server.kind, *(server.command()[1:] if server.kind == "zabd" else [server.directory / "zoo.cfg"]))
    assert ended.status == 1
    if server.kind == "zabd":
        assert "holds logs, but" in ended.err and "snapshot.trust.empty=true once" in ended.err
    server.properties["snapshot.trust.empty"] = "true"
    server.start()
    shown = re.search(r"Zxid: (0x[0-9a-f]+)", four_letter_word(server.port, "srvr")).group(1)
    assert int(shown, 16) == last
    # ZOOKEEPER-3781: once is enough.
    eventually(lambda: files(server, "snapshot"), what="a snapshot of what was trusted")
    server.kill()
    del server.properties["snapshot.trust.empty"]
    server.start()
    assert shown in four_letter_word(server.port, "srvr")


def test_a_member_that_has_trusted_its_logs_writes_a_snapshot(start, tmp_path, only_zabd):
    """ZOOKEEPER-3781: of a member, which has a leader to wait for, too; it needs to be told once."""
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    (data_dir / "myid").write_text("1")
    line = f"127.0.0.1:{free_port()}:{free_port()}:participant"
    config = {"standaloneEnabled": "false", "initLimit": 10, "syncLimit": 5, "server.1": line}
    server = start("zabd", config=config, data_dir=data_dir)
    last = write(wire.Session(server.port, LONG_MS), 30)
    server.kill()
    for snapshot in files(server, "snapshot"):
        snapshot.unlink()
    server.properties["snapshot.trust.empty"] = "true"
    server.start()
    snapshots = [int(path.name.split(".")[1], 16) for path in files(server, "snapshot")]
    assert snapshots and max(snapshots) >= last, snapshots
    server.kill()
    del server.properties["snapshot.trust.empty"]
    server.start()
    assert wire.Session(server.port, LONG_MS).create("/goes-on").err == 0


def test_logs_that_do_not_begin_at_the_first_transaction_are_not_trusted(start, ends):
    server = start("zabd", config={"snapCount": 8})
    write(wire.Session(server.port, LONG_MS), 30)
    server.kill()
    oldest, *others = files(server, "log")
    for path in [oldest, *files(server, "snapshot")]:
        path.unlink()
    for trust in ("false", "true"):
        server.properties["snapshot.trust.empty"] = trust
        ended = ends("zabd", *server.command()[1:])
        assert ended.status == 1
        assert f"{others[0]} begins with zxid 0x" in ended.err and "holds what came before" in ended.err, ended.err


# --- States that take very long to bring about ----------------------------------------------------------------------


@pytest.mark.parametrize("route", ["java395 X", "X java395", "X X"])
def test_a_counter_of_children_ends_at_its_largest_value(start, kind, route, tmp_path):
    """Behind 2³¹−1 nothing is numbered any more, and a server that reads the log of another has the same tree."""
    first, second = (kind if each == "X" else each for each in route.split())
    write_snapshot(tmp_path / "data", 0x10, [node("/n", cversion=2**31 - 2)])
    server = start(first, data_dir=tmp_path / "data")
    session = wire.Session(server.port, LONG_MS)
    made = [session.create("/n/s-", flags=2) for _ in range(3)]
    made.append(session.create("/n/named"))
    assert [reply.err for reply in made] == [0, 0, -110, 0]
    assert [reply.reader().ustring() for reply in made[:2]] == ["/n/s-2147483646", "/n/s-2147483647"]
    before = shown(session, "/n")
    # Java's clients see both what came and what went: twice the counter, less the children.
    assert (before["cversion"], before["pzxid"]) == (2 * (2**31 - 1) - 3 - 2**32, made[0].zxid)
    server.kill()
    server = start(second, data_dir=tmp_path / "data")
    assert shown(wire.Session(server.port, LONG_MS), "/n") == before
    if "java395" not in (first, kind):
        assert figures(server)["digest_mismatches_count"] == "0"


def shown(session, path):
    return session.call(wire.EXISTS, Writer().ustring(path).boolean(False).bytes).reader().stat()


def test_a_list_that_a_snapshot_lacks_lets_nobody_in(start, only_zabd, tmp_path):
    write_snapshot(tmp_path / "data", 0x10, [node("/n", acl=7)])
    session = wire.Session(start("zabd", data_dir=tmp_path / "data").port, LONG_MS)
    get = Writer().ustring("/n").boolean(False).bytes
    assert session.call(wire.GET_DATA, get).err == -102
    assert session.create("/n/below").err == -102


def test_a_hole_behind_the_newest_snapshot_is_refused(start, ends, only_zabd, tmp_path):
    write_snapshot(tmp_path / "data", 0x10, [])
    server = start("zabd", data_dir=tmp_path / "data")
    wire.Session(server.port, LONG_MS)
    server.kill()
    for path in files(server, "snapshot"):
        path.unlink()
    write_snapshot(tmp_path / "data", 0xE, [])
    ended = ends("zabd", server.directory / "zoo.cfg")
    assert ended.status != 0 and "the transactions from 0xf on are missing" in ended.out + ended.err
