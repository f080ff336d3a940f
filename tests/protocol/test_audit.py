"""The audit log: who changed what, one line per change."""

import re

import pytest

from harness import wire
from harness.waiting import eventually
from harness.wire import Writer

from .client import (
    ALL, BAD_ARGUMENTS, CONTAINER, EPHEMERAL, OPEN, READ, SEQUENTIAL, TTL, TTL_SEQUENTIAL, data_body, path_and)

LOGGER = "Slf4jAuditLogger"
PROPERTIES = {"audit.enable": "true", "extendedTypesEnabled": "true"}


@pytest.fixture
def audited(house_of):
    return house_of(properties=PROPERTIES)


def lines(house):
    """(level, fields) of all audit lines so far, without what the server's own start said."""
    said = []
    for line in house.log().splitlines():
        if LOGGER in line and "result=" in line:
            level = re.search(r"\b(INFO|ERROR)\b", line).group(1)
            fields = re.search(r"(?:session|user)=.*", line).group(0).split("\t")
            said.append((level, fields))
    return [(level, fields) for level, fields in said if not any("operation=server" in field for field in fields)]


def audit(house, count):
    """The first lines, when there are so many."""
    return eventually(lambda: lines(house) if len(lines(house)) >= count else None)


def test_changes_are_told_with_their_kind_and_result(audited):
    client = audited.client()
    client.auth("digest", "alice:secret")
    acl = ((ALL, "world", "anyone"), (READ, "ip", "10.0.0.1"))
    for path, flags, opcode, ttl in (
        ("/p", 0, wire.CREATE, None), ("/e", EPHEMERAL, wire.CREATE2, None), ("/s-", SEQUENTIAL, wire.CREATE, None),
        ("/es-", EPHEMERAL | SEQUENTIAL, wire.CREATE, None), ("/c", CONTAINER, wire.CREATE_CONTAINER, None),
        ("/t", TTL, wire.CREATE_TTL, 10**6), ("/ts-", TTL_SEQUENTIAL, wire.CREATE_TTL, 10**6),
    ):
        assert client.create(path, flags=flags, opcode=opcode, ttl=ttl).err == 0
    client.set("/p", b"data")
    client.set_acl("/p", acl)
    client.delete("/p")
    who = [f"session=0x{client.session_id:x}", "user=alice,127.0.0.1", "ip=127.0.0.1"]
    assert audit(audited, 10) == [("INFO", [*who, *rest, "result=success"]) for rest in (
        ("operation=create", "znode=/p", "znode_type=persistent"),
        ("operation=create", "znode=/e", "znode_type=ephemeral"),
        ("operation=create", "znode=/s-0000000002", "znode_type=persistent_sequential"),
        ("operation=create", "znode=/es-0000000003", "znode_type=ephemeral_sequential"),
        ("operation=create", "znode=/c", "znode_type=container"),
        ("operation=create", "znode=/t", "znode_type=persistent_with_ttl"),
        ("operation=create", "znode=/ts-0000000006", "znode_type=persistent_sequential_with_ttl"),
        ("operation=setData", "znode=/p"),
        ("operation=setAcl", "znode=/p", "acl=world:anyone:cdrwaip:10.0.0.1:r"),
        ("operation=delete", "znode=/p"),
    )]


def test_failures_are_errors_and_name_what_was_asked_for(audited):
    client = audited.client()
    client.create("/p", acl=((READ, "world", "anyone"),))
    client.create("/p", flags=SEQUENTIAL, acl=())
    client.create("/missing/t", flags=TTL, opcode=wire.CREATE_TTL, ttl=1)
    client.delete("/missing")
    client.set("/p", b"")
    client.set_acl("/p", OPEN)
    client.call(wire.RECONFIG, Writer().ustring(None).ustring(None).ustring(None).long(-1).bytes)
    client.multi([(wire.DELETE, path_and("/missing", -1))])
    client.call(wire.MULTI, b"\0")
    who = [f"session=0x{client.session_id:x}", "user=127.0.0.1", "ip=127.0.0.1"]
    assert audit(audited, 9)[1:] == [("ERROR", [*who, *rest, "result=failure"]) for rest in (
        ("operation=create", "znode=/p", "znode_type=persistent_sequential"),
        ("operation=create", "znode=/missing/t", "znode_type=persistent_with_ttl"),
        ("operation=delete", "znode=/missing"),
        ("operation=setData", "znode=/p"),
        ("operation=setAcl", "znode=/p", "acl=world:anyone:cdrwa"),
        ("operation=reconfig",),
        ("operation=multiOperation",),
        ("operation=multiOperation",),
    )]


