"""Whoever sends what is too long or no request, does not send the rest, or gives a wrong password is refused on every port: the
connection ends or has an answer that says so, one line of the log says who and why, and a figure is one up.

Two members of an ensemble have all ports. Each case comes from an address of its own: of one machine a log tells only so many
reasons in a minute. What is too slow takes ten seconds on some ports: it begins before everything else, at the other member.
"""

import itertools
import re
import socket
import ssl
import struct

import pytest

from admin.conftest import PROMETHEUS, ask
from admin.test_secure import context, stores
from harness import wire
from harness.observing import figures
from harness.servers import SUPER_AUTH, free_port
from harness.waiting import eventually
from harness.wire import Writer
from sasl.test_members import INTRODUCTION, MAGIC, ZKQ, ensemble, response
from tls.authority import Authority

GUESS = "guesswork"
CLIENTS, SERVERS = "zabd_client_connections_refused", "zabd_quorum_connections_refused"
REQUESTS, HANDSHAKES, PROBES = "zabd_http_requests_refused", "zabd_http_handshakes_refused", "zabd_probes_refused"
MACHINES = itertools.count(1)
IDLE_MS, SESSIONLESS_MS = 1000, 500
HUGE = struct.pack(">i", (1 << 31) - 1)
NOT_TLS = "what came is not TLS"


def frame(body):
    return struct.pack(">i", len(body)) + body


CONNECT = frame(wire.connect_request(10_000))
UNKNOWN_SCHEME = frame(struct.pack(">ii", wire.AUTH_XID, wire.AUTH) + Writer().int(0).ustring("nope").buffer(GUESS.encode()).bytes)


def post(command, length, body=b"", who=SUPER_AUTH):
    head = f"POST /commands/{command} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: {' '.join(who)}\r\nContent-Length: {length}"
    return head.encode() + b"\r\n\r\n" + body


def get(path, *headers):
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", "Connection: close", *headers, "", ""]).encode()


def call(length, body=b""):
    """A call of grpc.health.v1.Health over HTTP/1.1, of which the message has this length."""
    head = "POST /grpc.health.v1.Health/Check HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTE: trailers\r\nContent-Type: application/grpc"
    return f"{head}\r\nContent-Length: {5 + length}\r\n\r\n".encode() + struct.pack(">bi", 0, length) + body


def http2(*frames):
    """What a client sends that speaks HTTP/2 at once."""
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"".join(
        len(body).to_bytes(3) + struct.pack(">BBI", kind, flags, stream) + body for kind, flags, stream, body in ((4, 0, 0, b""), *frames))


def number(value, prefix_max):
    """HPACK's numbers, behind a prefix of so many."""
    if value < prefix_max:
        return bytes([value])
    digits, value = [prefix_max], value - prefix_max
    while value >= 128:
        digits.append(value % 128 | 128)
        value //= 128
    return bytes([*digits, value])


def get_by_http2(length):
    """A request with a header field of so many bytes, in as many frames as it takes."""
    block = b"\x82\x86\x04\x06/livez\x01\x01x" + b"\0\x01y" + number(length, 127) + b"x" * length
    pieces = [block[at:at + 16_000] for at in range(0, len(block), 16_000)]
    last = len(pieces) - 1
    # HEADERS, which also ends the request, and then CONTINUATION; the last one ends the head.
    return http2(*((9 if at else 1, (0 if at else 1) | (4 if at == last else 0), 1, piece) for at, piece in enumerate(pieces)))


class Caller:
    """A connection to one of the ports, from an address of its own."""

    def __init__(self, port, secured_by=None):
        number = next(MACHINES)
        self.machine = f"127.0.{78 + number // 250}.{number % 250 + 1}"
        self.socket = socket.create_connection(("127.0.0.1", port), 30, (self.machine, 0))
        if secured_by:
            self.socket = secured_by.wrap_socket(self.socket, server_hostname="localhost")

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            # Refused before its end.
            pass
        return self

    def end(self):
        """Nothing more comes from here."""
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def take(self, count):
        data = b""
        while len(data) < count and (piece := self.socket.recv(count - len(data))):
            data += piece
        return data

    def until(self, last):
        """All that comes up to these bytes."""
        data = b""
        while not data.endswith(last) and (piece := self.socket.recv(65536)):
            data += piece
        return data

    def until_closed(self):
        """All that comes; fails if the connection stays."""
        data = b""
        try:
            while piece := self.socket.recv(65536):
                data += piece
        except (ConnectionResetError, ssl.SSLError):
            pass
        self.socket.close()
        return data

    def guess(self, introduction=b""):
        """A server's proof by SASL that is wrong."""
        self.send(introduction + MAGIC + struct.pack(">ii", 0, 0))
        _, length = struct.unpack(">ii", self.take(16)[8:])
        proof = response(self.take(length), password=GUESS)
        return self.send(MAGIC + struct.pack(">ii", 0, len(proof)) + proof)


