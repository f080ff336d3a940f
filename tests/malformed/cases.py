"""What can be wrong with a connection as a whole: lengths, order, pace, ends. Each case gives what the server did.

A case is a function of the port and of a path that is its own. It listens up to the server's close, or up to the answer to
something sane that it sends at its end: so nothing is decided by waiting.
"""

import random
import socket
import struct

from harness import wire
from harness.servers import four_letter_bytes
from harness.wire import Writer, connect_request

from .peer import LONG_MS, Peer, exists, frame, read, request

FRAME_MAX = 0xFFFFF
CASES = {}


def case(function):
    """A case of its own name."""
    CASES[function.__name__] = function
    return function


def cases(name, values):
    """The same with each of some values."""
    def register(function):
        for label, value in values.items():
            CASES[f"{name}[{label}]"] = lambda port, path, value=value: function(port, path, value)
        return function
    return register


def length(value):
    return struct.pack(">i", value)


# --- Before there is a session ----------------------------------------------------------------------------------------

BAD_LENGTHS = {str(value): value for value in (-1, -2, -(1 << 31), FRAME_MAX + 1, 1 << 24, (1 << 31) - 1)}


@cases("first_length", BAD_LENGTHS)
def bad_first_length(port, _path, value):
    return Peer(port).say(length(value)).rest()


@cases("first_length_and_more", BAD_LENGTHS)
def bad_first_length_with_a_payload(port, _path, value):
    return Peer(port).say(length(value) + connect_request(LONG_MS)).rest()


@case
def nothing_at_all(port, _path):
    return Peer(port).hush().rest()


@cases("handshake_cut", {str(size): size for size in (1, 3, 4, 5, 20, 43, 48)})
def handshake_that_is_cut(port, _path, size):
    return Peer(port).say(frame(connect_request(LONG_MS))[:size]).hush().rest()


@cases("handshake_of", {str(size): size for size in (0, 1, 4, 8, 27, 28, 43)})
def handshake_that_is_too_short(port, _path, size):
    return Peer(port).say(frame(connect_request(LONG_MS)[:size])).rest()


@cases("handshake_bytes_behind", {str(size): size for size in (-1, 0, 1, 2, 55, 10_000, FRAME_MAX - 45)})
def handshake_with_more_behind_it(port, _path, size):
    payload = connect_request(LONG_MS, read_only=None) if size < 0 else connect_request(LONG_MS) + bytes(size)
    return Peer(port).say(frame(payload)).until_pong()


@cases("handshake_zeros", {str(size): size for size in (28, 29, FRAME_MAX)})
def handshake_of_zeros(port, _path, size):
    return Peer(port).say(frame(bytes(size))).until_pong()


@case
def handshake_byte_by_byte(port, _path):
    return Peer(port).drip(frame(connect_request(LONG_MS))).until_pong()


@case
def handshake_in_halves(port, _path):
    peer = Peer(port).say(frame(connect_request(LONG_MS))[:30])
    assert peer.is_quiet(0.2)
    return peer.say(frame(connect_request(LONG_MS))[30:]).until_pong()


PASSWORDS = {"null": None, "empty": b"", "15": bytes(15), "17": bytes(17), "1000": b"x" * 1000}


@cases("password", PASSWORDS)
def password_of_a_new_session(port, _path, password):
    return Peer(port).say(frame(connect_request(LONG_MS, password=password))).until_pong()


@cases("password_resuming", PASSWORDS)
def password_of_an_old_session(port, _path, password):
    owner = wire.Session(port)
    owner.close()
    refused = Peer(port).say(frame(connect_request(LONG_MS, owner.session_id, password))).rest()
    wire.Session(port, session_id=owner.session_id, password=owner.password).end()
    return refused


@cases("password_length", {str(value): value for value in (-2, -(1 << 31), 17, 2_097_150, 2_097_151, (1 << 31) - 1)})
def password_whose_length_lies(port, _path, value):
    payload = bytearray(connect_request(LONG_MS, read_only=None))
    payload[24:28] = length(value)
    return Peer(port).say(frame(payload)).rest()


@cases("timeout", {str(value): value for value in (0, -1, -(1 << 31), 1, (1 << 31) - 1)})
def odd_timeout(port, _path, value):
    return Peer(port).say(frame(connect_request(value))).until_pong()


