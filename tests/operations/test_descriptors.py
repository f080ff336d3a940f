"""A server that has opened as many files as it may: clients that are there are served, and nothing is lost."""

import os
import resource
import select
import socket

import pytest

from harness import wire
from harness.servers import four_letter_word
from harness.waiting import eventually
from harness.wire import Writer

NOT_READ_ONLY = -119
SNAP_COUNT = 50
# Connections are refused before the last of so few; a server with few files open needs not many more.
SPARE = 40
CROWD = 100

pytestmark = pytest.mark.usefixtures("only_zabd")


@pytest.fixture
def server(start):
    return start("zabd", config={"snapCount": SNAP_COUNT})


def open_files(server):
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def allow(server, files):
    """So many open files from now on; the hard limit stays, so that it can be taken back."""
    _, most = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (min(files, most), most))


def submit_writes(session, count):
    body = Writer().ustring("/").buffer(b"x" * 100).int(-1).bytes
    return [session.submit(wire.SET_DATA, body) for _ in range(count)]


def errors(session, sent):
    """Of the replies to these."""
    replies = [session.reply() for _ in sent]
    assert [reply.xid for reply in replies] == sent
    return {reply.err for reply in replies}


def logs(server):
    return len([name for name in os.listdir(server.data_dir / "version-2") if name.startswith("log.")])


def test_clients_do_not_take_the_last_descriptors(server):
    session = wire.Session(server.port, 40_000)
    allow(server, open_files(server) + SPARE)
    crowd = [connect(server.port) for _ in range(CROWD)]
    # Whoever is refused hears it; the others hear nothing.
    eventually(lambda: len(select.select(crowd, [], [], 0)[0]) >= CROWD - SPARE)
    assert len(select.select(crowd, [], [], 0)[0]) < CROWD, "some are let in"
    before = logs(server)
    assert errors(session, submit_writes(session, 10 * SNAP_COUNT)) == {0}
    assert logs(server) > before + 3 and server.running
    assert server.log_text().count("Too many open files") == 1
    for connection in crowd:
        connection.close()
    assert eventually(lambda: accepts(server)) and wire.Session(server.port).create("/after").err == 0


def connect(port):
    """A connection on its way: it may be refused before this knows that it was made."""
    connection = socket.socket()
    connection.setblocking(False)
    connection.connect_ex(("127.0.0.1", port))
    return connection


def accepts(server):
    try:
        return four_letter_word(server.port, "srvr")
    except ConnectionError:
        return None


def test_a_log_that_cannot_be_opened_makes_writes_wait(server):
    writer, other = (wire.Session(server.port, 40_000) for _ in range(2))
    allow(server, 0)
    sent = submit_writes(writer, 3 * SNAP_COUNT)
    eventually(lambda: "no file descriptor is free" in server.log_text())
    eventually(lambda: other.create("/refused").err == NOT_READ_ONLY)
    allow(server, resource.RLIM_INFINITY if resource.RLIM_INFINITY > 0 else 1 << 20)
    # Those behind the one that found no file were refused, or wait with it.
    assert errors(writer, sent) <= {0, NOT_READ_ONLY} and server.running
    assert eventually(lambda: other.create("/written").err == 0)
    server.kill()
    assert wire.Session(server.start().port).create("/written").err == -110
