"""Clients that ask for much before they take an answer, at every member at once: all is answered, in order, with the right values.

A follower of Java's holds what its leader says against the order in which it has asked. A leader that answers a `sync` elsewhere
than between the commits that belong around it leaves such a follower with clients that nobody answers any more.
"""

import pytest

from harness import wire

from . import members

SESSIONS_PER_MEMBER = 2
ROUNDS = 60


class Pipeline:
    """One session, what it has asked for, and what it expects."""

    def __init__(self, ensemble, number, place):
        # Java 3.8 may leave a request lie until the next one comes.
        self.session = wire.PingingSession(ensemble.members[number].port, members.SESSION_MS)
        self.name = f"/pipeline-{number}-{place}"
        self.expected = []

    def ask(self, turn):
        """Creates, reads, syncs, writes and reads again, without waiting."""
        path = f"{self.name}-{turn}"
        first, second = f"{turn}".encode(), f"{turn} again".encode()
        read = wire.Writer().ustring(path).boolean(False).bytes
        self._submit(wire.CREATE, wire.create_body(path, first), lambda reader: reader.ustring() == path)
        self._submit(wire.GET_DATA, read, lambda reader: reader.buffer() == first)
        self._submit(wire.SYNC, wire.Writer().ustring(path).bytes, lambda reader: reader.ustring() == path)
        write = wire.Writer().ustring(path).buffer(second).int(0).bytes
        self._submit(wire.SET_DATA, write, lambda reader: reader.stat()["version"] == 1)
        self._submit(wire.GET_DATA, read, lambda reader: reader.buffer() == second)
        self._submit(wire.SYNC, wire.Writer().ustring("/").bytes, lambda reader: reader.ustring() == "/")

    def _submit(self, opcode, body, is_right):
        self.expected.append((self.session.submit(opcode, body), opcode, is_right))

    def assert_answered(self):
        """Everything, in the order in which it was asked for."""
        zxid = 0
        for count, (xid, opcode, is_right) in enumerate(self.expected):
            reply = self.session.reply()
            assert reply, f"{self.name}: closed after {count} of {len(self.expected)} answers"
            assert (reply.xid, reply.err) == (xid, 0), f"{self.name}: an answer to opcode {opcode}"
            assert is_right(reply.reader()), f"{self.name}: the answer to {xid}, opcode {opcode}"
            assert zxid <= reply.zxid, f"{self.name}: 0x{reply.zxid:x} behind 0x{zxid:x}"
            zxid = reply.zxid
        self.session.end()


# The last one leads.
@pytest.mark.parametrize(
    "kinds",
    [("java395", "java395", "zabd"), ("java38", "java38", "zabd"), ("zabd", "zabd", "java395"), ("zabd", "java38", "java395")],
    ids="-".join)
def test_pipelined_clients_of_all_members_are_answered_in_order(tmp_path, kinds):
    with members.Ensemble(kinds, tmp_path) as ensemble:
        ensemble.lead_by(3)
        pipelines = [
            Pipeline(ensemble, number, place) for number in ensemble.members for place in range(SESSIONS_PER_MEMBER)]
        for turn in range(ROUNDS):
            for pipeline in pipelines:
                pipeline.ask(turn)
        for pipeline in pipelines:
            pipeline.assert_answered()
        assert ensemble.leader() == 3, "nobody had a reason to elect"
        ensemble.assert_equal_trees()
