"""What Prometheus reads at `/metrics` is what Java's provider shows it: names, types, labels, and values behind the same work.

Dashboards and alerts are written against these names. Left out of the values are those that measure time, the process, or a
stage that only Java has.
"""

import contextlib
import math
import socket
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from harness import wire
from harness.observing import is_javas, status_bytes
from harness.servers import four_letter_word
from operations import test_figures
from operations.conftest import figures

from .conftest import HttpServer, ask

# Of a Java machine, with nothing that would be their like in a process.
NOT_OF_A_PROCESS = {
    "jvm_info", "jvm_memory_bytes_init", "jvm_threads_daemon", "jvm_threads_peak", "jvm_threads_started", "jvm_threads_deadlocked",
    "jvm_threads_deadlocked_monitor", "jvm_threads_state", "jvm_classes_loaded", "jvm_classes_unloaded",
    "jvm_buffer_pool_used_bytes", "jvm_buffer_pool_capacity_bytes", "jvm_buffer_pool_used_buffers",
    "jvm_memory_pool_allocated_bytes", "jvm_memory_pool_bytes_used", "jvm_memory_pool_bytes_committed",
    "jvm_memory_pool_bytes_max", "jvm_memory_pool_bytes_init"}
# How sizes spread below each child of the root is not kept: a client makes as many of them as it likes.
WITHOUT_QUANTILE = {"read_per_namespace", "write_per_namespace"}

# The harness asks until a server serves, with packets of its own.
PACKETS = {"packets_received", "packets_sent", "bytes_received_count", "connection_drop_count"}
# The figures of `mntr` that are the same behind the same work, under the names that they have here.
COUNTED = {name for name in test_figures.COUNTED if name.split("_")[0] not in ("avg", "min", "max", "cnt", "sum")
           and "_per_namespace" not in name and name not in PACKETS} | {"min_client_response_size", "max_client_response_size"}
SUMMED = {"node_created_watch_count", "node_deleted_watch_count", "node_changed_watch_count", "node_children_watch_count",
          "read_per_namespace", "write_per_namespace", "sync_processor_batch_size", "connection_token_deficit"}
NUMBERED = SUMMED | {"readlatency", "updatelatency", "propagation_latency", "sync_processor_queue_and_flush_time_ms", "fsynctime"}
BY_NAMESPACE = {"quota_exceeded_error_per_namespace", *(
    f"quota_{kind}_per_namespace" for kind in ("count_limit", "bytes_limit", "count_usage", "bytes_usage"))}


def families(server):
    """Everything at `/metrics`, by name."""
    status, headers, text = ask(server.metrics_port, "/metrics")
    assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    return {family.name: family for family in text_string_to_metric_families(text.decode())}


def samples(shown):
    """Values by name and labels; the parser gives counters an ending that they do not have."""
    return {(sample.name.removesuffix("_total"), *sorted(sample.labels.items())): sample.value
            for family in shown.values() for sample in family.samples}


@pytest.fixture(scope="module")
def servers(start_both):
    """Both servers, behind the same work."""
    both = start_both(properties=test_figures.PROPERTIES)
    sessions = [session for server in both.values() for session in test_figures.work(server.port)]
    yield both
    for session in sessions:
        session.close()


@pytest.fixture(scope="module")
def shown(servers):
    """What both show, by kind."""
    return {each: families(server) for each, server in servers.items()}


def of_process(name):
    return name.startswith(("jvm_", "process_")) and name != "jvm_pause_time_ms"


def is_own(name):
    return not is_javas(name)


def test_names_and_types_are_javas(shown, kind):
    expected, actual = shown["java395"], shown[kind]
    types = {name: family.type for name, family in expected.items() if name not in NOT_OF_A_PROCESS}
    assert {name: family.type for name, family in actual.items() if name not in NOT_OF_A_PROCESS and not is_own(name)} == types
    assert {"zabd_writes_refused", "zabd_log_disk_free_bytes", "zabd_set_aside_directories"} <= actual.keys() or kind == "java395"
    # The parser takes an ending away that a name happens to have.
    assert all(family.documentation in (name, f"{name}_total") for name, family in actual.items() if not of_process(name))
    assert NOT_OF_A_PROCESS <= expected.keys(), "the table of what has no like"


