"""The tables in docs/compatibility say what is proved by which test: every row is whole, and every proof is a test that is there."""

import functools
import json
import re

import pytest

from harness.places import GOLDEN, ROOT

from . import tables

ROWS = tables.rows()
# Sections of the manual whose keys belong to features of docs/compatibility/ensemble.md.
OF_FEATURES = ("Ensemble", "TLS")
RUST_TEST = re.compile(
    r"#\[(?:tokio::)?test(?:\(.*\))?\]\s+(?:(?:#\[.*\]|//.*)\s+)*(?:pub(?:\(\w+\))? )?(?:async )?fn (\w+)")


@functools.cache
def names_of_tests(path):
    """The names of the tests in a source file of Python or Rust."""
    text = path.read_text()
    return set(re.findall(r"^def (test_\w+)", text, re.M) if path.suffix == ".py" else RUST_TEST.findall(text))


@functools.cache
def golden_names():
    lines = (GOLDEN / "java-3.9.5" / "wire.jsonl").read_text().splitlines()
    return {json.loads(line)["name"] for line in lines}


def test_there_are_rows():
    assert len(ROWS) > 300
    assert {row.area for row in ROWS} == {path.stem for path in tables.FOLDER.glob("*.md")}


def test_no_cell_is_empty():
    assert [row.place for row in ROWS if len(row.cells) != len(tables.COLUMNS) or "" in row.cells] == []


def test_ids_are_unique():
    ids = [row.name for row in ROWS]
    assert sorted(name for name in set(ids) if ids.count(name) > 1) == []


def test_each_row_says_what_zabd_does():
    assert [row.place for row in ROWS if row.verdict[0] is None] == []


def test_only_what_is_not_there_lacks_a_proof():
    lacking = [row for row in ROWS if not row.proofs]
    assert [row.place for row in lacking if row.verdict[0] not in ("not yet", "none") or row.cells[3] != "-"] == []


def test_nothing_but_proofs_stands_beside_them():
    assert [row.place for row in ROWS if row.proofs and tables.PROOF.sub("", row.cells[3]).strip(", ")] == []


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_proofs_exist(row):
    for file, function, parameter in row.proofs:
        path = ROOT / file
        assert path.is_file(), f"{row.place}: no file {file}"
        assert function in names_of_tests(path), f"{row.place}: no test {function} in {file}"
        if parameter:
            assert parameter in path.read_text() or parameter in golden_names(), f"{row.place}: {function} has no [{parameter}]"


def test_the_page_is_what_the_tables_give():
    assert tables.PAGE.read_text() == tables.page(), "PYTHONPATH=tests .deps/venv/bin/python -m docs.tables"


def keys_of_the_manual():
    """(key, what the manual says of it) of every key that is a row's own."""
    section = None
    for line in tables.MANUAL.read_text().splitlines():
        if line.startswith("### "):
            section = line.removeprefix("### ")
        elif line.startswith("| `") and section and section not in OF_FEATURES:
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            yield re.match(r"`([^`]+)`", cells[0])[1], cells[-1]


def test_the_manual_and_the_tables_say_the_same():
    """A key that does something has a row, and one without effect is nowhere called the same."""
    words = {}
    for row in ROWS:
        if row.area == "configuration" and row.feature.startswith("`"):
            words.setdefault(re.match(r"`([^`]+)`", row.feature)[1], set()).add(row.verdict[0])
    wrong = []
    for key, said in keys_of_the_manual():
        does_nothing = said.startswith("no effect")
        if does_nothing and words.get(key, set()) & {"same", "different"} or not does_nothing and key not in words:
            wrong.append((key, said))
    assert wrong == []
