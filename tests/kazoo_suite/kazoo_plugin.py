"""A pytest plugin that lets kazoo's own suite run against a server of ours.

kazoo's harness starts an ensemble of Java servers with TLS and SASL. Here `ZookeeperCluster` is one standalone server of the
kind in ZABD_KAZOO_SERVER, without TLS and SASL; the tests themselves are untouched. Outcomes go to the file in
ZABD_KAZOO_OUTCOMES, one `outcome nodeid` per line.
"""

import os
import sys
import tempfile
import types
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness.servers import Server, free_port  # noqa: E402

# Imported at the top of kazoo's harness, used only to make the certificates of the TLS tests.
for name in ("OpenSSL", "jks"):
    sys.modules[name] = types.ModuleType(name)

import kazoo.testing.common as common  # noqa: E402

KIND = os.environ["ZABD_KAZOO_SERVER"]
os.environ["ZOOKEEPER_PATH"] = "replaced by this plugin"
os.environ["ZOOKEEPER_VERSION"] = "3.8.0"
os.environ["ZOOKEEPER_CLUSTER_SIZE"] = "1"
os.environ["ZOOKEEPER_PORT_OFFSET"] = str(free_port())
for name in ("ZOOKEEPER_CLASSPATH", "ZOOKEEPER_JAAS_AUTH", "CI"):
    os.environ.pop(name, None)


class StandaloneServer(common.ManagedZooKeeper):
    """What kazoo calls a managed ZooKeeper, run by our harness."""

    server = None

    def run(self):
        if self.running:
            return
        if self.server is None:
            os.makedirs(self.working_path, exist_ok=True)
            entries = dict(entry.split("=", 1) for entry in self.configuration_entries)
            properties = dict(
                word.removeprefix("-Dzookeeper.").split("=", 1) for word in self.java_system_properties)
            self.server = Server(KIND, self.working_path, port=self.client_port, config=entries, properties=properties)
        self.server.start()
        self._running = True

    def stop(self):
        if self.running:
            self.server.stop()
            self._running = False

    def destroy(self):
        super().destroy()
        self.server = None
        self.working_path = tempfile.mkdtemp()

    def get_logs(self, num_lines=100):
        return self.server.log_text().splitlines()[-num_lines:] if self.server else []


def start_cluster(cluster):
    """Starts without kazoo's pause of two seconds: our servers wait until they serve."""
    for server in cluster:
        server.run()


common.ManagedZooKeeper = StandaloneServer
common.ZookeeperCluster.start = start_cluster
common.ZookeeperCluster.perform_ssl_certs_generation = lambda cluster: None


def pytest_runtest_logreport(report):
    """Writes what became of each test; in the process that gathers the workers' reports only."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        return
    if report.when == "call" or report.outcome != "passed":
        nodeid = report.nodeid.split("kazoo/tests/")[-1]
        with open(os.environ["ZABD_KAZOO_OUTCOMES"], "a") as outcomes:
            outcomes.write(f"{report.outcome} {nodeid}\n")
