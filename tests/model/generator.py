"""What the random clients ask: requests on few paths, so that they meet, with enough nonsense among them.

A `Generator` is a function of its seed and of the names that sequential creates were given; nothing else reaches it, so that
a seed repeats a run.
"""

import random
import struct
from dataclasses import replace

from harness import wire
from harness.servers import SUPER_AUTH

from . import requests
from .actions import SLOTS, Burst, End, Resume, ResumeEnded
from .differences import NULL_IDS, may_stand_behind

PATHS = ("/a", "/b", "/c", "/a/x", "/a/y", "/b/x", "/b/y", "/a/x/1", "/a/x/2", "/a/x/1/z", "/b-", "/a/s-", "/b/s-")
ODD_PATHS = (
    "", "a", "a/b", "/", "/a/", "//", "/.", "/..", "/...", "/a//x", "/a/./x", "/a/..", "/ ", "/ü", "/a/日本", "/\0", "/a\0b",
    "/\x1f", "/\x7f", "/\x85", "/\ud7ff", "/\ue000", "/\uf8ff", "/\uf900", "/\uffef", "/\ufff0", "/𝄞", b"/\xff", b"/a/\xc3",
    b"/\xed\xa0\x80", b"/\xed\xa0", b"/\xe2\x82", b"/\xf0\x9d\x84/a", b"/\xf4\x90\x80\x80", b"/\xc0\xaf",
    "/zookeeper", "/zookeeper/", "/zookeeper/quota", "/zookeeper/config", "/zookeeper/x", "/zookeeper/quota/a", "/nothing/here")
# None of these is ever an ephemeral: in which order they went with what they count would depend on a hash table.
QUOTA_PATHS = tuple(
    f"/zookeeper/quota{path}{name}" for path in ("/a", "/a/x", "/b") for name in ("", "/zookeeper_limits", "/zookeeper_stats"))
# What a usage is created with is written over; what it is set to, Java's servers must be able to read, or they end.
TEXTS = (
    None, b"", b"count=5,bytes=10", b"count=1,bytes=-1=;byteHardLimit=1;countHardLimit=1", b"countHardLimit=1", b"zzz", b"count=",
    b"=", b",", b"count=1=2=3;;bytes==,x=9", b"\xff=1", b"count=9223372036854775808,bytes=1")
USAGES = (
    b"count=0,bytes=0", b"a=1,b=2", b"x=1=;count=7,bytes=-3", b"count=1,bytes=2=;countHardLimit=3;byteHardLimit=4;Z=5",
    b"bytes=+8,count=-9,,", b"count=2147483647,bytes=1==;=6")
USERS = ("alice:secret", "bob:builder")
ALICE, BOB = "alice:aYXlLOpEooaV1cRAvUL1fp9Qt7E=", "bob:4rsXV9JgUbFl9ZE40xENilxlRV8="
ANYONE = ("world", "anyone")
LISTS = (
    ((1, *ANYONE),), ((30, *ANYONE),), ((27, *ANYONE),), ((23, *ANYONE),), ((15, *ANYONE),), ((-1, *ANYONE),),
    ((31, "auth", ""),), ((3, "auth", "whatever"), (1, *ANYONE)), ((64, *ANYONE), (16, "auth", "")),
    ((31, "digest", ALICE),), ((31, "digest", BOB), (16, *ANYONE)), ((31, "digest", ":x"), (31, *ANYONE)),
    ((31, "digest", "a:b:"), (31, *ANYONE)), ((31, "ip", "127.0.0.1"),), ((31, "ip", "127.0.0.0/8"),),
    ((31, "ip", "127.000.000.01"),), ((31, "ip", "127.0.0.0/+8"),), ((0, *ANYONE), (31, "ip", "0.0.0.0/0")),
    ((31, "ip", "10.0.0.0/8"), (16, "digest", ALICE)), ((31, *ANYONE), (31, *ANYONE), (1, "ip", "127.0.0.1")),
    ((31, "ip", "::1"),), ((31, "ip", "fe80::/10"),), ((31, "ip", "::/0"), (24, *ANYONE)))