@cases("unknown_session", {str(value): value for value in (1, -1, -(1 << 63), (1 << 63) - 1, 0xFF << 56 | 1)})
def unknown_session(port, _path, value):
    value -= (1 << 64) if value >= 1 << 63 else 0
    return Peer(port).say(frame(connect_request(LONG_MS, value, wire.password_of(value)))).rest()


@case
def zxid_from_the_future(port, _path):
    return Peer(port).say(frame(connect_request(LONG_MS, last_zxid=1 << 62))).rest()


@case
def negative_zxid(port, _path):
    return Peer(port).say(frame(connect_request(LONG_MS, last_zxid=-5))).until_pong()


@cases("read_only_byte", {str(value): value for value in (1, 2, 255)})
def odd_read_only_byte(port, _path, value):
    return Peer(port).say(frame(connect_request(LONG_MS, read_only=None) + bytes([value]))).until_pong()


@case
def ping_before_the_handshake(port, _path):
    return Peer(port).say(request(wire.PING_XID, wire.PING)).rest()


@case
def create_before_the_handshake(port, path):
    return Peer(port).say(request(1, wire.CREATE, wire.create_body(path))).rest()


@case
def close_before_the_handshake(port, _path):
    return Peer(port).say(request(1, wire.CLOSE_SESSION)).rest()


@case
def handshake_twice(port, _path):
    hello = frame(connect_request(LONG_MS))
    return Peer(port).hello().say(hello).rest()


@case
def handshake_twice_at_once(port, _path):
    hello = frame(connect_request(LONG_MS))
    peer = Peer(port).say(hello + hello)
    first = peer.frame()
    peer.has_session = True
    return [len(first), *peer.rest()]


@case
def requests_behind_the_handshake(port, path):
    peer = Peer(port)
    peer.say(frame(connect_request(LONG_MS)) + request(1, wire.CREATE, wire.create_body(path)) + read(path, 2))
    return peer.until_pong()


@case
def bad_length_behind_the_handshake(port, _path):
    peer = Peer(port).say(frame(connect_request(LONG_MS)) + length(-1))
    heard = peer.rest()
    # A close may overtake the answer, for which the session must first be durable.
    return [one for one in heard if one[0] != "session"]


OTHER_PROTOCOLS = {
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "tls": bytes.fromhex("16030100f8010000f40303") + bytes(200),
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "postgres": bytes.fromhex("0000000804d2162f"),
    "text": b"hello\n",
    "upper_case_word": b"RUOK",
    "unknown_word": b"rook",
    "digits": b"0000",
    "ff": b"\xff" * 100,
}


@cases("other_protocol", OTHER_PROTOCOLS)
def other_protocol(port, _path, data):
    return Peer(port).say(data).hush().rest()


@cases("garbage", {str(seed): seed for seed in range(20)})
def garbage_from_the_start(port, _path, seed):
    return Peer(port).say(random.Random(seed).randbytes(1 + seed * 50)).hush().rest()


@cases("garbage_framed", {str(seed): seed for seed in range(20)})
def garbage_in_a_frame(port, _path, seed):
    draw = random.Random(f"framed {seed}")
    return Peer(port).say(frame(draw.randbytes(draw.randrange(200)))).hush().rest()


# --- Four-letter words ------------------------------------------------------------------------------------------------

WORDS = {
    "plain": b"ruok", "line": b"ruok\r\n", "more": b"ruok" + b"x" * 1000, "two": b"ruokisro", "telnet": bytes.fromhex("fff4fffd"),
    "mask": b"stmk" + bytes(8), "handshake": b"ruok" + frame(connect_request(LONG_MS)),
}


@cases("word", WORDS)
def word(port, _path, data):
    # What is unread when a server closes makes the close a reset, which may overtake the answer.
    return [four_letter_bytes(port, data)] if len(data) <= 12 else Peer(port).say(data).rest_bytes()[1:]


@case
def word_byte_by_byte(port, _path):
    return Peer(port).drip(b"ruok").rest_bytes()


@cases("half_word", {"3": b"ruo", "mask": b"stmk1234"})
def half_a_word(port, _path, data):
    return Peer(port).say(data).hush().rest()


@case
def word_with_a_session(port, _path):
    return Peer(port).hello().say(b"ruok").rest()


# --- With a session ---------------------------------------------------------------------------------------------------

@cases("length", BAD_LENGTHS)
def bad_length(port, _path, value):
    return Peer(port).hello().say(length(value)).rest()


