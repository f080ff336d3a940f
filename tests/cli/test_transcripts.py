"""One script through Java's shell and through zabd's, each against a fresh server of the same kind: line by line the same."""

import difflib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .shells import run, transcript

SCRIPTS = Path(__file__).parent / "scripts"
PROPERTIES = {"extendedTypesEnabled": "true", "znode.container.checkIntervalMs": 3_600_000}
ENFORCED = {"enforceQuota": "true"}


def assert_same(java, zabd):
    if java != zabd:
        difference = difflib.unified_diff(java, zabd, "java", "zabd", lineterm="", n=2)
        raise AssertionError("the shells differ\n" + "\n".join(list(difference)[:150]))


@pytest.fixture
def compare(start, kind):
    """`compare(record)`: what `record(shell, server)` gives is the same for both shells."""

    def both(record, config=None):
        servers = [start(kind, config=config, properties=PROPERTIES) for _ in range(2)]
        with ThreadPoolExecutor(2) as pool:
            java, zabd = pool.map(record, ("java", "zabd"), servers)
        assert len(java) > 3, "nothing was said"
        assert_same(java, zabd)

    return both


def test_every_command_has_its_script():
    """What is asked of both shells below is all that there is: `help` names the commands."""
    _, errors, status = run("zabd", "-server", "127.0.0.1:1", "help")
    assert status == 127
    commands = [line.split()[0] for line in errors.splitlines() if line.startswith("\t")]
    said = {line.split()[0] for script in SCRIPTS.iterdir() for line in script.read_text().splitlines() if line.split()}
    assert len(commands) == 28
    assert set(commands) - said == set()


@pytest.mark.parametrize("name", ["znodes", "rights", "quotas", "watches", "shell"])
def test_script(compare, name):
    script = (SCRIPTS / f"{name}.txt").read_text()

    def record(shell, server):
        return transcript(*run(shell, "-server", server.hosts, script=script))

    compare(record, config=ENFORCED if name == "quotas" else None)


def test_script_below_a_chroot(compare):
    script = (SCRIPTS / "chroot.txt").read_text()

    def record(shell, server):
        run("zabd", "-server", server.hosts, "create", "/app")
        return transcript(*run(shell, "-server", f"{server.hosts}/app", script=script))

    compare(record)
