"""A client of kazoo, in a process of its own, that writes until its standard input ends and then tells its ledger as JSON.

    python -m tutorial.kazoo_writer HOSTS PATH

Each write sets PATH to the next number; every tenth also creates a node below it. What is not acknowledged is tried again: nothing
but a lost connection may be the reason, and the session must be the same all along. The line `begun` stands before the ledger.
"""

import json
import sys
import threading
import time

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import ConnectionLoss, NodeExistsError
from kazoo.handlers.threading import KazooTimeoutError

# Long enough that a node may go without a word (kazoo hangs on for two thirds of it) and the session be kept.
SESSION_SECONDS = 12
BEGIN_SECONDS_MAX = 30
AT_ONCE = {"max_tries": -1, "delay": 0.01, "backoff": 1, "max_jitter": 0, "max_delay": 0.01}
WRITES_PER_CREATE = 10
# Leaves the processor to others.
PAUSE_SECONDS = 0.004
WRITES_AT_LAST = 20


class Writer:
    """The client and its ledger."""

    def __init__(self, hosts, path):
        self.path = path
        self.asked = self.acknowledged = self.sets_asked = self.sets_acknowledged = 0
        self.created_asked, self.created = [], []
        self.gap_seconds = 0
        self.client = KazooClient(hosts, timeout=SESSION_SECONDS, connection_retry=AT_ONCE)
        self.has_lost = threading.Event()
        self.client.add_listener(lambda state: state == KazooState.LOST and self.has_lost.set())
        self.client.start(timeout=BEGIN_SECONDS_MAX)
        self.session = self.client.client_id[0]
        self.until_acknowledged(self.create, path)

    def until_acknowledged(self, write, *arguments):
        while not self.has_lost.is_set():
            try:
                return write(*arguments)
            except ConnectionLoss:
                time.sleep(PAUSE_SECONDS)
        raise RuntimeError(f"the session 0x{self.session:x} is gone")

    def create(self, path):
        """A node that is there has been created by a try whose answer was lost."""
        try:
            self.client.create(path, b"0")
        except NodeExistsError:
            pass

    def set(self):
        self.sets_asked += 1
        self.client.set(self.path, str(self.asked).encode())
        self.sets_acknowledged += 1

    def write(self):
        started = time.monotonic()
        self.asked += 1
        if self.asked % WRITES_PER_CREATE == 0:
            name = f"{self.path}/{self.asked}"
            self.created_asked.append(name)
            self.until_acknowledged(self.create, name)
            self.created.append(name)
        self.until_acknowledged(self.set)
        self.acknowledged = self.asked
        self.gap_seconds = max(self.gap_seconds, time.monotonic() - started)
        time.sleep(PAUSE_SECONDS)

    def ledger(self):
        names = ("asked", "acknowledged", "sets_asked", "sets_acknowledged", "created_asked", "created", "gap_seconds")
        return {name: getattr(self, name) for name in names}


def main(hosts, path):
    writer = Writer(hosts, path)
    print("begun", flush=True)
    ends = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ends.set()), daemon=True).start()
    while not ends.is_set():
        writer.write()
    for _ in range(WRITES_AT_LAST):
        writer.write()
    assert writer.client.client_id[0] == writer.session, "the session is another one"
    print(json.dumps(writer.ledger()))
    writer.client.stop()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except KazooTimeoutError as error:
        sys.exit(f"no session within {BEGIN_SECONDS_MAX} s: {error}")
