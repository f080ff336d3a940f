"""What TLS costs a server: its CPU for each request of one client that has 16 outstanding, by TLS and without, and for each session
that begins, with what the client has kept of the one before if the server takes that.

    PYTHONPATH=tests .deps/venv/bin/python -m tls.cost [zabd|java395] [TURNS]

Each request is a record of TLS of its own. A turn is 16 of them.
"""

import struct
import sys
import tempfile
from pathlib import Path

from harness import wire
from harness.observing import cpu_seconds

from .authority import Authority
from .client import TlsSession
from .conftest import House

OUTSTANDING = 16
WARM_UP = {"zabd": 200, "java395": 1000}
PATH = struct.pack(">i", 2) + b"/m"
OPERATIONS = {
    "get": (wire.GET_DATA, PATH + b"\0", 1),
    "set": (wire.SET_DATA, PATH + struct.pack(">i", 100) + bytes(100) + struct.pack(">i", -1), 4),
}


def microseconds(house, session, operation, turns):
    """CPU of the server for each request."""
    op, body, share = OPERATIONS[operation]
    request = struct.pack(">iii", 8 + len(body), 1, op) + body

    def turn():
        for _ in range(OUTSTANDING):
            session.send(request)
        for _ in range(OUTSTANDING):
            session.frame()

    for _ in range(WARM_UP[house.server.kind]):
        turn()
    before = cpu_seconds(house.server.process.pid)
    for _ in range(turns // share):
        turn()
    return (cpu_seconds(house.server.process.pid) - before) / (turns // share * OUTSTANDING) * 1e6


def microseconds_of_a_beginning(house, begin, count=500):
    """CPU of the server for each session, which ends at once."""
    before = cpu_seconds(house.server.process.pid)
    for _ in range(count):
        begin().end()
    return (cpu_seconds(house.server.process.pid) - before) / count * 1e6


def beginnings(house):
    """CPU for a session in plain text, by TLS, and by TLS with what was kept."""
    context = house.context()
    kept = None
    resumed = 0

    def again():
        nonlocal kept, resumed
        session = TlsSession(house.secure_port, context, kept)
        resumed += session.socket.session_reused
        kept = session.socket.session
        return session
    ways = [lambda: wire.Session(house.server.port), lambda: TlsSession(house.secure_port, context), again]
    for begin in ways:
        microseconds_of_a_beginning(house, begin, 100)
    return [*(microseconds_of_a_beginning(house, begin) for begin in ways), resumed]


def main(kind="zabd", turns="2000"):
    with tempfile.TemporaryDirectory() as directory:
        directory = Path(directory)
        (directory / "authority").mkdir()
        house = House(kind, directory / "server", Authority(directory / "authority")).start()
        with house.server:
            for _ in range(3):
                plain, whole, again, resumed = beginnings(house)
                print(f"{kind} session: {plain:.0f} µs, by TLS {whole:.0f} µs, again {again:.0f} µs ({resumed} resumed)", flush=True)
            plain = wire.Session(house.server.port, timeout_ms=40_000)
            secure = TlsSession(house.secure_port, house.context(), timeout_ms=40_000)
            assert plain.create("/m", bytes(100)).err == 0
            for operation in OPERATIONS:
                for _ in range(3):
                    costs = [microseconds(house, session, operation, int(turns)) for session in (plain, secure)]
                    print(f"{kind} {operation}: {costs[0]:.1f} µs, by TLS {costs[1]:.1f} µs, {costs[1] / costs[0]:.2f} times", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
