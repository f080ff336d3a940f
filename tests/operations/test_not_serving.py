"""What a member of an ensemble says as long as it has no quorum."""

import re

import pytest

from harness import wire
from harness.servers import Server, four_letter_word, free_port
from harness.waiting import eventually


BOTH = pytest.mark.parametrize("each", ["java395", "X"])
NOT_SERVING = "This ZooKeeper instance is not currently serving requests\n"
NEEDS_A_SERVER = ("conf", "cons", "crst", "dirs", "dump", "mntr", "srst", "srvr", "stat", "wchc", "wchp", "wchs")


@pytest.fixture
def lone(tmp_path, kind):
    """`lone(each)`: a member of three whose peers are not there."""
    servers = []

    def start(each):
        members = {
            f"server.{number}": f"127.0.0.1:{free_port()}:{free_port()}:participant" for number in (1, 2, 3)}
        server = Server(kind if each == "X" else each, tmp_path / "lone", config={"initLimit": 10, "syncLimit": 5, **members})
        server.data_dir.mkdir(parents=True)
        (server.data_dir / "myid").write_text("1\n")
        servers.append(server)
        server.start(wait=False)
        assert eventually(lambda: answers(server))
        return server

    yield start
    for server in servers:
        server.kill()


def answers(server):
    """Whether the client port is open."""
    try:
        return four_letter_word(server.port, "ruok") == "imok"
    except OSError:
        return False


@BOTH
def test_words_that_need_a_server_say_so(lone, each):
    server = lone(each)
    assert {word: four_letter_word(server.port, word) for word in NEEDS_A_SERVER} == dict.fromkeys(NEEDS_A_SERVER, NOT_SERVING)
    assert four_letter_word(server.port, "hash") == NOT_SERVING.strip()
    assert four_letter_word(server.port, "isro") == "null"
    assert four_letter_word(server.port, "gtmk") == "306"
    assert four_letter_word(server.port, "envi").startswith("Environment:\nzookeeper.version=")
    assert four_letter_word(server.port, "kill") == ""


@BOTH
def test_clients_are_closed_without_a_byte(lone, each):
    server = lone(each)
    with pytest.raises((wire.Closed, OSError)):
        wire.Session(server.port)


def test_a_member_without_a_quorum_says_what_it_waits_for(tmp_path, only_zabd):
    """One peer refuses, the name of another one does not resolve."""
    refusing = f"127.0.0.1:{free_port()}:{free_port()}"
    unknown = f"nosuch.invalid:{free_port()}:{free_port()}"
    members = {"server.1": f"127.0.0.1:{free_port()}:{free_port()}", "server.2": refusing, "server.3": unknown}
    server = Server("zabd", tmp_path / "lone", config={"initLimit": 10, "syncLimit": 5, **members})
    server.data_dir.mkdir(parents=True)
    (server.data_dir / "myid").write_text("1\n")
    try:
        server.start(wait=False)
        (port, name) = (refusing.split(":")[2], unknown.split(":")[2])
        for expected in (
                "INFO .* LOOKING for a leader as server 1, among 3 voters",
                f"WARN .* Cannot open channel to 2 at election address 127.0.0.1:{port}: Connection refused",
                f"WARN .* Cannot open channel to 3 at election address nosuch.invalid:{name}: the name does not resolve",
                "INFO .* Listening for clients on .*: they are served when there is a leader",
                "WARN .* This server is empty and does not count in an election before it has heard voters 2, 3",
                r"WARN .* Without a leader for \d+s: this server is empty and votes only when every other voter is heard to look for a "
                "leader; voters 2, 3 are not reached; a quorum is 2 of 3 voters, and nobody has any"):
            assert eventually(lambda: re.search(expected, server.log_text())), expected
        assert "Serving" not in server.log_text()
        assert server.log_text().count("Cannot open channel to 2") <= 4, "not once for every attempt"
    finally:
        server.kill()
