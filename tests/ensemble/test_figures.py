"""The figures of a member say what was proposed and committed, to a leader and to its learners, and how they found each other."""

import json
import re
from functools import partial

import pytest

from admin.conftest import HttpServer, ask
from harness import dump, wire
from harness.observing import figures
from harness.servers import four_letter_word
from harness.waiting import eventually

from .members import Ensemble

COUNTS = ("proposal_count", "commit_count", "learner_proposal_received_count", "learner_commit_received_count")
WRITES = 20
MEMBER = {"quorum_size", "peer_state"}
BY_ROLE = {
    "leader": MEMBER | {
        "learners", "synced_followers", "synced_non_voting_followers", "synced_observers", "pending_syncs", "leader_uptime",
        "last_proposal_size", "min_proposal_size", "max_proposal_size"},
    "follower": MEMBER,
    "observer": MEMBER | {"observer_master_id"},
}


def numbers(server, *names):
    found = figures(server.port)
    return [int(float(found[name])) for name in names]


def await_numbers(server, expected, *names):
    """A learner hears of a write some time after whoever has asked for it."""
    eventually(lambda: numbers(server, *names) == expected, what=f"{names} {expected} of {server.port}")


def number(found, name):
    """A figure of a set, which is not there before there is a sample."""
    return int(found.get(name, 0))


def shows_its_role(server):
    """Every member shows what its role has, and nothing that another one has."""
    found = figures(server.port)
    role = found["server_state"]
    assert found.keys() & set().union(*BY_ROLE.values()) == BY_ROLE[role]
    assert found["peer_state"] == {"leader": "leading", "follower": "following", "observer": "observing"}[role] + " - broadcast"
    return found


def set_data(session):
    body = bytes(wire.Writer().ustring("/node").buffer(b"x").int(-1).bytes)
    assert [session.call(wire.SET_DATA, body).err for _ in range(WRITES)] == [0] * WRITES


def test_members_count_what_is_proposed_and_committed(tmp_path):
    """Whoever leads, a Java server among them says the same."""
    with Ensemble(["zabd", "zabd", "java395"], tmp_path) as ensemble:
        ensemble.await_level()
        leader = ensemble.leader()
        session = wire.Session(ensemble.members[leader].port)
        assert session.create("/node").err == 0
        ensemble.await_level()
        for server in ensemble.members.values():
            shows_its_role(server)
            assert four_letter_word(server.port, "srst") == "Server stats reset.\n"
        set_data(session)
        ensemble.await_level()
        found = {number: numbers(server, *COUNTS) for number, server in ensemble.members.items()}
        proposals = found[leader][0]
        # The comparison of positions begins a session and ends it.
        assert proposals == WRITES + 2
        for number, counts in found.items():
            assert counts == ([proposals, proposals, 0, 0] if number == leader else [0, 0, proposals, proposals]), found


def test_each_role_has_its_figures(tmp_path, kind):
    """A leader, a follower and an observer, from the first election on."""
    with Ensemble([kind] * 3, tmp_path, observers={3}) as ensemble:
        ensemble.await_level()
        leader = ensemble.leader()
        shown = {number: shows_its_role(server) for number, server in ensemble.members.items()}
        assert [found["quorum_size"] for found in shown.values()] == ["2"] * 3
        of_leader, of_follower, of_observer = (shown[number] for number in (leader, 3 - leader, 3))
        names = ("learners", "synced_followers", "synced_non_voting_followers", "synced_observers", "pending_syncs")
        assert [of_leader[name] for name in names] == ["2", "1", "0", "1", "0"]
        assert of_observer["observer_master_id"] == str(leader)
        # A machine that is busy may need more than one election.
        for found, counted in (
                (of_leader, ("looking_count", "cnt_election_time", "cnt_leader_unavailable_time", "cnt_unavailable_time")),
                (of_follower, ("looking_count", "cnt_election_time", "cnt_follower_sync_time", "cnt_unavailable_time")),
                (of_observer, ("looking_count", "cnt_observer_sync_time", "cnt_unavailable_time"))):
            assert [name for name in counted if int(found[name]) < 1] == []
        assert (of_observer["cnt_election_time"], of_observer["cnt_follower_sync_time"]) == ("0", "0")
        brought = [int(of_leader[name]) for name in ("diff_count", "snap_count", "cnt_inflight_diff_count", "cnt_inflight_snap_count")]
        assert brought[0] + brought[1] >= 2
        assert brought[0] <= brought[2] <= 2 * brought[0] and brought[1] <= brought[3] <= 2 * brought[1]
        of_the_work(ensemble, leader)


