"""How a server is started, what it refuses to start from, and how it says so.

Java and zabd end with the same exit codes. What zabd says names the file, the line and the key, and what to do; Java's own words
are kept where it has some.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from harness import places, wire
from harness.servers import ServerFailed, four_letter_word, free_port
from harness.waiting import eventually

from .conftest import conf

BOTH = pytest.mark.parametrize("each", ["java395", "X"])
WORDS = "4lw.commands.whitelist"
NODE_EXISTS = -110


@pytest.fixture
def of_kind(kind):
    return lambda each: kind if each == "X" else each


@pytest.fixture
def cfg(tmp_path):
    """`cfg(*lines, **keys)`: a zoo.cfg of these; unless they say otherwise with a data directory and a free port."""

    def write(*lines, **keys):
        keys = {"dataDir": tmp_path / "data", "clientPort": free_port(), **keys}
        keyed = [f"{key}={value}" for key, value in keys.items() if value is not None]
        path = tmp_path / "zoo.cfg"
        path.write_text("\n".join([*lines, *keyed, "admin.enableServer=false"]) + "\n")
        return path

    return write


def port_of(path):
    """The client port in a zoo.cfg."""
    return int(re.search(r"clientPort=(\d+)", path.read_text()).group(1))


def line_of(path, key):
    """Where a key stands in a zoo.cfg, and its value, as mistakes are introduced."""
    lines = path.read_text().splitlines()
    (number,) = (number for number, line in enumerate(lines) if line.startswith(f"{key}="))
    return f"{path}:{number + 1}: {lines[number]}"


def is_named(ended, text):
    """The mistake is the first thing on standard error, and a remedy follows it."""
    first = ended.err.splitlines()[0]
    assert first.startswith(text) and "; hint: " in first, ended.err
    return True


# --- What is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("line", "said"), [
    ("tickTime=abc", "tickTime=abc is not a number"),
    ("tickTime=0", "tickTime is not set"),
    ("reconfigEnabled=yes", "Invalid option yes for reconfigEnabled. Choose 'true' or 'false.'"),
    ("minSessionTimeout=90000", "minSessionTimeout must not be larger than maxSessionTimeout"),
    ("electionAlg=1", "Invalid electionAlg value. Only 3 is supported."),
    ("peerType=leader", "Unrecognised peertype: leader"),
    ("metricsProvider.className=org.example.Metrics", "metrics provider class was not found"),
    ("server.1=one", "one does not have the form server_config"),
    ("dynamicConfigFile=/nowhere/zoo.cfg.dynamic", "Error processing /nowhere/zoo.cfg.dynamic"),
    ("authProvider.1=org.example.Mine", "authProvider.1=org.example.Mine is a class that zabd cannot load"),
])
def test_a_wrong_line_is_named(ends, cfg, only_zabd, line, said):
    path = cfg("# a comment", line)
    ended = ends("zabd", path)
    assert ended.status == 2
    assert is_named(ended, f"{path}:2: {said}")
    assert ended.err.splitlines()[-1] == "Invalid config, exiting abnormally"


@BOTH
@pytest.mark.parametrize("line", ["tickTime=0", "reconfigEnabled=yes", "minSessionTimeout=90000", "electionAlg=1", "server.1=one"])
def test_a_wrong_line_ends_with_code_2(ends, cfg, of_kind, each, line):
    ended = ends(of_kind(each), cfg(line))
    assert ended.status == 2
    assert "Invalid config, exiting abnormally" in ended.err


@BOTH
def test_a_number_that_no_member_has_ends_with_code_1(ends, cfg, tmp_path, of_kind, each):
    """Java has read its configuration by then, and ends with what nobody foresaw."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "myid").write_text("7\n")
    lines = [f"server.{number}=127.0.0.1:{free_port()}:{free_port()}" for number in (1, 2, 3)]
    path = cfg(*lines, initLimit=5, syncLimit=3)
    ended = ends(of_kind(each), path)
    assert ended.status == 1
    assert "My id 7 not in the peer list" in ended.err and "Unexpected exception, exiting abnormally" in ended.err
    if of_kind(each) == "zabd":
        assert is_named(ended, f"{path}: My id 7 not in the peer list")
    assert not (tmp_path / "data" / "version-2").exists() or of_kind(each) != "zabd"


