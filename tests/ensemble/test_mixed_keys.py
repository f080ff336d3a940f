"""What stands in zoo.cfg about members, in ensembles of zabd and Java 3.9.5 together: every form of a `server.N` line, and every key
that must be the same everywhere or need not be. In each, both kinds lead, and all have all.
"""

import time

import pytest

from harness.waiting import eventually

from . import members
from .members import await_progress, finish

KINDS = ["java395", "zabd", "java395", "zabd"]
OBSERVER = 4


class Configured(members.Ensemble):
    """Three voters and an observer; what their files say is up to the test."""

    def __init__(self, directory, line, config=None, properties=None, own=None, dynamic=False):
        """`line(number, client, quorum, election)` is what stands behind `server.N=`; `own(number)` what one member's file says
        beside what all say; with `dynamic` the lines stand in a file of their own."""
        self.line, self.own, self.dynamic = line, own or (lambda _: {}), dynamic
        super().__init__(KINDS, directory, observers=(OBSERVER,), config=config, properties=properties)
        self.lines_differ = True

    def member(self, number, kind):
        server = super().member(number, kind)
        lines = {f"server.{other}": self.line(other, *ports) for other, ports in self.ports.items()}
        server.config = {key: value for key, value in server.config.items() if not key.startswith("server.")}
        if self.dynamic:
            server.directory.mkdir(parents=True, exist_ok=True)
            path = server.directory / "zoo.cfg.dynamic"
            path.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
            lines = {"dynamicConfigFile": path}
        server.config |= {**lines, **self.own(number)}
        if any(";" in str(value) for value in lines.values()) or self.dynamic:
            del server.config["clientPort"], server.config["clientPortAddress"]
        return server


def role(number):
    return "observer" if number == OBSERVER else "participant"


def plain(host):
    """As most write it, with this host."""
    return lambda number, client, quorum, election: f"{host}:{quorum}:{election}:{role(number)}"


def with_client_port(number, client, quorum, election):
    return f"127.0.0.1:{quorum}:{election}:{role(number)};{client}"


def with_client_address(number, client, quorum, election):
    return f"localhost:{quorum}:{election}:{role(number)};127.0.0.1:{client}"


def with_two_addresses(number, client, quorum, election):
    return f"127.0.0.{number}:{quorum}:{election}|127.0.1.{number}:{quorum}:{election}:{role(number)}"


CASES = {
    "names-in-a-dynamic-file-that-changes": {
        "line": with_client_address, "dynamic": True, "config": {"reconfigEnabled": "true"}},
    "ipv6-on-all-addresses-in-groups": {
        "line": plain("[::1]"), "config": {
            "quorumListenOnAllIPs": "true", "group.1": "1:2:3", "group.2": "4", **{f"weight.{number}": 1 for number in (1, 2, 3)},
            f"weight.{OBSERVER}": 0}},
    "several-addresses-and-each-its-own-pace": {
        "line": with_two_addresses, "properties": {"multiAddress.enabled": "true"},
        "own": lambda number: {"tickTime": 200 * number, "initLimit": 30, "syncLimit": 4 + number}},
    "client-ports-and-what-holds-anyway": {
        "line": with_client_port, "properties": {"electionPortBindRetry": 0, "cnxTimeout": 3000},
        "config": {
            "electionAlg": 3, "sslQuorum": "false", "portUnification": "true", "multiAddress.enabled": "false",
            "standaloneEnabled": "true", "quorum.auth.enableSasl": "false", "quorum.cnxn.threads.size": 20,
            "connectToLearnerMasterLimit": 5, "syncEnabled": "true"}},
}


@pytest.mark.parametrize("case", CASES)
def test_members_agree(tmp_path, write_through, case):
    with Configured(tmp_path, **CASES[case]) as ensemble:
        writers = write_through(ensemble)
        led = set()
        while len(led) < 2:
            await_progress(writers)
            # It looks for the new leader by itself, later than the voters have one.
            eventually(lambda: ensemble.mode(OBSERVER) == "observer", members.LEVEL_SECONDS_MAX, what="an observer")
            leader = ensemble.leader()
            led.add(ensemble.members[leader].kind)
            ensemble.members[leader].kill()
            await_progress(writers)
            ensemble.members[leader].start()
        for server in ensemble.members.values():
            ensemble.write_something(server.port, time.monotonic() + members.LEVEL_SECONDS_MAX)
        finish(ensemble, writers)
