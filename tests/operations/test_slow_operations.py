"""Operations that take long are told in the log, with where their time went, and counted.

The disk of the log takes 300 ms for each sync, or stands still.
"""

import re

import pytest

from ensemble.members import Ensemble
from harness import wire
from harness.servers import four_letter_word
from harness.waiting import eventually
from harness.wire import Writer

from .conftest import Faulty, figures

LONG_MS = 30_000
SYNC_MS = 300
LINE = re.compile(
    r"WARN  .* - Slow operation: (?P<what>.*) by session (?P<session>0x[0-9a-f]+)(, xid (?P<xid>\d+))?, took (?P<took>\d+)ms: "
    r"(?P<stages>.*); zxid (?P<zxid>0x[0-9a-f]+)")


def told(server, what):
    """The line about an operation, as soon as it is there: whose it was, its zxid, and its stages."""
    def found():
        lines = [match for match in LINE.finditer(server.log_text()) if match["what"] == what]
        return lines[0] if lines else None

    line = eventually(found, what=f"a line about {what}")
    stages = {name: int(ms) for name, ms in re.findall(r"(\w+) (\d+)ms", line["stages"])}
    assert sum(stages.values()) == int(line["took"]), "the stages are all of it"
    return line, stages


def server_of(faulty, slow_ms=SYNC_MS // 2):
    return faulty(properties={"zabd.slowOperationMs": slow_ms, "preAllocSize": 16}).start()


def test_a_slow_write_says_where_the_time_went(faulty):
    server = server_of(faulty)
    session = wire.Session(server.port, LONG_MS)
    assert session.create("/quick").err == 0
    server.order("slow /log.")
    reply = session.create("/slow\nfake")
    line, stages = told(server, r"Create of /slow\nfake")
    assert (line["session"], int(line["xid"])) == (f"0x{session.session_id:x}", reply.xid)
    assert int(line["zxid"], 16) == reply.zxid
    assert list(stages) == ["queued", "logged", "committed", "applied", "answered"]
    assert stages["logged"] >= SYNC_MS - 20 and stages["committed"] == 0
    assert "/quick" not in server.log_text()


def test_groups_and_reads_behind_them(faulty):
    server = server_of(faulty)
    session = wire.Session(server.port, LONG_MS)
    server.order("slow /log.")
    session.submit(wire.MULTI, wire.multi_body([(wire.CREATE, wire.create_body(path)) for path in ("/a", "/b")]))
    session.submit(wire.GET_DATA, Writer().ustring("/a").boolean(False).bytes)
    assert [session.reply().err, session.reply().err] == [0, 0]
    told(server, "Multi of 2: /a, /b")
    _, stages = told(server, "GetData of /a")
    assert list(stages) == ["queued", "answered"] and stages["queued"] >= SYNC_MS - 20


def test_the_beginning_and_the_end_of_a_session_have_their_stages(faulty):
    server = server_of(faulty)
    server.order("slow /log.")
    session = wire.Session(server.port, LONG_MS)
    assert session.call(wire.CLOSE_SESSION).err == 0
    for what, xid in (("CreateSession", None), ("CloseSession", "1")):
        line, stages = told(server, what)
        assert (line["session"], line["xid"]) == (f"0x{session.session_id:x}", xid)
        assert list(stages) == ["queued", "logged", "committed", "applied", "answered"]
        assert stages["logged"] >= SYNC_MS - 20


def test_a_slow_disk_does_not_flood_the_log_and_all_are_counted(faulty):
    server = server_of(faulty)
    session = wire.Session(server.port, LONG_MS)
    server.order("slow /log.")
    for number in range(200):
        session.submit(wire.CREATE, wire.create_body(f"/{number}"))
    for _ in range(200):
        assert session.reply().err == 0
    assert int(figures(server)["zabd_slow_operations"]) == 200
    assert server.log_text().count("Slow operation: ") == 10
    assert four_letter_word(server.port, "srst") == "Server stats reset.\n"
    assert int(figures(server)["zabd_slow_operations"]) == 0


def test_who_did_not_wait_is_told_too(faulty):
    server = server_of(faulty)
    session = wire.Session(server.port, LONG_MS)
    server.order("stuck /log.")
    session.submit(wire.CREATE, wire.create_body("/never"))
    with pytest.raises(TimeoutError):
        session.frame(SYNC_MS / 1000)
    session.close()
    line = rf"Slow operation: Create of /never by session 0x{session.session_id:x}, xid 1, had no answer after \d+ms, when its"
    eventually(lambda: re.search(line, server.log_text()))
    server.order()


def test_nothing_is_told_where_it_is_off(faulty):
    server = server_of(faulty, slow_ms=0)
    session = wire.Session(server.port, LONG_MS)
    server.order("slow /log.")
    assert session.create("/slow").err == 0
    assert "zabd_slow_operations" not in figures(server) and "Slow operation" not in server.log_text()


def test_a_members_clients_are_told_where_their_time_went(faulty_disk, only_zabd, tmp_path):
    """Through a follower: its own disk is quick, and the leader's and the other one's are not."""
    properties = {"zabd.slowOperationMs": SYNC_MS // 2, "preAllocSize": 16}
    with Ensemble(("zabd",) * 3, tmp_path, properties=properties, is_started=False, server=Faulty) as ensemble:
        for member in ensemble.members.values():
            member.library = faulty_disk
        ensemble.start()
        number = next(number for number in ensemble.members if ensemble.mode(number) == "follower")
        follower, others = ensemble.members[number], [ensemble.members[other] for other in ensemble.others(number)]
        session = wire.Session(follower.port, LONG_MS)
        for member in others:
            member.order("slow /log.")
        assert session.create("/agreed").err == 0
        line, stages = told(follower, "Create of /agreed")
        assert line["session"] == f"0x{session.session_id:x}"
        assert stages["committed"] >= SYNC_MS - 50 > stages["logged"], "its own disk was quick, the others were not"
        for member in others:
            member.order()
        assert session.create("/settled").err == 0
        follower.order("slow /log.")
        assert session.create("/not-waited-for").err == 0
        follower.order()
        for member in others:
            member.order("slow /log.")
        assert session.create("/again").err == 0
        told(follower, "Create of /again")
        assert "/not-waited-for" not in follower.log_text(), "two others had it: its own disk costs its clients nothing"
