"""A disk that cannot sync, a slow one, one without room for a snapshot: what a running server does, seen from outside.

The disk is that of the process alone: a small library between it and the C library fails the operations that the test names.
"""

import re
import threading

import pytest

from harness import wire
from harness.waiting import eventually

from .conftest import figures
from .test_files import files

LONG_MS = 30_000


def test_a_snapshot_that_finds_no_room_is_left_out(faulty):
    """Java ends then. The log has everything, so nothing is lost, and the next one may find room."""
    server = faulty(properties={"snapCount": 10, "preAllocSize": 16}).start()
    session = wire.Session(server.port, LONG_MS)
    server.order("full /new-snapshot.")
    for number in range(40):
        assert session.create(f"/{number}").err == 0
    assert eventually(lambda: "Cannot write a snapshot, the log stays as it is" in server.log_text())
    assert [path.name for path in files(server, "snapshot")] == ["snapshot.0"]
    assert not list((server.data_dir / "version-2").glob("new-*"))
    server.order()
    for number in range(40, 80):
        assert session.create(f"/{number}").err == 0
    assert eventually(lambda: len(files(server, "snapshot")) > 1)


def test_a_failed_sync_ends_the_process(faulty):
    """After it nobody knows what the disk holds, so nothing more may be acknowledged."""
    server = faulty(properties={"preAllocSize": 16}).start()
    session = wire.Session(server.port, LONG_MS)
    assert session.create("/before").err == 0
    server.order("broken /log.")
    session.submit(wire.CREATE, wire.create_body("/lost"))
    assert session.frame() is None, "it ends without an answer"
    assert server.process.wait(20) == 1
    log = server.log_text()
    assert re.search(r"Severe unrecoverable error, exiting: the log .*/log\.\w+ could not be made durable", log)
    server.process = None
    server.order()
    server.start()
    again = wire.Session(server.port, LONG_MS)
    assert again.call(wire.EXISTS, wire.Writer().ustring("/before").boolean(False).bytes).err == 0


@pytest.mark.parametrize(("threshold_ms", "is_told"), [(100, True), (100_000, False)])
def test_a_slow_sync_is_told_in_javas_words(faulty, threshold_ms, is_told):
    server = faulty(properties={"fsync.warningthresholdms": threshold_ms, "preAllocSize": 16}).start()
    session = wire.Session(server.port, LONG_MS)
    server.order("slow /log.")
    assert session.create("/slow").err == 0
    assert int(figures(server)["max_fsynctime"]) >= 300
    told = re.compile(
        r"WARN  \[SyncThread:0:log_writer@\d+\] - fsync-ing the write ahead log in SyncThread:0 took (\d+)ms which will "
        r"adversely effect operation latency\.File size is (\d+) bytes\. See the ZooKeeper troubleshooting guide")
    if is_told:
        said = eventually(lambda: told.search(server.log_text()))
        assert int(said.group(1)) >= 300 and int(said.group(2)) == 16 + (16 << 10)
    else:
        assert server.stop() == 0
        assert not told.search(server.log_text())


def test_reads_go_on_while_a_sync_is_slow(faulty):
    server = faulty().start()
    writer, reader = wire.Session(server.port, LONG_MS), wire.Session(server.port, LONG_MS)
    server.order("slow /log.")
    answered = threading.Event()
    waiting = writer.submit(wire.CREATE, wire.create_body("/slow"))
    threading.Thread(target=lambda: (writer.reply(), answered.set())).start()
    reads = 0
    while not answered.is_set():
        assert reader.call(wire.GET_DATA, wire.Writer().ustring("/").boolean(False).bytes).err == 0
        reads += 1
    assert reads > 20 and waiting == 1
