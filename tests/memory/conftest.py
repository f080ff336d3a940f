"""A small container's memory."""

import pytest

from harness.control_group import ControlGroup

MIB = 1 << 20
LIMIT = 128 * MIB


@pytest.fixture
def group():
    with ControlGroup(LIMIT) as group:
        yield group
