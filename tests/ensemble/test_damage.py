"""Damaged files of a member are set aside and replaced by a leader's state; what it acknowledged is never outvoted meanwhile."""

import shutil
import time

import pytest

from harness.observing import figures
from harness.servers import ServerFailed
from harness.waiting import eventually

from . import members

LOST = "lost-data"
PARTIAL = "partial-data"
SECONDS_MAX = 30


def damage_middle_of_log(server):
    """Changes one byte of a record that others follow; gives its file."""
    log = max((server.data_dir / "version-2").glob("log.*"), key=lambda path: int(path.suffix[1:], 16))
    content = bytearray(log.read_bytes())
    place = content.index(b"/precious")
    content[place] ^= 0x20
    log.write_bytes(content)
    return log


def damage_all_snapshots(server):
    for snapshot in (server.data_dir / "version-2").glob("snapshot.*"):
        snapshot.write_bytes(b"\xff" * max(100, snapshot.stat().st_size))


def lose_snapshots_and_oldest_log(server):
    """What is left does not begin at the first transaction."""
    oldest, *others = sorted((server.data_dir / "version-2").glob("log.*"), key=lambda path: int(path.suffix[1:], 16))
    assert others
    for path in [oldest, *(server.data_dir / "version-2").glob("snapshot.*")]:
        path.unlink()


def write(ensemble, number, path):
    session = members.wire.Session(ensemble.members[number].port)
    members.create(session, path, 0)
    session.end()


def fill(ensemble, number):
    for path in ["/precious", *(f"/after-{each}" for each in range(10))]:
        write(ensemble, number, path)


def filled_and_killed(ensemble, number):
    """A member that has what all have, and has ended."""
    fill(ensemble, 1)
    ensemble.await_level()
    member = ensemble.members[number]
    member.kill()
    return member


def paths(nodes):
    return {node["path"] for node in nodes}


def await_no_marker(server):
    """The marker goes, then the server says so: behind what it said when it began without."""
    def says_so(log):
        return log.rfind("this server votes again") > log.rfind("This server votes again when")

    marker = server.data_dir / "version-2" / LOST
    eventually(lambda: not marker.exists(), SECONDS_MAX, "the loss is not forgotten")
    eventually(lambda: says_so(server.log_text()), what=server.log_text)


@pytest.mark.parametrize("damage", [damage_middle_of_log, damage_all_snapshots])
@pytest.mark.parametrize("kinds", [["zabd"] * 3, ["java395", "java38", "zabd"]], ids="-".join)
def test_a_damaged_member_is_given_its_state_again(tmp_path, kinds, damage):
    with members.Ensemble(kinds, tmp_path) as ensemble:
        damaged = filled_and_killed(ensemble, 3)
        damage(damaged)
        before = sorted(path.name for path in (damaged.data_dir / "version-2").glob("*.*") if path.suffix != ".tmp")
        ensemble.leader()
        write(ensemble, 2, "/while-away")
        damaged.start()
        await_no_marker(damaged)
        ensemble.assert_equal_trees()
        assert {"/precious", "/after-9", "/while-away"} <= paths(ensemble.trees()[3])
        aside = damaged.data_dir / "version-2" / "damaged-1"
        assert sorted(path.name for path in aside.iterdir()) == before, "nothing that was there is gone"
        assert figures(damaged.port)["zabd_set_aside_directories"] == "1"
        shutil.rmtree(aside)
        assert figures(damaged.port)["zabd_set_aside_directories"] == "0"
        log = damaged.log_text()
        assert "nothing was removed" in log and "this server votes again" in log
        # It counts again: the two that stay are a quorum.
        ensemble.members[1].kill()
        write(ensemble, 3, "/with-the-repaired")


