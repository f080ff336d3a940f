"""What a client can make the server hold or do is bounded: by what it sent, or by a number that is written here.

Java keeps for a client whatever that does not read, takes memory for a frame as soon as it is announced, and dies of a reply that
does not fit its heap; so these are about zabd alone, and each ends with the server in order and its memory given back.
"""

import os
import socket
import struct
import threading
import time

import pytest

from harness import wire
from harness.observing import figures, status_bytes
from harness.servers import Server, four_letter_word
from harness.wire import Writer
from harness.waiting import eventually

from .peer import ANSWER_SECONDS_MAX, LONG_MS, Peer, exists, frame, read, request as framed

MIB = 1 << 20
UNSENT_MAX = 64 * MIB
# A buffer that grows is there twice, the new one with room ahead; what the allocator keeps comes on top.
PEAK_MAX = 6 * UNSENT_MAX
# Memory that was freed is kept for a second or two, and a busy machine needs its own time. Each thread keeps a page of a few
# mebibytes at most for each size of block that it has used, whatever it was used for.
SETTLE_SECONDS_MAX = 20
LEFT_MAX = 48 * MIB
# How long a client may be silent before it has a session, and with a short one: what does not read ends soon.
SESSIONLESS_MS = SHORT_MS = 1000
RECURSIVE = 1
CREATED, CHANGED = 1, 3


class Watched:
    """A server and what it takes."""

    def __init__(self, server):
        self.server, self.port = server, server.port
        self.begin = self.rss()

    def status(self, key):
        return status_bytes(self.server.process.pid, key)

    def rss(self):
        return self.status("VmRSS")

    def peak(self):
        """The most that it took since it was forgotten last, beyond the beginning."""
        return self.status("VmHWM") - self.begin

    def forget_peak(self):
        with open(f"/proc/{self.server.process.pid}/clear_refs", "w") as file:
            file.write("5")

    def connections(self):
        return len([line for line in four_letter_word(self.port, "cons").splitlines() if line.strip()]) - 1

    def await_connections(self, count, seconds=30):
        eventually(lambda: self.connections() == count, seconds, "connections end")


@pytest.fixture
def watched(request, kind, tmp_path):
    if kind != "zabd":
        pytest.skip("what zabd bounds, and Java does not")
    config = {"tickTime": 500, "nio.sessionlessCnxnTimeout": SESSIONLESS_MS, **getattr(request, "param", {})}
    with Server(kind, tmp_path, config=config) as server:
        yield Watched(server)
        assert server.running, server.log_text()[-3000:]


def with_config(config):
    """The server of one test has other settings than those of the others."""
    return pytest.mark.parametrize("watched", [config], indirect=True, ids=["configured"])


def large_nodes(port, count, size=500_000):
    session = wire.Session(port)
    for number in range(count):
        assert session.create(f"/large-{number}", b"x" * size).err == 0
    session.end()


def test_a_frame_takes_what_has_come_of_it(watched):
    """A thousand frames of a megabyte are announced, and a hundred bytes of each are sent."""
    peers = [Peer(watched.port).hello() for _ in range(1000)]
    before = watched.rss()
    for peer in peers:
        peer.say(frame(bytes(1_000_000))[:100])
    assert Peer(watched.port).hello().say(exists("/")).until_pong()
    assert watched.rss() - before < 1000 * 4096


@with_config({"nio.sessionlessCnxnTimeout": 60_000})
def test_frames_that_come_slowly_are_complete_in_the_end(watched):
    """Two hundred connections are in the midst of a frame at any time; to open them all may take some seconds."""
    peers = [Peer(watched.port) for _ in range(200)]
    data = frame(wire.connect_request(LONG_MS)) + exists("/") + read("/zookeeper", 2)
    for at in range(0, len(data), 7):
        for peer in peers:
            peer.say(data[at:at + 7])
    for peer in peers:
        heard = peer.until_pong()
        assert [one[:3] for one in heard[1:-1]] == [("reply", 1, 0), ("reply", 2, 0)] and heard[-1] == "in order"