def test_labels_are_javas(shown, kind):
    def labels(shown):
        return {key[0]: {tuple(name for name, _ in sorted(sample.labels.items())) for sample in family.samples}
                for family in shown.values() for sample in family.samples for key in [(sample.name,)]}

    def told(shown):
        return {key for key in samples(shown) if not of_process(key[0]) and not is_own(key[0])}

    expected, actual = shown["java395"], shown[kind]
    assert told(expected) == told(actual)
    assert labels(actual)["jvm_memory_bytes_used"] == labels(expected)["jvm_memory_bytes_used"] == {("area",)}


def test_the_same_work_gives_the_same_values(shown, kind):
    def counted(shown):
        return {key: value for key, value in samples(shown).items()
                if key[0] in COUNTED | BY_NAMESPACE
                or (key[0].endswith("_count") and key[0].removesuffix("_count") in NUMBERED)
                or (key[0].endswith("_sum") and key[0].removesuffix("_sum") in SUMMED)}

    expected = counted(shown["java395"])
    assert counted(shown[kind]) == expected
    missing = {name for name in COUNTED | BY_NAMESPACE if not any(key[0] == name for key in expected)}
    assert missing == set()


def test_quantiles_are_numbers_where_something_happened(shown, kind):
    def kinds(shown):
        return {key: math.isnan(value) for key, value in samples(shown).items()
                if "quantile" in dict(key[1:]) and key[0] not in WITHOUT_QUANTILE}

    expected, actual = kinds(shown["java395"]), kinds(shown[kind])
    # What a stage of Java's counts, which the other has not.
    stages = {key for key in expected if expected[key] != actual[key]}
    assert {key[0] for key in stages} <= {
        "prep_processor_queue_time_ms", "prep_processor_queue_size", "prep_process_time", "proposal_process_time",
        "close_session_prep_time", "request_throttle_queue_time_ms"}
    values = samples(shown[kind])
    spread = [values["updatelatency", ("quantile", quantile)] for quantile in ("0.5", "0.9", "0.99")]
    assert spread == sorted(spread)


def test_the_process_is_told_of(shown, kind):
    values = samples(shown[kind])
    assert values["process_resident_memory_bytes",] > 1e6
    assert values["process_start_time_seconds",] > 1.7e9
    assert values["jvm_memory_bytes_used", ("area", "heap")] < values["jvm_memory_bytes_max", ("area", "heap")]


def test_mntr_names_the_same_samples(servers, kind):
    def keys(server):
        return {key: "." in value or value == "NaN" for key, value in figures(server).items() if not of_process(key)}

    facts = {"version", "server_state"}
    expected, actual = keys(servers["java395"]), keys(servers[kind])
    assert {key for key in actual if not is_own(key)} == expected.keys()
    assert all(is_real for key, is_real in actual.items() if key not in facts)
    assert 'readlatency{quantile="0.99"}' in actual and 'read_per_namespace_sum{key="b"}' in actual


PATHS = [
    ("GET", "/metrics"), ("HEAD", "/metrics"), ("POST", "/metrics"), ("PUT", "/metrics"), ("DELETE", "/metrics"),
    ("TRACE", "/metrics"), ("OPTIONS", "/metrics"), ("GET", "/"), ("GET", "/metrics/"), ("GET", "/metrics/x"), ("GET", "/metricsx")]


def test_paths_and_methods_are_javas(servers, kind):
    def statuses(server):
        return [ask(server.metrics_port, path, method)[0] for method, path in PATHS]

    assert statuses(servers[kind]) == statuses(servers["java395"])


def test_samples_are_chosen_by_name(servers, kind):
    for words in ("name[]=znode_count", "name%5B%5D=znode_count&name[]=readlatency_count", "name[]=nothing", "name[]=readlatency",
                  "name[]=read_per_namespace_sum"):
        texts = {each: ask(server.metrics_port, f"/metrics?{words}")[2].decode() for each, server in servers.items()}
        lines = {each: sorted(text.splitlines()) for each, text in texts.items()}
        if "latency" in words:
            lines = {each: [line.split(" ")[0] for line in some] for each, some in lines.items()}
        assert lines[kind] == lines["java395"], words


