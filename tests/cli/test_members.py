"""What the shell shows of an ensemble, and does to it: `config`, `reconfig`, sessions that may only read."""

import pytest

from harness.servers import Server, four_letter_word, free_port
from harness.waiting import eventually

from ensemble.members import Ensemble

from .shells import Conversation, run, transcript
from .test_transcripts import assert_same

SUPER = "addauth digest super:test"
# What differs between two servers: their ports.
CONFIG_SCRIPT = """\
config
config -c
config -s
get -s /zookeeper/config
reconfig -add 2=127.0.0.1:2:3:observer;4
{super}
config -w
reconfig -add 2=127.0.0.1:2:3:observer;4
config -c
reconfig -s -add server.3=127.0.0.1:5:6:observer;0.0.0.0:7,4=127.0.0.1:8:9:observer
config -c
config -cs
reconfig -remove 2,3 -v 1
reconfig -remove 2,3
reconfig -remove 9
reconfig -add 5=nonsense
reconfig -add 5=127.0.0.1:2:3:participant:more;4
reconfig -remove 1
reconfig -members bogus
reconfig -file {file}
reconfig -file {broken}
reconfig -file {folder}
quit
"""


@pytest.fixture
def member(tmp_path, kind):
    """`member(name, members, ...)` starts the first of some members."""
    started = []

    def start(name, members):
        port = free_port()
        config = {"initLimit": 10, "syncLimit": 5, "standaloneEnabled": "false", "reconfigEnabled": "true"}
        for number in range(1, members + 1):
            config[f"server.{number}"] = f"127.0.0.1:{free_port()}:{free_port()}:participant;127.0.0.1:{port if number == 1 else free_port()}"
        server = Server(kind, tmp_path / name, port=port, config=config)
        # Where its members say it, zoo.cfg must not.
        del server.config["clientPort"], server.config["clientPortAddress"]
        server.data_dir.mkdir(parents=True)
        (server.data_dir / "myid").write_text("1\n")
        started.append(server)
        return server.start()

    yield start
    for server in started:
        server.kill()


def test_members_are_shown_and_changed(member, tmp_path):
    file, broken = tmp_path / "members", tmp_path / "broken"
    transcripts = []
    for shell in ("java", "zabd"):
        server = member(shell, 1)
        own = server.config["server.1"]
        file.write_text(f"# as in a dynamic file\nserver.1={own}\nserver.7=127.0.0.1:2:3:observer;4\n")
        broken.write_text(f"server.1={own}\nclientPort=1\n")
        script = CONFIG_SCRIPT.format(super=SUPER, file=file, broken=broken, folder=tmp_path)
        lines = transcript(*run(shell, "-server", server.hosts, script=script))
        election_port = own.split(":")[2]
        transcripts.append([line.replace(election_port, "<election port>") for line in lines])
    assert_same(*transcripts)


def test_a_session_that_may_only_read(tmp_path, kind):
    """One of two members alone serves reads, to who asks for that; then the other comes back, and with it a quorum."""
    script = "ls /\ncreate /a\nset / x\nsync /\nget -w /\nquit\n"
    with Ensemble([kind] * 2, tmp_path, properties={"readonlymode.enabled": "true"}) as ensemble:
        alone, other = ensemble.members.values()
        other.stop()
        eventually(lambda: "read-only" in four_letter_word(alone.port, "srvr"), what="a server of reads")
        transcripts = [transcript(*run(shell, "-server", alone.hosts, "-r", script=script)) for shell in ("java", "zabd")]
        assert_same(*transcripts)
        assert any("(CONNECTEDREADONLY) 1]" in line for line in transcripts[1])
        assert "WatchedEvent state:ConnectedReadOnly type:None path:null zxid: -1" in transcripts[1]
        with Conversation("zabd", "-server", alone.hosts, "-r") as shell:
            shell.await_text("state:ConnectedReadOnly")
            shell.await_text("[zk: ")
            other.start()
            shell.await_text("state:SyncConnected")
            shell.say("create /a")
            shell.await_text("Created /a\n")
