"""How soon a probe is answered while a server has as much to do as it can, and how soon anybody else is then.

    PYTHONPATH=tests .deps/venv/bin/python -m probes.figures --seconds 20

A probe is a connection of its own, `GET /readyz`. The same is asked in turn of a process that has nothing else to do and answers each
connection with a fixed text: what a probe takes longer than that is the server's. Between two questions this process sleeps for some
milliseconds; by how much it sleeps too long is what the scheduler adds to a single wake-up. The load is `zabd-bench load`, on the
same processors.
"""

import argparse
import multiprocessing
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import places

from .probing import Probed, get

PAUSE_SECONDS = 0.003
WARM_UP_SECONDS = 2
LOADS = {"none": None, "sets": "set", "gets and sets, 90 to 10": "get=90,set=10"}


def load(server, operations, seconds):
    """The load generator, which ends by itself."""
    return subprocess.Popen(
        [places.ZABD.with_name("zabd-bench"), "load", "--server", f"127.0.0.1:{server.port}", "--op", operations, "--fill", "--connections", "64",
         "--outstanding", "16", "--warm-up", "0", "--seconds", str(seconds + 2 * WARM_UP_SECONDS)], stdout=subprocess.PIPE, text=True)


def answer_all(listener):
    """The least that can be done for a connection."""
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")


def measure(ports, seconds):
    """Milliseconds that questions took at each of these ports, in turn, and that sleeps were too long."""
    took, sleeps = [[] for _ in ports], []
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        for port, found in zip(ports, took):
            began = time.monotonic()
            assert get(port, "/readyz") == (200, "ok")
            answered = time.monotonic()
            time.sleep(PAUSE_SECONDS)
            found.append(1000 * (answered - began))
            sleeps.append(1000 * (time.monotonic() - answered - PAUSE_SECONDS))
    return [*took, sleeps]


def shown(milliseconds):
    found = sorted(milliseconds)
    return " | ".join(f"{each:.2f}" for each in (found[len(found) // 2], found[len(found) * 99 // 100], found[-1]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=20, help="of each load")
    arguments = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    multiprocessing.Process(target=answer_all, args=[listener], daemon=True).start()
    names = ("probe", "bare answer", "sleep too long")
    print("| load |", " | ".join(f"{name}: p50 | p99 | max, ms" for name in names), "|\n" + 10 * "| --- " + "|")
    for name, operations in LOADS.items():
        with tempfile.TemporaryDirectory(dir=places.ROOT / "target") as directory, Probed(Path(directory)) as server:
            busy = operations and load(server, operations, arguments.seconds)
            time.sleep(WARM_UP_SECONDS)
            measured = measure((server.probes, listener.getsockname()[1]), arguments.seconds)
            assert not busy or busy.poll() is None, "the load has ended before"
            print(f"| {name} |", " | ".join(map(shown, measured)), "|", flush=True)
            if busy:
                print(busy.communicate()[0].strip(), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
