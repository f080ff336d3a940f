"""`enableEagerACLCheck`: what access lists forbid is refused where it is asked for, and takes no zxid. Java's members do the same."""

import re

import pytest

from harness import wire
from harness.servers import four_letter_word
from harness.wire import OPEN_ACL, Session, Writer

from .members import Ensemble

NO_AUTH, INVALID_ACL = -102, -114
READ_ONLY = ((1, "world", "anyone"),)
OBSERVER = 3


@pytest.fixture(name="members")
def members_fixture(kind, tmp_path):
    properties = {"enableEagerACLCheck": "true"}
    with Ensemble([kind] * 3, tmp_path, observers={OBSERVER}, properties=properties) as members:
        assert members.leader() == 2
        yield members


def zxid(server):
    return int(re.search(r"Zxid: (\S+)", four_letter_word(server.port, "srvr"))[1], 16)


def set_data(path):
    return Writer().ustring(path).buffer(b"new").int(-1).bytes


def set_acl(path, acl):
    return Writer().ustring(path).acl(acl).int(-1).bytes


@pytest.mark.parametrize("number", [1, 2, OBSERVER], ids=["follower", "leader", "observer"])
def test_what_is_forbidden_takes_no_zxid(members, number):
    server = members.members[number]
    session = Session(server.port)
    assert session.create("/locked", acl=READ_ONLY).err == 0
    before = zxid(server)
    refused = [
        session.create("/locked/child"), session.call(wire.SET_DATA, set_data("/locked")),
        session.call(wire.SET_ACL, set_acl("/locked", OPEN_ACL))]
    assert [(reply.err, reply.body) for reply in refused] == [(NO_AUTH, b"")] * 3
    assert session.create("/invalid", acl=((31, "nobody", "knows"),)).err == INVALID_ACL
    assert zxid(server) == before
    # What is allowed is done, and whatever else is wrong is found where it always is.
    assert session.create("/open").err == 0
    assert session.create("/missing/child").err == -101
    assert zxid(server) == before + 2
    session.end()