def test_a_member_that_lacks_the_others_jute_maxbuffer_keeps_its_files(tmp_path):
    """What it may not read is no damage that its peers would have to repair: it ends, and names the key."""
    with members.Ensemble(["zabd"] * 3, tmp_path, properties={"jute.maxbuffer": 4194304}) as ensemble:
        session = members.wire.Session(ensemble.members[1].port)
        assert session.create("/long", bytes(3 << 20)).err == 0
        session.end()
        ensemble.await_level()
        member = ensemble.members[3]
        member.kill()
        files = {path: path.read_bytes() for path in (member.data_dir / "version-2").iterdir()}
        properties, member.properties = member.properties, {}
        with pytest.raises(ServerFailed) as failed:
            member.start()
        said = str(failed.value)
        assert "and jute.maxbuffer with its extra size allows 2097150; the record is whole and nothing is damaged: " in said, said
        assert {path: path.read_bytes() for path in (member.data_dir / "version-2").iterdir()} == files
        # Nor may it be sent what it may not read.
        shutil.rmtree(member.data_dir / "version-2")
        member.start(wait=False)
        said = "and 2097150 are allowed; hint: jute.maxbuffer must be the same on all servers"
        eventually(lambda: said in member.log_text(), SECONDS_MAX, what=member.log_text)
        member.kill()
        member.properties = properties
        member.start()
        ensemble.assert_equal_trees()


@pytest.mark.parametrize("trust", ["false", "true"])
def test_a_member_with_nothing_under_its_logs_is_given_its_state_again(tmp_path, trust):
    """Whoever says that logs without a snapshot are complete is not believed where they show that they are not."""
    with members.Ensemble(["zabd"] * 3, tmp_path, config={"snapCount": 8}) as ensemble:
        damaged = filled_and_killed(ensemble, 3)
        lose_snapshots_and_oldest_log(damaged)
        damaged.properties = {**damaged.properties, "snapshot.trust.empty": trust}
        damaged.start()
        await_no_marker(damaged)
        ensemble.assert_equal_trees()
        assert {"/precious", "/after-9"} <= paths(ensemble.trees()[3])
        log = damaged.log_text()
        assert "holds what came before" in log and "nothing was removed" in log and "this server votes again" in log


def test_what_it_acknowledged_is_not_outvoted(tmp_path):
    """Two of three acknowledged a write; one of them is damaged. With the third, who never heard of the write, it is no quorum."""
    with members.Ensemble(["zabd"] * 3, tmp_path) as ensemble:
        fill(ensemble, 1)
        ensemble.members[3].kill()
        ensemble.leader()
        write(ensemble, 1, "/acknowledged-by-two")
        for number in (1, 2):
            ensemble.members[number].kill()
        damage_middle_of_log(ensemble.members[2])
        for number in (2, 3):
            ensemble.members[number].start(wait=False)
        marker = ensemble.members[2].data_dir / "version-2" / LOST
        deadline = time.monotonic() + SECONDS_MAX
        while not marker.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        # A second start must know of the loss as well.
        ensemble.members[2].kill()
        ensemble.members[2].start(wait=False)
        time.sleep(2)  # Long enough to elect each other, if they would.
        assert [ensemble.mode(number) for number in (2, 3)] == [None, None]
        ensemble.members[1].start()
        for number in (2, 3):
            ensemble.members[number].await_serving()
        await_no_marker(ensemble.members[2])
        ensemble.assert_equal_trees()
        assert "/acknowledged-by-two" in paths(ensemble.trees()[3])


def test_a_part_of_what_a_leader_sent_to_an_empty_member_outvotes_nobody(tmp_path):
    """Two of three acknowledged a write. One of them lost its disk, and was killed while the other brought it into step: as far
    as the third one, who never heard of the write."""
    with members.Ensemble(["zabd"] * 3, tmp_path) as ensemble:
        fill(ensemble, 1)
        ensemble.await_level()
        ensemble.members[3].kill()
        ensemble.leader()
        write(ensemble, 1, "/acknowledged-by-two")
        for number in (1, 2):
            ensemble.members[number].kill()
        part, short = (ensemble.members[number] for number in (2, 3))
        shutil.rmtree(part.data_dir / "version-2")
        shutil.copytree(short.data_dir / "version-2", part.data_dir / "version-2")
        marker = part.data_dir / "version-2" / PARTIAL
        marker.touch()
        for server in (part, short):
            server.start(wait=False)
        deadline = time.monotonic() + SECONDS_MAX
        while "This server is empty and does not count" not in part.log_text():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert [ensemble.mode(number) for number in (2, 3)] == [None, None]
        ensemble.members[1].start()
        for server in (part, short):
            server.await_serving()
        assert not marker.exists()
        ensemble.assert_equal_trees()
        assert "/acknowledged-by-two" in paths(ensemble.trees()[3])


