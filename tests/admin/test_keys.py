"""Keys of the AdminServer and of the port for Prometheus that change what is seen of them, beside Java."""

import socket
import time

import pytest

from harness import wire
from harness.servers import SUPER_AUTH
from harness.wire import Writer

from .conftest import DEFAULT, PROMETHEUS, ask
from .test_commands import command


def is_open(host, port):
    try:
        socket.create_connection((host, port), 5).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.parametrize("asked_for, elsewhere", [("127.0.0.1", False), ("0.0.0.0", True)])
def test_ports_are_opened_where_they_are_asked_for(start_both, asked_for, elsewhere):
    admin = {"serverAddress": asked_for}
    config = {"clientPortAddress": asked_for, "metricsProvider.httpHost": asked_for}
    for server in start_both(provider=PROMETHEUS, admin=admin, config=config).values():
        for port in (server.port, server.admin_port, server.metrics_port):
            assert is_open("127.0.0.1", port) and is_open("127.0.0.2", port) == elsewhere, server.kind


def test_whoever_says_nothing_is_closed_when_his_time_is_over(start_both):
    pair = start_both(provider=DEFAULT, admin={"idleTimeout": 700})
    silent = [socket.create_connection(("127.0.0.1", server.admin_port), 20) for server in pair.values()]
    began = time.monotonic()
    for connection in silent:
        assert connection.recv(1) == b""
        assert 0.6 < time.monotonic() - began < 10, "by default it is half a minute"
        connection.close()


def test_figures_of_the_process_may_be_left_out(start_both):
    for server in start_both(provider=PROMETHEUS, config={"metricsProvider.exportJvmInfo": "false"}).values():
        names = {line.partition(b" ")[0] for line in ask(server.metrics_port, "/metrics")[2].splitlines() if not line.startswith(b"#")}
        of_process = {name for name in names if name.startswith((b"jvm_", b"process_"))}
        assert {name for name in of_process if not name.startswith(b"jvm_pause_time_ms")} == set()
        assert any(name.startswith(b"znode_count") for name in names)


@pytest.mark.parametrize("key, value", [("numWorkerThreads", "x"), ("maxQueueSize", "0"), ("workerShutdownTimeoutMs", "1s")])
def test_threads_that_java_cannot_make_end_the_start(start_both, key, value):
    for server in start_both(is_waited_for=False, config={f"metricsProvider.{key}": value}).values():
        assert server.process.wait(60) == 2, server.kind


def test_without_threads_their_queue_does_not_matter(start_both):
    start_both(config={"metricsProvider.numWorkerThreads": "0", "metricsProvider.maxQueueSize": "0"})


@pytest.mark.parametrize("trusted, status", [("true", 200), ("false", 403)])
def test_whom_a_proxy_names_is_believed_where_proxies_are(start_both, trusted, status):
    pair = start_both(provider=DEFAULT, admin={}, properties={"IPAuthenticationProvider.usexforwardedfor": trusted})
    for server in pair.values():
        session = wire.Session(server.port)
        session.auth(*SUPER_AUTH)
        root = Writer().ustring("/").int(1).int(31).ustring("ip").ustring("192.0.2.7").int(-1)
        assert session.call(wire.SET_ACL, root.bytes).err == 0
        session.close()
        headers = {"Authorization": "ip x", "X-Forwarded-For": "192.0.2.7, 10.0.0.1"}
        assert ask(server.admin_port, "/commands/snapshot?streaming=false", headers=headers)[0] == status, server.kind
        assert command(server, "ruok")[0] == 200
