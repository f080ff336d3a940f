"""Java's client of 3.9.5 with Curator, and the C library of 3.9.5, as somebody who has proved who he is: the same scripts against Java
3.9.5 and the server under test.

By TLS everybody shows a certificate, by SASL everybody knows a password.
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


def compared(kind, tmp_path, record):
    """The transcript of `record(kind, directory)` with a server that begins there, which is the same for Java's and ours."""
    if kind != "zabd" and kind != REFERENCE:
        pytest.skip("Java is compared with itself only")
    transcripts = []
    for directory, each in (("reference", REFERENCE), ("server", kind)):
        server, (output, errors, status) = record(each, tmp_path / directory)
        assert status == 0, output[-2000:] + errors
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

    def record(each, directory):
        house = House(each, directory, authority, properties={"X509AuthenticationProvider.superUser": "CN=admin"})
        with house.start().server:
            return house.server, programs.secured(f"127.0.0.1:{house.secure_port}", "x509", people, stranger)

    said = compared(kind, tmp_path, record)
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

    def record(each, directory):
        with with_users(each, directory, users={**USERS, "bob": "builder"}) as server:
            return server, programs.secured(server.hosts, "sasl", people, configs["Guess"], *defines)

    said = compared(kind, tmp_path, record)
    assert said.count("get: NOAUTH /own") == 1, said


def test_c_by_certificate(kind, authority, tmp_path):
    """An answer that shares a record of TLS with another one stays unheard: this client waits at its socket, and not at OpenSSL."""
    def shows(name):
        return ",".join([str(authority.path(each)) for each in ("ca.crt", f"{name}.crt", f"{name}.key")] + ["-"])

    people = [
        (name, shows(file)) for name, file in ((ALICE, "alice"), ("CN=second", "second"), ("CN=admin", "admin"), ("stranger", "stranger"),
                                               ("expired", "expired"), ("CN=server", "server"))]

    def record(each, directory):
        house = House(each, directory, authority, properties={
            "X509AuthenticationProvider.superUser": "CN=admin", **programs.PROPERTIES})
        with house.start().server:
            return house.server, programs.c_secured(f"127.0.0.1:{house.secure_port}", "x509", people)

    said = compared(kind, tmp_path, record)
    assert said.count("get /mine: -102 length 0 ") == 1, said
    assert [line for line in said if line.startswith("guest ")] == [
        "guest stranger: is not in", "guest expired: is not in", "guest CN=server: is in"], said


def test_c_by_password(kind, tmp_path):
    """Cyrus SASL's DIGEST-MD5, at a server that serves nobody without it."""
    def knows(user, password, server="zk-sasl-md5"):
        file = tmp_path / f"{user}-{len(password)}"
        file.write_text(password)
        return f"DIGEST-MD5,{server},{user},{file}"

    people = [
        ("alice", knows("alice", USERS["alice"])), ("bob", knows("bob", "builder")), ("admin", knows("admin", USERS["admin"])),
        ("by a guess", knows("alice", "guess")), ("nobody", knows("nobody", "x")), ("née€", knows("née€", USERS["née€"])),
        ("for another server", knows("alice", USERS["alice"], "127.0.0.1")), ("without a name", "-")]

    def record(each, directory):
        properties = {"sessionRequireClientSASLAuth": "true", **programs.PROPERTIES}
        with with_users(each, directory, users={**USERS, "bob": "builder"}, **properties) as server:
            return server, programs.c_secured(server.hosts, "sasl", people)

    said = compared(kind, tmp_path, record)
    assert said.count("get /mine: -102 length 0 ") == 1, said
    assert sum(line.endswith(": is told no") for line in said) >= 2, said
