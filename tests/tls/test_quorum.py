"""TLS between members: ensembles of zabd and Java, and their change from plain text to TLS, one member after the other."""

import shutil
import socket
import ssl

import pytest

from ensemble.members import Ensemble
from harness.servers import ServerFailed, four_letter_bytes
from harness.waiting import eventually
from harness.wire import Session

from .authority import PASSWORD


def stores(authority, name="server", **more):
    """What every member is given: zoo.cfg takes these keys by both names."""
    return {
        "ssl.quorum.keyStore.location": authority.path(f"{name}.pem"),
        "ssl.quorum.trustStore.location": authority.path("trust.jks"),
        "ssl.quorum.trustStore.password": PASSWORD,
        **more,
    }


def write(ensemble, number, path):
    session = Session(ensemble.members[number].port)
    assert session.create(path).err == 0
    session.end()


@pytest.mark.parametrize("kinds, leader", [
    (("zabd", "zabd", "zabd"), None),
    (("java395", "zabd", "zabd"), 1),
    (("zabd", "java395", "java395"), 1),
    (("java38", "zabd", "zabd"), 2),
], ids=lambda value: "-".join(value) if isinstance(value, tuple) else f"led-by-{value}")
def test_members_speak_tls(tmp_path, authority, kinds, leader):
    """Java leads zabd, and zabd leads Java, with a snapshot that goes by TLS, too."""
    with Ensemble(kinds, tmp_path, config={"sslQuorum": "true"}, properties=stores(authority)) as ensemble:
        if leader:
            ensemble.lead_by(leader)
        for number in ensemble.members:
            write(ensemble, number, f"/by{number}")
        behind = next(number for number in ensemble.members if number != ensemble.leader())
        ensemble.members[behind].kill()
        session = Session(ensemble.members[ensemble.leader()].port)
        for number in range(20):
            assert session.create(f"/large{number}", bytes(500_000)).err == 0
        session.end()
        ensemble.members[behind].start()
        ensemble.assert_equal_trees()
        quorum, election = ensemble.ports[ensemble.leader()][1:]
        for port in (quorum, election):
            with pytest.raises(ssl.SSLError):
                # It asks for a certificate of its own, and says so.
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.load_verify_locations(authority.path("ca.crt"))
                with socket.create_connection(("127.0.0.1", port), 20) as plain:
                    with context.wrap_socket(plain, server_hostname="localhost") as secure:
                        while secure.recv(1000):
                            pass
                        raise ssl.SSLError("closed")


def test_members_change_to_tls_one_after_the_other(tmp_path, authority):
    """Both at the ports, then TLS at the dials, then nothing else: a quorum stands at every moment."""
    ensemble = Ensemble(("zabd", "java395", "zabd"), tmp_path)
    with ensemble:
        steps = [{"portUnification": "true"}, {"portUnification": "true", "sslQuorum": "true"}, {"sslQuorum": "true"}]
        ensemble.properties = stores(authority)
        for at, step in enumerate(steps):
            for key in ("portUnification", "sslQuorum"):
                ensemble.config.pop(key, None)
            ensemble.config.update(step)
            for number, server in list(ensemble.members.items()):
                ensemble.replace(number, server.kind)
                write(ensemble, number, f"/step{at}by{number}")
        ensemble.assert_equal_trees()


def test_a_member_whose_certificate_is_replaced(tmp_path, authority):
    """Links that are there stay, and the next ones are by the new certificate; but where it is not to be read again."""
    own = tmp_path / "own.pem"
    shutil.copy(authority.path("server.pem"), own)
    ensemble = Ensemble(
        ("zabd", "zabd", "zabd"), tmp_path, config={"sslQuorum": "true"}, properties=stores(authority), is_started=False)
    for server in ensemble.members.values():
        server.properties["ssl.quorum.keyStore.location"] = own
    ensemble.members[3].config["sslQuorumReloadCertFiles"] = "false"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority.path("ca.crt"))
    context.load_cert_chain(authority.path("server.crt"), authority.path("server.key"))

    def subject(number):
        """Whose certificate a member shows at its election port."""
        with socket.create_connection(("127.0.0.1", ensemble.ports[number][2]), 20) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as secure:
                return dict(pair[0] for pair in secure.getpeercert()["subject"])["commonName"]

    with ensemble:
        ensemble.start()
        leader = ensemble.leader()
        session = Session(ensemble.members[leader].port)
        assert [subject(number) for number in ensemble.members] == ["server"] * 3
        newer = tmp_path / "next.pem"
        shutil.copy(authority.path("second.pem"), newer)
        newer.replace(own)
        eventually(lambda: [subject(number) for number in (1, 2)] == ["second"] * 2, what="the new certificate")
        assert subject(3) == "server", "it is told to keep its own"
        assert session.create("/meanwhile").err == 0 and ensemble.leader() == leader, "no link is cut"
        session.end()
        # Both certificates are shown and believed, whoever dials.
        again = next(number for number in (1, 2) if number != leader)
        ensemble.members[again].kill()
        ensemble.members[again].start()
        write(ensemble, again, "/again")
        ensemble.assert_equal_trees()


