"""Members join, leave, change roles and ports while writers go on, in ensembles of zabd, and of zabd and Java together.

After every change all members must show one text, and keep it in the same files; what was acknowledged is there at the
end, and a restart of everybody finds the members as they are.
"""

import re
import subprocess
import threading

import pytest

from ensemble.members import Writer
from harness import dump, places, wire
from harness.servers import JAVA_OPTIONS
from harness.waiting import eventually

from .ensemble import SECONDS_MAX, Ensemble, reconfig, shown

GONE = "; this server is not a member any more; hint: stop it; until then it follows, and has no vote"
JOINING = "; this server is none of them, follows, and has no vote; hint: `reconfig -add server.{}=…` makes it one; if it was removed, stop it"


@pytest.fixture(name="write_through")
def write_through_fixture():
    """Starts a writer on an ensemble; whatever happens, it ends."""
    started = []

    def start(ensemble):
        started.append(Writer(ensemble, 0))
        started[0].start()
        await_progress(started[0])  # It has its ephemeral, which it asks for once.
        return started[0]

    yield start
    for writer in started:
        writer.ends.set()
        writer.join()


def await_progress(writer, count=5):
    """Returns when so many more writes were acknowledged."""
    goal = len(writer.gaps) + count
    eventually(lambda: len(writer.gaps) >= goal or writer.failure, SECONDS_MAX, what="acknowledged writes")
    assert not writer.failure, writer.failure


def finish(ensemble, writer):
    """Every member has every acknowledged write, and so it stays when all are started again."""
    text = ensemble.assert_agreed(ensemble.members)
    writer.stop()
    for server in ensemble.members.values():
        server.stop()
    for server in ensemble.members.values():
        server.start(wait=False)
    for number, server in ensemble.members.items():
        server.await_serving()
        session = ensemble.session(number)
        assert session.call(wire.SYNC, wire.Writer().ustring("/").bytes).err == 0
        writer.assert_kept(dump.read_nodes(session, sorted(dump.all_paths(session))))
        session.close()
        assert server.kind != "zabd" or not server.complaints()
    assert ensemble.assert_agreed(ensemble.members) == text


def await_told(server, text, voters, more=""):
    """A server's log says that this configuration takes effect."""
    line = f"Configuration {text.splitlines()[-1]} takes effect: voters {', '.join(map(str, sorted(voters)))}{more}\n"
    eventually(lambda: line in server.log_text(), SECONDS_MAX, what=line)


def test_one_grows_to_five_and_shrinks_to_one(tmp_path, write_through):
    """Each joiner knows only who was there before it; the leader goes first when the ensemble shrinks."""
    with Ensemble(tmp_path, dict.fromkeys(range(1, 6), "zabd"), running=[1]) as ensemble:
        writer = write_through(ensemble)
        for number in range(2, 6):
            before, others = shown(ensemble.session(1)), list(ensemble.members)
            text = ensemble.join(number)
            await_told(ensemble.members[number], before, others, JOINING.format(number))
            ensemble.assert_agreed(ensemble.members, text)
            for server in ensemble.members.values():
                await_told(server, text, ensemble.members)
            await_progress(writer)
        for _ in range(4):
            leader = ensemble.leader()
            text = ensemble.reconfig(leaving=[leader], through=ensemble.another(leader))
            rest = set(ensemble.members) - {leader}
            await_told(ensemble.members[leader], text, rest, GONE)
            ensemble.end(leader)
            ensemble.assert_agreed(ensemble.members, text)
            await_progress(writer)
        finish(ensemble, writer)


class Newcomer(threading.Thread):
    """A client that connects to a member, again and again; `refused` counts how often it was turned away."""

    def __init__(self, port):
        super().__init__()
        self.port, self.ends, self.served, self.refused = port, threading.Event(), 0, 0

    def run(self):
        while not self.ends.is_set():
            try:
                wire.Session(self.port).close()
                self.served += 1
            except (OSError, wire.Closed):
                self.refused += 1


