"""Exchanges with a server, packet by packet: zabd answers each with Java's bytes, and says why it refuses one."""

import re
import subprocess

import pytest

from harness import places, wire
from harness.observing import figures
from harness.servers import Server
from harness.waiting import eventually
from harness.wire import Closed, Session, Writer

from . import digest
from .conftest import PROVIDER, USERS, with_users

AUTH_FAILED, REQUIRE_AUTH, INVALID_ACL, NO_AUTH = -115, -124, -114, -102
ALICE = ("alice", USERS["alice"])
SUPER_PASSWORD = "SASLAuthenticationProvider.superPassword"


def identities(session):
    reader = session.call(wire.WHO_AM_I).reader()
    return sorted(reader.vector(lambda: (reader.ustring(), reader.ustring())))


def masked(challenge):
    """Without what must differ."""
    return digest.NONCE.sub(b'nonce="..."', challenge)


def told(session, *tokens):
    """What is answered to each token, until the server closes; how the connection is then."""
    story = []
    for token in tokens:
        try:
            err, received = digest.send(session, token)
        except Closed:
            return [*story, "closed without a word"]
        story.append((err, received and masked(received)))
    story.append("open" if session.is_quiet() else "closed")
    session.close()
    return story


def test_the_right_password(beside_java):
    def ask(server):
        session = Session(server.port)
        challenge = digest.begin(session)
        _, expected = digest.proofs(digest.NONCE.search(challenge)[1].decode(), *ALICE)
        story = [masked(challenge), digest.send(session, digest.answer(challenge, *ALICE)) == (0, f"rspauth={expected}".encode())]
        return [*story, identities(session), *told(session)]

    java, ours = beside_java(ask)
    assert java == ours
    assert ours[1:] == [True, [("ip", "127.0.0.1"), ("sasl", "alice")], "open"]
    assert ours[0] == b'realm="zk-sasl-md5",nonce="...",charset=utf-8,algorithm=md5-sess'


@pytest.mark.parametrize("user", ["alice", "née€"])
def test_names_and_passwords_beyond_ascii(beside_java, user):
    def ask(server):
        session = Session(server.port)
        err, _ = digest.log_in(session, user, USERS[user])
        return err, identities(session)

    java, ours = beside_java(ask)
    assert java == ours == (0, [("ip", "127.0.0.1"), ("sasl", user)])


def changed(old, new):
    return lambda response: response.replace(old, new, 1)


CASES = {
    "wrong password": lambda r: r.replace(b"response=", b"response=0", 1)[:-1],
    "unknown user": changed(b'username="alice"', b'username="nobody"'),
    "no user": changed(b"username=", b"user="),
    "another realm": changed(b'realm="zk-sasl-md5"', b'realm="zk"'),
    "no realm": changed(b'realm="zk-sasl-md5",', b""),
    "another nonce": changed(b'nonce="', b'nonce="A'),
    "another service": changed(b"digest-uri=\"zookeeper/", b"digest-uri=\"imap/"),
    "a service in capitals": changed(b"digest-uri=\"zookeeper/", b"digest-uri=\"ZOOKEEPER/"),
    "integrity": changed(b"qop=auth,", b"qop=auth-int,"),
    "unknown protection": changed(b"qop=auth,", b"qop=none,"),
    "no protection named": changed(b"qop=auth,", b""),
    "another charset": changed(b"charset=utf-8", b"charset=latin1"),
    "no charset": changed(b"charset=utf-8,", b""),
    "a count under Java's name": changed(b"nc=00000001", b"nonce-count=00000002"),
    "a count under the RFC's name": changed(b"nc=00000001", b"nc=00000002"),
    "a number that is none": changed(b"maxbuf=65536", b"maxbuf=many"),
    "a count that is none": changed(b"nc=00000001", b"nonce-count=x"),
    "to act as another": changed(b'authzid="alice"', b'authzid="admin"'),
    "no other name": changed(b',authzid="alice"', b""),
    "something twice": lambda r: r + b',realm="zk-sasl-md5"',
    "unknown keys": lambda r: b'a=b,c="d e",' + r,
    "white space": lambda r: r.replace(b",", b" ,\t "),
    "no quotes where none are needed": lambda r: r.replace(b'"', b""),
    "a key without a value": lambda r: r + b",a=",
    "no list at all": lambda r: b"\x00\x01\xff",
    "nothing": lambda r: b"",
    "too long": lambda r: r + b" " * 5000,
    **{f"cut at {length}": lambda r, length=length: r[:length] for length in (1, 20, 60, 100, 150, 200, 230, 245)},
}
SILENT = {"a number that is none", "a count that is none"}
ACCEPTED = {
    "a service in capitals", "no protection named", "no charset", "a count under the RFC's name", "unknown keys", "white space",
    "no quotes where none are needed"}