@cases("length_behind_a_request", BAD_LENGTHS)
def bad_length_behind_a_request(port, path, value):
    peer = Peer(port).hello().say(exists(path))
    first = peer.frame()
    return [len(first), *peer.say(length(value)).rest()]


@cases("frame_of", {str(size): size for size in range(8)})
def frame_without_a_whole_header(port, _path, size):
    return Peer(port).hello().say(frame(struct.pack(">ii", 1, wire.PING)[:size])).rest()


@cases("cut", {str(size): size for size in (1, 3, 4, 8, 12, 20)})
def request_that_is_cut(port, path, size):
    return Peer(port).hello().say(read(path)[:size]).hush().rest()


@cases("halves", {str(size): size for size in (1, 4, 8, 12, 20)})
def request_in_halves(port, path, size):
    peer = Peer(port).hello().say(read(path)[:size])
    assert peer.is_quiet(0.05)
    return peer.say(read(path)[size:]).until_pong()


@case
def requests_byte_by_byte(port, path):
    body = wire.create_body(path, b"data")
    return Peer(port).hello().drip(request(1, wire.CREATE, body) + read(path, 2) + read(path, 3)).until_pong()


@case
def longest_frame(port, path):
    room = FRAME_MAX - 8 - len(wire.create_body(path))
    body = wire.create_body(path, b"x" * room)
    return Peer(port).hello().say(request(1, wire.CREATE, body) + read(path, 2)).until_pong()


@case
def longest_frame_in_pieces(port, path):
    body = wire.create_body(path, b"x" * (FRAME_MAX - 8 - len(wire.create_body(path))))
    data = request(1, wire.CREATE, body)
    return Peer(port).hello().say(*(data[at:at + 10_007] for at in range(0, len(data), 10_007))).until_pong()


@case
def too_long_frame(port, path):
    room = FRAME_MAX - 8 - len(wire.create_body(path))
    return Peer(port).hello().say(request(1, wire.CREATE, wire.create_body(path, b"x" * (room + 1)))).rest()


UNIMPLEMENTED = -6
OPCODES = (-(1 << 31), -12, -10, -3, -2, -1, 0, 10, 13, 20, 23, 24, 99, 108, 1000, (1 << 31) - 1)


@cases("opcode", {str(opcode): opcode for opcode in OPCODES})
def unknown_or_servers_opcode(port, path, opcode):
    peer = Peer(port).hello().say(request(1, opcode, Writer().ustring(path).int(-1).bytes))
    heard = peer.answer()
    # Java answers and then closes, in two steps: a ping between them would be answered as well.
    is_unknown = heard[-1][0] == "reply" and heard[-1][2] == UNIMPLEMENTED
    return [*heard, *(peer.rest() if is_unknown else peer.until_pong())]


@cases("xid", {str(xid): xid for xid in (-(1 << 31), -8, -5, -4, -2, -1, 0, (1 << 31) - 1)})
def odd_xid(port, path, xid):
    peer = Peer(port).hello()
    heard = []
    for opcode in (wire.EXISTS, wire.SYNC):
        peer.say(request(xid, opcode, Writer().ustring(path).boolean(False).bytes))
        heard.append(peer.frame()[4:8])
    return [*heard, *peer.until_pong()]


@case
def ping_with_a_body(port, _path):
    return Peer(port).hello().say(request(7, wire.PING, b"x" * 1000)).until_pong()


@case
def close_with_a_body(port, _path):
    return Peer(port).hello().say(request(7, wire.CLOSE_SESSION, b"x" * 1000)).rest()


@case
def requests_behind_the_close(port, path):
    peer = Peer(port).hello()
    peer.say(request(1, wire.CLOSE_SESSION) + request(2, wire.CREATE, wire.create_body(path)) + read(path, 3))
    # How many of them are answered, with SessionExpired, is a matter of time.
    heard = [one for one in peer.rest() if one[:3] != ("reply", 2, -112) and one[:3] != ("reply", 3, -112)]
    return [*heard, *Peer(port).hello().say(exists(path)).until_pong()]


@case
def auth_that_is_cut(port, _path):
    body = Writer().int(0).ustring("digest").buffer(b"a:b").bytes
    return [Peer(port).hello().say(request(-4, wire.AUTH, body[:size])).rest() for size in range(len(body))]


