"""Java's client of 3.9.5 and Curator as somebody who has proved who he is: the same script against Java 3.9.5 and the server under test.

By TLS everybody shows a certificate, by SASL everybody knows a password. (Debian's C library is built without either.)
"""

import pytest

from harness.servers import Server
from sasl.conftest import MODULE, USERS, with_users
from tls.authority import Authority
from tls.conftest import House

from . import programs
from .normalise import Normaliser, assert_same

REFERENCE = "java395"
ALICE = "CN=alice,O=Acme\\, Inc.,C=DE"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def config(directory, name, **properties):
    """A client's configuration; a backslash would be an escape."""
    path = directory / f"{name}.properties"
    path.write_text("".join(f"zookeeper.{key}={value}\n" for key, value in properties.items()))
    return path


def compared(kind, record):
    if kind != "zabd" and kind != REFERENCE:
        pytest.skip("Java is compared with itself only")
    transcripts = []
    for each in (REFERENCE, kind):
        server, (output, errors, status) = record(each)
        assert status == 0, errors
        normaliser = Normaliser(server)
        transcripts.append([*normaliser.text(output).splitlines(), "--- errors", *normaliser.text(errors).splitlines()])
    assert len(transcripts[0]) > 40, transcripts[0]
    assert_same(*transcripts, REFERENCE, kind)
    return transcripts[0]


def by_certificate(authority, directory, name, **more):
    """Somebody who shows this certificate."""
    return config(directory, name, **{
        "client.secure": "true", "clientCnxnSocket": "org.apache.zookeeper.ClientCnxnSocketNetty",
        "ssl.keyStore.location": authority.path(f"{name}.pem"), "ssl.trustStore.location": authority.path("ca.pem"), **more})


def test_by_certificate(kind, authority, tmp_path):
    people = [
        (name, by_certificate(authority, tmp_path, file))
        for name, file in ((ALICE, "alice"), ("CN=second", "second"), ("CN=admin", "admin"))]
    stranger = by_certificate(authority, tmp_path, "stranger")

    def record(each):
        house = House(each, tmp_path / each, authority, properties={"X509AuthenticationProvider.superUser": "CN=admin"})
        with house.start().server:
            return house.server, programs.secured(f"127.0.0.1:{house.secure_port}", "x509", people, stranger)

    said = compared(kind, record)
    assert said.count("get: NOAUTH /own") == 1, said


def test_by_password(kind, tmp_path):
    sections = {"Alice": ("alice", USERS["alice"]), "Other": ("bob", "builder"), "Admin": ("admin", USERS["admin"]),
                "Guess": ("alice", "guess")}
    jaas = tmp_path / "clients.conf"
    jaas.write_text("".join(
        f'{section} {{ {MODULE} required username="{user}" password="{password}"; }};\n'
        for section, (user, password) in sections.items()))
    configs = {section: config(tmp_path, section, **{"sasl.clientconfig": section}) for section in sections}
    people = [(sections[section][0], configs[section]) for section in ("Alice", "Other", "Admin")]
    defines = [f"-Djava.security.auth.login.config={jaas}", "-Dzookeeper.fips-mode=false"]

    def record(each):
        with with_users(each, tmp_path / each, users={**USERS, "bob": "builder"}) as server:
            return server, programs.secured(server.hosts, "sasl", people, configs["Guess"], *defines)

    said = compared(kind, record)
    assert said.count("get: NOAUTH /own") == 1, said
