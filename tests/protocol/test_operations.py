"""Every operation by itself: which errors come first, what a success says, what it leaves."""

import pytest

from harness import wire
from harness.wire import Reader, Writer

from .client import (
    ADMIN, ALL, BAD_ARGUMENTS, BAD_VERSION, CONTAINER, CREATE, DELETE, EPHEMERAL, INVALID_ACL, MARSHALLING, NO_AUTH,
    NO_CHILDREN_FOR_EPHEMERALS, NO_NODE, NODE_EXISTS, NOT_EMPTY, OK, OPEN, READ, RUNTIME_INCONSISTENCY, SEQUENTIAL, TTL,
    TTL_SEQUENTIAL, UNIMPLEMENTED, WRITE, created_path, data_body, multi_results, path_and, path_body, path_watch)

TTL_MAX = (1 << 40) - 1
NOBODY = ((ALL, "digest", "nobody:nothing="),)

# What a path is: the error of creating it, with its parent where it could have one.
BAD_NAMES = ("\0", "\x01", "\x1f", "\x7f", "\x9f", "\ue000", "\uf8ff", "\ufff0", "\uffff", "\U0001f600")
GOOD_NAMES = ("...", ".a", "a.", " ", "\"'", "\xa0", "\ud7ff", "\uf900", "\uffef", "ü日本")


@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
def test_names_that_no_node_may_have(client, home, name):
    path = f"{home}/{name}"
    assert client.create(path).err == BAD_ARGUMENTS
    assert client.create(f"{path}/child").err == (BAD_ARGUMENTS if name == "\0" else NO_NODE)
    assert client.set(path, b"").err == BAD_ARGUMENTS
    assert client.set_acl(path, OPEN).err == BAD_ARGUMENTS
    assert multi_results(client.multi([(wire.CHECK, path_and(path, -1))])) == [(-1, BAD_ARGUMENTS)]


@pytest.mark.parametrize("name", GOOD_NAMES, ids=ascii)
def test_names_that_a_node_may_have(client, home, name):
    path = f"{home}/{name}"
    assert created_path(client.create(path)) == path
    assert client.names(home) == [name]
    assert client.delete(path).err == OK


@pytest.mark.parametrize("path, error", [
    ("", BAD_ARGUMENTS), ("a", BAD_ARGUMENTS), ("/", NODE_EXISTS), ("/.", BAD_ARGUMENTS), ("/..", BAD_ARGUMENTS),
    ("//", NO_NODE), ("HOME/", BAD_ARGUMENTS), ("HOME//b", NO_NODE), ("HOME/./b", NO_NODE), ("HOME/..", BAD_ARGUMENTS),
    ("HOME/b/", NO_NODE)])
def test_the_parent_is_looked_at_before_the_name(client, home, path, error):
    path = path.replace("HOME", home)
    if path == "//" and client.create("//").err == BAD_ARGUMENTS:
        error = BAD_ARGUMENTS  # The text before the last slash is one more name of the root.
    assert client.create(path).err == error
    for other in (client.set(path, b""), client.set_acl(path, OPEN)):
        assert other.err == (OK if path == "/" else BAD_ARGUMENTS)


def test_a_number_makes_a_name_of_a_path_that_ends_with_a_slash(client, home):
    assert created_path(client.create(f"{home}/", flags=SEQUENTIAL)) == f"{home}/0000000000"
    assert created_path(client.create(f"{home}/.", flags=SEQUENTIAL)) == f"{home}/.0000000001"


def test_reads_do_not_look_at_the_form_of_a_path(client, home):
    for path in (f"{home}/", "a", f"/{home}", f"{home}/./x", f"{home}/\x01", "/\U0001f600"):
        for reply in (client.get(path), client.exists(path), client.children(path), client.get_acl(path)):
            assert reply.err == NO_NODE
    assert client.exists(f"{home}/\0").err == BAD_ARGUMENTS
    assert client.get(f"{home}/\0").err == NO_NODE
    assert client.get("").body == client.get("/").body


@pytest.mark.parametrize("path", ["no-slash", "", "/\0", "/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"])
def test_what_cannot_be_deleted(client, path):
    assert client.delete(path).err == BAD_ARGUMENTS


