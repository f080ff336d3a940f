"""Who a connection is, what access lists allow, and which lists may be set."""

import base64
import hashlib
import re

import pytest

from harness import wire
from harness.java_order import in_java_order
from harness.servers import SUPER_AUTH, ServerFailed
from harness.waiting import eventually
from harness.wire import Writer

from .client import (
    ADMIN, ALL, AUTH_FAILED, BAD_ARGUMENTS, CREATE, DELETE, INVALID_ACL, MARSHALLING, NO_AUTH, OK, OPEN, READ, REQUIRE_AUTH, WRITE,
    multi_results)

DIGEST = "alice:aYXlLOpEooaV1cRAvUL1fp9Qt7E="
IPV4, IPV6 = "127.0.0.1", "::1"


def identities(client):
    reader = client.call(wire.WHO_AM_I).reader()
    return reader.vector(lambda: (reader.ustring(), reader.ustring()))


def test_each_right_is_a_right_of_its_own(client, home):
    for perms in (READ, WRITE, CREATE, DELETE, ADMIN):
        path = f"{home}/{perms}"
        client.create(path)
        client.create(f"{path}/child")
        assert client.set_acl(path, ((perms, "world", "anyone"),)).err == OK
        allowed = {
            READ: client.get(path), WRITE: client.set(path, b""), CREATE: client.create(f"{path}/other"),
            DELETE: client.delete(f"{path}/child"), ADMIN: client.set_acl(path, ((perms, "world", "anyone"),))}
        assert {right for right, reply in allowed.items() if reply.err == OK} == {perms}
        assert {reply.err for right, reply in allowed.items() if right != perms} == {NO_AUTH}
    assert client.get(f"{home}/{READ}").err == OK  # A right of the parent is none of the child's, nor the other way.


def test_the_root_is_open_until_somebody_closes_it(house_of):
    house = house_of()
    owner, guest = house.client(), house.client()
    assert owner.auth("digest", "alice:secret").err == OK
    assert guest.create("/before").err == OK
    assert owner.set_acl("/", ((ALL, "auth", ""), (READ, "world", "anyone"))).err == OK
    assert guest.names("/") == ["before", "zookeeper"]
    refused = [guest.create("/after"), guest.set("/", b""), guest.delete("/before"), guest.set_acl("/", OPEN)]
    assert [reply.err for reply in refused] == [NO_AUTH] * 4
    assert [reply.err for reply in (owner.create("/after"), owner.set("/", b""), owner.delete("/before"))] == [OK] * 3
    assert guest.create("/after/child").err == OK, "the root's list is no list of what is below"


@pytest.mark.parametrize("perms", [0, -1, 32, 64 + READ])
def test_other_bits_are_kept_and_mean_nothing(client, home, perms):
    assert client.create(f"{home}/odd", acl=((perms, "world", "anyone"), (ADMIN, "world", "anyone"))).err == OK
    assert client.acl_of(f"{home}/odd")[0] == (perms, "world", "anyone")
    assert client.get(f"{home}/odd").err == (OK if perms & READ else NO_AUTH)


# Lists with one entry, by what becomes of it.
VALID = [
    ("world", "anyone"), ("digest", "a:b"), ("digest", ":b"), ("digest", "a:b:"), ("digest", " : "), ("ip", "10.0.0.1"),
    ("ip", "10.0.0.1/8"), ("ip", "10.0.0.1/0"), ("ip", "10.0.0.1/32"), ("ip", "::1"), ("ip", "2001:db8::/32"), ("ip", "::/128"),
    ("ip", "1:2:3:4:5:6:7:8")]
