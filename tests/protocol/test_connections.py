"""From the first byte of a connection to its session, and what ends it before that."""

import re
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import wire
from harness.servers import four_letter_bytes, four_letter_word
from harness.waiting import eventually
from harness.wire import Connection, Reader, Writer, connect_request

from .client import BAD_VERSION, NO_AUTH, OK, Client, path_and, path_watch

FRAME_MAX = 0xFFFFF


def closes(port, first_bytes):
    """Whether a new connection ends without a byte when it begins so."""
    connection = Connection(port)
    connection.send(first_bytes)
    return connection.until_closed() == b""


def framed(payload):
    return struct.pack(">i", len(payload)) + payload


def answer(port, payload):
    connection = Connection(port)
    connection.send_frame(payload)
    frame = connection.frame()
    connection.close()
    return frame


def test_a_frame_may_be_as_long_as_jute_maxbuffer(client, home):
    body = path_watch(home)
    request = struct.pack(">ii", 1, wire.EXISTS) + body
    client.send_frame(request + bytes(FRAME_MAX - len(request)))
    assert client.reply().err == OK  # What is behind the record is ignored.
    client.send(struct.pack(">i", FRAME_MAX + 1))
    assert client.is_closed()


@pytest.mark.parametrize("length", [-1, -(1 << 31), FRAME_MAX + 1, (1 << 31) - 1])
def test_a_bad_length_closes_at_once(house, length):
    assert closes(house.port, struct.pack(">i", length))


def test_whoever_is_closed_with_more_to_say_hears_an_end(house):
    """And no reset, behind which an answer might be lost."""
    with socket.create_connection(("127.0.0.1", house.port), timeout=20) as refused:
        refused.sendall(struct.pack(">i", -1) + bytes(300_000))
        assert refused.recv(1) == b""


def test_a_request_for_a_session_is_short(house, only_zabd):
    request = bytes(connect_request())
    assert len(answer(house.port, request + bytes((64 << 10) - len(request)))) == 4 + 37
    assert closes(house.port, struct.pack(">i", (64 << 10) + 1))


def test_a_reply_may_be_longer_than_a_request(client, home):
    names = [f"{number:06}-{'x' * 200}" for number in range(6000)]
    for name in names:
        client.submit(wire.CREATE, wire.create_body(f"{home}/{name}"))
    assert all(client.reply().err == OK for _ in names)
    assert client.names(home) == names


def test_frames_and_fields_have_the_limits_that_are_configured(house_of):
    house = house_of(properties={"jute.maxbuffer": 4096, "jute.maxbuffer.extrasize": 1024})
    client = house.client()
    for length in (-2, 4096 + 1024 + 1):
        assert client.call(wire.GET_DATA, Writer().int(length).bytes + bytes(100)).err == -5
    client.send(struct.pack(">i", 4097))
    assert client.is_closed()


def test_four_letters_are_a_length_once_there_is_a_session(client):
    client.send(b"ruok")
    assert client.is_closed()


def test_four_letters_may_come_one_by_one(house):
    with socket.create_connection(("127.0.0.1", house.port), 20) as connection:
        for letter in b"ruok":
            connection.sendall(bytes([letter]))
        assert connection.recv(10) == b"imok" and connection.recv(1) == b""


@pytest.mark.parametrize("version", [0, 1, -1, 1 << 30])
@pytest.mark.parametrize("password", [None, b"", bytes(16), b"x" * 1000], ids=["null", "empty", "zeros", "long"])
def test_version_and_password_of_a_new_session_are_ignored(house, version, password):
    frame = answer(house.port, bytes(Writer().int(version).long(0).int(10_000).long(0).buffer(password).boolean(False).bytes))
    reader = Reader(frame, 4)
    assert (reader.int(), reader.int()) == (0, 10_000)
    session_id, password = reader.long(), reader.buffer()
    assert password == wire.password_of(session_id) and reader.boolean() is False
    reader.done()


def test_the_read_only_byte_is_answered_in_kind(house):
    assert len(answer(house.port, connect_request(read_only=None))) == 4 + 36
    for read_only in (False, True):
        frame = answer(house.port, connect_request(read_only=read_only))
        assert len(frame) == 4 + 37 and frame[-1] == 0


@pytest.mark.parametrize("payload", [b"", bytes(10), bytes(24) + struct.pack(">i", 100)], ids=["empty", "short", "no password"])
def test_half_a_connect_request_closes(house, payload):
    assert closes(house.port, framed(payload))


