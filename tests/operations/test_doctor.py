"""`zabd doctor` on directories that servers leave: what it says is what the next start does."""

import json
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from harness import places, wire
from harness.servers import Server
from harness.waiting import eventually
from harness.wire import Writer

LONG_MS = 300_000


def doctor(*words):
    """Asks it; gives exit code, output, complaints."""
    done = subprocess.run([str(places.ZABD), "doctor", *map(str, words)], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def test_what_is_said_comes_true(start, only_zabd):
    """A sound directory; one in use; one with a damaged record, which is repaired on request, and is then started on."""
    server = start("zabd", properties={"preAllocSize": 16})
    session = wire.Session(server.port, LONG_MS)
    for number in range(20):
        assert session.create(f"/n{number}", b"x", 1 if number % 2 else 0).err == 0
    status, out, err = doctor(server.data_dir)
    assert (status, out) == (2, "") and "is in use by a server that runs: stop that one, or ask about a copy" in err
    server.kill()

    status, out, _ = doctor("--json", server.data_dir)
    said = json.loads(out)
    assert status == 0 and said["verdict"] == "sound", out
    # The session itself is the first transaction.
    assert (said["start"]["last_zxid"], said["start"]["replayed"], said["repair"]["steps"]) == (21, 21, [])
    assert [one["ephemerals"] for one in said["start"]["ephemerals"]] == [10]
    assert {one["version"]: one["reads"] for one in said["java"]}["3.9"]

    log = server.data_dir / "version-2" / "log.1"
    content = log.read_bytes()
    log.write_bytes(content.replace(b"/n9", b"/m9"))
    status, out, _ = doctor(server.data_dir)
    assert status == 2 and "DAMAGED: a wrong checksum at offset " in out, out
    # Of the 21 transactions, ten stand behind that of /n9.
    assert " is given up, of which 10 records are whole, up to zxid 0x15; to keep them instead, " in out, out
    assert log.read_bytes() == content.replace(b"/n9", b"/m9"), "looking changes nothing"
    status, out, err = doctor(server.data_dir, "--repair")
    copy = log.parent / "damaged-1" / "log.1"
    assert status == 0 and err.startswith(f"copy {log} to {copy}, and cut it at offset "), (out, err)
    # Beside the log, what is given up would be purged with it.
    assert not list(log.parent.glob("cut-*"))
    assert copy.read_bytes() == content.replace(b"/n9", b"/m9").rstrip(b"\0")
    server.start()
    session = wire.Session(server.port, LONG_MS)
    errors = [session.call(wire.EXISTS, Writer().ustring(path).boolean(False).bytes).err for path in ("/n8", "/n9")]
    assert errors == [0, -101]


def test_a_log_is_no_configuration(tmp_path, only_zabd):
    for name, tool in (("log.1f", "zkTxnLogToolkit.sh"), ("snapshot.0", "zkSnapShotToolkit.sh"), ("snapshot.7.gz", "zkSnapShotToolkit.sh")):
        (tmp_path / name).touch()
        status, out, err = doctor(tmp_path / name)
        assert (status, out) == (2, "") and f"{name} is a file of data: name the directory" in err and tool in err, err


def record(log, number):
    """Where the record of this number begins."""
    offset = 16
    for _ in range(number):
        offset += 12 + struct.unpack_from(">i", log, offset + 8)[0] + 1
    return offset


@pytest.fixture
def left(start, only_zabd):
    """A server that was killed behind 21 transactions, the 20 znodes of a session, and its only log."""
    server = start("zabd", properties={"preAllocSize": 16})
    session = wire.Session(server.port, LONG_MS)
    assert all(session.create(f"/n{number}").err == 0 for number in range(20))
    server.kill()
    return server, server.data_dir / "version-2" / "log.1"


def nodes(server):
    """How many znodes it has."""
    session = wire.Session(server.port, LONG_MS)
    return sum(session.call(wire.EXISTS, Writer().ustring(f"/n{number}").boolean(False).bytes).err == 0 for number in range(20))


def test_whole_records_are_counted_and_can_be_kept(left):
    """What is said is enough to lose nothing."""
    server, log = left
    sound = log.read_bytes()
    content = bytearray(sound)
    content[record(content, 5) + 7] ^= 1
    log.write_bytes(content)
    status, out, _ = doctor(server.data_dir)
    assert status == 2 and ", of which 15 records are whole, up to zxid 0x15; " in out, out
    tool, option, path = re.search(r"take the copy that `(\S+) (\S+) (\S+)` writes", out).groups()
    done = subprocess.run([str(places.ZABD), tool, option, "-y", path], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done
    Path(f"{path}.fixed").replace(path)
    assert doctor(server.data_dir)[0] == 0 and log.read_bytes().rstrip(b"\0") == sound.rstrip(b"\0")

    log.write_bytes(b"XXXX" + sound[4:])
    status, out, _ = doctor("--json", server.data_dir)
    [step] = json.loads(out)["repair"]["steps"]
    assert status == 2 and (step["whole_records"], step["last_whole_zxid"]) == (21, 21), out
    assert step["step"].endswith("to keep them instead, write the first 16 bytes of a whole log over its own")
    log.write_bytes(sound)
    assert nodes(server.start()) == 20


def test_a_zoo_cfg_says_whether_it_is_a_member(left):
    """A lone server that has a member's files still, as Java leaves them, has no peers who could repair it."""
    server, log = left
    for name in ("acceptedEpoch", "currentEpoch"):
        (log.parent / name).write_text("0")
    (server.data_dir / "myid").write_text("1\n")
    content = bytearray(log.read_bytes())
    content[record(content, 3) + 30] ^= 1
    log.write_bytes(content)
    status, out, _ = doctor(server.data_dir)
    assert status == 1 and "repaired by its peers" in out, out
    zoo_cfg = server.data_dir.parent / "asked.cfg"
    zoo_cfg.write_text(f"dataDir={server.data_dir}\nclientPort=2181\n")
    status, out, _ = doctor(zoo_cfg)
    assert status == 2 and out.endswith("\ncannot be used as it is\n") and "\nrepair\n  copy " in out, out
    status, out, err = doctor(zoo_cfg, "--repair")
    assert status == 0 and f"copy {log} to " in err, (out, err)


def test_whole_logs_do_without_snapshots(left):
    server, log = left
    [snapshot] = log.parent.glob("snapshot.*")
    newer = log.parent / "snapshot.9"
    newer.write_bytes(snapshot.read_bytes()[:-7])
    snapshot.write_bytes(snapshot.read_bytes()[:-7])
    status, out, _ = doctor(server.data_dir)
    assert status == 2 and "none of the snapshots in " in out, out
    status, out, err = doctor(server.data_dir, "--repair")
    assert status == 0 and err.endswith("snapshot.0, which holds nothing: the logs hold everything since\n"), (out, err)
    assert sorted(file.name for file in (log.parent / "damaged-1").iterdir()) == ["snapshot.0", "snapshot.9"]
    with Server("java395", server.directory / "java", data_dir=shutil.copytree(server.data_dir, server.directory / "copy")) as java:
        assert nodes(java) == 20
    assert nodes(server.start()) == 20


def test_a_record_that_takes_a_larger_jute_maxbuffer_is_no_damage(start, ends, only_zabd, tmp_path):
    """Java's server was given a key of its own, which the first start of zabd lacks: no start, no doctor and no repair touches
    anything for it, and each of them names the key. It counts wherever a start may find it."""
    maxbuffer = "-Djute.maxbuffer=4194304"
    java = start("java395", properties={"jute.maxbuffer": 4194304, "preAllocSize": 16})
    session = wire.Session(java.port, LONG_MS)
    assert [session.create(path, bytes(length)).err for path, length in (("/a", 1), ("/long", 3 << 20), ("/z", 1))] == [0] * 3
    java.stop()
    java_less = ends("java395", java.directory / "zoo.cfg")
    assert java_less.status != 0 and "Unreasonable length = 3145" in java_less.err, java_less.err

    config = java.directory / "zoo.cfg"
    version = java.data_dir / "version-2"
    [log] = version.glob("log.*")
    before = {path: path.read_bytes() for path in version.iterdir()}
    offset, length = 16, 0
    content = log.read_bytes()
    while length < 3 << 20:
        offset += length + 13 if length else 0
        [length] = struct.unpack_from(">i", content, offset + 8)
    said = f"{log}: the record of zxid 0x3 at offset {offset} has {length} bytes, and jute.maxbuffer with its extra size allows 2097150;"
    for words in ((config,), ("check", config), ("doctor", config), ("doctor", java.data_dir), ("doctor", "--repair", java.data_dir)):
        ended = ends("zabd", *words)
        assert ended.status in (1, 2) and said in ended.out + ended.err and f"jute.maxbuffer={length} is enough" in ended.out + ended.err
        assert "DAMAGED" not in ended.out, ended.out
        # A start marks the directory.
        assert {path: path.read_bytes() for path in version.iterdir()} == before, words
    for words, environment in (
            ((maxbuffer, java.data_dir), {}), ((maxbuffer, config), {}), ((java.data_dir,), {"SERVER_JVMFLAGS": maxbuffer}),
            ((config,), {"JVMFLAGS": f"-Xmx1G {maxbuffer}"})):
        ended = ends("zabd", "doctor", *words, environment=environment)
        assert ended.status == 0 and f"3.9  yes, with a larger jute.maxbuffer, {length} is enough\n" in ended.out, (words, ended)
    (config.parent / "java.env").write_text(f'SERVER_JVMFLAGS="{maxbuffer}"\n')
    assert [ends("zabd", word, config).status for word in ("doctor", "check")] == [0, 0]
    with Server("zabd", tmp_path / "zabd", data_dir=java.data_dir, properties={"jute.maxbuffer": 4194304}) as server:
        session = wire.Session(server.port, LONG_MS)
        assert session.call(wire.EXISTS, Writer().ustring("/z").boolean(False).bytes).err == 0


def test_what_java_ends_with_is_read_by_zabd_alone(start, ends, only_zabd, tmp_path):
    """Limits of a quota that stand for no path are in Java's log before its server ends with them, and from then on at every start."""
    java = start("java395", properties={"preAllocSize": 16})
    session = wire.Session(java.port, LONG_MS)
    assert session.create("/before").err == 0
    session.submit(wire.CREATE, wire.create_body("/zookeeper/quota/zookeeper_limits", b"count=1,bytes=1"))
    eventually(lambda: not java.running, what=java.log_text)
    assert ends("java395", java.directory / "zoo.cfg").status != 0
    status, out, _ = doctor(java.data_dir)
    assert status == 0 and "3.9  no: limits of a quota that stand for no path, with which it ends\n" in out, out
    assert out.count("  no: limits") + out.count(", limits of a quota") == 6, out
    with Server("zabd", tmp_path / "zabd", data_dir=java.data_dir) as server:
        assert wire.Session(server.port, LONG_MS).call(wire.EXISTS, Writer().ustring("/before").boolean(False).bytes).err == 0


def test_texts_of_quotas_that_java_ends_with_are_told(start, ends, only_zabd, tmp_path):
    """The texts of a usage are in Java's log before its server ends with the next write below the quota."""
    java = start("java395", properties={"preAllocSize": 16})
    session = wire.Session(java.port, LONG_MS)
    for path, data in (("/q", b""), ("/zookeeper/quota/q", b""), ("/zookeeper/quota/q/zookeeper_stats", b"count=0,bytes=0"),
                       ("/zookeeper/quota/q/zookeeper_limits", b"count=9,bytes=9")):
        assert session.create(path, data).err == 0
    set_usage = Writer().ustring("/zookeeper/quota/q/zookeeper_stats").buffer(b"count=1,bytes=2=;x").int(-1).bytes
    assert session.call(wire.SET_DATA, set_usage).err == 0
    session.submit(wire.CREATE, wire.create_body("/q/below"))
    eventually(lambda: not java.running, what=java.log_text)
    assert ends("java395", java.directory / "zoo.cfg").status != 0
    status, out, _ = doctor(java.data_dir)
    # Those before 3.7 do not look behind the second number.
    told = [line.split()[0] for line in out.splitlines() if "a text of a quota that it cannot read, with which it ends" in line]
    assert status == 0 and told == ["3.7", "3.8", "3.9"], out
    with Server("zabd", tmp_path / "zabd", data_dir=java.data_dir) as server:
        assert wire.Session(server.port, LONG_MS).call(wire.EXISTS, Writer().ustring("/q/below").boolean(False).bytes).err == 0


def test_mistakes_end_with_two(tmp_path, only_zabd):
    for words in ((), (tmp_path / "nowhere",), (tmp_path, tmp_path), ("--bogus", tmp_path), (tmp_path, "--log-dir")):
        status, out, err = doctor(*words)
        assert (status, out) == (2, "") and "zabd doctor DIR" in err
    assert doctor("--help")[0] == 0
    status, out, _ = doctor(tmp_path)
    assert status == 1 and "no files of a server; " in out and "begins with nothing" in out and list(tmp_path.iterdir()) == []