INVALID = [
    ("world", "someone"), ("world", ""), ("digest", "nocolon"), ("digest", "a:"), ("digest", ":"), ("digest", ""), ("digest", "a:b:c"),
    ("auth", ""), ("auth", "anything"), ("super", ""), ("super", "x"), ("sasl", "me"), ("x509", "CN=me"), ("nope", "x"), ("", ""),
    (None, "x"), ("ip", ""), ("ip", "10.0.0"), ("ip", "10.0.0.256"), ("ip", "10.0.0.1/33"), ("ip", "10.0.0.1/-1"), ("ip", "10.0.0.1/"),
    ("ip", "10.0.0.1/8/8"), ("ip", "somewhere"), ("ip", "1:2:3"), ("ip", "::1/129"), ("ip", "1::2::3")]


@pytest.mark.parametrize("entry", VALID, ids=str)
def test_lists_that_may_be_set(client, home, entry):
    assert client.create(f"{home}/a", acl=((ALL, *entry), (ALL, "world", "anyone"))).err == OK
    assert (ALL, *entry) in client.acl_of(f"{home}/a")
    assert client.set_acl(home, ((ALL, *entry), *OPEN)).err == OK


@pytest.mark.parametrize("entry", INVALID, ids=str)
def test_lists_that_may_not_be_set(client, home, entry):
    for acl in ([(ALL, *entry)], [(ALL, *entry), *OPEN]):
        assert client.create(f"{home}/a", acl=acl).err == INVALID_ACL
        assert client.set_acl(home, acl).err == INVALID_ACL


def test_lists_without_entries_may_not_be_set(client, home):
    for null in (False, True):
        writer = Writer().ustring(f"{home}/a").buffer(b"").int(-1 if null else 0).int(0)
        assert client.call(wire.CREATE, writer.bytes).err == INVALID_ACL
    assert client.set_acl(home, ()).err == INVALID_ACL
    assert client.create(f"{home}/a", acl=((ALL, "world", None),)).err == MARSHALLING


def test_repeated_entries_are_kept_once_and_in_order(client, home):
    acl = ((READ, "ip", "10.0.0.1"), OPEN[0], (READ, "ip", "10.0.0.1"), (WRITE, "ip", "10.0.0.1"), OPEN[0])
    client.create(f"{home}/a", acl=acl)
    assert client.acl_of(f"{home}/a") == [acl[0], acl[1], acl[3]]


def test_auth_stands_for_everything_that_was_proved(client, home):
    assert client.set_acl(home, ((ALL, "auth", ""),)).err == INVALID_ACL  # An address proves nothing.
    for name in ("alice:secret", "bob:builder"):
        assert client.auth("digest", name).err == OK
    client.create(f"{home}/a", acl=((READ, "auth", "ignored"), (ADMIN, "world", "anyone")))
    listed = client.acl_of(f"{home}/a")
    assert listed[:2] == [(READ, "digest", DIGEST), (READ, "digest", "bob:" + digest_of("bob:builder"))]
    assert listed[2:] == [(ADMIN, "world", "anyone")]


def test_a_list_that_no_record_could_hold_is_a_bad_argument(client, home, only_zabd):
    """`auth` makes a short request a long list."""
    client.auth("digest", "x" * 250_000)
    acl = [(perms, "auth", "") for perms in range(1, 10)]
    assert client.create(f"{home}/a", acl=acl).err == client.set_acl(home, acl).err == BAD_ARGUMENTS
    assert multi_results(client.multi([(wire.CREATE, wire.create_body(f"{home}/a", acl=acl))])) == [(-1, BAD_ARGUMENTS)]
    assert client.create(f"{home}/a", acl=acl[:1]).err == OK


def test_identities_stand_in_the_order_of_javas_table(client, home):
    """In whoAmI and in what becomes of `auth`, while the table is small and when it has grown."""
    proved = [("ip", IPV4)]
    for number in range(30):
        text = f"user-{number}:secret"
        assert client.auth("digest", text).err == OK
        proved.append(("digest", f"user-{number}:{digest_of(text)}"))
        if len(proved) in (2, 5, 11, 12, 20, 31):
            ordered = in_java_order(proved)
            assert identities(client) == [(scheme, name.split(":")[0]) for scheme, name in ordered]
            client.create(f"{home}/{number}", acl=((ALL, "auth", ""),))
            assert client.acl_of(f"{home}/{number}") == [(ALL, *each) for each in ordered if each[0] == "digest"]