def test_a_client_that_has_seen_more_is_turned_away_without_a_byte(house, client):
    now = client.ping().zxid
    assert closes(house.port, framed(connect_request(last_zxid=now + 1000)))
    resume = connect_request(session_id=client.session_id, password=client.password, last_zxid=1 << 62)
    assert closes(house.port, framed(resume))
    assert client.ping().err == OK  # Refused before the session is looked at.
    assert answer(house.port, connect_request(last_zxid=-5)) is not None
    said = f"Refusing session(0x{client.session_id:x}) request for client"
    eventually(lambda: re.search(rf"{re.escape(said)} \S+ as it has seen zxid 0x4000000000000000 our last zxid is 0x", house.log()))


def test_timeouts_are_negotiated(house_of):
    house = house_of(config={"minSessionTimeout": 5000, "maxSessionTimeout": 30_000})
    for asked, granted in ((-(1 << 31), 5000), (0, 5000), (1, 5000), (5001, 5001), (30_001, 30_000), ((1 << 31) - 1, 30_000)):
        assert house.client(timeout_ms=asked).timeout_ms == granted


def test_timeouts_are_between_two_and_twenty_ticks(house):
    assert house.client(timeout_ms=1).timeout_ms == 4000
    assert house.client(timeout_ms=10**9).timeout_ms == 40_000


def test_session_ids_count_up_from_the_server_and_its_start(house):
    ids = [house.client().session_id for _ in range(3)]
    assert ids[0] >> 56 == 1 and ids == [ids[0], ids[0] + 1, ids[0] + 2]


def test_session_ids_do_not_repeat_after_a_restart(house_of):
    house = house_of()
    before = house.client().session_id
    house.server.stop()
    house.server.start()
    assert house.client().session_id > before


def test_requests_may_follow_the_connect_request_at_once(house):
    connection = Connection(house.port)
    ping = struct.pack(">ii", wire.PING_XID, wire.PING)
    connection.send(framed(connect_request()) + framed(ping))
    assert len(connection.frame()) == 41
    assert Reader(connection.frame(), 4).int() == wire.PING_XID
    connection.close()


def test_a_second_connect_request_is_an_unknown_operation(client):
    client.send_frame(connect_request())
    reply = client.reply()
    assert (reply.xid, reply.zxid, reply.err) == (0, -1, -6)
    assert client.is_closed()


def test_a_frame_without_a_header_closes(house):
    for payload in (b"", bytes(7)):
        client = house.client()
        client.send_frame(payload)
        assert client.is_closed()


def test_a_silent_connection_is_closed(house_of):
    house = house_of(properties={"nio.sessionlessCnxnTimeout": 500})
    connection = Connection(house.port)
    half = Connection(house.port)
    half.send(framed(connect_request())[:20])
    began = time.monotonic()
    assert connection.until_closed() == half.until_closed() == b""
    assert time.monotonic() - began < 10
    eventually(lambda: house.figure("sessionless_connections_expired") == 2)


def refused(port):
    """Whether a new connection is closed at once; what a client sends may meet a reset."""
    try:
        connection = Connection(port)
        connection.send_frame(connect_request())
        answer = connection.frame()
        connection.close()
        return answer is None
    except (ConnectionResetError, BrokenPipeError):
        return True


def test_an_address_has_so_many_connections_at_most(house_of):
    house = house_of(config={"maxClientCnxns": 3, "4lw.commands.whitelist": "srvr"})
    clients = [house.client() for _ in range(3)]
    assert refused(house.port)
    eventually(lambda: "Too many connections from /127.0.0.1 - max is 3" in house.log())
    clients[0].end()
    eventually(lambda: not refused(house.port))


def test_all_addresses_together_have_so_many_connections(house_of):
    house = house_of(properties={"maxCnxns": 2})
    first, second = house.client(), house.client()
    assert refused(house.port)
    eventually(lambda: "Too many connections 2 - max is 2" in house.log())
    second.end()
    first.end()
    eventually(lambda: not refused(house.port))
    eventually(lambda: house.figure("connection_rejected") >= 1)


