"""Members of an ensemble that authenticate each other by Kerberos: zabd and Java 3.9.5, each as dialler and as listener."""

import socket
import struct

import pytest

from ensemble.members import Ensemble
from harness.servers import ServerFailed
from harness.waiting import eventually
from harness.wire import Session
from sasl.test_members import INTRODUCTION, KEYS, MAGIC, Stranger, each_kind_leads, figure

from .conftest import jaas
from .gssapi import Client, choice
from .kdc import REALM

HOSTS = {number: f"127.0.0.{number}" for number in (1, 2, 3)}


@pytest.fixture(scope="module", name="keys")
def keys_fixture(realm):
    """Of each member's two principals, and of one that is no member's."""
    names = [f"{name}/{host}" for host in HOSTS.values() for name in ("zkq", "learner")] + ["learner/127.0.0.9"]
    return dict(zip(names, realm.principals(*names)))


def sections(keys, number, learner=None):
    server, learner = f"zkq/{HOSTS[number]}", learner or f"learner/{HOSTS[number]}"
    return jaas("QuorumServer", f"{server}@{REALM}", keys[server]) + jaas("QuorumLearner", f"{learner}@{REALM}", keys[learner])


def ensemble(kinds, directory, realm, keys, config=None):
    """Each member on a host of its own, and known by it."""
    members = Ensemble(kinds, directory, own_hosts=True, is_started=False,
                       config={**KEYS, "quorum.auth.kerberos.servicePrincipal": "zkq/_HOST", **(config or {})})
    for number, server in members.members.items():
        log_in_as(server, realm, sections(keys, number))
    return members


def log_in_as(server, realm, text):
    path = server.directory / "jaas.conf"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    server.properties = {
        **server.properties, "java.security.auth.login.config": path, "java.security.krb5.conf": realm.krb5_conf}
    server.environment["KRB5RCACHEDIR"] = str(server.directory)


@pytest.mark.parametrize("kinds", [("java395", "java395", "zabd"), ("zabd", "zabd", "java395")], ids="-".join)
def test_all_kinds_authenticate_each_other(tmp_path, realm, keys, kinds):
    """Each kind dials and is dialled on both ports."""
    with ensemble(kinds, tmp_path, realm, keys) as members:
        members.start()
        each_kind_leads(members, kinds)


def test_who_is_on_no_host_of_the_ensemble_stays_outside(tmp_path, realm, keys):
    """Its ticket is good; both logs say why it is of no use."""
    with ensemble(("zabd", "zabd", "zabd"), tmp_path, realm, keys) as members:
        members.start()
        refused = members.members[3]
        refused.kill()
        log_in_as(refused, realm, sections(keys, 3, "learner/127.0.0.9"))
        refused.start(wait=False)
        leader = members.members[members.leader(among=(1, 2))]
        eventually(lambda: f"learner/127.0.0.9@{REALM}: its host is none of the ensemble's" in leader.log_text())
        eventually(lambda: f"it refuses user `learner/127.0.0.9@{REALM}` or its ticket" in refused.log_text())
        assert Session(leader.port).create("/written").err == 0
        assert members.mode(3) is None


def test_a_service_that_nobody_knows_is_named(tmp_path, realm, keys):
    with ensemble(("zabd", "zabd"), tmp_path, realm, keys, {"quorum.auth.kerberos.servicePrincipal": "nobody/_HOST"}) as members:
        for server in members.members.values():
            server.start(wait=False)
        eventually(lambda: f"nobody/{HOSTS[1]}@{REALM} not found in Kerberos database" in members.members[2].log_text())


class OnHost(Stranger):
    """A socket on a port of a member that has a host of its own."""

    def __init__(self, host, port):
        self.socket = socket.create_connection((host, port), 20)


@pytest.fixture(scope="module", name="pair")
def pair_fixture(tmp_path_factory, realm, keys):
    with ensemble(("zabd", "zabd"), tmp_path_factory.mktemp("pair"), realm, keys) as members:
        members.start()
        yield members


@pytest.fixture(params=["quorum", "election"], name="stranger")
def stranger_fixture(pair, request):
    """On either port, where authentication is due."""
    def dial():
        stranger = OnHost(HOSTS[1], pair.ports[1][1 if request.param == "quorum" else 2])
        if request.param == "election":
            stranger.send(INTRODUCTION)
        return stranger
    return dial


def test_strangers(pair, stranger, as_principal):
    """Who has a ticket and is no member, or wants to be another, or says a thing twice."""
    as_principal("alice")
    server = pair.members[1]

    def told(problem, *tokens):
        dialler = stranger()
        for token in tokens[:-1]:
            assert dialler.step(token)[0] == 0
        assert dialler.step(tokens[-1]) == (-1, b"")
        assert dialler.is_closed()
        eventually(lambda: problem in server.log_text())

    def whole(name):
        dialler, client = stranger(), Client(f"zkq@{HOSTS[1]}")
        token = client.step()
        _, proof = dialler.step(token)
        assert client.step(proof) == b""
        _, offer = dialler.step(b"")
        assert client.unwrap(offer) == b"\x01\x01\x00\x00"
        return dialler, dialler.step(client.wrap(choice(name=name))), token

    _, last, token = whole(b"")
    assert last == (-1, b"")
    eventually(lambda: f"alice@{REALM}: its host is none of the ensemble's" in server.log_text())
    _, last, _ = whole(f"learner/{HOSTS[2]}@{REALM}".encode())
    assert last == (-1, b"")
    eventually(lambda: f"user `alice@{REALM}` may not act as `learner/{HOSTS[2]}@{REALM}`" in server.log_text())
    told("Request is a replay", token)
    told("it may want DIGEST-MD5", b"")
    told("Kerberos: ", b"noise")
    long = stranger()
    long.send(MAGIC + struct.pack(">ii", 0, 1 << 20))
    assert long.is_closed()


def test_a_section_without_its_key_ends_the_start(tmp_path, realm, keys):
    with ensemble(("zabd", "zabd"), tmp_path, realm, keys) as members:
        server = members.members[1]
        log_in_as(server, realm, sections(keys, 1).replace(str(keys["zkq/127.0.0.1"]), str(keys["zkq/127.0.0.2"])))
        with pytest.raises(ServerFailed) as failed:
            server.start()
        assert "section `QuorumServer`: Kerberos: " in str(failed.value)
