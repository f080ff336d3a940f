"""One server process on 127.0.0.1: Java 3.8.0, Java 3.9.5 or zabd, configured alike.

`with Server("zabd", directory) as server:` starts it, waits until it serves, and ends it. Nothing here sleeps for a fixed
time: readiness is an answer to `srvr`, an end is the end of the process.
"""

import ctypes
import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from . import places
from .waiting import eventually

KINDS = ("java38", "java395", "zabd")
JAVA_OPTIONS = ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Djava.awt.headless=true"]
# System properties that Java knows by their own names.
UNPREFIXED = ("znode.", "jute.maxbuffer", "readonlymode.", "java.", "zabd.")
SUPER_DIGEST = "super:D/InIHSb7yEEbrWz8b9l71RjZJU="  # super:test
SUPER_AUTH = ("digest", "super:test")
COMPLAINT = re.compile(
    r"(?i)digests? .*not match|digest mismatch|unexpected exception|EOFException|not usable|of sessions that are gone|panicked")
START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 30
PORTS = range(11_000, 32_000)

_libc = ctypes.CDLL(None, use_errno=True)


def free_port():
    """A port that nobody listens on, and that no other test of this machine is given.

    It lies below the range from which the kernel takes the near ends of connections: a server that comes back must find its
    port as it left it.
    """
    with open(Path(tempfile.gettempdir()) / "zabd-test-ports", "a+") as counter:
        fcntl.flock(counter, fcntl.LOCK_EX)
        counter.seek(0)
        last = int(counter.read() or 0)
        for step in range(1, len(PORTS)):
            port = PORTS[(last + step) % len(PORTS)]
            with socket.socket() as probe:
                # A listener that ended may have left connections behind, which keep nobody from listening.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            counter.truncate(0)
            counter.write(str((last + step) % len(PORTS)))
            return port
    raise AssertionError("no port is free")


def die_with_parent():
    """Runs in the child: a test run that is killed leaves no server behind."""
    PR_SET_PDEATHSIG = 1
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class ServerFailed(Exception):
    """The process ended, or did not serve in time; carries the end of its log."""


