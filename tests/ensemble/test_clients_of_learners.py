"""What a leader hears of the clients of its learners: what they ask for, and that they are alive."""

import heapq
import threading
import time

import pytest

from harness import wire

from . import members

UNKNOWN_OPCODE = -6
PATH = wire.Writer().ustring("/nobody")


@pytest.mark.parametrize(
    ("kind", "opcode", "body"),
    [
        pytest.param("java38", wire.DELETE_CONTAINER, PATH.bytes, id="java38-deleteContainer"),
        pytest.param("java38", wire.CHECK, wire.Writer().ustring("/").int(-1).bytes, id="java38-check"),
        pytest.param("java395", wire.DELETE_CONTAINER, PATH.bytes, id="java395-deleteContainer"),
        pytest.param("zabd", wire.DELETE_CONTAINER, PATH.bytes, id="zabd-deleteContainer"),
    ],
)
def test_what_no_client_may_ask_for_is_refused_whoever_forwards_it(tmp_path, kind, opcode, body):
    """Java's learners forward it, and wait for a transaction."""
    with members.Ensemble([kind, "zabd", "zabd"], tmp_path) as ensemble:
        ensemble.lead_by(3)
        session = wire.PingingSession(ensemble.members[1].port)
        assert session.call(opcode, body).err == UNKNOWN_OPCODE
        session.close()
        session = wire.PingingSession(ensemble.members[1].port)
        assert session.create("/behind-it").err == 0
        session.end()
        assert ensemble.leader() == 3
        ensemble.assert_equal_trees()


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        pytest.param(("java395", "java395", "java395"), wire.CREATE2, id="java395-leads-java395"),
        pytest.param(("zabd", "zabd", "zabd"), wire.CREATE2, id="zabd-leads-zabd"),
        pytest.param(("zabd", "zabd", "java395"), wire.CREATE2, id="java395-leads-zabd"),
        # What is logged is what every Java server can apply, and that is what its learner answers.
        pytest.param(("java395", "zabd", "zabd"), wire.CREATE, id="zabd-leads-java395"),
    ],
)
def test_a_create2_in_a_multi_is_answered_by_what_is_logged(tmp_path, kinds, expected):
    with members.Ensemble(kinds, tmp_path) as ensemble:
        ensemble.lead_by(3)
        session = wire.PingingSession(ensemble.members[1].port)
        reply = session.call(wire.MULTI, wire.multi_body([(wire.CREATE2, wire.create_body("/made"))]))
        assert (reply.err, reply.reader().int()) == (0, expected)
        session.end()


@pytest.mark.parametrize(("kind", "shows_epoch"), [("zabd", False), ("java395", True)])
def test_a_leader_shows_where_its_tree_is(tmp_path, kind, shows_epoch):
    """Java's shows the beginning of its epoch, before anything has happened in it."""
    config = {"localSessionsEnabled": "true"}
    with members.Ensemble([kind] * 3, tmp_path, config=config) as ensemble:
        leader = ensemble.members[ensemble.leader()]
        session = wire.PingingSession(leader.port)
        zxid = session.call(wire.EXISTS, wire.Writer().ustring("/").boolean(False).bytes).zxid
        assert zxid & 0xFFFFFFFF == 0 and (zxid > 0) == shows_epoch
        session.close()


TICK_MS = 1000
TIMEOUT_MS = 2 * TICK_MS
SESSIONS = 40
# Of each session; the last ones fall everywhere between two ticks, whosever.
PINGS_SECONDS = [0, 0.3, 0.6, 0.95]


class Watcher(threading.Thread):
    """Notes when ephemerals go."""

    def __init__(self, session):
        super().__init__()
        self.session, self.gone = session, {}

    def run(self):
        while len(self.gone) < SESSIONS:
            frame = self.session.frame(4 * TIMEOUT_MS / 1000)
            now, reader = time.monotonic(), wire.Reader(frame, 4)
            if reader.int() == wire.EVENT_XID:
                reader.long(), reader.int(), reader.int(), reader.int()
                self.gone[reader.ustring()] = now


@pytest.mark.parametrize("kinds", [("zabd", "zabd", "zabd"), ("java395", "java395", "zabd")], ids="-".join)
def test_a_session_at_a_follower_lives_for_its_timeout_behind_the_last_sign_of_life(tmp_path, kinds):
    config = {"tickTime": TICK_MS, "initLimit": 20, "syncLimit": 20}
    with members.Ensemble(kinds, tmp_path, config=config) as ensemble:
        ensemble.lead_by(1)
        clients = {f"/e{number}": wire.Session(ensemble.members[3].port, TIMEOUT_MS) for number in range(SESSIONS)}
        watching = wire.PingingSession(ensemble.members[1].port, 20 * TIMEOUT_MS)
        for path, client in clients.items():
            assert client.create(path, flags=1).err == 0
        watching.call(wire.SYNC, wire.Writer().ustring("/").bytes)
        for path in clients:
            assert watching.call(wire.EXISTS, wire.Writer().ustring(path).boolean(True).bytes).err == 0
        watcher = Watcher(watching)
        watcher.start()
        begin, last = time.monotonic(), {}
        pings = [
            (begin + number * TICK_MS / 1000 / SESSIONS + after, path) for number, path in enumerate(clients) for after in PINGS_SECONDS
        ]
        heapq.heapify(pings)
        while pings:
            due, path = heapq.heappop(pings)
            time.sleep(max(0, due - time.monotonic()))
            last[path] = time.monotonic()
            clients[path].submit(wire.PING, xid=wire.PING_XID)
        watcher.join()
        early = {path: gone - last[path] for path, gone in watcher.gone.items() if gone - last[path] < TIMEOUT_MS / 1000}
        assert len(watcher.gone) == SESSIONS and not early
