"""How long an ensemble of three is without writes, and how long a member takes to come: zabd's table beside Java's.

    PYTHONPATH=tests .deps/venv/bin/python -m ensemble.times --kinds zabd,java38

Three servers with `tickTime=2000`, `initLimit=10`, `syncLimit=5`, on one machine and one disk; Java with its own defaults and 2 GiB, warm
from the rounds before, as an operator's is. One client writes, one write after the other, through a follower; when that fails it tries all members in
turn without a pause worth mentioning. What is measured ends with an acknowledged write.
"""

import argparse
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from harness import wire

from . import members

JAVA_OPTIONS = ["-Xmx2g"]
CONFIG = {"tickTime": 2000, "initLimit": 10, "syncLimit": 5}
SET = bytes(wire.Writer().ustring("/written").buffer(bytes(100)).int(-1).bytes)
ZNODES_PER_PARENT = 1000
MULTI = 500


class Timed(members.Ensemble):
    """Three of a kind, started as an operator would."""

    def __init__(self, kind, directory, is_started=True):
        super().__init__([kind] * 3, directory, config=CONFIG, is_started=is_started)

    def member(self, number, kind):
        server = super().member(number, kind)
        server.java_options = JAVA_OPTIONS
        return server


class Client:
    """Writes through whoever takes it."""

    def __init__(self, ensemble):
        self.ports = [server.port for server in ensemble.members.values()]
        self.session, self.at = None, 0

    def turn_to(self, port):
        self.drop()
        self.at = self.ports.index(port)

    def drop(self):
        if self.session:
            self.session.close()
        self.session = None

    def write(self):
        """When a write was acknowledged, from now on."""
        while True:
            try:
                if self.session is None:
                    self.session = members.PatientSession(self.ports[self.at], 10_000)
                    self.session.create("/written")
                assert self.session.call(wire.SET_DATA, SET).err == 0
                return time.monotonic()
            except (OSError, wire.Closed):
                self.drop()
                self.at = (self.at + 1) % len(self.ports)
                time.sleep(0.0005)


def gap(ensemble, client, end):
    """The longest time between two writes while the leader ends."""
    ensemble.await_level()
    leader = ensemble.leader()
    client.turn_to(ensemble.members[ensemble.others(leader)[0]].port)
    before = client.write()
    for _ in range(50):
        before = client.write()
    ending = threading.Thread(target=end, args=(ensemble.members[leader],))
    ending.start()
    longest = 0
    until = time.monotonic() + 1.0
    while time.monotonic() < until or ending.is_alive():
        now = client.write()
        longest, before = max(longest, now - before), now
    ending.join()
    ensemble.members[leader].start()
    return longest


def first_write(kind, directory):
    """From the start of three empty servers to the first write."""
    with Timed(kind, directory, is_started=False) as ensemble:
        begin = time.monotonic()
        for server in ensemble.members.values():
            server.start(wait=False)
        return Client(ensemble).write() - begin


def fill(ensemble, znodes):
    """Znodes of 100 bytes below parents of a thousand."""
    session = wire.Session(ensemble.members[ensemble.leader()].port, 60_000)
    assert session.create("/filled").err == 0
    for parent in range(znodes // ZNODES_PER_PARENT):
        path = f"/filled/{parent}"
        assert session.create(path).err == 0
        for start in range(0, ZNODES_PER_PARENT, MULTI):
            numbers = range(start, start + MULTI)
            operations = [(wire.CREATE, wire.create_body(f"{path}/{number}", bytes(100))) for number in numbers]
            assert session.call(wire.MULTI, wire.multi_body(operations)).err == 0
    session.end()


def restarts(kind, directory, znodes, turns):
    """From the start of a follower that was killed, and has missed a little, until it serves."""
    took = []
    with Timed(kind, directory) as ensemble:
        fill(ensemble, znodes)
        follower = ensemble.others(ensemble.leader())[0]
        client = Client(ensemble)
        for _ in range(turns + 1):
            ensemble.await_level()
            ensemble.members[follower].kill()
            client.turn_to(ensemble.members[ensemble.leader()].port)
            for _ in range(10):
                client.write()
            begin = time.monotonic()
            ensemble.members[follower].start()
            took.append(time.monotonic() - begin)
    # The first one replays the log, and in Java writes a snapshot.
    return took[1:]


def measure(kind, folder, arguments):
    """The rows that are asked for, in milliseconds."""
    rows = {}
    ends = {"killed": lambda server: server.kill(), "told": lambda server: server.stop()}
    for name in ends.keys() & set(arguments.rows):
        with Timed(kind, folder / f"{kind}-{name}") as ensemble:
            client = Client(ensemble)
            rows[name] = [gap(ensemble, client, ends[name]) for _ in range(arguments.turns)]
    if "first" in arguments.rows:
        rows["first"] = [first_write(kind, folder / f"{kind}-first-{turn}") for turn in range(arguments.starts)]
    if "restart" in arguments.rows:
        rows["restart"] = restarts(kind, folder / f"{kind}-restart", arguments.znodes, arguments.restarts)
    return {name: 1000 * statistics.median(took) for name, took in rows.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", default="zabd,java38")
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--restarts", type=int, default=3)
    parser.add_argument("--znodes", type=int, default=1_000_000)
    parser.add_argument("--rows", type=lambda text: text.split(","), default=["killed", "told", "first", "restart"])
    arguments = parser.parse_args()
    kinds = arguments.kinds.split(",")
    titles = {
        "killed": (f"leader killed: until the next acknowledged write, median of {arguments.turns}", 200),
        "told": (f"leader told to stop (SIGTERM): write gap, median of {arguments.turns}", 50),
        "first": ("three empty servers started together: until the first write", 500),
        "restart": (f"follower restarted with {arguments.znodes} znodes: until it serves", 1500),
    }
    with tempfile.TemporaryDirectory(dir=Path("target")) as folder:
        found = {kind: measure(kind, Path(folder).resolve(), arguments) for kind in kinds}
    print("| what | " + " | ".join(kinds) + " | at most |")
    print("| --- |" + " --- |" * (len(kinds) + 1))
    missed = 0
    for name in arguments.rows:
        title, most = titles[name]
        print(f"| {title} | " + " | ".join(f"{found[kind][name]:.0f} ms" for kind in kinds) + f" | {most} ms |")
        missed += "zabd" in found and found["zabd"][name] > most
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
