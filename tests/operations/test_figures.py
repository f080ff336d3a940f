"""The figures of `mntr` are what happened: after the same work Java and zabd show the same numbers.

Left out are those that measure time, the process, or a stage that only Java has; `test_mntr_has_every_figure` of the transcripts
holds that their names are there all the same.
"""

import struct
import time
import zlib

import pytest

from harness import wire
from harness.observing import is_javas
from harness.servers import Server, four_letter_word
from harness.wire import Writer

from .conftest import figures

PROPERTIES = {
    "enforceQuota": "true",
    "authProvider.1": "org.apache.zookeeper.server.auth.EnsembleAuthenticationProvider",
    "ensembleAuthName": "blue",
}
CONFIG = {"tickTime": 200, "minSessionTimeout": 400}

COUNTED = [
    "packets_received", "packets_sent", "num_alive_connections", "outstanding_requests", "znode_count", "watch_count",
    "ephemerals_count", "approximate_data_size", "global_sessions", "local_sessions", "connection_drop_probability",
    "last_client_response_size", "min_client_response_size", "max_client_response_size", "auth_failed_count",
    "bytes_received_count", "response_bytes", "watch_bytes", "commit_count", "snap_count",
    "connection_request_count", "connection_revalidate_count", "connection_drop_count", "connection_rejected",
    "sum_connection_token_deficit", "cnt_connection_token_deficit",
    "ensemble_auth_success", "ensemble_auth_fail", "ensemble_auth_skip",
    "cnt_readlatency", "cnt_updatelatency", "cnt_propagation_latency",
    "cnt_sync_processor_batch_size", "sum_sync_processor_batch_size", "cnt_sync_processor_queue_and_flush_time_ms",
    "cnt_sync_processor_queue_flush_time_ms", "cnt_fsynctime",
    "outstanding_changes_queued", "outstanding_changes_removed", "digest_mismatches_count", "unrecoverable_error_count",
    *(f"{part}_node_{kind}_watch_count" for kind in ("created", "deleted", "changed", "children")
      for part in ("avg", "min", "max", "cnt", "sum")),
    *(f"{part}_{name}_{kind}_per_namespace" for name in "ab" for kind in ("read", "write")
      for part in ("avg", "min", "max", "cnt", "sum")),
    *(f"{name}_quota_{kind}_per_namespace" for name in "ab"
      for kind in ("count_limit", "bytes_limit", "count_usage", "bytes_usage")),
    "a_quota_exceeded_error_per_namespace", "c_quota_count_usage_per_namespace", "d_quota_bytes_limit_per_namespace",
]

NODES = [
    ("/a", b"x"), ("/b", b"1"), ("/b/c", b"12"), ("/b/longer-name", b""),
    ("/zookeeper/quota/a", b""),
    ("/zookeeper/quota/a/zookeeper_limits", b"count=5,bytes=10=;byteHardLimit=12;countHardLimit=4"),
    ("/zookeeper/quota/a/zookeeper_stats", b"count=0,bytes=0"),
    ("/zookeeper/quota/b", b""), ("/zookeeper/quota/b/c", b""),
    ("/zookeeper/quota/b/c/zookeeper_limits", b"count=5,bytes=10"),
    ("/zookeeper/quota/b/c/zookeeper_stats", b"count=0,bytes=0"),
    ("/b/\u00fcber", b"two bytes and one letter"),
    # One without limits, and one without usage.
    ("/c", b""), ("/zookeeper/quota/c", b""), ("/zookeeper/quota/c/zookeeper_stats", b"count=0,bytes=0"),
    ("/zookeeper/quota/d", b""), ("/zookeeper/quota/d/zookeeper_limits", b"count=5,bytes=10"),
]


def body(path, *rest):
    writer = Writer().ustring(path)
    for each in rest:
        writer = writer.boolean(each) if isinstance(each, bool) else writer.int(each)
    return bytes(writer.bytes)