def test_who_comes_between_two_leaders_is_served(tmp_path):
    """The leader leaves; for a moment nobody serves. Whoever connects to a member that stays waits for that moment to pass."""
    with Ensemble(tmp_path, dict.fromkeys(range(1, 5), "zabd"), running=[1, 2, 3, 4]) as ensemble:
        for _ in range(2):
            leader = ensemble.leader()
            newcomers = [Newcomer(ensemble.ports[number][0]) for number in ensemble.members if number != leader]
            for newcomer in newcomers:
                newcomer.start()
            try:
                for newcomer in newcomers:
                    eventually(lambda: newcomer.served, SECONDS_MAX, what="a first session")
                ensemble.reconfig(leaving=[leader], through=ensemble.another(leader))
                for newcomer in newcomers:
                    served = newcomer.served
                    eventually(lambda: newcomer.served > served + 1, SECONDS_MAX, what="a session under the next leader")
            finally:
                for newcomer in newcomers:
                    newcomer.ends.set()
                for newcomer in newcomers:
                    newcomer.join()
            ensemble.end(leader)
            assert [newcomer.refused for newcomer in newcomers] == [0] * len(newcomers)


def test_roles_and_ports_change(tmp_path, write_through):
    """A follower becomes an observer and votes again; then every member, the leader last, moves to other ports."""
    with Ensemble(tmp_path, dict.fromkeys(range(1, 5), "zabd"), running=[1, 2, 3, 4]) as ensemble:
        writer = write_through(ensemble)
        follower = next(number for number in ensemble.members if number != ensemble.leader())
        for role, mode in (("observer", "observer"), ("participant", "follower")):
            ensemble.roles[follower] = role
            text = ensemble.reconfig(joining=[follower])
            ensemble.assert_agreed(ensemble.members, text)
            eventually(lambda: ensemble.mode(follower) == mode, SECONDS_MAX, what=mode)
            await_progress(writer)
        leader = ensemble.leader()
        for number in [each for each in ensemble.members if each != leader] + [leader]:
            text = ensemble.move(number)
            ensemble.assert_agreed(ensemble.members, text)
            await_progress(writer)
        finish(ensemble, writer)


def test_all_members_at_once(tmp_path, write_through):
    """Groups come and go, which only the whole list of members can do."""
    with Ensemble(tmp_path, dict.fromkeys(range(1, 4), "zabd"), running=[1, 2, 3]) as ensemble:
        writer = write_through(ensemble)
        servers = ",".join(f"server.{number}={ensemble.line(number)}" for number in ensemble.members)
        text = ensemble.reconfig(members=f"{servers},group.1=1:2:3,weight.3=0")
        assert text.split("\n")[3:-1] == ["group.1=1:2:3", "weight.1=1", "weight.2=1", "weight.3=0"]
        await_progress(writer)
        session = ensemble.session()
        assert reconfig(session, None, "3", None).err == -8, "groups are changed as a whole"
        session.close()
        text = ensemble.reconfig(members=servers)
        ensemble.assert_agreed(ensemble.members, text)
        await_progress(writer)
        finish(ensemble, writer)


def test_with_java(tmp_path, write_through):
    """Java joins zabd; each of them leads while an observer is given a vote and loses it, and then gives up the lead: zabd
    because it moves, Java because it leaves."""
    kinds = {1: "zabd", 2: "java395", 3: "zabd", 4: "java395"}
    with Ensemble(tmp_path, kinds, running=[1]) as ensemble:
        writer = write_through(ensemble)
        for number in (2, 3):
            text = ensemble.join(number)
            ensemble.assert_agreed(ensemble.members, text)
            await_progress(writer)
        ensemble.join(4, role="observer")
        for kind in ("zabd", "java395"):
            eventually(lambda: hand_lead_to(ensemble, kind), SECONDS_MAX, what=f"{kind} as leader")
            for role in ("participant", "observer"):
                ensemble.roles[4] = role
                text = ensemble.reconfig(joining=[4])
                ensemble.assert_agreed(ensemble.members, text)
                await_progress(writer)
            give_up = ensemble.move if kind == "zabd" else ensemble.remove
            text = give_up(ensemble.leader())
            ensemble.assert_agreed(ensemble.members, text)
            await_progress(writer)
        finish(ensemble, writer)


def hand_lead_to(ensemble, kind):
    """Ends and starts leaders until one of this kind leads."""
    leader = ensemble.leader()
    if ensemble.kinds[leader] == kind:
        return True
    ensemble.members[leader].stop()
    eventually(lambda: ensemble.leader() != leader, SECONDS_MAX, what="another leader")
    ensemble.members[leader].start()
    return False


