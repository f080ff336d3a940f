"""Clusters that end with their test."""

import shutil
import tempfile
from pathlib import Path

import pytest

from .clients import Load
from .cluster import Cluster
from .docker_runtime import Docker


def pytest_addoption(parser):
    parser.addoption("--in-docker", action="store_true", help="pods are Docker's containers, of the image that docker/build makes")


def pytest_terminal_summary(terminalreporter):
    for report in terminalreporter.getreports("passed"):
        for name, text in report.user_properties:
            if name == "counted":
                terminalreporter.write_line(text)


@pytest.fixture(autouse=True)
def only_zabd(kind):
    """The image under test has no other server."""
    if kind != "zabd":
        pytest.skip("what zabd does, and this server does not")


@pytest.fixture
def run(request):
    """`run(wishes)`: a cluster to which the StatefulSet has been applied."""
    clusters = []

    def start(wishes):
        # Every user must be able to enter it.
        directory = Path(tempfile.mkdtemp(prefix="zabd-tutorial-"))
        directory.chmod(0o755)
        docker = Docker(directory) if request.config.getoption("--in-docker") else None
        clusters.append(Cluster(wishes, directory, docker))
        clusters[-1].apply()
        return clusters[-1]

    yield start
    for cluster in clusters:
        cluster.close()
        shutil.rmtree(cluster.directory)


@pytest.fixture
def load():
    """`load(cluster)`: clients who write."""
    loads = []

    def start(cluster):
        loads.append(Load(cluster))
        return loads[-1]

    yield start
    for each in loads:
        each.end()