def test_a_kind_of_node_that_there_is_not_is_not_told(audited):
    client = audited.client()
    for flags, opcode in ((99, wire.CREATE), (-1, wire.CREATE2), (7, wire.CREATE_CONTAINER)):
        assert client.create("/p", flags=flags, opcode=opcode).err == BAD_ARGUMENTS
    assert client.create("/p", flags=7, opcode=wire.CREATE_TTL, ttl=1).err == BAD_ARGUMENTS
    client.delete("/missing")
    assert [fields[3] for _, fields in audit(audited, 1)] == ["operation=delete"]


def test_a_multi_is_told_operation_by_operation(audited):
    client = audited.client()
    client.multi([
        (wire.CREATE, wire.create_body("/m")), (wire.CREATE2, wire.create_body("/m/e", flags=EPHEMERAL)),
        (wire.SET_DATA, data_body("/m", b"x")), (wire.CHECK, path_and("/m", 1)), (wire.DELETE, path_and("/m/e", -1))])
    assert [fields[3:] for _, fields in audit(audited, 4)] == [
        ["operation=create", "znode=/m", "znode_type=persistent", "result=success"],
        ["operation=create", "znode=/m/e", "znode_type=ephemeral", "result=success"],
        ["operation=setData", "znode=/m", "result=success"],
        ["operation=delete", "znode=/m/e", "result=success"],
    ]


def test_ephemerals_that_go_with_their_session_are_told_one_by_one(audited):
    client = audited.client()
    for path in ("/e2", "/e1"):
        client.create(path, flags=EPHEMERAL)
    client.end()
    gone = audit(audited, 4)[2:]
    operation = "operation=ephemeralZNodeDeletionOnSessionCloseOrExpire"
    # In the order of Java's table.
    assert [(level, fields[0], *fields[2:]) for level, fields in gone] == [
        ("INFO", f"session=0x{client.session_id:x}", operation, f"znode={path}", "result=success") for path in ("/e2", "/e1")]
    assert all(re.fullmatch(r"user=\S+", fields[1]) for _, fields in gone)  # The server's own.


def test_reads_and_sessions_are_not_told(audited):
    client = audited.client()
    client.exists("/", True)
    client.names("/")
    client.auth("digest", "alice:secret")
    client.end()
    assert lines(audited) == []


def test_start_and_stop_are_told(audited):
    eventually(lambda: re.search(rf"{LOGGER}.*user=\S+\toperation=serverStart\tresult=success", audited.log()))
    audited.server.stop()
    assert re.search(rf"{LOGGER}.*user=\S+\toperation=serverStop\tresult=invoked", audited.log())


def test_it_is_off_unless_it_is_asked_for(house_of):
    house = house_of()
    house.client().create("/p")
    assert LOGGER not in house.log()


@pytest.mark.parametrize("entry, shown, in_java", [
    (("auth", "alice:secret"), "auth:alice:x:cdrwa", "auth:alice:secret:cdrwa"),
    (("auth", ""), "auth::cdrwa", None),
    (("digest", "alice:aYXlLOpEooaV1cRAvUL1fp9Qt7E="), "digest:alice:x:cdrwa", "digest:alice:aYXlLOpEooaV1cRAvUL1fp9Qt7E=:cdrwa"),
    (("digest", "alice:secret"), "digest:alice:x:cdrwa", "digest:alice:secret:cdrwa"),
    (("Digest", "alice:secret"), "Digest:alice:x:cdrwa", "Digest:alice:secret:cdrwa"),
    (("ip", "10.0.0.0/8"), "ip:10.0.0.0/8:cdrwa", None),
])
def test_a_line_has_no_secret(audited, kind, entry, shown, in_java):
    """A password, whether it belongs there or was typed by mistake, and its hash: Java writes them."""
    client = audited.client()
    client.auth("digest", "alice:secret")
    client.create("/p")
    client.set_acl("/p", ((ALL, *entry),))
    client.create("/q", acl=((ALL, *entry),))
    expected = in_java if in_java and kind != "zabd" else shown
    assert f"acl={expected}" in audit(audited, 3)[1][1]
    audit(audited, 3)
    if kind == "zabd":
        assert "secret" not in audited.log() and "aYXlLOp" not in audited.log()


def test_a_client_cannot_write_lines_of_its_own(audited, only_zabd):
    client = audited.client()
    client.auth("digest", "eve\toperation=x\n2026-01-01 INFO Slf4jAuditLogger user=root:pw")
    client.delete("/a\nb\tc\x1b\u0085\u2028d")
    level, fields = audit(audited, 1)[0]
    assert level == "ERROR" and len(lines(audited)) == 1
    assert fields[1] == r"user=eve\toperation=x\n2026-01-01 INFO Slf4jAuditLogger user=root,127.0.0.1"
    assert fields[4] == r"znode=/a\nb\tc\u001b\u0085\u2028d"