def test_new_sessions_are_paid_for_with_tokens(house_of):
    house = house_of(properties={"connection_throttle_tokens": 2, "connection_throttle_fill_count": 0})
    first = house.client()
    # Resuming costs as much as beginning.
    again = house.client(session_id=first.session_id, password=first.password)
    assert again.session_id == first.session_id
    assert closes(house.port, framed(connect_request()))
    assert house.figure("connection_rejected") == 1
    figures = house.figures()
    assert (figures["max_connection_token_deficit"], figures["cnt_connection_token_deficit"]) == ("2", "2")


def test_kinds_of_sessions_may_cost_differently(house_of):
    house = house_of(properties={
        "connection_throttle_tokens": 2, "connection_throttle_fill_count": 0, "connection_throttle_weight_enabled": "true"})
    first = house.client()  # Costs 3 of 6.
    assert house.client(session_id=first.session_id, password=first.password).session_id  # Costs 2.
    assert closes(house.port, framed(connect_request()))


def test_an_empty_bucket_makes_refusals_by_chance(house_of):
    house = house_of(properties={
        "connection_throttle_tokens": 1, "connection_throttle_fill_count": 0, "connection_throttle_freeze_time": 0,
        "connection_throttle_drop_increase": 1})
    house.client()
    time.sleep(0.005)  # The chance is looked at again after a millisecond.
    assert closes(house.port, framed(connect_request()))
    assert house.figure("connection_drop_probability") == 1.0


def test_requests_of_a_connection_are_answered_in_their_order(client, home):
    sent = []
    for number in range(1000):
        if number % 3 == 0:
            sent.append((client.submit(wire.CREATE, wire.create_body(f"{home}/{number}")), 0))
        elif number % 3 == 1:
            sent.append((client.submit(wire.EXISTS, path_watch(f"{home}/{number - 1}")), 0))
        else:
            sent.append((client.submit(wire.DELETE, Writer().ustring(f"{home}/{number - 2}").int(7).bytes), BAD_VERSION))
    replies = [client.reply() for _ in sent]
    assert [(reply.xid, reply.err) for reply in replies] == sent
    zxids = [reply.zxid for reply in replies]
    assert zxids == sorted(zxids)


def test_a_read_waits_for_its_own_connection_only(house_of, only_zabd):
    """With a write on its way, another session's read is served; that of the same session is not."""
    house = house_of(properties={"flushDelay": 1500, "maxWriteQueuePollTime": 1500})
    with ThreadPoolExecutor(2) as together:
        client, other = together.map(lambda _: house.client(), range(2))
    client.submit_together([(wire.CREATE, wire.create_body("/written")), (wire.EXISTS, path_watch("/written"))])
    eventually(lambda: house.figure("outstanding_requests") == 2)
    assert other.exists("/").err == OK
    assert house.figure("outstanding_requests") == 2, "the write was not on its way any more"
    assert [client.reply().err for _ in range(2)] == [OK, OK]


def test_above_the_limit_of_requests_in_flight_nothing_is_refused(house_of):
    """Nothing is read either, but for one request of a connection that has none on its way."""
    house = house_of(properties={"globalOutstandingLimit": 5, "flushDelay": 200, "maxWriteQueuePollTime": 200})
    with ThreadPoolExecutor(4) as together:
        clients = list(together.map(lambda _: house.client(), range(4)))
        body = Writer().ustring("/zookeeper/quota").buffer(b"").int(-1).bytes
        for client in clients:
            client.submit_together([(wire.SET_DATA, body)] * 30)
        replies = [together.submit(lambda client=client: [client.reply().err for _ in range(30)]) for client in clients]
        most = 0
        while not all(reply.done() for reply in replies):
            most = max(most, house.figure("outstanding_requests"))
        assert [reply.result() for reply in replies] == [[OK] * 30] * 4
    assert 5 <= most < 30, f"{most} of 120 on their way"  # The check and the reading of several connections overlap.
    assert all(client.set("/zookeeper/quota", b"").err == OK for client in clients)


