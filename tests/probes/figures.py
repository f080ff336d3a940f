"""How soon a probe is answered while a server has as much to do as it can, and how soon the machine lets any thread run then.

    PYTHONPATH=tests .deps/venv/bin/python -m probes.figures --seconds 20

A probe is a connection of its own, `GET /readyz`. Between two of them this process sleeps for some milliseconds; by how much it sleeps too
long is what the scheduler adds to a single wake-up, here and in the server. The load is `zabd-bench load`, on the same processors.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import places

from .probing import Probed

PAUSE_SECONDS = 0.003
WARM_UP_SECONDS = 2
LOADS = {"none": None, "sets": "set", "gets and sets, 90 to 10": "get=90,set=10"}


def load(server, operations, seconds):
    """The load generator, which ends by itself."""
    return subprocess.Popen(
        [places.ZABD.with_name("zabd-bench"), "load", "--server", f"127.0.0.1:{server.port}", "--op", operations, "--fill", "--connections", "64",
         "--outstanding", "16", "--warm-up", "0", "--seconds", str(seconds + 2 * WARM_UP_SECONDS)], stdout=subprocess.PIPE, text=True)


def measure(server, seconds):
    """Milliseconds that probes took, and that sleeps were too long."""
    probes, sleeps = [], []
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        began = time.monotonic()
        assert server.get("/readyz") == (200, "ok")
        answered = time.monotonic()
        time.sleep(PAUSE_SECONDS)
        probes.append(1000 * (answered - began))
        sleeps.append(1000 * (time.monotonic() - answered - PAUSE_SECONDS))
    return probes, sleeps


def shown(milliseconds):
    found = sorted(milliseconds)
    return " | ".join(f"{each:.2f}" for each in (found[len(found) // 2], found[len(found) * 99 // 100], found[-1]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=20, help="of each load")
    arguments = parser.parse_args()
    print("| load | probe: p50 | p99 | max, ms | sleep too long: p50 | p99 | max, ms |\n| --- | --- | --- | --- | --- | --- | --- |")
    for name, operations in LOADS.items():
        with tempfile.TemporaryDirectory(dir=places.ROOT / "target") as directory, Probed(Path(directory)) as server:
            busy = operations and load(server, operations, arguments.seconds)
            time.sleep(WARM_UP_SECONDS)
            probes, sleeps = measure(server, arguments.seconds)
            assert not busy or busy.poll() is None, "the load has ended before"
            print(f"| {name} | {shown(probes)} | {shown(sleeps)} |", flush=True)
            if busy:
                print(busy.communicate()[0].strip(), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
