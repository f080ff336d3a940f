"""docker/compose.yaml as its first lines say: three servers, on this machine's ports 2181, 2182 and 2183.

Debian's docker-compose starts it, in the network of a daemon of its own. It takes Docker and the images, so it has no name by which it
would be found: `tests/tutorial/docker` asks for it.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness import places
from harness.waiting import eventually

from .docker_runtime import Docker

COMPOSE = places.ROOT / "docker/compose.yaml"
SERVICES = ("zk-0", "zk-1", "zk-2")
HEALTHY_SECONDS_MAX = 60


@pytest.fixture
def docker():
    directory = Path(tempfile.mkdtemp(prefix="zabd-compose-"))
    running = Docker(directory)
    yield running
    running.close()
    shutil.rmtree(directory)


class Composed:
    """The services of the file, and the machine that they are on."""

    def __init__(self, docker, directory):
        self.docker = docker
        # Debian's version takes the project's name as a word, and refuses it in the file.
        lines = COMPOSE.read_text().splitlines(keepends=True)
        assert "name: zabd\n" in lines
        self.file = directory / "compose.yaml"
        self.file.write_text("".join(line for line in lines if line != "name: zabd\n"))

    def compose(self, *words):
        with self.docker.node.entered():
            done = subprocess.run(
                ["docker-compose", "-p", "zabd", "-f", self.file, *words], capture_output=True, text=True, timeout=120,
                stdin=subprocess.DEVNULL, env={**os.environ, "DOCKER_HOST": self.docker.host})
        assert done.returncode == 0, done
        return done.stdout.strip()

    def container(self, service):
        return self.compose("ps", "-q", service)

    def state(self, service, of):
        return self.docker.run("inspect", "--format", f"{{{{.State.{of}}}}}", self.container(service))

    def await_healthy(self):
        """What the file's own healthcheck says, `zabd check --ready`."""
        for service in SERVICES:
            eventually(lambda: self.state(service, "Health.Status") == "healthy", HEALTHY_SECONDS_MAX, f"{service} is ready")

    def shell(self, port, *words):
        """zkCli.sh on this machine."""
        with self.docker.node.entered():
            done = subprocess.run(
                [places.ZABD, "zkCli.sh", "-server", f"127.0.0.1:{port}", *words], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done
        return done.stdout.splitlines()


def test_three_servers_are_one_ensemble_on_this_machines_ports(docker, tmp_path):
    composed = Composed(docker, tmp_path)
    try:
        composed.compose("up", "--detach")
        composed.await_healthy()
        composed.shell(2181, "create", "/hello", "world")
        for port in (2182, 2183):
            eventually(lambda: composed.shell(port, "get", "/hello")[-1] == "world", what=f"/hello on port {port}")
        # All away at once, in good order, and back on their volumes.
        composed.compose("stop")
        assert [composed.state(service, "ExitCode") for service in SERVICES] == ["0", "0", "0"]
        composed.compose("start")
        composed.await_healthy()
        assert composed.shell(2183, "get", "/hello")[-1] == "world"
    finally:
        composed.compose("down", "--volumes")
