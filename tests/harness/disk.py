"""A small file system of its own, a tmpfs; mounting it takes root."""

import errno
import os
import subprocess

AS_ROOT = [] if os.geteuid() == 0 else ["sudo"]


def kill_whole(pid):
    """Kills a process and what it has started, which may be another user's, and so outlives it."""
    listed = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = [tuple(map(int, line.split())) for line in listed.splitlines()]
    begun = [pid]
    for parent in begun:
        begun.extend(child for child, its_parent in parents if its_parent == parent)
    subprocess.run([*AS_ROOT, "kill", "-KILL", *map(str, begun)], check=False, capture_output=True)


class Disk:
    """A file system that can be filled to the last byte: there as long as the `with` that it is used in."""

    def __init__(self, path, size="6m"):
        self.path, self.size = path, size
        self.ballast = path / "ballast"

    def __enter__(self):
        self.path.mkdir()
        subprocess.run([*AS_ROOT, "mount", "-t", "tmpfs", "-o", f"size={self.size}", "tmpfs", str(self.path)], check=True)
        return self

    def __exit__(self, *_):
        subprocess.run([*AS_ROOT, "umount", str(self.path)], check=True)

    def fill(self):
        """Leaves no room for one more page."""
        with open(self.ballast, "ab", buffering=0) as ballast:
            for size in (1 << 16, 1 << 12, 1):
                try:
                    while ballast.write(b"\x01" * size):
                        pass
                except OSError as error:
                    assert error.errno == errno.ENOSPC

    def free(self):
        """Gives the room back."""
        os.truncate(self.ballast, 0)
