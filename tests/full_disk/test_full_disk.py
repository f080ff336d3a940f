"""A server on a real file system that is full: reads go on, writes are refused and then go on by themselves, nothing is lost.

The disk is a tmpfs of a few MiB, filled to its last page by a file of its own; mounting it takes root.
"""

import select
import subprocess
import time
from urllib.request import urlopen

import pytest

from harness import places, wire
from harness.disk import Disk
from harness.observing import figures
from harness.servers import Server, four_letter_word, free_port
from harness.wire import Writer
from harness.waiting import eventually

NOT_READ_ONLY = -119
NO_NODE = -101
SECONDS_MAX = 20


@pytest.fixture
def disk(tmp_path):
    with Disk(tmp_path / "disk") as disk:
        yield disk


@pytest.fixture
def server(disk, tmp_path):
    """A server on the disk, whose own log is elsewhere; it is gone before the disk is."""
    server = Server(
        "zabd", tmp_path / "server", data_dir=disk.path / "data",
        config={"tickTime": 200, "minSessionTimeout": 400, "zabd.probes.port": free_port(), "zabd.probes.address": "127.0.0.1"},
        properties={"preAllocSize": 64})
    yield server
    server.kill()


def read(session, path):
    """The data of a node; an error's number if there is none."""
    reply = session.call(wire.GET_DATA, Writer().ustring(path).boolean(False).bytes)
    return reply.reader().buffer() if reply.err == 0 else reply.err


def until_session(server):
    """A session as soon as there is room for its transaction."""
    return wire.until_session(server.port, 30_000)


def data_of(number):
    return bytes([number % 251]) * 1000


def create_all(session, numbers):
    """Creates nodes, each acknowledged before the next."""
    for number in numbers:
        assert session.create(f"/{number}", data_of(number)).err == 0


def lost(session, numbers):
    """The nodes that are not what was acknowledged."""
    return [number for number in numbers if read(session, f"/{number}") != data_of(number)]


def figure(server, name):
    return figures(server.port)[name]


def readiness(server):
    """That the server is ready, and why."""
    with urlopen(f"http://127.0.0.1:{server.config['zabd.probes.port']}/readyz?verbose", timeout=10) as answer:
        return answer.read().decode()


def has_ended(session):
    """Whether the server has closed a connection whose replies nobody takes."""
    if not select.select([session.socket], [], [], 0)[0]:
        return False
    assert session.until_closed() == b"", "a write that finds no room is not answered"
    return True


def write_that_finds_no_room(server, disk):
    """A session whose write waits for room, with the disk full and the server aware of it."""
    waiting = wire.Session(server.port, 30_000)
    disk.fill()
    waiting.submit(wire.CREATE, wire.create_body("/waiting", bytes(1 << 16)))
    eventually(lambda: "The log has no room: writes are refused" in server.log_text(), what="the disk is full")
    return waiting


def test_writes_are_refused_until_there_is_room(server, disk):
    server.start()
    client, silent = wire.Session(server.port, 30_000), wire.Session(server.port, 400)
    create_all(client, range(50))
    assert silent.create("/silent", flags=1).err == 0
    silent.close()
    waiting = write_that_finds_no_room(server, disk)

    refused = 0
    while not has_ended(waiting):
        assert client.create("/refused").err == NOT_READ_ONLY
        refused += 1
        assert lost(client, range(50)) == []
        assert four_letter_word(server.port, "ruok") == "imok"
        assert "Mode: standalone" in four_letter_word(server.port, "srvr")
        time.sleep(0.05)
    assert refused > 1
    assert figure(server, "zabd_writes_refused") == "1"
    assert "[+]serving ok: standalone, writes are refused: the disk is full\n" in readiness(server)
    assert int(figure(server, "zabd_log_disk_free_bytes")) < 4096
    assert server.log_text().count("Writes wait: no room to append to") == 1
    assert f"0 bytes are free for {server.data_dir}/version-2" in server.log_text()
    with pytest.raises(wire.Closed):
        wire.Session(server.port, 30_000)
    assert read(client, "/silent") == b"", "no session ends while its end cannot be logged"
    again = wire.Session(server.port, 30_000, client.session_id, client.password)
    assert again.session_id == client.session_id, "a session that is there moves to another connection"
    assert lost(again, range(50)) == []

    disk.free()
    eventually(lambda: read(again, "/waiting") == bytes(1 << 16), what="what waited went on by itself")
    assert figure(server, "zabd_writes_refused") == "0"
    assert "[+]serving ok: standalone\n" in readiness(server)
    eventually(lambda: again.create("/later").err == 0, what="writes are let in again")
    eventually(lambda: read(again, "/silent") == NO_NODE, what="overdue sessions end now")
    create_all(again, range(50, 60))
    server.kill()
    server.start()
    back = wire.Session(server.port, 30_000, client.session_id, client.password)
    assert back.session_id == client.session_id
    assert lost(back, range(60)) == []
    assert (read(back, "/waiting"), read(back, "/later"), read(back, "/refused")) == (bytes(1 << 16), b"", NO_NODE)
    assert server.complaints() == []


