"""Options of every suite: which server answers."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from harness.servers import KINDS, Server  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--server", default="zabd", choices=KINDS, help="the server under test")


@pytest.fixture(scope="session")
def kind(request):
    """The kind of the server under test."""
    return request.config.getoption("--server")


@pytest.fixture
def start(tmp_path):
    """Starts servers that end with the test: `start("zabd", config=...)`."""
    servers = []

    def start_one(kind, **arguments):
        server = Server(kind, tmp_path / f"{len(servers)}-{kind}", **arguments)
        servers.append(server)
        return server.start()

    yield start_one
    for server in servers:
        server.kill()