@pytest.mark.parametrize("before, after, answer", [(OPEN, ((READ, "world", "anyone"),), NO_AUTH), (((READ | ADMIN, "world", "anyone"),), OPEN, OK)])
def test_a_changed_list_counts_for_what_stands_behind_it(client, home, only_zabd, before, after, answer):
    """Also before it is on the disk: Java judges by the list that was there before until then, whatever the client does."""
    client.create(f"{home}/a", acl=before)
    client.submit(wire.SET_ACL, Writer().ustring(f"{home}/a").acl(after).int(-1).bytes)
    client.submit(wire.SET_DATA, Writer().ustring(f"{home}/a").buffer(b"").int(-1).bytes)
    assert [client.reply().err, client.reply().err] == [OK, answer]


def test_a_connection_has_so_many_identities(client, only_zabd):
    for name in ("a", "b"):
        reply = client.auth("digest", name + "x" * 150_000)
    assert reply.err == AUTH_FAILED
    assert client.is_closed()


def digest_of(text, algorithm="sha1"):
    return base64.b64encode(hashlib.new(algorithm, text.encode()).digest()).decode()


def test_identities_add_up_and_belong_to_the_connection(house, client):
    assert identities(client) == [("ip", IPV4)]
    for _ in range(2):
        reply = client.auth("digest", "alice:secret")
        assert (reply.err, reply.zxid, reply.body) == (OK, 0, b"")
        assert client.auth("ip", "").err == OK
    assert identities(client) == [("digest", "alice"), ("ip", IPV4)]
    again = house.client(session_id=client.session_id, password=client.password)
    assert identities(again) == [("ip", IPV4)]


@pytest.mark.parametrize("text, user", [("alice:secret", "alice"), ("a:b:c", "a"), ("nocolon", "nocolon"), (":pw", ""), ("ü:日本", "ü")])
def test_a_digest_is_the_user_and_the_hash_of_the_text(client, home, text, user):
    assert client.auth("digest", text).err == OK
    client.create(f"{home}/a", acl=((ALL, "auth", ""),))
    assert client.acl_of(f"{home}/a") == [(ALL, "digest", f"{user}:{digest_of(text)}")]
    assert ("digest", user) in identities(client)


def test_only_the_right_password_opens(client, other, home):
    client.create(f"{home}/a", acl=((ALL, "digest", DIGEST),))
    other.auth("digest", "alice:wrong")
    assert other.get(f"{home}/a").err == NO_AUTH
    other.auth("digest", "alice:secret")
    assert other.get(f"{home}/a").err == OK


@pytest.mark.parametrize("scheme", ["nope", "", None, "sasl", "super", "world", "x509", "ensemble"])
def test_unknown_schemes_close_the_connection(client, scheme):
    reply = client.call(wire.AUTH, Writer().int(0).ustring(scheme).buffer(b"x").bytes, wire.AUTH_XID)
    assert (reply.err, reply.zxid, reply.body) == (AUTH_FAILED, 0, b"")
    assert client.is_closed()


def test_a_digest_without_a_text_closes_the_connection(client):
    assert client.call(wire.AUTH, Writer().int(0).ustring("digest").buffer(None).bytes, wire.AUTH_XID).err == AUTH_FAILED
    assert client.is_closed()


def test_half_an_auth_packet_closes_the_connection_without_a_byte(client):
    client.submit(wire.AUTH, b"\0\0\0\0\0\0\0\6dig", wire.AUTH_XID)
    assert client.is_closed()