def work(port):
    """Everything that the figures count, one request after another; gives the sessions that stay.

    The usage below `/a` keeps one digit: Java does not see the size of its own text change.
    """
    writer, watcher = wire.Session(port, 30_000), wire.Session(port, 30_000)
    for path, data in NODES:
        assert writer.create(path, data).err == 0
    refused = [writer.create(f"/a/{number}", b"12").err for number in range(5)]
    assert refused == [0, 0, 0, -125, -125]
    for path in ("/a", "/b", "/b/c"):
        assert watcher.call(wire.GET_DATA, body(path, True)).err == 0
        assert watcher.call(wire.GET_CHILDREN2, body(path, True)).err == 0
    assert watcher.call(wire.EXISTS, body("/later", True)).err == -101
    assert watcher.call(wire.EXISTS, body("/a", False)).err == 0
    assert watcher.call(wire.ADD_WATCH, body("/b", 0)).err == 0
    assert watcher.call(wire.ADD_WATCH, body("/b", 1)).err == 0
    for path in ("/later", "/b/more"):
        assert writer.create(path, b"late", flags=1).err == 0
    set_data = Writer().ustring("/a").buffer(b"yz").int(-1).bytes
    assert writer.call(wire.SET_DATA, set_data).err == 0
    for path in ("/b/more", "/b/c"):
        assert writer.call(wire.DELETE, body(path, -1)).err == 0
    assert writer.call(wire.DELETE, body("/nothing", -1)).err == -101
    assert watcher.call(wire.PING, b"", wire.PING_XID).err == 0
    assert watcher.auth("ensemble", "blue").err == 0
    assert watcher.auth("ensemble", "").err == 0
    ended = wire.Session(port, 30_000)
    assert ended.create("/b/goes", b"with its session", flags=1).err == 0
    ended.end()
    undone = wire.multi_body([(wire.CREATE, wire.create_body("/b/undone", b"")), (wire.CHECK, body("/b", 77))])
    assert writer.call(wire.MULTI, undone).err == 0
    # Events are sent before the answers that follow them; this one follows them all.
    assert watcher.call(wire.EXISTS, body("/", False)).err == 0
    return writer, watcher


def come_and_go(server):
    """A client that vanishes and returns, and one that is turned away; gives the one that stays."""
    gone = wire.Session(server.port, 30_000)
    gone.close()
    await_figure(server, "connection_drop_count", "1")
    back = wire.Session(server.port, 30_000, gone.session_id, gone.password)
    assert back.session_id == gone.session_id
    stranger = wire.Session(server.port, 30_000)
    stranger.submit(wire.AUTH, Writer().int(0).ustring("ensemble").buffer(b"red").bytes, wire.AUTH_XID)
    assert stranger.frame() is None
    stranger.close()
    await_figure(server, "num_alive_connections", "2")
    return back


def await_figure(server, name, value):
    """Waits for what a server sees in its own time."""
    deadline = time.monotonic() + 20
    while figures(server)[name] != value:
        assert time.monotonic() < deadline, f"{name} is {figures(server)[name]}"


# What `work` is sent, with the answer to the `srst` before it.
SENT = 61


def figures_of_work(server):
    """The figures behind `work`. Java counts an answer only when its client may have it already: what was sent is read again
    until it is all there, less the looks themselves, each of which is an answer too."""
    shown = figures(server)
    deadline, looks, sent = time.monotonic() + 20, 0, int(shown["packets_sent"])
    while sent < SENT:
        assert time.monotonic() < deadline, f"sent {sent} of {SENT}"
        looks += 1
        sent = int(figures(server)["packets_sent"]) - looks
    return {**shown, "packets_sent": str(sent)}


@pytest.fixture(scope="module")
def worked(kind, tmp_path_factory):
    """The figures of Java and of the server under test: after clients came and went, after the work, and after `srst`."""
    shown = {}
    for each in dict.fromkeys(("java395", kind)):
        server = Server(each, tmp_path_factory.mktemp(each), config=CONFIG, properties=PROPERTIES).start()
        four_letter_word(server.port, "srst")
        back = come_and_go(server)
        shown[each, "gone"] = figures(server)
        four_letter_word(server.port, "srst")
        sessions = work(server.port)
        shown[each] = figures_of_work(server)
        four_letter_word(server.port, "srst")
        shown[each, "srst"] = figures(server)
        for session in (back, *sessions):
            session.close()
        server.kill()
    return shown


