"""A small file system of its own, a tmpfs; mounting it takes root."""

import errno
import os
import subprocess

AS_ROOT = [] if os.geteuid() == 0 else ["sudo"]


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
