"""The network between the members of an ensemble: one TCP proxy per direction and port, which can be told to hurt.

Member `a` dials member `b` at a port of its own, so that what goes on between any two is known by who they are:

    a ──► proxy (a dials b) ──► b        carries bytes of a → b, and of b → a

`hold(a, b)` keeps back what a says to b on all their connections, whoever dialled, as a network does that loses packets: nothing
is closed, nothing more arrives, and what was held arrives late when the hold ends. A new connection needs both ways. `cut` ends
connections at once. `slow` makes every chunk late, `narrow` lets only so many bytes a second through.

A member tells others on the election port at which address it can be called back; the proxy puts its own there.

Whoever wants to know what leaders say to learners sets `listener` before anybody dials.
"""

import asyncio
import socket
import struct
import threading
from collections import defaultdict

from harness.servers import free_port

CHUNK_BYTES = 16 << 10
REFUSED_SECONDS_MAX = 0.5
RECEIVED_BYTES_MAX = 64 << 10
# The forms of the first message on the election port that carry an address.
WITH_ADDRESS = (-65536, -65535)
INITIAL_HEAD = struct.Struct(">qqi")


class Direction:
    """What one member says to one other."""

    def __init__(self):
        self.is_open = asyncio.Event()
        self.is_open.set()
        self.delay_s = 0.0
        self.bytes_per_s = None


class Network:
    """All proxies of an ensemble, on one thread."""

    def __init__(self, ports):
        """`ports` maps every member to its own (quorum port, election port)."""
        self.ports = ports
        self.proxies = {}
        # `listener(learner, leader)` gives, for a new connection to a quorum port, what takes the leader's bytes, on this thread and
        # before they go on.
        self.listener = None
        self.listening = []
        for a in ports:
            for b in ports:
                if a != b:
                    self.proxies[a, b] = (free_port(), free_port())
        self.loop = asyncio.new_event_loop()
        self.directions = {pair: Direction() for pair in self.proxies}
        self.connections = defaultdict(set)
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self._run(self._listen())

    def address(self, a, b):
        """The (quorum port, election port) at which a finds b."""
        return self.ports[b] if a == b else self.proxies[a, b]

    # --- Hurting ------------------------------------------------------------------------------------------------------

    def hold(self, a, b):
        """Nothing that a says reaches b."""
        self._call(self.directions[a, b].is_open.clear)

    def release(self, a, b):
        """What a says reaches b again; what was held arrives."""
        self._call(self.directions[a, b].is_open.set)

    def split(self, *groups):
        """Nobody reaches anybody of another group; who is in several groups reaches all of these."""
        for a, b in self.directions:
            if not any(a in group and b in group for group in groups):
                self.hold(a, b)

    def cut(self, a, b):
        """Ends the connections between two members; they may dial again."""
        self._call(self._cut, a, b)

    def slow(self, a, b, delay_s):
        """What a says reaches b so much later."""
        self.directions[a, b].delay_s = delay_s

    def narrow(self, a, b, bytes_per_s):
        """Lets a say only so much to b."""
        self.directions[a, b].bytes_per_s = bytes_per_s

    def heal(self):
        """Everything is as at first; what was held arrives."""
        for direction in self.directions.values():
            direction.delay_s, direction.bytes_per_s = 0.0, None
            self._call(direction.is_open.set)

    def close(self):
        """Ends everything."""
        self._run(self._close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    # --- On the thread ------------------------------------------------------------------------------------------------

    def _call(self, function, *arguments):
        async def call():
            function(*arguments)

        self._run(call())

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    async def _listen(self):
        for (a, b), proxies in self.proxies.items():
            for proxy, target, is_election in zip(proxies, self.ports[b], (False, True)):
                def accept(reader, writer, a=a, b=b, target=target, is_election=is_election):
                    return self._carry(a, b, target, is_election, reader, writer)

                self.listening.append(await asyncio.start_server(accept, "127.0.0.1", proxy))

    async def _close(self):
        for server in self.listening:
            server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _cut(self, a, b):
        for pair in ((a, b), (b, a)):
            for task in self.connections[pair]:
                task.cancel()

    async def _carry(self, a, b, target, is_election, reader, writer):
        """One connection that a has dialled, to its end, however it comes to it."""
        task = asyncio.current_task()
        self.connections[a, b].add(task)
        ends = [writer]
        try:
            first = await self._initial_message(a, b, reader) if is_election else b""
            await self.directions[a, b].is_open.wait()
            await self.directions[b, a].is_open.wait()
            there_reader, there_writer = await self._dial(target, 0 if is_election else REFUSED_SECONDS_MAX)
            ends.append(there_writer)
            for end in ends:
                end.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            there_writer.write(first)
            heard = self.listener(a, b) if self.listener and not is_election else None
            await asyncio.gather(
                self._pump(self.directions[a, b], reader, there_writer),
                self._pump(self.directions[b, a], there_reader, writer, heard))
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.connections[a, b].discard(task)
            for end in ends:
                end.transport.abort()

    async def _dial(self, port, seconds):
        """A leader of Java listens some time after it was elected, and refuses learners until then. A proxy that has taken a
        connection cannot refuse it any more, so it is patient instead."""
        until = self.loop.time() + seconds
        while True:
            try:
                return await asyncio.open_connection(sock=await self._connected(port))
            except ConnectionRefusedError:
                if until <= self.loop.time():
                    raise
                await asyncio.sleep(0.01)

    async def _connected(self, target):
        """A connection that holds little, as what stands in front of a slow link does."""
        there = socket.socket()
        there.setblocking(False)
        there.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED_BYTES_MAX)
        try:
            await self.loop.sock_connect(there, ("127.0.0.1", target))
        except BaseException:
            there.close()
            raise
        return there

    async def _initial_message(self, a, b, reader):
        """The first message of a connection to the election port, with an address at which b finds a."""
        head = await reader.readexactly(INITIAL_HEAD.size)
        version, server, length = INITIAL_HEAD.unpack(head)
        assert version in WITH_ADDRESS, f"server {a} introduces itself with {head.hex()}"
        await reader.readexactly(length)
        address = f"127.0.0.1:{self.proxies[b, a][1]}".encode()
        return INITIAL_HEAD.pack(version, server, len(address)) + address

    async def _pump(self, direction, reader, writer, heard=None):
        """Carries one way; an end or an error of one side is told to the other."""
        due = asyncio.Queue(maxsize=64)
        taking = asyncio.create_task(self._take(direction, reader, due, heard))
        try:
            while chunk := await self._next_due(direction, due):
                writer.write(chunk)
                await writer.drain()
            writer.write_eof()
        except OSError:
            writer.transport.abort()
        finally:
            taking.cancel()

    async def _next_due(self, direction, due):
        at, chunk = await due.get()
        await asyncio.sleep(max(0, at - self.loop.time()))
        await direction.is_open.wait()
        return chunk

    async def _take(self, direction, reader, due, heard):
        chunk = b"begin"
        while chunk:
            try:
                chunk = await reader.read(CHUNK_BYTES)
            except OSError:
                chunk = b""
            if heard:
                heard(chunk)
            await due.put((self.loop.time() + direction.delay_s, chunk))
            if direction.bytes_per_s:
                await asyncio.sleep(len(chunk) / direction.bytes_per_s)