ODD_IDS = (
    ("world", "someone"), (None, "anyone"), (None, None), ("nonsense", "x"), ("nonsense", None), ("", ""), ("super", ""),
    ("super", "x"), ("sasl", "x"), ("x509", "CN=x"), ("auth", None), ("digest", "nocolon"), ("digest", "a:"),
    ("digest", "a:b:c"), ("digest", ":"), ("digest", ""), ("ip", "300.1.1.1"), ("ip", "127.0.0.1/33"), ("ip", "127.0.0.1/-1"),
    ("ip", "127.0.0"), ("ip", "x"), ("ip", ""), ("ip", "127.0.0.1/x"), ("ip", "1..2.3"), ("ip", "::1/129"), ("ip", ":::"),
    ("ip", "::ffff:127.0.0.1"))
ODD_LISTS = ((), ((31, *ANYONE), (1, "nonsense", "y")), *(((31, *identity),) for identity in ODD_IDS))
HOURS = 3_600_000
TTL_MAX = (1 << 40) - 1
ODD_TTLS = (TTL_MAX, 3 * HOURS, 0, -1, TTL_MAX + 1, -(1 << 63))
ODD_FLAGS = (-1, 7, 99)
KINDS = (  # How often, opcode, the flags that go with it.
    (5, wire.CREATE, (0, 1, 2, 3)),
    (4, wire.CREATE2, (0, 1, 2, 3)),
    (1, wire.CREATE_CONTAINER, (4,)),
    (1, wire.CREATE_TTL, (5, 6)))
KINDS_IN_MULTI = (  # Inside a multi the flags choose the kind, and all of these have a meaning or an error of their own.
    (wire.CREATE, 4), (wire.CREATE2, 4), (wire.CREATE, 5), (wire.CREATE2, 6), (wire.CREATE_CONTAINER, 5),
    (wire.CREATE_CONTAINER, 7), (wire.CREATE_TTL, 0), (wire.CREATE_TTL, 1), (wire.CREATE_TTL, 3), (wire.CREATE_TTL, 4),
    (wire.CREATE_TTL, 7))


def anyone_may_read(entries):
    return any(permissions & 1 and (scheme, name) == ANYONE for permissions, scheme, name in entries)