class Server:
    """A server that can be started, ended, killed and started again on the same directory and port."""

    def __init__(self, kind, directory, port=None, config=None, properties=None, data_dir=None, data_log_dir=None):
        """`config` holds lines of zoo.cfg, `properties` system properties without their prefix `zookeeper.`, if they have it."""
        assert kind in KINDS, kind
        self.kind = kind
        self.directory = Path(directory)
        self.port = port or free_port()
        self.data_dir = Path(data_dir or self.directory / "data")
        self.data_log_dir = Path(data_log_dir) if data_log_dir else None
        self.config = {
            "dataDir": self.data_dir,
            "clientPort": self.port,
            "clientPortAddress": "127.0.0.1",
            "tickTime": 2000,
            "maxClientCnxns": 0,
            "admin.enableServer": "false",
            "4lw.commands.whitelist": "*",
            **({"dataLogDir": self.data_log_dir} if self.data_log_dir else {}),
            **(config or {}),
        }
        self.properties = {"DigestAuthenticationProvider.superDigest": SUPER_DIGEST, **(properties or {})}
        self.environment = {}
        self.java_options = JAVA_OPTIONS
        # In which control group it runs (harness.control_group), if not in that of the tests.
        self.control_group = None
        self.process = None

    @property
    def hosts(self):
        """The connect string of this server."""
        return f"127.0.0.1:{self.port}"

    @property
    def log_path(self):
        """Everything that every run of this server said."""
        return self.directory / "server.log"

    def log_text(self):
        """The log so far."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def complaints(self, since=0):
        """Lines of the log, from some offset on, of a server that finds a digest wrong, or a record that it cannot read."""
        return [
            line for line in self.log_text()[since:].splitlines()
            if COMPLAINT.search(line) and "likely due to reading an older snapshot" not in line]

    def command(self):
        """The command line: the same words for all three after the program's name."""
        config_path = self.directory / "zoo.cfg"
        defines = [f"-D{property_name(key)}={value}" for key, value in self.properties.items()]
        if self.kind == "zabd":
            return [str(places.ZABD), *defines, str(config_path)]
        classpath = places.JAVA38_CLASSPATH if self.kind == "java38" else places.JAVA395_CLASSPATH
        main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
        return ["java", *self.java_options, "-Dfile.encoding=UTF-8", "-cp", classpath, *defines, main, str(config_path)]

    def start(self, wait=True):
        """Starts the process, and waits until it answers."""
        assert self.process is None, "already started"
        self.directory.mkdir(parents=True, exist_ok=True)
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.write_config()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory,
                env={**os.environ, **self.environment}, preexec_fn=self._prepare)
        if wait:
            self.await_serving()
        return self

    def _prepare(self):
        """Runs in the child."""
        die_with_parent()
        if self.control_group:
            self.control_group.join()

    def write_config(self):
        """Writes zoo.cfg; a server may change it while it runs."""
        lines = [f"{key}={value}\n" for key, value in self.config.items()]
        (self.directory / "zoo.cfg").write_text("".join(lines))

    def await_serving(self):
        """Returns when `srvr` is answered with a mode."""
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                status, self.process = self.process.returncode, None
                raise ServerFailed(f"{self.kind} ended with {status}\n{self.log_text()[-3000:]}")
            try:
                if "Mode: " in four_letter_word(self.port, "srvr", timeout=5):
                    return
            except OSError:
                pass
            time.sleep(0.01)
        self.kill()
        raise ServerFailed(f"{self.kind} did not serve in {START_SECONDS_MAX} s\n{self.log_text()[-3000:]}")

    def stop(self):
        """Asks the process to end (SIGTERM) and gives its exit status."""
        return self._end(signal.SIGTERM)

    def kill(self):
        """Ends the process as a crash would (SIGKILL)."""
        return self._end(signal.SIGKILL)

    def pause(self):
        """Lets the process hang (SIGSTOP); its connections stand. Returns when no thread of it runs any more."""
        self.process.send_signal(signal.SIGSTOP)
        eventually(self._is_stopped, STOP_SECONDS_MAX, what="the process hangs")

    def _is_stopped(self):
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        # Behind the program's name in parentheses stands the state.
        try:
            return all((task / "stat").read_text().rpartition(")")[2].split()[0] == "T" for task in tasks)
        except (FileNotFoundError, ProcessLookupError):
            # A thread ended meanwhile.
            return False

    def resume(self):
        """Lets it go on as if nothing had been (SIGCONT)."""
        self.process.send_signal(signal.SIGCONT)

    def _end(self, how):
        if self.process is None:
            return None
        process, self.process = self.process, None
        process.send_signal(how)
        try:
            return process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise ServerFailed(f"{self.kind} did not end on signal {how}\n{self.log_text()[-3000:]}") from None

    @property
    def running(self):
        """Whether the process was started and has not ended."""
        return self.process is not None and self.process.poll() is None

    def __enter__(self):
        return self if self.running else self.start()

    def __exit__(self, *_):
        self.kill()


def property_name(key):
    """A system property as Java knows it."""
    is_unprefixed = key.startswith(UNPREFIXED) and not key.endswith(".extrasize")
    return key if is_unprefixed else f"zookeeper.{key}"


def four_letter_word(port, word, timeout=10):
    """The whole answer to a four-letter word, as text."""
    return four_letter_bytes(port, word.encode(), timeout).decode(errors="replace")


def four_letter_bytes(port, request, timeout=10):
    """Sends raw bytes on a new connection and gives all that comes back before the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout) as connection:
        connection.sendall(request)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
        return answer


def copy_data(source, target):
    """A writable copy of a data directory (golden ones are read-only in some checkouts)."""
    shutil.copytree(source, target)
    for folder, _, files in os.walk(target):
        os.chmod(folder, 0o755)
        for name in files:
            os.chmod(os.path.join(folder, name), 0o644)
    return target
