"""The tools over logs and snapshots, Java's of 3.9.5 and zabd's, and the one table of what may differ in their output."""

import base64
import os
import re
import subprocess
from dataclasses import dataclass

from harness import places
from harness.servers import JAVA_OPTIONS, die_with_parent

SECONDS_MAX = 120
PACKAGE = "org.apache.zookeeper.server."
CLASSES = {
    "zkTxnLogToolkit.sh": PACKAGE + "persistence.TxnLogToolkit",
    "zkSnapShotToolkit.sh": PACKAGE + "SnapshotFormatter",
    "zkSnapshotComparer.sh": PACKAGE + "SnapshotComparer",
    "zkSnapshotRecursiveSummaryToolkit.sh": PACKAGE + "SnapshotRecursiveSummary",
}

# What is not compared: (pattern, what stands for it).
MASKS = [
    # How long it took.
    (re.compile(rb" in \d+\.\d{6} seconds$", re.M), b" in <seconds> seconds"),
    # When it was printed.
    (re.compile(rb'"timestamp":\d+\}'), b'"timestamp":<now>}'),
    # A number that Java's tool begins anew with each process, and this suite's does not.
    (re.compile(rb'"ino":(\d+)'), b'"ino":<number>'),
    # Where in Java's program it was.
    (re.compile(rb"^\t(?:at |\.\.\. ).*\n", re.M), b""),
]


@dataclass
class Ended:
    """What a tool left."""

    status: int
    out: bytes
    err: bytes

    def masked(self):
        """Without what may differ."""
        out, err = self.out, self.err
        for pattern, replacement in MASKS:
            out, err = pattern.sub(replacement, out), pattern.sub(replacement, err)
        return self.status, out.splitlines(), err.splitlines()


def environment(**more):
    """Of both kinds of tools."""
    return {**os.environ, "TZ": "America/New_York", "LC_ALL": "C.UTF-8", **more}


class JavaTools:
    """All of Java's tools in one virtual machine: starting one takes longer than most of what is asked of it."""

    def __init__(self, cwd, *properties):
        # Its log, which a real one has in a file, would stand among its complaints.
        quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=off"
        self.process = subprocess.Popen(
            ["java", *JAVA_OPTIONS, quiet, *properties, "-cp", places.JAVA395_CLASSPATH,
             str(places.TESTS / "toolkit" / "JavaTools.java")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=cwd, env=environment(), preexec_fn=die_with_parent)

    def run(self, tool, *words, script=""):
        fields = [CLASSES[tool], script, *map(str, words)]
        question = b" ".join(base64.b64encode(field.encode()) for field in fields)
        self.process.stdin.write(question + b"\n")
        self.process.stdin.flush()
        status, out, err = self.process.stdout.readline().rstrip(b"\n").split(b" ")
        return Ended(int(status), base64.b64decode(out), base64.b64decode(err))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(SECONDS_MAX)


class ZabdTools:
    """zabd's."""

    def __init__(self, cwd, flags=""):
        self.cwd, self.flags = cwd, flags

    def run(self, tool, *words, script=""):
        done = subprocess.run(
            [str(places.ZABD), tool, *map(str, words)], input=script.encode(), capture_output=True, timeout=SECONDS_MAX,
            check=False, cwd=self.cwd, env=environment(JVMFLAGS=self.flags))
        return Ended(done.returncode, done.stdout, done.stderr)
