"""Thousands of clients in one process of their own: one epoll, no thread, nothing that a client library would add.

    with Crowd(port, ["127.0.0.1"], timeout_ms=4000) as crowd:
        crowd.call("open", 10_000)
        time.sleep(10)
        assert crowd.call("alive") == 10_000

A `Crowd` is the handle; `_Clients` does the work in the child: what it is asked for, and pings whenever a third of a timeout has
passed, as honest clients do. Clients are numbered in the order of their coming.
"""

import multiprocessing
import resource
import select
import signal
import socket
import struct
import time
import traceback
from collections import deque

from harness import wire
from harness.servers import die_with_parent

# So many connections are opened at once; a server keeps fifty waiting by default.
OPENING_MAX = 40
PING = struct.pack(">iii", 8, wire.PING_XID, wire.PING)
ANSWER_SECONDS_MAX = 60


class Crowd:
    """See the module's description."""

    def __init__(self, port, addresses, timeout_ms):
        context = multiprocessing.get_context("fork")
        self.pipe, child = context.Pipe()
        self.process = context.Process(target=_serve, args=(child, port, addresses, timeout_ms), daemon=True)
        self.process.start()
        child.close()

    def begin(self, method, *arguments, **more):
        """Lets the clients do something, without waiting."""
        self.pipe.send((method, arguments, more))

    def result(self):
        """What came of it."""
        ok, value = self.pipe.recv()
        assert ok, value
        return value

    def call(self, method, *arguments, **more):
        """Lets the clients do something."""
        self.begin(method, *arguments, **more)
        return self.result()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # It has nothing to finish: its sockets are closed by its end.
        self.process.kill()
        self.process.join()


def _serve(pipe, port, addresses, timeout_ms):
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    clients = _Clients(port, addresses, timeout_ms)
    while True:
        while not pipe.poll(0):
            clients.live()
        method, arguments, more = pipe.recv()
        try:
            pipe.send((True, getattr(clients, method)(*arguments, **more)))
        except BaseException:
            pipe.send((False, traceback.format_exc()))


class _Client:
    """One connection."""

    __slots__ = ("socket", "number", "session", "received", "sent_at", "closed_at", "said_last_at")

    def __init__(self, connection, number):
        self.socket, self.number = connection, number
        self.session = 0
        self.received = b""
        self.sent_at = deque()  # Of each request that is not answered.
        self.said_last_at = time.monotonic()
        self.closed_at = None


