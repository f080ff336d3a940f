"""A disk that fails on request, for one server: a small library between it and the C library (tests/operations/faulty_disk.c)."""

import subprocess

from . import places


def library(directory):
    """The library, built there."""
    built = directory / "faulty_disk.so"
    source = places.TESTS / "operations" / "faulty_disk.c"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", built, source, "-ldl"], check=True)
    return built


class FaultyDisk:
    """Before a class of servers: one whose disk does what `order` says."""

    library = None

    def command(self):
        """Its words, with the library before the C library."""
        return ["env", f"LD_PRELOAD={self.library}", f"FAULTY_DISK={self.directory}/order", *super().command()]

    def order(self, what=""):
        """From now on; nothing is a sound disk."""
        replacement = self.directory / "order.new"
        replacement.write_text(what)
        replacement.replace(self.directory / "order")
