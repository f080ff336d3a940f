"""Two servers in one directory: what is noticed while both run, and what is found when both are gone.

A copy of the directory of a server that runs stands in for the moment at which the other one was started on it.
"""

import re
import shutil
import subprocess

import pytest

from harness import places, wire
from harness.servers import Server, free_port
from harness.wire import Writer

LONG_MS = 300_000


def doctor(*words):
    """Asks it; gives exit code, output, complaints."""
    done = subprocess.run([str(places.ZABD), "doctor", *map(str, words)], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def write(server, name, count):
    """So many znodes; the session is a transaction of its own, and so is its end."""
    session = wire.Session(server.port, LONG_MS)
    assert all(session.create(f"/{name}{number}").err == 0 for number in range(count))
    session.end()


def names(server):
    """The names of all znodes below the root, without the digits behind them, and how many of each there are."""
    session = wire.Session(server.port, LONG_MS)
    children = session.call(wire.GET_CHILDREN, Writer().ustring("/").boolean(False).bytes)
    reader = children.reader()
    found = reader.vector(reader.ustring)
    return {name: sum(child.startswith(name) for child in found) for name in ("both", "java", "zabd")}


@pytest.fixture
def overlapping(start, only_zabd, tmp_path):
    """`overlapping(java, zabd)`: a directory in which Java and zabd wrote at once, so many znodes each behind what both had."""

    def make(of_java, of_zabd):
        java = start("java395")
        write(java, "both", 4)
        copy = shutil.copytree(java.data_dir, tmp_path / "copy")
        write(java, "java", of_java)
        java.stop()
        with Server("zabd", tmp_path / "zabd", data_dir=copy) as zabd:
            write(zabd, "zabd", of_zabd)
        shutil.copy(copy / "version-2" / "log.7", java.data_dir / "version-2")
        return java

    return make


def restarted(java, tmp_path, name, data_dir=None):
    """zabd on a copy of its directory."""
    data_dir = shutil.copytree(data_dir or java.data_dir, tmp_path / name / "data")
    return Server("zabd", tmp_path / name, data_dir=data_dir)


def test_logs_that_contradict_each_other_end_a_start(overlapping, ends, tmp_path):
    """Each way to decide gives one of both pasts, whole."""
    java = overlapping(3, 5)
    version = java.data_dir / "version-2"
    # Java: 4 + 2 for both, then 3 + 2. zabd: 5 + 2, from 0x7 on.
    said = f"{version}/log.7 and {version}/log.1 have different transactions of zxids 0x7 to 0xb"
    ended = ends("zabd", free_port(), java.data_dir)
    assert ended.status != 0 and said in ended.err and "Two servers in one directory" in ended.err, ended
    status, out, _ = doctor(java.data_dir)
    assert status == 2 and said in out and "others of zxids 0x7 to 0xb are in log.1: two servers wrote here" in out, out
    assert "what was written behind zxid 0x6 is given up, of which 7 records are whole, up to zxid 0xd" in out, out

    other = shutil.copytree(java.data_dir, tmp_path / "other")
    [words] = re.findall(r"the copy that `([^`]+)` writes", out)
    tool, *words, path = words.split()
    path = other / "version-2" / path.rpartition("/")[2]
    done = subprocess.run([str(places.ZABD), tool, *words, str(path)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done
    [chopped] = path.parent.glob("log.1.chopped*")
    chopped.replace(path)
    with restarted(java, tmp_path, "zabds", other) as server:
        assert names(server) == {"both": 4, "java": 0, "zabd": 5}

    status, out, err = doctor("--repair", java.data_dir)
    assert status == 0 and err.startswith(f"move {version}/log.7 to {version}/damaged-1/log.7; "), (out, err)
    with restarted(java, tmp_path, "javas") as server:
        assert names(server) == {"both": 4, "java": 3, "zabd": 0}


def test_a_snapshot_of_one_past_under_the_log_of_another(overlapping, ends):
    """Java has made a snapshot of its own past before the other log is read: the digests show it."""
    java = overlapping(3, 30)
    other = java.data_dir / "version-2" / "log.7"
    aside = other.rename(java.directory / "log.7")
    java.start()
    java.stop()
    assert (java.data_dir / "version-2" / "snapshot.b").exists()
    aside.rename(other)
    ended = ends("zabd", free_port(), java.data_dir)
    assert ended.status != 0 and "have different transactions of zxids 0x7 to 0xb" in ended.err, ended


def test_a_copy_of_a_log_harms_nothing(start, only_zabd, tmp_path):
    """The same transactions twice, as Java itself leaves them."""
    java = start("java395")
    write(java, "both", 4)
    java.stop()
    log = java.data_dir / "version-2" / "log.1"
    shutil.copy(log, log.with_name("log.1.bak"))
    assert doctor(java.data_dir)[0] == 0
    with restarted(java, tmp_path, "zabd") as server:
        assert names(server)["both"] == 4


@pytest.mark.parametrize("name", ["log.1.bak", "log.4", "log.d"])
def test_a_copy_under_another_name_hides_and_ends_nothing(name, start, only_zabd):
    """Made while the server writes, so that it holds less than the log; the last name is that of the log to come."""
    server = start("zabd")
    write(server, "both", 4)
    version = server.data_dir / "version-2"
    copy = version / name
    # Zeros that take no room in the log would take much in a copy.
    held = (version / "log.1").read_bytes().rstrip(b"\0")
    copy.write_bytes(held)
    write(server, "zabd", 4)
    server.kill()
    status, out, _ = doctor(server.data_dir)
    is_misnamed = name != "log.1.bak"
    assert status == int(is_misnamed), out
    assert (f"moves {copy} to {version}/damaged-1/{name}" in out) == is_misnamed, out
    assert ("the log that has another's name to be moved away" in out) == is_misnamed, out
    for written in (4, 8):
        server.start()
        assert names(server)["zabd"] == written
        write(server, f"zabd{written}", 4)
        server.kill()
    if is_misnamed:
        assert (version / "damaged-1" / name).read_bytes() == held
        assert f"Moved {copy} to {version}/damaged-1/{name}: all of its records stand in " in server.log_text()
    server.start()
    assert (names(server)["both"], names(server)["zabd"]) == (4, 12)


def test_a_java_server_that_runs_is_noticed(start, ends, only_zabd, tmp_path):
    """Once it has written anything: it opens its log then."""
    java = start("java395", data_log_dir=tmp_path / "logs")
    write(java, "both", 1)
    config = tmp_path / "zoo.cfg"
    config.write_text(f"dataDir={java.data_dir}\ndataLogDir={tmp_path}/logs\nclientPort={free_port()}\nadmin.enableServer=false\n")
    before = sorted(java.data_dir.rglob("*"))
    ended = ends("zabd", config)
    said = f"is in use by a Java server, process {java.process.pid}, which has {tmp_path}/logs/version-2/log.1 open for writing"
    assert ended.status == 3 and f"{config}:2: dataLogDir={tmp_path}/logs {said}" in ended.err, ended
    status, out, err = doctor(config)
    assert (status, out) == (2, "") and f"process {java.process.pid}, a Java server, has " in err, err
    checked = ends("zabd", "check", config)
    assert checked.status == 0 and f"process {java.process.pid}, a Java server, has " in checked.out, checked
    assert sorted(java.data_dir.rglob("*")) == before
    java.stop()
    assert doctor(config)[0] == 0
