"""The two shells: Java's of 3.9.5 with its line editor, and zabd's; and the one table of what may differ in their output."""

import os
import re
import subprocess
import threading
import time

from harness import places
from harness.servers import JAVA_OPTIONS

SECONDS_MAX = 120
QUIET = "-Dorg.slf4j.simpleLogger.defaultLogLevel=off"
JAVA = [
    "java", *JAVA_OPTIONS, "-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8", "-Dstderr.encoding=UTF-8", QUIET, "-cp",
    places.JAVA395_SHELL_CLASSPATH, "org.apache.zookeeper.ZooKeeperMain"]
SHELLS = {"java": JAVA, "zabd": [str(places.ZABD), "zkCli.sh"]}

# What is not compared: (pattern, what stands for it), in this order, on both streams.
MASKS = [
    # A line editor that has no terminal says so in Java's log.
    (re.compile(r"^\w{3} \d+, \d{4} .* org\.jline\.utils\.Log logr\nWARNING: Unable to create a system terminal.*\n", re.M), ""),
    # Which version the shell is.
    (re.compile(r"^((?:\[zk: .*\] )?ZooKeeper CLI version: ).*", re.M), r"\1<version>"),
    # Whether the first server has answered when the prompt is printed.
    (re.compile(r"\(CONNECTING\) (\d+)\] "), r"(CONNECTED) \1] "),
    (re.compile(r"\b127\.0\.0\.1:\d+"), "127.0.0.1:<port>"),
    (re.compile(r"(Thu|Fri|Sat|Sun|Mon|Tue|Wed) \w{3} [ \d]{2} \d\d:\d\d:\d\d UTC 20\d\d"), "<now>"),
    (re.compile(r"0x1[0-9a-f]{14}\b"), "<session>"),
]
# Java prints an event from a thread of its own, in two pieces, between any two pieces of output.
EVENT_HEAD = "\nWATCHER::\n"
EVENT = re.compile(r"\n(WatchedEvent .*)\n")
# And once more when its input ends; the last event may come behind that.
NO_EDITOR = re.compile(r"JLine support is disabled\n\Z")


def environment(**more):
    """Of both shells."""
    return {**os.environ, "TZ": "UTC", "LC_ALL": "C.UTF-8", "TERM": "dumb", **more}


def run(shell, *words, script="", flags=(), **more):
    """Runs a shell to its end: output, complaints, exit code. `flags` are what a script would find in CLIENT_JVMFLAGS."""
    command, more = started(shell, flags, more)
    done = subprocess.run(
        [*command, *words], input=script, text=True, capture_output=True, timeout=SECONDS_MAX, check=False,
        env=environment(**more))
    return done.stdout, done.stderr, done.returncode


def started(shell, flags, more):
    """The command line, and the environment's part, of a shell that is handed these flags."""
    if shell == "java":
        return [SHELLS[shell][0], *flags, *SHELLS[shell][1:]], more
    return SHELLS[shell], {"CLIENT_JVMFLAGS": " ".join(flags), **more} if flags else more


def masked(text):
    """Without what may differ."""
    for pattern, replacement in MASKS:
        text = pattern.sub(replacement, text)
    return text


def transcript(output, errors, status):
    """What is compared: output without events, events in their order, complaints, the exit code.

    That a session was closed is left out: what the last one says of itself races with the end of Java's program.
    """
    text = masked(output)
    events = [event for event in EVENT.findall(text) if "state:Closed" not in event]
    printed = NO_EDITOR.sub("", EVENT.sub("", text.replace(EVENT_HEAD, "")))
    return [*printed.split("\n"), "--- events", *events, "--- errors", *masked(errors).split("\n"), f"--- exit code {status}"]


class Conversation:
    """A shell whose input is written as its output comes."""

    def __init__(self, shell, *words, flags=(), **more):
        command, more = started(shell, flags, more)
        self.process = subprocess.Popen(
            [*command, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            bufsize=1, env=environment(**more))
        self.text = ""
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        while piece := self.process.stdout.read(1):
            with self.changed:
                self.text += piece
                self.changed.notify_all()

    def await_text(self, text, count=1):
        """Returns when a text has come so often."""
        deadline = time.monotonic() + SECONDS_MAX
        with self.changed:
            while self.text.count(text) < count:
                assert self.changed.wait(deadline - time.monotonic()), f"no {text!r} in\n{self.text}"

    def write(self, line):
        """Writes a line."""
        self.process.stdin.write(f"{line}\n")

    def say(self, line):
        """Writes a line, and returns when the prompt behind it is there."""
        prompts = self.text.count("[zk: ")
        self.write(line)
        self.await_text("[zk: ", prompts + 1)

    def end(self):
        """Closes the input; gives the exit code."""
        self.process.stdin.close()
        status = self.process.wait(SECONDS_MAX)
        self.reader.join(SECONDS_MAX)
        return status

    @property
    def events(self):
        """All events so far."""
        return EVENT.findall(self.text)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
