"""A small container's memory."""

import os
import shutil

import pytest

from harness import places
from harness.control_group import ControlGroup

MIB = 1 << 20
LIMIT = 128 * MIB


@pytest.fixture
def group():
    with ControlGroup(LIMIT) as group:
        yield group


@pytest.fixture(autouse=True)
def program(tmp_path, monkeypatch):
    """A program that nobody has read yet: as in a container of its own, what of it is in memory counts against the limit."""
    copy = tmp_path / "zabd"
    shutil.copy(places.ZABD, copy)
    with open(copy, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    monkeypatch.setattr(places, "ZABD", copy)
    return copy