BAD = {
    "expired": "CN=expired was refused: certificate expired",
    "stranger": "CN=stranger was refused: nobody in the trust store has signed it",
    "elsewhere": "CN=elsewhere is for elsewhere.invalid, 127.9.9.9",
}


@pytest.mark.parametrize("name", BAD)
def test_a_member_that_is_not_believed(tmp_path, authority, name):
    """The other two are a quorum without it, and say who it is and why it is none of them."""
    checked = {"fips-mode": "false"}
    ensemble = Ensemble(
        ("zabd", "zabd", "zabd"), tmp_path, config={"sslQuorum": "true"}, properties=stores(authority, **checked))
    with ensemble:
        third = ensemble.members[3]
        third.kill()
        third.properties.update(stores(authority, name))
        third.start(wait=False)
        eventually(lambda: any(BAD[name] in ensemble.members[number].log_text() for number in (1, 2)), 60, BAD[name])
        eventually(lambda: "not currently serving requests" in word(third, b"stat"))
        if name == "elsewhere":
            eventually(lambda: "the other side does not believe the certificate that it was shown" in third.log_text())
        ensemble.leader(among=(1, 2))
        write(ensemble, 1, "/without")


def word(server, letters):
    try:
        return four_letter_bytes(server.port, letters).decode()
    except OSError:
        return ""


def test_plain_text_is_refused_and_named(tmp_path, authority):
    with Ensemble(("zabd", "zabd", "zabd"), tmp_path, config={"sslQuorum": "true"}, properties=stores(authority)) as ensemble:
        server = ensemble.members[1]
        for port in ensemble.ports[1][1:]:
            with socket.create_connection(("127.0.0.1", port), 20) as plain:
                plain.sendall(b"\0")
                try:
                    assert plain.recv(100) == b""
                except ConnectionResetError:
                    # What it has sent was not even read.
                    pass
        # One reason of one machine is told once a minute.
        eventually(lambda: server.log_text().count(" port: it does not speak TLS, and plain text is not taken here") == 1)
        write(ensemble, 1, "/still")


def test_a_silent_crowd_shuts_nobody_out(tmp_path, authority):
    """More of them than there are places, from the address that the members have, too: the oldest make room at once."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority.path("ca.crt"))
    context.load_cert_chain(authority.path("server.crt"), authority.path("server.key"))
    with Ensemble(("zabd", "zabd", "zabd"), tmp_path, config={"sslQuorum": "true"}, properties=stores(authority)) as ensemble:
        for port in ensemble.ports[ensemble.leader()][1:]:
            crowd = [socket.create_connection(("127.0.0.1", port), 20) for _ in range(300)]
            for connection in crowd:
                connection.sendall(b"\x16")
            with socket.create_connection(("127.0.0.1", port), 20) as plain:
                with context.wrap_socket(plain, server_hostname="localhost") as secure:
                    # Who is let in is waited for.
                    secure.settimeout(1)
                    with pytest.raises(TimeoutError):
                        secure.recv(1)
            for connection in crowd:
                connection.close()
        write(ensemble, 1, "/still")


def test_a_member_without_stores_does_not_start(tmp_path, authority):
    ensemble = Ensemble(("zabd",), tmp_path, config={"sslQuorum": "true"}, is_started=False)
    with ensemble, pytest.raises(ServerFailed) as failed:
        ensemble.members[1].config["server.2"] = "127.0.0.1:1:2"
        ensemble.members[1].start()
    assert "sslQuorum=true asks for TLS, which needs `ssl.quorum.keyStore.location` and `ssl.quorum.trustStore.location`" in str(failed.value)