@pytest.mark.parametrize("path", ["HOME/", "HOME//", "//", "HOME/.", "/\x01", "HOME/\U0001f600"])
def test_deletes_do_not_look_at_the_form_of_a_path(client, home, path):
    assert client.delete(path.replace("HOME", home)).err == NO_NODE


def test_paths_that_are_not_utf8_are_read_with_replacements(client, home):
    body = Writer().buffer(home.encode() + b"/\xff").buffer(b"").acl(OPEN).int(0).bytes
    assert client.call(wire.CREATE, body).err == BAD_ARGUMENTS  # U+FFFD is among the characters that are refused.


def test_the_system_nodes_are_there_and_may_have_children(client):
    assert client.names("/zookeeper") == ["config", "quota"]
    assert client.create("/zookeeper/x").err == OK
    assert client.delete("/zookeeper/x").err == OK


# --- create ---------------------------------------------------------------------------------------------------------------

def created(client, opcode, path, flags, ttl=None):
    """The reply to a create, and how the node shows afterwards."""
    reply = client.create(path, b"data", flags, opcode=opcode, ttl=ttl)
    reader = reply.reader()
    path = reader.ustring()
    stat = reader.stat() if opcode != wire.CREATE else client.stat(path)
    reader.done()
    assert stat == client.stat(path)
    return path, stat


def test_each_create_answers_in_its_form(client, home):
    for opcode, flags, ttl in (
        (wire.CREATE, 0, None), (wire.CREATE, EPHEMERAL, None), (wire.CREATE2, 0, None), (wire.CREATE2, SEQUENTIAL, None),
        (wire.CREATE_CONTAINER, CONTAINER, None), (wire.CREATE_TTL, TTL, 10**6), (wire.CREATE_TTL, TTL_SEQUENTIAL, TTL_MAX),
    ):
        path, stat = created(client, opcode, f"{home}/{opcode}-{flags}", flags, ttl)
        assert stat["czxid"] == stat["mzxid"] == stat["pzxid"] and stat["ctime"] == stat["mtime"] > 1_600_000_000_000
        assert (stat["version"], stat["cversion"], stat["aversion"], stat["numChildren"]) == (0, 0, 0, 0)
        assert stat["ephemeralOwner"] == (client.session_id if flags == EPHEMERAL else 0)
        assert stat["dataLength"] == 4


@pytest.mark.parametrize("opcode", [wire.CREATE, wire.CREATE2, wire.CREATE_CONTAINER])
def test_a_containers_flags_make_a_parent_however_they_are_sent(house_of, opcode):
    """aiozk and Go's client ask so; what is written must be read back as it was meant, by the next request and by the next start."""
    house = house_of()
    client = house.client()
    client.create("/p")
    for number in range(5):
        created(client, opcode, f"/p/c{number}", CONTAINER)
        created(client, wire.CREATE2, f"/p/c{number}/child", 0)
        client.set(f"/p/c{number}", b"other")
    path, _ = created(client, wire.CREATE, "/p/s-", SEQUENTIAL)
    assert path == "/p/s-0000000005"
    before = [client.stat(f"/p{rest}") for rest in ("", "/c0", "/c4", "/c4/child")]
    assert (before[0]["cversion"], before[0]["numChildren"]) == (6, 6)
    assert [(stat["cversion"], stat["numChildren"], stat["version"], stat["ephemeralOwner"]) for stat in before[1:3]] == [(1, 1, 1, 0)] * 2
    house.server.kill()
    house.server.start()
    again = house.client()
    assert [again.stat(f"/p{rest}") for rest in ("", "/c0", "/c4", "/c4/child")] == before


@pytest.mark.parametrize("opcode", [wire.CREATE, wire.CREATE2])
def test_flags_that_are_no_mode_come_before_a_path_that_is_null(client, opcode):
    assert client.call(opcode, wire.create_body(None, flags=255)).err == BAD_ARGUMENTS
    assert client.call(opcode, wire.create_body(None)).err == MARSHALLING


def test_null_data_is_not_empty_data(client, home):
    for number, data in enumerate((None, b"", b"x")):
        client.create(f"{home}/{number}", data)
        reader = client.get(f"{home}/{number}").reader()
        assert reader.buffer() == data
        assert reader.stat()["dataLength"] == len(data or b"")
    assert client.set(home, None).err == OK
    assert client.get(home).reader().buffer() is None


