"""Random operations from several sessions against the server under test, real Java and a model, in lockstep.

The same seeds each time; `PYTHONPATH=tests .deps/venv/bin/python -m model --seeds 20` walks fresh ones, and what they find becomes a
case with a name. A seed that parts is walked again with `--seed N`.
"""

import contextlib
import sys

import pytest

from .actions import Burst, End
from .cases import CASES
from .walks import random_walk, started, together

STEPS = 3000
JUDGES = ["java395"] * 10 + ["java38"] * 3  # One walk each.


class Together:
    """Sides that walk through all cases, each with a new session; where they part, the next case begins with new servers."""

    def __init__(self, kinds, make_directory):
        self.kinds, self.make_directory = kinds, make_directory
        self.running = contextlib.ExitStack()
        self.lockstep = None

    def walk(self, name, bursts):
        if self.lockstep is None:
            self.lockstep = self.running.enter_context(started(name, self.make_directory(), self.kinds))
        self.lockstep.name = name
        try:
            self.lockstep.step(End(0))
            for requests in bursts:
                self.lockstep.step(Burst(0, requests))
        except BaseException:
            self.close()
            raise

    def close(self):
        self.running.close()
        self.lockstep = None


@pytest.fixture(scope="module")
def cases(kind, tmp_path_factory):
    """All cases are of Java 3.9."""
    if kind == "java38":
        pytest.skip("Java 3.8 answers some of these differently")
    sides = Together(together(kind, "java395"), lambda: tmp_path_factory.mktemp("model"))
    yield sides
    sides.close()


@pytest.mark.parametrize("name", CASES)
def test_case(cases, name):
    cases.walk(name, CASES[name])


@pytest.mark.parametrize("number", range(len(JUDGES)))
def test_random_walk(kind, number, tmp_path, capfd):
    seed, judge = number, JUDGES[number]
    with capfd.disabled():
        print(f"\nwalk {number}: --seed {seed} --steps {STEPS} --judge {judge}", file=sys.stderr)
    random_walk(seed, STEPS, tmp_path, together(kind, judge))
