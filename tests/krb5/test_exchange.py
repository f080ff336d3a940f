"""Exchanges with a server, packet by packet: zabd answers each as Java does, and says why it refuses one."""

import time

import pytest

from harness import wire
from harness.observing import figures
from harness.waiting import eventually
from harness.wire import Closed, Session
from sasl.digest import send
from sasl.test_exchange import identities

from . import gssapi
from .gssapi import Client, choice, log_in, offered
from .kdc import REALM

AUTH_FAILED = -115
OLD_SECONDS = 2


def told(session, *tokens):
    """What is answered to each token, until the server closes; how the connection is then."""
    story = []
    for token in tokens:
        try:
            err, received = send(session, token)
        except Closed:
            return [*story, "closed without a word"]
        story.append((err, received))
    story.append("open" if session.is_quiet() else "closed")
    session.close()
    return story


REFUSED = [(AUTH_FAILED, None), "closed"]


@pytest.mark.parametrize("acts_as", [b"", f"alice@{REALM}".encode(), b"admin", b"\xff"])
def test_who_has_a_ticket(beside_java, as_principal, acts_as):
    """Whom a client wants to be is overlooked: nobody gets another's rights."""
    as_principal("alice")

    def ask(server):
        session = Session(server.port)
        client, offer = offered(session)
        last = send(session, client.wrap(choice(name=acts_as)))
        return [offer, last, identities(session), *told(session)]

    java, ours = beside_java(ask)
    assert java == ours == [b"\x01\x01\x00\x00", (0, None), [("ip", "127.0.0.1"), ("sasl", f"alice@{REALM}")], "open"]


def test_the_super_user(beside_java, as_principal):
    as_principal("admin")

    def ask(server):
        session = Session(server.port)
        assert log_in(session) == (0, None)
        return identities(session)

    java, ours = beside_java(ask)
    assert java == ours == [("ip", "127.0.0.1"), ("sasl", f"admin@{REALM}"), ("super", "")]


def test_without_a_proof_of_the_server_the_offer_comes_at_once(beside_java, as_principal):
    as_principal("alice")

    def ask(server):
        session = Session(server.port)
        client = Client(flags=0)
        err, offer = send(session, client.step())
        return [err, client.unwrap(offer), send(session, client.wrap(choice())), identities(session)]

    java, ours = beside_java(ask)
    assert java == ours == [0, b"\x01\x01\x00\x00", (0, None), [("ip", "127.0.0.1"), ("sasl", f"alice@{REALM}")]]


