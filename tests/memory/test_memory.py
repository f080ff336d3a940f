"""Servers in control groups with little memory, as in containers: what grows is refused before the kernel kills, all else goes on."""

import re
import threading
import time

import pytest

from ensemble import members
from harness import wire
from harness.control_group import ControlGroup
from harness.observing import cpu_seconds, figures, status_bytes
from harness.servers import Server, ServerFailed, four_letter_word
from harness.waiting import eventually

from .conftest import LIMIT, MIB

QUOTA_EXCEEDED = -125
SECONDS_MAX = 30
# Java's limit of a frame is a megabyte.
LARGE = bytes(900_000)


@pytest.fixture
def server(group, tmp_path):
    server = Server("zabd", tmp_path / "server", config={"maxSessionTimeout": 120_000})
    server.control_group = group
    yield server.start()
    server.kill()


def figure(server, name):
    return int(figures(server.port)[name])


def get(session, path, watch=False):
    return session.call(wire.GET_DATA, wire.Writer().ustring(path).boolean(watch).bytes)


def until_session(server):
    """A session, as soon as any is let in."""
    return wire.until_session(server.port, 120_000, SECONDS_MAX)


def fill(session, prefix, data=LARGE, pipelined=16):
    """Creates nodes until one is refused; what was acknowledged, and all errors."""
    acknowledged, errors, number = [], set(), 0
    while not errors:
        names = [f"{prefix}{number + each}" for each in range(pipelined)]
        number += pipelined
        for name in names:
            session.submit(wire.CREATE, wire.create_body(name, data))
        for name in names:
            error = session.reply().err
            if error == 0:
                acknowledged.append(name)
            else:
                errors.add(error)
        assert len(acknowledged) * max(len(data), 100) < 2 * LIMIT, "nothing was refused"
    return acknowledged, errors


# What requests under way had taken is given back within a second or two.
QUIET_SECONDS, POLL_SECONDS = 4, 0.1


def fill_to_the_brim(session):
    """One after the other until nothing is taken for a while: what requests under way had taken is given back by then."""
    created, last = [], time.monotonic()
    while time.monotonic() < last + QUIET_SECONDS:
        if session.create(f"/brim-{len(created)}", LARGE).err == 0:
            created.append(f"/brim-{len(created)}")
            last = time.monotonic()
            assert len(created) * len(LARGE) < 2 * LIMIT, "there is always room"
        else:
            # What it is refused for is given back when nobody asks for memory.
            time.sleep(POLL_SECONDS)
    return created