def test_a_leader_begins_with_the_zxid_of_its_epoch(tmp_path, kind):
    """As long as nothing is written in it. Of zabd's, clients hear of transactions only."""
    with Ensemble([kind] * 3, tmp_path, server=partial(HttpServer, admin={})) as ensemble:
        ensemble.await_serving()
        leader = ensemble.members[ensemble.leader()]
        assert dump.last_zxid(leader.port) == 1 << 32
        state = json.loads(ask(leader.admin_port, "/commands/zabstate")[2])
        assert (state["last_zxid"], state["zab_epoch"], state["zab_counter"]) == ("0x100000000", 1, 0)
        assert json.loads(ask(leader.admin_port, "/commands/server_stats")[2])["server_stats"]["last_processed_zxid"] == 1 << 32
        session = wire.Session(leader.port, 30_000)
        assert dump.last_zxid(leader.port) == (1 << 32) + 1
        for server in ensemble.members.values():
            server.kill()
        for server in ensemble.members.values():
            server.start(wait=False)
        ensemble.await_serving()
        leader = ensemble.members[ensemble.leader()]
        again = wire.Session(leader.port, 30_000, session.session_id, session.password)
        begin = dump.last_zxid(leader.port)
        assert begin > 1 << 32 and begin & 0xffffffff == 0
        # Who goes on elsewhere behind that is refused by Java's followers, which show the transaction before.
        told = again.call(wire.GET_DATA, wire.Writer().ustring("/").boolean(False).bytes).zxid
        assert told == ((1 << 32) + 1 if kind == "zabd" else begin)


def test_a_voter_without_weight_is_no_stranger(tmp_path, kind):
    config = {"group.1": "1:2:3", "weight.1": 1, "weight.2": 1, "weight.3": 0}
    with Ensemble([kind] * 3, tmp_path, config=config) as ensemble:
        ensemble.await_level()
        shown = figures(ensemble.members[ensemble.leader()].port)
        assert (shown["synced_followers"], shown["synced_non_voting_followers"]) == ("2", "0")


def test_prometheus_is_told_what_a_member_has(tmp_path, kind):
    """Also of what is none, and of the configuration that each member shows in its tree."""
    with Ensemble([kind] * 3, tmp_path, server=HttpServer) as ensemble:
        ensemble.await_level()
        for server in ensemble.members.values():
            found = figures(server.port)
            assert float(found["synced_observers"]) == 0
            assert float(found['write_per_namespace_count{key="zookeeper"}']) >= 1
            assert float(found['write_per_namespace_sum{key="zookeeper"}']) > len("/zookeeper/config")
        left = ensemble.members[2]
        assert SERVING <= names_of(left)
        for number in (1, 3):
            ensemble.members[number].kill()
        # Alerts look for what is missing where nobody is served.
        eventually(lambda: not SERVING & names_of(left), what="figures of a member without a leader")
        assert "looking_count" in names_of(left)


SERVING = {"uptime", "quorum_size", "znode_count", "num_alive_connections", "avg_latency"}


def names_of(server):
    """What Prometheus is told of, by name."""
    _, _, body = ask(server.metrics_port, "/metrics")
    return {line.split()[2] for line in body.decode().splitlines() if line.startswith("# TYPE")}


def of_the_work(ensemble, leader):
    """What writes do to the figures of each."""
    session = wire.Session(ensemble.members[3].port, 30_000)
    assert session.create("/node").err == 0
    ensemble.await_level()
    for server in ensemble.members.values():
        assert four_letter_word(server.port, "srst") == "Server stats reset.\n"
    set_data(session)
    for expected, number in (
            ([WRITES, WRITES, 0, 0, WRITES, 0, 0], leader),
            ([0, 0, WRITES, WRITES, 0, WRITES, WRITES], 3 - leader),
            ([0, 0, 0, WRITES, 0, 0, WRITES], 3)):
        names = (*COUNTS, "cnt_quorum_ack_latency", "cnt_proposal_latency", "cnt_commit_propagation_latency")
        await_numbers(ensemble.members[number], expected, *names)
    for number in (leader, 3 - leader):
        await_numbers(ensemble.members[number], [WRITES], "cnt_proposal_ack_creation_latency")
    last, least, most = numbers(ensemble.members[leader], "last_proposal_size", "min_proposal_size", "max_proposal_size")
    # Header, path, data, version and digest.
    assert 60 < last < 100 and least <= last <= most
    # Whoever asks about a session that lives elsewhere is counted by the leader.
    wire.Session(ensemble.members[3 - leader].port, 30_000, session.session_id, session.password, xid=session.xid).end()
    await_numbers(ensemble.members[leader], [1], "revalidate_count")


