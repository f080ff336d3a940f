"""An authority for the run, and servers with TLS."""

import ssl

import pytest

from harness.observing import figures
from harness.servers import Server, free_port
from harness.waiting import eventually
from harness.wire import Closed

from .authority import PASSWORD, Authority
from .client import TlsSession


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


class House:
    """A server with a secure port beside its plain one, and clients that end with the test."""

    def __init__(self, kind, directory, authority, properties=None, config=None):
        self.authority = authority
        self.secure_port = free_port()
        stores = {
            "serverCnxnFactory": "org.apache.zookeeper.server.NettyServerCnxnFactory",
            "ssl.keyStore.location": authority.path("server.p12"),
            "ssl.keyStore.password": PASSWORD,
            "ssl.trustStore.location": authority.path("trust.jks"),
            "ssl.trustStore.password": PASSWORD,
        }
        secure = {"secureClientPort": self.secure_port, "secureClientPortAddress": "127.0.0.1"}
        self.server = Server(
            kind, directory, config={**secure, **(config or {})}, properties={**stores, **(properties or {})})
        self.clients = []

    def context(self, name="alice", version=None):
        """What a client needs: its certificate, and trust in the authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.authority.path("ca.crt"))
        if name:
            context.load_cert_chain(self.authority.path(f"{name}.crt"), self.authority.path(f"{name}.key"))
        if version:
            context.minimum_version = context.maximum_version = version
        return context

    def client(self, name="alice", port=None, version=None):
        session = TlsSession(port or self.secure_port, self.context(name, version))
        self.clients.append(session)
        return session

    def start(self):
        """Java opens its secure port last."""
        self.server.start()
        return self.await_open()

    def await_open(self):
        """Returns when clients are taken by TLS."""
        eventually(self._is_open, what="the secure port is open")
        return self

    def _is_open(self):
        try:
            TlsSession(self.secure_port, self.context()).end()
        except ConnectionRefusedError:
            return False
        except (OSError, Closed):
            # Who listens there does not believe alice, or she does not believe it.
            pass
        return True

    def log(self):
        return self.server.log_text()

    def figures(self):
        return figures(self.server.port)


@pytest.fixture
def house_of(kind, tmp_path, authority):
    houses = []

    def start(**arguments):
        house = House(kind, tmp_path / f"house{len(houses)}", authority, **arguments)
        houses.append(house)
        return house.start()

    yield start
    for house in houses:
        for client in house.clients:
            client.close()
        house.server.kill()


@pytest.fixture(scope="module")
def shared(kind, tmp_path_factory, authority):
    house = House(kind, tmp_path_factory.mktemp("shared"), authority, properties={
        "X509AuthenticationProvider.superUser": "CN=admin"})
    with house.start().server:
        yield house
        for client in house.clients:
            client.close()