class House:
    """A member, and how it is called at each port."""

    def __init__(self, server, ports, authority):
        self.server, self.authority = server, authority
        _, quorum, election = ports
        self.ports = {
            "client": server.port, "secure": free_port(), "quorum": quorum, "election": election, "admin": free_port(),
            "metrics": free_port(), "probes": free_port()}
        server.config |= {
            "secureClientPort": self.ports["secure"], "secureClientPortAddress": "127.0.0.1", "nio.sessionlessCnxnTimeout": SESSIONLESS_MS,
            "admin.enableServer": "true", "admin.serverAddress": "127.0.0.1", "admin.serverPort": self.ports["admin"],
            "admin.portUnification": "true", "admin.idleTimeout": IDLE_MS, "metricsProvider.className": PROMETHEUS,
            "metricsProvider.httpHost": "127.0.0.1", "metricsProvider.httpPort": self.ports["metrics"],
            "zabd.probes.port": self.ports["probes"], "zabd.probes.address": "127.0.0.1"}
        server.properties |= {
            **stores(authority, "ssl.quorum"), **stores(authority, "ssl"),
            "serverCnxnFactory": "org.apache.zookeeper.server.NettyServerCnxnFactory"}

    def call(self, place):
        """By TLS, where that is asked for behind the port's name."""
        name, _, shown = place.partition("+")
        secured_by = None
        if shown:
            secured_by = context(self.authority, None if shown == "tls" else shown)
        return Caller(self.ports[name], secured_by)

    def figure(self, name):
        return int(float(figures(self.server.port)[name]))

    def assert_told(self, caller, why):
        def lines():
            return [line for line in self.server.log_text().splitlines() if f"{caller.machine}:" in line]

        found = eventually(lines, what=f"a line about {caller.machine}")
        assert len(found) == 1 and " - WARN " in found[0] and re.search(why, found[0]), found