def test_the_super_user_may_do_everything(client, other, home):
    client.create(f"{home}/a", acl=((0, "digest", "nobody:x"),))
    client.create(f"{home}/b", acl=((0, "digest", "nobody:x"),))
    other.auth(*SUPER_AUTH)
    assert identities(other) == [("super", ""), ("ip", IPV4), ("digest", "super")]
    for reply in (
        other.get(f"{home}/a"), other.set(f"{home}/a", b""), other.create(f"{home}/a/b"), other.delete(f"{home}/a/b"),
        other.get_acl(f"{home}/a"), other.set_acl(f"{home}/a", OPEN), other.set("/zookeeper/config", b""),
    ):
        assert reply.err == OK
    other.create(f"{home}/c", acl=((ALL, "auth", ""),))
    assert other.acl_of(f"{home}/c") == [(ALL, "digest", "super:D/InIHSb7yEEbrWz8b9l71RjZJU=")]


@pytest.mark.parametrize("network, matches", [
    ("127.0.0.1", True), ("127.0.0.2", False), ("127.0.0.2/8", True), ("127.0.0.2/30", True), ("127.0.0.2/31", False), ("1.2.3.4/0", True),
    ("::/0", False), ("::1", False), ("::ffff:7f00:1", False)])
def test_an_address_is_matched_by_its_first_bits(client, home, network, matches):
    client.create(f"{home}/a", acl=((READ, "ip", network),))
    assert client.get(f"{home}/a").err == (OK if matches else NO_AUTH)


def test_hashes_are_shown_to_administrators_only(client, other, home):
    acl = ((READ, "world", "anyone"), (ALL, "digest", DIGEST), (READ, "ip", "10.0.0.1"))
    client.create(f"{home}/a", acl=acl)
    assert other.acl_of(f"{home}/a") == [acl[0], (ALL, "digest", "alice:x"), acl[2]]
    other.auth("digest", "alice:secret")
    assert other.acl_of(f"{home}/a") == list(acl)


@pytest.mark.parametrize("value, skipped", [("yes", True), ("Yes", False), ("true", False), ("no", False)])
def test_checks_are_skipped_by_one_word_only(house_of, value, skipped):
    client = house_of(properties={"skipACL": value}).client()
    client.create("/a", acl=((0, "digest", "nobody:x"),))
    assert client.get("/a").err == (OK if skipped else NO_AUTH)
    assert client.set("/zookeeper/config", b"").err == (OK if skipped else NO_AUTH)


def test_digest_may_be_switched_off(house_of):
    client = house_of(properties={"DigestAuthenticationProvider.enabled": "false"}).client()
    assert client.create("/a", acl=((ALL, "digest", "a:b"),)).err == INVALID_ACL
    assert client.auth("digest", "a:b").err == AUTH_FAILED
    assert client.is_closed()


@pytest.mark.parametrize("algorithm, python", [("MD5", "md5"), ("SHA-256", "sha256"), ("SHA-512", "sha512"), ("sha3-256", "sha3_256")])
def test_digest_may_have_another_algorithm(house_of, algorithm, python):
    client = house_of(properties={"DigestAuthenticationProvider.digestAlg": algorithm}).client()
    client.auth("digest", "alice:secret")
    client.create("/a", acl=((ALL, "auth", ""),))
    assert client.acl_of("/a") == [(ALL, "digest", f"alice:{digest_of('alice:secret', python)}")]


ENFORCED = {"enforce.auth.enabled": "true", "enforce.auth.schemes": "digest"}


def test_authentication_may_be_demanded(house_of):
    house = house_of(properties=ENFORCED)
    for opcode in (wire.PING, wire.GET_DATA, wire.CREATE, wire.CLOSE_SESSION, 999):
        stranger = house.client()
        reply = stranger.call(opcode, bytes(4), 5)
        assert (reply.err, reply.zxid, reply.body) == (REQUIRE_AUTH, 0, b"")
        assert stranger.is_closed()
    client = house.client(session_id=stranger.session_id, password=stranger.password)
    assert client.session_id == stranger.session_id  # The session itself lives on.
    assert client.auth("digest", "a:b").err == OK
    assert client.create("/a").err == OK