@pytest.mark.parametrize("case", CASES)
def test_other_responses(beside_java, case):
    def ask(server):
        session = Session(server.port)
        response = digest.answer(digest.begin(session), *ALICE)
        return told(session, CASES[case](response))

    java, ours = beside_java(ask)
    if case == "a service in capitals":
        # It is hashed as it is written, so that nobody could have meant it.
        assert java == ours == [(AUTH_FAILED, None), "closed"]
    elif case in ACCEPTED:
        assert java[-1] == ours[-1] == "open" and java[0][0] == ours[0][0] == 0
    else:
        assert java == ours == (["closed without a word"] if case in SILENT else [(AUTH_FAILED, None), "closed"])


def test_acting_as_another_is_being_oneself(beside_java):
    """Whom a client wants to be is hashed, and then overlooked: nobody gets another's rights."""
    def ask(server):
        session = Session(server.port)
        err, _ = digest.log_in(session, *ALICE, acts_as="admin")
        return err, identities(session)

    java, ours = beside_java(ask)
    assert java == ours == (0, [("ip", "127.0.0.1"), ("sasl", "alice")])


def test_replays(beside_java):
    def ask(server):
        session = Session(server.port)
        response = digest.answer(digest.begin(session), *ALICE)
        story = [digest.send(session, response)[0], told(session, response)]
        again = Session(server.port)
        digest.begin(again)
        story.append(told(again, response))
        twice = Session(server.port)
        digest.log_in(twice, *ALICE)
        return [*story, told(twice, b"")]

    java, ours = beside_java(ask)
    refused = [(AUTH_FAILED, None), "closed"]
    assert java == ours == [0, refused, refused, refused]


def test_a_first_token_is_not_looked_at(beside_java):
    def ask(server):
        session = Session(server.port)
        err, challenge = digest.send(session, b"tok")
        return err, masked(challenge), digest.send(session, digest.answer(challenge, *ALICE))[0]

    java, ours = beside_java(ask)
    assert java == ours
    assert ours[2] == 0


def test_null_tokens_end_the_connection(beside_java):
    def ask(server):
        session = Session(server.port)
        session.submit(wire.SASL, Writer().buffer(None).bytes)
        return session.reply()

    assert beside_java(ask) == [None, None]


def test_access_lists(beside_java):
    def ask(server):
        alice, nobody, root, boss = (Session(server.port) for _ in range(4))
        digest.log_in(alice, *ALICE)
        digest.log_in(boss, "admin", USERS["admin"])
        digest.log_in(root, "super", USERS["super"])
        mine = ((31, "sasl", "alice"),)
        story = [alice.create("/a", acl=mine).err]
        for path, acl in (("/b", ((31, "auth", ""),)), ("/c", ((31, "sasl", "a/b/c@R"),)), ("/d", ((31, "sasl", ""),))):
            story.append(alice.create(path, acl=acl).err)
        reader = alice.call(wire.GET_ACL, Writer().ustring("/b").bytes).reader()
        story.append(reader.vector(reader.acl))
        get = Writer().ustring("/a").boolean(False).bytes
        story += [each.call(wire.GET_DATA, get).err for each in (alice, nobody, root, boss)]
        story += [nobody.create("/e", acl=((31, "auth", ""),)).err, nobody.auth("sasl", "alice:in wonderland").err]
        return [*story, identities(boss), identities(root)]

    java, ours = beside_java(ask)
    assert java == ours
    assert ours[:5] == [0, 0, INVALID_ACL, 0, [(31, "sasl", "alice")]]
    # Who is `super` matches each entry of this scheme, and the super user by name passes all.
    assert ours[5:11] == [0, NO_AUTH, 0, 0, INVALID_ACL, AUTH_FAILED]
    assert ("super", "") in ours[11] and ("super", "") not in ours[12]


def test_there_may_be_several_super_users(beside_java):
    """Each key that begins so names one."""
    def ask(server):
        owner, others = Session(server.port), [Session(server.port) for _ in USERS]
        assert owner.create("/closed", acl=((0, "world", "anyone"),)).err == 0
        for session, user in zip(others, USERS):
            digest.log_in(session, user, USERS[user])
        get = Writer().ustring("/closed").boolean(False).bytes
        return {user: session.call(wire.GET_DATA, get).err for session, user in zip(others, USERS)}

    java, ours = beside_java(ask, **{"superUser.2": "alice"})
    assert java == ours
    assert (ours["admin"], ours["alice"], ours["née€"]) == (0, 0, NO_AUTH)