FIRST = {
    "nothing": lambda token: b"",
    "one byte": lambda token: token[:1],
    "half": lambda token: token[:len(token) // 2],
    "all but a byte": lambda token: token[:-1],
    "changed": lambda token: token[:-20] + bytes([token[-20] ^ 1]) + token[-19:],
    "noise": lambda token: b"\x60\x81\x00" + bytes(100),
}


@pytest.mark.parametrize("case", FIRST)
def test_first_tokens_that_are_refused(beside_java, as_principal, case):
    as_principal("alice")

    def ask(server):
        token = Client().step()
        return told(Session(server.port), FIRST[case](token))

    java, ours = beside_java(ask)
    assert java == ours == REFUSED


@pytest.mark.parametrize("length", [1, 100_000])
def test_something_behind_a_token(beside_java, as_principal, length):
    """Java overlooks it, as long as it may be; MIT's library takes the token for damaged."""
    as_principal("alice")
    java, ours = beside_java(lambda server: told(Session(server.port), Client().step() + bytes(length)))
    assert java[0][0] == 0 and java[1] == "open" and ours == REFUSED


LAST = {
    "not wrapped": lambda client: choice(),
    "integrity": lambda client: client.wrap(choice(layer=2)),
    "privacy": lambda client: client.wrap(choice(layer=4)),
    "no layer at all": lambda client: client.wrap(choice(layer=0)),
    "cut": lambda client: client.wrap(choice())[:-1],
    "nothing": lambda client: b"",
}


@pytest.mark.parametrize("case", LAST)
def test_last_tokens_that_are_refused(beside_java, as_principal, case):
    as_principal("alice")

    def ask(server):
        session = Session(server.port)
        client, _ = offered(session)
        return told(session, LAST[case](client))

    java, ours = beside_java(ask)
    assert java == ours == REFUSED


def test_something_where_nothing_is_due(beside_java, as_principal):
    as_principal("alice")

    def ask(server):
        session = Session(server.port)
        err, _ = send(session, Client().step())
        return [err, *told(session, b"x")]

    java, ours = beside_java(ask)
    assert java == ours == [0, *REFUSED]


def test_behind_the_end_nothing_is_taken(beside_java, as_principal):
    as_principal("alice")

    def ask(server):
        session = Session(server.port)
        assert log_in(session) == (0, None)
        return told(session, Client().step())

    java, ours = beside_java(ask)
    assert java == ours == REFUSED


def test_a_replay_is_refused(beside_java, as_principal):
    """A first token is good once, on whichever connection."""
    as_principal("alice")

    def ask(server):
        client = Client()
        token = client.step()
        first = Session(server.port)
        story = [send(first, token)[0]]
        return [*story, *told(Session(server.port), token)]

    java, ours = beside_java(ask)
    assert java == ours == [0, *REFUSED]


def test_a_ticket_for_another_service(beside_java, as_principal):
    as_principal("alice")
    java, ours = beside_java(lambda server: told(Session(server.port), Client("imap@localhost").step()))
    assert java == ours == REFUSED


def test_an_old_token_and_an_expired_ticket(beside_java, realm, as_principal):
    """Both clocks are one, so that time is what goes on: for longer than the ticket lasts and clocks may differ."""
    configuration = realm.configuration("narrow.conf", clockskew=1)
    as_principal("alice", "-l", f"{OLD_SECONDS}s")
    token = Client().step()
    expires = time.time() + OLD_SECONDS + 2

    def ask(server):
        eventually(lambda: time.time() > expires)
        return told(Session(server.port), token)

    java, ours = beside_java(ask, krb5_conf=configuration)
    assert java == ours == REFUSED


@pytest.mark.parametrize("properties, alice, worker", [
    ({}, f"alice@{REALM}", f"worker/host.example.org@{REALM}"),
    ({"kerberos.removeHostFromPrincipal": "true"}, f"alice@{REALM}", f"worker@{REALM}"),
    ({"kerberos.removeHostFromPrincipal": "true", "kerberos.removeRealmFromPrincipal": "true"}, "alice", "worker"),
    ({"security.auth_to_local": f"RULE:[2:$1-$2@$0](.*@{REALM})s/@.*// RULE:[1:$1]s/(.)lice/$1lbert/",
      "kerberos.removeHostFromPrincipal": "true", "kerberos.removeRealmFromPrincipal": "true"}, "albert", "worker-host.example.org")],
    ids=["whole", "no host", "no realm", "rules"])
def test_names(beside_java, as_principal, properties, alice, worker):
    def who(server):
        session = Session(server.port)
        assert log_in(session) == (0, None)
        return dict(identities(session))["sasl"]

    as_principal("alice")
    assert beside_java(who, **properties) == [alice, alice]
    as_principal("host")
    assert beside_java(who, **properties) == [worker, worker]


def test_whom_no_rule_knows_is_its_principal(beside_java, as_principal):
    """Java lets it be whoever it says: with rules that are not for everybody, anybody could be the super user."""
    as_principal("alice")

    def who(name):
        def ask(server):
            session = Session(server.port)
            assert log_in(session, name) == (0, None)
            return identities(session)
        return beside_java(ask, **{"security.auth_to_local": "RULE:[2:$1]"})

    alice = [("ip", "127.0.0.1"), ("sasl", f"alice@{REALM}")]
    assert who(b"") == who(f"alice@{REALM}".encode()) == [alice, alice]
    java, ours = who(f"admin@{REALM}".encode())
    assert java == [("ip", "127.0.0.1"), ("sasl", f"admin@{REALM}"), ("super", "")] and ours == alice


def test_clients_that_must_authenticate_and_those_that_may_fail(beside_java, as_principal):
    as_principal("alice")

    def ask(server):
        refused = told(Session(server.port), b"noise")
        session = Session(server.port)
        before = session.create("/early").err
        session = Session(server.port)
        return [refused, before, log_in(session), session.create("/late").err]

    java, ours = beside_java(ask, sessionRequireClientSASLAuth="true", allowSaslFailedClients="true")
    assert java == ours == [[(-124, None), "closed"], -124, (0, None), 0]
    java, ours = beside_java(lambda server: told(Session(server.port), b"noise", b"again"), allowSaslFailedClients="true")
    assert java == ours == [(0, None), (0, None), "open"]


def test_access_lists(beside_java, as_principal):
    def session_of(server, name=None):
        session = Session(server.port)
        if name:
            as_principal(name)
            assert log_in(session) == (0, None)
        return session

    def ask(server):
        alice = session_of(server, "alice")
        created = alice.create("/mine", acl=((31, "sasl", f"alice@{REALM}"),)).err
        get = wire.Writer().ustring("/mine").boolean(False).bytes
        return [created, *(session_of(server, name).call(wire.GET_DATA, get).err for name in ("alice", "host", None, "admin"))]

    java, ours = beside_java(ask)
    assert java == ours == [0, 0, -102, -102, 0]


def test_refusals_are_told_and_counted(beside_java, as_principal):
    """Address and reason; and who it was, as soon as that is known."""
    as_principal("alice")

    def ask(server):
        if server.kind != "zabd":
            return None
        before = {name: int(figures(server.port)[f"zabd_sasl_{name}"]) for name in ("authenticated", "refused")}
        replayed = Client().step()
        assert send(Session(server.port), replayed)[0] == 0
        told(Session(server.port), replayed)
        told(Session(server.port), Client("imap@localhost").step())
        told(Session(server.port), b"")
        session = Session(server.port)
        client, _ = offered(session)
        told(session, client.wrap(choice(layer=4)))
        assert log_in(Session(server.port)) == (0, None)
        after = {name: int(figures(server.port)[f"zabd_sasl_{name}"]) for name in before}
        assert after == {"authenticated": before["authenticated"] + 1, "refused": before["refused"] + 4}
        lines = [line for line in server.log_text().splitlines() if "failed to SASL authenticate" in line][-4:]
        reasons = ["Kerberos: Request is a replay", "imap/localhost", "it may want DIGEST-MD5", f"alice@{REALM}: it asks for the security layer 4"]
        assert all("/127.0.0.1:" in line and reason in line for line, reason in zip(lines, reasons)), lines
        return None

    # A server of its own: of one machine only so many reasons are told in a minute.
    beside_java(ask, preAllocSize=1024)


def test_tokens_one_behind_the_other(beside_java, as_principal):
    """What stands behind a token waits for it, and is answered in its turn."""
    as_principal("alice")

    def ask(server):
        session = Session(server.port)
        client = Client()
        token = client.step()
        for body in (token, b""):
            session.submit(wire.SASL, wire.Writer().buffer(body).bytes)
        session.submit(wire.WHO_AM_I)
        replies = [session.reply() for _ in range(3)]
        assert client.step(replies[0].reader().buffer()) == b""
        return [reply.err for reply in replies], client.unwrap(replies[1].reader().buffer())

    java, ours = beside_java(ask)
    assert java == ours == ([0, 0, 0], b"\x01\x01\x00\x00")
