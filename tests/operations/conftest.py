"""Servers that end with their test, started with any words, also those that a server refuses."""

import os
import subprocess
from dataclasses import dataclass

import pytest

from harness import places
from harness.servers import Server, die_with_parent, four_letter_word

JAVA_MAIN = "org.apache.zookeeper.server.quorum.QuorumPeerMain"


@dataclass
class Ended:
    """A process that has ended by itself."""

    status: int
    out: str
    err: str


@pytest.fixture
def refused():
    """`refused(words, environment=..., kind=...)`: runs a server that is expected to refuse to start."""

    def run(words, environment=None, kind="zabd", user=None, cwd=None, seconds=30):
        if kind == "zabd":
            command = [str(places.ZABD), *map(str, words)]
        else:
            defines = [str(word) for word in words if str(word).startswith("-D")]
            rest = [str(word) for word in words if not str(word).startswith("-D")]
            command = ["java", "-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", places.JAVA395_CLASSPATH, *defines, JAVA_MAIN, *rest]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL, user=user, cwd=cwd,
            env={**os.environ, **(environment or {})}, preexec_fn=die_with_parent)
        return Ended(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def server_of(tmp_path):
    """`server_of(kind, ...)`: a server that is not started yet, in a directory of its own."""
    servers = []

    def build(kind, name=None, **arguments):
        servers.append(Server(kind, tmp_path / (name or f"{len(servers)}-{kind}"), **arguments))
        return servers[-1]

    yield build
    for server in servers:
        server.kill()


def figures(server):
    """`mntr` as a dictionary of texts, without `zk_`."""
    lines = four_letter_word(server.port, "mntr").splitlines()
    return dict(line.removeprefix("zk_").split("\t", 1) for line in lines)