def test_an_epoch_that_survived_the_logs_outvotes_nobody(tmp_path):
    """Two of three acknowledged a write. One of them got another disk for its logs; what it has joined stands on the other one,
    and is more than the third one has joined, who never heard of the write."""
    ensemble = members.Ensemble(["zabd"] * 3, tmp_path, is_started=False)
    for server in ensemble.members.values():
        server.config["dataLogDir"] = str(server.data_dir / "logs")
    with ensemble:
        ensemble.start()
        fill(ensemble, 1)
        ensemble.await_level()
        short, whole, emptied = (ensemble.members[number] for number in (1, 2, 3))
        short.kill()
        emptied.kill()
        emptied.start(wait=False)
        for server in (whole, emptied):
            server.await_serving()
        write(ensemble, 2, "/acknowledged-by-two")
        ensemble.await_level()
        for server in (whole, emptied):
            server.kill()
        assert joined(short) < joined(emptied)
        logs = list((emptied.data_dir / "logs" / "version-2").glob("log.*"))
        assert logs and [path.name for path in (emptied.data_dir / "version-2").glob("snapshot.*")] == ["snapshot.0"]
        for log in logs:
            log.unlink()
        for server in (short, emptied):
            server.start(wait=False)
        deadline = time.monotonic() + SECONDS_MAX
        said = "This server is empty and does not count"
        while said not in emptied.log_text():
            assert [ensemble.mode(number) for number in (1, 3)] == [None, None], "what two acknowledged is outvoted"
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert [ensemble.mode(number) for number in (1, 3)] == [None, None]
        whole.start()
        for server in (short, emptied):
            server.await_serving()
        ensemble.assert_equal_trees()
        assert {"/precious", "/after-9", "/acknowledged-by-two"} <= paths(ensemble.trees()[3])


def test_a_snapshot_that_survived_the_logs_outvotes_nobody(tmp_path):
    """As there, and on the disk that is left stands a snapshot, too: older than what was acknowledged, and something to vote with
    for whoever does not miss the logs."""
    ensemble = members.Ensemble(["zabd"] * 3, tmp_path, is_started=False, config={"snapCount": 8})
    for server in ensemble.members.values():
        server.config["dataLogDir"] = str(server.data_dir / "logs")
    with ensemble:
        ensemble.start()
        short, whole, emptied = (ensemble.members[number] for number in (1, 2, 3))
        snapshots = emptied.data_dir / "version-2"
        fill(ensemble, 1)
        eventually(lambda: any(path.name != "snapshot.0" for path in snapshots.glob("snapshot.*")), SECONDS_MAX, "no snapshot")
        ensemble.await_level()
        short.kill()
        ensemble.leader()
        write(ensemble, 2, "/acknowledged-by-two")
        ensemble.await_level()
        for server in (whole, emptied):
            server.kill()
        shutil.rmtree(emptied.data_dir / "logs")
        for server in (short, emptied):
            server.start(wait=False)
        eventually(lambda: "does not hold the logs" in emptied.log_text(), SECONDS_MAX, "nobody misses them")
        eventually(lambda: "This server has lost what it had and does not count" in emptied.log_text(), SECONDS_MAX, emptied.log_text)
        assert [ensemble.mode(number) for number in (1, 3)] == [None, None]
        whole.start()
        for server in (short, emptied):
            server.await_serving()
        await_no_marker(emptied)
        aside = snapshots / "damaged-1"
        assert "does not hold the logs" in (aside / "logs-gone").read_text() and any(aside.glob("snapshot.*")), "a set that is counted"
        ensemble.assert_equal_trees()
        assert {"/precious", "/after-9", "/acknowledged-by-two"} <= paths(ensemble.trees()[3])


def test_members_that_joined_and_lost_their_logs_start_again(tmp_path):
    """None has anything to testify to but an epoch: all are heard, and one leads, be it the one that was away last."""
    with members.Ensemble(["zabd"] * 3, tmp_path) as ensemble:
        for server in ensemble.members.values():
            server.kill()
        for number, epoch in ((1, b"9"), (2, b"9"), (3, b"4")):
            version_2 = ensemble.members[number].data_dir / "version-2"
            for name in EPOCHS:
                (version_2 / name).write_bytes(epoch)
            (log,) = version_2.glob("log.*")
            log.unlink()
        two = ensemble.members[1], ensemble.members[2]
        for server in two:
            server.start(wait=False)
        for server in two:
            eventually(lambda: "This server is empty and does not count" in server.log_text(), what="who waits for the third")
        assert [ensemble.mode(number) for number in (1, 2)] == [None, None]
        ensemble.members[3].start(wait=False)
        ensemble.await_serving()
        write(ensemble, 2, "/first")
        ensemble.assert_equal_trees()
        assert {joined(server) for server in ensemble.members.values()} == {10}


