"""Clients that people use, with tickets; and keys that an operator changes while they do."""

import subprocess

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import NoAuthError
from kazoo.protocol.states import KeeperState
from kazoo.security import make_acl

from cli import shells
from harness.servers import Server, ServerFailed
from harness.waiting import eventually
from harness.wire import Session
from sasl import digest
from sasl.conftest import MODULE as DIGEST_MODULE
from sasl.test_exchange import identities
from transcripts import programs
from transcripts.normalise import assert_same

from .conftest import MODULE, jaas, with_kerberos
from .gssapi import Client, log_in
from .kdc import REALM, SERVICE


@pytest.fixture(scope="module")
def server(kind, realm, tmp_path_factory):
    with with_kerberos(kind, tmp_path_factory.mktemp("server"), realm) as server:
        yield server


def accepts(server):
    session = Session(server.port)
    err, _ = log_in(session)
    session.close()
    return err == 0


def java_shell(realm, server, path, *words, **properties):
    """Java's shell of 3.9.5, which logs in as a JAAS file says."""
    properties = {"java.security.auth.login.config": path, "java.security.krb5.conf": realm.krb5_conf, **properties}
    command = [
        *shells.JAVA[:-1], *(f"-D{key}={value}" for key, value in properties.items()), shells.JAVA[-1], "-server", server.hosts, *words]
    return subprocess.run(command, text=True, capture_output=True, timeout=60, check=False, env=shells.environment())


def test_javas_client(realm, server, tmp_path):
    """By a keytab, and without being told how the server is called: `zookeeper/` and the name of its address."""
    path = tmp_path / "client.conf"
    path.write_text(jaas("Client", f"alice@{REALM}", realm.keytabs.alice))
    done = java_shell(realm, server, path, "whoami")
    assert f"sasl: alice@{REALM}" in done.stdout and done.returncode == 0, done


def test_javas_client_with_a_cache_of_tickets(realm, server, tmp_path):
    path = tmp_path / "client.conf"
    cache = realm.log_in("admin", realm.keytabs.admin)
    path.write_text(f'Client {{ {MODULE} required useTicketCache=true ticketCache="{cache}"; }};')
    done = java_shell(realm, server, path, "whoami", **{"zookeeper.server.principal": f"{SERVICE}@{REALM}"})
    assert f"sasl: admin@{REALM}" in done.stdout and "super: " in done.stdout, done


def test_javas_client_at_another_service(realm, server, tmp_path):
    """It has a ticket, for somebody else."""
    path = tmp_path / "client.conf"
    path.write_text(jaas("Client", f"alice@{REALM}", realm.keytabs.alice))
    done = java_shell(realm, server, path, "whoami", **{"zookeeper.server.principal": f"imap/localhost@{REALM}"})
    assert "AuthFailed" in done.stdout and "sasl: " not in done.stdout, done


def test_kazoo(server, as_principal):
    """It finds tickets where this process has them, when it connects."""
    def client():
        # Whoever has no tickets of its own by then has this one's.
        client = KazooClient(f"localhost:{server.port}", sasl_options={"mechanism": "GSSAPI", "service": "zookeeper"})
        client.start()
        return client

    as_principal("alice")
    alice = client()
    alice.create("/kazoo", b"mine", acl=[make_acl("sasl", f"alice@{REALM}", all=True)])
    as_principal("host")
    worker, other = client(), KazooClient(server.hosts)
    other.start()
    assert alice.get("/kazoo")[0] == b"mine"
    for refused in (worker, other):
        with pytest.raises(NoAuthError):
            refused.get("/kazoo")
    for each in (alice, worker, other):
        each.stop()


def test_the_c_library(kind, realm, as_principal, tmp_path):
    """Cyrus SASL's GSSAPI; at a server that serves nobody without it, everything that anybody may do."""
    as_principal("alice")
    transcripts = []
    for directory, each in (("reference", "java395"), ("server", kind)):
        properties = {"sessionRequireClientSASLAuth": "true", **programs.PROPERTIES}
        with with_kerberos(each, tmp_path / directory, realm, **properties) as server:
            alice = (f"alice@{REALM}", "GSSAPI,localhost,alice,-")
            output, errors, status = programs.c_secured(server.hosts, "sasl", [alice])
        assert status == 0, errors
        transcripts.append([*output.splitlines(), "--- errors", *errors.splitlines()])
    assert f"  31 sasl alice@{REALM}" in transcripts[0], transcripts[0]
    assert_same(*transcripts, "java395", kind)


def test_kazoo_with_a_password_is_refused(server):
    """One mechanism is served, and it hears so."""
    options = {"mechanism": "DIGEST-MD5", "username": "alice", "password": "guess"}
    refused, states = KazooClient(server.hosts, sasl_options=options), []
    refused.add_listener(lambda _: states.append(refused.client_state))
    refused.start_async()
    eventually(lambda: KeeperState.AUTH_FAILED in states, what=lambda: states)
    refused.close()
    assert server.kind != "zabd" or "it may want DIGEST-MD5" in server.log_text()