@pytest.mark.parametrize("opcode", [wire.CREATE, wire.CREATE2, wire.CREATE_CONTAINER])
@pytest.mark.parametrize("flags", [-1, 7, 100])
def test_unknown_flags_are_bad_arguments(client, home, opcode, flags):
    assert client.create("no-slash", flags=flags, acl=(), opcode=opcode).err == BAD_ARGUMENTS
    assert client.create(f"{home}/x", flags=flags, opcode=opcode).err == BAD_ARGUMENTS
    assert client.exists(f"{home}/x").err == NO_NODE


@pytest.mark.parametrize("ttl, error", [(1, OK), (TTL_MAX, OK), (0, BAD_ARGUMENTS), (-1, BAD_ARGUMENTS), (TTL_MAX + 1, BAD_ARGUMENTS)])
def test_a_time_to_live_has_40_bits(client, home, ttl, error):
    assert client.create(f"{home}/t", flags=TTL, opcode=wire.CREATE_TTL, ttl=ttl).err == error


def test_without_extended_types_there_is_no_time_to_live(house_of):
    client = house_of().client()
    for flags in (TTL, TTL_SEQUENTIAL):
        assert client.create("/t", flags=flags, opcode=wire.CREATE_TTL, ttl=0).err == UNIMPLEMENTED
        assert client.create("/t", flags=flags).err == UNIMPLEMENTED
    assert client.ping().err == OK


def test_the_first_thing_that_is_wrong_with_a_create_is_told(client, home):
    """Each request has one mistake less than the one before it."""
    other, missing, locked, ephemeral = f"{home}/other", f"{home}/missing", f"{home}/locked", f"{home}/e"
    client.create(other)
    client.create(f"{other}/\U00010000"[:-1] + "taken")
    client.create(ephemeral, flags=EPHEMERAL)
    client.create(locked, acl=((ALL & ~CREATE, "world", "anyone"),))
    for error, path, flags, acl in (
        (BAD_ARGUMENTS, "no-slash", 9, ()),
        (BAD_ARGUMENTS, "no-slash", 0, ()),
        (INVALID_ACL, f"{missing}/\x01", 0, ()),
        (NO_NODE, f"{missing}/\x01", 0, OPEN),
        (NO_AUTH, f"{locked}/\x01", 0, OPEN),
        (BAD_ARGUMENTS, f"{ephemeral}/\x01", 0, OPEN),
        (NODE_EXISTS, f"{other}/taken", 0, OPEN),
        (NO_CHILDREN_FOR_EPHEMERALS, f"{ephemeral}/child", 0, OPEN),
        (OK, f"{other}/free", 0, OPEN),
    ):
        assert client.create(path, flags=flags, acl=acl).err == error, path


# --- delete, setData, setACL ----------------------------------------------------------------------------------------------

def test_the_first_thing_that_is_wrong_with_a_delete_is_told(client, home):
    closed = f"{home}/closed"
    client.create(closed, acl=((ALL & ~DELETE, "world", "anyone"),))
    client.create(f"{closed}/child")
    client.create(f"{home}/full")
    client.create(f"{home}/full/child")
    client.create(f"{home}/locked", acl=((0, "world", "anyone"),))
    for error, path, version in (
        (BAD_ARGUMENTS, "no-slash", 0), (NO_NODE, f"{home}/missing/child", 0), (NO_AUTH, f"{closed}/missing", 0),
        (NO_AUTH, f"{closed}/child", 0), (NO_NODE, f"{home}/missing", 0), (BAD_VERSION, f"{home}/full", 7),
        (NOT_EMPTY, f"{home}/full", 0), (BAD_VERSION, f"{home}/locked", -2), (OK, f"{home}/locked", 0),
        (OK, f"{home}/full/child", -1),
    ):
        reply = client.delete(path, version)
        assert (reply.err, reply.body) == (error, b""), path


def test_the_first_thing_that_is_wrong_with_a_set_is_told(client, home):
    client.create(f"{home}/locked", acl=((ALL & ~WRITE, "world", "anyone"),))
    for error, path, version in (
        (BAD_ARGUMENTS, f"{home}/missing/", 7), (NO_NODE, f"{home}/missing", 7), (NO_AUTH, f"{home}/locked", 7),
        (BAD_VERSION, home, 7), (OK, home, 0),
    ):
        assert client.set(path, b"data", version).err == error, path
    reply = client.set(home, b"longer data", 1)
    stat = reply.reader().stat()
    assert stat == client.stat(home)
    assert (stat["version"], stat["mzxid"], stat["dataLength"]) == (2, reply.zxid, 11)
    assert stat["mzxid"] > stat["czxid"] and stat["aversion"] == 0


