"""Clients with TLS: who is let in, as whom, and what becomes of everybody else.

Every test holds for Java with Netty too, but those that say that they are of zabd.
"""

import contextlib
import datetime
import hashlib
import os
import shutil
import socket
import ssl
import struct
import subprocess

import pytest
from kazoo.client import KazooClient
from kazoo.security import make_acl

from harness import places
from harness.servers import ServerFailed, four_letter_bytes, free_port
from harness.waiting import eventually
from harness.wire import EXISTS, SET_DATA, Closed, Session, exactly

from .client import TlsSession
from .conftest import House

# How many handshakes there may be in so little memory, and more of those who begin none.
MEMORY, HANDSHAKES_MAX, CROWD = 96 << 20, 256, 300
ALICE = "CN=alice,O=Acme\\, Inc.,C=DE"
CLOSED = (ssl.SSLError, ConnectionError, Closed)


def test_a_client_is_who_its_certificate_says(shared):
    client = shared.client("alice")
    assert client.who_am_i() == [("x509", ALICE)]
    acl = [(31, "x509", ALICE)]
    assert client.create("/alice", b"mine", acl=acl).err == 0
    assert client.create("/mine", b"", acl=[(31, "auth", "")]).err == 0
    assert client.get("/alice") == (0, b"mine")
    assert shared.client("second").get("/alice") == (-102, None)
    assert Session(shared.server.port).call(4, b"\0\0\0\x06/alice\0").err == -102
    admin = shared.client("admin")
    assert ("x509", "CN=admin") in admin.who_am_i() and ("super", "") in admin.who_am_i()
    assert admin.get("/alice") == (0, b"mine")
    assert client.create("/nobody", acl=[(31, "x509", "no name at all")]).err == -114


NAMES = ["CN=a\\ ", "CN=\\ a\\ ,O=b", "cn = a ; OID.2.5.4.10=\"b, c\" \n", "1.2.3=#1300", "2.5.4.3=#0c810161", "CN=#30800000",
         "2.999.-0=x", "CN=a\\\\+nothing", "CN=é漢"]
OTHERS = ["CN=a\\", "3.1.2=x", "1.40=x", "1..2=x", "1.2.3=#13", "CN=#0c0261", "CN=#13008000", "CN=#1300 ", "CN=#0", "SN=x", "CN=a+", "CN=a\\zb"]


def test_access_lists_name_what_java_reads_as_a_name(shared):
    client = shared.client("admin")
    for number, name in enumerate([*NAMES, *OTHERS]):
        path = f"/named-{number}-{os.urandom(4).hex()}"
        assert client.create(path, acl=[(31, "x509", name)]).err == (0 if name in NAMES else -114), name


def test_a_packet_of_scheme_x509_is_believed_if_a_certificate_was_shown(shared):
    """Whatever it says; it makes nobody anybody else."""
    client = shared.client("alice")
    for credentials in ("", "CN=admin"):
        assert client.auth("x509", credentials).err == 0
        assert client.who_am_i() == [("x509", ALICE)]
    plain = Session(shared.server.port)
    assert plain.auth("x509", "CN=admin").err == -115
    with pytest.raises((Closed, ConnectionError)):
        plain.call(4, b"\0\0\0\x01/\0")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_protocols_carry_long_replies(shared, version):
    """Java takes the one that `ssl.protocol` names, and no other."""
    if shared.server.kind != "zabd":
        version = ssl.TLSVersion.TLSv1_3
    client = shared.client("second", version=version)
    path = f"/long-{os.urandom(4).hex()}"
    data = os.urandom(900_000)
    assert client.create(path, data).err == 0
    # Far more than the sockets take at once.
    for _ in range(20):
        client.submit(4, len(path).to_bytes(4, "big") + path.encode() + b"\0")
    for _ in range(20):
        assert hashlib.sha256(client.reply().reader().buffer()).digest() == hashlib.sha256(data).digest()