def test_a_server_that_is_killed_while_the_disk_is_full_loses_nothing(server, disk):
    server.start()
    client = wire.Session(server.port, 30_000)
    create_all(client, range(50))
    write_that_finds_no_room(server, disk)
    server.kill()
    checked = subprocess.run([places.ZABD, "check", server.directory / "zoo.cfg"], capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0 and "warning: The disk of the log is almost full, and writes are refused when it is; hint: " in checked.stdout
    server.start()
    back = wire.Session(server.port, 30_000, client.session_id, client.password)
    assert back.session_id == client.session_id, "reads are served from a full disk"
    assert "The disk of the log is almost full" in server.log_text()
    assert figure(server, "zabd_writes_refused") == "1", "though nobody has tried to write yet"
    checked = subprocess.run([places.ZABD, "check", server.directory / "zoo.cfg"], capture_output=True, text=True, timeout=60)
    assert "warning: The disk of the log is almost full" in checked.stdout, "also beside the server that runs"
    assert lost(back, range(50)) == []
    disk.free()
    create_all(back, range(50, 60))
    assert figure(server, "zabd_writes_refused") == "0"
    server.kill()
    server.start()
    back = wire.Session(server.port, 30_000, client.session_id, client.password)
    assert lost(back, range(60)) == []


def test_a_start_that_owes_a_snapshot_serves_reads(server, disk):
    """Without its snapshot the log alone holds everything; nothing may follow it before there is another."""
    server.start()
    client = wire.Session(server.port, 30_000)
    create_all(client, range(50))
    assert figure(server, "snapshot_error_count") == "0"
    server.kill()
    files = server.data_dir / "version-2"
    (files / "snapshot.0").unlink()
    disk.fill()
    server.properties["snapshot.trust.empty"] = "true"
    server.start()
    back = wire.Session(server.port, 30_000, client.session_id, client.password)
    assert back.session_id == client.session_id
    assert lost(back, range(50)) == []
    assert back.create("/refused").err == NOT_READ_ONLY
    assert int(figure(server, "snapshot_error_count")) >= 1
    assert list(files.glob("snapshot.*")) == []

    disk.free()
    eventually(lambda: back.create("/later").err == 0, what="writes are let in")
    assert len(list(files.glob("snapshot.*"))) == 1
    server.kill()
    del server.properties["snapshot.trust.empty"]
    server.start()
    back = wire.Session(server.port, 30_000, client.session_id, client.password)
    assert lost(back, range(50)) == []
    assert (read(back, "/later"), read(back, "/refused")) == (b"", NO_NODE)


def test_a_fresh_server_waits_for_room(server, disk):
    disk.fill()
    server.start()
    assert four_letter_word(server.port, "ruok") == "imok"
    assert "No room to write the first snapshot" in server.log_text()
    disk.free()
    eventually(lambda: list((server.data_dir / "version-2").glob("snapshot.*")), what="the snapshot is there")
    client = until_session(server)
    create_all(client, range(1))
    server.kill()
    server.start()
    back = wire.Session(server.port, 30_000, client.session_id, client.password)
    assert lost(back, range(1)) == []


def test_a_purge_needs_no_room(server, disk):
    server.properties["snapCount"] = 20
    server.start()
    client = wire.Session(server.port, 30_000)
    files = server.data_dir / "version-2"
    count = 0
    deadline = time.monotonic() + SECONDS_MAX
    while len(list(files.glob("snapshot.*"))) < 6:
        assert time.monotonic() < deadline
        create_all(client, range(count, count + 10))
        count += 10
    server.kill()
    disk.fill()
    server.config["autopurge.purgeInterval"] = 1
    server.config["autopurge.snapRetainCount"] = 3
    server.start()
    eventually(lambda: len(list(files.glob("snapshot.*"))) == 3, what="old snapshots are gone")
    back = wire.Session(server.port, 30_000, client.session_id, client.password)
    assert lost(back, range(count)) == []
    eventually(lambda: back.create("/later").err == 0, what="what was purged is room to write")