def test_the_first_thing_that_is_wrong_with_a_set_acl_is_told(client, home):
    client.create(f"{home}/locked", acl=((ALL & ~ADMIN, "world", "anyone"),))
    for error, path, acl, version in (
        (BAD_ARGUMENTS, f"{home}/missing/", (), 7), (INVALID_ACL, f"{home}/missing", (), 7),
        (NO_NODE, f"{home}/missing", OPEN, 7), (NO_AUTH, f"{home}/locked", OPEN, 7), (BAD_VERSION, home, OPEN, 7),
        (OK, home, OPEN, 0), (OK, home, OPEN, -1),
    ):
        assert client.set_acl(path, acl, version).err == error, path
    before = client.stat(home)
    stat = client.set_acl(home, ((READ | ADMIN, "world", "anyone"),), 2).reader().stat()
    assert stat == {**before, "aversion": 3}  # Nothing else moves, no zxid either.


# --- reads ----------------------------------------------------------------------------------------------------------------

def test_every_read_has_the_form_of_its_operation(client, home):
    for name in ("a", "b"):
        client.create(f"{home}/{name}", b"12")
    stat = client.stat(home)
    reader = client.get(home).reader()
    assert (reader.buffer(), reader.stat()) == (b"", stat)
    reader.done()
    reader = client.call(wire.GET_CHILDREN2, path_watch(home)).reader()
    assert (sorted(reader.vector(reader.ustring)), reader.stat()) == (["a", "b"], stat)
    reader.done()
    reader = client.get_acl(home).reader()
    assert (reader.vector(reader.acl), reader.stat()) == (list(OPEN), stat)
    reader.done()


def test_children_are_listed_in_the_order_of_javas_tables(client, home):
    """Clients have come to rely on it. As Java 3.9.5 lists them: few, many, and without those that have gone."""
    def names(path):
        reader = client.call(wire.GET_CHILDREN, path_watch(path)).reader()
        return reader.vector(reader.ustring)

    for name in ("c1", "c2", "c3", "c4", "c5"):
        client.create(f"{home}/{name}")
    assert names(home) == ["c3", "c4", "c5", "c1", "c2"]
    client.create(f"{home}/c5/locks")
    for _ in range(12):
        client.create(f"{home}/c5/locks/lock-", flags=SEQUENTIAL)
    assert names(f"{home}/c5/locks") == [f"lock-{number:010}" for number in (9, 8, 7, 6, 1, 0, 11, 10, 5, 4, 3, 2)]
    for number in (9, 0):
        client.delete(f"{home}/c5/locks/lock-{number:010}")
    assert names(f"{home}/c5/locks") == [f"lock-{number:010}" for number in (8, 7, 6, 1, 11, 10, 5, 4, 3, 2)]


def test_ephemerals_are_listed_in_the_order_of_javas_tables(client):
    client.create("/listed")
    for number in range(12):
        client.create(f"/listed/e{number}", flags=EPHEMERAL)
        if number in (4, 11):
            reader = client.call(wire.GET_EPHEMERALS, path_body("/listed/")).reader()
            names = [path.removeprefix("/listed/e") for path in reader.vector(reader.ustring)]
            assert " ".join(names) == {4: "4 2 3 0 1", 11: "4 5 2 3 8 9 6 7 10 11 0 1"}[number]


@pytest.mark.parametrize("path", ["/", "/missing", "no-slash", "", None])
def test_sync_echoes_any_path(client, path):
    before = client.ping().zxid
    reply = client.call(wire.SYNC, path_body(path))
    assert (reply.err, reply.zxid, reply.reader().ustring()) == (OK, before, path)


