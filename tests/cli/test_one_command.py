"""A command on the command line: what it prints, on which stream, and what it ends with."""

import statistics
import subprocess
import time

import pytest

from harness import places

from .shells import SHELLS, environment, run, transcript
from .test_transcripts import PROPERTIES, assert_same

CONNECTED = "\nWATCHER::\n\nWatchedEvent state:SyncConnected type:None path:null zxid: -1\n"


@pytest.fixture
def server(start, kind):
    return start(kind, properties=PROPERTIES)


def test_the_tutorials_commands(server):
    """`create /hello world`, then `get /hello`: to the byte what its reader sees of Java's shell, but for log lines."""
    head = f"Connecting to {server.hosts}\n{CONNECTED}"
    assert run("zabd", "-server", server.hosts, "create", "/hello", "world") == (head, "Created /hello\n", 0)
    assert run("zabd", "-server", server.hosts, "get", "/hello") == (f"{head}world\n", "", 0)
    # Java's tells its event from another thread, which on a busy machine comes late or not at all.
    output, complaints, code = run("java", "-server", server.hosts, "get", "/hello")
    assert (output.replace(CONNECTED, ""), complaints, code) == (f"Connecting to {server.hosts}\nworld\n", "", 0)


def ended(shell, server, words):
    """What a command ends with, without events: one that needs no server races with the first of them."""
    return [line for line in transcript(*run(shell, "-server", server.hosts, *words)) if not line.startswith("WatchedEvent ")]


@pytest.mark.parametrize("words", [
    ["history"],
    ["redo", "0"],
    ["set", "-s", "/zookeeper", "two words"],
    ["-timeout", "5000", "-what", "-r", "get", "/none"],
    ["-waitforconnection", "nonsense"],
], ids=lambda words: words[-1])
def test_it_ends_as_javas(start, kind, words):
    """The same streams and exit codes."""
    servers = [start(kind, properties=PROPERTIES) for _ in range(2)]
    assert_same(*[ended(shell, server, words) for shell, server in zip(("java", "zabd"), servers)])


@pytest.mark.parametrize("words, complaint", [
    (["delete", "-v", "abc", "/a"], 'For input string: "abc"'),
    (["set", "/a", "x", "-v", ""], 'For input string: ""'),
    (["redo", "x"], 'For input string: "x"'),
    (["addWatch", "relative"], "Path must start with / character"),
    (["set", "-b", "/a", "%"], "%: Invalid symbol 37, offset 0."),
])
def test_where_javas_ends_with_a_trace_there_is_one_line(server, words, complaint):
    """And the exit code is that of the trace."""
    output, errors, status = run("zabd", "-server", server.hosts, *words)
    # What needs no server does not wait for one.
    assert output.replace(CONNECTED, "") == f"Connecting to {server.hosts}\n"
    assert (errors, status) == (f"{complaint}\n", 1)


def test_javas_traces_end_with_the_same_exit_code(server):
    _, errors, status = run("java", "-server", server.hosts, "delete", "-v", "abc", "/a")
    assert status == 1
    assert 'java.lang.NumberFormatException: For input string: "abc"' in errors


REFUSED = "127.0.0.1:1: Connection refused (os error 111)"


@pytest.mark.parametrize("words, complaint, status", [
    (["-server", "127.0.0.1:x", "ls", "/"], 'For input string: "x"', 1),
    (["-server", "127.0.0.1:1/", "ls", "/"], f"{REFUSED}\nKeeperErrorCode = ConnectionLoss for /", 1),
    (["-server", "nohost.invalid:2181", "ls", "/"], "nohost.invalid:2181: unknown host\nKeeperErrorCode = ConnectionLoss for /", 1),
    (["-server", "127.0.0.1:1/a/", "ls", "/"], "Path must not end with / character", 1),
    (["-server", "127.0.0.1:1", "-timeout", "x", "ls", "/"], 'For input string: "x"', 1),
    (["-server", "127.0.0.1:1", "-timeout", "300", "-waitforconnection", "ls", "/"], f"{REFUSED}\nKeeperErrorCode = ConnectionLoss", 1),
])
def test_without_a_server(words, complaint, status):
    """Nothing hangs, and what is wrong is said."""
    output, errors, ended = run("zabd", *words)
    assert output.startswith(f"Connecting to {words[1]}\n")
    assert (errors, ended) == (f"{complaint}\n", status)


