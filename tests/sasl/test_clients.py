"""Clients that people use, and the files that an operator changes while they do. (kazoo's own tests of SASL are in kazoo_suite.)"""

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

from . import digest
from .conftest import MODULE, PROVIDER, USERS, jaas, with_users


@pytest.fixture(scope="module")
def server(kind, tmp_path_factory):
    with with_users(kind, tmp_path_factory.mktemp("server")) as server:
        yield server


def accepts(server, user, password):
    session = Session(server.port)
    err, _ = digest.log_in(session, user, password)
    session.close()
    return err == 0


def test_kazoo(server):
    def client(user, password):
        options = {"mechanism": "DIGEST-MD5", "username": user, "password": password}
        return KazooClient(server.hosts, sasl_options=options)

    alice, admin, other = client("alice", USERS["alice"]), client("admin", USERS["admin"]), KazooClient(server.hosts)
    for each in (alice, admin, other):
        each.start()
    alice.create("/kazoo", b"mine", acl=[make_acl("sasl", "alice", all=True)])
    assert alice.get("/kazoo")[0] == admin.get("/kazoo")[0] == b"mine"
    with pytest.raises(NoAuthError):
        other.get("/kazoo")
    for each in (alice, admin, other):
        each.stop()
    refused, states = client("alice", "guess"), []
    refused.add_listener(lambda _: states.append(refused.client_state))
    refused.start_async()
    eventually(lambda: KeeperState.AUTH_FAILED in states, what=lambda: states)
    refused.close()


def java_shell(server, path, *words):
    """Java's shell of 3.9.5, which takes an account from a JAAS file."""
    properties = [f"-Djava.security.auth.login.config={path}", "-Dzookeeper.fips-mode=false"]
    command = [*shells.JAVA[:-1], *properties, shells.JAVA[-1], "-server", server.hosts, *words]
    return subprocess.run(command, text=True, capture_output=True, timeout=60, check=False, env=shells.environment())


def test_javas_client(server, tmp_path):
    path = tmp_path / "client.conf"
    path.write_text(f'Client {{ {MODULE} required username="alice" password="{USERS["alice"]}"; }};')
    done = java_shell(server, path, "whoami")
    assert "sasl: alice" in done.stdout and done.returncode == 0, done
    path.write_text(f'Client {{ {MODULE} required username="alice" password="guess"; }};')
    done = java_shell(server, path, "whoami")
    assert "AuthFailed" in done.stdout and "sasl: alice" not in done.stdout, done


def test_the_login_configuration_is_read_again(kind, tmp_path):
    """What cannot be read changes nothing; who is connected stays who it is."""
    with with_users(kind, tmp_path, users={"alice": "first"}) as server:
        path = tmp_path / "jaas.conf"
        session = Session(server.port)
        assert digest.log_in(session, "alice", "first")[0] == 0
        path.write_text(jaas({"alice": "second"}) + "unfinished {")
        eventually(lambda: "SASL's users stay as they were: " in server.log_text())
        assert accepts(server, "alice", "first")
        path.write_text(jaas({"alice": "second", "bob": "new"}))
        eventually(lambda: accepts(server, "bob", "new"))
        assert not accepts(server, "alice", "first") and accepts(server, "alice", "second")
        assert session.create("/mine", acl=((31, "auth", ""),)).err == 0
        assert "first" not in server.log_text() and "second" not in server.log_text()


def test_users_of_a_secret(kind, tmp_path):
    """A Secret that Kubernetes mounts and changes: a directory behind a link, of which the link is moved."""
    secret = tmp_path / "secret"
    for name, password in (("..1", "one"), ("..2", "two")):
        (secret / name).mkdir(parents=True)
        (secret / name / "alice").write_text(password + "\n")
    (secret / "..data").symlink_to("..1")
    (secret / "alice").symlink_to("..data/alice")
    server = Server(kind, tmp_path / "server", properties={"zabd.sasl.users": secret, "authProvider.1": PROVIDER})
    with server:
        assert accepts(server, "alice", "one") and not accepts(server, "alice", "two")
        (secret / "..new").symlink_to("..2")
        (secret / "..new").rename(secret / "..data")
        eventually(lambda: accepts(server, "alice", "two"))
        assert not accepts(server, "alice", "one")


# What stands for a password, and what it is with the properties of `asking`.
EXPANDED = {
    "alice": ("${zookeeper.alice.password}", "in wonderland"), "bob": ("${zookeeper.bob.password}", "can build"),
    "carol": ("a${/}b", "a/b"), "dave": ("${{x}", "${{x}"), "erin": ("${x", "${x"), "frank": ("x${zookeeper.none.password}", "x"),
    "grace": ("$${file.separator}", "$/")}


def asking(kind, directory, content):
    """A server with this login configuration, which may ask for words of the command line and of zoo.cfg."""
    directory.mkdir()
    (directory / "jaas.conf").write_text(content)
    return Server(kind, directory, config={"bob.password": "can build"}, properties={
        "java.security.auth.login.config": directory / "jaas.conf", "authProvider.sasl": PROVIDER, "alice.password": "in wonderland",
        "none.password": ""})


def test_values_may_ask_for_system_properties(kind, tmp_path):
    content = jaas({user: written for user, (written, _) in EXPANDED.items()})
    for each in dict.fromkeys(("java395", kind)):
        with asking(each, tmp_path / each, content) as server:
            for user, (written, meant) in EXPANDED.items():
                assert accepts(server, user, meant), (each, user)
                assert written == meant or not accepts(server, user, written), (each, user)
            if each == "zabd":
                assert not any(word in server.log_text() for word in ("in wonderland", "can build"))


@pytest.mark.parametrize("section, value, problem", [
    ("Server", "a${nobodys}", "the value of `user_alice` asks for the property `nobodys`, which is not set (`-Dnobodys=...`)"),
    ("Server", "${}", "the value of `user_alice` asks for the property ``, which is not set"),
    ("Server", "${zookeeper.none.password}", "the value of `user_alice` is empty, and so are the properties that it asks for"),
    ("Other", "${nobodys}", None)])
def test_properties_that_are_not_there_end_the_start(kind, tmp_path, section, value, problem):
    """An empty password would let anybody in. Java takes no section of such a file, zabd those that it can understand."""
    content = jaas({"alice": value}, section=section)
    for each in dict.fromkeys(("java395", kind)):
        server = asking(each, tmp_path / each, content + ("" if section == "Server" else jaas(USERS)))
        if each == "zabd" and not problem:
            with server:
                assert accepts(server, "alice", USERS["alice"])
            continue
        with pytest.raises(ServerFailed) as failed:
            server.start()
        if each == "zabd":
            assert problem in str(failed.value), failed.value


@pytest.mark.parametrize("content, problem", [
    (f"Server {{ {MODULE} required user_a=1; }};", "line 1: expected the value of an option, found a number"),
    ("Server { com.sun.security.auth.module.Krb5LoginModule required; };",
     "section `Server`: it asks for Kerberos, which this build does not serve; only a build with the feature `kerberos` does"),
    (None, "No such file")])
def test_a_login_configuration_that_cannot_be_used_ends_the_start(kind, tmp_path, content, problem):
    path = tmp_path / "jaas.conf"
    if content:
        path.write_text(content)
    server = Server(kind, tmp_path / "server", properties={"java.security.auth.login.config": path})
    with pytest.raises(ServerFailed) as failed:
        server.start()
    line = next(line for line in str(failed.value).splitlines() if "java.security.auth.login.config" in line and "hint" in line)
    assert f"cannot be used: {path}: {problem}" in line