@pytest.mark.parametrize("which", ["java395", None], ids=["java", "ours"])
def test_a_section_with_both_kinds_is_one_with_kerberos(kind, realm, as_principal, tmp_path, which):
    as_principal("alice")
    server = with_kerberos(which or kind, tmp_path, realm)
    path = tmp_path / "jaas.conf"
    path.write_text(path.read_text().replace("};", f'{DIGEST_MODULE} required user_alice="in"; }};'))
    with server:
        assert accepts(server)
        assert digest.send(Session(server.port), b"") == (-115, None)
        assert server.kind != "zabd" or "1 users of DIGEST-MD5 cannot authenticate by SASL" in server.log_text()


@pytest.mark.parametrize("which", ["java395", None], ids=["java", "ours"])
def test_a_key_is_read_again(kind, realm, as_principal, tmp_path, which):
    """A new key of the server's: who has a new ticket is let in as soon as the file has it, and nobody starts again."""
    name = f"zookeeper/{which or kind}.example.org"
    keytab, = realm.principals(name)
    service = name.replace("/", "@")
    as_principal("alice")
    with with_kerberos(which or kind, tmp_path, realm, keytab, principal=f"{name}@{REALM}") as server:
        assert log_in(Session(server.port), client=Client(service)) == (0, None)
        new = realm.keytab(name, "new.keytab")
        as_principal("alice")
        session, token = Session(server.port), Client(service).step()
        assert digest.send(session, token) == (-115, None)
        keytab.write_bytes(new.read_bytes())
        eventually(lambda: log_in(Session(server.port), client=Client(service)) == (0, None))
        if server.kind == "zabd":
            assert any(word in server.log_text() for word in ("key version", "kvno", "No key table entry"))


def test_the_login_configuration_is_read_again(kind, realm, as_principal, tmp_path):
    """From passwords to Kerberos and back; a section without its key changes nothing, and says so."""
    as_principal("alice")
    with with_kerberos(kind, tmp_path, realm) as server:
        path = tmp_path / "jaas.conf"
        with_key = path.read_text()
        path.write_text(f'Server {{ {DIGEST_MODULE} required user_alice="in"; }};')
        eventually(lambda: digest.send(Session(server.port), b"")[0] == 0)
        path.write_text(jaas("Server", f"{SERVICE}@{REALM}", tmp_path / "none.keytab"))
        eventually(lambda: "SASL's users stay as they were: " in server.log_text())
        assert digest.log_in(Session(server.port), "alice", "in")[0] == 0
        path.write_text(with_key)
        eventually(lambda: digest.send(Session(server.port), b"")[0] != 0)
        session = Session(server.port)
        assert log_in(session) == (0, None)
        assert ("sasl", f"alice@{REALM}") in identities(session)


@pytest.mark.parametrize("section, problem", [
    (jaas("Server", f"zookeeper/nobody@{REALM}", "{keytab}"), "section `Server`: Kerberos: "),
    (jaas("Server", f"{SERVICE}@{REALM}", "/nonexistent"), "section `Server`: Kerberos: "),
    (jaas("Server", f"{SERVICE}@{REALM}", "{other}"), "section `Server`: Kerberos: "),
    (jaas("Server", "zookeeper", "{keytab}"), "section `Server`: its principal `zookeeper` has not the form"),
    (f"Server {{ {MODULE} required useTicketCache=true; }};", "section `Server`: it asks for Kerberos without `useKeyTab=true`")],
    ids=["nobody", "no file", "another's", "no host", "no key"])
def test_a_section_that_cannot_be_used_ends_the_start(kind, realm, tmp_path, section, problem):
    text = section.replace("{keytab}", str(realm.keytabs.service)).replace("{other}", str(realm.keytabs.other))
    (tmp_path / "jaas.conf").write_text(text)
    server = Server(kind, tmp_path / "server", properties={
        "java.security.auth.login.config": tmp_path / "jaas.conf", "java.security.krb5.conf": realm.krb5_conf})
    with pytest.raises(ServerFailed) as failed:
        server.start()
    line = next(line for line in str(failed.value).splitlines() if "java.security.auth.login.config" in line and "hint" in line)
    assert f"cannot be used: {tmp_path}/jaas.conf: {problem}" in line, line


def test_rules_that_cannot_work_end_the_start(kind, realm, tmp_path):
    server = with_kerberos(kind, tmp_path, realm, **{"security.auth_to_local": "RULE:[1:$2]"})
    with pytest.raises(ServerFailed) as failed:
        server.start()
    assert "cannot be used: `$2` has a `$2`, and there is no such part" in str(failed.value)


def test_a_key_that_cannot_be_read_lets_nobody_in_and_nobody_else_waits(kind, realm, as_principal, tmp_path):
    """A file that never ends to be opened: who wants to log in waits, and nobody besides."""
    keytab = tmp_path / "slow.keytab"
    keytab.write_bytes(realm.keytabs.service.read_bytes())
    as_principal("alice")
    with with_kerberos(kind, tmp_path / "server", realm, keytab) as server:
        keytab.unlink()
        subprocess.run(["mkfifo", str(keytab)], check=True)
        waiting = Session(server.port)
        waiting.submit(digest.wire.SASL, digest.Writer().buffer(Client().step()).bytes)
        other = Session(server.port)
        assert other.create("/written").err == 0
        assert waiting.is_quiet()
