"""How long sessions live, what ends with them, and what survives a restart."""

import re
import struct
import time

import pytest

from harness import wire
from harness.servers import Server, four_letter_word
from harness.waiting import eventually
from harness.wire import Writer

from .client import EPHEMERAL, NO_NODE, OK, Client
from .conftest import House

TICK_MS = 200
CONFIG = {"tickTime": TICK_MS}  # Sessions of 400 to 4000 ms.


@pytest.fixture(scope="module")
def quick_server(kind, tmp_path_factory):
    with Server(kind, tmp_path_factory.mktemp("quick"), config=CONFIG) as server:
        yield server


@pytest.fixture
def quick(quick_server):
    house = House(quick_server)
    yield house
    for client in house.clients:
        client.close()


def test_a_silent_session_expires_after_its_timeout_and_at_most_a_tick(quick):
    observer = quick.client(timeout_ms=4000)
    silent = quick.client(timeout_ms=1000)
    silent.create("/silent", flags=EPHEMERAL)
    began = time.monotonic()
    while observer.exists("/silent").err == OK:
        assert time.monotonic() - began < 10
        time.sleep(0.01)
    lived_ms = (time.monotonic() - began) * 1000
    assert 950 < lived_ms < 5000  # The exact bounds are a matter of arithmetic, which is tested without a clock.
    assert silent.is_closed()
    eventually(lambda: f"Expiring session 0x{silent.session_id:x}, timeout of 1000ms exceeded" in quick.log())
    late = quick.client(session_id=silent.session_id, password=silent.password)
    assert (late.session_id, late.timeout_ms) == (0, 0)


def test_the_ephemerals_of_a_session_go_in_the_order_of_javas_tables(quick):
    owner, observer = quick.client(timeout_ms=4000), quick.client(timeout_ms=4000)
    observer.create("/owned")
    for number in range(12):
        owner.create(f"/owned/e{number}", flags=EPHEMERAL)
        observer.exists(f"/owned/e{number}", True)
    reader = owner.call(wire.GET_EPHEMERALS, Writer().ustring("/").bytes).reader()
    listed = reader.vector(reader.ustring)
    owner.end()
    eventually(lambda: observer.exists("/owned/e1").err == NO_NODE)
    assert [path for _, path in observer.heard()] == listed != sorted(listed)


@pytest.mark.parametrize("keep", [
    lambda client: client.ping(), lambda client: client.exists("/"), lambda client: client.set("/kept", b"", 7)],
    ids=["ping", "read", "write that fails"])
def test_any_request_keeps_a_session_alive(quick, keep):
    client = quick.client(timeout_ms=600)
    end = time.monotonic() + 1.2
    while time.monotonic() < end:
        keep(client)
        time.sleep(0.1)
    assert client.ping().err == OK


def test_a_request_that_never_becomes_whole_keeps_nothing_alive(quick):
    client = quick.client(timeout_ms=1000)
    client.send(struct.pack(">i", 100_000))
    end = time.monotonic() + 10
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        while time.monotonic() < end:
            client.send(b"x")
            time.sleep(0.05)
    eventually(lambda: f"Expiring session 0x{client.session_id:x}, timeout of 1000ms exceeded" in quick.log())


def test_a_session_that_takes_long_to_begin_has_its_own_time_for_it(house_of):
    """Without a session, a connection is closed after half a second."""
    house = house_of(config={"tickTime": 100, "maxSessionTimeout": 10_000},
                     properties={"flushDelay": 2500, "maxWriteQueuePollTime": 2500, "nio.sessionlessCnxnTimeout": 500})
    house.client(timeout_ms=10_000)
    start = time.monotonic()
    client = house.client(timeout_ms=10_000)
    assert client.timeout_ms == 10_000 and client.exists("/").err == OK
    assert time.monotonic() - start > 1.5, "the creation was to take long"


def test_a_session_whose_creation_took_long_gets_its_full_timeout(house_of):
    """The delay makes the log sync what comes soon after another sync only when it is over."""
    house = house_of(config={"tickTime": 100, "maxSessionTimeout": 10_000},
                     properties={"flushDelay": 900, "maxWriteQueuePollTime": 900})
    house.client()
    start = time.monotonic()
    client = house.client(timeout_ms=1000)
    assert client.exists("/").err == OK
    took = time.monotonic() - start
    # The point: longer than what would be left of a timeout that began with the request, and shorter than a whole one.
    time.sleep(0.6)
    assert took > 0.5, "the creation was to take long"
    assert client.exists("/").err == OK


def test_a_session_lives_on_without_its_connection(quick):
    first = quick.client(timeout_ms=4000)
    first.create("/held", flags=EPHEMERAL)
    first.close()
    again = quick.client(timeout_ms=4000, session_id=first.session_id, password=first.password)
    assert again.session_id == first.session_id
    assert again.stat("/held")["ephemeralOwner"] == again.session_id
    again.end()


def test_resuming_negotiates_again(quick):
    first = quick.client(timeout_ms=4000)
    first.create("/short", flags=EPHEMERAL)
    again = quick.client(timeout_ms=400, session_id=first.session_id, password=first.password)
    assert again.timeout_ms == 400
    observer = quick.client(timeout_ms=4000)
    eventually(lambda: observer.exists("/short").err == NO_NODE, 3)


