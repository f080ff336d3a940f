"""Servers that are started as containers start them: by a link's name, in a place of their own, with a host name of their own.

A pod has its own host name and /etc/hosts; here a server gets them in namespaces of its own (`unshare`), which needs root or
`sudo`. Where the name alone matters, `ZABD_HOSTNAME` and `ZABD_DOMAIN` say it.
"""

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness import places
from harness.disk import AS_ROOT, kill_whole
from harness.servers import die_with_parent, four_letter_word, free_port
from harness.waiting import eventually

VARIABLES = ("ZOO", "ZOOKEEPER", "ZABD", "ALLOW_", "JVMFLAGS", "SERVER_JVMFLAGS", "KAFKA", "JMX")


@pytest.fixture(autouse=True)
def only_zabd(kind):
    """What other images do has been recorded; only zabd is asked here."""
    if kind != "zabd":
        pytest.skip("what zabd does, and this server does not")


@pytest.fixture(scope="session")
def bin(tmp_path_factory):
    """A directory with zabd and all its links, that every user may read."""
    directory = Path(tempfile.mkdtemp(prefix="zabd-pod-"))
    directory.chmod(0o755)
    shutil.copy(places.ZABD, directory / "zabd")
    subprocess.run([directory / "zabd", "links", directory], check=True)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def room():
    """A directory that every user may enter."""
    directory = Path(tempfile.mkdtemp(prefix="zabd-pod-"))
    directory.chmod(0o755)
    yield directory
    subprocess.run([*AS_ROOT, "rm", "-rf", str(directory)], check=True)


def environment(bin, variables):
    """The environment of this process without what a start script understands, and these variables."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(VARIABLES)}
    return {**plain, **ours(bin, variables)}


def ours(bin, variables):
    """These variables, and the links before all other programs. Pods of one machine cannot all have the same port for probes."""
    return {"PATH": f"{bin}:{os.environ['PATH']}", "ZABD_PROBES_PORT": "0", **variables}


@pytest.fixture
def call(bin):
    """`call(name, *words, **variables)`: runs a link that ends by itself."""

    def run(name, *words, cwd=None, **variables):
        return subprocess.run(
            [bin / name, *map(str, words)], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, cwd=cwd,
            env=environment(bin, variables), preexec_fn=die_with_parent)

    return run


class Pod:
    """A server that runs under a link's name."""

    def __init__(self, process, port, log):
        self.process, self.port, self.log = process, port, log

    def said(self):
        """What it said on both streams."""
        return self.log.read_text()

    def answers(self, word="ruok"):
        """What it answers, if it does."""
        assert self.process.poll() is None, self.said()
        try:
            return four_letter_word(self.port, word)
        except OSError:
            return ""

    def await_serving(self):
        """Waits until it serves clients."""
        eventually(lambda: "Mode: " in self.answers("srvr"), 30, self.said)
        return self

    def await_answers(self):
        """Waits until it answers at all, as without a quorum."""
        eventually(lambda: self.answers() == "imok", 30, self.said)
        return self

    def end(self, number=signal.SIGTERM):
        """Asks it to end; yields its exit code."""
        self.process.send_signal(number)
        return self.process.wait(30)


@pytest.fixture
def pod(bin, tmp_path):
    """`pod(name, *words, port=..., inside=..., **variables)`: a server under this name, in a shell's words `inside` around it."""
    pods = []

    def start(name, *words, port, inside=(), **variables):
        log = tmp_path / f"pod-{len(pods)}.log"
        with open(log, "wb") as out:
            process = subprocess.Popen(
                # `sudo` hands no variables on.
                [*inside, "env", *(f"{key}={value}" for key, value in ours(bin, variables).items()), str(bin / name),
                 *map(str, words)], stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=tmp_path,
                env=environment(bin, variables), preexec_fn=die_with_parent)
        pods.append(Pod(process, port, log))
        return pods[-1]

    yield start
    for each in pods:
        if each.process.poll() is None:
            kill_whole(each.process.pid)
        each.process.wait()


def namespaces(flags, *commands):
    """Words in front of a program that runs in namespaces of its own, behind these commands."""
    script = " && ".join([*commands, 'exec "$@"'])
    return [*AS_ROOT, "unshare", *flags, "--kill-child", "sh", "-c", script, "sh"]


def as_pod(name, hosts):
    """The same, with a host name and an /etc/hosts."""
    return namespaces(["--uts", "--mount"], f"hostname {name}", f"mount --bind {shlex.quote(str(hosts))} /etc/hosts")


def ports(count):
    """Ports that nobody has."""
    return [free_port() for _ in range(count)]
