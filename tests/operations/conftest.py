"""Servers that end with their test, started with any words, also those that a server refuses."""

import os
import subprocess
import tempfile
from dataclasses import dataclass

import pytest

from harness import observing, places
from harness.faulty_disk import FaultyDisk, library
from harness.servers import JAVA_OPTIONS, Server, die_with_parent, four_letter_word

JAVA_MAIN = "org.apache.zookeeper.server.quorum.QuorumPeerMain"


@dataclass
class Ended:
    """A process that has ended by itself."""

    status: int
    out: str
    err: str


def command_of(kind, words):
    """The command line of a server of this kind with these words behind the program's name."""
    words = [str(word) for word in words]
    if kind == "zabd":
        return [str(places.ZABD), *words]
    defines = [word for word in words if word.startswith("-D")]
    rest = [word for word in words if not word.startswith("-D")]
    return ["java", *JAVA_OPTIONS, "-cp", places.JAVA395_CLASSPATH, *defines, JAVA_MAIN, *rest]


@pytest.fixture
def ends():
    """`ends(kind, *words)`: runs a server, or what else the words ask for, that ends by itself.

    Its log is a pipe and its standard error a file: what stands in both if they are read by different people is seen in both.
    """

    def run(kind, *words, environment=None, cwd=None):
        with tempfile.TemporaryFile("w+") as err:
            done = subprocess.run(
                command_of(kind, words), stdout=subprocess.PIPE, stderr=err, text=True, timeout=60, stdin=subprocess.DEVNULL,
                cwd=cwd, env={**os.environ, **(environment or {})}, preexec_fn=die_with_parent)
            err.seek(0)
            return Ended(done.returncode, done.stdout, err.read())

    return run


class Started(Server):
    """A server that is started by these words, whatever they are, and serves on this port."""

    def __init__(self, kind, directory, port, words, environment):
        super().__init__(kind, directory, port=port)
        self.words = words
        self.environment = environment

    def command(self):
        assigned = [f"{name}={value}" for name, value in self.environment.items()]
        return ["env", *assigned, *command_of(self.kind, self.words)]


@pytest.fixture
def start_with(tmp_path):
    """`start_with(kind, port, *words, environment=...)`: a server that is started by any words."""
    servers = []

    def run(kind, port, *words, environment=None):
        directory = tmp_path / f"words-{len(servers)}"
        servers.append(Started(kind, directory, port, words, environment or {}))
        return servers[-1].start()

    yield run
    for server in servers:
        server.kill()


@pytest.fixture
def only_zabd(kind):
    """For tests of what zabd does and Java does not: there is nothing to compare."""
    if kind != "zabd":
        pytest.skip("what zabd does, and this server does not")


class Faulty(FaultyDisk, Server):
    """A server whose disk does what the test orders."""


@pytest.fixture(scope="session")
def faulty_disk(tmp_path_factory):
    """The library, built once."""
    return library(tmp_path_factory.mktemp("faulty-disk"))


@pytest.fixture
def faulty(tmp_path, faulty_disk, only_zabd):
    """`faulty(...)`: servers with such a disk, which end with the test."""
    servers = []

    def build(**arguments):
        server = Faulty("zabd", tmp_path / f"faulty-{len(servers)}", **arguments)
        server.library = faulty_disk
        servers.append(server)
        return server

    yield build
    for server in servers:
        server.kill()


def figures(server):
    """Its figures, as texts."""
    return observing.figures(server.port)


def conf(server):
    """`conf` as a dictionary of texts."""
    return dict(line.split("=", 1) for line in four_letter_word(server.port, "conf").splitlines())
