"""Writers that end with their test."""

import pytest

from . import members

WRITERS = 3


@pytest.fixture(name="write_through")
def write_through_fixture():
    """Starts writers on an ensemble; whatever happens, they end."""
    started = []

    def start(ensemble, count=WRITERS, payload=b""):
        begun = [members.Writer(ensemble, number, payload) for number in range(len(started), len(started) + count)]
        started.extend(begun)
        for writer in begun:
            writer.start()
        return begun

    yield start
    for writer in started:
        writer.ends.set()
        writer.join()
