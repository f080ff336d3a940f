"""Where members are: names that do not resolve yet or resolve to something else by now, several addresses of one member, ports
that are still taken, listening on every address of the machine.

Names are made up by a library that is preloaded (`names.c`), so no file of the machine is touched.
"""

import os
import re
import socket
import subprocess
import time
from pathlib import Path

import pytest

from harness import wire
from harness.servers import free_port
from harness.waiting import eventually
from reconfig.ensemble import Ensemble as Changing

from . import members

# Java asks for the last one before a line may have several addresses.
BRISK = {"tickTime": 200, "syncLimit": 5, "initLimit": 20, "multiAddress.enabled": "true"}
# A name is asked for anew with every dial, and two dials are a second apart at most; an election and a new epoch come on top.
ONE_RETRY_SECONDS = 4


class Placed(members.Ensemble):
    """Members whose `server.N` lines are up to the test."""

    def __init__(self, directory, line, config=None):
        """`line(own, other, quorum, election)` is what a member's file says about another, or about itself."""
        self.line = line
        super().__init__(["zabd"] * 3, directory, config={**BRISK, **(config or {})}, is_started=False)
        self.lines_differ = True

    def member(self, number, kind):
        server = super().member(number, kind)
        for other, (_, quorum, election) in self.ports.items():
            server.config[f"server.{other}"] = self.line(number, other, quorum, election)
        return server


class Names:
    """What names resolve to, at the moment."""

    def __init__(self, directory):
        self.hosts = directory / "hosts"
        self.hosts.write_text("")
        self.library = directory / "names.so"
        source = Path(__file__).with_name("names.c")
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", self.library, source, "-ldl"], check=True)

    def are(self, **addresses):
        """All of them; others do not resolve."""
        lines = [f"{name}.test {address}\n" for name, address in addresses.items()]
        new = self.hosts.with_suffix(".new")
        new.write_text("".join(lines))
        os.replace(new, self.hosts)

    def environment(self):
        return {"LD_PRELOAD": str(self.library), "ENSEMBLE_HOSTS": str(self.hosts)}


@pytest.fixture
def names(tmp_path):
    return Names(tmp_path)


def named(tmp_path, names):
    """Three members that know each other, and themselves, by name only."""
    ensemble = Placed(tmp_path, lambda own, other, quorum, election: f"zk{other}.test:{quorum}:{election}")
    for server in ensemble.members.values():
        server.environment = names.environment()
    return ensemble


def write(ensemble, number, path):
    session = wire.Session(ensemble.members[number].port)
    members.create(session, path, 0)
    session.end()


def test_a_name_may_come_to_resolve_later(tmp_path, names):
    """Two of three are enough although the third's name says nothing, and one's own name need not resolve to listen."""
    with named(tmp_path, names) as ensemble:
        # Servers without data elect nobody before all of them were heard.
        names.are(zk1="127.0.0.1", zk2="127.0.0.1", zk3="127.0.0.1")
        ensemble.start()
        for server in ensemble.members.values():
            server.kill()
        names.are()
        for server in ensemble.members.values():
            server.start(wait=False)
        # Longer than an election among three that hear each other takes (a tenth of a second).
        time.sleep(0.5)
        assert [ensemble.mode(number) for number in (1, 2, 3)] == [None] * 3
        names.are(zk1="127.0.0.1", zk2="127.0.0.1")
        for number in (1, 2):
            ensemble.members[number].await_serving()
        write(ensemble, 1, "/before")
        names.are(zk1="127.0.0.1", zk2="127.0.0.1", zk3="127.0.0.1")
        began = time.monotonic()
        ensemble.members[3].await_serving()
        assert time.monotonic() - began < ONE_RETRY_SECONDS
        write(ensemble, 3, "/after")
        ensemble.assert_equal_trees()


def test_a_member_with_a_new_address_is_found(tmp_path, names):
    """The third comes back elsewhere, and nobody gets on without it."""
    with named(tmp_path, names) as ensemble:
        names.are(zk1="127.0.0.1", zk2="127.0.0.1", zk3="127.0.0.3")
        ensemble.start()
        for turn, address in enumerate(("127.0.0.4", "127.0.0.5")):
            write(ensemble, 1, f"/before-{turn}")
            ensemble.members[2].kill()
            ensemble.members[3].kill()
            names.are(zk1="127.0.0.1", zk2="127.0.0.1", zk3=address)
            ensemble.members[3].start(wait=False)
            began = time.monotonic()
            ensemble.members[3].await_serving()
            ensemble.members[1].await_serving()
            assert time.monotonic() - began < ONE_RETRY_SECONDS
            write(ensemble, 3, f"/after-{turn}")
            ensemble.members[2].start()
        ensemble.assert_equal_trees()


