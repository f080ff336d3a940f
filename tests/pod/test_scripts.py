"""`zkServer.sh`, `zkCleanup.sh` and `zkServer-initialize.sh` beside what Java 3.9.5's scripts say and end with.

Their words were taken from the scripts themselves. The path of Java that they print first is not there, nor are Java's log lines.
"""

import re
import socket

import pytest


from .conftest import ports

USAGE = "Usage: {} [--config <conf-dir>] {{start|start-foreground|stop|version|restart|status|print-cmd}}\n"
PURGE_USAGE = (
    "Usage:\nPurgeTxnLog dataLogDir [snapDir] -n count\n\tdataLogDir -- path to the txn log directory\n"
    "\tsnapDir -- path to the snapshot directory\n"
    "\tcount -- the number of old snaps/logs you want to keep, value should be greater than or equal to 3\n")
INITIALIZE_USAGE = (
    "usage: {} <parameters>\n  Optional parameters:\n"
    "     -h                                                    Display this message\n"
    "     --help                                                Display this message\n"
    "     --configfile={:<40} ZooKeeper config file\n"
    "     --myid=#                                              Set the myid to be used, if any (1-255)\n"
    "     --force                                               Force creation of the data/txnlog dirs\n")


class Home:
    """A directory of a configuration, of data and of logs."""

    def __init__(self, root):
        self.root, self.conf, self.data = root, root / "conf", root / "data"
        [self.port] = ports(1)
        self.conf.mkdir()
        self.cfg = self.conf / "zoo.cfg"
        self.write()
        self.variables = {"ZOOCFGDIR": str(self.conf), "ZOO_LOG_DIR": str(root / "logs"), "USER": "zk"}

    def write(self, *lines):
        """The zoo.cfg: these lines, or the usual ones."""
        usual = [f"dataDir={self.data}", f"clientPort={self.port}", "admin.enableServer=false"]
        self.cfg.write_text("\n".join(lines or usual) + "\n")

    def told(self):
        """What scripts say first."""
        return f"ZooKeeper JMX enabled by default\nUsing config: {self.cfg}\n"


@pytest.fixture
def home(tmp_path, call):
    """One of which a server that was left behind is ended."""
    found = Home(tmp_path)
    yield found
    if (found.data / "zookeeper_server.pid").exists():
        call("zkServer.sh", "stop", **found.variables)


def found(port):
    """What `status` says of a port that it has found."""
    return f"Client port found: {port}. Client address: localhost. Client SSL: false.\n"


def test_start_status_restart_stop(call, home):
    error = "Error contacting service. It is probably not running.\n"
    zk = lambda word: call("zkServer.sh", word, **home.variables)  # noqa: E731
    status = zk("status")
    assert (status.returncode, status.stdout, status.stderr) == (1, found(home.port) + error, home.told())
    started = zk("start")
    assert (started.returncode, started.stdout) == (0, "Starting zookeeper ... STARTED\n")
    pid = (home.data / "zookeeper_server.pid").read_text()
    assert pid.isdigit()
    status = zk("status")
    assert (status.returncode, status.stdout) == (0, found(home.port) + "Mode: standalone\n")
    again = zk("start")
    assert (again.returncode, again.stdout) == (1, f"Starting zookeeper ... already running as process {pid}.\n")
    assert zk("restart").stdout == "Stopping zookeeper ... STOPPED\nStarting zookeeper ... STARTED\n"
    assert (home.data / "zookeeper_server.pid").read_text() != pid
    stopped = zk("stop")
    assert (stopped.returncode, stopped.stdout) == (0, "Stopping zookeeper ... STOPPED\n")
    nothing = f"Stopping zookeeper ... no zookeeper to stop (could not find file {home.data}/zookeeper_server.pid)\n"
    stopped = zk("stop")
    assert (stopped.returncode, stopped.stdout) == (0, nothing)
    log = (home.root / f"logs/zookeeper-zk-server-{socket.gethostname()}.out").read_text()
    assert "Serving clients" in log


def test_a_server_that_does_not_start(call, home):
    home.write(f"dataDir={home.data}", "clientPort=x")
    started = call("zkServer.sh", "start", **home.variables)
    assert (started.returncode, started.stdout) == (1, "Starting zookeeper ... FAILED TO START\n")
    assert not (home.data / "zookeeper_server.pid").exists(), "that process is gone"
    foreground = call("zkServer.sh", "start-foreground", **home.variables)
    assert foreground.returncode == 2 and foreground.stderr.startswith(home.told())


