"""An application of Curator outlives every leader of a mixed ensemble: it keeps its session, what hangs on it, and every write."""

import subprocess
import threading
from pathlib import Path

import pytest

from harness import dump, places
from harness.servers import JAVA_OPTIONS
from transcripts import programs

from . import members

SECONDS_MAX = 100
TARGET = programs.BUILD / "ensemble"


class Application:
    """`CuratorWrites.java`, on all members."""

    def __init__(self, ensemble, log):
        programs.compile_java(Path(__file__).with_name("CuratorWrites.java"), places.CURATOR_CLASSPATH, TARGET)
        hosts = ",".join(server.hosts for server in ensemble.members.values())
        self.process = subprocess.Popen(
            ["java", *JAVA_OPTIONS, "-cp", f"{places.CURATOR_CLASSPATH}:{TARGET}", "CuratorWrites", hosts],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        self.deadline = threading.Timer(SECONDS_MAX, self.process.kill)

    def __enter__(self):
        self.deadline.start()
        self._until("begun")
        return self

    def __exit__(self, *_):
        self.deadline.cancel()
        self.process.kill()
        self.process.wait()

    def ask(self, word, answer=None):
        """The lines in front of the answer."""
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        return self._until(answer or word)

    def _until(self, answer):
        lines = []
        while (line := self.process.stdout.readline().rstrip("\n")) != answer:
            assert line, f"the application ended, or took too long, after {lines[-3:]}"
            lines.append(line)
        return lines


@pytest.mark.parametrize("kinds", [("zabd", "java395", "zabd"), ("zabd", "java38", "zabd")], ids="-".join)
def test_an_application_outlives_its_leaders(tmp_path, kinds):
    """Java leads and is killed, zabd leads and is killed."""
    with members.Ensemble(kinds, tmp_path) as ensemble, open(tmp_path / "curator.log", "w") as log:
        with Application(ensemble, log) as application:
            for number in (2, 3):
                ensemble.lead_by(number, meanwhile=lambda _: application.ask("more"))
                application.ask("more")
                ensemble.members[number].kill()
                application.ask("more")
                ensemble.members[number].start()
            told = application.ask("end")
            assert_kept(ensemble.trees(), told)
            application.ask("close", "closed")
        for nodes in ensemble.trees().values():
            assert not [node["path"] for node in nodes if node["stat"]["ephemeralOwner"]]
        ensemble.assert_equal_trees()


def assert_kept(trees, told):
    """Holds what the application was told against every member's tree."""
    by_word = {}
    for line in told:
        word, rest = line.split(" ", 1)
        by_word.setdefault(word, []).append(rest)
    assert "failure" not in by_word and "not" not in by_word, told[:5]
    assert by_word["lost"] == ["0"] and int(by_word["suspended"][0]) > 0, "a leader was killed under it"
    begun, ended = by_word["session"][0].split()
    assert begun == ended
    created = set(by_word["created"])
    assert len(created) > 100
    for nodes in trees.values():
        by_path = {node["path"]: node for node in nodes}
        assert not created - by_path.keys(), "acknowledged and lost"
        written = {path for path in by_path if path.startswith("/curator/writer-") and path.count("-") == 2}
        assert written == created, "every write was waited for"
        for name, acknowledged, asked in (line.split() for line in by_word["writer"]):
            found = int(dump.base64.b64decode(by_path[name]["data"]))
            assert found == int(acknowledged) == int(asked)
        owned = sorted(path for path, node in by_path.items() if node["stat"]["ephemeralOwner"] == as_signed(int(begun, 16)))
        assert len(owned) == 2 and owned[0] == "/curator-ephemeral" and owned[1].startswith("/curator-lock/"), owned


def as_signed(number):
    """A session id as it stands in a stat."""
    return number - (1 << 64) if number >> 63 else number
