"""What may differ between two runs of one script, and nothing else: times, session ids, ports, directories.

A value that means something keeps its meaning: session ids become labels in the order of their first appearance, so that an
owner must be the right session; zxids, versions, counts and sizes stay as they are.
"""

import difflib
import re

DATE = re.compile(r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ 0-9]{2} \d\d:\d\d:\d\d (?:[A-Z]{3,5} )?\d{4}")
SESSION = re.compile(r"0x[0-9a-f]{12,16}\b")

EVENT = re.compile(r"\n(WatchedEvent .*)\n")


class Normaliser:
    """Replaces volatile values in the texts of one run."""

    def __init__(self, server):
        self.port = server.port
        self.directories = [(str(server.data_dir), "<data>"), (str(server.directory), "<directory>")]
        self.labels = {}

    def know(self, session_ids):
        """Labels sessions in this order, whichever is seen first."""
        for session_id in session_ids:
            self._label(f"{session_id:#x}")

    def text(self, text):
        """The text without what may differ."""
        for directory, label in self.directories:
            text = text.replace(directory, label)
        text = text.replace(f"127.0.0.1:{self.port}", "127.0.0.1:<port>")
        text = re.sub(rf"\b{self.port}\b", "<port>", text)
        text = DATE.sub("<time>", text)
        return SESSION.sub(lambda match: self._label(match.group()), text)

    def _label(self, session_id):
        return self.labels.setdefault(session_id, f"<session {len(self.labels) + 1}>")


def without_events(text):
    """Splits a shell's output: what commands printed, node events in their order, session events sorted.

    Events are printed by other threads, between any two pieces of a line; those of a closed session and of the next one by two
    of them. That a session was closed is left out: what the last one says of itself races with the end of the program.
    """
    events = EVENT.findall(text)
    of_sessions = [event for event in events if " type:None " in event]
    printed = [line for line in EVENT.sub("", text.replace("\nWATCHER::\n", "")).splitlines() if line]
    return printed, [event for event in events if event not in of_sessions], sorted(event for event in of_sessions if " state:Closed " not in event)


def assert_same(expected, actual, expected_name, actual_name):
    """Two transcripts (lists of lines) are equal; the failure shows where they are not."""
    if expected != actual:
        difference = difflib.unified_diff(expected, actual, expected_name, actual_name, lineterm="", n=4)
        raise AssertionError("the transcripts differ\n" + "\n".join(list(difference)[:120]))
