"""Real clients run the same script against Java and against the server under test; the transcripts are equal.

Every program meets a fresh server each time, so that zxids, versions and sizes are part of what is compared.
"""

import pytest

from . import programs, words
from .normalise import Normaliser, assert_same, without_events


@pytest.fixture
def compare(start, kind):
    """`compare(reference, record)`: runs `record(server, normaliser)` against both kinds and compares the lines."""

    def run(reference, record, config=None):
        if kind != "zabd" and kind != reference:
            pytest.skip("Java is compared with itself only")
        transcripts = []
        for each in (reference, kind):
            server = start(each, config=config, properties=programs.PROPERTIES)
            transcripts.append(record(server, Normaliser(server)))
            server.kill()
        assert len(transcripts[0]) > 10, "the script did nothing"
        assert_same(*transcripts, reference, kind)

    return run


def shell_transcript(client, script_name):
    """Records a shell: what commands printed, what they complained of, which events came, and the exit status."""

    def record(server, normaliser):
        script = (programs.HERE / script_name).read_text()
        output, errors, status = client(server, script)
        assert status == 0, errors
        printed, events, session_events = without_events(normaliser.text(output))
        errors = [line for line in normaliser.text(errors).splitlines() if not line.startswith(("SLF4J: ", "log4j:"))]
        return [
            *sets_sorted(printed), "--- errors", *errors, "--- events", *events, "--- session events", *session_events]

    return record


def sets_sorted(lines):
    """The lines below each `Auth scheme: User`, sorted: Java keeps them in a hash set."""
    result = []
    while lines:
        result.append(lines.pop(0))
        if result[-1] == "Auth scheme: User":
            count = next((index for index, line in enumerate(lines) if not line.startswith(("ip: ", "digest: "))), len(lines))
            result += sorted(lines[:count])
            del lines[:count]
    return result


def test_zkcli_of_debian(compare):
    compare("java38", shell_transcript(programs.debian_zkcli, "zkcli.txt"))


def test_zkcli_395(compare):
    compare("java395", shell_transcript(programs.zkcli395, "zkcli.txt"))


def test_zkcli_395_newer_commands(compare):
    compare("java395", shell_transcript(programs.zkcli395, "zkcli-3.9.txt"))


def test_zkcli_34(compare):
    compare("java38", shell_transcript(programs.zkcli34, "zkcli-3.4.txt"))


def program_transcript(client):
    """Records a program that prints one line per step."""

    def record(server, normaliser):
        output, errors, status = client(server)
        assert status == 0, errors
        return [*normaliser.text(output).splitlines(), "--- errors", *normaliser.text(errors).splitlines()]

    return record


def test_curator(compare):
    compare("java38", program_transcript(programs.curator))


def test_c_library(compare):
    compare("java38", program_transcript(programs.c_program))


@pytest.mark.parametrize("reference", ["java38", "java395"])
def test_node(compare, reference):
    compare(reference, program_transcript(programs.node_program))


def test_c_shell(compare):
    def record(server, normaliser):
        lines, status = programs.c_shell(server)
        return [*normaliser.text("\n".join(lines)).splitlines(), f"--- status {status}"]

    compare("java38", record)


@pytest.mark.parametrize("reference", ["java38", "java395"])
def test_four_letter_words(compare, reference):
    compare(reference, words.transcript)


@pytest.mark.parametrize("reference", ["java38", "java395"])
def test_four_letter_words_that_are_not_allowed(compare, reference):
    compare(reference, words.refused, config={"4lw.commands.whitelist": "srvr, ruok"})


@pytest.mark.parametrize("reference", ["java38", "java395"])
def test_mntr_has_every_figure(start, kind, reference):
    if kind != "zabd" and kind != reference:
        pytest.skip("Java is compared with itself only")
    expected = words.mntr_keys(start(reference, properties=programs.PROPERTIES))
    actual = words.mntr_keys(start(kind, properties=programs.PROPERTIES))
    assert sorted(expected - actual) == []
    if reference == "java395":
        assert sorted(actual - expected) == ([] if kind != "zabd" else words.FIGURES_OF_ZABD)
