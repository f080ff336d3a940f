"""HTTPS at the ports for operators: the AdminServer's beside Java's, that of Prometheus as release 3.10 has it."""

import http.client
import json
import shutil
import socket
import ssl

import pytest

from harness import wire
from harness.observing import figures
from harness.servers import SUPER_AUTH, ServerFailed, free_port
from harness.waiting import eventually
from harness.wire import Writer
from tls.authority import PASSWORD, Authority

from .conftest import DEFAULT, PROMETHEUS, HttpServer, ask

ALICE = "CN=alice,O=Acme\\, Inc.,C=DE"
CLOSED = (ssl.SSLError, ConnectionError, http.client.HTTPException)
STS = "max-age=86400;includeSubDomains"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def stores(authority, prefix):
    return {
        f"{prefix}.keyStore.location": authority.path("server.p12"), f"{prefix}.keyStore.password": PASSWORD,
        f"{prefix}.trustStore.location": authority.path("trust.jks"), f"{prefix}.trustStore.password": PASSWORD}


def context(authority, name=None):
    made = ssl.create_default_context(cafile=authority.path("ca.crt"))
    if name:
        made.load_cert_chain(authority.path(f"{name}.crt"), authority.path(f"{name}.key"))
    return made


def ask_by_tls(port, path, context, method="GET", headers=None):
    """Status, headers, text and the server's certificate of one answer."""
    connection = http.client.HTTPSConnection("localhost", port, timeout=60, context=context)
    try:
        connection.request(method, path, headers=headers or {})
        shown = connection.sock.getpeercert()
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read(), shown
    finally:
        connection.close()


@pytest.fixture(scope="module")
def forced(start_both, authority):
    """HTTPS alone, for whoever shows a certificate; clients have TLS, too, and a super user."""
    return start_both(
        provider=DEFAULT, admin={"forceHttps": "true", "needClientAuth": "true", "rateLimiterIntervalInMS": 0},
        config=lambda: {"secureClientPort": free_port(), "secureClientPortAddress": "127.0.0.1"},
        properties={
            **stores(authority, "ssl.quorum"), **stores(authority, "ssl"), "X509AuthenticationProvider.superUser": "CN=admin",
            "serverCnxnFactory": "org.apache.zookeeper.server.NettyServerCnxnFactory"})


def test_https_is_answered_as_by_java(forced, authority):
    for kind, server in forced.items():
        for name in ("ruok", "nonsense"):
            status, headers, text, _ = ask_by_tls(server.admin_port, f"/commands/{name}", context(authority, "alice"))
            assert (status, json.loads(text)["command"]) == (200, name), kind
            assert headers["Strict-Transport-Security"].replace(" ", "") == STS, kind


def test_plain_http_is_refused(forced):
    for kind, server in forced.items():
        with pytest.raises(CLOSED):
            ask(server.admin_port, "/commands/ruok")


@pytest.mark.parametrize("name, reason", [
    (None, "the other side shows no certificate"),
    ("stranger", "the certificate of CN=stranger was refused: nobody in the trust store has signed it"),
    ("expired", "the certificate of CN=expired was refused: "),
])
def test_who_shows_no_certificate_or_a_bad_one_is_refused(forced, authority, name, reason):
    for kind, server in forced.items():
        before = figures(server.port)
        with pytest.raises(CLOSED):
            ask_by_tls(server.admin_port, "/commands/ruok", context(authority, name))
        if kind == "zabd":
            line = eventually(lambda: [line for line in server.log_text().splitlines() if reason in line])
            assert "Closing the connection of /127.0.0.1:" in line[0] and " to the AdminServer: " in line[0]
            counted = int(figures(server.port)["zabd_http_handshakes_refused"])
            assert counted == int(before["zabd_http_handshakes_refused"]) + 1


def test_a_command_is_given_by_certificate(forced, authority):
    """Only whoever has every right to the root may take a snapshot, or the super user."""
    for kind, server in forced.items():
        session = wire.Session(server.port)
        assert session.auth(*SUPER_AUTH).err == 0
        acl = Writer().ustring("/").acl([(31, "x509", ALICE)]).int(-1)
        assert session.call(wire.SET_ACL, acl.bytes).err == 0
        for name, said, expected in [
                ("alice", "x509", 200), ("admin", "x509", 200), ("second", "x509", 403), ("alice", "ip", 403), ("alice", "", 401)]:
            headers = {"Authorization": said} if said else {}
            status, _, text, _ = ask_by_tls(
                server.admin_port, "/commands/snapshot?streaming=true", context(authority, name), headers=headers)
            assert status == expected, (kind, name, said, text[:300])
        session.close()


