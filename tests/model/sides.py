"""Sides that walk in step: each is told every action, and gives back all that its clients hear.

What a client hears is a list of canonical frames in their order, so that two sides are the same when their lists are equal.
Clients that did not act send a ping afterwards: what comes before its answer belongs to the action.
"""

import socket
import struct

from harness import wire

from .actions import SLOTS, Burst, End, Resume
from .differences import Heard
from .server import ModelServer

TIMEOUT_MS = 40_000
CLOSED, OPEN = b"closed", b"open"
PING = struct.pack(">iii", 8, wire.PING_XID, wire.PING)


class ServerSide:
    """A running server and its clients."""

    def __init__(self, server, as_of_38=False):
        self.name = server.kind
        self.port = server.port
        self.heard = Heard(server.kind, as_of_38)
        self.slots = [None] * SLOTS
        self.ended = None
        self.sent = []

    def connect(self, slot):
        """A new session; gives what the client is told."""
        session = self.slots[slot] = wire.Session(self.port, TIMEOUT_MS)
        return [self.told(session)]

    def told(self, session):
        frame = struct.pack(">iiiq", 0, 0, session.timeout_ms, session.session_id) + struct.pack(">i", 16) + session.password
        return self.heard.connect(struct.pack(">i", len(frame) - 4) + frame[4:])

    def begin(self, action):
        """Sends, without waiting, what can be sent so."""
        if isinstance(action, Burst):
            session = self.slots[action.slot]
            self.sent, data = [], b""
            for request in action.requests:
                if (xid := request.xid) is None:
                    session.xid += 1
                    xid = session.xid
                frame = struct.pack(">iii", len(request.body) + 8, xid, request.opcode) + request.body
                self.sent.append(frame)
                data += frame
            session.send(data)

    def finish(self, action):
        """What the acting client hears."""
        session = self.slots[action.slot]
        if isinstance(action, Burst):
            return [frame for sent in self.sent for frame in self.until_reply(session, sent)]
        if isinstance(action, End):
            sent = struct.pack(">iii", 8, 0, wire.CLOSE_SESSION)
            session.send(sent)
            *events, reply = self.until_reply(session, sent)
            said = [*sorted(events), reply, CLOSED if session.frame() is None else OPEN]
            session.close()
            self.ended = session.session_id, session.password
            return said
        if isinstance(action, Resume):
            return self.resume(action, session)
        if self.ended is None:
            return []
        refused = wire.Session(self.port, TIMEOUT_MS, *self.ended)
        said = [self.told(refused), CLOSED if refused.frame() is None else OPEN]
        refused.close()
        return said

    def resume(self, action, session):
        if action.closes_first:
            leave(session)
        resumed = self.slots[action.slot] = wire.Session(self.port, TIMEOUT_MS, session.session_id, session.password)
        resumed.xid = session.xid
        said = [self.told(resumed)]
        if not action.closes_first:
            said.append(CLOSED if session.frame() is None else OPEN)
            session.close()
        return said

    def until_reply(self, session, sent):
        """Events, then the reply."""
        said = []
        while True:
            frame = session.frame()
            if frame is None:
                return [*said, CLOSED]
            if struct.unpack_from(">i", frame, 4)[0] != wire.EVENT_XID:
                return [*said, self.heard.answer(sent, frame)]
            said.append(self.heard.answer(None, frame))

    def send_pings(self, slots):
        for slot in slots:
            self.slots[slot].send(PING)

    def take_ping(self, slot, ordered):
        """What another client heard meanwhile, and its ping's answer."""
        *events, reply = self.until_reply(self.slots[slot], PING)
        return [*(events if ordered else sorted(events)), reply]

    def close(self):
        for session in self.slots:
            if session is not None:
                session.close()


def leave(session):
    """Closes a connection whose session lives on, and waits until the server has done so, too."""
    session.socket.shutdown(socket.SHUT_WR)
    assert session.until_closed() == b""
    session.close()


class ModelSide:
    """The model and its clients."""

    name = "model"

    def __init__(self, as_of_38=False):
        self.server = ModelServer(events_have_zxids=not as_of_38)
        self.slots = [None] * SLOTS
        self.xids = [0] * SLOTS
        self.ended = False

    def connect(self, slot):
        self.slots[slot] = self.server.begin_session()
        self.xids[slot] = 0
        return [connected(self.slots[slot].session)]

    def begin(self, action):
        if isinstance(action, Burst):
            for request in action.requests:
                if (xid := request.xid) is None:
                    self.xids[action.slot] += 1
                    xid = self.xids[action.slot]
                self.server.request(self.slots[action.slot], xid, request.opcode, request.body)

    def finish(self, action):
        connection = self.slots[action.slot]
        if isinstance(action, Burst):
            return connection.take()
        if isinstance(action, End):
            self.server.end_session(connection, 0)
            *events, reply = connection.take()
            self.ended = True
            return [*sorted(events), reply, CLOSED]
        if isinstance(action, Resume):
            self.server.lose(connection)
            self.slots[action.slot] = self.server.resume_session(connection.session)
            return [connected(connection.session), *([] if action.closes_first else [CLOSED])]
        return [REFUSED, CLOSED] if self.ended else []

    def send_pings(self, slots):
        for slot in slots:
            self.server.request(self.slots[slot], wire.PING_XID, wire.PING, b"")

    def take_ping(self, slot, ordered):
        *events, reply = self.slots[slot].take()
        return [*(events if ordered else sorted(events)), reply]

    def close(self):
        """Nothing is open."""


def connected(session, timeout_ms=TIMEOUT_MS):
    """The answer to a connect request, with the session's number and without its password."""
    return struct.pack(">iiiqi", 36, 0, timeout_ms, session, 16) + bytes(16)


REFUSED = connected(0, 0)
