"""Who hears of which change: once, in order, with its zxid, and only what may be read."""

import pytest

from harness import wire
from harness.waiting import eventually
from harness.wire import Writer

from .client import (
    ALL, CHILDREN_CHANGED, CREATED, DATA_CHANGED, DELETED, EPHEMERAL, MARSHALLING, NO_AUTH, NO_NODE, NO_WATCHER, OK, OPEN, READ, WRITE,
    data_body, path_and, path_watch)

CHILD_TYPE, DATA_TYPE, ANY_TYPE, PERSISTENT_TYPE, RECURSIVE_TYPE = 1, 2, 3, 4, 5
PERSISTENT_MODE, RECURSIVE_MODE = 0, 1


def set_watches(client, since, *lists):
    writer = Writer().long(since)
    for paths in lists:
        writer.int(len(paths))
        for path in paths:
            writer.ustring(path)
    opcode = wire.SET_WATCHES if len(lists) == 3 else wire.SET_WATCHES2
    return client.call(opcode, writer.bytes, wire.SET_WATCHES_XID)


def test_each_change_fires_its_watches_once(client, other, home):
    path = f"{home}/a"
    assert client.exists(path, True).err == NO_NODE
    client.children(home, True)
    other.create(path)
    assert client.heard() == [(CREATED, path), (CHILDREN_CHANGED, home)]
    client.get(path, True)
    client.call(wire.GET_CHILDREN2, path_watch(home, True))
    other.set(path, b"1")
    other.set(path, b"2")
    other.set_acl(path, OPEN)
    assert client.heard() == [(DATA_CHANGED, path)]
    client.exists(path, True)
    client.children(path, True)
    other.create(f"{path}/b")
    assert client.heard() == [(CHILDREN_CHANGED, path)]
    other.delete(f"{path}/b")
    client.children(path, True)
    other.delete(path)
    assert client.heard() == [(DELETED, path), (CHILDREN_CHANGED, home)]
    other.create(path)
    assert client.heard() == []


@pytest.mark.parametrize("opcode, number", [
    (wire.ADD_WATCH, PERSISTENT_MODE), (wire.ADD_WATCH, RECURSIVE_MODE), (wire.CHECK_WATCHES, ANY_TYPE), (wire.REMOVE_WATCHES, ANY_TYPE)])
def test_nothing_cannot_be_watched(client, home, only_zabd, opcode, number):
    """In Java a null can, and never hears anything."""
    assert client.call(opcode, path_and(None, number)).err == MARSHALLING
    assert client.exists(home).err == OK


def test_a_read_that_fails_leaves_no_watch(client, other, home):
    path = f"{home}/a"
    for opcode in (wire.GET_DATA, wire.GET_CHILDREN, wire.GET_CHILDREN2):
        assert client.call(opcode, path_watch(path, True)).err == NO_NODE
    other.create(path)
    other.create(f"{home}/locked", acl=((WRITE, "world", "anyone"),))
    assert client.exists(f"{home}/locked", True).err == NO_AUTH
    other.set(f"{home}/locked", b"")
    assert client.heard() == []


def test_setting_a_watch_twice_is_one_watch(client, other, home):
    for _ in range(3):
        client.get(home, True)
        client.exists(home, True)
    other.set(home, b"")
    assert client.heard() == [(DATA_CHANGED, home)]


def test_a_watch_ends_with_its_connection(house, client, home):
    watcher = house.client()
    watcher.get(home, True)
    again = house.client(session_id=watcher.session_id, password=watcher.password)
    client.set(home, b"")
    assert again.heard() == [] and again.call(wire.CHECK_WATCHES, path_and(home, ANY_TYPE)).err == NO_WATCHER


def test_watches_of_connections_that_end_are_forgotten(house, home):
    before = house.figure("watch_count")
    watchers = [house.client() for _ in range(5)]
    for watcher in watchers:
        watcher.get(home, True)
        watcher.add_watch(home, RECURSIVE_MODE)
    assert house.figure("watch_count") > before
    for watcher in watchers[:3]:
        watcher.end()
    for watcher in watchers[3:]:
        watcher.close()
    eventually(lambda: house.figure("watch_count") == before)


def test_an_event_carries_the_zxid_of_its_change(client, other, home):
    client.get(home, True)
    zxid = other.set(home, b"").zxid
    client.ping()
    assert [event[0] for event in client.events] == [zxid]


def test_an_event_comes_before_the_reply_that_shows_its_change(client, home):
    client.get(home, True)
    client.set(home, b"own")
    assert [event[1:] for event in client.events] == [(DATA_CHANGED, 3, home)]