X509 = {"authProvider.x509": "org.apache.zookeeper.server.auth.X509AuthenticationProvider"}


def test_a_certificate_gives_rights_without_tls_for_clients(start_both, authority):
    """The trust store of clients judges, whether or not a port of clients uses it; there need not be a key store beside it."""
    trust = {key: value for key, value in stores(authority, "ssl").items() if "trust" in key}
    servers = start_both(
        provider=DEFAULT, admin={"forceHttps": "true", "needClientAuth": "true", "rateLimiterIntervalInMS": 0},
        properties={**stores(authority, "ssl.quorum"), **trust, **X509, "X509AuthenticationProvider.superUser": "CN=admin"})
    for kind, server in servers.items():
        for name, expected in (("admin", 200), ("alice", 200)):
            assert snapshot_as(server, authority, name)[0] == expected, (kind, name)
        session = wire.Session(server.port)
        assert session.auth(*SUPER_AUTH).err == 0
        assert session.call(wire.SET_ACL, Writer().ustring("/").acl([(31, "x509", ALICE)]).int(-1).bytes).err == 0
        session.close()
        for name, expected in (("admin", 200), ("alice", 200), ("second", 403)):
            assert snapshot_as(server, authority, name)[0] == expected, (kind, name)


def snapshot_as(server, authority, name):
    return ask_by_tls(
        server.admin_port, "/commands/snapshot?streaming=true", context(authority, name), headers={"Authorization": "x509"})


@pytest.mark.parametrize("without, told", [
    ("authProvider.x509", "add `authProvider.x509=org.apache.zookeeper.server.auth.X509AuthenticationProvider`"),
    ("ssl.trustStore.location", "name the trust store of clients in `ssl.trustStore.location`"),
    (None, "the trust store of `ssl.trustStore.location`, which gives rights, does not believe the certificate"),
])
def test_a_certificate_that_gives_no_rights_is_told_with_the_remedy(start_both, authority, tmp_path, without, told):
    """Whoever is believed by the trust store of members is nobody without the other one, and without its provider."""
    authority.trust(tmp_path / "others.jks", "foreign")
    properties = {
        **stores(authority, "ssl.quorum"), **X509, "ssl.trustStore.location": tmp_path / "others.jks", "ssl.trustStore.password": PASSWORD}
    properties.pop(without, None)
    servers = start_both(
        provider=DEFAULT, admin={"forceHttps": "true", "needClientAuth": "true", "rateLimiterIntervalInMS": 0}, properties=properties)
    for kind, server in servers.items():
        status, _, text, _ = snapshot_as(server, authority, "alice")
        assert (status, json.loads(text)["error"]) == (401, "Not authenticated"), kind
        if kind == "zabd":
            assert told in eventually(lambda: [line for line in server.log_text().splitlines() if "Not authenticated" in line])[0]


def test_one_port_takes_both(start_both, authority):
    """Java counts what comes in plain text; who says nothing keeps nobody from an answer."""
    both = start_both(provider=DEFAULT, admin={"portUnification": "true"}, properties=stores(authority, "ssl.quorum"))
    for kind, server in both.items():
        status, headers, _ = ask(server.admin_port, "/commands/ruok")
        assert (status, headers["Strict-Transport-Security"]) == (200, None), kind
        status, headers, _, shown = ask_by_tls(server.admin_port, "/commands/ruok", context(authority))
        assert (status, headers["Strict-Transport-Security"].replace(" ", "")) == (200, STS), kind
        assert figures(server.port)["insecure_admin_count"] == "1", kind


def test_stores_that_cannot_be_used_leave_clients_without_an_admin_server(start_both, authority):
    """And never with one in plain text."""
    wrong = {**stores(authority, "ssl.quorum"), "ssl.quorum.keyStore.password": "wrong"}
    for kind, server in start_both(provider=DEFAULT, admin={"forceHttps": "true"}, properties=wrong).items():
        wire.Session(server.port).close()
        with pytest.raises(ConnectionRefusedError):
            ask(server.admin_port, "/commands/ruok")
        if kind == "zabd":
            assert "Problem starting AdminServer: ssl.quorum.keyStore.location: " in server.log_text()


