"""`zabd doctor` on directories that servers leave: what it says is what the next start does."""

import json
import subprocess

from harness import places, wire
from harness.wire import Writer

LONG_MS = 300_000


def doctor(*words):
    """Asks it; gives exit code, output, complaints."""
    done = subprocess.run([str(places.ZABD), "doctor", *map(str, words)], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def test_what_is_said_comes_true(start, only_zabd):
    """A sound directory; one in use; one with a damaged record, which is repaired on request, and is then started on."""
    server = start("zabd", properties={"preAllocSize": 16})
    session = wire.Session(server.port, LONG_MS)
    for number in range(20):
        assert session.create(f"/n{number}", b"x", 1 if number % 2 else 0).err == 0
    status, out, err = doctor(server.data_dir)
    assert (status, out) == (2, "") and "is in use by another server" in err
    server.kill()

    status, out, _ = doctor("--json", server.data_dir)
    said = json.loads(out)
    assert status == 0 and said["verdict"] == "sound", out
    # The session itself is the first transaction.
    assert (said["start"]["last_zxid"], said["start"]["replayed"], said["repair"]["steps"]) == (21, 21, [])
    assert [one["ephemerals"] for one in said["start"]["ephemerals"]] == [10]
    assert {one["version"]: one["reads"] for one in said["java"]}["3.9"]

    log = server.data_dir / "version-2" / "log.1"
    content = log.read_bytes()
    log.write_bytes(content.replace(b"/n9", b"/m9"))
    status, out, _ = doctor(server.data_dir)
    assert status == 2 and "is given up\n" in out and "DAMAGED: a wrong checksum at offset " in out, out
    assert log.read_bytes() == content.replace(b"/n9", b"/m9"), "looking changes nothing"
    status, out, err = doctor(server.data_dir, "--repair")
    assert status == 0 and err.startswith(f"cut {log} at offset "), (out, err)
    assert len(list(log.parent.glob("cut-log.1-*"))) == 1
    server.start()
    session = wire.Session(server.port, LONG_MS)
    errors = [session.call(wire.EXISTS, Writer().ustring(path).boolean(False).bytes).err for path in ("/n8", "/n9")]
    assert errors == [0, -101]


def test_mistakes_end_with_two(tmp_path, only_zabd):
    for words in ((), (tmp_path / "nowhere",), (tmp_path, tmp_path), ("--bogus", tmp_path), (tmp_path, "--log-dir")):
        status, out, err = doctor(*words)
        assert (status, out) == (2, "") and "zabd doctor DIR" in err
    assert doctor("--help")[0] == 0
    status, out, _ = doctor(tmp_path)
    assert status == 1 and "no files of a server; " in out and "begins with nothing" in out and list(tmp_path.iterdir()) == []
