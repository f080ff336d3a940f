"""Ten thousand idle and two thousand busy clients at once.

Their sessions have short timeouts, so that a quarter of a minute is several of them: whoever pings lives on, whoever stops is gone on
time and takes nobody along, and in the end everything is given back.
"""

import os
import statistics
import struct
import time

import pytest

from harness import wire
from harness.observing import figures, status_bytes
from harness.servers import Server
from harness.wire import Writer
from harness.waiting import eventually

from .crowd import Crowd

IDLE, BUSY, SILENT = 10_000, 2_000, 1_000
TICK_S = 1
TIMEOUT_S = 4
HELD_S = 14
EVERY_S = 1  # Each busy client, one request.
ADDRESSES = [f"127.0.0.{number}" for number in range(1, 5)]

# How late an end may be noticed, and how long answers may take, on a machine that has two cores for all of this.
LATE_S = 4
MEDIAN_S_MAX, P99_S_MAX = 0.05, 0.5
RSS_PER_CONNECTION_MAX = 4096
# What the allocator keeps for later differs from run to run; ten thousand connections that stayed would be 20 MB and their buffers.
RSS_LEFT_MAX = 48 << 20
SETTLE_S_MAX = 30


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def framed(opcode, body):
    return struct.pack(">iii", 8 + len(body), 1, opcode) + bytes(body)


@pytest.fixture
def server(kind, tmp_path):
    config = {"tickTime": TICK_S * 1000, "maxSessionTimeout": 60_000}
    with Server(kind, tmp_path, config=config) as running:
        yield running


def test_ten_thousand_idle_and_two_thousand_busy(server, kind, record_property):
    port, pid = server.port, server.process.pid
    owner = wire.Session(port, 60_000)
    assert owner.create("/busy", b"x" * 100).err == 0
    requests = [framed(wire.GET_DATA, Writer().ustring("/busy").boolean(False).bytes)] * 8
    requests += [framed(wire.SET_DATA, Writer().ustring("/busy").buffer(b"y" * 100).int(-1).bytes)] * 2
    figures(port)  # What is lent to connections is there, too.
    rss, open_files = status_bytes(pid, "VmRSS"), descriptors(pid)

    with Crowd(port, ADDRESSES, TIMEOUT_S * 1000) as idle, Crowd(port, ADDRESSES, TIMEOUT_S * 1000) as busy:
        begin = time.monotonic()
        assert idle.call("open", IDLE) == IDLE
        opened_s = time.monotonic() - begin
        per_idle = (status_bytes(pid, "VmRSS") - rss) / IDLE
        assert busy.call("open", BUSY) == BUSY

        pongs = idle.call("pinged")
        latencies = sorted(busy.call("work", HELD_S, EVERY_S, requests))
        pongs = idle.call("pinged") - pongs
        per_connection = (status_bytes(pid, "VmRSS") - rss) / (IDLE + BUSY)
        median, p99 = statistics.median(latencies), latencies[len(latencies) * 99 // 100]
        assert len(latencies) > BUSY * (HELD_S / EVERY_S - 2)
        assert pongs > IDLE * (HELD_S / (TIMEOUT_S / 3) - 2)
        assert (idle.call("alive"), busy.call("alive")) == (IDLE, BUSY)
        assert figures(port)["global_sessions"] == str(IDLE + BUSY + 1)
        assert owner.call(wire.PING, xid=wire.PING_XID).err == 0

        # Some fall silent: they are gone after their timeout and at most a tick, and nobody else is.
        idle.call("fall_silent", SILENT)
        eventually(lambda: idle.call("silence").count(None) == 0, TIMEOUT_S + TICK_S + LATE_S, "silent clients are closed")
        silence = idle.call("silence")
        assert len(silence) == SILENT
        assert min(silence) > TIMEOUT_S - 0.1
        assert max(silence) < TIMEOUT_S + TICK_S + LATE_S
        assert (idle.call("alive"), busy.call("alive")) == (IDLE - SILENT, BUSY)
        assert figures(port)["global_sessions"] == str(IDLE + BUSY + 1 - SILENT)

        # All of them go without a word.
        idle.call("close", IDLE)
        busy.call("close", BUSY)
        if kind == "zabd":
            eventually(lambda: descriptors(pid) <= open_files, SETTLE_S_MAX, "descriptors are closed")
        eventually(lambda: figures(port)["global_sessions"] == "1", TIMEOUT_S + TICK_S + LATE_S, "sessions expire")
        if kind == "zabd":
            eventually(lambda: figures(port) and status_bytes(pid, "VmRSS") - rss < RSS_LEFT_MAX, SETTLE_S_MAX, "memory is given back")
        left = status_bytes(pid, "VmRSS") - rss
    owner.end()
    record_property("counted", (
        f"{IDLE} idle connections, opened in {opened_s:.1f} s, {per_idle:.0f} bytes each; with {BUSY} busy ones held {HELD_S} s with "
        f"{pongs} pings and {len(latencies)} requests, {per_connection:.0f} bytes each, median {median * 1000:.1f} ms, "
        f"p99 {p99 * 1000:.1f} ms; "
        f"silent ones gone after {min(silence):.2f} to {max(silence):.2f} s; {left >> 10} KiB left"))
    if kind == "zabd":
        assert median < MEDIAN_S_MAX and p99 < P99_S_MAX
        assert per_connection < RSS_PER_CONNECTION_MAX
