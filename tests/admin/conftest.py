"""Servers that are asked over HTTP: Java 3.9.5 with Jetty and its Prometheus provider, and the server under test, side by side."""

import http.client

import pytest

from harness import places
from harness.servers import Server, free_port

PROMETHEUS = "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider"


DEFAULT = "org.apache.zookeeper.metrics.impl.DefaultMetricsProvider"


class HttpServer(Server):
    """A server with a port for Prometheus, and one for commands."""

    def __init__(self, kind, directory, provider=PROMETHEUS, config=None, admin=None, **arguments):
        """`admin` holds the AdminServer's keys without `admin.`; without any there is no AdminServer."""
        self.metrics_port, self.admin_port = free_port(), free_port()
        ports = {
            "metricsProvider.className": provider,
            "metricsProvider.httpHost": "127.0.0.1",
            "metricsProvider.httpPort": self.metrics_port,
        }
        if admin is not None:
            keys = {"enableServer": "true", "serverAddress": "127.0.0.1", "serverPort": self.admin_port, **admin}
            ports |= {f"admin.{key}": value for key, value in keys.items()}
        super().__init__(kind, directory, config={**ports, **(config or {})}, **arguments)

    def write_config(self):
        """A member has a number, which somebody else may have given it."""
        super().write_config()
        if "server.1" in self.config and not (self.data_dir / "myid").exists():
            (self.data_dir / "myid").write_text("1\n")

    def command(self):
        """Java needs more jars than usual."""
        return [places.JAVA395_HTTP_CLASSPATH if word == places.JAVA395_CLASSPATH else word for word in super().command()]


def ask(port, path, method="GET", body=None, headers=None):
    """Status, headers and text of one answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def start_both(kind, tmp_path_factory):
    """`start_both(...)`: Java and the server under test, by kind, started alike; they end with the module. What is a function
    is asked for each of them."""
    servers = []

    def start(is_waited_for=True, **arguments):
        started = {}
        for each in dict.fromkeys(("java395", kind)):
            given = {name: value() if callable(value) else value for name, value in arguments.items()}
            servers.append(HttpServer(each, tmp_path_factory.mktemp(each), **given).start(wait=False))
            started[each] = servers[-1]
        for server in started.values():
            if is_waited_for:
                server.await_serving()
        return started

    yield start
    for server in servers:
        server.kill()
