"""aiozk, a client of asyncio, passes its own tests, each file against a server of its own.

They pass against a standalone Java 3.9.5, too (`--server java395`). All of them use one subtree, so a server has one run at a
time. How many tests a file has is counted, so that nothing passes because nothing ran.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import aiozk.test
import pytest

FOLDER = Path(aiozk.test.__file__).parent
TESTS = {
    "barrier": 7, "client": 7, "connection": 3, "counter": 4, "election": 8, "lock": 9, "recipe": 6, "session": 15,
    "shared_lock": 8, "transaction": 5, "treecache": 3, "watchers": 10}


@pytest.mark.parametrize("name", TESTS)
def test_aiozk(start, kind, name):
    server = start(kind)
    environment = {**os.environ, "ZK_HOST": "127.0.0.1", "ZK_PORT": str(server.port)}
    environment.pop("PYTEST_XDIST_WORKER", None)
    environment.pop("PYTEST_ADDOPTS", None)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", str(FOLDER), "-o", "asyncio_mode=auto",
         "-p", "no:cacheprovider", "-p", "no:xdist", "--timeout", "60", "-q", "--tb=short", FOLDER / f"test_{name}.py"],
        env=environment, capture_output=True, text=True, check=False)
    counted = dict(reversed(found.split()) for found in re.findall(r"\d+ [a-z]+", ran.stdout.splitlines()[-1]))
    counted = {outcome: int(count) for outcome, count in counted.items() if not outcome.startswith("warning")}
    assert counted == {"passed": TESTS[name]}, ran.stdout[-3000:] + ran.stderr[-1000:]


def test_no_file_is_left_out():
    assert {path.stem.removeprefix("test_") for path in FOLDER.glob("test_*.py")} == set(TESTS)
