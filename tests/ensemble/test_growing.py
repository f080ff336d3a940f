"""A lone server becomes a member of three and of five, and goes back, by its lines in zoo.cfg alone and restarts in any order, under load.

Who was there has everything, who comes has nothing. A server with nothing must not help anybody to lead who lacks what was
acknowledged: neither others with nothing, nor a member that was away. What an operator does on the way back is in
docs/operating.md: who leaves ends first, so that whoever stays has acknowledged all.
"""

import itertools
import subprocess
import time

import pytest

from harness import places, wire
from harness.waiting import eventually

from . import members
from .members import await_progress, finish

# Who has nothing would have elected somebody by then, if it did.
ELECTION_SECONDS = 0.7
SECONDS_MAX = 30


class Growing(members.Ensemble):
    """Servers of which only the first so many are members, and name each other."""

    def of(self, size, own="127.0.0.1"):
        """From its next start on every member has these lines, and calls itself by the `own` name; a lone server has none."""
        for server in self.members.values():
            server.config = {key: value for key, value in server.config.items() if not key.startswith("server.")}
            for number in range(1, size + 1) if size > 1 else ():
                quorum, election = self.ports[number][1:]
                host = own if server is self.members[number] else "127.0.0.1"
                server.config[f"server.{number}"] = f"{host}:{quorum}:{election}"

    def replace_lines(self, gone, left):
        """Those who are left are members, and those who are gone are none."""
        self.of(5)
        for number in left:
            for other in gone:
                del self.members[number].config[f"server.{other}"]

    def begin(self, order):
        for number in order:
            self.members[number].start(wait=False)

    def end(self, order):
        for number in order:
            self.members[number].kill()

    def restart(self, order, writers):
        """All of them end, and begin in this order."""
        self.end(order)
        self.begin(order)
        self.await_serving()
        await_progress(writers, 5)

    def assert_nobody_leads(self, numbers):
        """Each of them has begun to look for a leader, finds none, and says why it does not count."""
        deadline = time.monotonic() + SECONDS_MAX
        for number in numbers:
            server = self.members[number]
            while server.kind == "zabd" and "and does not count in an election" not in server.log_text():
                assert time.monotonic() < deadline, f"server {number} does not say that it has no voice"
                time.sleep(0.01)
        until = time.monotonic() + ELECTION_SECONDS
        while time.monotonic() < until:
            assert {self.mode(number) for number in numbers} == {None}
            time.sleep(0.05)


@pytest.mark.parametrize("autocreate", ["true", "false"])
def test_a_server_grows_to_three_and_five_and_back(tmp_path, write_through, autocreate):
    """With `db.autocreate=false` who has nothing is taken for one that has lost it, unless a file `initialize` says otherwise."""
    with Growing(["zabd"] * 5, tmp_path, is_started=False, properties={"db.autocreate": autocreate}) as ensemble:
        first, second = ensemble.members[1], ensemble.members[2]
        (first.data_dir / "initialize").touch()
        ensemble.of(1)
        first.start()
        writers = write_through(ensemble)
        await_progress(writers)

        ensemble.of(3)
        first.kill()
        ensemble.begin([2, 3])
        ensemble.assert_nobody_leads([2, 3])
        ensemble.begin([1])
        if autocreate == "false":
            ensemble.assert_nobody_leads([2, 3])
            second.kill()
            (second.data_dir / "initialize").touch()
            ensemble.begin([2])
        ensemble.await_serving()
        assert ensemble.leader() == 1
        await_progress(writers)
        for order in ([3, 2, 1], [2, 1, 3]):
            ensemble.restart(order, writers)

        # What is acknowledged now, 1 lacks. With two servers that have nothing it is three of five.
        first.kill()
        await_progress(writers)
        ensemble.of(5)
        ensemble.end([2, 3])
        ensemble.begin([5, 4, 1])
        ensemble.assert_nobody_leads([5, 4])
        assert ensemble.mode(1) is None
        ensemble.begin([2, 3])
        ensemble.await_serving()
        assert ensemble.leader() in (2, 3)
        await_progress(writers)
        for order in ([4, 5, 1, 2, 3], [1, 2, 4, 3, 5]):
            ensemble.restart(order, writers)

        # So many end first that the others acknowledge only together: whoever stays has all.
        for first_gone, size in (([5, 4], 3), ([3], 1)):
            ensemble.end(first_gone)
            await_progress(writers)
            ensemble.end([3, 2, 1])
            ensemble.of(size)
            ensemble.begin(range(1, size + 1))
            ensemble.await_serving()
            await_progress(writers)
        assert ensemble.mode(1) == "standalone"
        # ZOOKEEPER-2819: what is changed by restarts is not undone by a file that nobody wrote.
        assert [path.name for server in ensemble.members.values() for path in server.directory.glob("*.dynamic*")] == []
        finish(ensemble, writers)