def test_all_ephemerals_go_in_one_transaction(quick):
    observer, owner = quick.client(timeout_ms=4000), quick.client(timeout_ms=4000)
    observer.create("/together")
    # Some are still on their way when the session ends; the last one comes behind its end.
    creates = [(wire.CREATE, wire.create_body(f"/together/{number}", flags=EPHEMERAL)) for number in range(21)]
    owner.submit_together([*creates[:20], (wire.CLOSE_SESSION, b""), creates[20]])
    replies = [owner.reply() for _ in range(21)]
    assert {reply.err for reply in replies} == {OK}
    owner.until_closed()
    stat = observer.stat("/together")
    assert (stat["pzxid"], stat["numChildren"]) == (replies[20].zxid, 0)
    observer.end()


def test_creating_and_closing_a_session_are_transactions(quick):
    observer = quick.client(timeout_ms=4000)
    before = observer.ping().zxid
    guest = quick.client()
    assert observer.ping().zxid == before + 1
    resumed = quick.client(session_id=guest.session_id, password=guest.password)
    assert observer.ping().zxid == before + 1  # Resuming is none.
    assert resumed.call(wire.CLOSE_SESSION).zxid == before + 2


def test_sessions_and_their_ephemerals_survive_a_restart(house_of):
    house = house_of(config={"maxSessionTimeout": 60_000})
    client, gone = house.client(timeout_ms=30_000), house.client(timeout_ms=30_000)
    client.create("/kept", flags=EPHEMERAL)
    gone.create("/gone", flags=EPHEMERAL)
    gone.end()
    house.server.kill()
    house.server.start()
    again = house.client(timeout_ms=30_000, session_id=client.session_id, password=client.password)
    assert again.session_id == client.session_id
    assert again.stat("/kept")["ephemeralOwner"] == client.session_id
    assert again.exists("/gone").err == NO_NODE


def test_a_restart_gives_sessions_their_full_timeout(house_of):
    house = house_of(config=CONFIG)
    silent = house.client(timeout_ms=3000)
    silent.create("/silent", flags=EPHEMERAL)
    silent.close()
    time.sleep(1.5)
    house.server.stop()
    house.server.start()
    observer = house.client(timeout_ms=4000)
    began = time.monotonic()
    eventually(lambda: observer.exists("/silent").err == NO_NODE)
    assert time.monotonic() - began > 2


def test_other_limits_change_a_session_when_it_is_resumed(house_of):
    house = house_of(config={"maxSessionTimeout": 60_000})
    client = house.client(timeout_ms=50_000)
    assert client.timeout_ms == 50_000
    house.server.stop()
    house.server.config["maxSessionTimeout"] = 20_000
    house.server.start()
    assert re.search(rf"0x{client.session_id:x}", four_letter_word(house.port, "dump"))
    again = house.client(timeout_ms=50_000, session_id=client.session_id, password=client.password)
    assert (again.session_id, again.timeout_ms) == (client.session_id, 20_000)


def test_sessions_are_shown_to_operators(house):
    client = house.client()
    client.create("/shown", flags=EPHEMERAL)
    session = f"0x{client.session_id:x}"
    dump = four_letter_word(house.port, "dump")
    assert dump.count(session) >= 2 and "/shown" in dump
    assert f"sid={session}," in four_letter_word(house.port, "cons")
    before = house.figure("global_sessions")
    client.end()
    assert house.figure("global_sessions") == before - 1 and house.figure("local_sessions") == 0


def test_expired_sessions_are_counted(quick):
    before = quick.figure("stale_sessions_expired")
    quick.client(timeout_ms=400)
    eventually(lambda: quick.figure("stale_sessions_expired") > before)


def test_requests_behind_the_end_of_a_session_are_not_executed(house, client, home):
    guest = Client(house.port)
    guest.submit_together([
        (wire.CLOSE_SESSION, b""), *((wire.CREATE, wire.create_body(f"{home}/late-{number}")) for number in range(10))])
    assert guest.reply().err == OK
    guest.until_closed()
    assert client.names(home) == []


def test_what_stands_behind_a_list_is_done_although_its_client_is_gone(house, client, home):
    """A list behind a write waits for it, and the end of the session stands behind both."""
    for number in range(10):
        guest = Client(house.port)
        children = Writer().ustring(home).boolean(False).bytes
        guest.submit_together([
            (wire.CREATE, wire.create_body(f"{home}/ephemeral-{number}", flags=EPHEMERAL)), (wire.GET_CHILDREN, children),
            (wire.CREATE, wire.create_body(f"{home}/stays-{number}")), (wire.CLOSE_SESSION, b"")])
        guest.close()
    eventually(lambda: sorted(client.names(home)) == [f"stays-{number}" for number in range(10)])


@pytest.mark.parametrize("listed", [True, False])
def test_the_end_of_a_session_may_list_its_ephemerals_or_not(house_of, listed):
    house = house_of(properties={"closeSessionTxn.enabled": str(listed).lower()})
    owner, observer = house.client(), house.client()
    owner.create("/listed-ephemeral", flags=EPHEMERAL)
    observer.exists("/listed-ephemeral", True)
    owner.end()
    assert observer.heard() == [(2, "/listed-ephemeral")]
    observer.end()
    house.server.stop()
    log = b"".join(file.read_bytes() for file in (house.server.data_dir / "version-2").glob("log.*"))
    assert log.count(b"/listed-ephemeral") == (2 if listed else 1)
    house.server.start()
    assert house.client().exists("/listed-ephemeral").err == NO_NODE