def test_who_comes_and_goes_is_counted(worked, kind):
    names = (
        "connection_request_count", "connection_revalidate_count", "connection_drop_count", "ensemble_auth_fail",
        "num_alive_connections", "global_sessions", "stale_sessions_expired", "cnt_connection_token_deficit")
    expected, actual = worked["java395", "gone"], worked[kind, "gone"]
    assert {name: expected[name] for name in names} == {name: actual[name] for name in names}
    assert expected["connection_drop_count"] == expected["ensemble_auth_fail"] == "1"


def test_figures_of_ensemble_names_come_in_one_order(worked, kind):
    first, second = [[name for name in worked[each] if name.startswith("ensemble_auth_")] for each in ("java395", kind)]
    assert first == second == ["ensemble_auth_fail", "ensemble_auth_skip", "ensemble_auth_success"]


def test_the_same_work_gives_the_same_figures(worked, kind):
    expected, actual = worked["java395"], worked[kind]
    differences = {name: (expected.get(name), actual.get(name)) for name in COUNTED if expected.get(name) != actual.get(name)}
    assert differences == {}
    assert [name for name in COUNTED if name not in expected] == []


def test_srst_counts_from_zero_and_leaves_gauges(worked, kind):
    expected, actual = worked["java395", "srst"], worked[kind, "srst"]
    assert expected.keys() == {name for name in actual if is_javas(name)}
    differing = {name for name in expected if expected[name] != actual[name]}
    assert differing <= {"version", "uptime", "open_file_descriptor_count", *OF_STAGES}, differing


# What only Java's queues count is there before the word is answered.
OF_STAGES = {
    f"{part}_{name}"
    for name in ("prep_processor_queue_size", "sync_processor_queue_size", "prep_processor_queue_time_ms")
    for part in ("avg", "min", "max", "cnt", "sum", "p50", "p95", "p99", "p999")}


def test_a_session_that_is_silent_expires_and_is_counted(start, kind):
    server = start(kind, config=CONFIG)
    silent = wire.Session(server.port, 400)
    assert silent.frame() is None, "the server closes the connection"
    shown = figures(server)
    assert (shown["stale_sessions_expired"], shown["global_sessions"]) == ("1", "0")


def started(server):
    """What the figures say about a start."""
    shown = figures(server)
    names = ("dbinittime", "startup_snap_load_time", "startup_txns_load_time", "snapshottime")
    return {**{name: shown[f"cnt_{name}"] for name in names}, "txns": shown["sum_startup_txns_loaded"]}


@pytest.mark.parametrize("each", ["java395", "X"])
def test_a_start_tells_what_it_loaded(start, kind, each):
    server = start(kind if each == "X" else each)
    assert started(server) == {
        "dbinittime": "1", "startup_snap_load_time": "1", "startup_txns_load_time": "0", "snapshottime": "1", "txns": "0"}
    session = wire.Session(server.port, 30_000)
    for number in range(9):
        session.create(f"/{number}")
    server.kill()
    server.start()
    again = started(server)
    assert again.pop("snapshottime") in ("0", "1"), "Java takes a snapshot at every start"
    assert again == {"dbinittime": "1", "startup_snap_load_time": "1", "startup_txns_load_time": "1", "txns": "10"}


@pytest.mark.parametrize("each", ["java395", "X"])
def test_a_digest_that_does_not_match_is_counted_and_told(start, kind, each):
    server = start(kind if each == "X" else each, properties={"preAllocSize": 64})
    session = wire.Session(server.port, 30_000)
    for number in range(5):
        session.create(f"/{number}")
    server.kill()
    (log,) = (server.data_dir / "version-2").glob("log.*")
    spoil_digest(log, record=3)
    server.start()
    assert figures(server)["digest_mismatches_count"] == "1"
    assert "Digests are not matching" in server.log_text()


def spoil_digest(log, record):
    """Changes the digest of one record, and makes its checksum right again."""
    data = bytearray(log.read_bytes())
    offset = 16
    for _ in range(record):
        offset += 12 + struct.unpack_from(">i", data, offset + 8)[0] + 1
    length = struct.unpack_from(">i", data, offset + 8)[0]
    entry = slice(offset + 12, offset + 12 + length)
    data[entry.stop - 1] ^= 1
    struct.pack_into(">q", data, offset, zlib.adler32(data[entry]))
    log.write_bytes(data)
