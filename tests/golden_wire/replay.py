"""Replays the captured exchanges of a Java server against a server and compares every answer.

`run(golden, port)` gives one `Exchange` per line: what the capture holds and what this server did, both in canonical form.
"""

import json
import struct
from dataclasses import dataclass, field
from enum import Enum

from harness import places, wire
from harness.servers import four_letter_bytes

from .canonical import Canonical

ANSWER_SECONDS_MAX = 3
LINES = 99  # Of the scenario; the lines behind it are of members of ensembles.
CONFIG = {"minSessionTimeout": 4000, "maxSessionTimeout": 40000}
PROPERTIES = {"extendedTypesEnabled": "true", "znode.container.checkIntervalMs": 3_600_000}


@dataclass
class Side:
    """What one server answered to one request."""

    answer: str = ""
    events: list = field(default_factory=list)
    closed: bool = False


@dataclass
class Exchange:
    """One line of the capture beside what the server under test did."""

    name: str
    note: str
    expected: Side
    actual: Side


class Of(Enum):
    """Which lines of a capture."""

    A_STANDALONE_SERVER = slice(None, LINES)
    MEMBERS = slice(LINES, None)


def golden(version, of=Of.A_STANDALONE_SERVER):
    """The captured lines of a version: its main scenario, or what follows it."""
    text = (places.GOLDEN / f"java-{version}" / "wire.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()[of.value]]


class Replay:
    """The state of a replay: open connections, and the sessions of both runs."""

    def __init__(self, port):
        self.port = port
        self.connections = {}
        self.sessions = {}  # Captured session id: ours.
        self.expected, self.actual = Canonical(), Canonical()

    def line(self, line):
        """Performs one line."""
        captured = bytes.fromhex(line["request_hex"])
        response = bytes.fromhex(line["response_hex"])
        expected, actual = Side(closed=line.get("closed_after", False)), Side()
        if line["name"].startswith("4lw_"):
            expected.answer = response.hex()
            actual = Side(four_letter_bytes(self.port, captured).hex(), closed=True)
            return Exchange(line["name"], line["note"], expected, actual)
        is_connect = line["conn"] not in self.connections
        expected.events = [self.expected.answer(None, bytes.fromhex(event)).hex() for event in line.get("events_hex", [])]
        canonical = self.expected.connect(response) if is_connect else self.expected.answer(captured, response)
        expected.answer = canonical.hex()
        try:
            self._perform(line, captured, response, is_connect, actual)
        except (OSError, AssertionError, struct.error) as error:
            actual.answer += f" {type(error).__name__}: {error}"  # The lines after it still get their turn.
        return Exchange(line["name"], line["note"], expected, actual)

    def _perform(self, line, captured, response, is_connect, actual):
        if is_connect:
            self.connections[line["conn"]] = wire.Connection(self.port)
        connection = self.connections[line["conn"]]
        if captured:
            connection.send(self._with_our_session(captured) if is_connect else captured)
        for _ in line.get("events_hex", []):
            actual.events.append(self.actual.answer(None, connection.frame(ANSWER_SECONDS_MAX)).hex())
        frame = connection.frame(ANSWER_SECONDS_MAX) if response else None
        if is_connect:
            self._learn_session(response, frame)
        actual.answer = (self.actual.connect(frame) if is_connect else self.actual.answer(captured, frame)).hex()
        if line.get("closed_after"):
            actual.closed = connection.until_closed() == b""
            connection.close()

    def _with_our_session(self, request):
        """A connect request that names a captured session names ours instead; a right password stays right."""
        if len(request) < 48:
            return request
        session_id = struct.unpack_from(">q", request, 20)[0]
        ours = self.sessions.get(session_id)
        if ours is None:
            return request
        password = request[32:48]
        if password == wire.password_of(session_id):
            password = wire.password_of(ours)
        return request[:20] + struct.pack(">q", ours) + request[28:32] + password + request[48:]

    def _learn_session(self, response, frame):
        if response and frame:
            self.sessions[struct.unpack_from(">q", response, 12)[0]] = struct.unpack_from(">q", frame, 12)[0]

    def keep_alive(self):
        """A ping on the session of 4 seconds: were it to expire on a slow machine, that would take a zxid."""
        connection = self.connections.get("short")
        if connection:
            connection.send_frame(struct.pack(">ii", wire.PING_XID, wire.PING))
            connection.frame(ANSWER_SECONDS_MAX)

    def open_connections(self):
        """Connections that the scenario leaves open, by label."""
        return {label: each for label, each in self.connections.items() if each.socket.fileno() != -1}


def run(lines, port):
    """Replays all lines; gives the exchanges and the replay, whose remaining connections the caller may examine."""
    replay = Replay(port)
    exchanges = []
    for line in lines:
        exchanges.append(replay.line(line))
        replay.keep_alive()
    return exchanges, replay
