"""Servers of a module, each started when it is first asked for."""

import itertools

import pytest

from harness.observing import figures
from harness.servers import Server

from .client import Client


class House:
    """One running server, and clients that are closed with the test."""

    def __init__(self, server):
        self.server = server
        self.kind = server.kind
        self.port = server.port
        self.clients = []

    def client(self, **arguments):
        client = Client(self.port, **arguments)
        self.clients.append(client)
        return client

    def figures(self):
        """`mntr` as a dictionary of texts."""
        return figures(self.port)

    def figure(self, name):
        return float(self.figures()[name])

    def log(self):
        return self.server.log_text()


@pytest.fixture
def house_of(kind, tmp_path_factory, request):
    """`house_of(config=..., properties=...)`: a server of its own for one test."""
    houses = []

    def start(**arguments):
        house = House(Server(kind, tmp_path_factory.mktemp("house"), **arguments).start())
        houses.append(house)
        return house

    yield start
    for house in houses:
        for client in house.clients:
            client.close()
        house.server.kill()


@pytest.fixture(scope="module")
def shared_server(kind, tmp_path_factory):
    with Server(kind, tmp_path_factory.mktemp("shared"), properties={"extendedTypesEnabled": "true"}) as server:
        yield server


@pytest.fixture
def house(shared_server):
    """The server that all tests of a module share."""
    house = House(shared_server)
    yield house
    for client in house.clients:
        client.close()


@pytest.fixture
def only_zabd(kind):
    """For tests of what zabd does and Java does not: there is nothing to compare."""
    if kind != "zabd":
        pytest.skip("what zabd does, and this server does not")


@pytest.fixture
def client(house):
    return house.client()


@pytest.fixture
def other(house):
    """A second client of the same server."""
    return house.client()


numbers = itertools.count()


@pytest.fixture
def home(client):
    """A node that nothing else knows."""
    path = f"/home-{next(numbers)}"
    assert client.create(path).err == 0
    return path
