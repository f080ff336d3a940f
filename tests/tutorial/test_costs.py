"""What three members from nothing cost: bounds that no load of the machine excuses, and one with room for it.

`figures.py` measures the same on a quiet machine, and more of it.
"""

import re
import time
from pathlib import Path

import pytest

from harness import places
from harness.waiting import eventually

from .wishes import RECOMMENDED

READY_SECONDS = 5
IDLE_BYTES_MAX = 12 << 20
SETTLED_SECONDS_MAX = 60


def resident_bytes(pid):
    """What a process holds in memory, but for shared libraries: the images' program has none."""
    size, is_library = 0, False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            is_library = ".so" in line
        elif line.startswith("Rss:") and not is_library:
            size += int(line.split()[1]) << 10
    return size


@pytest.mark.skipif("debug" in places.ZABD.parts, reason="what a build for debugging takes says nothing")
def test_three_members_from_nothing_are_soon_ready_and_small(run, record_property):
    cluster = run(RECOMMENDED)
    took = time.monotonic() - min(pod.container.started for pod in cluster.pods.values())
    processes = [pod.container.first_process for pod in cluster.pods.values()]

    def resident():
        return max(map(resident_bytes, processes))

    # What only the start needed is given back behind it.
    eventually(lambda: resident() <= IDLE_BYTES_MAX, SETTLED_SECONDS_MAX, lambda: f"{resident()} bytes of an idle member")
    record_property("counted", f"three members ready after {1000 * took:.0f} ms, an idle one has {resident() / 2**20:.1f} MiB")
    assert took <= READY_SECONDS