def test_srst_leaves_what_prometheus_reads(start_both, kind):
    def left(server):
        session = wire.Session(server.port, 30_000)
        assert session.create("/a", b"x").err == 0
        assert session.call(wire.EXISTS, bytes(wire.Writer().ustring("/a").boolean(False).bytes)).err == 0
        four_letter_word(server.port, "srst")
        values = samples(families(server))
        session.close()
        names = ("max_client_response_size", "readlatency_count", "updatelatency_count", "response_bytes", "connection_request_count",
                 "outstanding_changes_queued", "max_latency")
        return {name: values[name,] for name in names} | {
            "namespace": values["write_per_namespace_count", ("key", "a")]}

    both = start_both()
    expected = left(both["java395"])
    assert left(both[kind]) == expected
    assert (expected["max_client_response_size"], expected["readlatency_count"]) == (-1.0, 1.0)


def test_without_a_provider_there_are_no_figures(start_both, kind):
    both = start_both(provider="org.apache.zookeeper.metrics.impl.NullMetricsProvider")
    assert figures(both[kind]).keys() == figures(both["java395"]).keys() == {"version", "server_state"}
    with pytest.raises(ConnectionRefusedError):
        ask(both[kind].metrics_port, "/metrics")


def test_a_port_that_is_taken_ends_the_start(kind, tmp_path):
    server = HttpServer(kind, tmp_path)
    with socket.create_server(("127.0.0.1", server.metrics_port)):
        server.start(wait=False)
        assert server.process.wait(60) != 0
    if kind == "zabd":
        said = server.log_text()
        assert f"zoo.cfg:10: metricsProvider.httpPort={server.metrics_port} cannot be opened on 127.0.0.1:" in said, said
    assert not list(server.data_dir.glob("version-2/log.*")), "nothing was touched"
    server.process = None


def test_slow_and_oversize_requests_cost_nothing(servers, kind):
    """A crowd that holds connections open, and heads without an end, keep nobody from being answered, and take no memory. Those for
    whom there is no place any more are closed, and all are counted."""
    server, port = servers[kind], servers[kind].metrics_port

    def refused():
        return int(samples(families(server))["zabd_http_requests_refused",])

    before = (refused(), status_bytes(server.process.pid, "VmRSS")) if kind == "zabd" else None
    crowd = [socket.create_connection(("127.0.0.1", port), 60) for _ in range(100)]
    for each in crowd:
        each.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
    assert ask(port, "/metrics")[0] == 200
    assert ask(port, "/metrics", headers={"X": "x" * 100_000})[0] == 431
    if before:
        # What it has sent may not have been read.
        with contextlib.suppress(ConnectionResetError):
            assert crowd[0].recv(1) == b""
        assert refused() - before[0] >= 100 - 64 + 1
        assert status_bytes(server.process.pid, "VmRSS") - before[1] < 16 << 20
    for each in crowd:
        each.close()


def fill(session, folder, count):
    """Makes so many znodes, a thousand at a time."""
    for begin in range(0, count, 1000):
        creates = [(wire.CREATE, wire.create_body(f"{folder}/{number}", b"x")) for number in range(begin, begin + 1000)]
        assert session.call(wire.MULTI, wire.multi_body(creates)).err == 0


def cpu_ns(server):
    """What each thread of a process has computed so far."""
    tasks = Path(f"/proc/{server.process.pid}/task").iterdir()
    return {task.name: int((task / "schedstat").read_text().split()[0]) for task in tasks}


def cost_ns(server):
    """What 50 answers cost: computed time, for others want this machine as well."""
    before = cpu_ns(server)
    for _ in range(50):
        assert ask(server.metrics_port, "/metrics")[0] == 200
    return sum(now - before.get(thread, now) for thread, now in cpu_ns(server).items())


def test_an_answer_costs_the_same_however_many_znodes_there_are(kind, tmp_path):
    """To look at each of 100,000 would cost ten times what an answer costs."""
    if kind != "zabd":
        pytest.skip("Java looks at every znode for their size")
    with HttpServer(kind, tmp_path) as server:
        session = wire.Session(server.port, 60_000)
        assert session.create("/few").err == 0
        fill(session, "/few", 1000)
        cost_ns(server)
        few = cost_ns(server)
        assert session.create("/many").err == 0
        fill(session, "/many", 100_000)
        # What the writes left to do is done by then.
        cost_ns(server)
        assert cost_ns(server) < 4 * few