def test_replies_wait_in_the_request(watched):
    """Fifty clients ask for fifty megabytes each and read nothing: what is not sent is not made."""
    large_nodes(watched.port, 1)
    watched.forget_peak()
    peers = [Peer(watched.port).hello().say(b"".join(read("/large-0", xid) for xid in range(1, 101))) for _ in range(50)]
    assert Peer(watched.port).hello().say(exists("/")).until_pong()[-1] == "in order"
    assert watched.peak() < 50 * 3 * MIB
    for peer in peers:
        assert len(peer.until_pong()) == 101


def test_replies_behind_a_write_are_bounded(watched):
    """The largest replies there are, behind a write, and nobody reads them."""
    large_nodes(watched.port, 100, 600_000)
    several = framed(7, wire.MULTI_READ, wire.multi_body([
        (wire.GET_DATA, Writer().ustring(f"/large-{number}").boolean(False).bytes) for number in range(100)]))
    watched.begin = watched.rss()
    watched.forget_peak()
    peer = Peer(watched.port).hello(SHORT_MS).say(framed(1, wire.CREATE, wire.create_body("/a")) + several * 50)
    watched.await_connections(0)
    assert watched.peak() < PEAK_MAX
    assert peer.rest_bytes()[-1] == "closed"
    eventually(lambda: watched.rss() - watched.begin < LEFT_MAX, SETTLE_SECONDS_MAX, "memory is given back")


def test_a_small_request_does_not_ask_for_everything(watched):
    """Sixty thousand times the same large node in one request: refused, and the session goes on."""
    large_nodes(watched.port, 1)
    watched.forget_peak()
    get = (wire.GET_DATA, Writer().ustring("/large-0").boolean(False).bytes)
    peer = Peer(watched.port).hello().say(framed(1, wire.MULTI_READ, wire.multi_body([get] * 40_000)))
    assert peer.until_pong() == [("reply", 1, -5, "zxid", ""), "in order"]
    assert watched.peak() < PEAK_MAX


def test_events_that_nobody_reads_end_the_connection(watched):
    """120 MB of events for a client that never reads. Its session is alive, and it may come back."""
    watcher = wire.Session(watched.port, LONG_MS)
    assert watcher.call(wire.ADD_WATCH, Writer().ustring("/").int(RECURSIVE).bytes).err == 0
    watched.begin = watched.rss()
    watched.forget_peak()
    writer = wire.Session(watched.port)
    name = "/" + "n" * 30_000
    assert writer.create(name).err == 0
    change = Writer().ustring(name).buffer(b"").int(-1).bytes
    for _ in range(40):
        for _ in range(100):
            writer.submit(wire.SET_DATA, change)
        for _ in range(100):
            assert writer.reply().err == 0
    watched.await_connections(1)
    assert watched.peak() < PEAK_MAX
    eventually(lambda: watched.rss() - watched.begin < LEFT_MAX, SETTLE_SECONDS_MAX, "memory is given back")
    again = wire.Session(watched.port, LONG_MS, watcher.session_id, watcher.password)
    assert again.session_id == watcher.session_id
    again.end()
    writer.end()


def test_whoever_is_always_behind_does_not_make_a_buffer_grow(watched):
    """300 MB of replies for a client that reads as fast as it can, and never has everything."""
    large_nodes(watched.port, 1)
    watched.forget_peak()
    peer = Peer(watched.port).hello().say(b"".join(read("/large-0", xid) for xid in range(1, 601)))
    assert len(peer.until_pong()) == 601
    assert watched.peak() < 32 * MIB


UNSENT_TOGETHER_MAX = 64 * MIB


def slow_peer(port):
    """A client whose kernel does not take all of its replies for it."""
    peer = Peer(port)
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 256 << 10)
    return peer.hello()