def test_a_missing_word_behind_an_option(tmp_path):
    """It is said, and the rest is carried on with: there is no command, so the input is read."""
    output, errors, status = run("zabd", "-server", script="quit\n")
    assert output.startswith("Connecting to localhost:2181\nWelcome to ZooKeeper!\n")
    complaint, *unreached = errors.splitlines()
    assert (complaint, status) == ("Error: no argument found for option -server", 0)
    assert all(line.startswith("localhost:2181: ") for line in unreached), "the shell may be gone before it knows"


def test_a_configuration_of_the_client(server, tmp_path):
    """Files are read; what cannot be read or done ends with 2, as Java's shell does."""
    good, wrong = tmp_path / "good", tmp_path / "wrong"
    good.write_text("# nothing special\nzookeeper.request.timeout=20000\nzookeeper.client.secure=false\n")
    wrong.write_text("zookeeper.clientCnxnSocket=Mine\n")
    words = ["-server", server.hosts, "-client-configuration"]
    assert run("zabd", *words, str(good), "ls", "/")[2] == 0
    missing = run("zabd", *words, "/none/such", "ls", "/")
    assert missing[1:] == ("Error while processing /none/such: No such file or directory (os error 2)\n", 2)
    assert run("zabd", *words, str(wrong), "ls", "/")[1:] == ("Couldn't instantiate Mine\n", 1)
    assert run("java", *words, "/none/such", "ls", "/")[2] == 2


def test_an_ephemeral_outlives_the_command_that_made_it(server):
    """Neither shell closes the session of a command: the server ends it in its time."""
    for shell in ("java", "zabd"):
        assert run(shell, "-server", server.hosts, "create", "-e", f"/{shell}")[2] == 0
    assert run("zabd", "-server", server.hosts, "ls", "/")[0].endswith("[java, zabd, zookeeper]\n")


@pytest.mark.parametrize("zone, epoch", [("Asia/Kolkata", "Thu Jan 01 05:30:00 IST 1970"), ("America/New_York", "Wed Dec 31 19:00:00 EST 1969")])
def test_dates_are_those_of_the_reader(server, zone, epoch):
    """The root was created in 1970."""
    outputs = [run(shell, "-server", server.hosts, "stat", "/", TZ=zone)[0].replace(CONNECTED, "") for shell in ("java", "zabd")]
    assert f"ctime = {epoch}\n" in outputs[0]
    assert outputs[0] == outputs[1]


def test_it_goes_by_its_names(server, tmp_path):
    """Links, and words behind the program's own name."""
    commands = [[places.ZABD, "zkCli.sh"], [places.ZABD, "cli"]]
    for name in ("zkCli.sh", "zkCli"):
        (tmp_path / name).symlink_to(places.ZABD)
        commands.append([tmp_path / name])
    for command in commands:
        words = [*map(str, command), "-server", server.hosts, "ls", "/"]
        output = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout
        assert output == f"Connecting to {server.hosts}\n{CONNECTED}[zookeeper]\n"


def test_a_last_line_without_an_end(server):
    """`printf 'create /a' | zkCli.sh` does what it says."""
    assert run("zabd", "-server", server.hosts, script="create /a\ncreate /b")[1:] == ("Created /a\nCreated /b\n", 0)


def test_exit_is_another_word_for_quit(server):
    """Java's shell has it from 3.10 on."""
    assert run("zabd", "-server", server.hosts, script="exit\nls /\n")[1:] == run("zabd", "-server", server.hosts, script="quit\nls /\n")[1:]


def test_nobody_who_reads(server):
    """A reader that has gone is no failure: `zkCli.sh ls / | head -1`."""
    shell = subprocess.Popen(
        [*SHELLS["zabd"], "-server", server.hosts, "ls", "/"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
    shell.stdout.close()
    assert shell.communicate()[1] == b""
    assert shell.returncode == 0


def test_it_starts_at_once(server):
    """From start to exit; docs/compatibility has the real number, the bound here is for a machine that does much else."""
    times = []
    for _ in range(9):
        begun = time.monotonic()
        assert run("zabd", "-server", server.hosts, "ls", "/")[2] == 0
        times.append(time.monotonic() - begun)
    assert statistics.median(times) < 0.1, times