def test_errors(tmp_path, kind):
    """Every refusal, in the order in which Java finds reasons for it; nothing changes by them."""
    with Ensemble(tmp_path, dict.fromkeys(range(1, 4), kind), running=[1, 2, 3]) as ensemble:
        before = ensemble.assert_agreed(ensemble.members)
        nobody = wire.Session(ensemble.ports[1][0])
        somebody = ensemble.session()
        joiner = "server.9=127.0.0.1:1:2;127.0.0.1:3"
        for session, joining, leaving, members, version, expected in [
                (nobody, None, None, None, 7, -103),
                (nobody, "server.9=127.0.0.1:1:2", None, None, -1, -8),
                (nobody, None, "one", None, -1, -5),
                (nobody, None, "1,2,3", None, -1, -8),
                (nobody, None, "3", None, -1, -102),
                (somebody, None, "1,2,3", None, -1, -8),
                (somebody, "server.9", None, None, -1, -8),
                (somebody, "server.x=127.0.0.1:1:2;3", None, None, -1, -5),
                # A port with TLS, as in release 3.10, of which a member of 3.9 must not hear.
                (somebody, "server.9=127.0.0.1:1:2;3;4", None, None, -1, -8),
                (somebody, "server.9=127.0.0.1:1:70000;3", None, None, -1, -5),
                (somebody, joiner, "1,2", None, -1, -13),
                (somebody, None, None, joiner, -1, -13),
                (somebody, None, None, "server.9=nonsense", -1, -8),
                (somebody, None, None, "tickTime=3", -1, -8),
                (somebody, None, None, "", -1, -5),
                (somebody, None, "3", None, int(before.rsplit("=", 1)[1], 16) + 1, -103)]:
            reply = reconfig(session, joining, leaving, members, version)
            assert (reply.err, reply.body) == (expected, b""), (joining, leaving, members, version)
        assert shown(nobody) == before
        somebody.close()
        if kind == "zabd":
            log = ensemble.members[ensemble.leader()].log_text
            for why in [
                    r"it is asked for from version 7, and version \w+ holds", "`server.9=127.0.0.1:1:2` does not end with `;` and the port",
                    "a member is named by `-members`, with the lines of all",
                    "`one` is not the number of a server", "0 voters would be left, and 1 must be"]:
                eventually(lambda why=why: re.search(rf"WARN .*Refusing a reconfig that a client asked for in session 0x\w+: .*{why}", log()), what=why)


def test_who_is_away_hears_of_it(tmp_path):
    """A member that was down during two changes is told of them as soon as it looks for a leader."""
    with Ensemble(tmp_path, dict.fromkeys(range(1, 4), "zabd"), running=[1, 2, 3]) as ensemble:
        away = next(number for number in ensemble.members if number != ensemble.leader())
        server = ensemble.members[away]
        ensemble.end(away)
        for number in list(ensemble.members):
            text = ensemble.move(number)
        ensemble.members[away] = server.start()
        ensemble.assert_agreed(ensemble.members, text)


def test_kazoo_and_zkcli(tmp_path, kind):
    """The clients' own commands, and the watch that tells of a change."""
    from kazoo.client import KazooClient

    with Ensemble(tmp_path, dict.fromkeys(range(1, 4), kind), running=[1, 2, 3]) as ensemble:
        follower = next(number for number in ensemble.members if number != ensemble.leader())
        events = []
        client = KazooClient(ensemble.members[follower].hosts, auth_data=[("digest", "super:test")])
        client.start()
        data, _ = client.get("/zookeeper/config", watch=events.append)
        leaver = next(number for number in ensemble.members if number not in (follower, ensemble.leader()))
        new, stat = client.reconfig(joining=None, leaving=str(leaver), new_members=None)
        assert f"server.{leaver}=" not in new.decode() and new != data
        assert (stat.version, stat.mzxid) == (-1, int(new.decode().rsplit("=", 1)[1], 16))
        eventually(lambda: events, SECONDS_MAX, what="the event")
        assert [(event.type, event.path) for event in events] == [("CHANGED", "/zookeeper/config")]
        client.stop()
        client.close()

        script = (
            f"addauth digest super:test\nreconfig -add server.{leaver}={ensemble.line(leaver)}\n"
            f"reconfig -v 5 -remove {leaver}\nconfig\nquit\n")
        command = [
            "java", *JAVA_OPTIONS, "-Dorg.slf4j.simpleLogger.defaultLogLevel=off", "-cp", places.JAVA395_CLASSPATH,
            "org.apache.zookeeper.ZooKeeperMain", "-server", ensemble.members[follower].hosts]
        done = subprocess.run(command, input=script, text=True, capture_output=True, timeout=60, check=False)
        text = ensemble.assert_agreed(ensemble.members)
        assert done.stdout.count("Committed new configuration:\n" + text) == 1, done.stdout + done.stderr
        assert "version No is not valid : " in done.stdout + done.stderr