@with_config({"zabd.unsentMaxBytes": UNSENT_TOGETHER_MAX, "tickTime": 2000})
def test_all_that_do_not_read_are_paused_together(watched):
    """Each of them keeps less than a connection may, and all together would keep more than all may. They stay, and are answered."""
    large_nodes(watched.port, 1, 50_000)
    watched.forget_peak()
    peers = [slow_peer(watched.port) for _ in range(150)]
    for peer in peers:
        peer.say(b"".join(read("/large-0", xid) for xid in range(1, 121)))
    assert Peer(watched.port).hello().say(exists("/")).until_pong()[-1] == "in order"
    eventually(lambda: UNSENT_TOGETHER_MAX / 4 < watched.peak(), SETTLE_SECONDS_MAX, "more is untaken than kernels keep")
    watched.await_connections(len(peers))
    for peer in peers[::15]:
        assert len(peer.until_pong()) == 121
    # What is unsent, the buffers that it stands in, and what the machine adds: all of it would be 900 MB.
    assert watched.peak() < 2 * UNSENT_TOGETHER_MAX
    for peer in peers:
        peer.close()
    eventually(lambda: watched.rss() - watched.begin < LEFT_MAX, SETTLE_SECONDS_MAX, "memory is given back")


@with_config({"zabd.unsentMaxBytes": UNSENT_TOGETHER_MAX, "tickTime": 2000})
def test_events_that_many_do_not_read_end_some_connections(watched):
    """400 MB of events for forty clients that read nothing, none of which has as much as one connection may; another one reads."""
    watch = framed(1, wire.ADD_WATCH, Writer().ustring("/").int(RECURSIVE).bytes)
    peers = [Peer(watched.port).hello().say(watch) for _ in range(40)]
    for peer in peers:
        assert peer.answer()[-1][:3] == ("reply", 1, 0)
    reader = wire.Session(watched.port, LONG_MS)
    assert reader.call(wire.ADD_WATCH, Writer().ustring("/").int(RECURSIVE).bytes).err == 0
    writer = wire.Session(watched.port)
    name = "/" + "n" * 30_000
    assert writer.create(name).err == 0
    watched.begin = watched.rss()
    watched.forget_peak()
    for _ in range(330):
        assert writer.call(wire.SET_DATA, Writer().ustring(name).buffer(b"").int(-1).bytes).err == 0
        assert reader.call(wire.PING, xid=wire.PING_XID).err == 0
    assert watched.peak() < 3 * UNSENT_TOGETHER_MAX
    assert [event[1] for event in reader.events] == [CREATED] + [CHANGED] * 330
    closed = watched.server.log_text().count("all clients together have more than zabd.unsentMaxBytes")
    assert 5 < closed <= len(peers)
    watched.await_connections(2 + len(peers) - closed)
    for peer in peers:
        peer.close()
    eventually(lambda: watched.rss() - watched.begin < LEFT_MAX, SETTLE_SECONDS_MAX, "memory is given back")
    reader.end()
    writer.end()


LONG_TOGETHER_MAX = 32 * MIB
LONG_PATH = Writer().ustring("/large-0").boolean(False).bytes


def ask_for_list(port):
    """16 MB of names."""
    many_children(port, "/many", 16)
    return framed(7, wire.GET_CHILDREN, Writer().ustring("/many").boolean(True).bytes)


def ask_for_many(port):
    """The same large znode twenty times in one request."""
    large_nodes(port, 1, 900_000)
    return framed(7, wire.MULTI_READ, wire.multi_body([(wire.GET_DATA, LONG_PATH)] * 20))


def ask_behind_a_write(port):
    """The same large znode twenty times, behind something that has to be written to the disk first."""
    large_nodes(port, 1, 900_000)
    set_data = framed(6, wire.SET_DATA, Writer().ustring("/large-0").buffer(b"y" * 900_000).int(-1).bytes)
    return set_data + b"".join(read("/large-0", xid) for xid in range(7, 27))


def many_children(port, parent, megabytes):
    """A list of so many megabytes, of names that are long."""
    session = wire.Session(port, LONG_MS)
    assert session.create(parent).err == 0
    for part in range(megabytes):
        names = [f"{parent}/{part:04}{number:04}{'n' * 988}" for number in range(1000)]
        # Each has a kilobyte in the reply, and the path once in the request; a request has a megabyte at most.
        for half in (names[:500], names[500:]):
            multi = wire.multi_body([(wire.CREATE, wire.create_body(name)) for name in half])
            assert session.call(wire.MULTI, multi).err == 0
    session.end()


