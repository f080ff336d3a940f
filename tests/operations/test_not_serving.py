"""What a member of an ensemble says as long as it has no quorum."""

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