@pytest.fixture
def own(kind, tmp_path):
    """`own(...)`: a server of zabd, which ends with the test; none if another is under test."""
    servers = []

    def start(**arguments):
        servers.append(HttpServer(kind, tmp_path / f"own{len(servers)}", **arguments).start())
        return servers[-1]

    yield start if kind == "zabd" else None
    for server in servers:
        server.kill()


def test_a_certificate_that_is_replaced(own, authority, tmp_path):
    """Of zabd: Java's AdminServer shows the old one until it is started again."""
    if not own:
        return
    store = tmp_path / "tls.pem"
    shutil.copy(authority.path("server.pem"), store)
    server = own(provider=DEFAULT, admin={"forceHttps": "true"}, properties={"ssl.quorum.keyStore.location": store})

    def subject():
        _, _, _, shown = ask_by_tls(server.admin_port, "/commands/ruok", context(authority))
        return dict(pair[0] for pair in shown["subject"])["commonName"]

    assert subject() == "server"
    shutil.copy(authority.path("second.pem"), tmp_path / "next.pem")
    (tmp_path / "next.pem").rename(store)
    eventually(lambda: subject() == "second", what="the new certificate")


def test_protocols_and_suites_are_those_of_members(own, authority):
    """Of zabd, and of Java from release 3.10 on: before, the AdminServer offers what its library has."""
    if not own:
        return
    suite = "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"
    for key, value, maximum in (
            ("enabledProtocols", "TLSv1.3", ssl.TLSVersion.TLSv1_2), ("enabledProtocols", "TLSv1.2", None), ("ciphersuites", suite, None)):
        server = own(
            provider=DEFAULT, admin={"forceHttps": "true"}, properties={**stores(authority, "ssl.quorum"), f"ssl.quorum.{key}": value})
        asking = context(authority)
        if maximum:
            asking.maximum_version = maximum
            with pytest.raises(CLOSED):
                ask_by_tls(server.admin_port, "/commands/ruok", asking)
            asking = context(authority)
        with socket.create_connection(("127.0.0.1", server.admin_port), 20) as plain:
            with asking.wrap_socket(plain, server_hostname="localhost") as secure:
                name, protocol, _ = secure.cipher()
        assert value in (protocol, secure_name(name)), (name, protocol)


def secure_name(name):
    """OpenSSL's name of a suite as Java has it."""
    return f"TLS_{name.replace('ECDHE-RSA-AES256-GCM', 'ECDHE_RSA_WITH_AES_256_GCM').replace('-', '_')}"


METRICS = "metricsProvider"


def test_prometheus_asks_by_tls(own, authority):
    """Of zabd: Java has it from release 3.10 on."""
    if not own:
        return
    port = free_port()
    server = own(provider=PROMETHEUS, config={f"{METRICS}.httpsPort": port, **stores(authority, f"{METRICS}.ssl")})
    status, headers, text, _ = ask_by_tls(port, "/metrics", context(authority, "alice"))
    assert status == 200 and b"\nznode_count " in text
    assert headers["Strict-Transport-Security"].replace(" ", "") == STS
    assert ask(server.metrics_port, "/metrics")[0] == 200, "the port without TLS was asked for, too"
    for name in (None, "stranger"):
        with pytest.raises(CLOSED):
            ask_by_tls(port, "/metrics", context(authority, name))
    eventually(lambda: "to the listener for Prometheus: the certificate of CN=stranger was refused" in server.log_text())


def test_prometheus_may_have_one_port_for_both(own, authority):
    if not own:
        return
    port = free_port()
    ports = {f"{METRICS}.httpPort": port, f"{METRICS}.httpsPort": port}
    own(provider=PROMETHEUS, config={
        **ports, **stores(authority, f"{METRICS}.ssl"), f"{METRICS}.ssl.need.client.auth": "false", f"{METRICS}.ssl.want.client.auth": "false"})
    assert ask(port, "/metrics")[0] == 200
    assert ask_by_tls(port, "/metrics", context(authority))[0] == 200


def test_a_store_that_cannot_be_used_ends_the_start(own, authority):
    if not own:
        return
    with pytest.raises(ServerFailed) as failed:
        own(provider=PROMETHEUS, config={f"{METRICS}.httpsPort": free_port(), f"{METRICS}.ssl.keyStore.location": "/none.pem"})
    assert "metricsProvider.ssl.keyStore.location=/none.pem cannot be read" in str(failed.value), failed.value
