"""Walks of servers and the model, side by side, each from an empty data directory."""

import contextlib

from harness.servers import Server

from .generator import Generator
from .lockstep import Lockstep
from .sides import ModelSide, ServerSide

PROPERTIES = {
    "extendedTypesEnabled": "true",
    "znode.container.checkIntervalMs": 3_600_000,  # The reaper stays away: its moment is not reproducible.
}


@contextlib.contextmanager
def started(name, directory, kinds, as_of_38=False):
    """A walk that begins: the model first, then a server of each kind."""
    servers = [Server(kind, directory / kind, properties=PROPERTIES) for kind in kinds]
    sides = [ModelSide(as_of_38)]
    try:
        for server in servers:
            server.start(wait=False)
        for server in servers:
            server.await_serving()
            sides.append(ServerSide(server, as_of_38))
        yield Lockstep(name, sides)
    finally:
        for side in sides:
            side.close()
        for server in servers:
            server.kill()


def random_walk(seed, steps, directory, kinds):
    """One seed's walk."""
    as_of_38 = "java38" in kinds
    with started(f"seed {seed}", directory, kinds, as_of_38) as lockstep:
        lockstep.walk(Generator(seed, as_of_38), steps)


def together(kind, judge):
    """The kinds of servers that walk in step when one of this kind is under test."""
    return [kind] if kind == judge else [kind, judge]