def test_a_configuration_that_is_not_there(call, home):
    """It is named, as Java's `grep` does, and nothing is left behind."""
    nope = home.conf / "nope.cfg"
    missing = f"{nope}: No such file or directory\n"
    zk = lambda word: call("zkServer.sh", word, "nope.cfg", cwd=home.root, **home.variables)  # noqa: E731
    status = zk("status")
    assert status.returncode == 1 and status.stderr.endswith(missing)
    before = sorted(home.root.rglob("*"))
    started = zk("start")
    assert (started.returncode, started.stdout) == (1, "Starting zookeeper ... FAILED TO START\n")
    assert started.stderr.endswith(missing) and sorted(home.root.rglob("*")) == before
    foreground = zk("start-foreground")
    assert foreground.returncode == 2 and f"Error processing {nope}: file is missing; hint: name a zoo.cfg" in foreground.stderr


def test_foreground_is_the_server(pod, home):
    (home.conf / "java.env").write_text('JVMFLAGS="-Xmx1G -Dzookeeper.4lw.commands.whitelist=ruok"\n')
    started = pod("zkServer.sh", "start-foreground", port=home.port, **home.variables).await_serving()
    assert started.answers() == "imok"
    assert started.said().startswith(home.told())
    assert started.end() == 0


def test_version_usage_and_print_cmd(call, bin, home):
    version = call("zkServer.sh", "version", **home.variables)
    assert version.returncode == 0
    assert re.fullmatch(r"Apache ZooKeeper, version 3\.9\.5\S* \d{4}-\d\d-\d\d \d\d:\d\d UTC\n", version.stdout)
    for words in ([], ["upgrade"], ["bogus"]):
        usage = call("zkServer.sh", *words, **home.variables)
        assert (usage.returncode, usage.stdout) == (0, "")
        assert usage.stderr == home.told() + USAGE.format(bin / "zkServer.sh")
    printed = call("zkServer.sh", "print-cmd", **home.variables)
    assert printed.stdout.startswith(f'"{bin}/zabd" "{home.cfg}" > "{home.root}/logs/zookeeper-zk-server-')
    flags = {**home.variables, "SERVER_JVMFLAGS": "-Xmx1g -Dzookeeper.snapCount=77"}
    printed = call("zkServer.sh", "print-cmd", **flags)
    assert printed.stdout.startswith(f'"{bin}/zabd" "-Dzookeeper.snapCount=77" "{home.cfg}" > ')


def test_where_the_configuration_is(call, bin, home, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "zoo.cfg").write_text("clientPort=1\ndataDir=/nowhere\n")
    (home.conf / "second.cfg").write_text("clientPort=2\n")
    for words, variables, path in [
        (["--config", other, "status"], {}, other / "zoo.cfg"),
        (["status", "second.cfg"], {}, home.conf / "second.cfg"),
        (["status", other / "zoo.cfg"], {}, other / "zoo.cfg"),
        (["status"], {"ZOOCFG": "second.cfg"}, home.conf / "second.cfg"),
        (["status"], {"ZOOCFGDIR": ""}, f"{bin}/../etc/zookeeper/zoo.cfg"),
    ]:
        said = call("zkServer.sh", *words, **{**home.variables, **variables}).stderr
        assert said.splitlines()[1] == f"Using config: {path}", words
    said = call("zkServer.sh", "status", **home.variables, JMXDISABLE="true").stderr
    assert said.startswith("JMX disabled by user request\n")


def test_status_without_a_port(call, home):
    home.write("dataDir=/nowhere")
    status = call("zkServer.sh", "status", **home.variables)
    assert (status.returncode, status.stdout) == (1, (
        "myid could not be determined, will not able to locate clientPort in the server configs.\n"
        "Client port not found. Looking for secureClientPort in the static config.\n"
        "Unable to find either secure or unsecure client port in any configs. Terminating.\n"))


# --- zkCleanup.sh --------------------------------------------------------------------------------------------------------


def snapshots(home, count):
    """Names of that many snapshots, made of a real one."""
    version = home.data / "version-2"
    whole = next(version.glob("snapshot.*")).read_bytes()
    for number in range(1, count + 1):
        (version / f"snapshot.{number}").write_bytes(whole)
    return sorted(path.name for path in version.glob("snapshot.*"))


def test_cleanup_keeps_the_newest(pod, call, home):
    started = pod("zkServer.sh", "start-foreground", port=home.port, **home.variables).await_serving()
    assert started.end() == 0
    names = snapshots(home, 5)
    done = call("zkCleanup.sh", "-n", "3", **home.variables)
    assert (done.returncode, done.stderr) == (0, "")
    removed = names[:-3]
    date = r"[A-Z][a-z]{2} \d{1,2}, \d{4}, \d{1,2}:\d\d:\d\d [AP]M"
    expected = "".join(f"Removing file: {date}\t{re.escape(str(home.data))}/version-2/{re.escape(name)}\n" for name in removed)
    assert removed and re.fullmatch(expected, done.stdout), done.stdout
    assert sorted(path.name for path in (home.data / "version-2").glob("snapshot.*")) == names[-3:]
    assert call("zkCleanup.sh", "-n", "3", **home.variables).stdout == ""


