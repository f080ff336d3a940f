"""Members of an ensemble that authenticate each other by SASL: zabd and Java 3.9.5, each as dialler and as listener."""

import itertools
import socket
import struct

import pytest

from ensemble.members import Ensemble
from harness import wire
from harness.observing import figures
from harness.servers import ServerFailed
from harness.waiting import eventually
from harness.wire import Session, Writer
from tls.authority import PASSWORD

from . import digest
from .conftest import MODULE

KEYS = {"quorum.auth.enableSasl": "true", "quorum.auth.learnerRequireSasl": "true", "quorum.auth.serverRequireSasl": "true"}
MAGIC = bytes.fromhex("5f2435013501edcc")
ZKQ, SERVICE = ("zkq", "s3cret"), "zookeeper-quorum/zk-quorum-sasl-md5"
GUESS = "guesswork"


def sections(password=ZKQ[1]):
    return (
        f'QuorumServer {{ {MODULE} required user_zkq="{ZKQ[1]}"; }};\n'
        f'QuorumLearner {{ {MODULE} required username="zkq" password="{password}"; }};\n')


def ensemble(kinds, directory, config=None, properties=None, **more):
    directory.mkdir(exist_ok=True)
    (directory / "jaas.conf").write_text(sections())
    properties = {"java.security.auth.login.config": directory / "jaas.conf", "fips-mode": "false", **(properties or {})}
    return Ensemble(kinds, directory, config={**KEYS, **(config or {})}, properties=properties, **more)


def proved(members, number):
    """Whether this member has let in another one that has proved who it is."""
    server = members.members[number]
    if server.kind != "zabd":
        return "Successfully completed the authentication using SASL. learner addr" in server.log_text()
    return figure(server, "authenticated") > 0


def figure(server, name):
    return int(figures(server.port)[f"zabd_quorum_sasl_{name}"])


def assert_no_passwords(members):
    for server in members.members.values():
        assert server.kind != "zabd" or not any(password in server.log_text() for password in (ZKQ[1], GUESS))


def each_kind_leads(members, kinds):
    """The last leads at first, then one of the others; whoever comes back is let in."""
    first = members.leader()
    assert first == 3
    assert Session(members.members[1].port).create("/written").err == 0
    members.members[first].kill()
    second = members.leader(among=(1, 2))
    assert proved(members, second)
    assert {kinds[first - 1], kinds[second - 1]} == {"zabd", "java395"}
    members.members[first].start()
    for number, server in members.members.items():
        session = Session(server.port)
        assert session.create(f"/by-{number}").err == 0
        get = Writer().ustring("/written").boolean(False).bytes
        assert session.call(wire.GET_DATA, get).err == 0
    members.assert_equal_trees()
    assert not any(figure(server, "refused") for server in members.members.values() if server.kind == "zabd")


@pytest.mark.parametrize("kinds", [("java395", "java395", "zabd"), ("zabd", "zabd", "java395")], ids="-".join)
def test_all_kinds_authenticate_each_other(tmp_path, kinds):
    """Each kind dials and is dialled on both ports."""
    with ensemble(kinds, tmp_path) as members:
        each_kind_leads(members, kinds)
        assert_no_passwords(members)


def test_behind_tls(tmp_path, authority):
    """TLS first, and within it SASL, as Java has it: on both ports, each kind dialling and dialled."""
    stores = {
        "ssl.quorum.keyStore.location": authority.path("server.pem"), "ssl.quorum.trustStore.location": authority.path("trust.jks"),
        "ssl.quorum.trustStore.password": PASSWORD}
    with ensemble(("java395", "zabd"), tmp_path, {"sslQuorum": "true"}, stores) as members:
        assert members.leader() == 2 and proved(members, 2)
        assert Session(members.members[1].port).create("/written").err == 0
        eventually(lambda: proved(members, 1))


class Stranger:
    """A socket on one of a member's ports."""

    def __init__(self, port, address):
        self.socket = socket.create_connection(("127.0.0.1", port), 20, (address, 0))

    def send(self, data):
        self.socket.sendall(data)

    def step(self, token):
        """One step of an exchange: status and token of the answer; None if the connection is closed."""
        self.send(MAGIC + struct.pack(">ii", 0, len(token)) + token)
        head = self.take(16)
        if head is None:
            return None
        assert head[:8] == MAGIC
        status, length = struct.unpack(">ii", head[8:])
        return status, self.take(length)

    def take(self, count):
        data = b""
        while len(data) < count:
            try:
                piece = self.socket.recv(count - len(data))
            except ConnectionResetError:
                return None
            if not piece:
                return None
            data += piece
        return data

    def is_closed(self):
        return self.take(1) is None