def test_reads_need_their_rights(client, home):
    client.create(f"{home}/w", acl=((WRITE, "world", "anyone"),))
    client.create(f"{home}/r", acl=((READ, "world", "anyone"),))
    client.create(f"{home}/a", acl=((ADMIN, "world", "anyone"),))
    reads = (wire.EXISTS, wire.GET_DATA, wire.GET_CHILDREN, wire.GET_CHILDREN2)

    def errors(name):
        path = f"{home}/{name}"
        others = (client.call(wire.GET_ALL_CHILDREN_NUMBER, path_body(path)), client.get_acl(path))
        return [client.call(opcode, path_watch(path)).err for opcode in reads] + [reply.err for reply in others]

    assert errors("w") == [NO_AUTH] * 6
    assert errors("r") == [OK] * 6
    assert errors("a") == [NO_AUTH] * 5 + [OK]


def test_all_children_are_counted_at_any_depth(client, home):
    def number(path):
        reply = client.call(wire.GET_ALL_CHILDREN_NUMBER, path_body(path))
        return reply.reader().int() if reply.err == OK else reply.err

    assert (number(home), number(f"{home}/missing")) == (0, NO_NODE)
    before = number("/")
    for path in ("/a", "/a/b", "/a/b/c", "/ab"):
        client.create(home + path)
    assert [number(home + path) for path in ("", "/a", "/a/b/c", "/ab")] == [4, 2, 0, 0]
    assert number("/") == before + 4 and number("/zookeeper") == 2


def test_ephemerals_of_the_session_are_listed_by_prefix(client, other, home):
    def listed(asker, prefix):
        reader = asker.call(wire.GET_EPHEMERALS, Writer().ustring(prefix).bytes).reader()
        return sorted(reader.vector(reader.ustring))

    paths = [f"{home}/{name}" for name in ("a", "ab", "b")]
    for path in paths:
        client.create(path, flags=EPHEMERAL)
    for everything in (None, "", " ", "/", " / ", "\x1f/\t\0"):
        assert listed(client, everything) == paths
    assert listed(client, "\u2003") == [], "Java trims ASCII only"
    assert listed(client, f"{home}/a") == paths[:2]
    assert listed(client, f"{home}/b/") == [] == listed(other, None)


def test_the_configuration_of_a_standalone_server_is_empty(client):
    reader = client.get("/zookeeper/config").reader()
    assert reader.buffer() == b""
    stat = reader.stat()
    assert (stat["version"], stat["aversion"], stat["czxid"], stat["ctime"]) == (0, -1, 0, 0)


# --- multi ----------------------------------------------------------------------------------------------------------------

def create_op(path, flags=0, opcode=wire.CREATE, ttl=None, acl=OPEN):
    return opcode, wire.create_body(path, b"data", flags, acl, ttl)


def test_a_multi_answers_each_operation_in_kind(client, home):
    before = client.ping().zxid
    reply = client.multi([
        create_op(f"{home}/1"), create_op(f"{home}/2", opcode=wire.CREATE2),
        create_op(f"{home}/3", CONTAINER, wire.CREATE_CONTAINER), create_op(f"{home}/4", TTL, wire.CREATE_TTL, 10**6),
        create_op(f"{home}/s-", SEQUENTIAL), (wire.SET_DATA, data_body(f"{home}/1", b"x", 0)),
        (wire.CHECK, path_and(f"{home}/1", 1)), (wire.DELETE, path_and(f"{home}/1", 1)),
    ])
    assert multi_results(reply) == [(1, 0), (15, 0), (15, 0), (15, 0), (1, 0), (5, 0), (13, 0), (2, 0)]
    assert reply.zxid == before + 1 == client.ping().zxid
    assert client.names(home) == ["2", "3", "4", "s-0000000004"]
    assert {client.stat(f"{home}/{name}")["czxid"] for name in "234"} == {reply.zxid}


def test_a_failed_multi_names_its_culprit_and_leaves_nothing(client, home):
    before, stat = client.ping().zxid, client.stat(home)
    reply = client.multi([
        create_op(f"{home}/1"), (wire.SET_DATA, data_body(home, b"x")), (wire.CHECK, path_and(home, 7)), create_op(f"{home}/2")])
    assert multi_results(reply) == [(-1, OK), (-1, OK), (-1, BAD_VERSION), (-1, RUNTIME_INCONSISTENCY)]
    assert reply.zxid == before + 1
    assert client.stat(home) == stat
    assert created_path(client.create(f"{home}/s-", flags=SEQUENTIAL)) == f"{home}/s-0000000000"