@pytest.mark.parametrize("order", list(itertools.permutations([1, 2, 3])), ids=str)
def test_three_become_five_and_three_again_one_restart_after_the_other(tmp_path, write_through, order):
    """Who goes by the lines of three and who goes by those of five decide together, whoever is restarted first. By which name a member
    goes in its own lines is not asked."""
    with Growing(["zabd"] * 5, tmp_path, is_started=False) as ensemble:
        ensemble.of(3)
        ensemble.begin([1, 2, 3])
        ensemble.await_serving()
        writers = write_through(ensemble)
        await_progress(writers)
        held = [server.data_dir / "version-2" / "voters-held" for server in ensemble.members.values()]
        ensemble.lines_differ = True
        for size, last in ((5, "1 2 3 4 5"), (3, "1 2 3")):
            ensemble.of(size, own="0.0.0.0")
            if size == 5:
                ensemble.begin([4, 5])
            else:
                ensemble.end([4, 5])
            ensemble.await_serving()
            for number in order:
                ensemble.end([number])
                ensemble.begin([number])
                # Who goes by the lines of three knows no leader that is new. It is restarted in its turn.
                ensemble.members[number].await_serving()
                await_progress(writers, 5)
            ensemble.await_serving()
            assert all(path.read_text().splitlines()[-1].endswith(f"={last}") for path in held[:size])
        finish(ensemble, writers)


def lose_two_of_three(ensemble, write_through):
    """Servers 2 and 3 end for good, one behind the other; 1 has ended too, and is to go on with 4 and 5. Yields who wrote."""
    ensemble.of(3)
    ensemble.begin([1, 2, 3])
    ensemble.await_serving()
    writers = write_through(ensemble)
    await_progress(writers)
    ensemble.end([2])
    await_progress(writers)
    ensemble.end([3, 1])
    ensemble.replace_lines(gone=(2, 3), left=(1, 4, 5))
    return writers


def test_members_whose_list_is_lost_wait_until_an_operator_says_so(tmp_path, write_through):
    """Two of three are gone for good, and two others are to come in their place."""
    with Growing(["zabd"] * 5, tmp_path, is_started=False) as ensemble:
        writers = lose_two_of_three(ensemble, write_through)
        last = ensemble.members[1]
        ensemble.begin([1, 4, 5])
        warning = "knows of voters 1, 2, 3, of whom a quorum is needed too"
        eventually(lambda: warning in last.log_text(), what="the warning at the start")
        why = "voters 1, 2, 3 may hold beside this server's own, so nobody leads without 2 of them (there: 1; missing: 2, 3): start 1 of the " \
            "missing, or, only if they are lost for good, stop all members that are left, remove version-2/voters-held from dataDir on " \
            "each of them, and start them"
        eventually(lambda: why in last.log_text(), what="what is waited for")
        assert {ensemble.mode(number) for number in (1, 4, 5)} == {None}
        ensemble.end([1, 4, 5])
        file = last.directory / "zoo.cfg"
        doctor = subprocess.run([places.ZABD, "doctor", file], capture_output=True, text=True, timeout=60, check=False)
        advice = "a leader needs a quorum of voters 1, 2, 3, as long as no leader by the new lines has served; only if that quorum is lost for " \
            "good: stop all members that are left, remove this file on each of them, and start them"
        assert doctor.returncode == 1 and advice in doctor.stdout, (doctor.returncode, doctor.stdout, doctor.stderr)
        for number in (1, 4, 5):
            (ensemble.members[number].data_dir / "version-2" / "voters-held").unlink(missing_ok=True)
        ensemble.begin([1, 4, 5])
        ensemble.await_serving()
        await_progress(writers)


