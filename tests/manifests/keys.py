"""The keys that the chart's `config` may have: those of docs/configuration.md, in either spelling that it names.

    PYTHONPATH=tests .deps/venv/bin/python -m manifests.keys

writes them where the chart looks for them.
"""

import re

from harness.places import ROOT

from .manifests import CHART

FILE = CHART / "keys.txt"


def known():
    """Each once, without the prefix that all may have; `.N` or `.X` at the end stands for anything."""
    found = set()
    for row in re.findall(r"^\| (`[^|]+`) \|[^|]*\| [abc] \| ([^|]*) \|", (ROOT / "docs" / "configuration.md").read_text(), re.M):
        names = re.findall(r"`([^`]+)`", " ".join(row))
        found |= {name.removeprefix("zookeeper.") for name in names if re.fullmatch(r"[\w.-]+", name)}
    return sorted(found)


def text():
    return "".join(f"{name}\n" for name in known())


if __name__ == "__main__":
    FILE.write_text(text())