LATE = {
    "digestAlg": ("DigestAuthenticationProvider.digestAlg=NOSUCH", "-Dzookeeper.DigestAuthenticationProvider.digestAlg=NOSUCH"),
    "serverCnxnFactory": ("serverCnxnFactory=org.example.Mine",),
    "intBufferStartingSizeBytes": ("intBufferStartingSizeBytes=8", "-Dzookeeper.intBufferStartingSizeBytes=8"),
    "secureClientPort": (f"secureClientPort={free_port()}",),
}


@BOTH
@pytest.mark.parametrize("key", LATE)
def test_what_java_finds_late_is_a_wrong_line(ends, cfg, of_kind, each, key):
    """Java ends with 1 when it comes to use the value, zabd with 2 before anything is touched."""
    line, *properties = LATE[key]
    path = cfg("# a comment", line)
    ended = ends(of_kind(each), *properties, path)
    if of_kind(each) == "zabd":
        assert ended.status == 2 and is_named(ended, f"{path}:2: {line}")
    else:
        assert ended.status == 1


@BOTH
def test_a_version_2_that_is_a_file_is_no_directory(ends, cfg, tmp_path, of_kind, each):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "version-2").write_text("a file")
    path = cfg()
    ended = ends(of_kind(each), path)
    if of_kind(each) == "zabd":
        assert ended.status == 3 and is_named(ended, f"{line_of(path, 'dataDir')} cannot be used: ")
    else:
        assert ended.status == 1


def test_all_mistakes_are_told_at_once(ends, cfg, only_zabd):
    path = cfg("tickTime=abc", "snapCount=many", "ssl.ocsp=true", dataDir=None)
    *mistakes, last = ends("zabd", path).err.splitlines()
    assert [line.split("; hint: ")[0] for line in mistakes] == [
        f"{path}:1: tickTime=abc is not a number",
        f"{path}:2: snapCount=many is not a number",
        f"{path}:3: ssl.ocsp=true asks for OCSP, which zabd does not do",
        "dataDir is not set",
    ]


def json_lines(ended, level):
    """The fields of the lines of this level; everything is on standard output, line by line."""
    assert ended.err == ""
    events = [json.loads(line) for line in ended.out.splitlines()]
    return [event["fields"] for event in events if event["level"] == level]


@pytest.mark.parametrize("loud", ["INFO", "OFF"])
def test_mistakes_are_lines_of_a_json_log(ends, cfg, only_zabd, loud):
    """They are told however quiet the log is to be, since nothing else is."""
    path = cfg("zabd.log.format=json", "tickTime=abc", "ssl.ocsp=true", "snapCuont=9", **{"zabd.log.level": loud}, dataDir=None)
    ended = ends("zabd", "-Dzookeeper.snapCount=many", path)
    assert ended.status == 2
    *mistakes, closing = json_lines(ended, "ERROR")
    assert closing == {"message": "Invalid config, exiting abnormally"}
    assert all(mistake.pop("remedy") for mistake in mistakes)
    assert mistakes == [
        {"file": str(path), "line": 2, "key": "tickTime", "message": "tickTime=abc is not a number"},
        {"file": str(path), "line": 3, "key": "ssl.ocsp",
         "message": "ssl.ocsp=true asks for OCSP, which zabd does not do"},
        {"source": "-Dzookeeper.snapCount", "key": "snapCount", "message": "snapCount=many is not a number"},
        {"key": "dataDir", "message": "dataDir is not set"},
    ]
    odd = {"file": str(path), "line": 4, "message": "nothing reads snapCuont; hint: did you mean `snapCount`?"}
    assert (odd in json_lines(ended, "WARN")) == (loud == "INFO")


def test_a_start_that_fails_is_a_line_of_a_json_log(ends, start, cfg, only_zabd):
    server = start("zabd")
    path = cfg("zabd.log.format=json", dataDir=server.data_dir)
    ended = ends("zabd", path)
    assert ended.status == 3
    (mistake,) = json_lines(ended, "ERROR")
    named, line, _ = line_of(path, "dataDir").rsplit(":", 2)
    assert (mistake["file"], mistake["line"], mistake["key"]) == (named, int(line), "dataDir")
    assert mistake["message"].startswith("Unable to access datadir, exiting abnormally: dataDir=")
    assert mistake["remedy"] == "stop that server, or give this one directories of its own"