@pytest.mark.parametrize("again", ["zabd", "java395", "java38"])
def test_two_of_three_that_nobody_wrote_to_start_again(tmp_path, again):
    """Each has an epoch and no transaction. That there was none shows in a log without one, which Java's servers read, too."""
    with members.Ensemble(["zabd"] * 3, tmp_path) as ensemble:
        for server in ensemble.members.values():
            server.kill()
        version_2s = [server.data_dir / "version-2" for server in ensemble.members.values()]
        # Other files, which a kill may have left half written, are none of Java's.
        names = [[path.name for path in sorted([*each.glob("log.*"), *each.glob("snapshot.*")])] for each in version_2s]
        assert names == [["log.100000001", "snapshot.0"]] * 3
        for number in (1, 3):
            ensemble.members[number] = ensemble.member(number, again)
            ensemble.members[number].start(wait=False)
        ensemble.await_serving()
        write(ensemble, 1, "/first")
        ensemble.members[2].start()
        ensemble.assert_equal_trees()
        assert "/first" in paths(ensemble.trees()[2])


def test_the_way_back_when_most_members_are_damaged(tmp_path):
    """What docs/operating.md says: one damaged member gets the files of the whole one, these two start, then the rest."""
    with members.Ensemble(["zabd"] * 3, tmp_path) as ensemble:
        fill(ensemble, 1)
        ensemble.await_level()
        for server in ensemble.members.values():
            server.kill()
        given, other, whole = (ensemble.members[number] for number in (1, 2, 3))
        for damaged in (given, other):
            damage_middle_of_log(damaged)
            damaged.start(wait=False)
        markers = [damaged.data_dir / "version-2" / LOST for damaged in (given, other)]
        deadline = time.monotonic() + SECONDS_MAX
        while not all(marker.exists() for marker in markers):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        for damaged in (given, other):
            damaged.kill()
        (given.data_dir / "version-2").rename(given.data_dir / "before")
        shutil.copytree(whole.data_dir / "version-2", given.data_dir / "version-2")
        for server in (given, whole):
            server.start(wait=False)
        for server in (given, whole):
            server.await_serving()
        other.start()
        await_no_marker(other)
        ensemble.assert_equal_trees()
        assert {"/precious", "/after-9"} <= paths(ensemble.trees()[2])


def test_a_member_that_the_others_cannot_help_refuses(tmp_path):
    """Of two, none can lead alone: the damaged one says what to do, touches nothing and ends."""
    with members.Ensemble(["zabd"] * 2, tmp_path) as ensemble:
        damaged = filled_and_killed(ensemble, 2)
        log = damage_middle_of_log(damaged)
        before = {path.name: path.read_bytes() for path in (damaged.data_dir / "version-2").iterdir()}
        with pytest.raises(members.ServerFailed, match="ended with 1"):
            damaged.start()
        said = damaged.log_text()
        assert f"{log}: " in said and "at offset" in said and "the other servers alone are no quorum" in said
        after = {path.name: path.read_bytes() for path in (damaged.data_dir / "version-2").iterdir()}
        assert after == before


EPOCHS = ("acceptedEpoch", "currentEpoch")
NO_NUMBERS = {"empty": b"", "garbage": b"garbage", "zeros": bytes(4)}


def epochs_of(server):
    return {name: (server.data_dir / "version-2" / name).read_bytes() for name in EPOCHS}


def joined(server):
    return int(epochs_of(server)["currentEpoch"])