class NamedAndChanging(Changing):
    """Members by name that change by `reconfig`."""

    def line(self, number):
        return super().line(number).replace("127.0.0.1", f"zk{number}.test", 1)


def test_a_leader_whose_name_resolves_elsewhere_by_now_keeps_the_lead(tmp_path, names):
    """ZOOKEEPER-4708: a change of members compares what stands in the lines. Whoever compared what that resolved to once would take
    the leader for one that has moved, and end its reign."""
    names.are(**{f"zk{number}": "127.0.0.1" for number in range(1, 5)})
    with NamedAndChanging(tmp_path, dict.fromkeys(range(1, 5), "zabd"), running=[]) as ensemble:
        for number in (1, 2, 3):
            ensemble.prepare(number, (1, 2, 3))
            ensemble.members[number].environment = names.environment()
            ensemble.members[number].start(wait=False)
        leader = ensemble.leader()
        eventually(lambda: all(ensemble.mode(number) for number in (1, 2, 3)), what="all of them")
        began = len(ensemble.members[leader].log_text())
        names.are(**{f"zk{number}": "127.0.0.9" if number == leader else "127.0.0.1" for number in range(1, 5)})
        ensemble.roles[4] = "observer"
        text = ensemble.reconfig(joining=[4])
        assert "server.4=zk4.test" in text
        write = ensemble.session(leader).create("/behind-the-change")
        assert write.err == 0 and ensemble.mode(leader) == "leader"
        assert "LOOKING" not in ensemble.members[leader].log_text()[began:]


def test_a_port_that_is_taken_is_tried_again(tmp_path):
    """By a server that is just ending, perhaps; one that stays is an end with a message."""
    with members.Ensemble(["zabd"] * 3, tmp_path, config=BRISK, is_started=False) as ensemble:
        _, quorum, election = ensemble.ports[1]
        for port in (quorum, election):
            with socket.create_server(("127.0.0.1", port)):
                for server in ensemble.members.values():
                    server.start(wait=False)
                deadline = time.monotonic() + 10
                while f"Cannot listen on 127.0.0.1:{port} yet" not in ensemble.members[1].log_text():
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
            ensemble.await_serving()
            write(ensemble, 1, f"/by-{port}")
            for server in ensemble.members.values():
                server.kill()
        with socket.create_server(("127.0.0.1", quorum)):
            server = ensemble.members[1].start(wait=False)
            assert server.process.wait(20) != 0
        assert f"cannot listen for other servers on 127.0.0.1:{quorum}" in server.log_text()


def test_a_port_that_is_taken_is_tried_as_often_as_is_told(tmp_path):
    """Once, or until it is free: after more than the three attempts that are made else."""
    with members.Ensemble(["zabd"] * 3, tmp_path, config=BRISK, is_started=False) as ensemble:
        first, second, third = ensemble.members.values()
        first.properties["electionPortBindRetry"], second.properties["electionPortBindRetry"] = 1, 0
        with socket.create_server(("127.0.0.1", ensemble.ports[1][2])), socket.create_server(("127.0.0.1", ensemble.ports[2][2])):
            for server in (first, second, third):
                server.start(wait=False)
            assert first.process.wait(20) != 0
            eventually(lambda: second.log_text().count("Cannot listen on") >= 4, what="a fourth attempt")
            first.kill()
        first.start(wait=False)
        ensemble.await_serving()
        write(ensemble, 2, "/at-last")


@pytest.mark.parametrize("everywhere", [True, False])
def test_listening_on_every_address(tmp_path, everywhere):
    """Others know each member by an address that is not the one of its own line."""
    def line(own, other, quorum, election):
        return f"127.0.0.{1 if own == other else 9}:{quorum}:{election}"

    with Placed(tmp_path, line, {"quorumListenOnAllIPs": str(everywhere).lower()}) as ensemble:
        for server in ensemble.members.values():
            server.start(wait=False)
        if everywhere:
            ensemble.await_serving()
            write(ensemble, 1, "/everywhere")
            ensemble.assert_equal_trees()
        else:
            # Longer than an election among three that hear each other takes (a tenth of a second).
            time.sleep(1)
            assert [ensemble.mode(number) for number in (1, 2, 3)] == [None] * 3
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.9", ensemble.ports[1][1]))


def test_several_addresses(tmp_path):
    """A member listens at each of its own; others come by whichever answers, also when the one that they used is gone."""
    dead = members.free_port(), members.free_port()

    def line(own, other, quorum, election):
        first = f"127.0.0.2:{quorum}:{election}" if own == other else f"127.0.0.2:{dead[0]}:{dead[1]}"
        return f"{first}|127.0.0.3:{quorum}:{election}"

    with Placed(tmp_path, line) as ensemble:
        began = time.monotonic()
        ensemble.start()
        assert time.monotonic() - began < ONE_RETRY_SECONDS
        write(ensemble, 1, "/several")
        for _, quorum, election in ensemble.ports.values():
            for host in ("127.0.0.2", "127.0.0.3"):
                for port in (quorum, election):
                    socket.create_connection((host, port), 5).close()
        ensemble.members[ensemble.leader()].kill()
        ensemble.leader()
        ensemble.assert_equal_trees()


