"""`zabd check zoo.cfg` and `zabd doctor zoo.cfg`: what a start would find, without one; and starts that begin in the wrong place."""

import ctypes
import getpass
import shutil
import socket
import subprocess

import pytest

from harness import places, wire
from harness.servers import Server, die_with_parent, free_port

LONG_MS = 300_000


@pytest.fixture
def configured(tmp_path):
    """`configured(*lines, name=...)`: a zoo.cfg."""

    def make(*lines, name="zoo.cfg"):
        path = tmp_path / name
        path.write_text("".join(f"{line}\n" for line in ("admin.enableServer=false", *lines)))
        return path

    return make


def files(directory):
    """Every path below it."""
    return sorted(path for path in directory.rglob("*"))


def test_a_members_copy_is_checked_without_joining(configured, ends, only_zabd, tmp_path):
    """Its ports are another's, who would answer: nobody is called, and nothing is made."""
    (tmp_path / "data").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        lines = [f"server.{number}=127.0.0.1:{port}:{free_port()};{free_port()}" for number in (1, 2, 3)]
        config = configured(f"dataDir={tmp_path}/data", "initLimit=5", "syncLimit=2", "autopurge.purgeIntervall=1", *lines)
        checked = ends("zabd", "check", config)
        assert checked.status == 1 and "myid file is missing" in checked.out, checked
        (tmp_path / "data" / "myid").write_text("2\n")
        before = files(tmp_path)
        checked = ends("zabd", "check", config)
        assert checked.status == 0, checked
        assert "members: this is server 2 of 3 (3 voters); a start joins them as that one" in checked.out, checked
        assert "warning: " in checked.out and "autopurge.purgeIntervall" in checked.out, checked
        assert files(tmp_path) == before
        taken.settimeout(0)
        with pytest.raises(BlockingIOError):
            taken.accept()


def test_what_would_end_a_start_is_told(configured, ends, only_zabd, tmp_path):
    data = f"dataDir={tmp_path}/data"
    for lines, said in [
        ((data, "clientPort=x"), "clientPort=x"),
        ((data, "clientPort=1", f"java.security.auth.login.config={tmp_path}/none"), "there is no such file: make it, or correct the path"),
        ((data, "secureClientPort=1", f"ssl.keyStore.location={tmp_path}/none"), "TLS: MISTAKE: "),
        ((data, "clientPort=1", "datadir.autocreate=false"), "create it: `mkdir -p "),
    ]:
        properties = [f"-D{line}" for line in lines if line.startswith("java.security")]
        config = configured(*(line for line in lines if not line.startswith("java.security")))
        checked = ends("zabd", "check", *properties, config)
        assert checked.status == 1 and said in checked.out and checked.out.endswith("a start ends\n"), (lines, checked)
    checked = ends("zabd", "check", configured(data, "clientPort=1"))
    assert checked.status == 0 and "is not there, and a start makes it" in checked.out, checked
    assert not (tmp_path / "data").exists()


@pytest.fixture
def apart(start, only_zabd, tmp_path):
    """A directory of Java's whose logs are elsewhere, and that has a snapshot with transactions."""
    java = start("java395", data_log_dir=tmp_path / "logs")
    session = wire.Session(java.port, LONG_MS)
    assert session.create("/a").err == 0
    java.stop()
    java.start()
    session = wire.Session(java.port, LONG_MS)
    assert session.create("/b").err == 0
    java.stop()
    assert list((java.data_dir / "version-2").glob("snapshot.[1-9a-f]*"))
    return java


def test_logs_that_are_elsewhere_are_asked_for(apart, configured, ends, tmp_path):
    logs = f"dataLogDir={tmp_path}/logs"
    lines = [f"dataDir={apart.data_dir}", f"clientPort={free_port()}"]
    asked = ends("zabd", "doctor", apart.data_dir)
    assert asked.status == 1 and "finds snapshots and no log: is there a dataLogDir? " in asked.out, asked
    asked = ends("zabd", "doctor", configured(*lines, logs))
    assert asked.status == 0 and "replays 2 transactions" in asked.out, asked
    # A start goes through, and says it.
    with Server("zabd", tmp_path / "zabd", data_dir=shutil.copytree(apart.data_dir, tmp_path / "copy")) as server:
        assert "holds a snapshot with transactions, and " in server.log_text()


def test_what_is_known_of_the_logs_is_not_asked(apart, configured, ends, only_zabd, tmp_path):
    """Whoever has named a zoo.cfg has named both directories; where a start would end, so does what is said of it."""
    lines = [f"dataDir={apart.data_dir}", f"clientPort={free_port()}"]
    (tmp_path / "empty").mkdir()
    for logs, said in (("empty", f"finds snapshots, and no log in {tmp_path}/empty, where zoo.cfg has them"),
                       ("logs", "replays 2 transactions")):
        checked = ends("zabd", "check", configured(*lines, f"dataLogDir={tmp_path}/{logs}"))
        assert checked.status == 0 and said in checked.out and "--log-dir" not in checked.out, checked
    # Once a server knows that the logs are apart, one without them does not start.
    with Server("zabd", tmp_path / "zabd", data_dir=apart.data_dir, data_log_dir=tmp_path / "logs") as server:
        checked = ends("zabd", "check", server.directory / "zoo.cfg")
        assert checked.status == 0 and "a zabd server works in " in checked.out, checked
        assert checked.out.endswith("a start goes through when that server has ended, as far as can be seen beside it\n"), checked
    moved = configured(*lines, f"dataLogDir={tmp_path}/elsewhere")
    for asked in (("zabd", "check", moved), ("zabd", moved)):
        ended = ends(*asked)
        assert ended.status != 0 and "does not hold the logs that belong to the snapshots" in ended.out + ended.err, ended