class Taker(threading.Thread):
    """A client that reads as fast as it can, until it has so many replies."""

    def __init__(self, peer, replies):
        super().__init__(daemon=True)
        self.peer, self.replies, self.heard = peer, replies, []
        self.start()

    def run(self):
        try:
            while len(self.heard) < self.replies and (one := self.frame()) is not None:
                self.heard.append(one)
        except (ConnectionResetError, TimeoutError, wire.Closed) as error:
            self.heard.append(error)

    def frame(self):
        """Xid and error of the next frame; none at the end."""
        self.peer.socket.settimeout(ANSWER_SECONDS_MAX)
        head = b""
        while len(head) < 20:
            piece = self.peer.socket.recv(20 - len(head))
            if not piece:
                return None
            head += piece
        length, xid, _, error = struct.unpack(">iiqi", head)
        left = length - 16
        while left > 0:
            piece = self.peer.socket.recv(min(left, MIB))
            if not piece:
                raise wire.Closed("within a reply")
            left -= len(piece)
        return xid, error


@pytest.mark.parametrize("ask", [ask_for_list, ask_for_many, ask_behind_a_write])
@with_config({"zabd.unsentMaxBytes": LONG_TOGETHER_MAX, "tickTime": 2000})
def test_whoever_reads_gets_its_long_reply(watched, ask):
    """Thirty clients, or all that watch something, ask for 16 MB at the same moment, and take them at once."""
    request = ask(watched.port)
    peers = [Peer(watched.port).hello() for _ in range(30)]
    eventually(lambda: watched.rss() - watched.begin < LEFT_MAX + 32 * MIB, SETTLE_SECONDS_MAX, "memory is given back")
    watched.begin = watched.rss()
    watched.forget_peak()
    expected = [(6, 0)] * (ask is ask_behind_a_write) + [(xid, 0) for xid in range(7, 27 if ask is ask_behind_a_write else 8)]
    takers = [Taker(peer.say(request), len(expected)) for peer in peers]
    for taker in takers:
        taker.join()
    assert [taker.heard for taker in takers] == [expected] * len(takers)
    # What is unsent, at most, the buffers that it stands in, and what the allocator keeps of those that have just been sent (up to
    # 108 MB have been seen); without a bound it is 480 MB and more.
    assert watched.peak() < 6 * LONG_TOGETHER_MAX
    assert "Closing the connection" not in watched.server.log_text()


@with_config({"zabd.unsentMaxBytes": LONG_TOGETHER_MAX})
def test_whoever_does_not_read_goes_when_others_wait_for_long_replies(watched):
    """One asks and reads nothing. The others wait longer than their sessions may be silent; they say that they are there."""
    request = ask_for_list(watched.port)
    watched.begin = watched.rss()
    watched.forget_peak()
    silent = slow_peer(watched.port).say(request)
    eventually(lambda: watched.peak() > 8 * MIB, SETTLE_SECONDS_MAX, "it has its reply")
    takers = [Taker(Peer(watched.port).hello(SHORT_MS).say(request), 1) for _ in range(6)]
    while any(taker.is_alive() for taker in takers):
        for taker in takers:
            taker.peer.say(framed(wire.PING_XID, wire.PING))
        time.sleep(0.2)
    assert [taker.heard for taker in takers] == [[(7, 0)]] * len(takers)
    assert "for some seconds, and others wait" in watched.server.log_text()
    # With what kernels have taken for it.
    silent.until_closed(ANSWER_SECONDS_MAX)


@with_config({"zabd.unsentMaxBytes": LONG_TOGETHER_MAX})
def test_whoever_hangs_keeps_nobody_waiting_who_lives(watched):
    """Ten ask for a long reply each, one behind the other, and hang. Another one asks behind them, and says that it is there."""
    request = ask_for_list(watched.port)
    hung = [slow_peer(watched.port).say(request) for _ in range(10)]
    eventually(lambda: watched.peak() > 8 * MIB, SETTLE_SECONDS_MAX, "one has its reply")
    living = Taker(Peer(watched.port).hello(LONG_MS).say(request), 1)
    while living.is_alive():
        living.peer.say(framed(wire.PING_XID, wire.PING))
        time.sleep(0.1)
    assert living.heard == [(7, 0)]
    closed = watched.server.log_text().count("for some seconds, and others wait")
    assert closed < len(hung) / 2, "it has not waited for all of them"
    for peer in hung:
        peer.close()