# Samples of how many were under way, their sum, the least and the most: one when it began, and one when it was in step.
ONE_LEARNER, NO_LEARNER = [2, 1, 0, 1], [0, 0, 0, 0]


def brought(server):
    """How learners were brought into step: how many with a difference, how many with a snapshot, and the samples of both."""
    samples = [f"{part}_inflight_{how}_count" for how in ("diff", "snap") for part in ("cnt", "sum", "min", "max")]
    return numbers(server, "diff_count", "snap_count", *samples)


@pytest.mark.parametrize("each", ["java395", "X"])
def test_a_leader_counts_who_is_brought_into_step_and_how(tmp_path, kind, each):
    """Who comes back needs what it missed; who comes late and has nothing is sent a snapshot by Java, and by zabd the transactions,
    as long as it has all of them."""
    with Ensemble([kind if each == "X" else each] * 3, tmp_path, observers={3}, is_started=False) as ensemble:
        for number in (1, 2):
            ensemble.members[number].start(wait=False)
        ensemble.await_level()
        leader, late = ensemble.members[ensemble.leader()], ensemble.members[3]
        assert four_letter_word(leader.port, "srst") == "Server stats reset.\n"
        late.start()
        of_late = [1, 0, *ONE_LEARNER, *NO_LEARNER] if each == "X" and kind == "zabd" else [0, 1, *NO_LEARNER, *ONE_LEARNER]
        eventually(lambda: brought(leader) == of_late, what="one that comes late")
        ensemble.await_level()
        late.kill()
        assert wire.Session(leader.port).create("/node").err == 0
        assert four_letter_word(leader.port, "srst") == "Server stats reset.\n"
        late.start()
        eventually(lambda: brought(leader) == [1, 0, *ONE_LEARNER, *NO_LEARNER], what="one that comes back")


@pytest.mark.parametrize("each", ["java395", "X"])
def test_a_leader_measures_each_of_the_others(tmp_path, kind, each):
    """How long each voter takes to acknowledge, its own disk included, and what waits for each learner."""
    every = {"leader.ackLoggingFrequency": 1}
    with Ensemble([kind if each == "X" else each] * 3, tmp_path, observers={3}, properties=every) as ensemble:
        ensemble.await_level()
        leader = ensemble.leader()
        server = ensemble.members[leader]
        session = wire.Session(server.port)
        assert session.create("/node").err == 0
        ensemble.await_level()
        assert four_letter_word(server.port, "srst") == "Server stats reset.\n"
        set_data(session)
        # Of two voters both are needed.
        counts = [f"cnt_{voter}_ack_latency" for voter in (1, 2)]

        def acknowledged():
            """How many each has; the end of a session may be among them."""
            found = figures(server.port)
            return [number(found, name) for name in counts]

        eventually(lambda: min(acknowledged()) >= WRITES, what=acknowledged)
        assert max(acknowledged()) <= WRITES + 1
        # Java samples with each packet, zabd with each batch.
        learners = (3 - leader, 3)
        sizes = [f"{'sum' if kind == 'zabd' and each == 'X' else 'cnt'}_{learner}_learner_handler_qp_size" for learner in learners]
        eventually(lambda: all(number(figures(server.port), name) >= WRITES for name in sizes), what="packets for each learner")
        found = figures(server.port)
        assert int(found["p99_1_ack_latency"]) <= int(found["max_1_ack_latency"]) and "cnt_3_ack_latency" not in found
        assert f"cnt_{leader}_learner_handler_qp_size" not in found
        follower = figures(ensemble.members[3 - leader].port)
        assert not any(re.fullmatch(r"cnt_\d+_(ack_latency|learner_handler_qp_.*)", name) for name in follower)
        assert int(found["request_commit_queued"]) == int(found["commit_count"]) >= WRITES