def test_nothing_is_spoken_but_what_is_named(house_of):
    """Without the keys the client would have had the other suite, which it prefers, and TLS 1.3."""
    named = "ECDHE-RSA-AES128-GCM-SHA256"
    house = house_of(properties={
        "ssl.protocol": "TLSv1.2", "ssl.enabledProtocols": "TLSv1.2", "ssl.ciphersuites": "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"})
    context = house.context("alice")
    context.set_ciphers(f"ECDHE-RSA-AES256-GCM-SHA384:{named}")
    session = TlsSession(house.secure_port, context)
    assert session.exists("/") and session.socket.cipher()[:2] == (named, "TLSv1.2")
    session.end()
    context.set_ciphers("ECDHE-RSA-AES256-GCM-SHA384")
    with pytest.raises(CLOSED):
        TlsSession(house.secure_port, context)
    with pytest.raises(CLOSED):
        house.client("alice", version=ssl.TLSVersion.TLSv1_3)


def test_each_answer_has_a_record_of_its_own(shared):
    """ZooKeeper's C library takes one answer when its socket has something, and OpenSSL takes one record from the socket: another
    answer in that record stays unheard until the server says something else."""
    COUNT = 50
    client, path = shared.client("second"), b"/one-by-one"
    assert client.create(path.decode(), b"x").err == 0
    name = struct.pack(">i", len(path)) + path
    assert client.call(EXISTS, name + b"\1").err == 0
    # One change, with its event, and many reads behind it, all at once.
    bodies = [(SET_DATA, name + struct.pack(">ici", 1, b"y", -1)), *[(EXISTS, name + b"\0")] * COUNT]
    client.send(b"".join(
        struct.pack(">iii", 8 + len(body), xid, op) + body for xid, (op, body) in enumerate(bodies, 100)))
    for number in range(1 + len(bodies)):
        exactly(client.socket, struct.unpack(">i", exactly(client.socket, 4))[0])
        assert client.socket.pending() == 0, f"behind {number} others"


def test_a_watch_ends_with_its_connection(shared):
    """ZOOKEEPER-3131: also on a port with TLS."""
    client = shared.client("second")
    assert client.call(3, b"\0\0\0\x0f/watched-by-tls\1").err == -101
    watched = (lambda: "/watched-by-tls" in four_letter_bytes(shared.server.port, b"wchp").decode())
    if shared.server.kind == "zabd":
        assert watched()
    client.close()
    eventually(lambda: not watched(), what="the watch is gone")


def test_four_letter_words_are_answered_by_tls(shared):
    with socket.create_connection(("127.0.0.1", shared.secure_port), 20) as plain:
        with shared.context().wrap_socket(plain, server_hostname="localhost") as secure:
            secure.sendall(b"conf")
            text = b""
            while chunk := secure.recv(65536):
                text += chunk
    assert f"secureClientPort={shared.secure_port}\n".encode() in text
    shared.client("alice")
    listed = four_letter_bytes(shared.server.port, b"cons").decode()
    # Java lists those of the port that was asked.
    assert listed.count("sid=0x") >= (1 if shared.server.kind == "zabd" else 0)


def test_kazoo(shared):
    client = KazooClient(
        f"localhost:{shared.secure_port}", use_ssl=True, ca=str(shared.authority.path("ca.crt")),
        certfile=str(shared.authority.path("alice.crt")), keyfile=str(shared.authority.path("alice.key")))
    client.start(timeout=20)
    try:
        acl = make_acl("x509", ALICE, all=True)
        client.create("/kazoo", b"data", acl=[acl])
        seen = []
        client.DataWatch("/kazoo", lambda data, stat: seen.append(data))
        client.set("/kazoo", b"more")
        eventually(lambda: seen == [b"data", b"more"], what=lambda: seen)
        assert client.get_acls("/kazoo")[0] == [acl]
    finally:
        client.stop()
        client.close()


def java_shell(house, script, **properties):
    """ZooKeeper's own shell of 3.9.5 over Netty."""
    words = {
        "client.secure": "true", "clientCnxnSocket": "org.apache.zookeeper.ClientCnxnSocketNetty",
        "ssl.keyStore.location": house.authority.path("alice.pem"), "ssl.trustStore.location": house.authority.path("ca.pem"),
        **properties}
    defines = [f"-Dzookeeper.{key}={value}" for key, value in words.items()]
    return subprocess.run(
        ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", places.JAVA395_CLASSPATH, *defines,
         "org.apache.zookeeper.ZooKeeperMain", "-server", f"localhost:{house.secure_port}", *script],
        capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