def test_events_come_in_the_order_of_changes(client, other, home):
    client.add_watch(home, RECURSIVE_MODE)
    paths = [f"{home}/{number}" for number in range(300)]
    for path in paths:
        other.submit(wire.CREATE, wire.create_body(path))
        other.submit(wire.SET_DATA, data_body(path, b""))
    zxids = [other.reply().zxid for _ in range(600)]
    client.ping()
    assert [event[0] for event in client.events] == zxids
    assert [event[3] for event in client.events if event[1] == CREATED] == paths


def test_a_persistent_watch_stays(client, other, home):
    path = f"{home}/a"
    reply = client.add_watch(path, PERSISTENT_MODE)
    assert (reply.err, reply.body) == (OK, bytes(4))
    for _ in range(2):
        other.create(path)
        other.set(path, b"")
        other.create(f"{path}/child")
        other.set(f"{path}/child", b"")
        other.delete(f"{path}/child")
        other.delete(path)
    once = [(CREATED, path), (DATA_CHANGED, path), (CHILDREN_CHANGED, path), (CHILDREN_CHANGED, path), (DELETED, path)]
    assert client.heard() == once * 2


def test_a_recursive_watch_hears_of_everything_below(client, other, home):
    client.add_watch(home, RECURSIVE_MODE)
    deep = f"{home}/a/b"
    for path in (f"{home}/a", deep):
        other.create(path)
    other.set(deep, b"")
    other.set(home, b"")
    other.create(f"{home}-not-below")
    other.delete(deep)
    assert client.heard() == [(CREATED, f"{home}/a"), (CREATED, deep), (DATA_CHANGED, deep), (DATA_CHANGED, home), (DELETED, deep)]
    client.children(f"{home}/a", True)
    other.create(deep)
    other.delete(deep)
    assert client.heard() == [(CREATED, deep), (CHILDREN_CHANGED, f"{home}/a"), (DELETED, deep)]


def test_modes_on_one_path_do_not_touch_each_other(client, other, home):
    client.get(home, True)
    client.children(home, True)
    client.add_watch(home, PERSISTENT_MODE)
    client.add_watch(home, RECURSIVE_MODE)
    other.set(home, b"")
    other.set(home, b"")
    assert client.heard() == [(DATA_CHANGED, home)] * 2
    other.create(f"{home}/a")
    assert client.heard() == [(CREATED, f"{home}/a"), (CHILDREN_CHANGED, home)]


def test_watches_are_asked_for_and_removed_by_kind(client, other, home):
    def has(kind):
        return client.call(wire.CHECK_WATCHES, path_and(home, kind)).err == OK

    def remove(kind):
        return client.call(wire.REMOVE_WATCHES, path_and(home, kind)).err

    kinds = (CHILD_TYPE, DATA_TYPE, PERSISTENT_TYPE, RECURSIVE_TYPE)
    assert [has(kind) for kind in (*kinds, ANY_TYPE)] == [False] * 5
    client.get(home, True)
    client.children(home, True)
    client.add_watch(home, PERSISTENT_MODE)
    assert [has(kind) for kind in (*kinds, ANY_TYPE)] == [True, True, True, False, True]
    assert (remove(DATA_TYPE), remove(DATA_TYPE)) == (OK, NO_WATCHER)
    assert [has(kind) for kind in (*kinds, ANY_TYPE)] == [True, False, True, False, True]
    client.add_watch(home, RECURSIVE_MODE)
    assert remove(PERSISTENT_TYPE) == remove(CHILD_TYPE) == OK
    assert [has(kind) for kind in (*kinds, ANY_TYPE)] == [False, False, False, True, True]
    client.get(home, True)
    assert remove(ANY_TYPE) == OK and not has(ANY_TYPE)
    other.set(home, b"")
    assert client.heard() == []


def test_missed_changes_are_told_when_watches_are_set_again(client, home):
    missing, changed, same, filled = (f"{home}/{name}" for name in ("missing", "changed", "same", "filled"))
    for path in (changed, same, filled):
        client.create(path)
    since = client.ping().zxid
    client.set(changed, b"")
    client.create(f"{filled}/child")
    reply = set_watches(client, since, [missing, changed, same], [missing, same], [missing, filled, same])
    assert (reply.xid, reply.err, reply.body) == (wire.SET_WATCHES_XID, OK, b"")
    assert [(event[0], event[1], event[3]) for event in client.events] == [
        (-1, DELETED, missing), (-1, DATA_CHANGED, changed), (-1, CREATED, same), (-1, DELETED, missing),
        (-1, CHILDREN_CHANGED, filled)]
    client.events = []
    # What did not fire is armed: the data and children of `same`, the creation of `missing`.
    client.set(same, b"")
    client.create(f"{same}/child")
    client.create(missing)
    client.set(changed, b"")
    client.create(f"{filled}/other")
    assert client.heard() == [(DATA_CHANGED, same), (CHILDREN_CHANGED, same), (CREATED, missing)]


