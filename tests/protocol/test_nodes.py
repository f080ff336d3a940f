"""Counters, stats and lifetimes of nodes."""

import time

import pytest

from harness import wire
from harness.servers import Server
from harness.waiting import eventually

from .client import (
    CONTAINER, EPHEMERAL, EPHEMERAL_SEQUENTIAL, NO_NODE, NODE_EXISTS, OK, SEQUENTIAL, TTL, TTL_SEQUENTIAL, created_path)
from .conftest import House


def test_names_are_numbered_by_all_creates_below_the_parent(client, home):
    for name in ("a", "b", "c"):
        client.create(f"{home}/{name}")
    assert created_path(client.create(f"{home}/s-", flags=SEQUENTIAL)) == f"{home}/s-0000000003"
    assert client.delete(f"{home}/a").err == OK
    assert client.create(f"{home}/b").err == NODE_EXISTS  # What fails does not count.
    assert created_path(client.create(f"{home}/other-", flags=EPHEMERAL_SEQUENTIAL)) == f"{home}/other-0000000004"
    client.create(f"{home}/s-0000000006")
    assert client.create(f"{home}/s-", flags=SEQUENTIAL).err == NODE_EXISTS  # It computes 6.


def test_stats_count_creates_and_deletes_of_children(client, home):
    stats = [client.stat(home)]
    client.create(f"{home}/a")
    stats.append(client.stat(home))
    client.create(f"{home}/b")
    client.delete(f"{home}/a")
    last = client.ping().zxid
    client.set(f"{home}/b", b"data")
    client.create(f"{home}/b/c")
    stats.append(client.stat(home))
    assert [(stat["cversion"], stat["numChildren"]) for stat in stats] == [(0, 0), (1, 1), (3, 1)]
    assert stats[2]["pzxid"] == last
    assert {stat["version"] for stat in stats} == {0} and len({stat["mzxid"] for stat in stats}) == 1


def test_the_end_of_a_session_moves_the_pzxid_of_parents(house, client, home):
    guest = house.client()
    guest.create(f"{home}/e", flags=EPHEMERAL)
    zxid = guest.call(wire.CLOSE_SESSION).zxid
    stat = client.stat(home)
    assert (stat["pzxid"], stat["numChildren"], stat["cversion"]) == (zxid, 0, 2)


def test_the_first_nodes_of_a_server(house_of):
    client = house_of().client()
    root, system = client.stat("/"), client.stat("/zookeeper")
    assert (root["cversion"], root["numChildren"], system["cversion"], system["numChildren"]) == (-1, 1, -2, 2)
    for stat in (root, system, client.stat("/zookeeper/quota")):
        assert (stat["czxid"], stat["mzxid"], stat["ctime"], stat["mtime"], stat["version"]) == (0, 0, 0, 0, 0)
    assert client.acl_of("/") == client.acl_of("/zookeeper/quota") == [(31, "world", "anyone")]
    assert client.acl_of("/zookeeper/config") == [(1, "world", "anyone")]
    assert client.set("/zookeeper/config", b"").err == -102


def test_times_are_those_of_the_server_in_milliseconds(client, home):
    before = time.time() * 1000
    client.create(f"{home}/a")
    client.set(f"{home}/a", b"")
    stat = client.stat(f"{home}/a")
    assert before - 2 <= stat["ctime"] <= stat["mtime"] <= time.time() * 1000 + 2


def test_an_ephemeral_belongs_to_its_session(house, client, home):
    owner = house.client()
    owner.create(f"{home}/e", flags=EPHEMERAL)
    assert client.stat(f"{home}/e")["ephemeralOwner"] == owner.session_id
    assert client.create(f"{home}/e/child").err == -108
    assert client.delete(f"{home}/e").err == OK  # Anybody may, whom the list allows.
    owner.create(f"{home}/e", flags=EPHEMERAL)
    owner.end()
    assert client.exists(f"{home}/e").err == NO_NODE


REAPER = {"extendedTypesEnabled": "true", "znode.container.checkIntervalMs": 100}


@pytest.fixture(scope="module")
def reaping(kind, tmp_path_factory):
    with Server(kind, tmp_path_factory.mktemp("reaping"), properties=REAPER) as server:
        yield server


@pytest.fixture
def reaped(reaping):
    house = House(reaping)
    yield house
    for client in house.clients:
        client.close()


def test_a_container_goes_behind_its_last_child(reaped):
    client = reaped.client()
    for path in ("/c", "/never-used"):
        client.create(path, flags=CONTAINER, opcode=wire.CREATE_CONTAINER)
    assert client.stat("/c")["ephemeralOwner"] == 0
    client.create("/c/child")
    # A round of the reaper that takes another one has passed this one by.
    client.create("/taken", flags=CONTAINER, opcode=wire.CREATE_CONTAINER)
    client.create("/taken/child")
    client.delete("/taken/child")
    eventually(lambda: client.exists("/taken").err == NO_NODE)
    assert client.exists("/c").err == OK
    client.delete("/c/child")
    eventually(lambda: client.exists("/c").err == NO_NODE)
    assert client.exists("/never-used").err == OK
    assert client.delete("/never-used").err == OK


def test_a_container_that_was_never_used_may_go_too(house_of):
    client = house_of(properties={**REAPER, "znode.container.maxNeverUsedIntervalMs": 200}).client()
    client.create("/c", flags=CONTAINER, opcode=wire.CREATE_CONTAINER)
    eventually(lambda: client.exists("/c").err == NO_NODE)


def test_a_node_goes_when_its_time_is_over_and_it_has_no_children(reaped):
    client = reaped.client()
    client.create("/t", flags=TTL, opcode=wire.CREATE_TTL, ttl=300)
    client.create("/parent", flags=TTL, opcode=wire.CREATE_TTL, ttl=300)
    client.create("/parent/child")
    path = created_path(client.create("/s-", flags=TTL_SEQUENTIAL, opcode=wire.CREATE_TTL, ttl=300))
    renewed = time.monotonic() + 1
    client.create("/renewed", flags=TTL, opcode=wire.CREATE_TTL, ttl=800)
    while time.monotonic() < renewed:
        assert client.set("/renewed", b"").err == OK
        time.sleep(0.05)
    eventually(lambda: client.exists("/t").err == client.exists(path).err == NO_NODE)
    assert client.exists("/parent").err == client.exists("/renewed").err == OK
    client.delete("/parent/child")
    eventually(lambda: client.exists("/parent").err == NO_NODE)
    eventually(lambda: client.exists("/renewed").err == NO_NODE)


def test_the_reaper_takes_so_many_per_minute(house_of):
    house = house_of(properties={**REAPER, "znode.container.maxPerMinute": 600})  # One in 100 ms.
    client = house.client()
    for number in range(10):
        client.create(f"/{number}", flags=TTL, opcode=wire.CREATE_TTL, ttl=1)
    began = time.monotonic()
    eventually(lambda: client.names("/") == ["zookeeper"])
    assert time.monotonic() - began > 0.6


def test_what_the_reaper_takes_is_heard_of(reaped):
    client = reaped.client()
    client.create("/w", flags=TTL, opcode=wire.CREATE_TTL, ttl=1)
    client.exists("/w", True)
    client.children("/", True)
    eventually(lambda: client.exists("/w").err == NO_NODE)
    assert client.heard() == [(2, "/w"), (4, "/")]