def test_an_address_that_swallows_everything_delays_nobody(tmp_path):
    """The first address takes no connection and refuses none, as behind a firewall: the second is tried before that is over."""
    swallows = [socket.create_server(("127.0.0.2", 0), backlog=0) for _ in range(2)]
    ports = [each.getsockname()[1] for each in swallows]
    fillers = []
    for port in ports:
        # The kernel keeps one connection more than it was told; whoever comes then waits without an answer.
        for _ in range(2):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.2", port))
            fillers.append(filler)

    def line(own, other, quorum, election):
        if own == other:
            return f"127.0.0.3:{quorum}:{election}"
        return f"127.0.0.2:{ports[0]}:{ports[1]}|127.0.0.3:{quorum}:{election}"

    with Placed(tmp_path, line) as ensemble:
        began = time.monotonic()
        ensemble.start()
        assert time.monotonic() - began < ONE_RETRY_SECONDS
        write(ensemble, 1, "/through")
    for each in swallows + fillers:
        each.close()


def test_an_address_has_as_long_to_answer_as_is_configured(tmp_path):
    with socket.create_server(("127.0.0.2", 0), backlog=0) as swallows:
        port = swallows.getsockname()[1]
        fillers = [socket.socket() for _ in range(2)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.2", port))

        def line(own, other, quorum, election):
            return f"127.0.0.{1 if own == other else 2}:{quorum}:{election if own == other else port}"

        with Placed(tmp_path, line, {"cnxTimeout": 321}) as ensemble:
            ensemble.members[1].start(wait=False)
            eventually(lambda: f"127.0.0.2:{port}: no answer within 321ms" in ensemble.members[1].log_text())
        for filler in fillers:
            filler.close()


def test_a_wrong_quorum_port_is_named(tmp_path):
    """Whoever is elected there can be heard and not joined; only the line of that one member is to blame."""
    wrong = free_port()

    def line(own, other, quorum, election):
        return f"127.0.0.1:{wrong if (own, other) == (1, 3) else quorum}:{election}"

    with Placed(tmp_path, line) as ensemble:
        for server in ensemble.members.values():
            server.start(wait=False)
        assert ensemble.leader() == 3
        named = f"Cannot connect to the leader at 127.0.0.1:{wrong}: "
        eventually(lambda: named in ensemble.members[1].log_text(), what="the address at which the leader is looked for")


def exchanged_ports(tmp_path, hidden_at=None):
    """The own line of server 3 has its two ports the wrong way round: the others hold elections on the one and look for a leader on the
    other. With `hidden_at`, that is where it looks for the others."""

    def line(own, other, quorum, election):
        if own == other == 3:
            return f"127.0.0.1:{election}:{quorum}"
        return f"127.0.0.1:{quorum}:{hidden_at if own == 3 and hidden_at else election}"

    return Placed(tmp_path, line)


def assert_exchanged_ports_are_named(ensemble, port, what):
    """Server 3 says so."""
    hint = "server.3=HOST:QUORUM:ELECTION has its two ports exchanged: it must be the same on both"
    told = re.compile(rf"WARN .*to the {port} port: server [12] {what}, which belongs on the other port; hint: .*{re.escape(hint)}")
    for server in ensemble.members.values():
        server.start(wait=False)
    log = ensemble.members[3].log_text
    eventually(lambda: told.search(log()), what=told.pattern)
    assert "jute.maxbuffer" not in log()


def test_exchanged_ports_are_named_when_a_leader_is_looked_for(tmp_path):
    """Those who are empty elect nobody before they have heard all, so that is server 3; with data the other two do without it."""
    with exchanged_ports(tmp_path) as ensemble:
        assert_exchanged_ports_are_named(ensemble, "election", "wants to learn from a leader here")


def test_exchanged_ports_are_named_when_an_election_begins(tmp_path):
    """Whoever was called by the higher id has no reason to dial: server 3, which has it, must not be the first, whenever it starts."""
    with socket.socket() as nobody:
        # Bound and not listening, a port refuses everybody, and nobody else gets it.
        nobody.bind(("127.0.0.1", 0))
        with exchanged_ports(tmp_path, hidden_at=nobody.getsockname()[1]) as ensemble:
            assert_exchanged_ports_are_named(ensemble, "quorum", "begins an election here")
