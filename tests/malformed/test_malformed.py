"""Malformed input of every kind: what Java 3.9.5 does with it, zabd does, or one row of `differences.py` says what else and why.

All cases run against the same two servers, one after the other, so whatever one leaves behind the next would stumble over. A
bystander keeps asking the server under test: whatever the others send, it is answered at once.
"""

import statistics
import threading
import time
from functools import partial

import pytest

from harness import wire
from harness.servers import Server
from harness.wire import Writer

from . import requests
from .cases import CASES
from .differences import DIFFERENCES, compare, difference_of
from .peer import LONG_MS, Peer, request

# A read takes a tenth of a millisecond; the rest is for machines that do much else at a time.
BYSTANDER_SECONDS_MAX = 1
# Of fewer, one that the machine delayed is the median.
BYSTANDER_SAMPLES_MIN = 5
BYSTANDER_MEDIAN_SECONDS_MAX = 0.02
RSS_BYTES_MAX = 512 << 20
SEED = 1
PROPERTIES = {"extendedTypesEnabled": "true", "znode.container.checkIntervalMs": 3_600_000}


class Bystander:
    """A client that asks again and again, and measures how long the answers take."""

    def __init__(self, port):
        self.session = wire.Session(port, LONG_MS)
        self.seconds = []
        self.stopping = threading.Event()
        self.failure = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        body = Writer().ustring("/").bytes
        try:
            while not self.stopping.wait(0.002):
                begin = time.monotonic()
                assert self.session.call(wire.SYNC, body).err == 0
                self.seconds.append(time.monotonic() - begin)
        except Exception as failure:
            self.failure = failure

    def check(self):
        """Everything so far was answered, and promptly."""
        assert self.failure is None, self.failure
        if len(self.seconds) < BYSTANDER_SAMPLES_MIN:
            return
        seconds, self.seconds = self.seconds, []
        assert max(seconds) < BYSTANDER_SECONDS_MAX, f"a bystander waited {max(seconds):.3f} s"
        assert statistics.median(seconds) < BYSTANDER_MEDIAN_SECONDS_MAX

    def stop(self):
        self.stopping.set()
        self.thread.join()
        self.session.close()


@pytest.fixture(scope="module")
def both(kind, tmp_path_factory):
    """Java 3.9.5 and the server under test, running."""
    directory = tmp_path_factory.mktemp("malformed")
    with Server("java395", directory / "java", properties=PROPERTIES) as java:
        with Server(kind, directory / "other", properties=PROPERTIES) as other:
            yield java, other


@pytest.fixture(scope="module")
def bystander(both):
    watching = Bystander(both[1].port)
    yield watching
    watching.stop()


@pytest.mark.parametrize("name", CASES)
def test_case(both, kind, bystander, name):
    path = f"/case-{list(CASES).index(name)}"
    java, other = (CASES[name](server.port, path) for server in both)
    assert (wrong := compare(name, java, other, kind)) is None, wrong
    bystander.check()


VARIANTS = {
    "truncated": requests.truncated,
    "odd_ints": requests.with_odd_ints,
    "flipped_bits": partial(requests.with_flipped_bits, seed=SEED),
    "garbage": partial(requests.garbage, seed=SEED),
}


@pytest.fixture
def both_empty(kind, tmp_path):
    """The same for one test alone: some variants list what is there, and cases may leave different things."""
    with Server("java395", tmp_path / "java", properties=PROPERTIES) as java:
        with Server(kind, tmp_path / "other", properties=PROPERTIES) as other:
            yield java, other


@pytest.mark.parametrize("how", VARIANTS)
def test_variants_of_every_request(both_empty, kind, how):
    """Hundreds of variants on one session, one after the other: a request that is refused leaves the session in order."""
    bystander = Bystander(both_empty[1].port)
    outcomes = [ask_all(server.port, f"/{how}", VARIANTS[how]) for server in both_empty]
    names = list(outcomes[0])
    assert 100 < len(names)
    wrong = [compare(name, outcomes[0][name], outcomes[1][name], kind) for name in names]
    wrong = [line for line in wrong if line]
    assert not wrong, f"{len(wrong)} of {len(names)} differ\n" + "\n".join(wrong[:10])
    bystander.check()
    bystander.stop()


def ask_all(port, root, variants):
    """{name: what was answered}."""
    owner = wire.Session(port, LONG_MS)
    for path in (root, f"{root}/there"):
        assert owner.create(path).err == 0
    owner.end()
    outcomes, peer = {}, None
    for kind_of_request in requests.kinds(root):
        for variant in variants(kind_of_request):
            peer = peer or Peer(port).hello()
            heard = peer.say(request(1, variant.opcode, variant.body)).answer(names_have_no_order=variant.opcode == wire.GET_CHILDREN)
            outcomes[variant.name] = heard
            if heard[-1] == "closed":
                peer = None
    return outcomes


def test_every_difference_is_needed(kind):
    if kind != "zabd":
        pytest.skip("the differences are those of zabd")
    names = list(CASES)
    for kind_of_request in requests.kinds("/x"):
        names += [variant.name for how in VARIANTS.values() for variant in how(kind_of_request)]
    used = {difference_of(name).pattern for name in names if difference_of(name)}
    assert used == {row.pattern for row in DIFFERENCES}
