"""The commands that the README gives to whoever sees the project for the first time do what it says."""

import contextlib
import os
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

from harness import places
from harness.servers import die_with_parent, four_letter_word, free_port
from harness.waiting import eventually

# The first command may have to build.
SECONDS_MAX = 300


def in_folder(folder, *words):
    """`cargo run --release` for this project, somewhere else: data goes to where it is started.

    Cargo looks for its configuration where it is started, too. Without the project's, it would build another server.
    """
    here = ["--config", str(places.ROOT / ".cargo" / "config.toml"), "--manifest-path", str(places.ROOT / "Cargo.toml")]
    command = ["cargo", "run", "--quiet", "--release", *here, "--", *words]
    return subprocess.Popen(
        command[:-1] if not words else command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        preexec_fn=lambda: (os.setsid(), die_with_parent()))


def test_the_first_commands_serve_and_say_so(tmp_path):
    """One after the other: both have port 2181."""
    for words, ports in [((), (2181,)), (("ensemble",), (2181, 2182, 2183))]:
        folder = tmp_path / "-".join(("run", *words))
        folder.mkdir()
        serves_and_says_so(folder, words, ports)


def serves_and_says_so(tmp_path, words, ports):
    process = in_folder(tmp_path, *words)
    try:
        said = []
        deadline = time.monotonic() + SECONDS_MAX
        while not any("Ctrl-C" in line for line in said):
            line = process.stdout.readline()
            assert line and time.monotonic() < deadline, "".join(said)
            said.append(line)
        assert any("2181" in line for line in said), "".join(said)
        for port in ports:
            while "Mode: " not in (answer := srvr(port)):
                assert time.monotonic() < deadline, answer
        assert (tmp_path / "data").is_dir()
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.stdout.read()
        process.wait(SECONDS_MAX)


def srvr(port):
    try:
        return four_letter_word(port, "srvr", timeout=5)
    except OSError as error:
        return str(error)


def test_a_log_that_nobody_reads_stops_nobody(tmp_path):
    """Three thousand bad frames are three thousand lines: more than a pipe holds, and nobody empties it."""
    port = free_port()
    words = ["server", "--clientPort", str(port), "--dataDir", str(tmp_path), "--4lw.commands.whitelist", "*", "--maxClientCnxns", "0"]
    process = subprocess.Popen([str(places.ZABD), *words], stdout=subprocess.PIPE, preexec_fn=die_with_parent)
    try:
        deadline = time.monotonic() + SECONDS_MAX
        while "Mode: " not in srvr(port):
            assert time.monotonic() < deadline
        for _ in range(3000):
            with socket.create_connection(("127.0.0.1", port), 5) as connection:
                connection.sendall(struct.pack(">i", -5))
                assert connection.recv(1) == b""
        assert four_letter_word(port, "ruok", timeout=5) == "imok"
    finally:
        process.kill()
        process.wait()


def children_of(process):
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextlib.contextmanager
def local_ensemble(directory):
    """`zabd ensemble` in a directory, once its three servers run, and its log; it is killed at the end."""
    log = directory / "log"
    with open(log, "w") as out:
        process = subprocess.Popen([str(places.ZABD), "ensemble"], cwd=directory, stdout=out, preexec_fn=die_with_parent)
    try:
        eventually(lambda: log.read_text().count("FOLLOWING") == 2, 60, "three servers run")
        yield process, log
    finally:
        process.kill()
        process.wait()


def test_a_local_ensemble_ends_with_whoever_started_it(tmp_path):
    """However that ends: servers that nobody knows of would hold their ports and their data."""
    with local_ensemble(tmp_path) as (process, _):
        servers = children_of(process)
        assert len(servers) == 3
    eventually(lambda: not any(map(runs, servers)), 60, "the servers end")


def test_a_local_ensemble_tells_at_once_that_a_server_has_ended(tmp_path):
    """Whichever it is: the others go on, and no dead process is left behind."""
    with local_ensemble(tmp_path) as (process, log):
        killed = children_of(process)[2]
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: "[3] ended (signal 9)\n" in log.read_text(), 20, "it is told")
        assert len(children_of(process)) == 2 and process.poll() is None
        back = f"[3] to bring it back: {places.ZABD} data/ensemble/server3/zoo.cfg\n"
        eventually(lambda: back in log.read_text(), 20, "the way back is told")
        process.terminate()
        assert process.wait(60) == 1
    said = log.read_text()
    assert f"  {places.ZABD} zkCli.sh -server 127.0.0.1:" in said
    assert "nobody is served until one is back" not in said, "whoever ends all of them knows"
    assert [said.count(f"[{number}] ended (exit status 0)\n") for number in (1, 2)] == [1, 1], said
