"""Followers serve observers in the leader's place: observers of both kinds at followers of both kinds, under load.

All members have the same port for observers, so each has a loopback address of its own.
"""

import json
import re
import time
from pathlib import Path
from urllib.request import urlopen

import pytest
from harness import places
from harness.observing import figures
from harness.servers import Server, free_port
from harness.waiting import eventually
from reconfig.ensemble import reconfig, shown

from . import members
from .members import await_progress, finish

VOTERS = (1, 2, 3)
OBSERVERS = (4, 5)
SECONDS_MAX = 60
ESTABLISHED = "01"


class Asked(Server):
    """A server that may be asked over HTTP, for which Java needs more jars than usual."""

    def command(self):
        return [places.JAVA395_HTTP_CLASSPATH if word == places.JAVA395_CLASSPATH else word for word in super().command()]


def masters(port):
    """The numbers of the members to whose port for observers somebody is connected, once per observer."""
    found = []
    # Java's sockets are of IPv6, whose addresses end with those of IPv4.
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if not Path(table).exists():
            continue
        for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
            _, _, remote, state = line.split()[:4]
            host, remote_port = remote.split(":")
            if state == ESTABLISHED and int(remote_port, 16) == port:
                found.append(int(host[-8:-6], 16))  # The last byte comes first.
    return sorted(found)


def await_masters(ensemble, port, allowed):
    """Returns when both observers are connected to followers, and serve."""
    deadline = time.monotonic() + SECONDS_MAX
    while True:
        found = masters(port)
        if len(found) == 2 and set(found) <= set(allowed) and {ensemble.mode(n) for n in OBSERVERS} == {"observer"}:
            return found
        assert time.monotonic() < deadline, f"observers are at {found}, not among {allowed}"
        time.sleep(0.05)


def tell_of_each_other(ensemble, port):
    """Whether observers name their masters in their figures, and followers count their observers."""
    shown = {number: figures(server.port) for number, server in ensemble.members.items()}
    named = sorted(int(shown[number]["observer_master_id"]) for number in OBSERVERS)
    counted = [number for number in VOTERS for _ in range(int(shown[number]["synced_observers"]))]
    return masters(port) == named == counted


def leaders_by_their_command(ensemble):
    """Whom observers name as their leader over HTTP; that log lines of zabd name the same."""
    named = []
    for number in OBSERVERS:
        server = ensemble.members[number]
        with urlopen(f"http://127.0.0.1:{server.config['admin.serverPort']}/commands/leader", timeout=10) as answer:
            told = json.load(answer)
        assert told["leader_ip"] == f"127.0.0.{told['leader_id']}" and not told["is_leader"]
        named.append(told["leader_id"])
        if server.kind == "zabd":
            assert re.findall(r"OBSERVING server (\d+) in epoch", server.log_text())[-1] == str(told["leader_id"])
    return sorted(named)


@pytest.mark.parametrize(
    "kinds", [("zabd", "zabd", "zabd", "zabd", "java395"), ("java395", "java395", "java395", "zabd", "zabd")], ids="-".join)
def test_followers_serve_observers(tmp_path, write_through, kinds):
    """Whoever an observer is at is killed, then the leader; observers go elsewhere, and nobody's clients lose anything."""
    port = free_port()
    config = {"observerMasterPort": port}
    ensemble = members.Ensemble(list(kinds), tmp_path, observers=OBSERVERS, config=config, own_hosts=True, server=Asked)
    for number in OBSERVERS:
        ensemble.members[number].config.update({"admin.enableServer": "true", "admin.serverPort": free_port()})
    with ensemble:
        writers = write_through(ensemble)
        await_progress(writers)
        leader = ensemble.leader()
        followers = [number for number in VOTERS if number != leader]
        victim = await_masters(ensemble, port, followers)[0]
        assert_served(ensemble)
        eventually(lambda: tell_of_each_other(ensemble, port), what="figures of observers and masters")
        assert leaders_by_their_command(ensemble) == masters(port), "of an observer, `leader` names whom it observes"
        ensemble.members[victim].kill()
        await_masters(ensemble, port, set(followers) - {victim})
        await_progress(writers)
        ensemble.members[victim].start()
        ensemble.members[leader].kill()
        await_progress(writers)
        await_masters(ensemble, port, set(VOTERS) - {leader, ensemble.leader()})
        assert_served(ensemble)
        ensemble.members[leader].start()
        # One comes back with nothing, and one with a part.
        ensemble.members[4].kill()
        for path in (ensemble.members[4].data_dir / "version-2").iterdir():
            path.unlink()
        ensemble.members[5].kill()
        await_progress(writers)
        for number in OBSERVERS:
            ensemble.members[number].start()
        await_masters(ensemble, port, set(VOTERS) - {ensemble.leader()})
        finish(ensemble, writers)


def assert_served(ensemble):
    """The answers are right. A connection may still be cut while observers leave a master that has no leader any more, and a
    client begins again then."""
    deadline = time.monotonic() + SECONDS_MAX
    while True:
        try:
            return assert_answered(ensemble)
        except (members.wire.Closed, OSError):
            assert time.monotonic() < deadline, "observers go on closing connections"


def assert_answered(ensemble):
    """A client of one observer writes, syncs, and goes to the other with its session and its ephemeral."""
    first, second = (ensemble.members[number].port for number in OBSERVERS)
    session = members.wire.Session(first)
    path = f"/of-an-observer-{session.session_id:x}"
    assert session.create(path, flags=1).err == 0
    moved = members.wire.Session(
        second, session_id=session.session_id, password=session.password, xid=session.xid)
    assert moved.session_id == session.session_id
    assert moved.call(members.wire.SYNC, members.wire.Writer().ustring(path).bytes).err == 0
    exists = members.wire.Writer().ustring(path).boolean(False).bytes
    assert moved.call(members.wire.EXISTS, exists).err == 0
    moved.end()
    other = members.wire.Session(first)
    assert other.call(members.wire.SYNC, members.wire.Writer().ustring(path).bytes).err == 0
    assert other.call(members.wire.EXISTS, exists).err == -101
    other.end()


def test_observers_hear_of_a_reconfiguration_from_their_masters(tmp_path):
    """Neither of them is sent away for it: one more member is told to those who are there."""
    port = free_port()
    config = {"observerMasterPort": port, "reconfigEnabled": "true"}
    kinds = ["zabd", "zabd", "zabd", "zabd", "java395"]
    with members.Ensemble(kinds, tmp_path, observers=OBSERVERS, config=config, own_hosts=True) as ensemble:
        ensemble.await_serving()
        leader = ensemble.leader()
        await_masters(ensemble, port, [number for number in VOTERS if number != leader])
        elections = [ensemble.members[number].log_text().count("LOOKING") for number in OBSERVERS]
        session = members.wire.Session(ensemble.members[leader].port)
        session.auth("digest", "super:test")
        line = f"server.6=127.0.0.6:{free_port()}:{free_port()}:observer;127.0.0.6:{free_port()}"
        assert reconfig(session, line, None, None).err == 0
        session.end()
        for number in OBSERVERS:
            port_of = ensemble.members[number].port
            eventually(lambda port=port_of: line in shown(members.wire.Session(port)), SECONDS_MAX, what="the new member")
        assert [ensemble.members[number].log_text().count("LOOKING") for number in OBSERVERS] == elections
        assert_served(ensemble)