def test_a_missing_file_is_told_as_the_properties_say(ends, tmp_path, only_zabd):
    ended = ends("zabd", tmp_path / "none.cfg", environment={"JVMFLAGS": "-Dzabd.log.format=json"})
    assert ended.status == 2
    missing, _ = json_lines(ended, "ERROR")
    assert missing["message"] == f"Error processing {tmp_path}/none.cfg: file is missing"


@BOTH
def test_a_missing_file_ends_with_code_2(ends, tmp_path, of_kind, each):
    ended = ends(of_kind(each), tmp_path / "none.cfg")
    assert ended.status == 2
    if of_kind(each) == "zabd":
        assert is_named(ended, f"Error processing {tmp_path}/none.cfg: file is missing; hint: Usage: zabd")


def test_words_that_mean_nothing_end_with_code_2(ends, only_zabd):
    for words, said in [
        (("--bogus",), "Invalid argument: --bogus"),
        (("1", "2", "3", "4", "5"), "Invalid number of arguments:[1, 2, 3, 4, 5]"),
        (("server", "--tickTiem", "5"), "command line: no key is named --tickTiem"),
        (("server", "--tickTime"), "command line: --tickTime has no value"),
        (("server", "zoo.cfg"), "command line: Invalid argument: zoo.cfg"),
    ]:
        ended = ends("zabd", *words)
        assert ended.status == 2 and is_named(ended, said)


@BOTH
def test_a_port_in_use_ends_with_code_1(ends, cfg, tmp_path, of_kind, each):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        path = cfg(clientPort=port, clientPortAddress="127.0.0.1")
        ended = ends(of_kind(each), path)
    assert ended.status == 1
    if of_kind(each) == "zabd":
        assert is_named(ended, f"{line_of(path, 'clientPort')} cannot be opened on 127.0.0.1:{port}: Address already in use")
        assert f"another process holds port {port}" in ended.err
        assert not (tmp_path / "data").exists(), "the files of whoever holds the port are not touched"
        assert "Unexpected exception, exiting abnormally" in ended.out


