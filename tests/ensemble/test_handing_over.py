"""A leader that is told to end, and clients that have several requests in flight: whatever is answered is answered in the order in
which it was asked for, with nothing left out. What is not taken any more has no answer, nor has anything behind it; the connection ends.

Client libraries hold answers against what they wait for. One answer that is missing, and kazoo ends with `xids do not match`.
"""

import contextlib
import signal
import threading
import time

import pytest

from harness import wire

from . import members

PATH = "/handing-over"
READ = wire.Writer().ustring(PATH).boolean(False).bytes
SYNC = wire.Writer().ustring(PATH).bytes
SESSION_SECONDS_MAX = 0.5
# As long as a leader tries, and the time that a busy machine takes.
ENDS_SECONDS_MAX = 20
ROUNDS = 4
CLIENTS_PER_MEMBER = 3
IN_FLIGHT = 12


def write_of(value):
    """The body of a setData."""
    return wire.Writer().ustring(PATH).buffer(value).int(-1).bytes


def begins_session(port):
    """Whether somebody is given a new session, and at once."""
    try:
        with contextlib.closing(wire.Connection(port)) as connection:
            connection.send_frame(wire.connect_request())
            return connection.frame(SESSION_SECONDS_MAX) is not None
    except (OSError, wire.Closed):
        return False


@contextlib.contextmanager
def a_leader_that_cannot_hand_over(ensemble):
    """Server 3 leads, is told to end, and waits for server 2, which hangs and lacks a write; yields a session of each of 1 and 3."""
    ensemble.lead_by(3)
    sessions = {number: wire.PingingSession(ensemble.members[number].port, 30_000) for number in (1, 3)}
    assert sessions[3].create(PATH, b"0").err == 0
    idle = wire.PingingSession(ensemble.members[3].port, 30_000)
    ensemble.pause(2)
    assert sessions[1].call(wire.SET_DATA, write_of(b"1")).err == 0
    process = ensemble.members[3].process
    process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + ENDS_SECONDS_MAX
    # Whoever wants a session there is turned away: so it has heard.
    while begins_session(ensemble.members[3].port):
        assert time.monotonic() < deadline, "a leader that is told to end begins sessions"
    yield sessions, idle
    assert process.wait(ENDS_SECONDS_MAX) == 0
    ensemble.resume(2)


@pytest.mark.parametrize("kinds", [("zabd", "zabd", "zabd"), ("java395", "java395", "zabd")], ids="-".join)
def test_what_comes_behind_a_write_that_is_not_taken_is_not_answered(tmp_path, kinds):
    with members.Ensemble(kinds, tmp_path) as ensemble:
        with a_leader_that_cannot_hand_over(ensemble) as (sessions, idle):
            for session in sessions.values():
                session.submit(wire.SET_DATA, write_of(b"2"))
                session.submit(wire.SYNC, SYNC)
                session.submit(wire.GET_DATA, READ)
            # Who waits for nothing reads on.
            reply = idle.call(wire.GET_DATA, READ)
            assert (reply.err, reply.reader().buffer()) == (0, b"1")
            for number, session in sessions.items():
                assert session.reply() is None, f"a client of server {number} is answered out of its order"
        ensemble.leader(among=(1, 2))
        # A leader serves before its followers do, and Java turns away who comes in between.
        ensemble.await_serving()
        session = wire.PingingSession(ensemble.members[1].port)
        assert session.call(wire.SET_DATA, write_of(b"3")).err == 0
        session.end()


class Client(threading.Thread):
    """Asks for writes, reads and syncs without waiting, over one connection after the other, and looks at the order of the answers."""

    def __init__(self, port):
        super().__init__()
        self.port, self.ends, self.answers, self.failure = port, threading.Event(), 0, None

    def run(self):
        while not self.ends.is_set():
            try:
                self.ask(wire.Session(self.port, 30_000))
            except (OSError, wire.Closed):
                time.sleep(0.01)
            except AssertionError as failure:
                self.failure = failure
                return

    def ask(self, session):
        asks = [(wire.SET_DATA, write_of(b"x" * 100)), (wire.GET_DATA, READ), (wire.SYNC, SYNC), (wire.GET_DATA, READ)]
        expected = []
        with contextlib.closing(session):
            while not self.ends.is_set():
                while len(expected) < IN_FLIGHT:
                    opcode, body = asks[session.xid % len(asks)]
                    expected.append(session.submit(opcode, body))
                reply = session.reply()
                if reply is None:
                    return
                awaited = expected.pop(0)
                # In no `wire.Closed`, which is how connections end.
                if reply.xid != awaited:
                    raise AssertionError(f"{reply.xid} is answered, and {awaited} was asked for before")
                assert reply.err == 0
                self.answers += 1


def test_pipelined_clients_are_answered_in_order_while_leaders_are_told_to_end(tmp_path):
    with members.Ensemble(["zabd"] * 3, tmp_path) as ensemble:
        session = wire.Session(ensemble.members[1].port)
        assert session.create(PATH, b"0").err == 0
        session.end()
        clients = [Client(server.port) for server in ensemble.members.values() for _ in range(CLIENTS_PER_MEMBER)]
        with members.asking(clients):
            for _ in range(ROUNDS):
                leader = ensemble.leader()
                before = [client.answers for client in clients]
                deadline = time.monotonic() + members.LEVEL_SECONDS_MAX
                while any(client.answers < count + 50 for client, count in zip(clients, before)):
                    members.assert_unharmed(clients)
                    assert time.monotonic() < deadline, "somebody is not answered"
                    time.sleep(0.01)
                assert ensemble.members[leader].stop() == 0
                ensemble.leader()
                ensemble.members[leader].start(wait=False)
                ensemble.await_serving()
        ensemble.assert_equal_trees()