def test_each_operation_of_a_multi_has_its_own_errors(client, home):
    client.create(f"{home}/locked", acl=((0, "world", "anyone"),))
    for error, operation in (
        (NODE_EXISTS, create_op(home)), (INVALID_ACL, create_op(f"{home}/x", acl=())), (NO_NODE, create_op(f"{home}/x/y")),
        (NO_AUTH, create_op(f"{home}/locked/x")), (BAD_ARGUMENTS, create_op(f"{home}/x", TTL, wire.CREATE_TTL, 0)),
        (NO_AUTH, (wire.CHECK, path_and(f"{home}/locked", -1))), (NO_NODE, (wire.CHECK, path_and(f"{home}/x", -1))),
        (NO_AUTH, (wire.SET_DATA, data_body(f"{home}/locked", b""))), (NOT_EMPTY, (wire.DELETE, path_and(home, -1))),
    ):
        assert multi_results(client.multi([operation])) == [(-1, error)]


def test_an_empty_multi_succeeds_and_takes_a_zxid(client):
    before = client.ping().zxid
    reply = client.multi([])
    assert (multi_results(reply), reply.zxid) == ([], before + 1)


def test_the_first_mistake_decides_whether_an_undecodable_multi_takes_a_zxid(client):
    without_list = (wire.CREATE, Writer().ustring("/x").buffer(b"").int(-1).int(0).bytes)
    odd_flags = (wire.CREATE2, wire.create_body("/x", flags=-1))
    without_end = wire.multi_body([without_list])[:-9]
    for body, takes in ((wire.multi_body([without_list]), 0), (wire.multi_body([odd_flags]), 1),
                        (wire.multi_body([without_list, odd_flags]), 0), (wire.multi_body([odd_flags, without_list]), 1),
                        (without_end, 0), (wire.multi_body([odd_flags])[:-9], 1)):
        before = client.ping().zxid
        assert client.call(wire.MULTI, body).err == MARSHALLING
        assert client.ping().zxid == before + takes, body


def test_the_flags_choose_the_kind_inside_a_multi(client, home):
    assert multi_results(client.multi([create_op(f"{home}/c", CONTAINER), create_op(f"{home}/e", EPHEMERAL)])) == [(15, 0), (1, 0)]
    assert client.stat(f"{home}/e")["ephemeralOwner"] == client.session_id


def test_a_multi_read_goes_on_behind_an_error(client, home):
    client.create(f"{home}/a", b"12")
    client.create(f"{home}/locked", acl=((0, "world", "anyone"),))
    reply = client.call(wire.MULTI_READ, wire.multi_body([
        (wire.GET_DATA, path_watch(f"{home}/missing", True)), (wire.GET_DATA, path_watch(f"{home}/locked")),
        (wire.GET_CHILDREN, path_watch(home, True)), (wire.GET_DATA, path_watch(f"{home}/a", True))]))
    assert reply.err == OK
    reader = Reader(reply.body)
    for error in (NO_NODE, NO_AUTH):
        assert (reader.int(), reader.boolean(), reader.int(), reader.int()) == (-1, False, error, error)
    assert (reader.int(), reader.boolean(), reader.int()) == (8, False, 0)
    assert sorted(reader.vector(reader.ustring)) == ["a", "locked"]
    assert (reader.int(), reader.boolean(), reader.int()) == (4, False, 0)
    assert (reader.buffer(), reader.stat()) == (b"12", client.stat(f"{home}/a"))
    assert (reader.int(), reader.boolean(), reader.int()) == (-1, True, -1)
    reader.done()
    client.set(f"{home}/a", b"")
    client.create(f"{home}/b")
    assert client.heard() == []  # The watch flag has no meaning here.


def test_a_multi_read_may_be_empty_and_may_not_write(client, home):
    assert multi_results(client.call(wire.MULTI_READ, wire.multi_body([]))) == []
    before = client.ping().zxid
    reply = client.call(wire.MULTI_READ, wire.multi_body([create_op(f"{home}/x")]))
    assert (reply.err, reply.body) == (MARSHALLING, wire.multi_body([]))
    # A create that wants a TTL and has none is no write either.
    reply = client.call(wire.MULTI_READ, wire.multi_body([create_op(f"{home}/x", flags=TTL)]))
    assert (reply.err, reply.body) == (MARSHALLING, b"")
    assert client.exists(f"{home}/x").err == NO_NODE and client.ping().zxid == before