@pytest.mark.parametrize("together", [True, False], ids=["one-pipe", "two-pipes"])
def test_a_port_in_use_is_told_once_to_whoever_reads_both(cfg, only_zabd, together):
    """A shell behind `2>&1`, and containers and service managers, which hand out a pipe each and show both."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        path = cfg(clientPort=holder.getsockname()[1], clientPortAddress="127.0.0.1")
        done = subprocess.run(
            [str(places.ZABD), str(path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT if together else subprocess.PIPE, text=True,
            timeout=60, stdin=subprocess.DEVNULL)
    assert done.returncode == 1
    assert (done.stdout + (done.stderr or "")).count(" cannot be opened on ") == 1, done


def test_an_address_that_is_not_here_is_named(ends, cfg, only_zabd):
    # 192.0.2.0/24 is for documents; nobody has it.
    path = cfg(clientPortAddress="192.0.2.1")
    ended = ends("zabd", path)
    assert ended.status == 1
    assert is_named(ended, f"{line_of(path, 'clientPortAddress')} cannot be opened on 192.0.2.1:")
    path = cfg(clientPortAddress="no-such-host.invalid")
    ended = ends("zabd", path)
    assert ended.status == 2
    assert is_named(ended, f"{line_of(path, 'clientPortAddress')} cannot be resolved")


def below_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    return tmp_path / "file" / "data"


UNUSABLE = {
    # Nobody can make directories there, not even root.
    "cannot be made": (lambda tmp_path: "/proc/zookeeper", "true", "cannot be used: cannot create /proc/zookeeper/version-2"),
    "below a file": (below_a_file, "true", "cannot be used: cannot read "),
    "missing": (lambda tmp_path: tmp_path / "none", "false", "lacks "),
}


@BOTH
@pytest.mark.parametrize("what", UNUSABLE)
@pytest.mark.parametrize("key", ["dataDir", "dataLogDir"])
def test_a_directory_that_cannot_be_used_ends_with_code_3(ends, cfg, tmp_path, of_kind, each, what, key):
    directory, autocreate, said = UNUSABLE[what]
    directory = directory(tmp_path)
    if what == "missing" and key == "dataLogDir":
        (tmp_path / "data" / "version-2").mkdir(parents=True)
    path = cfg(f"datadir.autocreate={autocreate}", **{key: directory})
    ended = ends(of_kind(each), path)
    assert ended.status == 3
    if of_kind(each) == "zabd":
        assert is_named(ended, f"{line_of(path, key)} {said}")
        assert "Unable to access datadir, exiting abnormally" in ended.out


@BOTH
def test_swapped_directories_end_with_code_3(ends, start, tmp_path, cfg, of_kind, each):
    server = start(of_kind(each), data_log_dir=tmp_path / "log")
    wire.Session(server.port).end()
    server.kill()
    path = cfg(dataDir=tmp_path / "log", dataLogDir=server.data_dir)
    ended = ends(of_kind(each), path)
    assert ended.status == 3
    if of_kind(each) == "zabd":
        assert is_named(ended, f"{line_of(path, 'dataLogDir')} holds snapshot.0, which belongs into dataDir")


def test_a_directory_has_one_server(ends, start, cfg, only_zabd):
    server = start("zabd")
    session = wire.Session(server.port)
    assert session.create("/mine").err == 0
    before = sorted(path.name for path in (server.data_dir / "version-2").iterdir())
    path = cfg(dataDir=server.data_dir)
    ended = ends("zabd", path)
    assert ended.status == 3
    assert is_named(ended, f"{line_of(path, 'dataDir')} is in use by another server")
    assert sorted(path.name for path in (server.data_dir / "version-2").iterdir()) == before
    assert session.create("/still-mine").err == 0
    server.kill()
    server.start()


@BOTH
def test_nothing_is_no_data_unless_initialize_says_so(ends, cfg, start_with, tmp_path, of_kind, each):
    """Java starts even so, and then turns every client away; zabd does not start."""
    (tmp_path / "data").mkdir()
    path = cfg("db.autocreate=false")
    port = port_of(path)
    if of_kind(each) == "zabd":
        ended = ends("zabd", path)
        assert ended.status == 3
        assert is_named(ended, f"{line_of(path, 'dataDir')} holds no data, and db.autocreate is false")
        assert list((tmp_path / "data" / "version-2").iterdir()) == []
    else:
        server = start_with(of_kind(each), port, path)
        with pytest.raises(wire.Closed):
            wire.Session(port)
        server.kill()
    (tmp_path / "data" / "initialize").write_text("")
    server = start_with(of_kind(each), port, path)
    wire.Session(port).end()
    assert not (tmp_path / "data" / "initialize").exists(), "it speaks of one start"
    server.kill()
    wire.Session(server.start().port).end()


ALONE = {"standalone": False, "the only voter": True}
VOTER = {"standaloneEnabled": "false", "initLimit": 10, "syncLimit": 5}


@pytest.fixture
def only_voter(tmp_path):
    """What makes a member of an ensemble of one."""
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    (data_dir / "myid").write_text("1")
    line = f"127.0.0.1:{free_port()}:{free_port()}:participant"
    return {"data_dir": data_dir, "config": {**VOTER, "server.1": line}}


@pytest.mark.parametrize("how", ALONE)
def test_a_young_server_that_is_alone_misses_its_logs(start, tmp_path, only_zabd, only_voter, how):
    """All that it acknowledged was in the logs, and no other server has it: a new disk in their place is no empty beginning."""
    server = start("zabd", data_log_dir=tmp_path / "log", **(only_voter if ALONE[how] else {"data_dir": tmp_path / "data"}))
    assert wire.Session(server.port).create("/acknowledged").err == 0
    server.kill()
    snapshots = tmp_path / "data" / "version-2"
    assert [path.name for path in snapshots.glob("snapshot.*")] == ["snapshot.0"]
    (tmp_path / "log").rename(tmp_path / "the-disk-from-before")
    with pytest.raises(ServerFailed, match="ended with 1"):
        server.start()
    said = server.log_text()
    mark = snapshots / "transactions-apart"
    assert f"{tmp_path / 'log' / 'version-2'} does not hold the logs" in said and f"remove {mark}" in said
    shutil.rmtree(tmp_path / "log")
    (tmp_path / "the-disk-from-before").rename(tmp_path / "log")
    server.start()
    assert wire.Session(server.port).create("/acknowledged").err == NODE_EXISTS
    server.kill()
    # Nobody has them any more: the way out that was named.
    shutil.rmtree(tmp_path / "log")
    mark.unlink()
    server.start()
    assert wire.Session(server.port).create("/acknowledged").err == 0


def test_logs_are_missed_when_nobody_says_any_more_where_they_are(start, tmp_path, only_zabd):
    """The line dataLogDir is gone from the configuration: the newest snapshot alone is not what was acknowledged."""
    server = start("zabd", data_log_dir=tmp_path / "log", data_dir=tmp_path / "data")
    assert wire.Session(server.port).create("/acknowledged").err == 0
    server.stop()
    snapshots = tmp_path / "data" / "version-2"
    del server.config["dataLogDir"]
    with pytest.raises(ServerFailed, match="ended with 1"):
        server.start()
    said = server.log_text()
    assert f"belong to the snapshots in {snapshots} are in another directory" in said and "dataLogDir does not say which" in said
    doctor = subprocess.run([places.ZABD, "doctor", "--alone", tmp_path / "data"], capture_output=True, text=True, check=False)
    assert doctor.returncode != 0 and "are in another directory" in doctor.stdout, doctor.stdout
    # Whoever wants one directory moves the logs.
    for log in (tmp_path / "log" / "version-2").glob("log.*"):
        log.rename(snapshots / log.name)
    server.start()
    assert wire.Session(server.port).create("/acknowledged").err == NODE_EXISTS
    assert not (snapshots / "transactions-apart").exists()


@BOTH
@pytest.mark.parametrize("is_dynamic", [False, True])
def test_proposed_members_that_cannot_be_read(start, tmp_path, of_kind, only_voter, each, is_dynamic):
    """They may be in the log, and committed, and beside a zoo.cfg that names the members itself nothing else says so: that ends the
    start. Java looks for them only beside a dynamic file."""
    config = only_voter["config"]
    config["reconfigEnabled"] = "true"
    if is_dynamic:
        members = tmp_path / "zoo.cfg.dynamic.100000000"
        members.write_text(f"server.1={config.pop('server.1')}\n")
        config["dynamicConfigFile"] = members
    kind = of_kind(each)
    directory = tmp_path / f"0-{kind}"
    directory.mkdir()
    proposed = directory / "zoo.cfg.dynamic.next"
    proposed.write_bytes(b"server.1=\x00\xff\nversion=10000")
    if is_dynamic or kind == "zabd":
        told = f"{proposed} names no members: " if kind == "zabd" else f"{kind} ended with "
        with pytest.raises(ServerFailed, match=told):
            start(kind, **only_voter)
        return
    server = start(kind, **only_voter)
    assert wire.Session(server.port).create("/served").err == 0


# --- What is told ------------------------------------------------------------------------------------------------------


def test_what_is_odd_is_told_and_secrets_are_not(cfg, start_with, only_zabd, tmp_path):
    path = cfg(
        "snapcount=5", "zookeeper.forceSync=yes", "admin.httpVersion=10", "tickTime=500", "tickTime=600",
        "DigestAuthenticationProvider.superDigest=super:open-sesame", "ssl.keyStore.password=open-sesame",
        "commitProcessor.numWorkerThreads=4", f"{WORDS}=conf")
    server = start_with("zabd", port_of(path), "-Dzookeeper.nobody=1", path)
    log = server.log_text()
    for said in (
            f"{path}:1: nothing reads snapcount; hint: did you mean `snapCount`?",
            f"{path}:2: zookeeper.forceSync works without its prefix too",
            f"HTTP/1.1 is spoken, which answers HTTP/1.0 too: no effect of admin.httpVersion ({path}:3)",
            f"{path}:5: tickTime is set again, the value of {path}:4 is forgotten",
            f"zabd has no such threads: no effect of commitProcessor.numWorkerThreads ({path}:8)",
            "-Dzookeeper.nobody: nothing reads zookeeper.nobody",
            f"INFO  [main:launch@#] - tickTime=600 ({path}:5)",
            f"DigestAuthenticationProvider.superDigest=(hidden) ({path}:6)"):
        assert said in re.sub(r"launch@\d+", "launch@#", log), log
    assert "open-sesame" not in log
    assert conf(server)["tickTime"] == "600"


# --- How it is started -------------------------------------------------------------------------------------------------


@BOTH
def test_port_and_directory(start_with, tmp_path, of_kind, each):
    port = free_port()
    data = tmp_path / "words"
    server = start_with(
        of_kind(each), port, f"-Dzookeeper.{WORDS}=*", "-Dzookeeper.admin.enableServer=false", port, data, "1500", "7")
    shown = conf(server)
    assert shown["dataDir"] == f"{data}/version-2"
    assert [shown[key] for key in ("clientPort", "tickTime", "maxClientCnxns", "minSessionTimeout")] == [
        str(port), "1500", "7", "3000"]


@BOTH
def test_directories_are_shown_from_the_root(start_with, tmp_path, of_kind, each):
    port = free_port()
    words = [f"-Dzookeeper.{WORDS}=*", "-Dzookeeper.admin.enableServer=false", port, "./data"]
    server = start_with(of_kind(each), port, *words)
    shown = conf(server)
    assert {shown["dataDir"], shown["dataLogDir"]} == {f"{server.directory}/./data/version-2"}


@BOTH
def test_properties_count_with_their_prefix_and_zoo_cfg_beats_them(cfg, start_with, of_kind, each):
    path = cfg(f"{WORDS}=isro")
    port = port_of(path)
    server = start_with(of_kind(each), port, f"-Dzookeeper.{WORDS}=ruok", "-Dzookeeper.enforceQuota=true", path)
    assert four_letter_word(port, "isro") == "rw", "zoo.cfg has the last word"
    assert "not executed" in four_letter_word(port, "ruok")
    session = wire.Session(port)
    limits = b"count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=1"
    for path, data in (
            ("/q", b""), ("/zookeeper/quota/q", b""), ("/zookeeper/quota/q/zookeeper_limits", limits),
            ("/zookeeper/quota/q/zookeeper_stats", b"count=0,bytes=0")):
        assert session.create(path, data).err == 0
    assert session.create("/q/one-too-many").err == -125, "the property counts where zoo.cfg says nothing"
    server.kill()


def test_later_sources_win(cfg, start_with, only_zabd):
    """SERVER_JVMFLAGS, JVMFLAGS, -D, zoo.cfg, flags: each may be the last to speak about a key, with and without the prefix."""
    path = cfg(f"{WORDS}=*", maxClientCnxns=44)
    environment = {
        "SERVER_JVMFLAGS": "-Xmx1g -DtickTime=1111 -Dzookeeper.minSessionTimeout=1112 -DmaxSessionTimeout=11113",
        "JVMFLAGS": "-Dzookeeper.minSessionTimeout=2222 -DmaxSessionTimeout=22223 -Dcom.example=ignored"}
    words = ("-DmaxSessionTimeout=33333", "-DmaxClientCnxns=33", "server", "--config", path, "--client-port-listen-backlog", "55")
    shown = conf(start_with("zabd", port_of(path), *words, environment=environment))
    assert [shown[key] for key in (
        "tickTime", "minSessionTimeout", "maxSessionTimeout", "maxClientCnxns", "clientPortListenBacklog")] == [
        "1111", "2222", "33333", "44", "55"]


def test_flags_need_no_file(start_with, tmp_path, only_zabd):
    port = free_port()
    words = ("server", "--clientPort", port, f"--data-dir={tmp_path}/flags", "--4lw.commands.whitelist", "*", "--tick_time=900")
    shown = conf(start_with("zabd", port, *words))
    assert (shown["clientPort"], shown["dataDir"], shown["tickTime"]) == (str(port), f"{tmp_path}/flags/version-2", "900")


@pytest.mark.parametrize("rest", [(), ("server", "--tick_time=900")], ids=["no word", "flags"])
def test_properties_beat_the_defaults_of_a_start_without_a_file(start_with, tmp_path, only_zabd, rest):
    port = free_port()
    words = (f"-DclientPort={port}", "-DmaxClientCnxns=7", "-D4lw.commands.whitelist=*", *rest)
    server = start_with("zabd", port, *words, environment={"JVMFLAGS": f"-DdataDir={tmp_path}/said"})
    shown = conf(server)
    assert (shown["clientPort"], shown["dataDir"], shown["maxClientCnxns"]) == (str(port), f"{tmp_path}/said/version-2", "7")
    assert f"dataDir={tmp_path}/said (JVMFLAGS -DdataDir)" in server.log_text()


def test_a_first_try_with_a_log_in_json_prints_nothing_else(start_with, tmp_path, only_zabd):
    port = free_port()
    words = (f"-DclientPort={port}", f"-DdataDir={tmp_path}/data", "-Dzabd.log.format=json")
    server = start_with("zabd", port, *words)
    send(server.process, signal.SIGTERM)
    assert server.process.wait(20) == 0
    server.process = None
    events = [json.loads(line) for line in server.log_text().splitlines()]
    assert "Stopped on request" in [event["fields"]["message"] for event in events]


def stop_all_threads(pid):
    """Returns when no thread runs any more."""
    os.kill(pid, signal.SIGSTOP)
    states = Path(f"/proc/{pid}/task").glob("*/stat")
    for path in states:
        while path.read_text().rpartition(")")[2].split()[0] != "T":
            time.sleep(0.001)


@BOTH
def test_so_many_connections_may_wait_to_be_accepted(start, of_kind, each):
    server = start(of_kind(each), config={"clientPortListenBacklog": 3})
    waiting = []
    try:
        stop_all_threads(server.process.pid)
        # The kernel lets one more in than it is told; whoever comes then gets no answer.
        for _ in range(4):
            waiting.append(socket.create_connection(("127.0.0.1", server.port), 10))
        with pytest.raises(TimeoutError):
            waiting.append(socket.create_connection(("127.0.0.1", server.port), 0.3))
    finally:
        server.process.send_signal(signal.SIGCONT)
        for connection in waiting:
            connection.close()


def test_help_and_version_are_said_on_standard_output(ends, only_zabd):
    shown = ends("zabd", "--help")
    assert shown.status == 0 and "Usage:" in shown.out and shown.err == ""
    version = ends("zabd", "--version")
    assert version.status == 0 and re.fullmatch(r"zabd \d+\.\d+\.\d+\n", version.out)


@pytest.fixture
def hangups():
    """`hangups(handler)`: what servers that start from now on find set for SIGHUP."""
    before = signal.getsignal(signal.SIGHUP)
    yield lambda handler: signal.signal(signal.SIGHUP, handler)
    signal.signal(signal.SIGHUP, before)


def send(process, how):
    """Sends a signal when the process is there to catch it: SIGQUIT is among those that both kinds wait for."""
    status = Path(f"/proc/{process.pid}/status")
    bit = 1 << signal.SIGQUIT - 1
    assert eventually(lambda: int(re.search(r"SigCgt:\s*(\w+)", status.read_text())[1], 16) & bit)
    os.kill(process.pid, how)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_server_that_is_asked_to_stop_ends_with_code_0(start, hangups, only_zabd, how):
    hangups(signal.SIG_DFL)
    server = start("zabd")
    process = server.process
    send(process, how)
    assert process.wait(20) == 0
    assert "Asked to stop" in server.log_text()
    server.process = None


@BOTH
def test_a_server_that_is_asked_how_it_is_says_so_and_goes_on(start, of_kind, each):
    server = start(of_kind(each))
    send(server.process, signal.SIGQUIT)
    said = "Full thread dump" if server.kind != "zabd" else "Asked how it is: standalone, zxid 0x0, 5 nodes, "
    assert eventually(lambda: said in server.log_text()), server.log_text()
    assert wire.Session(server.port).create("/after", b"").err == 0


def test_signals_that_mean_nothing_end_nothing(start, only_zabd):
    """They kill a Java machine."""
    server = start("zabd")
    for name in ("SIGUSR1", "SIGUSR2"):
        send(server.process, getattr(signal, name))
        assert eventually(lambda: f"{name} asks this server for nothing: it goes on" in server.log_text()), server.log_text()
    assert wire.Session(server.port).create("/after", b"").err == 0


@BOTH
def test_a_hangup_that_is_ignored_stays_ignored(start, hangups, of_kind, each):
    """Under `nohup` a server outlives its terminal."""
    hangups(signal.SIG_IGN)
    server = start(of_kind(each))
    send(server.process, signal.SIGHUP)
    # The next signal is seen behind this one.
    send(server.process, signal.SIGQUIT)
    said = "Full thread dump" if server.kind != "zabd" else "Asked how it is"
    assert eventually(lambda: said in server.log_text()), server.log_text()
    assert wire.Session(server.port).create("/after", b"").err == 0