class SlowReader(threading.Thread):
    """Takes 80 KiB a second from a small window, until it is told to take the rest."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.peer, self.taken, self.is_hasty = Peer(port), 0, threading.Event()
        self.peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)
        self.peer.hello()

    def run(self):
        while piece := self.peer.socket.recv(MIB if self.is_hasty.wait(0.1) else 8 << 10):
            self.taken += len(piece)


@with_config({"zabd.unsentMaxBytes": 24 * MIB})
def test_whoever_waits_behind_a_slow_reader_is_alive(watched):
    """18 MB that are taken in small pieces hold up only long replies, and nobody who is heard is closed, expires or is forgotten."""
    port = watched.port
    observer = wire.Session(port, LONG_MS)
    assert observer.create("/short", b"x" * 200_000).err == 0
    slow = SlowReader(port)
    slow.peer.say(ask_for_many(port))
    slow.start()
    eventually(lambda: slow.taken > 0)

    def create(xid, path, flags=1):
        return framed(xid, wire.CREATE, wire.create_body(path, flags=flags))

    def there(path):
        return observer.call(wire.EXISTS, Writer().ustring(path).boolean(False).bytes).err == 0

    gone = Peer(port).hello().say(create(1, "/gone"))
    assert gone.answer()[-1][:3] == ("reply", 1, 0)
    gone.say(read("/large-0", 2) + create(3, "/left", 0) + framed(4, wire.CLOSE_SESSION)).close()
    # Its pings stand behind more than is read of whoever waits.
    waiting = Peer(port).hello(SHORT_MS).say(create(1, "/waiting"))
    assert waiting.answer()[-1][:3] == ("reply", 1, 0)
    waiting.say(read("/large-0", 2) + exists("/") * 4000)
    mute = Peer(port).hello(SHORT_MS).say(create(1, "/mute"))
    assert mute.answer()[-1][:3] == ("reply", 1, 0)
    mute.say(read("/large-0", 2))
    begin = time.monotonic()
    while time.monotonic() < begin + 7:  # Longer than it may be silent, and than the slow one may take nothing.
        waiting.say(framed(wire.PING_XID, wire.PING))
        assert Peer(port).hello().say(read("/short", 3)).answer()[-1][:3] == ("reply", 3, 0), "a short one passes"
        assert there("/waiting")
        time.sleep(0.1)
    assert waiting.is_quiet() and slow.is_alive() and slow.taken < MIB
    eventually(lambda: not there("/mute"))
    slow.is_hasty.set()
    assert waiting.answer()[-1][:3] == ("reply", 2, 0)
    eventually(lambda: not there("/gone"))
    assert there("/left") and there("/waiting")
    assert "Closing the connection" not in watched.server.log_text()
    observer.end()


INCOMPLETE_TOGETHER_MAX = 32 * MIB


@with_config({"zabd.incompleteMaxBytes": INCOMPLETE_TOGETHER_MAX, "tickTime": 2000})
def test_requests_that_have_come_in_part_share_a_bound(watched):
    """Two hundred clients send nearly all of a megabyte; those that began first go. Who completes a request is not concerned."""
    honest = wire.Session(watched.port, LONG_MS)
    assert honest.create("/honest").err == 0
    whole = framed(7, wire.SET_DATA, Writer().ustring("/honest").buffer(b"x" * 900_000).int(-1).bytes)
    watched.begin = watched.rss()
    watched.forget_peak()
    peers = []
    for number in range(200):
        peers.append(Peer(watched.port).hello().say(whole[:800_000]))
        if number % 10 == 0:
            assert honest.call(wire.SET_DATA, whole[12:]).err == 0
    assert Peer(watched.port).hello().say(exists("/")).until_pong()[-1] == "in order"
    # One that grows is there twice.
    assert watched.peak() < 3 * INCOMPLETE_TOGETHER_MAX
    closed = watched.server.log_text().count("all clients together have more than zabd.incompleteMaxBytes")
    assert 150 < closed < 190
    for peer in peers[:100:10]:
        assert peer.rest_bytes() == [b"", "closed"]
    for peer in peers[-5:]:
        assert peer.say(whole[800_000:]).answer()[-1][:3] == ("reply", 7, 0)
    for peer in peers:
        peer.close()
    eventually(lambda: watched.rss() - watched.begin < LEFT_MAX, SETTLE_SECONDS_MAX, "memory is given back")
    assert honest.call(wire.SET_DATA, whole[12:]).err == 0
    honest.end()


@with_config({"tickTime": 2000})
def test_a_large_request_leaves_no_room_behind(watched):
    """Two hundred clients send a megabyte and a few bytes of the next request: only those are kept."""
    writer = wire.Session(watched.port, LONG_MS)
    assert writer.create("/large").err == 0
    whole = framed(7, wire.SET_DATA, Writer().ustring("/large").buffer(b"x" * 900_000).int(-1).bytes)
    watched.begin = watched.rss()
    peers = [Peer(watched.port).hello() for _ in range(200)]
    for peer in peers:
        assert peer.say(whole + whole[:20]).answer()[-1][:3] == ("reply", 7, 0)
    eventually(lambda: watched.rss() - watched.begin < LEFT_MAX, SETTLE_SECONDS_MAX, "memory is given back")
    for peer in peers[::20]:
        assert peer.say(whole[20:]).answer()[-1][:3] == ("reply", 7, 0)
    writer.end()


def test_whoever_is_silent_is_closed_whatever_waits_for_it(watched):
    """The replies of a client that neither reads nor says anything do not keep its connection."""
    large_nodes(watched.port, 1)
    peers = [Peer(watched.port) for _ in range(5)]
    for peer in peers:
        peer.say(frame(wire.connect_request(SHORT_MS)) + b"".join(read("/large-0", xid) for xid in range(1, 101)))
    eventually(lambda: watched.connections() == 0, 10, "silent connections are closed")
    assert "0" == figures(watched.port)["global_sessions"]


def test_whoever_reads_slowly_stays(watched):
    """A client that takes its replies bit by bit, and whose pings stand behind them, is alive."""
    large_nodes(watched.port, 1)
    peer = Peer(watched.port)
    peer.say(frame(wire.connect_request(SHORT_MS)))
    first = peer.frame()
    session = wire.Reader(first, 12).long()
    peer.has_session = True
    peer.say(b"".join(read("/large-0", xid) for xid in range(1, 61)))
    for _ in range(60):
        # Half of a second's timeout for each.
        time.sleep(0.05)
        assert peer.frame() is not None
    assert peer.until_pong()[-1] == "in order"
    assert hex(session) in four_letter_word(watched.port, "dump")


def test_long_lists_of_rights_hold_nobody_up(watched):
    """Forty thousand different entries in one list, while somebody else asks."""
    acl = [(1, "ip", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}") for number in range(40_000)]
    body = wire.create_body("/a", acl=acl)
    other = wire.Session(watched.port)
    peer = Peer(watched.port).hello()
    begin = time.monotonic()
    peer.say(*[framed(1, wire.CREATE, body)] * 10)
    for number in range(20):
        assert other.create(f"/other-{number}").err == 0
    # With each entry compared with each, one such list takes three seconds.
    assert time.monotonic() - begin < 5
    heard = peer.until_pong()
    assert [one[2] for one in heard[:-1]] == [0] + [-110] * 9
    other.end()


def test_whatever_was_sent_is_given_back(watched):
    """Descriptors and memory after a thousand connections that ended in all kinds of ways."""
    pid = watched.server.process.pid
    wire.Session(watched.port).end()  # The log is open from the first record on.
    descriptors = len(os.listdir(f"/proc/{pid}/fd"))
    for number in range(1000):
        peer = Peer(watched.port)
        peer.say(frame(wire.connect_request(LONG_MS))[:number % 60])
        peer.close()
    sessions = []
    for number in range(300):
        peer = Peer(watched.port).hello()
        peer.say(read("/zookeeper")[:number % 30], *([b"\xff" * 4] if number % 3 == 0 else []))
        sessions.append(peer)
    for peer in sessions:
        peer.close()
    eventually(lambda: len(os.listdir(f"/proc/{pid}/fd")) <= descriptors, 10, "descriptors are closed")
    eventually(lambda: watched.rss() - watched.begin < 8 * MIB, SETTLE_SECONDS_MAX, "memory is given back")
