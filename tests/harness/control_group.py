"""A control group of its own with a limit of memory, as a container has; making one takes root.

Both layouts are known: version 1 with its hierarchy for memory, version 2 with one for all.
"""

import os
import re
import subprocess
import time
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
AS_ROOT = [] if os.geteuid() == 0 else ["sudo"]


def write(path, text):
    subprocess.run([*AS_ROOT, "tee", str(path)], input=f"{text}\n".encode(), stdout=subprocess.DEVNULL, check=True)


class ControlGroup:
    """A group with `bytes_max` of memory: there as long as the `with` that it is used in."""

    def __init__(self, bytes_max):
        self.bytes_max = bytes_max
        self.is_first_version = (ROOT / "memory").is_dir()
        self.path = (ROOT / "memory" if self.is_first_version else ROOT) / f"zabd-test-{os.getpid()}-{time.monotonic_ns()}"

    def __enter__(self):
        if not self.is_first_version:
            write(ROOT / "cgroup.subtree_control", "+memory")
        subprocess.run([*AS_ROOT, "mkdir", str(self.path)], check=True)
        write(self.path / ("memory.limit_in_bytes" if self.is_first_version else "memory.max"), self.bytes_max)
        if not self.is_first_version and (self.path / "memory.swap.max").exists():
            write(self.path / "memory.swap.max", 0)
        return self

    def __exit__(self, *_):
        for _ in range(500):
            # A process that was killed is in its group until its memory is gone.
            if subprocess.run([*AS_ROOT, "rmdir", str(self.path)], stderr=subprocess.DEVNULL).returncode == 0:
                return
            time.sleep(0.01)
        raise AssertionError(f"{self.path} is still in use: {(self.path / 'cgroup.procs').read_text()}")

    def join(self):
        """Moves the process that calls it, for a child before it becomes another program."""
        write(self.path / "cgroup.procs", os.getpid())

    def kills(self):
        """How many processes the kernel has killed because of the limit."""
        name = "memory.oom_control" if self.is_first_version else "memory.events"
        return int(re.search(r"^oom_kill (\d+)", (self.path / name).read_text(), re.M)[1])