# Port, what comes, the answer's beginning, the reason that is told, and the figure.
CASES = {
    "client long": ("client", lambda c: c.send(CONNECT + HUGE), None, "Len error", CLIENTS),
    "client garbage": ("client", lambda c: c.send(b"\0\0\0\x0a" + b"\xff" * 10), b"", "the connect request is malformed", CLIENTS),
    "client http": ("client", lambda c: c.send(get("/")), b"", "Len error", CLIENTS),
    "client scheme": ("client", lambda c: c.send(CONNECT + UNKNOWN_SCHEME), None, "No authentication provider for scheme: nope", CLIENTS),
    "secure long": ("secure+alice", lambda c: c.send(CONNECT + HUGE), None, "Len error", CLIENTS),
    "secure garbage": ("secure", lambda c: c.send(b"\xff" * 10), None, NOT_TLS, "unsuccessful_handshake"),
    "secure http": ("secure", lambda c: c.send(get("/")), None, NOT_TLS, "unsuccessful_handshake"),
    "secure stranger": ("secure+stranger", lambda c: c, None, "the certificate of CN=stranger was refused", "unsuccessful_handshake"),
    "quorum long": ("quorum", lambda c: c.send(MAGIC + struct.pack(">ii", 0, 1 << 30)), None, "does not decode", SERVERS),
    "quorum garbage": ("quorum", lambda c: c.send(b"\0\0\0\x0b" + bytes(20)), b"", "it does not authenticate by SASL", SERVERS),
    "quorum password": ("quorum", lambda c: c.guess(), None, f"the password of user `{ZKQ[0]}` is wrong", SERVERS),
    "election long": ("election", lambda c: c.send(INTRODUCTION[:16] + HUGE), b"", "2147483647", SERVERS),
    "election garbage": ("election", lambda c: c.send(b"\xff" * 20), b"", "version", SERVERS),
    "election password": ("election", lambda c: c.guess(INTRODUCTION), None, f"the password of user `{ZKQ[0]}` is wrong", SERVERS),
    **{f"{place} {name}": (place, act, *rest) for place in ("admin", "admin+alice", "metrics") for name, (act, *rest) in {
        "long": (lambda c: c.send(get("/metrics", f"X: {'x' * 10_000}")), b"HTTP/1.1 431 ", "longer than 8192 bytes", REQUESTS),
        "garbage": (lambda c: c.send(b"\xff\xfe what is this\r\n\r\n"), b"HTTP/1.1 400 ", "what came is no request", REQUESTS),
    }.items()},
    **{f"{place} {name}": (place, act, *rest) for place in ("admin", "admin+alice") for name, (act, *rest) in {
        "nobody": (lambda c: c.send(get("/commands/snapshot")), b"HTTP/1.1 401 ", "the command snapshot: Auth info is missing", REQUESTS),
        "password": (lambda c: c.send(get("/commands/snapshot", f"Authorization: digest super:{GUESS}")), b"HTTP/1.1 403 ",
                     "the command snapshot: Not authorized", REQUESTS),
        "scheme": (lambda c: c.send(get("/commands/snapshot", f"Authorization: nope {GUESS}")), b"HTTP/1.1 401 ",
                   "the command snapshot: Not authenticated", REQUESTS),
        "body": (lambda c: c.send(post("shed_connections", 65_600, b"{" * 65_600)), b"HTTP/1.1 413 ", "longer than 65536 bytes", REQUESTS),
    }.items()},
    "probes long": ("probes", lambda c: c.send(get("/livez", f"X: {'x' * 10_000}")), b"HTTP/1.1 431 ", "longer than 8192 bytes", PROBES),
    "probes garbage": ("probes", lambda c: c.send(b"\xff\xfe what is this\r\n\r\n"), b"HTTP/1.1 400 ", "what came is no request", PROBES),
    "probes call": ("probes", lambda c: c.send(call(2000, b"{" * 2000)), None, "the message of its call is longer than 1024 bytes", PROBES),
    **{f"probes HTTP/2 {length}": (
        "probes", lambda c, length=length: c.send(get_by_http2(length)).end(), None, "longer than 8192 bytes", PROBES)
       for length in (8_200, 20_000, 40_000)},
    "probes HTTP/2 endless": ("probes", lambda c: c.send(get_by_http2(400_000)), None, "what came is no HTTP/2: ", PROBES),
    "probes HTTP/2 garbage": ("probes", lambda c: c.send(http2((4, 0, 1, b"what"))), None, "what came is no HTTP/2: ", PROBES),
    "admin handshake": ("admin", lambda c: c.send(b"\x16\x03\x01\x00\x05nohow"), None, "what came is not TLS|the handshake failed", HANDSHAKES),
}

# What is begun and not gone on with.
SLOW = {
    "client": ("client", CONNECT[:20], "its request for a session has not come as a whole", CLIENTS),
    "secure": ("secure+alice", CONNECT[:20], "its request for a session has not come as a whole", CLIENTS),
    "secure handshake": ("secure", b"\x16\x03\x01", "the handshake was not done after 10s", "unsuccessful_handshake"),
    "quorum": ("quorum", MAGIC[:5], "does not end within 10s", SERVERS),
    "quorum silent": ("quorum", b"", "does not end within 10s", SERVERS),
    "election": ("election", INTRODUCTION[:12], "it does not say who it is", SERVERS),
    "election proof": ("election", INTRODUCTION + MAGIC[:5], "does not end within 10s", SERVERS),
    "admin": ("admin", b"GET /commands/ruok HTTP/1.1\r\nX", f"its request has not come as a whole within {IDLE_MS}ms", REQUESTS),
    "admin by TLS": ("admin+alice", b"GET /commands/ruok HTTP/1.1\r\nX", f"its request has not come as a whole within {IDLE_MS}ms", REQUESTS),
    "admin body": ("admin", post("shed_connections", 100, b"{"), "it has not come as a whole within 5s", REQUESTS),
    "admin handshake": ("admin", b"\x16\x03\x01", "the handshake was not done after 1s", HANDSHAKES),
    "probes": ("probes", b"GET /livez HTTP/1.1\r\nX", "its request has not come as a whole within 5000ms", PROBES),
    "probes preface": ("probes", b"PRI * HTTP/2.0", "its request has not come as a whole within 5000ms", PROBES),
    "probes call": ("probes", call(9), "its call has not come as a whole within 5000ms", PROBES),
}