def test_a_list_from_before_java_led_stops_nobody(tmp_path, write_through):
    """Java's servers keep no lists. Of the members that zabd knew, two are gone for good by the time it is back."""
    with Growing(["zabd"] * 5, tmp_path, is_started=False) as ensemble:
        writers = lose_two_of_three(ensemble, write_through)
        for number in (1, 4, 5):
            ensemble.members[number].kind = "java395"
        # With nothing 4 and 5 would elect each other.
        ensemble.begin([1, 4])
        ensemble.await_serving()
        await_progress(writers)
        ensemble.end([4, 1])
        for number in (1, 4, 5):
            ensemble.members[number].kind = "zabd"
        ensemble.begin([1, 4, 5])
        ensemble.await_serving()
        await_progress(writers)
        first = ensemble.members[1]
        assert "voters-held does not count: this server has joined epoch" in first.log_text()
        held = first.data_dir / "version-2" / "voters-held"
        eventually(lambda: held.read_text().splitlines()[-1].endswith("=1 4 5"), what="the list that holds now")
        finish(ensemble, writers)


@pytest.mark.parametrize("java_is", [2, 3])
def test_a_server_of_java_is_one_of_those_that_come(tmp_path, write_through, java_is):
    """A server of Java with nothing votes all the same; the other one does not, so the two elect nobody."""
    kinds = ["zabd"] * 3
    kinds[java_is - 1] = "java395"
    with Growing(kinds, tmp_path, is_started=False) as ensemble:
        ensemble.of(1)
        ensemble.members[1].start()
        writers = write_through(ensemble)
        await_progress(writers)
        ensemble.of(3)
        ensemble.end([1])
        ensemble.begin([2, 3])
        ensemble.assert_nobody_leads([2, 3])
        ensemble.begin([1])
        ensemble.await_serving()
        assert ensemble.leader() == 1
        await_progress(writers)
        ensemble.restart([java_is, 5 - java_is, 1], writers)
        finish(ensemble, writers)


ALONE, MEANWHILE = 60, 20


def write_some(server, parent, count):
    session = wire.Session(server.port, members.SESSION_MS)
    assert session.create(parent).err == 0
    assert [session.create(f"{parent}/{number}").err for number in range(count)] == [0] * count
    session.end()


@pytest.mark.parametrize("leading", ["zabd", "java395"])
def test_what_a_member_wrote_while_it_was_alone_goes(tmp_path, leading):
    """It was started without the others' lines by mistake, and has more of their leader's epoch than the leader. It serves again, with
    what the others have, and with nothing of its own."""
    with Growing([leading, leading, "zabd"], tmp_path) as ensemble:
        server = ensemble.members[3]
        if ensemble.leader() == 3:
            server.kill()
            ensemble.leader(among=(1, 2))
            server.start()
        write_some(server, "/before", MEANWHILE)
        server.kill()
        lines = dict(server.config)
        server.config = {key: value for key, value in lines.items() if not key.startswith("server.")}
        server.start()
        write_some(server, "/alone", ALONE)
        server.kill()
        if leading == "zabd":
            write_some(ensemble.members[1], "/meanwhile", MEANWHILE)
        server.config = lines
        server.start()
        write_some(server, "/behind", MEANWHILE)
        ensemble.assert_equal_trees()
        session = wire.Session(server.port, members.SESSION_MS)
        assert session.call(wire.EXISTS, wire.Writer().ustring("/alone").boolean(False).bytes).err == -101
        session.end()
        server.kill()
        server.start()
        ensemble.assert_equal_trees()
