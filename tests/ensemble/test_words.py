"""What members answer to four-letter words that speak of the ensemble, beside members of Java."""

import re

import pytest

from harness import wire
from harness.servers import four_letter_word
from harness.waiting import eventually

from .members import Ensemble

OBSERVER = 3


def masked(ensemble, text):
    """The same words whatever the ports, the sizes and the times of an ensemble are."""
    for number, ports in ensemble.ports.items():
        for name, port in zip(("client", "quorum", "election"), ports):
            text = re.sub(rf"\b{port}\b", f"<{name} of {number}>", text)
    text = text.replace(str(ensemble.directory), "<directory>")
    text = re.sub(r"(DirSize|dataLogSize)=\d+", r"\1=#", text)
    text = re.sub(r"(version: ).*", r"\1#", text)
    text = re.sub(r"(Latency min/avg/max: )\d+/\d+\.\d+/\d+", r"\1#/#.#/#", text)
    text = re.sub(r"(Received|Sent): \d+", r"\1: #", text)
    return re.sub(r"Zxid: 0x[0-9a-f]+", "Zxid: #", text)


def answers(each, directory):
    """By word and role; a leader's again after `srst`, and of the one that is left alone."""
    with Ensemble([each] * 3, directory, observers={OBSERVER}, properties={"readonlymode.enabled": "true"}) as ensemble:
        ensemble.await_level()
        # Of voters that have nothing, the one with the highest number.
        assert ensemble.leader() == 2

        def ask(word, number):
            return masked(ensemble, four_letter_word(ensemble.members[number].port, word))

        session = wire.Session(ensemble.members[2].port, 30_000)
        assert session.create("/node").err == 0
        four_letter_word(ensemble.members[2].port, "srst")
        found = {"srvr after srst": ask("srvr", 2)}
        for data in (b"x" * 9, b"x" * 400, b"x" * 30):
            assert session.call(wire.SET_DATA, wire.Writer().ustring("/node").buffer(data).int(-1).bytes).err == 0
        for role, number in (("a leader", 2), ("a follower", 1), ("an observer", OBSERVER)):
            # What it was asked before may still be on its way through the others.
            eventually(lambda number=number: "Outstanding: 0\n" in ask("srvr", number), what="nothing outstanding")
            for word in ("conf", "srvr"):
                found[f"{word} of {role}"] = ask(word, number)
        found["stat of a leader"] = re.sub(r"(?s)Clients:\n.*\n\n", "", ask("stat", 2))
        session.close()
        ensemble.members[1].kill()
        ensemble.members[2].kill()
        eventually(lambda: ensemble.mode(OBSERVER) == "read-only", 60, what="reads without a leader")
        found["conf without a leader"] = ask("conf", OBSERVER)
        return found


@pytest.fixture(name="beside_java", scope="module")
def beside_java_fixture(kind, tmp_path_factory):
    return {each: answers(each, tmp_path_factory.mktemp(each)) for each in dict.fromkeys(("java395", kind))}


def test_conf_shows_the_place_of_a_member_and_all_of_them(beside_java, kind):
    expected, actual = ({word: text for word, text in beside_java[each].items() if word.startswith("conf")} for each in ("java395", kind))
    assert actual == expected
    assert "serverId=2\ninitLimit=10\n" in expected["conf of a leader"]
    assert expected["conf of an observer"].endswith(
        "peerType=1\nmembership: \nserver.1=127.0.0.1:<quorum of 1>:<election of 1>:participant\n"
        "server.2=127.0.0.1:<quorum of 2>:<election of 2>:participant\n"
        "server.3=127.0.0.1:<quorum of 3>:<election of 3>:observer\nversion=0")
    assert expected["conf without a leader"].endswith("peerType=1\n")


def test_a_leader_shows_how_large_proposals_are(beside_java, kind):
    expected, actual = ({word: text for word, text in beside_java[each].items() if not word.startswith("conf")} for each in ("java395", kind))
    assert actual == expected
    assert expected["srvr after srst"].endswith("Proposal sizes last/min/max: -1/-1/-1\n")