def response(challenge, user=ZKQ[0], password=ZKQ[1], **more):
    return digest.answer(challenge, user, password, service=SERVICE, realm="zk-quorum-sasl-md5", **more)


@pytest.fixture(scope="module", name="server")
def server_fixture(tmp_path_factory):
    """A member that serves, and its ports."""
    with ensemble(("zabd", "zabd"), tmp_path_factory.mktemp("pair")) as members:
        server = members.members[1]
        server.quorum_port, server.election_port = members.ports[1][1:]
        yield server


# Of a server that is in no list, so that nobody's connection is replaced.
INTRODUCTION = struct.pack(">qqi", -65536, 9, 15) + b"127.0.0.1:40000"


MACHINES = itertools.count(1)


@pytest.fixture(params=["quorum", "election"], name="stranger")
def stranger_fixture(server, request):
    """On either port, where authentication is due. From an address of each test's own: of one machine, a log tells only so
    many reasons in a minute."""
    address = f"127.0.77.{next(MACHINES)}"

    def dial():
        stranger = Stranger(server.quorum_port if request.param == "quorum" else server.election_port, address)
        if request.param == "election":
            stranger.send(INTRODUCTION)
        return stranger
    return dial


@pytest.mark.parametrize("case, problem", [
    (lambda c: response(c, password=GUESS), "the password of user `zkq` is wrong"),
    (lambda c: response(c, user="other"), "there is no user `other`"),
    (lambda c: response(c, acts_as="other"), "user `zkq` may not act as `other`"),
    (lambda c: response(c)[:50], "the token is malformed or cut short"),
    (lambda c: response(b'nonce="' + b"A" * 40 + b'"'), "answers another challenge")],
    ids=["password", "user", "authority", "cut", "replay"])
def test_strangers_are_refused_with_a_reason(server, stranger, case, problem):
    refused = figure(server, "refused")
    dialler = stranger()
    status, challenge = dialler.step(b"")
    assert status == 0 and b'realm="zk-quorum-sasl-md5"' in challenge
    assert dialler.step(case(challenge)) == (-1, b"")
    assert dialler.is_closed()
    eventually(lambda: problem in server.log_text())
    assert figure(server, "refused") == refused + 1


@pytest.mark.parametrize("data, problem", [
    (b"\x00\x00\x00\x0b" + bytes(20), "it does not authenticate by SASL"),
    (MAGIC + struct.pack(">ii", 0, 1 << 30), "does not decode")], ids=["nothing", "long"])
def test_whoever_does_not_authenticate_is_closed(server, stranger, data, problem):
    dialler = stranger()
    dialler.send(data)
    assert dialler.is_closed()
    eventually(lambda: problem in server.log_text())


def test_the_right_password_goes_on(stranger):
    dialler = stranger()
    _, challenge = dialler.step(b"")
    status, proof = dialler.step(response(challenge))
    assert status == 1 and proof.startswith(b"rspauth=")


def test_a_crowd_that_says_nothing_keeps_no_member_out(server, stranger):
    """A thousand sockets at once: most lose their places, and whoever proves itself has one."""
    crowd = [stranger() for _ in range(1000)]
    dialler = stranger()
    _, challenge = dialler.step(b"")
    assert dialler.step(response(challenge))[0] == 1
    assert crowd[0].is_closed()
    eventually(lambda: "it has not shown who it is, and 256 others want to" in server.log_text())
    for each in crowd:
        each.socket.close()


def test_a_member_with_another_password_stays_outside(tmp_path):
    """The leader comes again with a wrong password: the others are served, it never is, and both logs say why."""
    with ensemble(("zabd", "zabd", "zabd"), tmp_path) as members:
        wrong = members.members[3]
        wrong.kill()
        (tmp_path / "wrong.conf").write_text(sections(GUESS))
        wrong.properties["java.security.auth.login.config"] = tmp_path / "wrong.conf"
        wrong.start(wait=False)
        leader = members.members[members.leader(among=(1, 2))]
        eventually(lambda: "it refuses user `zkq` or the password" in wrong.log_text())
        eventually(lambda: "the password of user `zkq` is wrong" in leader.log_text())
        assert figure(leader, "refused") > 0
        assert Session(leader.port).create("/written").err == 0
        assert members.mode(3) is None
        assert_no_passwords(members)


