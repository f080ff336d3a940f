"""What zabd does without a word of the configuration, and Java only with one: docs/migrating.md says which word.

Each case is served by zabd, not by Java on the same files, and by Java again with the line that the page names.
"""

import socket
import ssl

import pytest

from harness.places import ROOT
from harness.servers import Server, ServerFailed, free_port
from harness.waiting import eventually
from harness.wire import Closed, Session
from sasl import digest
from sasl.conftest import PROVIDER, USERS, jaas
from tls.authority import Authority
from tls.client import TlsSession

NETTY = "serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory"
X509 = "authProvider.x509=org.apache.zookeeper.server.auth.X509AuthenticationProvider"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def secure(_, authority, key):
    """A port that takes TLS, and how it is tried."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority.path("ca.crt"))
    context.load_cert_chain(authority.path("alice.crt"), authority.path("alice.key"))
    ports = {"secureClientPort": free_port()} if key == "secureClientPort" else {key: "true"}
    stores = {"ssl.keyStore.location": authority.path("server.pem"), "ssl.trustStore.location": authority.path("ca.pem")}

    def is_open(port):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def is_served(server):
        # Java opens its secure port last.
        eventually(lambda: is_open(ports.get("secureClientPort", server.port)))
        session = TlsSession(ports.get("secureClientPort", server.port), context)
        return [scheme for scheme, _ in session.who_am_i()] == ["x509"]

    return {**ports, **stores}, is_served


def users(directory, _):
    """Who may log in, in a file of zabd's."""
    (directory / "users").write_text(f"alice={USERS['alice']}\n")
    (directory / "jaas.conf").write_text(jaas(USERS))

    def is_served(server):
        return digest.log_in(Session(server.port), "alice", USERS["alice"])[0] == 0

    return {"zabd.sasl.users": directory / "users", "authProvider.sasl": PROVIDER}, is_served


CASES = {
    "secureClientPort": (lambda *given: secure(*given, "secureClientPort"), [NETTY]),
    "client.portUnification": (lambda *given: secure(*given, "client.portUnification"), [NETTY, X509]),
    "zabd.sasl.users": (users, ["java.security.auth.login.config={directory}/jaas.conf"]),
}


@pytest.mark.parametrize("name", CASES)
def test_java_serves_with_the_lines_that_the_page_names(kind, tmp_path, authority, name):
    if kind != "zabd":
        pytest.skip("it is what zabd does without them")
    make, lines = CASES[name]
    config, is_served = make(tmp_path, authority)
    lines = [line.format(directory=tmp_path) for line in lines]
    page = (ROOT / "docs" / "migrating.md").read_text()
    assert all(line.partition("=")[0] in page for line in (name, *lines))
    port = free_port()

    def serves(each, config, properties=None):
        server = Server(each, tmp_path / "server", port=port, config=config, properties=properties)
        try:
            with server:
                return is_served(server)
        except (ServerFailed, OSError, Closed, TypeError, AssertionError):
            return False

    assert serves("zabd", config)
    for so_far in range(len(lines)):
        assert not serves("java395", config, dict(line.split("=", 1) for line in lines[:so_far])), lines[:so_far]
    assert serves("java395", config, dict(line.split("=", 1) for line in lines))
