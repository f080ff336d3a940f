"""Each tool beside Java's, on the same files: output, complaints and exit codes are the same to the byte, and so is what they
write. The files are the golden ones, damaged copies of them, and some that are written here."""

import random
import shutil
import struct
import subprocess
import time
import zlib

import pytest

from harness import places
from harness.observing import status_bytes
from harness.snapshots import node, write_snapshot

from .tools import JavaTools, ZabdTools, environment

LOG, SNAPSHOT = "zkTxnLogToolkit.sh", "zkSnapShotToolkit.sh"
COMPARER, SUMMARY = "zkSnapshotComparer.sh", "zkSnapshotRecursiveSummaryToolkit.sh"
LOGS = sorted(places.GOLDEN.rglob("log.*"))
SNAPSHOTS = sorted(places.GOLDEN.rglob("snapshot.*"))
# A small log with every kind of transaction.
SMALL = places.GOLDEN / "java-3.9.5" / "standalone" / "version-2" / "log.1"
# So that the copies of a recovery are not 64 MiB each.
AHEAD = "-Dzookeeper.preAllocSize=64"


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Runs a tool of both kinds in one directory; gives what both left, after they were found to be the same."""
    cwd = tmp_path_factory.mktemp("tools")
    zabd = ZabdTools(cwd, AHEAD)
    with JavaTools(cwd, AHEAD) as java:
        def run(tool, *words, script="", between=lambda: None):
            of_java = java.run(tool, *words, script=script)
            between()
            of_zabd = zabd.run(tool, *words, script=script)
            assert of_zabd.masked() == of_java.masked(), (tool, words)
            return of_zabd

        run.cwd = cwd
        yield run


@pytest.fixture
def copy(both):
    """A copy of a file, in a directory that both see."""
    def make(path, damage=lambda content: content):
        target = both.cwd / path.name
        target.write_bytes(damage(path.read_bytes()))
        return target

    yield make
    for path in both.cwd.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


# --- Logs -------------------------------------------------------------------------------------------------------------


def test_every_log_prints_the_same(both):
    assert len(LOGS) > 20
    for log in LOGS:
        ended = both(LOG, log)
        assert ended.status == 0 and b"EOF reached after " in ended.out and ended.out.count(b"\n") > 3, log


def records(content):
    """(offset, length of the entry) of each record."""
    at = 16
    while (length := struct.unpack_from(">i", content, at + 8)[0]) > 0:
        yield at, length
        at += 12 + length + 1


def wrong_checksums(*numbers):
    """Changes the last byte of these entries, which belongs to a digest or to a number."""
    def damage(content):
        changed = bytearray(content)
        for number, (at, length) in enumerate(records(content)):
            if number in numbers:
                changed[at + 12 + length - 1] ^= 1
        return bytes(changed)

    return damage


@pytest.mark.parametrize(("words", "script"), [
    (("-r", "-y"), ""), (("-ryv",), ""), (("--recover", "--verbose"), "yes\nno\nmaybe YES"), (("-r",), "n\ny\nabort\n"), (("-r",), "y"),
    (("-d",), ""), (("-v", "-y"), ""),
], ids=" ".join)
def test_a_recovery_writes_the_same(both, copy, words, script):
    log = copy(SMALL, wrong_checksums(3, 5, 8))
    fixed, javas = log.with_name("log.1.fixed"), log.with_name("fixed-by-java")
    is_written = "-r" in words[0] or "-r" in words
    both(LOG, *words, log, script=script, between=lambda: is_written and fixed.rename(javas))
    assert fixed.exists() == is_written
    if is_written:
        assert fixed.read_bytes() == javas.read_bytes()
        # A second recovery does not write over the first.
        assert b"already exists" in both(LOG, "-r", log).err
        assert fixed.read_bytes() == javas.read_bytes()
    if "-y" in words and is_written:
        assert b"CRC" not in both(LOG, fixed).out, "what was recovered is sound"


def test_a_long_recovery_takes_room_ahead_as_java(both, copy):
    log = copy(places.GOLDEN / "java-3.8.0" / "standalone" / "version-2" / "log.d6")
    fixed, javas = log.with_name("log.d6.fixed"), log.with_name("fixed-by-java")
    both(LOG, "-r", log, between=lambda: fixed.rename(javas))
    assert fixed.read_bytes() == javas.read_bytes() and fixed.stat().st_size > 900_000


@pytest.mark.parametrize("zxid", ["0x9", "21", "0x1", "0", "0x16", "-5", "nine", "0x15"])
def test_a_chopped_log_is_the_same(both, copy, zxid):
    log = copy(SMALL)
    chopped = lambda: [path for path in both.cwd.iterdir() if ".chopped" in path.name]
    aside = both.cwd / "aside"
    aside.mkdir()
    both(LOG, "-c", "-z", zxid, log, between=lambda: [path.rename(aside / path.name) for path in chopped()])
    assert [path.name for path in chopped()] == [path.name for path in aside.iterdir()]
    for path in chopped():
        assert path.read_bytes() == (aside / path.name).read_bytes()


def test_chopping_stumbles_where_java_does(both, copy):
    for damage in (wrong_checksums(3), lambda content: b"X" + content[1:], lambda content: content[:200], lambda content: b""):
        log = copy(SMALL, damage)
        both(LOG, "-c", "-z", "9", log)
        assert (both.cwd / "log.1.chopped9").exists()


def entry(kind, body, zxid=1):
    return struct.pack(">qiqqi", 7, -2, zxid, 1_700_000_000_000, kind) + body


def log_of(entries):
    """A log with these entries, each with the checksum that it should have."""
    file = b"ZKLG" + struct.pack(">iq", 2, 0)
    for one in entries:
        file += struct.pack(">qi", zlib.adler32(one), len(one)) + one + b"B"
    return file


def text(value):
    return struct.pack(">i", -1) if value is None else struct.pack(">i", len(value)) + value


ACLS = struct.pack(">ii", 1, 31) + text(b"world") + text(b"any,}%\n\ron\0e")
BODIES = {
    "null path": (1, text(None) + text(None) + ACLS + b"\1" + struct.pack(">i", 5)),
    "null list": (1, text(b"/a") + text(b"x") + text(None) + b"\0" + struct.pack(">i", 5)),
    "empty list": (15, text(b"/a") + text(b"") + struct.pack(">i", 0) + b"\0" + struct.pack(">i", 5)),
    "two lists": (21, text(b"/a") + text(b"\xff\xed\xa0\x80") + struct.pack(">i", 2) + ACLS[4:] * 2 + struct.pack(">iq", 5, -9)),
    "no parent version": (1, text(b"/a") + text(b"x") + ACLS + b"\1"),
    "no parent version, 15": (15, text(b"/a") + text(b"x") + ACLS + b"\1"),
    "container": (19, text(b"/c") + text(b"x") + ACLS + struct.pack(">i", 5)),
    "set list": (7, text(b"/a") + struct.pack(">i", 2) + ACLS[4:] * 2 + struct.pack(">i", 3)),
    "set null list": (7, text(b"/a") + text(None) + struct.pack(">i", 3)),
    "null identity": (7, text(None) + struct.pack(">ii", 1, 31) + text(None) * 2 + struct.pack(">i", 3)),
    "closing": (-11, struct.pack(">i", 2) + text(b"/a,b") + text(None)),
    "closing, null": (-11, text(None)),
    "closing, nothing": (-11, b""),
    "closing, digest": (-11, struct.pack(">iq", 2, 5 << 32)),
    "closing, broken off": (-11, struct.pack(">i", 2) + text(b"/a")),
    "reaped": (20, text(b"/c")),
    "reconfigured": (16, text(b"/zookeeper/config") + text("server=ü".encode()) + struct.pack(">i", -1)),
    "multi": (14, struct.pack(">ii", 3, 2) + text(b"/x") + struct.pack(">i", 77) + text(None) + struct.pack(">i", -1) + text(b"\x80")),
    "empty multi": (14, struct.pack(">i", 0)),
    "null multi": (14, text(None)),
    "unknown": (99, b"x"),
    "a read": (4, b"x"),
    "cut": (2, struct.pack(">i", 9) + b"/a"),
    "long": (2, struct.pack(">i", 0x7000_0000) + b"/a"),
    "negative": (5, struct.pack(">i", -2)),
    "error": (-1, struct.pack(">i", -110)),
    "session": (-10, struct.pack(">i", 30000)),
}


@pytest.mark.parametrize("body", BODIES)
def test_every_body_prints_the_same(both, copy, body):
    log = copy(SMALL, lambda _: log_of([entry(-10, struct.pack(">i", 1)), entry(*BODIES[body], zxid=2)]))
    ended = both(LOG, log)
    assert ended.out.splitlines()[0] == b"ZooKeeper Transactional Log File with dbid 0 txnlog format version 2"


def test_a_check_at_top_level_is_printed(both, copy):
    """Java refuses what its servers up to 3.8.4 and 3.9.2 logged."""
    log = copy(SMALL, lambda _: log_of([entry(13, text(b"/a") + struct.pack(">i", 3)), entry(2, text(b"/b"), zxid=2)]))
    ended = ZabdTools(both.cwd).run(LOG, log)
    assert ended.out.splitlines()[1].endswith(b" zxid 0x1 check '/a,3") and b"EOF reached after 2 txns." in ended.out


@pytest.mark.parametrize(("what", "damage"), [
    ("nothing", lambda _: b""),
    ("half a header", lambda content: content[:15]),
    ("another magic", lambda content: b"ZKSN" + content[4:]),
    ("another version", lambda content: content[:7] + b"\7" * 9 + content[16:]),
    ("half a checksum", lambda content: content[:20]),
    ("half an entry", lambda content: content[:60]),
    ("no end mark", lambda content: content[:16 + 12 + 48] + b"X" + content[16 + 12 + 49:]),
    ("cut before the end mark", lambda content: content[:16 + 12 + 48]),
    ("a null entry", lambda content: content[:24] + b"\xff" * 4),
    ("a negative length", lambda content: content[:24] + b"\xff\xff\xff\xf0" + content[28:]),
    ("an unreasonable length", lambda content: content[:24] + struct.pack(">i", 0x1F_FFFF) + content[28:]),
    ("the longest length", lambda content: content[:24] + struct.pack(">i", 0x1F_FFFE) + content[28:]),
])
def test_a_damaged_log_is_answered_the_same(both, copy, what, damage):
    log = copy(SMALL, damage)
    both(LOG, log)
    fixed = log.with_name("log.1.fixed")
    both(LOG, "-r", "-y", log, between=lambda: fixed.unlink())
    both(LOG, "-c", "-z", "5", log)


def test_noise_is_answered_the_same(both, copy):
    """Sixty logs, each with a few wrong bytes."""
    dice = random.Random(20)
    content = SMALL.read_bytes()
    end = max(at + length for at, length in records(content))

    def damage(content):
        changed = bytearray(content)
        for _ in range(dice.randint(1, 6)):
            # Not in the times, which Java prints beyond any calendar.
            at = dice.choice([at for begin, length in records(content) for at in range(begin + 12, begin + 12 + length)
                              if not begin + 12 + 20 <= at < begin + 12 + 28 and at < end])
            changed[at] = dice.choice([0, 0xFF, changed[at] ^ 1 << dice.randrange(8)])
        return bytes(changed)

    for _ in range(60):
        both(LOG, copy(SMALL, damage))


def test_options_are_javas(both, copy):
    log = copy(SMALL)
    for words in (
            (), ("-h",), ("--help", "x"), ("-x", log), ("--bogus",), ("-z", "5"), ("-z",), ("-c", log), ("--zxid=5", "--ch", log),
            ("-dv", log), (log, "extra"), ("-v", "-", log), ("/nowhere//x/",), (both.cwd,), ("--", "-h"), ("-zxid7", "-c", log),
            ("--ver", log), ("-y=1", log), ("-rx", log), ("log.1",), ("./log.1",)):
        both(LOG, *words)


# --- Snapshots --------------------------------------------------------------------------------------------------------


def test_every_snapshot_prints_the_same(both):
    assert len(SNAPSHOTS) > 20
    for snapshot in SNAPSHOTS:
        for words in ((), ("-d",), ("-json",)):
            ended = both(SNAPSHOT, *words, snapshot)
            assert ended.status == 0 and len(ended.out) > 100, snapshot
        assert both(SUMMARY, snapshot, "/", 0).out.startswith(b" /\n   children: "), snapshot


def test_each_snapshot_is_compared_with_the_next_one(both):
    for left, right in zip(SNAPSHOTS, SNAPSHOTS[1:]):
        for threshold, more in ((0, "-d"), (-1, ""), (100, "")):
            ended = both(COMPARER, "-l", left, "-r", right, "-b", threshold, "-n", threshold, *more.split())
            assert ended.out.endswith(b"All layers compared.\n")


# Names with one hash, for Java makes trees of crowded buckets: each pair is one of two.
ALIKE = ["".join("Aa" if number >> bit & 1 else "BB" for bit in range(7)) for number in range(128)]


@pytest.fixture
def crowded(both, copy):
    """Snapshots whose children come in the orders that a hash table has."""
    dice = random.Random(8)
    children = {
        "few": [f"n{number}" for number in range(40)],
        "many": [f"lock-{number:010}" for number in range(3000)],
        "random": [f"{dice.getrandbits(64):x}" for _ in range(3000)],
        "alike": dice.sample(ALIKE, len(ALIKE)),
        "half-alike": [name for pair in zip(ALIKE, (f"x{number}" for number in range(128))) for name in pair],
        "ten-alike": [*(f"y{number}" for number in range(100)), *ALIKE[40:50], *(f"z{number}" for number in range(900))],
        "words": ["ä", "日本", "𝒳", "\ufffd", "a\"b\\", "tab\there", "\x01", "\x7f", "q"],
        "none": [],
    }
    nodes = []
    for parent, names in children.items():
        nodes.append(node(f"/{parent}", data=b"d" * len(names)))
        nodes += [node(f"/{parent}/{name}", data=name.encode()) for name in names]
    write_snapshot(both.cwd, 0x20, nodes)
    return both.cwd / "version-2" / "snapshot.20"


def test_children_come_in_the_order_of_javas_tables(both, crowded):
    for words in (("-d",), ("-json",)):
        assert len(both(SNAPSHOT, *words, crowded).out) > 100_000
    for start in ("/", "", "/alike", "/many/", "/nothing", "/none", "few"):
        for depth in (0, 1, 2, -1):
            both(SUMMARY, crowded, start, depth)
    empty = SNAPSHOTS[0]
    for left, right in ((crowded, empty), (empty, crowded)):
        both(COMPARER, "-l", left, "-r", right, "-b", 5, "-n", 1, "-d")


def test_sessions_quotas_and_kinds_of_znodes(both, copy):
    """Sessions in the order of their table; the usage of a quota is counted anew; owners that are no session."""
    owner = struct.Struct(">q")

    def owned(path, session):
        stored = bytearray(node(path))
        stored[-16:-8] = owner.pack(session)
        return bytes(stored)

    sessions = [0x1_0000_0000 * number + 17 * number for number in range(1, 60)] + [-1, 1 << 62]
    nodes = [owned(f"/e{number}", sessions[number % 7]) for number in range(30)]
    nodes += [owned("/c", -1 << 63), owned("/t", (0xFF << 56 | 5000) - (1 << 64))]
    nodes += [node("/zookeeper/quota/c"), node("/zookeeper/quota/c/zookeeper_limits", data=b"count=5"),
              node("/zookeeper/quota/c/zookeeper_stats", data=b"count=99,bytes=99"), node("/c/1", data=b"123"), node("/c/2"),
              node("/zookeeper/quota/e0"), node("/zookeeper/quota/e0/zookeeper_limits", data=b"x")]
    write_snapshot(both.cwd, 0x20, nodes)
    snapshot = both.cwd / "version-2" / "snapshot.20"
    plain = snapshot.read_bytes()
    table = struct.pack(">i", len(sessions)) + b"".join(struct.pack(">qi", one, 4000 + at) for at, one in enumerate(sessions))
    snapshot.write_bytes(plain[:16] + table + plain[20:])
    for words in ((), ("-d",)):
        out = both(SNAPSHOT, *words, snapshot).out
    assert b"Y291bnQ9MyxieXRlcz0z" in out, "count=3,bytes=3"


@pytest.mark.parametrize(("script", "is_whole"), [
    ("\n" * 99, True), ("/\n/zookeeper\n3\n" + "\n" * 99, True), ("-1\n99\nx\n/nowhere\n2\n0\n", False), ("", False), ("1\r\n\r\n", False),
])
def test_the_interactive_comparison(both, copy, script, is_whole):
    left, right = (places.GOLDEN / "java-3.8.0" / "standalone" / "version-2" / f"snapshot.{zxid}" for zxid in ("27", "ba"))
    ended = both(COMPARER, "-i", "-l", left, "-r", right, "-b", 10, "-n", 10, script=script)
    assert ended.out.endswith(b"All layers compared.\n") == is_whole


def test_mistakes_are_answered_the_same(both, copy):
    snapshot = SNAPSHOTS[0]
    for words in ((), ("-d",), ("-x",), ("-d", "-json", snapshot), (snapshot, "-d"), ("nowhere",), ("/no//where/",), (both.cwd,), ("-json",)):
        assert both(SNAPSHOT, *words).status == 2
    whole = ("-l", snapshot, "-r", snapshot, "-b", "1", "-n", "1")
    for words in ((), whole[:6], whole[2:], (*whole[:7], "x"), (*whole, "-z"), (*whole[:5], "99999999999", *whole[6:]),
                  ("-l", "nowhere", *whole[2:]), ("--left", snapshot, *whole[2:]), (*whole, "-d", "more"), ("-l", both.cwd, *whole[2:])):
        both(COMPARER, *words)


def test_the_usage_of_the_summary():
    """It ends its virtual machine, so it has one of its own."""
    java = subprocess.run(
        ["java", "-cp", places.JAVA395_CLASSPATH, "org.apache.zookeeper.server.SnapshotRecursiveSummary"], capture_output=True,
        timeout=60, check=False, env=environment())
    for words in ((), ("a", "b"), ("a", "b", "c"), ("a", "b", "1", "d")):
        ended = ZabdTools(places.ROOT).run(SUMMARY, *words)
        assert (ended.status, ended.out, ended.err) == (java.returncode, java.stdout, java.stderr)


@pytest.mark.parametrize(("what", "damage"), [
    ("nothing", lambda _: b""),
    ("half a header", lambda content: content[:15]),
    ("another magic", lambda content: b"ZKLG" + content[4:]),
    ("cut among the znodes", lambda content: content[:500]),
    ("cut before the closing slash", lambda content: content[:-50]),
    ("no seal", lambda content: content[:-40]),
    ("a wrong seal", lambda content: content[:-20] + b"\7" * 20),
    ("more behind it", lambda content: content + b"more"),
    ("no parent", lambda content: content.replace(b"/zookeeper/quota", b"/nowhere//quota*")),
    ("an unreasonable length", lambda content: content.replace(b"\0\0\0\x10/zookeeper/quota", b"\0\x20\0\x10/zookeeper/quota")),
    ("a null path", lambda content: content.replace(b"\0\0\0\x10/zookeeper/quota", b"\xff" * 4)),
    ("sessions without end", lambda content: content[:16] + b"\x7f" + content[17:]),
])
def test_a_damaged_snapshot_is_answered_the_same(both, copy, what, damage):
    snapshot = copy(places.GOLDEN / "java-3.9.5" / "standalone" / "version-2" / "snapshot.15", damage)
    both(SNAPSHOT, snapshot)
    both(SUMMARY, snapshot, "/", 0)
    both(COMPARER, "-l", snapshot, "-r", snapshot, "-b", 0, "-n", 0)


@pytest.mark.parametrize("kind", ["gz", "snappy"])
def test_a_compressed_snapshot_that_breaks_off(both, copy, kind):
    """What Java says differs with the library; that nothing is printed does not."""
    source = places.GOLDEN / "java-3.8.0" / f"snapshot-{kind}" / "version-2" / f"snapshot.99.{kind}"
    snapshot = copy(source, lambda content: content[:len(content) // 2])
    ended = ZabdTools(both.cwd).run(SNAPSHOT, snapshot)
    assert (ended.status, ended.out) == (1, b"") and f"{snapshot}: ".encode() in ended.err


# --- At all sizes -----------------------------------------------------------------------------------------------------


def test_a_long_log_is_printed_in_seconds_and_to_whoever_listens(both, copy):
    """A million transactions, of which no more than a few are in memory at a time; `| head` ends it."""
    body = text(b"/some/path") + text(b"some data") + struct.pack(">i", 3)
    log = both.cwd / "log.1"
    with open(log, "wb") as file:
        file.write(log_of([]))
        file.write(log_of([entry(5, body, 1)])[16:] * 1_000_000)
    begun = time.monotonic()
    with subprocess.Popen([places.ZABD, LOG, log], stdout=subprocess.PIPE) as tool:
        lines, peak_bytes = 0, 0
        while chunk := tool.stdout.read1(1 << 20):
            lines += chunk.count(b"\n")
            if not peak_bytes and lines > 990_000:
                # There is more than the pipe takes, so it still runs.
                peak_bytes = status_bytes(tool.pid, "VmHWM")
    assert (lines, tool.returncode) == (1_000_002, 0) and time.monotonic() - begun < 40
    assert 0 < peak_bytes < 32 << 20, peak_bytes
    piped = subprocess.run(
        f"set -o pipefail; '{places.ZABD}' {LOG} log.1 | head -2", shell=True, executable="/bin/bash", capture_output=True,
        cwd=both.cwd, timeout=60, check=False)
    assert (piped.returncode, piped.stdout.count(b"\n"), piped.stderr) == (0, 2, b"")
