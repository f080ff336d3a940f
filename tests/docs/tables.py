"""The tables of features in docs/compatibility, and the page that is made from them.

    PYTHONPATH=tests .deps/venv/bin/python -m docs.tables

writes docs/compatibility.md: what is different and what is not there yet, of all tables together.
"""

import re
from dataclasses import dataclass

from harness.places import ROOT

FOLDER = ROOT / "docs" / "compatibility"
PAGE = ROOT / "docs" / "compatibility.md"
MANUAL = ROOT / "docs" / "configuration.md"
KNOWN_BUGS = ROOT / "docs" / "known-bugs.md"
AREAS = ("protocol", "configuration", "files", "operations", "ensemble", "shell", "development")
COLUMNS = ["id", "feature", "zabd", "proof"]
# What a row says of zabd; more may follow the word.
VERDICTS = re.compile(r"(same)$|(same|different|not yet|none): (.+)")
PROOF = re.compile(r"`([\w/.-]+)::([\w:]+)(?:\[(.+?)\])?`")

INTRODUCTION = """\
# Compatibility with Apache ZooKeeper 3.9

<!-- Written from the tables in docs/compatibility; to change it, change them and run
     `PYTHONPATH=tests .deps/venv/bin/python -m docs.tables`. -->

The judge is Java 3.9.5 (3.8.0 where it differs and is still in use), asked by the suites in `tests/`, which run the same questions
against both. What is named nowhere here as different or missing is meant to be the same, to the byte where bytes are sent or
stored; a difference that is not on this page is a defect. What once went wrong in Java and does not here is in
[known-bugs.md](known-bugs.md). Feature by feature, with the test that shows it:
"""
BEHIND = """
The suites have differences in the answers to requests in tables of their own, which fail when a row is not true any more
(`tests/malformed/differences.py`, `tests/model/differences.py`, `tests/golden_wire`).
"""

WITHOUT_EFFECT = """
They are accepted, and told of at the start. What they are for is in [configuration.md](configuration.md).
"""


@dataclass
class Row:
    """One feature."""

    place: str
    area: str
    cells: list

    @property
    def name(self):
        return self.cells[0]

    @property
    def feature(self):
        return self.cells[1]

    @property
    def verdict(self):
        """(word, what follows it)."""
        match = VERDICTS.fullmatch(self.cells[2])
        return (match[1] or match[2], match[3] or "") if match else (None, self.cells[2])

    @property
    def proofs(self):
        """(file, function, parameter) of each."""
        return PROOF.findall(self.cells[3])


def tables(path):
    """(number of line, header, cells) of every row of every table of a document."""
    header = None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.startswith("|"):
            header = None
            continue
        cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if header is None:
            header = cells
        elif not set(line) <= set("|- "):
            yield number, header, cells


def rows():
    """Every row of every table of features."""
    return [
        Row(f"{area}.md:{number}", area, cells)
        for area in AREAS for number, header, cells in tables(FOLDER / f"{area}.md") if header == COLUMNS]


def known_bugs():
    """(number of line, numbers of issues, cells) of every row of docs/known-bugs.md."""
    return [(number, cells[0].split(", "), cells) for number, _, cells in tables(KNOWN_BUGS)]


def title(area):
    """The first heading of a document."""
    return (FOLDER / f"{area}.md").read_text().splitlines()[0].removeprefix("# ")


def page():
    """The text of docs/compatibility.md."""
    every = rows()
    lines = [INTRODUCTION, "| Area | Same | Different | Not there yet |", "| --- | --- | --- | --- |"]
    for area in AREAS:
        words = [row.verdict[0] for row in every if row.area == area]
        counts = [words.count("same"), words.count("different") + words.count("none"), words.count("not yet")]
        lines.append(f"| [{title(area)}](compatibility/{area}.md) | {' | '.join(map(str, counts))} |")
    lines += ["", "## What is deliberately different", ""]
    lines += listed(every, ("different", "none"), "What zabd does, and why")
    lines += [BEHIND.strip(), "", "## What is not there yet", ""]
    lines += listed(every, ("not yet",), "What it waits for, or what happens if it is asked for")
    lines += ["## Keys without an effect", "", WITHOUT_EFFECT.strip(), "", "| Keys | Why |", "| --- | --- |"]
    reasons = {}
    for names, said in keys_of_the_manual():
        if said.startswith("no effect: "):
            reasons.setdefault(said.removeprefix("no effect: "), []).extend(names)
    lines += [f"| {', '.join(f'`{name}`' for name in names)} | {reason} |" for reason, names in reasons.items()]
    return "\n".join(lines).rstrip() + "\n"


def keys_of_the_manual():
    """(names, what the manual says of it) of every key in docs/configuration.md, which is made from the table of keys in the code."""
    for _, header, cells in tables(MANUAL):
        if header[0] == "key":
            yield re.findall(r"`([^`]+)`", cells[0]), cells[-1]


def listed(every, words, heading):
    """The rows with one of these verdicts, by area."""
    lines = ["| Feature | " + heading + " |", "| --- | --- |"]
    for row in every:
        if row.verdict[0] in words:
            cells = (text.replace("|", "\\|") for text in (row.feature, row.verdict[1]))
            lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


if __name__ == "__main__":
    PAGE.write_text(page())
