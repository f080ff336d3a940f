"""The sessions of server 255 have names that begin like times to live. Without extended types that is a server like any other."""

import pytest

from harness import wire
from harness.observing import figures
from harness.waiting import eventually
from harness.wire import Writer

from . import members


def exists(port, path):
    """Its stat, as a member shows it that has heard of all that was acknowledged; None if it is not there."""
    session = wire.Session(port)
    assert session.call(wire.SYNC, Writer().ustring("/").bytes).err == 0
    reply = session.call(wire.EXISTS, Writer().ustring(path).boolean(False).bytes)
    session.end()
    return reply.reader().stat() if reply.err == 0 else None


@pytest.mark.parametrize("others", ["X", "java395"])
@pytest.mark.parametrize("is_255", [True, False], ids=["it is 255", "255 is another"])
def test_ephemerals_of_server_255_are_ephemerals(kind, tmp_path, others, is_255):
    other = kind if others == "X" else others
    kinds = {255: kind, 1: other, 2: other} if is_255 else {255: other, 1: kind, 2: other}
    with members.Ensemble(kinds, tmp_path) as ensemble:
        port = ensemble.ports[255][0]
        stays, ends, goes = wire.Session(port), wire.Session(port), wire.Session(port, 1000)
        assert stays.session_id & 0xff << 56 == 0xff << 56
        for path, session in (("/stays", stays), ("/ends", ends), ("/goes", goes)):
            assert session.create(path, flags=1).err == 0
        assert stays.create("/stays/below").err == -108
        goes.close()
        ends.end()
        for number, (of_clients, *_) in ensemble.ports.items():
            assert exists(of_clients, "/stays")["ephemeralOwner"] == stays.session_id, f"member {number}"
            assert exists(of_clients, "/ends") is None, f"member {number}"
            eventually(lambda port=of_clients: exists(port, "/goes") is None, 30, "an ephemeral goes with its session")
            assert figures(of_clients)["ephemerals_count"] == "1", f"member {number}"
        stays.end()
        assert [exists(ports[0], "/stays") for ports in ensemble.ports.values()] == [None] * 3
        ensemble.await_level()
        ensemble.assert_equal_trees()