def test_wrong_words_of_cleanup(call, home):
    home.data.mkdir()
    for words, said in [
        ([], ""),
        (["-n"], ""),
        (["-k", "3"], ""),
        (["-n", "2"], "count should be greater than or equal to 3\n"),
        (["-n", "x"], "'x' can not be parsed to integer.\n"),
    ]:
        done = call("zkCleanup.sh", *words, **home.variables)
        assert (done.returncode, done.stdout, done.stderr) == (1, PURGE_USAGE, said), words
    home.write("dataDir=/nowhere/data")
    done = call("zkCleanup.sh", "-n", "3", **home.variables)
    assert (done.returncode, done.stderr) == (1, "Path '/nowhere/data' does not exist. \n")


# --- zkServer-initialize.sh ------------------------------------------------------------------------------------------------


def test_initialize(call, bin, pod, home):
    log = home.root / "log"
    home.write(f"dataDir={home.data}", f"dataLogDir={log}", f"clientPort={home.port}", "admin.enableServer=false")
    make = lambda *words: call("zkServer-initialize.sh", *words, **home.variables)  # noqa: E731
    done = make("--myid=3")
    assert (done.returncode, done.stdout) == (0, "Using myid of 3\n")
    assert (home.data / "myid").read_text() == "3\n" and (home.data / "initialize").exists() and (log / "version-2").is_dir()
    done = make("--myid=3")
    there = f"ZooKeeper data directory already exists at {home.data} (or use --force to force re-initialization)\n"
    assert (done.returncode, done.stdout) == (1, there)
    (home.data / "version-2/snapshot.0").write_text("")
    done = make("--force")
    forced = "Force enabled, data/txnlog directories will be re-initialized\n"
    no_id = f"No myid provided, be sure to specify it in {home.data}/myid if using non-standalone\n"
    assert (done.returncode, done.stdout) == (0, forced + no_id)
    assert list((home.data / "version-2").iterdir()) == [] and not (home.data / "myid").exists()
    usage = INITIALIZE_USAGE.format(bin / "zkServer-initialize.sh", str(home.cfg))
    assert (make("-h").returncode, make("--help").stdout) == (1, usage)
    assert make("--x").stdout == "Unknown option: --x\n" + usage
    started = pod("zkServer.sh", "start-foreground", port=home.port, **home.variables).await_serving()
    done = make("--force")
    assert done.returncode == 1 and "is in use by another server" in done.stdout, "not under a server that runs"
    assert started.answers("srvr")
    home.write(f"clientPort={home.port}")
    assert make().stdout == f"Unable to determine dataDir from {home.cfg}\n"
    home.cfg.unlink()
    assert make().stdout == f"Unable to find config file at {home.cfg}\n"


# --- The names themselves ---------------------------------------------------------------------------------------------------


def test_every_link_is_made_and_does_what_it_says(call, bin, tmp_path):
    made = {path.name for path in bin.iterdir() if path.is_symlink()}
    assert {"start-zookeeper", "zookeeper-ready", "zookeeper-metrics", "zkServer.sh", "zkCleanup.sh", "zkCli.sh",
            "zkServer-initialize.sh", "zkTxnLogToolkit.sh", "zkSnapShotToolkit.sh", "docker-entrypoint.sh"} <= made
    assert call("zkTxnLogToolkit.sh").stdout.startswith("usage: TxnLogToolkit ")
    for name in ("zkSnapShotToolkit.sh", "zkSnapshotComparer.sh", "zkSnapshotRecursiveSummaryToolkit.sh"):
        assert call(name).returncode == 2, name
    assert call("zabd", "zookeeper-ready", "1").returncode == 1
    assert "Usage: " in call("zookeeper-metrics").stderr
    refused = call("zookeeper-metrics", "1")
    assert refused.returncode == 1 and "port 1: " in refused.stderr


def test_confluents_shell_is_told_the_server_first(call, home):
    assert call("zookeeper-shell").returncode == 1
    call("zkServer.sh", "start", **home.variables)
    shown = call("zookeeper-shell", f"localhost:{home.port}", "ls", "/")
    assert shown.returncode == 0 and shown.stdout.endswith("\n[zookeeper]\n"), shown