def test_watches_that_stay_are_set_again_without_catching_up(client, other, home):
    assert set_watches(client, 0, [], [], [], [home], [f"{home}/r"]).err == OK
    assert client.heard() == []
    other.set(home, b"")
    other.create(f"{home}/r")
    other.create(f"{home}/r/x")
    assert client.heard() == [(DATA_CHANGED, home), (CREATED, f"{home}/r"), (CHILDREN_CHANGED, home), (CREATED, f"{home}/r/x")]


def test_lists_of_watches_may_be_long_and_many(client, home):
    path = f"{home}/{'x' * 1000}"
    for part in range(20):
        assert set_watches(client, 1 << 40, [], [f"{path}-{part}-{number}" for number in range(120)], []).err == OK
    assert client.call(wire.CHECK_WATCHES, path_and(f"{path}-19-119", DATA_TYPE)).err == OK


def test_who_may_not_read_hears_nothing(house, client, home):
    listener = house.client()
    secret = f"{home}/secret"
    client.auth("digest", "reader:pw")
    mine = ((ALL, "auth", ""),)
    listener.add_watch(home, RECURSIVE_MODE)
    client.create(secret, acl=mine)
    client.set(secret, b"")
    client.delete(secret)
    assert listener.heard() == []
    client.create(secret, acl=mine)
    listener.auth("digest", "reader:pw")
    client.set(secret, b"")
    client.delete(secret)
    assert listener.heard() == [(DATA_CHANGED, secret), (DELETED, secret)]


def test_a_child_event_needs_the_right_to_read_the_parent(house, client, home):
    listener = house.client()
    listener.children(home, True)
    client.set_acl(home, ((ALL & ~READ, "world", "anyone"),))
    client.create(f"{home}/a")
    assert listener.heard() == []
    client.set_acl(home, OPEN)
    client.create(f"{home}/b")
    assert listener.heard() == []  # The watch was used up.


def test_the_end_of_a_session_fires_like_deletes(house, client, home):
    owner = house.client()
    for name in ("a", "b"):
        owner.create(f"{home}/{name}", flags=EPHEMERAL)
    client.exists(f"{home}/a", True)
    client.add_watch(f"{home}/b", PERSISTENT_MODE)
    client.children(home, True)
    zxid = owner.call(wire.CLOSE_SESSION).zxid
    client.ping()
    assert {event[0] for event in client.events} == {zxid}
    assert sorted(client.heard()) == [(DELETED, f"{home}/a"), (DELETED, f"{home}/b"), (CHILDREN_CHANGED, home)]


def test_a_multi_fires_in_its_order_and_a_failed_one_not_at_all(client, other, home):
    client.add_watch(home, RECURSIVE_MODE)
    create = (wire.CREATE, wire.create_body(f"{home}/a"))
    other.multi([create, (wire.DELETE, path_and(f"{home}/missing", -1))])
    assert client.heard() == []
    zxid = other.multi([create, (wire.SET_DATA, data_body(home, b"")), (wire.DELETE, path_and(f"{home}/a", -1))]).zxid
    client.ping()
    assert {event[0] for event in client.events} == {zxid}
    assert client.heard() == [(CREATED, f"{home}/a"), (DATA_CHANGED, home), (DELETED, f"{home}/a")]


@pytest.mark.parametrize("mode", [PERSISTENT_MODE, RECURSIVE_MODE])
def test_a_watch_may_wait_for_a_node_without_a_parent(client, other, home, mode):
    assert client.add_watch(f"{home}/a/b", mode).err == OK
    other.create(f"{home}/a")
    other.create(f"{home}/a/b")
    assert client.heard() == [(CREATED, f"{home}/a/b")]


def test_ten_thousand_watches_are_no_limit(client, other, home):
    for number in range(10_000):
        client.submit(wire.EXISTS, path_watch(f"{home}/{number}", True))
    assert {client.reply().err for _ in range(10_000)} == {NO_NODE}
    other.create(f"{home}/9999")
    assert client.heard() == [(CREATED, f"{home}/9999")]