def test_growth_ends_before_the_kernel_kills(server, group):
    """Four clients create as fast as they can; then only what makes the tree no larger is done, and room that was made is used."""
    assert figure(server, "zabd_memory_limit_bytes") == LIMIT
    found = {}

    def writer(number):
        session = wire.Session(server.port, 120_000)
        found[number] = fill(session, f"/{number}-")

    writers = [threading.Thread(target=writer, args=(number,)) for number in range(4)]
    for each in writers:
        each.start()
    for each in writers:
        each.join()
    assert [errors for _, errors in found.values()] == [{QUOTA_EXCEEDED}] * 4
    acknowledged = [name for names, _ in found.values() for name in names]
    session = until_session(server)
    assert all(get(session, name).reader().buffer() == LARGE for name in acknowledged), "what was acknowledged is there"
    acknowledged += fill_to_the_brim(session)
    # Nothing is refused before memory is used: the first mark is 24 MiB below the limit. How much of it is data depends on the
    # kernel's huge pages.
    assert figure(server, "zabd_memory_used_bytes") > LIMIT * 3 // 4
    assert len(acknowledged) * len(LARGE) > LIMIT // 3
    same = wire.Writer().ustring(acknowledged[0]).buffer(bytes([1]) * len(LARGE)).int(-1).bytes
    assert session.call(wire.SET_DATA, same).err == 0
    longer = wire.Writer().ustring(acknowledged[0]).buffer(LARGE + b"1").int(-1).bytes
    assert session.call(wire.SET_DATA, longer).err == QUOTA_EXCEEDED
    assert four_letter_word(server.port, "ruok") == "imok"
    kept = figure(server, "zabd_memory_kept_bytes")
    assert len(acknowledged) * len(LARGE) < kept < LIMIT
    half = len(acknowledged) // 2
    for name in acknowledged[:half]:
        assert session.call(wire.DELETE, wire.Writer().ustring(name).int(-1).bytes).err == 0
    eventually(lambda: figure(server, "zabd_memory_room") == 0, SECONDS_MAX, what="room")
    eventually(lambda: figure(server, "zabd_memory_kept_bytes") < kept - half * len(LARGE) // 2, what="what is deleted is kept no more")
    assert re.search(r"There is room in memory again: \d+ of .* are used, about \d+ bytes of it by znodes", server.log_text())
    assert session.create("/again", LARGE).err == 0
    server.kill()
    server.start()
    session = wire.Session(server.port, 120_000)
    left = [name for name in [*acknowledged, "/again"] if get(session, name).err == 0]
    assert left == [*acknowledged[half:], "/again"]
    assert group.kills() == 0
    assert server.log_text().count("writes that make the tree larger are refused") >= 1


def test_small_znodes_are_counted_with_what_they_cost(server, group):
    acknowledged, errors = fill(wire.Session(server.port, 120_000), "/small-", b"", pipelined=500)
    assert errors == {QUOTA_EXCEEDED}
    session = until_session(server)
    for name in acknowledged[::1000]:
        assert get(session, name).err == 0
    assert group.kills() == 0


def test_watches_and_replies_that_nobody_takes_end_too(server, group):
    """A client watches long paths that are not there; at the second mark it is refused, and so are new sessions."""
    session = wire.Session(server.port, 120_000)
    keeper = wire.Session(server.port, 120_000)
    assert keeper.create("/kept").err == 0
    number, errors = 0, set()
    while QUOTA_EXCEEDED not in errors:
        for each in range(200):
            path = f"/{number + each}-{'x' * 4000}"
            session.submit(wire.EXISTS, wire.Writer().ustring(path).boolean(True).bytes)
        errors = {session.reply().err for _ in range(200)}
        number += 200
        assert number * 4000 < 2 * LIMIT, "nothing was refused"
    with pytest.raises(wire.Closed):
        wire.Session(server.port, 120_000)
    assert four_letter_word(server.port, "ruok") == "imok"
    assert get(keeper, "/kept").err == 0
    assert get(keeper, "/kept", watch=True).err == QUOTA_EXCEEDED
    assert keeper.call(wire.DELETE, wire.Writer().ustring("/kept").int(-1).bytes).err == 0
    session.close()
    eventually(lambda: figure(server, "zabd_memory_room") == 0, SECONDS_MAX, what="room")
    until_session(server).end()
    assert keeper.create("/kept").err == 0
    assert group.kills() == 0


def test_who_somebody_is_ends_too(server, group):
    """Names as long as a packet may be, more than fit: they are refused, and whoever has a usual name is still let in."""
    sessions = [wire.Session(server.port, 120_000) for _ in range(1200)]
    errors = set()
    for number in range(4):
        for session in sessions:
            errors.add(session.auth("digest", f"{number}{'n' * 62_000}:secret").err)
    assert errors == {0, QUOTA_EXCEEDED}
    assert "No further identity for" in server.log_text()
    sessions[0].close()
    again = wire.Session(server.port, 120_000, sessions[0].session_id, sessions[0].password)
    assert again.auth("digest", "user:secret").err == 0
    assert group.kills() == 0


LIST_MEGABYTES, LISTENERS = 8, 40


def test_all_who_list_what_they_watch_are_answered(server, group):
    """One child comes, and forty clients ask for the eight megabytes of names that they wait for, as every cache does."""
    session = wire.Session(server.port, 120_000)
    assert session.create("/many").err == 0
    for part in range(LIST_MEGABYTES * 2):
        names = [f"/many/{part:04}{number:04}{'n' * 988}" for number in range(500)]
        multi = wire.multi_body([(wire.CREATE, wire.create_body(name)) for name in names])
        assert session.call(wire.MULTI, multi).err == 0
    watchers = [wire.Session(server.port, 120_000) for _ in range(LISTENERS)]
    for watcher in watchers:
        assert watcher.call(wire.ADD_WATCH, wire.Writer().ustring("/many").int(0).bytes).err == 0
    listed = {}

    def list_again(number):
        assert watchers[number].frame() is not None
        reply = watchers[number].call(wire.GET_CHILDREN, wire.Writer().ustring("/many").boolean(False).bytes)
        listed[number] = (reply.err, reply.reader().int())

    threads = [threading.Thread(target=list_again, args=(number,)) for number in range(LISTENERS)]
    for thread in threads:
        thread.start()
    assert session.create("/many/new").err == 0
    for thread in threads:
        thread.join()
    assert listed == {number: (0, LIST_MEGABYTES * 1000 + 1) for number in range(LISTENERS)}
    assert group.kills() == 0 and "Closing the connection" not in server.log_text()


@pytest.mark.parametrize("snap_count", [100_000, 40], ids=["log", "snapshot"])
def test_a_start_that_does_not_fit_says_so(tmp_path, snap_count):
    """Nothing is lost by it: with more memory, everything is there."""
    config = {"maxSessionTimeout": 120_000, "zabd.memoryMaxBytes": 0}
    server = Server("zabd", tmp_path / "server", config=config, properties={"snapCount": snap_count})
    snapshots = server.data_dir / "version-2"
    with server:
        session = wire.Session(server.port, 120_000)
        for number in range(60):
            assert session.create(f"/{number}", LARGE).err == 0
        if snap_count < 60:
            taken = lambda: max(path.stat().st_size for path in snapshots.glob("snapshot.*")) > 15 * len(LARGE)
            eventually(taken, SECONDS_MAX, what="a snapshot")
    server.config["zabd.memoryMaxBytes"] = 30 * MIB
    with pytest.raises(ServerFailed, match=r"need more memory than 31457280 bytes \(zabd.memoryMaxBytes\); raise the limit"):
        server.start()
    server.config["zabd.memoryMaxBytes"] = 0
    with server:
        session = wire.Session(server.port, 120_000)
        assert all(get(session, f"/{number}").reader().buffer() == LARGE for number in range(60))


def test_an_ensemble_refuses_together(tmp_path):
    """Writers at every member, each in a group of its own; nobody is killed, and all have the same."""
    groups = [ControlGroup(LIMIT) for _ in range(3)]
    ensemble = members.Ensemble(["zabd"] * 3, tmp_path, config={"maxSessionTimeout": 120_000})
    try:
        for group, server in zip(groups, ensemble.members.values()):
            server.control_group = group.__enter__()
        with ensemble:
            found = {}

            def writer(number):
                found[number] = fill(wire.Session(ensemble.members[number].port, 120_000), f"/{number}-")

            writers = [threading.Thread(target=writer, args=(number,)) for number in ensemble.members]
            for each in writers:
                each.start()
            for each in writers:
                each.join()
            assert [errors for _, errors in found.values()] == [{QUOTA_EXCEEDED}] * 3
            # Until what requests under way had taken is given back, sessions may be refused, too.
            rooms = lambda: [figure(server, "zabd_memory_room") for server in ensemble.members.values()]
            eventually(lambda: max(rooms()) < 2, SECONDS_MAX, what="sessions are let in")
            ensemble.assert_equal_trees()
            acknowledged = {name for names, _ in found.values() for name in names}
            session = until_session(ensemble.members[1])
            assert all(get(session, name).err == 0 for name in acknowledged)
            assert all(server.running for server in ensemble.members.values())
        assert [group.kills() for group in groups] == [0, 0, 0]
    finally:
        for server in ensemble.members.values():
            server.kill()
        for group in groups:
            if group.path.exists():
                group.__exit__()


CLIENTS, PATHS, PATHS_PER_REQUEST = 10, 100_000, 20_000
WATCH_BYTES_MAX = 40
# What huge pages may add to a heap of this size, beside a page that was freed while it was made one. The watches are thirty megabytes.
HUGE_PAGES_ADD_MAX = 6 << 20


def test_a_watch_takes_less_than_forty_bytes(tmp_path):
    """Ten clients watch the same hundred thousand paths; one of them goes, then all."""
    with Server("zabd", tmp_path / "server", config={"maxSessionTimeout": 120_000}) as server:
        first, *others = [wire.Session(server.port, 120_000) for _ in range(CLIENTS)]
        watch_all(first)
        # Its paths are known by then.
        before = resident_bytes(server)
        for session in others:
            watch_all(session)
        assert figure(server, "watch_count") == CLIENTS * PATHS
        # The tables that became too small on the way are given back a second later.
        each = lambda: (resident_bytes(server) - before) / (len(others) * PATHS)
        eventually(lambda: each() < WATCH_BYTES_MAX, SECONDS_MAX, what=lambda: f"{each()} bytes a watch")
        first.close()
        eventually(lambda: figure(server, "watch_count") == len(others) * PATHS, SECONDS_MAX, what="its watches are gone")
        for session in others:
            session.close()
        eventually(lambda: figure(server, "watch_count") == 0, SECONDS_MAX, what="no watch is left")
        kept = lambda: f"memory is given back: {resident_bytes(server)} bytes beside {before}"
        eventually(lambda: resident_bytes(server) < before + HUGE_PAGES_ADD_MAX, SECONDS_MAX, what=kept)


LEAVERS, LEFT_PATHS = 3, 300_000


def test_who_leaves_many_watches_delays_nobody(tmp_path):
    """What it takes to take three hundred thousand watches away is not what another client waits, who reads meanwhile. What the machine
    does beside that may come once, not each time that a client leaves."""
    with Server("zabd", tmp_path / "server", config={"maxSessionTimeout": 120_000}) as server:
        other = wire.Session(server.port, 120_000)
        assert other.create("/read").err == 0 and get(other, "/read", watch=True).err == 0
        shares = []
        for _ in range(LEAVERS):
            session = wire.Session(server.port, 120_000)
            watch_all(session, LEFT_PATHS)
            assert figure(server, "watch_count") == 1 + LEFT_PATHS
            before = cpu_seconds(server.process.pid)
            session.close()
            longest = longest_wait(other, 1.0)
            assert figure(server, "watch_count") == 1
            shares.append(longest / (cpu_seconds(server.process.pid) - before))
        assert min(shares) < 1 / 4, f"another client waited for {shares} of the work"


def longest_wait(session, seconds):
    """How long one of many reads takes."""
    longest, end = 0.0, time.monotonic() + seconds
    while (begin := time.monotonic()) < end:
        assert get(session, "/read", watch=True).err == 0
        longest = max(longest, time.monotonic() - begin)
        # The reads themselves are to be little work.
        time.sleep(0.001)
    return longest


def watch_all(session, count=PATHS):
    """Sets the watches as a client does that comes from another server, many with one request."""
    for start in range(0, count, PATHS_PER_REQUEST):
        paths = [f"/watched-{number}" for number in range(start, start + PATHS_PER_REQUEST)]
        # Their data, existence and children: nothing is there, so that only existence is waited for.
        body = wire.Writer().long(0).int(0).int(len(paths))
        for path in paths:
            body.ustring(path)
        assert session.call(wire.SET_WATCHES, body.int(0).bytes).err == 0


def resident_bytes(server):
    return status_bytes(server.process.pid, "VmRSS")