def test_a_member_that_the_leader_refuses_tells_so_once_a_minute(tmp_path):
    """It elects the leader anew several times a second; the log says why it does not come in, and is not filled with that."""
    with ensemble(("zabd", "zabd", "zabd"), tmp_path) as members:
        wrong = members.members[1]
        wrong.kill()
        (tmp_path / "wrong.conf").write_text(sections(GUESS))
        wrong.properties["java.security.auth.login.config"] = tmp_path / "wrong.conf"
        begin = len(wrong.log_text())
        wrong.start(wait=False)
        leader = members.members[members.leader(among=(2, 3))]
        refused = figure(leader, "refused")
        # Five attempts are one search.
        eventually(lambda: figure(leader, "refused") > refused + 15)
        log = wrong.log_text()[begin:]
        told = [line for line in log.splitlines() if "LOOKING for a leader, again and again" in line]
        assert len(told) == 1 and "WARN" in told[0] and "authentication by SASL fails: it refuses user `zkq` or the password" in told[0], told
        assert log.count(" is elected") <= 2, log


def test_a_rolling_change(tmp_path):
    """Java's three steps, one member after the other: a quorum stands at every moment, and each member is in it whatever the
    others do already."""
    with ensemble(("zabd", "java395", "zabd"), tmp_path, dict.fromkeys(KEYS, "false")) as members:
        for key in KEYS:
            members.config[key] = "true"
            for number, server in list(members.members.items()):
                was_leader = members.mode(number) == "leader"
                server.kill()
                if was_leader:
                    # One that comes back in the midst of an election may make it a long one.
                    members.leader(among=members.others(number))
                members.replace(number, server.kind)
                session = Session(members.members[number].port)
                assert session.create(f"/{key}by{number}").err == 0
                session.end()
        members.assert_equal_trees()
        assert all(proved(members, number) for number in members.members if members.mode(number) == "leader")


def test_a_member_of_java_logs_in_without_its_fips_mode_alone(tmp_path):
    """zabd needs no `fips-mode=false`, so it may be missing when Java comes back: what was written meanwhile is served all the same."""
    with ensemble(("zabd", "zabd", "zabd"), tmp_path) as members:
        del members.properties["fips-mode"]
        for number in (1, 2, 3):
            members.replace(number, "zabd")
            members.await_serving()
        session = Session(members.members[2].port)
        members.members[1].kill()
        members.members[1] = members.member(1, "java395").start(wait=False)
        java = members.members[1]
        eventually(lambda: "will not use DIGEST-MD5 as SASL mechanism, because FIPS mode is enabled" in java.log_text())
        assert session.create("/meanwhile").err == 0
        assert members.mode(1) not in ("follower", "leader")
        members.properties["fips-mode"] = "false"
        members.replace(1, "java395")
        members.assert_equal_trees()


def test_sections_are_those_that_are_named(tmp_path):
    """Java's member reads them by the same keys."""
    names = {"quorum.auth.server.saslLoginContext": "Within", "quorum.auth.learner.saslLoginContext": "Without"}
    members = ensemble(("java395", "zabd"), tmp_path, names, is_started=False)
    text = sections().replace("QuorumServer", "Within").replace("QuorumLearner", "Without")
    (tmp_path / "jaas.conf").write_text(text)
    with members:
        members.start()
        assert members.leader() == 2 and proved(members, 2)
        eventually(lambda: proved(members, 1))


@pytest.mark.parametrize("text, problem", [
    ("QuorumServer { };", "JAAS configuration section 'QuorumLearner' could not be found"),
    (f"QuorumServer {{ }}; QuorumLearner {{ {MODULE} required; }};", "section `QuorumLearner`: it has no `username`"),
    ("QuorumServer { }; QuorumLearner { com.sun.security.auth.module.Krb5LoginModule required; };",
     "section `QuorumLearner`: it asks for Kerberos, which this build does not serve")], ids=["section", "account", "kerberos"])
def test_accounts_that_are_missing_end_the_start(tmp_path, text, problem):
    members = ensemble(("zabd", "zabd"), tmp_path, is_started=False)
    (tmp_path / "jaas.conf").write_text(text)
    with pytest.raises(ServerFailed) as failed:
        members.members[1].start()
    assert problem in str(failed.value)
