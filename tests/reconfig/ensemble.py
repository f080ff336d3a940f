"""Ensembles whose members change while they run, and what their files and `/zookeeper/config` must say then."""

import re

from harness import wire
from harness.servers import Server, four_letter_word, free_port
from harness.waiting import eventually

SECONDS_MAX = 40


class Member(Server):
    """A server whose zoo.cfg is written once: afterwards it is the server's own to change."""

    def write_config(self):
        if not (self.directory / "zoo.cfg").exists():
            super().write_config()


class Ensemble:
    """Members with numbers and ports of their own; some of them are started by and by."""

    def __init__(self, directory, kinds, running):
        """`kinds` by number; `running` are the members of the first configuration."""
        self.directory, self.kinds = directory, kinds
        self.ports = {number: [free_port() for _ in range(3)] for number in kinds}
        self.roles = dict.fromkeys(kinds, "participant")
        self.members = {}
        for number in running:
            self.prepare(number, running)

    def line(self, number):
        """What stands behind `server.N=`, as it is printed."""
        client, quorum, election = self.ports[number]
        return f"127.0.0.1:{quorum}:{election}:{self.roles[number]};127.0.0.1:{client}"

    def prepare(self, number, others):
        """A member that knows these and itself."""
        known = sorted({*others, number})
        config = {
            "initLimit": 10, "syncLimit": 5, "tickTime": 500, "reconfigEnabled": "true", "standaloneEnabled": "false",
            **{f"server.{other}": self.line(other) for other in known}}
        kind, port = self.kinds[number], self.ports[number][0]
        server = Member(kind, self.directory / f"server{number}", port=port, config=config)
        server.data_dir.mkdir(parents=True, exist_ok=True)
        (server.data_dir / "myid").write_text(f"{number}\n")
        # Others look at it meanwhile.
        self.members = {**self.members, number: server}
        return server

    def join(self, number, role="participant"):
        """Starts a server that knows the members, waits until it follows, and makes it one of them."""
        others = list(self.members)
        self.roles[number] = role
        self.prepare(number, others).start()
        return self.reconfig(joining=[number])

    def __enter__(self):
        for server in self.members.values():
            server.start(wait=False)
        for server in self.members.values():
            server.await_serving()
        return self

    def __exit__(self, *_):
        for server in self.members.values():
            server.kill()

    def another(self, number):
        """Some member beside this one."""
        return next(other for other in self.members if other != number)

    def move(self, number):
        """A member goes to other ports, all three of them."""
        self.ports[number] = [free_port() for _ in range(3)]
        text = self.reconfig(joining=[number], through=self.another(number))
        self.members[number].port = self.ports[number][0]
        return text

    def remove(self, number):
        """A member leaves, and ends when it is none any more."""
        text = self.reconfig(leaving=[number], through=self.another(number))
        self.end(number)
        return text

    def end(self, number):
        """A server that is no member any more."""
        server = self.members[number]
        self.members = {other: each for other, each in self.members.items() if other != number}
        server.kill()

    def mode(self, number):
        """`leader`, `follower`, `observer`; None while it does not serve."""
        try:
            found = re.search(r"Mode: (\w+)", four_letter_word(self.ports[number][0], "srvr", timeout=2))
        except OSError:
            return None
        return found and found.group(1)

    def leader(self):
        """Who leads; waits until somebody does."""
        return eventually(lambda: next((number for number in self.members if self.mode(number) == "leader"), None), SECONDS_MAX, what="a leader")

    def session(self, number=None):
        """A session of the super user, with this member or with one that serves."""
        def connect():
            for each in self.members if number is None else [number]:
                try:
                    session = wire.Session(self.ports[each][0])
                    session.auth("digest", "super:test")
                    return session
                except (OSError, wire.Closed):
                    continue
            return None
        return eventually(connect, SECONDS_MAX, what="a session")

    def reconfig(self, joining=(), leaving=(), members=None, through=None):
        """Asks until it is answered with success, as an operator would; gives the new text."""
        def ask():
            session = self.session(through)
            try:
                reply = reconfig(
                    session, ",".join(f"server.{number}={self.line(number)}" for number in joining) or None,
                    ",".join(map(str, leaving)) or None, members)
            except (OSError, wire.Closed):
                return None
            session.close()
            if reply.err in (-13, -14):
                return None  # The joiner is not in step yet, or the last one is not over.
            assert reply.err == 0, reply.err
            return reply.reader().buffer().decode()
        return eventually(ask, SECONDS_MAX, what="an answer to the reconfiguration")

    def assert_agreed(self, numbers, text=None):
        """All members show the same text, name these servers, and keep them in the same files."""
        def agreed():
            texts = {number: shown(self.session(number)) for number in numbers}
            return texts if len(set(texts.values())) == 1 and text in (None, *texts.values()) else None
        texts = eventually(agreed, SECONDS_MAX, what=f"one configuration: {text}")
        (shown_text,) = set(texts.values())
        lines = [f"server.{number}={self.line(number)}" for number in sorted(numbers)]
        *servers, version = shown_text.split("\n")
        assert servers == lines
        version = version.removeprefix("version=")
        for number in numbers:
            directory = self.members[number].directory
            eventually(lambda: not (directory / "zoo.cfg.dynamic.next").exists(), SECONDS_MAX, what="the end of zoo.cfg.dynamic.next")
            dynamic = directory / f"zoo.cfg.dynamic.{version}"
            assert dynamic.read_text() == "\n".join(sorted(lines))
            zoo_cfg = (directory / "zoo.cfg").read_text().splitlines()
            assert f"dynamicConfigFile={dynamic.resolve()}" in zoo_cfg
            keys = {line.split("=")[0] for line in zoo_cfg}
            assert not [key for key in keys if key.startswith("server.") or key in ("clientPort", "clientPortAddress")]
            assert (directory / "zoo.cfg.bak").exists()
            eventually(lambda: self.place_shown(number) == self.place(number, shown_text), SECONDS_MAX, what=f"conf of server {number}")
        return shown_text

    def place(self, number, members):
        """What `conf` of a member says of the ensemble."""
        _, quorum, election = self.ports[number]
        is_observer = int(self.roles[number] == "observer")
        return f"electionPort={election}\nquorumPort={quorum}\npeerType={is_observer}\nmembership: \n{members}"

    def place_shown(self, number):
        try:
            text = four_letter_word(self.ports[number][0], "conf", timeout=2)
        except OSError:
            return None
        return text.partition("electionAlg=3\n")[2]


def reconfig(session, joining, leaving, members, version=-1):
    """One request, as it is."""
    body = wire.Writer().ustring(joining).ustring(leaving).ustring(members).long(version).bytes
    return session.call(wire.RECONFIG, body)


def shown(session):
    """What `/zookeeper/config` says."""
    reply = session.call(wire.GET_DATA, wire.Writer().ustring("/zookeeper/config").boolean(False).bytes)
    session.close()
    assert reply.err == 0
    return (reply.reader().buffer() or b"").decode()
