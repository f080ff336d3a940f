"""The tables in docs/compatibility say what is proved by which test: every row is whole, and every proof is a test that is there."""

import functools
import json
import re

import pytest

from harness.places import GOLDEN, ROOT

from . import tables

ROWS = tables.rows()
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


def assert_proofs_exist(place, proofs):
    for file, function, parameter in proofs:
        path = ROOT / file
        assert path.is_file(), f"{place}: no file {file}"
        assert function in names_of_tests(path), f"{place}: no test {function} in {file}"
        if parameter:
            assert parameter in path.read_text() or parameter in golden_names(), f"{place}: {function} has no [{parameter}]"


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_proofs_exist(row):
    assert_proofs_exist(row.place, row.proofs)


def test_every_known_bug_has_its_proof():
    """Proofs and nothing else, or the reason why there is none."""
    rows = tables.known_bugs()
    named = [issue for _, issues, _ in rows for issue in issues if issue != "–"]
    assert len(rows) > 130 and len(named) == len(set(named))
    for number, _, cells in rows:
        assert len(cells) == 3 and "" not in cells, number
        proofs = tables.PROOF.findall(cells[2])
        if proofs:
            assert tables.PROOF.sub("", cells[2]).strip(", ") == "", number
        else:
            assert re.match("(none|not yet): .", cells[2]), number
        assert_proofs_exist(f"known-bugs.md:{number}", proofs)


def test_every_issue_that_has_a_mutation_is_a_known_bug():
    known = {issue for _, issues, _ in tables.known_bugs() for issue in issues}
    mutations = [cells for _, header, cells in tables.tables(ROOT / "docs" / "testing.md") if header[:1] == ["mutation"]]
    assert len(mutations) > 50
    assert {issue for cells in mutations for issue in re.findall(r"\d+", cells[2])} - known == set()


def test_the_page_is_what_the_tables_give():
    assert tables.PAGE.read_text() == tables.page(), "PYTHONPATH=tests .deps/venv/bin/python -m docs.tables"


def test_the_manual_and_the_tables_say_the_same():
    """A key that does something has a row, and one without effect is nowhere called the same."""
    words = {}
    for row in ROWS:
        if row.area == "configuration":
            for key in re.findall(r"`([^`]+)`", row.feature):
                words.setdefault(key, set()).add(row.verdict[0])
    wrong, count = [], 0
    for names, said in tables.keys_of_the_manual():
        count += 1
        # Keys of the ports for other servers are those of client ports.
        key = names[0].replace("ssl.quorum.", "ssl.")
        does_nothing = said.startswith("no effect")
        if does_nothing and words.get(key, set()) & {"same", "different"} or not does_nothing and key not in words:
            wrong.append((key, said))
    assert count > 200 and wrong == []
