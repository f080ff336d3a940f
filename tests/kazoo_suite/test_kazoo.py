"""zabd passes every test of kazoo's own suite that a standalone Java 3.8.0 passes, and on three servers those that need
several; so do ensembles of zabd and Java.

The suite runs once for each, in its own processes; here is one test for each of its tests.
"""

import os

import pytest

from kazoo_suite import suite


@pytest.fixture(scope="module")
def outcomes(kind, tmp_path_factory):
    log = tmp_path_factory.mktemp("kazoo") / "output"
    return suite.run_suite(kind, log), log


@pytest.mark.parametrize("name", suite.listed(suite.PASSES))
@pytest.mark.timeout(900)
def test_kazoo(outcomes, name):
    results, log = outcomes
    assert results.get(name) == "passed", excerpt(log.read_text(errors="replace"), name)


def test_the_lists_cover_the_suite(outcomes):
    results, _ = outcomes
    assert set(suite.listed(suite.PASSES)) | set(suite.listed(suite.EXCUSED)) == set(results)


# With the variable HURTS above 1 also beside Java's servers, which takes two minutes more.
OTHERS = ["", ",java395,java395"] if int(os.environ.get("HURTS", "1")) > 1 else [""]


@pytest.fixture(scope="module", params=OTHERS, ids=lambda others: "beside-java" if others else "alone")
def ensemble_outcomes(request, kind, tmp_path_factory):
    log = tmp_path_factory.mktemp("kazoo-ensemble") / "output"
    return suite.run_tests(kind + request.param, suite.listed(suite.ENSEMBLE), 3, log, size=3), log


@pytest.mark.parametrize("name", suite.listed(suite.ENSEMBLE))
def test_kazoo_on_three_servers(ensemble_outcomes, name):
    results, log = ensemble_outcomes
    assert results.get(name) == "passed", excerpt(log.read_text(errors="replace"), name)


def excerpt(text, name):
    """The part of the suite's output that tells of one test."""
    title = name.split("::", 1)[1].replace("::", ".")
    start = text.rfind(f" {title} _")
    return text[start:start + 3000] if start >= 0 else f"no report of {name}"