def test_a_member_with_damaged_epochs_is_given_its_state_again(tmp_path):
    """What it promised is not known any more; what it is given at least is what its log and the other file show."""
    with members.Ensemble(["zabd"] * 3, tmp_path) as ensemble:
        fill(ensemble, 1)
        ensemble.lead_by(2)
        write(ensemble, 1, "/in-another-epoch")
        ensemble.await_level()
        damaged = ensemble.members[3]
        directory = damaged.data_dir / "version-2"
        sound = epochs_of(damaged)
        cases = [(("acceptedEpoch",), "garbage"), (EPOCHS, "empty"), (("acceptedEpoch",), "behind")]
        for number, (names, what) in enumerate(cases, 1):
            damaged.kill()
            for name in names:
                (directory / name).write_bytes(NO_NUMBERS.get(what, b"0"))
            held = epochs_of(damaged)
            write(ensemble, 1, f"/while-away-{number}")
            damaged.start(wait=False)
            damaged.await_serving()
            await_no_marker(damaged)
            assert epochs_of(damaged) == sound, what
            aside = [directory / f"damaged-{2 * number - 1}" / name for name in names]
            assert [path.read_bytes() for path in aside] == [held[name] for name in names]
        log = damaged.log_text()
        assert log.count(": set aside, to") == len(cases) and "instead of an epoch" in log
        ensemble.assert_equal_trees()
        assert {"/precious", "/while-away-3"} <= paths(ensemble.trees()[3])
        # It counts again: the two that stay are a quorum.
        ensemble.members[1].kill()
        write(ensemble, 3, "/with-the-repaired")


def files_of(server):
    return {path.name: path.read_bytes() for path in (server.data_dir / "version-2").iterdir() if path.is_file()}


@pytest.mark.parametrize("kind", ["java395", "zabd"])
def test_an_epoch_that_was_joined_and_never_promised_is_refused(tmp_path, kind):
    """One of the two files is from elsewhere, and nothing tells which: the member says so and ends, and all of it stays as it was."""
    with members.Ensemble([kind] * 3, tmp_path) as ensemble:
        damaged = filled_and_killed(ensemble, 3)
        promised = int(epochs_of(damaged)["acceptedEpoch"])
        current = damaged.data_dir / "version-2" / "currentEpoch"
        current.write_text("9")
        before = files_of(damaged)
        with pytest.raises(members.ServerFailed, match="ended with 1"):
            damaged.start()
        assert files_of(damaged) == before
        if kind == "zabd":
            said = f"{current.with_name('acceptedEpoch')} says {promised}, currentEpoch beside it 9, and the log reaches epoch {promised}"
            assert said in damaged.log_text() and "move the data directories away" in damaged.log_text()
        current.write_text(str(promised))
        damaged.start()
        ensemble.assert_equal_trees()


@pytest.mark.parametrize("what", ["x1", " 1 "])
def test_a_log_and_a_current_epoch_that_are_both_damaged(tmp_path, what):
    """The epoch, which can have been no other, is written before the log goes that shows it. It was refused when the log was gone."""
    with members.Ensemble(["zabd"] * 3, tmp_path) as ensemble:
        damaged = filled_and_killed(ensemble, 3)
        sound = epochs_of(damaged)
        (damaged.data_dir / "version-2" / "currentEpoch").write_text(what)
        damage_middle_of_log(damaged)
        ensemble.leader()
        damaged.start()
        await_no_marker(damaged)
        assert "is written anew" in damaged.log_text() and int(sound["currentEpoch"]) <= joined(damaged)
        ensemble.assert_equal_trees()


@pytest.mark.parametrize("what", NO_NUMBERS)
def test_epochs_that_the_others_cannot_help_with(tmp_path, what):
    """Of two, none can lead alone. An epoch that can be no other is written anew; a promise that nobody knows is not made up."""
    with members.Ensemble(["zabd"] * 2, tmp_path) as ensemble:
        damaged = filled_and_killed(ensemble, 2)
        (damaged.data_dir / "version-2" / "currentEpoch").write_bytes(NO_NUMBERS[what])
        damaged.start()
        accepted, current = epochs_of(damaged).values()
        assert accepted == current and int(current) > 0 and "is written anew" in damaged.log_text()
        ensemble.assert_equal_trees()
        damaged.kill()
        accepted = damaged.data_dir / "version-2" / "acceptedEpoch"
        accepted.write_bytes(NO_NUMBERS[what])
        with pytest.raises(members.ServerFailed, match="ended with 1"):
            damaged.start()
        said = damaged.log_text()
        assert f"{accepted} holds" in said and "instead of an epoch, and nothing else tells which one it was" in said
        assert accepted.read_bytes() == NO_NUMBERS[what] and not (damaged.data_dir / "version-2" / LOST).exists()