@pytest.fixture(scope="module", name="houses")
def houses_fixture(kind, tmp_path_factory):
    """Two members; the second has been called by the slow ones."""
    if kind != "zabd":
        pytest.skip("Java tells of some of them, and counts none")
    authority = Authority(tmp_path_factory.mktemp("authority"))
    with ensemble(("zabd", "zabd"), tmp_path_factory.mktemp("members"), is_started=False) as members:
        houses = [House(server, members.ports[number], authority) for number, server in members.members.items()]
        members.start()
        session = wire.Session(houses[0].server.port)
        session.auth(*SUPER_AUTH)
        assert session.call(wire.SET_ACL, Writer().ustring("/").acl([(31, "digest", "admin:nobody")]).int(-1).bytes).err == 0
        session.end()
        patient = houses[1]
        patient.before = {name: patient.figure(name) for *_, name in SLOW.values()}
        patient.callers = {name: patient.call(place).send(data) for name, (place, data, *_) in SLOW.items()}
        yield houses
        for house in houses:
            assert not re.search(f"{GUESS}|{SUPER_AUTH[1]}", house.server.log_text()), "a password is in the log"


@pytest.fixture
def house(houses):
    return houses[0]


def refused(house, caller, answer, why, figure, before):
    """It was refused, for that reason and by that figure."""
    heard = caller.until_closed()
    assert answer is None or heard.startswith(answer) and (answer or not heard), heard
    house.assert_told(caller, why)
    eventually(lambda: house.figure(figure) == before + 1, what=lambda: f"{figure} is {house.figure(figure)}, and was {before}")


@pytest.mark.parametrize("name", CASES)
def test_each_is_refused_told_and_counted(house, name):
    place, act, answer, why, figure = CASES[name]
    before = house.figure(figure)
    refused(house, act(house.call(place)), answer, why, figure, before)


def test_a_request_by_http2_is_answered_as_long_as_its_head_may_be(house):
    before = house.figure(PROBES)
    caller = house.call("probes").send(get_by_http2(7_900))
    # HTTP/2 has no half of a connection: whoever ends it before the answer may have none.
    assert caller.until(b"ok").endswith(b"ok")
    caller.end().until_closed()
    assert house.figure(PROBES) == before


def test_a_wrong_password_of_a_session(house):
    session = wire.Session(house.server.port)
    before = house.figure(CLIENTS)
    caller = house.call("client").send(frame(wire.connect_request(10_000, session.session_id, GUESS.ljust(16).encode())))
    refused(house, caller, None, f"Incorrect password from .* for session 0x{session.session_id:x}", CLIENTS, before)
    session.end()


@pytest.mark.parametrize(("port", "path", "figure"), [("metrics", "/metrics", REQUESTS), ("probes", "/livez", PROBES)])
def test_a_crowd_that_asks_for_nothing_makes_room(house, port, path, figure):
    """Sixty-four may be connected: of those that wait for nothing the first goes for whoever comes, and is told of."""
    before = house.figure(figure)
    crowd = [house.call(port).send(b"GET / HTTP/1.1\r\nX") for _ in range(64)]
    assert ask(house.ports[port], path)[0] == 200
    refused(house, crowd[0], b"", "others want its place", figure, before)
    for each in crowd:
        each.socket.close()


def test_what_is_not_gone_on_with_is_closed_told_and_counted(houses):
    house = houses[1]
    for name, (_, _, why, _) in SLOW.items():
        heard = house.callers[name].until_closed()
        assert heard.startswith({"admin body": b"HTTP/1.1 408 ", "probes call": b"HTTP/1.1 200 "}.get(name, b"")), heard
        house.assert_told(house.callers[name], why)
    for figure, before in house.before.items():
        cases = [name for name, row in SLOW.items() if row[-1] == figure]
        eventually(lambda: house.figure(figure) == before + len(cases), what=lambda: f"{house.figure(figure)} in {figure} for {cases}")
