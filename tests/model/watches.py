"""The model's watches: two tables, of data and of children, each from paths to connections to modes.

A standard watch is used up when it fires; a persistent one is in both tables and stays; a recursive one is in the table of data
and also hears of everything below its path, of children only as znodes of their own.
"""

from dataclasses import dataclass
from enum import IntEnum

from . import access

DATA, CHILDREN = "data", "children"
STANDARD, PERSISTENT, RECURSIVE = "standard", "persistent", "recursive"


class Change(IntEnum):
    """The types of events."""

    CREATED = 1
    DELETED = 2
    DATA = 3
    CHILDREN = 4


@dataclass(frozen=True)
class Event:
    """What happened, for the watches of one table; only who may read with this access list hears of it."""

    table: str
    change: Change
    path: str
    acl: tuple


class Watches:
    """Who watches what. Connections are any hashable things with `identities`."""

    def __init__(self):
        self.tables = {DATA: {}, CHILDREN: {}}

    def modes(self, table, path, connection):
        return self.tables[table].get(path, {}).get(connection, set())

    def add(self, table, path, connection, mode=STANDARD):
        self.tables[table].setdefault(path, {}).setdefault(connection, set()).add(mode)

    def add_staying(self, path, connection, mode):
        self.add(DATA, path, connection, mode)
        if mode == PERSISTENT:
            self.add(CHILDREN, path, connection, mode)

    def has(self, path, connection, kind):
        return any(wanted & self.modes(table, path, connection) for table, wanted in SELECTIONS[kind])

    def remove(self, path, connection, kind):
        """Whether there was one."""
        found = self.has(path, connection, kind)
        for table, wanted in SELECTIONS[kind]:
            modes = self.modes(table, path, connection)
            modes -= wanted
            self.tidy(table, path)
        return found

    def forget(self, connection):
        """A connection is gone, and its watches with it."""
        for table, paths in self.tables.items():
            for path in list(paths):
                paths[path].pop(connection, None)
                self.tidy(table, path)

    def tidy(self, table, path):
        """Nothing stays in a table that watches nothing."""
        left = {connection: modes for connection, modes in self.tables[table].get(path, {}).items() if modes}
        if left:
            self.tables[table][path] = left
        else:
            self.tables[table].pop(path, None)

    def fire(self, events):
        """(connection, event) for all who hear of these events, which are those of one transaction."""
        heard, told_of_deletion = [], set()
        for event in events:
            watching = list(self.tables[event.table].get(event.path, {}))
            for connection in watching:
                self.modes(event.table, event.path, connection).discard(STANDARD)
            self.tidy(event.table, event.path)
            if event.table == DATA:
                above = [each for path in paths_above(event.path) for each in self.recursive(path)]
                watching += [connection for connection in dict.fromkeys(above) if connection not in watching]
            if event.change == Change.DELETED and event.table == DATA:
                told_of_deletion = set(watching)
            elif event.change == Change.DELETED:
                watching = [connection for connection in watching if connection not in told_of_deletion]
            heard += [(each, event) for each in watching if access.allows(event.acl, access.READ, each.identities)]
        return heard

    def recursive(self, path):
        return [connection for connection, modes in self.tables[DATA].get(path, {}).items() if RECURSIVE in modes]


# What the types of checkWatches and removeWatches mean.
SELECTIONS = {
    1: ((CHILDREN, {STANDARD}),),
    2: ((DATA, {STANDARD}),),
    3: ((CHILDREN, {STANDARD, PERSISTENT}), (DATA, {STANDARD, PERSISTENT, RECURSIVE})),
    4: ((CHILDREN, {PERSISTENT}), (DATA, {PERSISTENT})),
    5: ((DATA, {RECURSIVE}),),
}


def paths_above(path):
    """/a/b has /a and / above it."""
    while path != "/":
        path = path[:path.rindex("/")] or "/"
        yield path