def test_the_password_of_super_may_stand_in_the_configuration(beside_java):
    def ask(server):
        return [
            digest.log_in(Session(server.port), "super", password)[0] for password in ("property", USERS["super"])]

    assert beside_java(ask, **{SUPER_PASSWORD: "property"}) == [[0, AUTH_FAILED]] * 2


def test_clients_that_fail_may_stay(beside_java):
    def ask(server):
        session = Session(server.port)
        story = [digest.log_in(session, "alice", "guess"), identities(session), session.create("/stays").err]
        # One connection has one exchange all the same.
        return [*story, digest.send(session, b""), digest.send(session, b"")]

    java, ours = beside_java(ask, allowSaslFailedClients="true")
    assert java == ours == [(0, None), [("ip", "127.0.0.1")], 0, (0, None), (0, None)]


@pytest.mark.parametrize("properties", [
    {"sessionRequireClientSASLAuth": "true", "allowSaslFailedClients": "true"},
    {"enforce.auth.enabled": "true", "enforce.auth.schemes": "sasl"}], ids=["required", "enforced"])
def test_clients_that_must_authenticate(beside_java, properties):
    def ask(server):
        early, wrong, right = (Session(server.port) for _ in range(3))
        reply = early.call(wire.GET_DATA, Writer().ustring("/").boolean(False).bytes)
        story = [(reply.err, reply.zxid, reply.body, early.frame())]
        story.append(told(wrong, b"") if wrong.auth("digest", "a:b").err else "authenticated otherwise")
        story.append(told(wrong, digest.answer(digest.begin(wrong), "alice", "guess")))
        digest.log_in(right, *ALICE)
        return [*story, right.create("/in").err, right.call(wire.PING, xid=wire.PING_XID).err]

    java, ours = beside_java(ask, **properties)
    assert java == ours
    assert ours == [
        (REQUIRE_AUTH, 0, b"", None), "authenticated otherwise", [(REQUIRE_AUTH, None), "closed"], 0, 0]


@pytest.mark.parametrize("properties, key", [
    ({"sessionRequireClientSASLAuth": "true", "allowSaslFailedClients": "true"}, "sessionRequireClientSASLAuth"),
    ({"enforce.auth.enabled": "true", "enforce.auth.schemes": "sasl,digest"}, "enforce.auth.schemes")], ids=["required", "enforced"])
def test_whoever_must_authenticate_is_told_of_with_the_key(kind, tmp_path, properties, key):
    if kind != "zabd":
        pytest.skip("Java says no more than that a client is closed")
    with with_users(kind, tmp_path / "server", **properties) as server:
        early, wrong = Session(server.port), Session(server.port)
        assert early.call(wire.GET_DATA, Writer().ustring("/").boolean(False).bytes).err == REQUIRE_AUTH
        digest.send(wrong, digest.answer(digest.begin(wrong), "alice", "guess"))
        said = f"it asks before it has authenticated, as {key} demands; hint: let it log in by SASL (the section `Client` of its JAAS file)"
        eventually(lambda: said in server.log_text() and "due to SASL authentication failure" in server.log_text(), what=server.log_text)
        has_failed = ", as sessionRequireClientSASLAuth keeps nobody who has failed" in server.log_text()
        assert has_failed == ("allowSaslFailedClients" in properties)


def test_refusals_are_told_and_counted(kind, tmp_path):
    """One line for each, with who and why, and no password in it."""
    with with_users(kind, tmp_path / "server") as server:
        for user, password in (("alice", "guess"), ("nobody", "guess"), ALICE):
            session = Session(server.port)
            response = digest.answer(digest.begin(session), user, password)
            digest.send(session, response)
        digest.send(session, response)
        session = Session(server.port)
        digest.begin(session)
        digest.send(session, response[:60])
        address = session.socket.getsockname()
        found = figures(server.port)
        eventually(lambda: server.log_text().count("failed to SASL authenticate") == 4)
        log = server.log_text()
    assert (found["zabd_sasl_authenticated"], found["zabd_sasl_refused"]) == ("1", "4")
    reasons = [line.split("failed to SASL authenticate: ")[1] for line in log.splitlines() if "failed to SASL" in line]
    assert [reason.split(":")[0] for reason in reasons] == [
        "the password of user `alice` is wrong", "there is no user `nobody`", "a token comes out of turn",
        "the token is malformed or cut short"]
    assert f"Client /127.0.0.1:{address[1]} failed to SASL authenticate: the token is malformed" in log
    assert "Session 0x" in log and "adding SASL authorization for authorizationID: alice" in log
    assert "guess" not in log and USERS["alice"] not in log