def test_requests_are_in_flight_although_their_client_is_gone(house_of):
    """Clients that come and go would otherwise fill the server's memory while its disk is busy."""
    slow = {"flushDelay": 2000, "maxWriteQueuePollTime": 2000, "flushTransactionsMaxBatchSize": 100_000}
    house = house_of(properties={"globalOutstandingLimit": 10, **slow})
    observer = house.client(timeout_ms=20_000)
    assert observer.create("/all").err == OK
    with ThreadPoolExecutor(10) as together:
        clients = list(together.map(lambda _: house.client(timeout_ms=20_000), range(10)))
    for number, client in enumerate(clients):
        client.submit_together([(wire.CREATE, wire.create_body(f"/all/{number}-{at}")) for at in range(8)])
        eventually(lambda: house.figure("outstanding_requests") > number)
        client.close()
    assert house.figure("outstanding_requests") >= 10
    # Each of them may have one more than the others leave room for.
    assert observer.set("/all", b"").err == OK
    done = len(observer.names("/all"))
    assert 10 <= done < 40, done
    eventually(lambda: house.figure("outstanding_requests") == 0)


def large(client, path, size):
    client.submit(wire.SET_DATA, Writer().ustring(path).buffer(bytes(size)).int(-1).bytes)


def test_large_requests_have_so_many_bytes_together(house_of):
    house = house_of(properties={"largeRequestThreshold": 10_000, "largeRequestMaxBytes": 50_000})
    client = house.client()
    client.create("/large")
    for _ in range(20):  # One after the other they fit.
        large(client, "/large", 45_000)
        assert client.reply().err == OK
    assert client.set("/large", bytes(10_000 - 100)).err == OK
    large(client, "/large", 60_000)
    assert client.is_closed()
    assert house.figure("large_requests_rejected") == 1
    house.client().end()


def test_large_requests_are_counted_until_they_are_answered(house_of):
    house = house_of(properties={"largeRequestThreshold": 10_000, "largeRequestMaxBytes": 50_000, "flushDelay": 300})
    client, victim = house.client(), house.client()
    client.create("/large")
    large(client, "/large", 45_000)
    eventually(lambda: house.figure("outstanding_requests") == 1)
    large(victim, "/large", 20_000)
    assert victim.is_closed()
    assert client.reply().err == OK
    assert client.set("/large", bytes(45_000)).err == OK


