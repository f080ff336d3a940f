"""What watches cost: the memory for each of ten million on a million znodes, how long others wait when a client goes that has half a
million of them, and how long a scrape of all figures takes meanwhile.

    PYTHONPATH=tests .deps/venv/bin/python -m memory.watching [zabd|java395] [CLIENTS]

Each of ten clients watches all znodes. Java gets a heap of three gigabytes; with fewer CLIENTS, it is enough.
"""

import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

from admin.conftest import HttpServer, ask
from harness import wire
from harness.observing import figures, status_bytes

TOPS, PER_TOP = 1000, 1000
PATHS_PER_REQUEST = 10_000
SCRAPES, LEAVERS, LEFT = 20, 5, 500_000
TIMEOUT_MS = 600_000
# A time before which nothing changed.
ALL_SEEN = 1 << 60


def read(session):
    assert session.call(wire.GET_DATA, wire.Writer().ustring("/").boolean(False).bytes).err == 0


def make_znodes(session):
    for top in range(TOPS):
        names = [f"/znode-{top:03}", *(f"/znode-{top:03}/{number:03}" for number in range(PER_TOP - 1))]
        multi = wire.multi_body([(wire.CREATE, wire.create_body(name, b"")) for name in names])
        assert session.call(wire.MULTI, multi).err == 0
        yield from names


def watch(session, paths):
    for start in range(0, len(paths), PATHS_PER_REQUEST):
        part = paths[start : start + PATHS_PER_REQUEST]
        body = wire.Writer().long(ALL_SEEN).int(len(part))
        for path in part:
            body.ustring(path)
        assert session.call(wire.SET_WATCHES, body.int(0).int(0).bytes).err == 0


def reader(port, is_over, found):
    """Another client, in a process of its own: the longest of its waits."""
    session, longest = wire.Session(port, TIMEOUT_MS), 0
    read(session)
    while not is_over.is_set():
        begin = time.perf_counter()
        read(session)
        longest = max(longest, time.perf_counter() - begin)
        time.sleep(0.0005)
    found.put(longest)


def longest_wait_ms(port, what):
    context = multiprocessing.get_context("spawn")
    is_over, found = context.Event(), context.Queue()
    process = context.Process(target=reader, args=(port, is_over, found))
    process.start()
    time.sleep(1)
    what()
    time.sleep(2)
    is_over.set()
    longest = found.get()
    process.join()
    return longest * 1000


def main(kind="zabd", clients="10"):
    with tempfile.TemporaryDirectory() as directory:
        server = HttpServer(kind, Path(directory) / "server", config={"maxSessionTimeout": TIMEOUT_MS})
        server.java_options = ["-Xmx3g"] if kind != "zabd" else []
        with server:
            paths = list(make_znodes(wire.Session(server.port, TIMEOUT_MS)))
            # What filling took is given back.
            time.sleep(3)
            resident = lambda: status_bytes(server.process.pid, "VmRSS")
            before = resident()
            sessions = [wire.Session(server.port, TIMEOUT_MS) for _ in range(int(clients))]
            for session in sessions:
                watch(session, paths)
            time.sleep(3)
            count = int(float(figures(server.port)["watch_count"]))
            print(f"{count} watches on {len(paths)} znodes: {(resident() - before) / count:.1f} bytes each")
            scrapes = []
            for _ in range(SCRAPES):
                begin = time.perf_counter()
                assert ask(server.metrics_port, "/metrics")[0] == 200
                scrapes.append((time.perf_counter() - begin) * 1000)
            print(f"a scrape takes {sorted(scrapes)[SCRAPES // 2]:.1f} ms, the longest {max(scrapes):.1f} ms")
            waits = []
            for _ in range(LEAVERS):
                leaver = wire.Session(server.port, TIMEOUT_MS)
                watch(leaver, paths[:LEFT])
                time.sleep(1)
                waits.append(longest_wait_ms(server.port, leaver.close))
            print(f"when {LEFT} watches go, another client waits {', '.join(f'{wait:.0f}' for wait in waits)} ms at most")
            waits = [longest_wait_ms(server.port, lambda: None) for _ in range(LEAVERS)]
            print(f"when nothing happens, {', '.join(f'{wait:.0f}' for wait in waits)} ms")


if __name__ == "__main__":
    main(*sys.argv[1:])