def test_java_shell(shared):
    done = java_shell(shared, ["whoami"])
    assert f"x509: {ALICE}" in done.stdout, done.stdout + done.stderr[-3000:]


BAD = {
    "expired": "expired",
    "early": "not valid yet",
    "backwards": "its time ends before it begins (InvalidCertValidity); hint: sign a new one, ",
    "stranger": "UnknownIssuer",
    "self": "CaUsedAsEndEntity",
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_certificate_is_refused(shared, name):
    before = shared.figures()
    witness = shared.client("alice")
    with pytest.raises(CLOSED):
        shared.client(name)
    assert witness.exists("/"), "nobody else is hurt"
    eventually(
        lambda: int(shared.figures()["unsuccessful_handshake"]) > int(before["unsuccessful_handshake"])
        and int(shared.figures()["auth_failed_count"]) > int(before["auth_failed_count"]), what="it is counted")
    if shared.server.kind == "zabd":
        line = eventually(lambda: [line for line in shared.log().splitlines() if f"certificate of CN={name} was refused" in line])
        assert len(line) == 1 and "/127.0.0.1:" in line[0] and BAD[name] in line[0], line


def test_a_certificate_of_nobody_is_refused(shared, authority, kind):
    """An identity without a name would be whoever else has none. Names beside it must be critical to count."""
    for name, hosts, is_taken in [("nobody", "DNS:localhost", False), ("unnamed", "critical,DNS:localhost", True)]:
        authority.sign_anybody(name, hosts)
        if is_taken:
            assert shared.client(name).who_am_i() == [("x509", "")]
            continue
        with pytest.raises(ssl.SSLError if kind == "zabd" else CLOSED, match="BAD_CERTIFICATE"):
            shared.client(name)
    if kind == "zabd":
        eventually(lambda: "its subject is empty, with no critical names beside it" in shared.log())


def test_who_has_expired_since_does_not_come_back(shared, authority):
    """Neither by a whole handshake nor by one that takes up what is left of an earlier one, in which no certificate is shown."""
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=5)
    authority.sign("short", "/CN=admin", days=("20240101000000Z", end.strftime("%Y%m%d%H%M%SZ")))
    versions = [ssl.TLSVersion.TLSv1_3] if shared.server.kind != "zabd" else [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
    contexts = [shared.context("short", version) for version in versions]
    kept = []
    for context in contexts:
        session = TlsSession(shared.secure_port, context)
        assert ("super", "") in session.who_am_i()
        kept.append(session.socket.session)
        session.close()

    def comes_in(context, kept=None):
        try:
            TlsSession(shared.secure_port, context, kept).close()
        except CLOSED:
            return False
        return True
    eventually(lambda: not comes_in(contexts[0]), what="the certificate has expired")
    assert not any(map(comes_in, contexts, kept))


def test_revocation_lists(house_of, authority, kind, tmp_path):
    """Of zabd, whose lists are files: they hold until they are replaced, and no longer than they say; who is there stays."""
    if kind != "zabd":
        return
    revoked = tmp_path / "ca.crl"
    authority.revocation_list(revoked, ["admin"])
    house = house_of(properties={"ssl.crl": "true", "zabd.ssl.crlFile": revoked})

    def comes_in(name):
        try:
            house.client(name)
        except CLOSED:
            return False
        return True
    assert comes_in("alice") and not comes_in("admin")
    eventually(lambda: "certificate of CN=admin was refused: Revoked" in house.log(), what=house.log)
    witness = house.client("alice")
    assert house.figures()["zabd_certificate_looks_unusable"] == "0"

    authority.revocation_list(revoked, ["admin", "alice"])
    eventually(lambda: not comes_in("alice"), what="the new list counts")
    assert witness.exists("/") and comes_in("second")

    authority.revocation_list(revoked, version=1)
    eventually(lambda: int(house.figures()["zabd_certificate_looks_unusable"]) > 1, what="each look is counted")
    assert house.log().count("and who was revoked since is still let in: ") == 1, "and told once"
    assert "it is a revocation list of version 1" in house.log() and "`crlnumber`" in house.log()
    assert comes_in("second") and not comes_in("alice"), "the list from before stays"

    authority.revocation_list(revoked, hours=(-48, -1))
    eventually(lambda: not comes_in("second"), what="a list that has lapsed says nothing of anybody")
    eventually(lambda: "was refused: no revocation list that holds at the moment tells" in house.log())
    authority.revocation_list(revoked)
    eventually(lambda: comes_in("second") and comes_in("alice"), what="the list is renewed")


def test_authorities_of_one_name_are_all_believed(house_of, authority, kind):
    """Of zabd, and of Java's next release: an authority with a new key beside its old one. Java 3.9 keeps the last of a name."""
    if kind != "zabd":
        return
    authority.self_signed("ca-new-key", "/CN=ca")
    authority.sign("renewed", "/CN=renewed", by="ca-new-key")
    both = authority.path("both.pem")
    for order in (("ca", "ca-new-key"), ("ca-new-key", "ca")):
        both.write_text("".join(authority.path(f"{name}.crt").read_text() for name in order))
        house = house_of(properties={"ssl.trustStore.location": both, "ssl.trustStore.password": ""})
        for name in ("alice", "renewed"):
            assert house.client(name).who_am_i()[0][0] == "x509", (order, name)


def test_who_shows_no_certificate_is_refused(shared):
    with pytest.raises(CLOSED):
        shared.client(None)


def test_plain_text_is_refused(shared):
    with pytest.raises((Closed, ConnectionError, AssertionError)):
        Session(shared.secure_port)
    assert shared.client("alice").exists("/")


def test_silent_clients_hold_up_nobody(shared):
    silent = [socket.create_connection(("127.0.0.1", shared.secure_port), 20) for _ in range(50)]
    half = socket.create_connection(("127.0.0.1", shared.secure_port), 20)
    half.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    assert shared.client("alice").exists("/")
    # Netty's own patience is as long.
    half.settimeout(20)
    while half.recv(1000):
        pass
    for connection in [*silent, half]:
        connection.close()


def test_halves_of_records_are_counted(house_of, kind):
    """Of zabd: what TLS cannot decrypt yet counts as the requests that it may be parts of."""
    if kind != "zabd":
        return
    house = house_of(properties={"zabd.incompleteMaxBytes": "1048576"}, config={"maxClientCnxns": "0"})
    clients = [house.client("second") for _ in range(66)]
    witness = house.client("alice")
    for client in clients:
        # The header of a long record, and most of it, past the client's own TLS.
        os.write(client.socket.fileno(), b"\x17\x03\x03\x40\x00" + bytes(16_000))
    eventually(lambda: "have more than zabd.incompleteMaxBytes=1048576" in house.log())
    # Three quarters are left, and who asks for nothing.
    eventually(lambda: 45 <= four_letter_bytes(house.server.port, b"cons").count(b"sid=0x") <= 52)
    assert witness.exists("/")


def test_one_port_takes_both(house_of):
    house = house_of(properties={"client.portUnification": "true"})
    port = house.server.port
    assert house.client("alice", port=port).who_am_i() == [("x509", ALICE)]
    plain = Session(port)
    assert plain.create("/plain").err == 0
    assert house.client("alice").exists("/plain")
    plain.end()


def test_who_says_nothing_holds_up_no_handshake_on_a_port_for_both(house_of, kind):
    """Of zabd: Java counts them as handshakes until they speak."""
    if kind != "zabd":
        return
    house = house_of(properties={"client.portUnification": "true", "netty.server.outstandingHandshake.limit": "2"})
    port = house.server.port
    silent = [socket.create_connection(("127.0.0.1", port), 20) for _ in range(5)]
    assert house.client("alice", port=port).exists("/")
    begun = [socket.create_connection(("127.0.0.1", port), 20) for _ in range(2)]
    for connection in begun:
        connection.sendall(b"\x16")
    eventually(lambda: house.figures()["outstanding_tls_handshake"] == "2")
    with pytest.raises(CLOSED):
        house.client("alice", port=port)
    silent[0].sendall(b"ruok")
    assert silent[0].recv(100) in (b"imok", b"ruok is not executed because it is not in the whitelist.\n")
    assert house.figures()["unsuccessful_handshake"] == "0"
    for connection in [*silent, *begun]:
        connection.close()


@pytest.mark.parametrize("asks, identities", [("want", []), ("none", [])])
def test_who_need_not_show_a_certificate(house_of, asks, identities):
    house = house_of(properties={"ssl.clientAuth": asks})
    assert house.client(None).who_am_i() == identities
    shown = house.client("alice").who_am_i()
    assert shown == ([("x509", ALICE)] if asks == "want" else [])
    if asks == "want":
        with pytest.raises(CLOSED):
            house.client("stranger")


def test_a_certificate_of_elsewhere(house_of, kind):
    """Whoever shows it is told by an alert. Java compares them only without its FIPS mode."""
    house = house_of(properties={"ssl.clientHostnameVerification": "true", "fips-mode": "false"})
    assert house.client("alice").exists("/")
    for version in [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3][kind != "zabd":]:
        with pytest.raises(ssl.SSLError, match="CERTIFICATE_UNKNOWN"):
            house.client("elsewhere", version=version)
    if kind == "zabd":
        eventually(lambda: "CN=elsewhere is for elsewhere.invalid, 127.9.9.9, which is not where it comes from" in house.log())


def test_a_certificate_that_is_replaced(house_of, kind, authority, tmp_path):
    """As Kubernetes does it: the file is behind a link, whose target becomes another. Java watches the file itself."""
    for name in ("server", "second"):
        (tmp_path / name).mkdir()
        shutil.copy(authority.path(f"{name}.pem"), tmp_path / name / "tls.pem")
    mount = tmp_path / "mount"
    mount.symlink_to("server")
    house = house_of(properties={"ssl.keyStore.location": mount / "tls.pem", "client.certReload": "true"})

    def subject():
        try:
            session = house.client("alice")
        except OSError:
            # Java reads the file while it is written, and has no certificate then.
            return None
        return dict(pair[0] for pair in session.socket.getpeercert()["subject"])["commonName"]

    first = house.client("alice")
    assert subject() == "server"
    if kind == "zabd":
        (tmp_path / "next").symlink_to("second")
        (tmp_path / "next").rename(mount)
    else:
        shutil.copy(authority.path("second.pem"), tmp_path / "server" / "tls.pem")
    eventually(lambda: subject() == "second", what="the new certificate")
    assert first.exists("/"), "connections stay"
    if kind == "zabd":
        (tmp_path / "second" / "tls.pem").write_text("-----BEGIN PRIVATE KEY-----")
        eventually(lambda: "cannot be used, so those from before stay" in house.log())
        assert subject() == "second"


def test_the_age_of_certificates_is_a_figure(house_of, kind):
    """The first to end is the trusted authority's."""
    if kind != "zabd":
        return
    left = int(house_of().figures()["zabd_certificate_ends_in_seconds"])
    assert 59 * 24 * 3600 < left <= 60 * 24 * 3600


def test_only_so_many_handshakes_at_once(house_of):
    house = house_of(properties={"netty.server.outstandingHandshake.limit": "3"})
    waiting = [socket.create_connection(("127.0.0.1", house.secure_port), 20) for _ in range(3)]
    if house.server.kind == "zabd":
        # Java shows those of the plain port, which has none.
        eventually(lambda: house.figures()["outstanding_tls_handshake"] == "3")
    with pytest.raises(CLOSED):
        house.client("alice")
    assert house.figures()["tls_handshake_exceeded"] == "1"
    for connection in waiting:
        connection.close()
    eventually(lambda: house.figures()["outstanding_tls_handshake"] == "0")
    assert house.client("alice").exists("/")


@pytest.mark.parametrize("drops_early", ["true", "false"])
def test_who_comes_while_nobody_is_served_may_be_dropped_at_once(tmp_path, authority, kind, drops_early):
    """A member without the other ones: Java opens no port before they are there."""
    if kind != "zabd":
        return
    ports = [free_port() for _ in range(4)]
    members = {"server.1": f"127.0.0.1:{ports[0]}:{ports[1]}", "server.2": f"127.0.0.1:{ports[2]}:{ports[3]}"}
    house = House(
        kind, tmp_path, authority, config={**members, "initLimit": 5, "syncLimit": 5},
        properties={"netty.server.earlyDropSecureConnectionHandshakes": drops_early})
    house.server.data_dir.mkdir(parents=True)
    (house.server.data_dir / "myid").write_text("1")

    def serves_nobody():
        try:
            return b"not currently serving" in four_letter_bytes(house.server.port, b"stat")
        except OSError:
            return False

    house.server.start(wait=False)
    try:
        eventually(serves_nobody)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", house.secure_port), 5)
        # A connection that is dropped at once may be gone before it is known here that there was one.
        with pytest.raises(OSError) if drops_early == "true" else contextlib.nullcontext():
            with socket.create_connection(("127.0.0.1", house.secure_port), 20) as plain:
                secure = house.context().wrap_socket(
                    plain, server_hostname="localhost", do_handshake_on_connect=False)
                # Of a connection that has ended already nobody else would ask for it.
                secure.do_handshake()
                secure.close()
    finally:
        house.server.kill()


def test_a_crowd_that_says_nothing_keeps_nobody_out(house_of, kind):
    """Of zabd, where the operator has set no limit: Java has none at all. Whoever comes takes the place of one of the crowd."""
    if kind != "zabd":
        return
    house = house_of(properties={"zabd.memoryMaxBytes": str(MEMORY)})
    crowd = [socket.socket() for _ in range(CROWD)]
    try:
        for connection in crowd:
            connection.settimeout(20)
            connection.bind(("127.0.0.2", 0))
            connection.connect(("127.0.0.1", house.secure_port))
        assert house.client("alice").exists("/")
        eventually(lambda: int(house.figures()["tls_handshake_exceeded"]) >= CROWD - HANDSHAKES_MAX)
        assert crowd[0].recv(1) == b"" and "it has not shown who it is, and " in house.log()
    finally:
        for connection in crowd:
            connection.close()


def test_without_a_trust_store_nobody_is_believed(house_of, kind):
    """The server starts, and serves its port without TLS, and on the other whoever need not show a certificate."""
    house = house_of(properties={"ssl.trustStore.location": "", "ssl.clientAuth": "want"})
    for name in ("alice", "stranger"):
        with pytest.raises(CLOSED):
            house.client(name)
    assert Session(house.server.port).create("/served").err == 0
    assert house.client(None).exists("/served")


def test_a_server_without_a_plain_port(house_of):
    house = house_of()
    house.server.kill()
    for key in ("clientPort", "clientPortAddress"):
        del house.server.config[key]
    house.server.start(wait=False)

    def serves():
        try:
            return house.client("alice").exists("/")
        except (OSError, Closed):
            return False
    eventually(serves, 60)


@pytest.mark.parametrize("properties, words", [
    ({"ssl.keyStore.password": "wrong"}, ["ssl.keyStore.location", "the password is wrong", "server.p12"]),
    ({"ssl.keyStore.location": "/nowhere.p12"}, ["ssl.keyStore.location", "=/nowhere.p12 cannot be read"]),
    ({"ssl.keyStore.location": ""}, ["secureClientPort=", "needs `ssl.keyStore.location`", "hint: "]),
    ({"ssl.enabledProtocols": "TLSv1.1"}, ["ssl.enabledProtocols", "neither `TLSv1.3` nor `TLSv1.2`"]),
    ({"ssl.ciphersuites": "TLS_RSA_WITH_AES_128_CBC_SHA"}, ["ssl.ciphersuites", "TLS_AES_256_GCM_SHA384"]),
    ({"ssl.authProvider": "mine"}, ["ssl.authProvider", "`x509` is built in"]),
    ({"ssl.ocsp": "true"}, ["ssl.ocsp", "hint: "]),
    ({"ssl.crl": "true"}, ["ssl.crl", "zabd.ssl.crlFile"]),
], ids=lambda value: next(iter(value)) if isinstance(value, dict) else "")
def test_a_mistake_ends_the_start(house_of, kind, properties, words):
    """Of zabd: Java begins to serve, and fails each connection."""
    if kind != "zabd":
        return
    with pytest.raises(ServerFailed) as failed:
        house_of(properties=properties)
    assert all(word in str(failed.value) for word in words), failed.value