def keepalive_is_on(port, local_port):
    """Whether the server's end of a connection has a timer of its own running."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in open(table).read().splitlines()[1:]:
            columns = line.split()
            ends = [int(columns[at].rsplit(":", 1)[1], 16) for at in (1, 2)]
            if ends == [port, local_port]:
                return columns[5].startswith("02:")
    raise AssertionError("the connection is not there")


@pytest.mark.parametrize("wanted", [False, True])
def test_keepalive_is_what_is_configured(house_of, wanted):
    house = house_of(properties={"clientTcpKeepAlive": str(wanted).lower()})
    client = house.client()
    local_port = client.socket.getsockname()[1]
    eventually(lambda: keepalive_is_on(house.port, local_port) == wanted)


def test_a_stopping_server_says_no_goodbye(house_of):
    house = house_of()
    client = house.client()
    assert house.server.stop() is not None
    assert client.is_closed()


def test_a_client_that_resumes_closes_its_connection_before(house, client):
    again = house.client(session_id=client.session_id, password=client.password)
    assert again.session_id == client.session_id
    assert client.is_closed()
    assert again.ping().err == OK


@pytest.mark.parametrize("what", ["password", "session"])
def test_a_session_that_cannot_be_resumed_is_refused_with_zeros(house, client, what):
    session_id = client.session_id if what == "password" else 0x0100000000001234
    password = wire.password_of(session_id) if what == "session" else b"\7" * 16
    for read_only, length in ((None, 36), (False, 37)):
        connection = Connection(house.port)
        connection.send_frame(connect_request(session_id=session_id, password=password, read_only=read_only))
        frame = connection.frame()
        assert frame == struct.pack(">i", length) + bytes(16) + struct.pack(">i", 16) + bytes(length - 20)
        assert connection.frame() is None
    said = (
        rf"Incorrect password from \S+ for session 0x{session_id:x}" if what == "password"
        else rf"Invalid session 0x{session_id:x} for client \S+, probably expired")
    eventually(lambda: re.search(said, house.log()))


def test_an_address_of_ipv6_is_written_in_eight_groups(house_of):
    house = house_of(config={"clientPortAddress": "::"}, properties={"audit.enable": "true"})
    client = house.client(host="::1")
    assert client.create("/v6").err == OK
    if house.kind != "java38":
        reader = client.call(wire.WHO_AM_I).reader()
        assert reader.vector(lambda: (reader.ustring(), reader.ustring())) == [("ip", "0:0:0:0:0:0:0:1")]
    port = client.socket.getsockname()[1]
    for word in ("cons", "stat"):
        assert f" /[0:0:0:0:0:0:0:1]:{port}[1](" in four_letter_word(house.port, word), word
    line = eventually(lambda: re.search("user=.*znode=/v6.*", house.log()))[0]
    assert line.split("\t")[:2] == ["user=0:0:0:0:0:0:0:1", "ip=0:0:0:0:0:0:0:1"]
    entries = (("::1", OK), ("0:0:0:0:0:0:0:1", OK), ("::2", NO_AUTH))
    for number, (entry, expected) in enumerate(entries):
        assert client.create(f"/acl-{number}", acl=((31, "ip", entry),)).err == OK
        assert client.get(f"/acl-{number}").err == expected, entry


def test_a_refused_update_is_no_operation_to_operators(house, client, home):
    def shown():
        return re.search(rf"sid=0x{client.session_id:x},lop=(\w+)", four_letter_word(house.port, "cons"))[1]

    for ask, word in (
        (lambda: client.delete(f"{home}/none"), "NA"), (lambda: client.get(f"{home}/none"), "GETD"),
        (lambda: client.create(home), "NA"), (lambda: client.set(home, b""), "SETD"),
        (lambda: client.call(wire.MULTI, wire.multi_body([(wire.DELETE, path_and(f"{home}/none", -1))])), "MULT"),
    ):
        ask()
        assert shown() == word


def test_what_a_connection_did_last_is_shown_until_it_is_reset(house, client, home):
    def shown():
        pattern = rf"sid=0x{client.session_id:x},lop=(\w+),est=\d+,to=\d+(?:,lcxid=(\w+))?,lzxid=(\w+)"
        return re.search(pattern, four_letter_word(house.port, "cons")).groups()

    zxid, xid = client.create(f"{home}/a").zxid, hex(client.xid)
    assert shown() == ("CREA", xid, hex(zxid))
    client.ping()
    assert shown() == ("PING", xid, hex(zxid))
    # All of it in one piece: it is worked off together.
    asked = [(client.xid + 1, wire.EXISTS, wire.Writer().ustring(home).boolean(False).bytes), (wire.PING_XID, wire.PING, b"")]
    frames = [struct.pack(">ii", number, op) + bytes(body) for number, op, body in asked]
    client.send(b"".join(struct.pack(">i", len(frame)) + frame for frame in frames))
    client.xid += 1
    assert len([client.frame() for _ in frames]) == 2
    xid = hex(client.xid)
    assert shown() == ("PING", xid, hex(zxid))
    four_letter_word(house.port, "crst")
    assert shown() == ("NA", None, "0xffffffffffffffff")
    client.ping()
    assert shown() == ("PING", None, hex(zxid))


def test_who_says_who_he_is_has_done_nothing_yet(house, client, home):
    """The last answer's moment is on the clock that counts from the machine's start, and stays where it is."""
    def shown():
        pattern = rf"sid=0x{client.session_id:x},lop=(\w+),.*,lcxid=(\w+),.*,lresp=(\d+),"
        operation, xid, moment = re.search(pattern, four_letter_word(house.port, "cons")).groups()
        return operation, xid, int(moment)

    for ask, word in ((lambda: client.create(f"{home}/a"), "CREA"), (lambda: client.exists(home), "EXIS")):
        before_ms = int(time.monotonic() * 1000)
        ask()
        last = shown()
        assert last[:2] == (word, hex(client.xid)) and before_ms <= last[2] <= time.monotonic() * 1000
        # Past that millisecond.
        eventually(lambda before=last[2]: time.monotonic() * 1000 > before + 2)
        client.auth("digest", "a:b")
        # Without a configuration of SASL the answer is a null token.
        assert client.call(wire.SASL, Writer().buffer(b"").bytes).err == OK
        assert shown() == last


def test_four_letter_words_need_no_session(house):
    assert "Mode: standalone" in four_letter_word(house.port, "srvr")
    assert four_letter_bytes(house.port, b"RUOK") == b""


def test_an_old_client_is_served(house):
    """The handshake of 3.3, without the last byte, then work."""
    connection = Client.__new__(Client)
    Connection.__init__(connection, house.port)
    connection.send_frame(connect_request(read_only=None))
    assert len(connection.frame()) == 40
    connection.xid, connection.events = 0, []
    assert connection.exists("/").err == OK
    connection.close()