def test_whoever_is_refused_again_and_again_is_told_of_once(kind, tmp_path):
    """Each is counted; a log of guesses drowns what else is in it."""
    if kind != "zabd":
        pytest.skip("Java tells each of them")
    with with_users(kind, tmp_path / "server") as server:
        for _ in range(20):
            session = Session(server.port)
            digest.send(session, digest.answer(digest.begin(session), "alice", "guess"))
        assert figures(server.port)["zabd_sasl_refused"] == "20"
        eventually(lambda: "due to SASL authentication failure" in server.log_text())
        assert server.log_text().count("SASL authenticat") == 2


def test_without_a_section_nobody_logs_in(kind, tmp_path):
    """As Java: the section is not there, so nobody logs in, and the token is null."""
    with with_users(kind, tmp_path / "server", **{"sasl.serverconfig": "Elsewhere"}) as server:
        session = Session(server.port)
        assert digest.send(session, b"") == (0, None)
        eventually(lambda: "has no section `Elsewhere`: clients cannot authenticate by SASL" in server.log_text())


def test_a_section_that_is_missing_where_sasl_is_served_is_a_warning(tmp_path):
    (tmp_path / "jaas.conf").write_text("Sever { org.apache.zookeeper.server.auth.DigestLoginModule required; };")
    properties = {"authProvider.sasl": PROVIDER, "java.security.auth.login.config": tmp_path / "jaas.conf"}
    with Server("zabd", tmp_path / "server", properties=properties) as server:
        eventually(lambda: re.search(r"WARN .* has no section `Server`: clients cannot authenticate by SASL", server.log_text()))


def test_where_nobody_may_log_in_nobody_comes_in(kind, tmp_path):
    """A server that demands it and has been told of no users starts all the same, as Java's, and refuses whoever comes."""
    stories = []
    for each in ("java395", kind):
        with Server(each, tmp_path / each, properties={"authProvider.1": PROVIDER, "sessionRequireClientSASLAuth": "true"}) as server:
            early, wrong = Session(server.port), Session(server.port)
            reply = early.create("/never")
            stories.append([reply.err, early.frame(), told(wrong, b"")])
    java, ours = stories
    assert java == ours
    assert ours[:2] == [REQUIRE_AUTH, None]


def test_a_login_waits_for_no_request(kind, tmp_path):
    """ZOOKEEPER-2785: the one place for requests is taken by a write that the disk does not finish, and another waits in line."""
    if kind != "zabd":
        pytest.skip("the disk is one between zabd and the C library")
    library, order = tmp_path / "faulty_disk.so", tmp_path / "order"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, places.TESTS / "operations" / "faulty_disk.c", "-ldl"], check=True)
    server = with_users(kind, tmp_path / "server", globalOutstandingLimit=1, request_throttle_max_requests=1)
    server.environment = {"LD_PRELOAD": library, "FAULTY_DISK": order}
    with server:
        busy, waiting, newcomer = (Session(server.port) for _ in range(3))
        order.write_text("stuck log.")
        for session, path in ((busy, "/busy"), (waiting, "/waiting")):
            session.submit(wire.CREATE, wire.create_body(path))
        eventually(lambda: float(figures(server.port)["request_throttle_wait_count"]) > 0, what="somebody in line")
        assert digest.log_in(newcomer, *ALICE)[0] == 0
        assert busy.is_quiet() and waiting.is_quiet(), "they are still in front of it"
        order.unlink()
        assert [session.reply().err for session in (busy, waiting)] == [0, 0]


def test_who_logs_in_is_not_throttled(kind, tmp_path):
    """Requests of others wait for each other, and a login beside them is answered."""
    server = with_users(kind, tmp_path / "server", globalOutstandingLimit=1, **{"request_throttle_max_requests": 1}).start()
    try:
        busy = Session(server.port)
        for number in range(2000):
            busy.submit(wire.CREATE, wire.create_body(f"/busy-{number}"))
        for _ in range(3):
            session = Session(server.port)
            assert digest.log_in(session, *ALICE)[0] == 0
            assert ("sasl", "alice") in identities(session)
            session.close()
        assert [busy.reply().err for _ in range(2000)] == [0] * 2000
    finally:
        server.kill()