AUTHS = {
    "null_scheme": (None, b"a:b"), "null_data": ("digest", None), "empty": ("digest", b""), "no_colon": ("digest", b"ab"),
    "unknown": ("nonsense", b"a:b"), "world": ("world", b"anyone"), "ip": ("ip", b"\xff" * 1000), "not_utf8": ("digest", b"\xff:\xfe"),
    "long": ("digest", b"a:" + b"b" * 1_000_000), "long_scheme": ("s" * 1_000_000, b""), "super": ("super", b""),
    "sasl": ("sasl", b"a"), "x509": ("x509", b"a"),
}


@cases("auth", AUTHS)
def odd_auth(port, _path, auth):
    scheme, data = auth
    peer = Peer(port).hello().say(request(-4, wire.AUTH, Writer().int(0).ustring(scheme).buffer(data).bytes))
    first = peer.frame()
    if first is None:
        return ["closed"]
    err = struct.unpack_from(">i", first, 16)[0]
    return [err, len(first), *(peer.until_pong() if err == 0 else peer.rest())]


@case
def the_same_auth_a_thousand_times(port, _path):
    one = request(-4, wire.AUTH, Writer().int(0).ustring("digest").buffer(b"a:b").bytes)
    heard = Peer(port).hello().say(one * 1000 + request(1, wire.WHO_AM_I)).until_pong()
    return [len(heard), heard[-2:]]


@cases("sasl", {"null": None, "empty": b"", "token": b"token", "long": b"x" * 1_000_000})
def sasl_without_sasl(port, _path, token):
    peer = Peer(port).hello().say(request(1, wire.SASL, Writer().buffer(token).bytes))
    return peer.until_pong() if token is not None else peer.rest()


@cases("set_watches", {"5": wire.SET_WATCHES, "2": wire.SET_WATCHES2})
def watches_on_many_paths_that_are_not_there(port, path, opcode):
    writer = Writer().long(0)
    writer.int(0)  # data
    writer.int(8000)
    for number in range(8000):
        writer.ustring(f"{path}/{number}")
    writer.int(0).int(0).int(0)
    return Peer(port).hello().say(request(-8, opcode, writer.bytes)).until_pong()


@case
def gone_without_a_word(port, path):
    """Resets in the middle of everything; whoever comes next is served."""
    for size in range(0, 40, 3):
        peer = Peer(port).hello().say(read(path) * 100 + read(path)[:size])
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
    return Peer(port).hello().say(exists(path)).until_pong()


@case
def garbage_behind_a_session(port, _path):
    heard = []
    for seed in range(20):
        draw = random.Random(f"behind {seed}")
        # Frames whose opcode is unknown, or whose length is none.
        heard.append(Peer(port).hello().say(struct.pack(">i", draw.choice((-7, 1 << 30))) + draw.randbytes(50)).rest())
        heard.append(Peer(port).hello().say(request(draw.randrange(1 << 31), draw.randrange(200, 1 << 31), b"")).rest()[-1])
    return heard


# --- Requests that are valid, and larger than any honest one ----------------------------------------------------------

@case
def many_identities(port, _path):
    packets = [request(-4, wire.AUTH, Writer().int(0).ustring("digest").buffer(b"user%d:x" % number).bytes) for number in range(20_000)]
    heard = Peer(port).hello().say(b"".join(packets)).until_pong()
    return [len(heard), heard[-2:]]