@pytest.mark.parametrize("schemes", [None, "nope", "Digest", "x509", "ensemble", ",", "digest,,ip", ",digest", " "])
def test_what_cannot_be_demanded_is_refused_at_start(house_of, kind, schemes):
    properties = {"enforce.auth.enabled": "true", **({"enforce.auth.schemes": schemes} if schemes else {})}
    with pytest.raises(ServerFailed):
        house_of(properties=properties)


def ensemble(house, name):
    client = house.client()
    client.submit(wire.AUTH, Writer().int(0).ustring("ensemble").buffer(name).bytes, wire.AUTH_XID)
    reply = client.reply()
    return (reply.err, identities(client)) if reply else None


def test_a_client_may_name_its_ensemble(house_of):
    house = house_of(properties={
        "authProvider.1": "org.apache.zookeeper.server.auth.EnsembleAuthenticationProvider", "ensembleAuthName": "left,right"})
    ok = (OK, [("ip", IPV4)])
    assert ensemble(house, b"left") == ensemble(house, b"right") == ensemble(house, b"") == ok
    assert ensemble(house, b"up") is None
    figures = house.figures()
    assert [figures[f"ensemble_auth_{name}"] for name in ("success", "fail", "skip")] == ["2", "1", "1"]


@pytest.mark.parametrize("names, known, unknown", [
    ("", [], [b"a", b" "]),
    (",", [], [b"a", b","]),
    (" left ,Right", [b"left", b"Right"], [b" left ", b"right", b"left,Right", b"Left"]),
    (None, [b"a", b" "], []),
], ids=["empty", "comma", "spaces", "unset"])
def test_an_ensemble_is_called_as_it_is_written(house_of, names, known, unknown):
    """A key that is there and names nobody lets nobody in who names an ensemble; only one that is not there lets in everybody."""
    properties = {"authProvider.1": "org.apache.zookeeper.server.auth.EnsembleAuthenticationProvider"}
    house = house_of(properties=properties, config={} if names is None else {"ensembleAuthName": names})
    for name in (*known, b"", None):
        assert ensemble(house, name) == (OK, [("ip", IPV4)]), name
    for name in unknown:
        assert ensemble(house, name) is None, name
    figures = house.figures()
    counted = [figures[f"ensemble_auth_{name}"] for name in ("success", "fail", "skip")]
    compared = 0 if names is None else len(known)
    assert counted == [str(compared), str(len(unknown)), str(2 + len(known) - compared)]


def test_authentication_is_logged_without_its_secrets(house_of):
    house = house_of()
    client = house.client()
    client.auth("digest", "carol:very-secret")
    said = f"Session 0x{client.session_id:x}: auth success for scheme digest and address /127.0.0.1:"
    eventually(lambda: said in house.log())
    client.call(wire.AUTH, Writer().int(0).ustring("nope").buffer(b"very-secret").bytes, wire.AUTH_XID)
    eventually(lambda: "No authentication provider for scheme: nope" in house.log())
    assert not re.search("very-secret|" + re.escape(digest_of("carol:very-secret")), house.log())


@pytest.mark.parametrize("turned", [False, True], ids=["null-first", "null-last"])
def test_of_a_null_and_another_fault_either_is_named(client, home, kind, turned):
    """Each by itself is named the same."""
    acl = ((ALL, None, "x"), (ALL, "nope", "x"))
    assert client.create(f"{home}/none", acl=acl[:1]).err == client.create(f"{home}/none", acl=acl[1:]).err == INVALID_ACL
    err = client.create(f"{home}/none", acl=acl[::-1] if turned else acl).err
    assert err == (MARSHALLING if turned and kind != "zabd" else INVALID_ACL)