def without_privileges():
    """Runs in the child: root, too, needs the rights that a file gives."""
    PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2
    die_with_parent()
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


@pytest.mark.parametrize("place, mode", [(".", 0), ("version-2", 0o500), ("version-2", 0), ("version-2/log.1", 0), ("version-2/snapshot.0", 0)])
def test_what_this_user_may_not_touch_is_told_as_a_start_tells_it(start, configured, only_zabd, place, mode):
    server = start("zabd", properties={"preAllocSize": 16})
    assert wire.Session(server.port, LONG_MS).create("/a").err == 0
    server.stop()
    place = server.data_dir / place
    place.chmod(mode)
    config = configured(f"dataDir={server.data_dir}", f"clientPort={free_port()}")
    user = getpass.getuser()
    hint = f"hint: this server runs as user {user}, who has to be given all of it: `chown -R {user} {server.data_dir}`, as root"
    try:
        for words, status in (((config,), 3), (("check", config), 1), (("doctor", config), 2), (("doctor", server.data_dir), 2)):
            asked = subprocess.run([places.ZABD, *words], capture_output=True, text=True, timeout=60, preexec_fn=without_privileges)
            said = asked.stdout + asked.stderr
            is_read = mode == 0o500 and words[0] == "doctor"
            assert asked.returncode == (0 if is_read else status) and hint in said and "DAMAGED" not in said, (words, asked)
            assert str(place) in said, (words, asked)
    finally:
        place.chmod(0o700)


def test_a_data_directory_is_not_its_version(apart, configured, ends):
    config = configured(f"dataDir={apart.data_dir}/version-2", f"clientPort={free_port()}")
    ended = ends("zabd", config)
    assert ended.status == 3 and f"hint: name the directory above: `dataDir={apart.data_dir}`" in ended.err, ended
    assert not (apart.data_dir / "version-2" / "version-2").exists()
    checked = ends("zabd", "check", config)
    assert checked.status == 1 and f"name the directory above: `dataDir={apart.data_dir}`" in checked.out, checked


def test_a_member_whom_its_peers_repair_has_one_verdict(start, configured, ends, only_zabd):
    server = start("zabd", properties={"preAllocSize": 16})
    session = wire.Session(server.port, LONG_MS)
    assert all(session.create(f"/a{number}").err == 0 for number in range(5))
    server.stop()
    for name, content in (("myid", "1"), ("version-2/currentEpoch", "0"), ("version-2/acceptedEpoch", "0")):
        (server.data_dir / name).write_text(content)
    log = server.data_dir / "version-2" / "log.1"
    content = bytearray(log.read_bytes())
    content[content.index(b"/a1")] ^= 0x20
    log.write_bytes(content)
    lines = [f"server.{number}=127.0.0.1:{free_port()}:{free_port()};{free_port()}" for number in (1, 2, 3)]
    config = configured(f"dataDir={server.data_dir}", "initLimit=5", "syncLimit=2", *lines)
    verdict = "needs attention: a start goes through, repaired by its peers, if these are a quorum without it\n"
    asked, checked = ends("zabd", "doctor", config), ends("zabd", "check", config)
    assert asked.status == 1 and asked.out.endswith(f"\n{verdict}"), asked
    assert checked.status == 0 and f"\n{verdict}" in checked.out and "cannot be used" not in checked.out, checked
    assert checked.out.endswith("\na start goes through, repaired by its peers, if these are a quorum without it and its ports are free; else it ends\n")


def test_a_java_env_that_only_scripts_read_is_named(configured, ends, only_zabd, tmp_path):
    jaas = tmp_path / "jaas.conf"
    jaas.write_text('QuorumServer { org.apache.zookeeper.server.auth.DigestLoginModule required user_a="b"; };\n'
                    'QuorumLearner { org.apache.zookeeper.server.auth.DigestLoginModule required username="a" password="b"; };\n')
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "myid").write_text("1\n")
    (tmp_path / "java.env").write_text(f'SERVER_JVMFLAGS="-Xmx1G -Djava.security.auth.login.config={jaas}"\n')
    lines = [f"server.{number}=127.0.0.1:1:2;3" for number in (1, 2, 3)]
    config = configured(f"dataDir={tmp_path}/data", "initLimit=5", "syncLimit=2", "quorum.auth.enableSasl=true",
                        "quorum.auth.learnerRequireSasl=true", "quorum.auth.serverRequireSasl=true", *lines)
    started = ends("zabd", config)
    assert started.status == 2 and "quorum.auth.enableSasl=true needs a JAAS file" in started.err, started
    sets = f"{tmp_path}/java.env sets java.security.auth.login.config, "
    assert f"; {sets}and is read by `zkServer.sh start-foreground`, and not by `zabd zoo.cfg`: " in started.err, started
    checked = ends("zabd", "check", config)
    assert checked.status == 0, checked
    assert f"warning: {sets}which a start by `zkServer.sh` has, and one by `zabd zoo.cfg` has not\n" in checked.out, checked
