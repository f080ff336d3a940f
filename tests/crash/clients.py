"""The clients that are at work when the server is killed: writers that pipeline, and an observer that only looks.

Each is run in a thread of its own, once per life of the server, and ends with it; what it learnt stays for the next life.
"""

import os
import signal
import struct
import threading

from harness import wire

from .ledger import Ledger, SHARED_VALUE

SESSION_MS = 600_000
CLOSES_PER_BURST = 0.02
RECURSIVE = 1
CREATED, DELETED, DATA_CHANGED = 1, 2, 3


class Trigger:
    """Kills the server when so many writes were acknowledged, and a moment later."""

    def __init__(self, pid, acknowledged, delay_s):
        self.pid, self.delay_s = pid, delay_s
        self.left = acknowledged
        self.lock = threading.Lock()
        if acknowledged == 0:
            self._fire()

    def acknowledged(self):
        """One more write was."""
        with self.lock:
            self.left -= 1
            due = self.left == 0
        if due:
            self._fire()

    def _fire(self):
        # From a thread of its own: whoever came upon the last acknowledgement goes on writing.
        threading.Timer(self.delay_s, os.kill, (self.pid, signal.SIGKILL)).start()


class Client:
    """A session that outlives the server, and the sessions that were asked for without an answer."""

    def __init__(self):
        self.session_id, self.password = 0, bytes(16)
        self.sessions_made = 0
        self.is_asking = False
        self.failure = None

    def connect(self, port):
        """Resumes the session, or asks for a new one."""
        resumed = self.session_id
        self.is_asking = not resumed
        session = wire.Session(port, SESSION_MS, self.session_id, self.password)
        self.is_asking = False
        assert session.session_id != 0, f"session 0x{resumed:x} cannot be resumed"
        self.session_id, self.password = session.session_id, session.password
        self.sessions_made += not resumed
        return session

    def forget_session(self):
        """It is closed."""
        self.session_id, self.password = 0, bytes(16)

    def run(self, port, trigger):
        """Works until the server is gone."""
        try:
            self.work(port, trigger)
        except (wire.Closed, OSError):
            pass
        except BaseException as failure:  # Raised again by the thread that waits for this one.
            self.failure = failure


class Writer(Client):
    """Keeps many writes on their way, and tells its ledger of each and of each reply."""

    def __init__(self, name, random):
        super().__init__()
        self.name, self.random = name, random
        self.ledger = Ledger(name, random)

    def work(self, port, trigger):
        while True:
            session = self.connect(port)
            self.ledger.session_id = self.session_id
            self._write(session, trigger)
            self.forget_session()

    def _write(self, session, trigger):
        """One session's requests, up to its closing."""
        ledger = self.ledger
        is_closing = False
        while not is_closing:
            requests = [] if ledger.nodes else [ledger.make_root()]
            requests += [ledger.next_request() for _ in range(self.random.randrange(1, 50))]
            is_closing = self.random.random() < CLOSES_PER_BURST
            if is_closing:
                requests.append(ledger.close_session())
            try:
                session.send(b"".join(frame_of(request) for request in requests))
            except OSError:
                is_closing = True  # There may be replies from before the end.
            unanswered = 0 if is_closing else self.random.choice((0, 20, 50))
            while len(ledger.asked) - ledger.acknowledged > unanswered:
                reply = session.reply()
                if reply is None:
                    raise wire.Closed("killed")
                ledger.acknowledge(reply)
                trigger.acknowledged()
        session.close()


class Observer(Client):
    """Watches everything and reads the shared value: whatever it is shown must be there after the crash."""

    def __init__(self):
        super().__init__()
        self.events = {}  # The last event of each path: (zxid, type).
        self.value_version, self.value_zxid, self.value = 0, 0, b""
        self.zxid_max = 0  # The largest that any reply or event carried.

    def work(self, port, trigger):
        session = self.connect(port)
        assert session.call(wire.ADD_WATCH, wire.Writer().ustring("/").int(RECURSIVE).bytes).err == 0
        body = wire.Writer().ustring(SHARED_VALUE).boolean(False).bytes
        while True:
            reply = session.call(wire.GET_DATA, body)
            assert reply.err == 0
            self.zxid_max = max([self.zxid_max, reply.zxid, *(event[0] for event in session.events)])
            reader = reply.reader()
            self.value = reader.buffer()
            stat = reader.stat()
            assert self.value_zxid <= stat["mzxid"], "the shared value went back"
            self.value_version, self.value_zxid = stat["version"], stat["mzxid"]
            for zxid, kind, _state, path in session.events:
                assert path not in self.events or self.events[path][0] <= zxid, f"events of {path} out of order"
                self.events[path] = (zxid, kind)
            session.events.clear()

    def check(self, nodes, zxid):
        """Everything that was shown is in the tree, unless something later is; no position that was shown is lost."""
        assert self.zxid_max <= zxid, f"zxid 0x{self.zxid_max:x} was shown, and the last one is 0x{zxid:x}"
        stat = nodes[SHARED_VALUE]["stat"]
        assert self.value_version <= stat["version"], f"version {self.value_version} was shown, {stat['version']} is there"
        assert self.value_zxid <= stat["mzxid"]
        for path, (zxid, kind) in self.events.items():
            node = nodes.get(path)
            if node is None:
                continue
            if kind == DELETED:
                assert zxid < node["stat"]["czxid"], f"the deletion of {path} was shown, and it is there"
            elif kind == CREATED:
                assert zxid <= node["stat"]["czxid"], f"{path} is older than the creation that was shown"
            elif kind == DATA_CHANGED:
                assert zxid <= node["stat"]["mzxid"], f"a change of {path} was shown, and it is not there"
        self.events.clear()


def frame_of(request):
    """Length, header, body."""
    return struct.pack(">iii", 8 + len(request.body), request.number, request.opcode) + request.body