class _Clients:
    """All of them."""

    def __init__(self, port, addresses, timeout_ms):
        self.port, self.addresses, self.timeout_ms = port, addresses, timeout_ms
        self.epoll = select.epoll()
        self.clients = []
        self.by_descriptor = {}
        self.to_ping = deque()
        self.pongs = 0
        self.latencies = []
        self.silent = set()

    # --- What can be asked for ----------------------------------------------------------------------------------------

    def open(self, count):
        """Opens connections and sessions; gives how many got a session. The others were closed without a byte."""
        hello = wire.connect_request(self.timeout_ms)
        hello = struct.pack(">i", len(hello)) + hello
        opened, opening = [], set()
        deadline = time.monotonic() + ANSWER_SECONDS_MAX
        while len(opened) < count or opening:
            while len(opened) < count and len(opening) < OPENING_MAX:
                client = self._connect(hello)
                opened.append(client)
                opening.add(client)
            self.live()
            opening = {client for client in opening if not client.session and client.closed_at is None}
            assert time.monotonic() < deadline, "connections are not answered"
        return sum(1 for client in opened if client.session)

    def connect_only(self, count):
        """Opens connections that say nothing."""
        for _ in range(count):
            self._connect(b"")
            self._listen(0)

    def work(self, seconds, every_s, requests):
        """Each client sends one of the requests in turn, every so often, if the one before was answered; gives latencies."""
        self.latencies.clear()
        number = 0

        begin = time.monotonic()
        acted, count = 0, len(self.clients)
        while (passed := time.monotonic() - begin) < seconds:
            due = int(passed / every_s * count)
            for turn in range(acted, due):
                client = self.clients[turn % count]
                if not client.sent_at:
                    number += 1
                    self._say(client, requests[(number * 7 + client.number) % len(requests)])
            acted = due
            self.live()
        return self.latencies

    def pinged(self):
        """How many pings were answered so far."""
        return self.pongs

    def fall_silent(self, count):
        """The first of them will not say anything any more."""
        self.silent = {client.number for client in self.clients[:count]}

    def silence(self):
        """Of each client that is silent: from its last word to the server's close, in seconds; None if it is open."""
        return [
            client.closed_at and client.closed_at - client.said_last_at
            for client in self.clients if client.number in self.silent]

    def alive(self):
        """How many have a session and a connection, and are not silent."""
        self._listen(0)
        return sum(
            1 for client in self.clients if client.session and client.closed_at is None and client.number not in self.silent)

    def open_connections(self):
        """How many have a connection, with a session or without."""
        self._listen(0)
        return sum(1 for client in self.clients if client.closed_at is None)

    def flood(self, request, count):
        """Every client sends so many at once; gives how many were answered, each in its order."""
        for client in self.clients:
            for _ in range(count):
                client.sent_at.append(time.monotonic())
            client.socket.setblocking(True)
            client.socket.sendall(request * count)
            client.socket.setblocking(False)
        answered = len(self.latencies)
        deadline = time.monotonic() + ANSWER_SECONDS_MAX
        while any(client.sent_at for client in self.clients):
            assert time.monotonic() < deadline, "requests are not answered"
            self._listen(0.1)
        return len(self.latencies) - answered

    def close(self, count):
        """Closes the last of them."""
        for client in self.clients[-count:]:
            self._forget(client)
        del self.clients[-count:]

    # --- How ----------------------------------------------------------------------------------------------------------

    def _connect(self, hello):
        number = len(self.clients)
        connection = socket.socket()
        connection.bind((self.addresses[number % len(self.addresses)], 0))
        connection.connect(("127.0.0.1", self.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)
        client = _Client(connection, number)
        self.clients.append(client)
        self.by_descriptor[connection.fileno()] = client
        self.epoll.register(connection.fileno(), select.EPOLLIN)
        if hello:
            try:
                connection.send(hello)
            except OSError:
                self._forget(client)
        return client

    def _say(self, client, data):
        if client.closed_at is not None:
            return
        now = time.monotonic()
        try:
            sent = client.socket.send(data)
        except OSError:
            self._forget(client)
            return
        assert sent == len(data), "a small request does not fit into an empty buffer"
        client.sent_at.append(now)
        client.said_last_at = now

    def live(self):
        """Hears what has come, and pings for whoever has said nothing for a third of its timeout."""
        self._listen(0.002)
        latest = time.monotonic() - self.timeout_ms / 3000
        while self.to_ping and self.to_ping[0].said_last_at < latest:
            client = self.to_ping.popleft()
            if client.closed_at is None and client.number not in self.silent:
                self._say(client, PING)
                self.to_ping.append(client)

    def _listen(self, seconds):
        for descriptor, _ in self.epoll.poll(seconds, 4096):
            client = self.by_descriptor[descriptor]
            try:
                data = client.socket.recv(65536)
            except OSError:
                data = b""
            if data:
                self._hear(client, client.received + data)
            else:
                self._forget(client)

    def _hear(self, client, data):
        now, at = time.monotonic(), 0
        while len(data) - at >= 4:
            length = struct.unpack_from(">i", data, at)[0]
            if len(data) - at - 4 < length:
                break
            at += 4 + length
            if client.session:
                self._answered(client, struct.unpack_from(">i", data, at - length)[0], now)
            else:
                client.session = struct.unpack_from(">q", data, 12)[0]
                self.to_ping.append(client)
        client.received = data[at:]

    def _answered(self, client, xid, now):
        sent_at = client.sent_at.popleft()
        if xid == wire.PING_XID:
            self.pongs += 1
        else:
            self.latencies.append(now - sent_at)

    def _forget(self, client):
        if client.closed_at is None:
            client.closed_at = time.monotonic()
            self.epoll.unregister(client.socket.fileno())
            del self.by_descriptor[client.socket.fileno()]
            client.socket.close()