@case
def many_rights(port, path):
    acl = [(1, "ip", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}") for number in range(8000)]
    peer = Peer(port).hello().say(request(1, wire.CREATE, wire.create_body(path, acl=acl)) + exists(path, 2))
    return peer.until_pong()


@case
def the_same_right_many_times(port, path):
    peer = Peer(port).hello().say(request(1, wire.CREATE, wire.create_body(path, acl=wire.OPEN_ACL * 8000)))
    return peer.say(request(2, wire.GET_ACL, Writer().ustring(path).bytes)).until_pong()


@case
def long_identity(port, _path):
    """A name of half a megabyte; with its access lists, all that compare it would be as long."""
    packet = Writer().int(0).ustring("digest").buffer(b"u" * 500_000 + b":p").bytes
    return Peer(port).hello().say(request(-4, wire.AUTH, packet)).until_pong()


@case
def long_identities_together(port, _path):
    """Each name is of a length that one may have."""
    packets = [
        request(-4, wire.AUTH, Writer().int(0).ustring("digest").buffer(b"%d" % number + b"u" * 100_000 + b":p").bytes)
        for number in range(5)]
    return Peer(port).hello().say(*packets).until_pong()


@cases("rights_that_grow", {"not_utf8": b"\xff" * 900_000 + b":x"})
def rights_that_grow(port, path, identity):
    """A list whose record would be longer than what can be read back."""
    acl = Writer().int(1).int(31).ustring("digest").buffer(identity).bytes
    create = Writer().ustring(path).buffer(b"").bytes + acl + Writer().int(0).bytes
    # Whatever it has written, a Java server that reads such a record back does not start; this one is not started again.
    return Peer(port).hello().say(request(1, wire.CREATE, create)).until_pong()


@cases("many_operations", {"good": 40_000, "last_is_bad": 40_001})
def many_operations(port, path, count):
    check = (wire.CHECK, Writer().ustring("/").int(-1).bytes)
    bad = (wire.CHECK, Writer().ustring("/").int(77).bytes)
    operations = [check] * 40_000 + [bad] * (count - 40_000)
    return Peer(port).hello().say(request(1, wire.MULTI, wire.multi_body(operations))).until_pong()


@case
def many_creates_and_deletes_in_one(port, path):
    operations = [(wire.CREATE, wire.create_body(path))]
    for number in range(5000):
        child = f"{path}/{number}"
        operations.append((wire.CREATE, wire.create_body(child, flags=number % 2)))
        operations.append((wire.DELETE, Writer().ustring(child).int(0).bytes))
    return Peer(port).hello().say(request(1, wire.MULTI, wire.multi_body(operations))).until_pong()


@case
def deep_path(port, _path):
    deep = "/d" * 500_000
    heard = Peer(port).hello().say(request(1, wire.CREATE, wire.create_body(deep)) + exists(deep, 2)).until_pong()
    watch = Writer().ustring(deep).int(1).bytes
    return [*heard, *Peer(port).hello().say(request(1, wire.ADD_WATCH, watch)).until_pong()]


@case
def long_name(port, _path):
    name = "/" + "n" * 1_000_000
    return Peer(port).hello().say(request(1, wire.CREATE, wire.create_body(name)) + exists(name, 2) + request(
        3, wire.DELETE, Writer().ustring(name).int(0).bytes)).until_pong()


# --- Clients that do not read -----------------------------------------------------------------------------------------

def large(port, path, size):
    session = wire.Session(port)
    assert session.create(path, b"x" * size).err == 0
    return session


@cases("asked_behind_long_replies", {str(count): count for count in (1, 2, 3, 4)})
def requests_behind_long_replies(port, path, count):
    owner = wire.Session(port)
    for number in range(3):
        assert owner.create(f"{path}-{number}", b"x" * 800_000).err == 0
    owner.end()
    long = request(1, wire.MULTI_READ, wire.multi_body([
        (wire.GET_DATA, Writer().ustring(f"{path}-{number}").boolean(False).bytes) for number in range(3)]))
    peer = Peer(port).hello()
    heard = []
    for _ in range(3):
        peer.say(long * count)
        heard += [len(peer.frame()) for _ in range(count)]
    return [*heard, *peer.until_pong()]


@case
def replies_that_are_read_late(port, path):
    """100 MB of replies wait, others are served, and then all of them come in order."""
    owner = large(port, path, 500_000)
    peer = Peer(port).hello().say(*(read(path, xid) for xid in range(1, 201)))
    assert owner.call(wire.SYNC, Writer().ustring("/").bytes).err == 0
    heard = peer.until_pong()
    assert [one[1] for one in heard[:-1]] == list(range(1, 201))
    owner.end()
    return [len(heard), heard[0], heard[-1]]


@case
def replies_behind_a_write_that_are_read_late(port, path):
    """The same when the reads stand behind a write of their own connection."""
    owner = large(port, path, 500_000)
    write = request(1, wire.SYNC, Writer().ustring("/").bytes) + request(2, wire.CREATE, wire.create_body(f"{path}/c"))
    peer = Peer(port).hello().say(write + b"".join(read(path, xid) for xid in range(3, 203)))
    assert owner.call(wire.SYNC, Writer().ustring("/").bytes).err == 0
    heard = peer.until_pong()
    assert [one[1] for one in heard[:-1]] == list(range(1, 203))
    owner.end()
    return [len(heard), heard[2], heard[-1]]


@case
def replies_that_nobody_reads(port, path):
    """The client goes while its replies wait."""
    owner = large(port, path, 500_000)
    for _ in range(5):
        Peer(port).hello().say(*(read(path, xid) for xid in range(1, 51))).close()
    owner.end()
    return Peer(port).hello().say(exists(path)).until_pong()
