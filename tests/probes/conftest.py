"""Servers with probes, which end with their test."""

import pytest

from .probing import Probed


@pytest.fixture
def probed(tmp_path):
    """Makes servers that are not started yet: `probed(config=...)`."""
    servers = []

    def make(**arguments):
        servers.append(Probed(tmp_path / f"server{len(servers)}", **arguments))
        return servers[-1]

    yield make
    for server in servers:
        server.kill()