class Generator:
    """An endless row of actions."""

    def __init__(self, seed, as_of_38=False):
        """`as_of_38`: asks only what Java 3.8.0 answers like 3.9, see `differences`."""
        self.random = random.Random(seed)
        self.as_of_38 = as_of_38
        self.made = []
        self.zxid = 0
        self.resumed = None  # Who has just come back, and will restore its watches.
        self.slot = 0
        self.watched = [[] for _ in range(SLOTS)]  # The last paths that each client watched.
        self.in_burst = False
        self.nulls_left = 0  # How many nulls the request that is being made may get.
        self.careful = False  # Whether paths, versions and lists are such that a request may well succeed.

    def note(self, path, zxid):
        """A name that a create was given, and how far the servers have come."""
        self.zxid = max(self.zxid, zxid)
        if path and path not in PATHS:
            self.made = [*self.made[-11:], path]

    def action(self):
        """The next action."""
        self.slot = self.random.randrange(SLOTS)
        if self.resumed is not None:
            self.slot, self.resumed = self.resumed, None
            return Burst(self.slot, (self.set_watches(),))
        dice = self.random.random()
        if dice < 0.012:
            self.watched[self.slot] = []
            return End(self.slot)
        if dice < 0.024:
            self.resumed = self.slot
            return Resume(self.slot, self.chance(0.5))
        if dice < 0.027:
            return ResumeEnded(self.slot)
        if dice < 0.045:
            return Burst(self.slot, (self.auth(),))
        if dice < 0.15:
            return Burst(self.slot, self.burst(self.random.randrange(2, 7)))
        return Burst(self.slot, (self.request(),))

    def burst(self, count):
        """Requests that each have one answer, though they are sent at once."""
        self.in_burst = True
        chosen = []
        while len(chosen) < count:
            request = self.request()
            if may_stand_behind(request, chosen):
                chosen.append(request)
        self.in_burst = False
        return tuple(chosen)

    # --- Parts of requests ---

    def chance(self, probability):
        return self.random.random() < probability

    def null(self):
        """Whether to put a null here."""
        if self.nulls_left and not self.careful and self.chance(0.01):
            self.nulls_left -= 1
            return True
        return False

    def path(self, odd=0.1):
        if self.null():
            return None
        if not self.careful and self.chance(odd):
            return self.random.choice(ODD_PATHS)
        if self.chance(0.08):
            return self.random.choice(QUOTA_PATHS)
        if self.made and self.chance(0.25):
            return self.random.choice(self.made)
        return self.random.choice(PATHS)

    def data(self):
        return self.random.choice((None, b"", b"x", b"\0\xff", b"value", bytes(range(50))))

    def version(self):
        if self.careful:
            return -1
        return self.random.choice((-1, -1, -1, -1, 0, 0, 1, 2, 3, 7, -2, 2**31 - 1, -(2**31)))

    def acl(self, odd=0.06):
        """A list of entries, mostly one that leaves the node usable."""
        if self.careful:
            return wire.OPEN_ACL
        if self.null():
            return None
        if self.null() and not self.in_burst:
            return ((31, self.random.choice(NULL_IDS), None),)
        if self.chance(odd):
            return self.random.choice(ODD_LISTS)
        chosen = wire.OPEN_ACL if self.chance(0.7) else self.random.choice(LISTS)
        return wire.OPEN_ACL if self.as_of_38 and not anyone_may_read(chosen) else chosen

    # --- Requests ---

    def request(self):
        """Any request whose place among others is open."""
        kinds = (
            (26, self.create), (12, self.delete), (12, self.set_data), (5, self.set_acl), (10, self.multi), (7, self.exists),
            (7, self.get_data), (8, self.get_children), (4, self.get_acl), (2, self.get_ephemerals),
            (2, self.all_children_number), (3, self.multi_read), (2, self.sync), (5, self.add_watch), (6, self.remove_watches),
            (1, self.set_watches), (1, self.who_am_i), (1, self.garbled))
        if self.as_of_38:
            kinds = [(weight, make) for weight, make in kinds if make not in (self.add_watch, self.garbled)]
        self.nulls_left = 0 if self.as_of_38 else 1
        return self.random.choices([make for _, make in kinds], [weight for weight, _ in kinds])[0]()

    def create(self, in_multi=False):
        path, data, entries, ttl = self.path(0.06), self.data(), self.acl(), None
        if path in QUOTA_PATHS:
            data = self.random.choice(TEXTS)
        _, opcode, flags = self.random.choices(KINDS, [weight for weight, *_ in KINDS])[0]
        flags = self.random.choices(flags, (6, 3, 2, 2)[:len(flags)])[0]
        has_null = not self.nulls_left
        if self.as_of_38 and in_multi:
            opcode, flags = wire.CREATE, self.random.randrange(4)
        elif in_multi and not self.careful and self.chance(0.05):
            opcode, flags = self.random.choice(KINDS_IN_MULTI)
        elif not self.careful and not has_null and self.chance(0.02):
            opcode, flags = self.random.choice((wire.CREATE, wire.CREATE2, wire.CREATE_CONTAINER)), self.random.choice(ODD_FLAGS)
        if path in QUOTA_PATHS and flags in (1, 3):
            flags -= 1
        if opcode == wire.CREATE_TTL:
            ttl = self.random.choice(ODD_TTLS) if not has_null and self.chance(0.3) else HOURS
        return requests.create(path, data, entries, flags, opcode, ttl)

    def delete(self):
        return requests.delete(self.path(), self.version())

    def set_data(self):
        path, data = self.path(), self.data()
        if path in QUOTA_PATHS:
            data = self.random.choice(USAGES if path.endswith("/zookeeper_stats") else TEXTS)
        return requests.set_data(path, data, self.version())

    def set_acl(self):
        path, version, entries = self.path(), self.version(), self.acl(0.15)
        # A root that nobody may change would end all variety.
        entries = wire.OPEN_ACL if path in ("/", "") and entries and self.chance(0.9) else entries
        return requests.set_acl(path, entries, version)

    def check(self):
        return requests.check(self.path(), self.version())

    def multi(self):
        makers = (lambda: self.create(in_multi=True), self.delete, self.set_data, self.check)
        count = self.random.choice((0, 1, 1, 2, 2, 3, 3, 4, 5, 8))
        # One part that fails is enough: left to chance, hardly any multi would succeed.
        self.careful = self.chance(0.6)
        parts = [self.random.choices(makers, (5, 3, 3, 2))[0]() for _ in range(count)]
        if not self.careful and self.nulls_left and self.chance(0.1):
            parts.insert(self.random.randrange(len(parts) + 1), self.random.choice((self.set_acl, self.get_data, self.exists))())
        self.careful = False
        return requests.multi(*parts)

    def multi_read(self):
        self.nulls_left = 0
        makers = (self.get_data, lambda: requests.get_children(self.path(), self.chance(0.5)))
        parts = [self.random.choice(makers)() for _ in range(self.random.randrange(5))]
        if self.chance(0.1):
            parts.insert(self.random.randrange(len(parts) + 1), self.random.choice((self.delete, self.create, self.get_acl))())
        return requests.multi_read(*parts)

    def watch(self, path):
        """Whether to watch this path, too."""
        watches = self.chance(0.5)
        if watches:
            self.remember(path)
        return watches

    def remember(self, path):
        self.watched[self.slot] = [*self.watched[self.slot][-4:], path]

    def exists(self):
        path = self.path()
        return requests.exists(path, self.watch(path))

    def get_data(self):
        path = self.path()
        return requests.get_data(path, self.watch(path))

    def get_children(self):
        path, make = self.path(), self.random.choice((requests.get_children, requests.get_children2))
        return make(path, self.watch(path))

    def get_acl(self):
        return requests.get_acl(self.path())

    def get_ephemerals(self):
        prefixes = ("/", "", " ", " / ", None, "/a", "/a/", "/b", "/a/s", "a", "/ ", " /a")
        return requests.get_ephemerals(self.random.choice(prefixes))

    def all_children_number(self):
        return requests.get_all_children_number("/" if self.chance(0.3) else self.path())

    def sync(self):
        return requests.sync(self.path(0.2))

    def add_watch(self):
        self.nulls_left = 0
        path = "/" if self.chance(0.05) else self.path()
        self.remember(path)
        return requests.add_watch(path, self.random.choice((2, -1)) if self.chance(0.05) else self.random.randrange(2))

    def remove_watches(self):
        self.nulls_left = 0
        watched = [path for path in self.watched[self.slot] if path is not None]
        path = self.random.choice(watched) if watched and self.chance(0.7) else self.path()
        kind = self.random.choice((0, 6, -1) if self.chance(0.05) else (1, 2, 3) if self.as_of_38 else (1, 2, 3, 4, 5))
        make = requests.remove_watches if self.as_of_38 or self.chance(0.5) else requests.check_watches
        return make(path, kind)

    def set_watches(self):
        self.nulls_left = 0
        lists = [[self.path() for _ in range(self.random.randrange(4))] for _ in range(5)]
        since = max(0, self.zxid - self.random.choice((0, 1, 5, 20, 100, 10_000)))
        if self.chance(0.5) and not self.as_of_38:
            return requests.set_watches2(since, *lists)
        return requests.set_watches(since, *lists[:3])

    def who_am_i(self):
        return requests.who_am_i()

    def auth(self):
        return requests.auth(*(("digest", self.random.choice(USERS)) if self.chance(0.85) else SUPER_AUTH))

    def garbled(self):
        """A request cut short, with more behind it, or with a length that cannot be."""
        makers = (
            self.create, self.delete, self.set_data, self.set_acl, self.exists, self.get_data, self.get_children, self.get_acl,
            self.sync, self.multi, self.multi_read, self.add_watch, self.remove_watches, self.set_watches)
        made = self.random.choice(makers)()
        body, how = made.body, self.random.randrange(3)
        if how == 0 and body:
            return requests.cut(made, self.random.randrange(len(body)))
        if how == 1:
            body += b"\1\2\3"
        elif len(body) >= 4:
            body = struct.pack(">i", self.random.choice((-2, 2**31 - 1, -(2**31)))) + body[4:]
        return replace(made, body=body, text=f"garbled {made.text}")
