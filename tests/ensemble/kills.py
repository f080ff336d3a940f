"""Leaders that are killed again and again while clients have many writes in flight, each a node of its own.

    PYTHONPATH=tests .deps/venv/bin/python -m ensemble.kills --kinds java395,java395,zabd --turns 30

What was acknowledged is there at the end, on every member, and what is there was asked for; a client's answers come in the order in
which it asked.
"""

import argparse
import sys
import tempfile
import threading
import time
from pathlib import Path

from harness import wire

from . import members

WINDOW = 32
CLIENTS = 2
# Between two answers: the window is full all the same, and the trees can be read at the end.
PAUSE_SECONDS = 0.004
# Lost connections are made again; a server that hangs is left after this.
PATIENCE_SECONDS = 2


class Pipeliner(threading.Thread):
    """Keeps a window of creates in flight at one member after the other."""

    def __init__(self, ensemble, number):
        super().__init__()
        self.ensemble, self.number = ensemble, number
        self.path = f"/pipeliner-{number}"
        self.asked = 0
        self.acknowledged = set()
        self.failure = None
        self.ends = threading.Event()

    def name(self, place):
        return f"{self.path}/{place:07}"

    def run(self):
        turn = self.number
        try:
            while not self.ends.is_set():
                turn += 1
                ports = [server.port for server in self.ensemble.members.values()]
                try:
                    self.fill(wire.Session(ports[turn % len(ports)], members.SESSION_MS))
                except (OSError, wire.Closed):
                    time.sleep(0.01)
        except Exception as failure:  # pylint: disable=broad-except
            self.failure = failure

    def fill(self, session):
        """Asks for one create after the other and takes answers, until the connection ends or nobody wants more."""
        try:
            members.create(session, self.path, 0)
            waiting = {}
            while waiting or not self.ends.is_set():
                while len(waiting) < WINDOW and not self.ends.is_set():
                    place, self.asked = self.asked, self.asked + 1
                    waiting[session.submit(wire.CREATE, wire.create_body(self.name(place)))] = place
                if waiting:
                    self.take(session, waiting)
            session.end()
        finally:
            session.close()

    def take(self, session, waiting):
        frame = session.frame(PATIENCE_SECONDS)
        if frame is None:
            raise wire.Closed("in the middle of its answers")
        reader = wire.Reader(frame, 4)
        xid, _, err = reader.int(), reader.long(), reader.int()
        first = next(iter(waiting))
        assert (xid, err) == (first, 0), f"{self.name(waiting[first])}: {xid} with {err}, expected {first}"
        self.acknowledged.add(waiting.pop(first))
        time.sleep(PAUSE_SECONDS)

    def assert_kept(self, nodes):
        found = {int(node["path"][-7:]) for node in nodes if node["path"].startswith(self.path + "/")}
        assert not self.acknowledged - found, f"acknowledged and lost: {sorted(self.acknowledged - found)[:5]}"
        assert not found or max(found) < self.asked, "never asked for"


def await_answers(clients, count=100):
    """Returns when each has had so many more."""
    goals = [len(client.acknowledged) + count for client in clients]
    deadline = time.monotonic() + members.LEVEL_SECONDS_MAX
    while any(len(client.acknowledged) < goal for client, goal in zip(clients, goals)):
        members.assert_unharmed(clients)
        assert time.monotonic() < deadline, "nobody takes writes"
        time.sleep(0.005)


def kill_leaders(ensemble, turns, writers=()):
    """So many leaders are killed under load and come back; then everything is compared. Gives how many writes were acknowledged."""
    clients = [Pipeliner(ensemble, number) for number in range(CLIENTS)]
    with members.asking(clients):
        for _ in range(turns):
            await_answers(clients)
            leader = ensemble.leader()
            ensemble.members[leader].kill()
            await_answers(clients)
            ensemble.members[leader].start()
    members.finish(ensemble, writers)
    for nodes in ensemble.trees().values():
        for client in clients:
            client.assert_kept(nodes)
    return sum(len(client.acknowledged) for client in clients)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", default="zabd,zabd,zabd")
    parser.add_argument("--turns", type=int, default=30)
    arguments = parser.parse_args()
    directory = tempfile.mkdtemp(prefix="kills-")
    print(f"directories and logs in {directory}", flush=True)
    with members.Ensemble(arguments.kinds.split(","), Path(directory)) as ensemble:
        writers = [members.Writer(ensemble, 0)]
        writers[0].start()
        try:
            acknowledged = kill_leaders(ensemble, arguments.turns, writers)
        finally:
            writers[0].ends.set()
            writers[0].join()
    print(f"{arguments.turns} leaders killed, {acknowledged} acknowledged writes, none lost; all trees equal")
    return 0


if __name__ == "__main__":
    sys.exit(main())
