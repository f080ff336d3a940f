"""A pytest plugin that lets kazoo's own suite run against a server of ours.

kazoo's harness starts an ensemble of Java servers with TLS and SASL. Here `ZookeeperCluster` is as many servers as
ZABD_KAZOO_SIZE says, of the kind in ZABD_KAZOO_SERVER, or of the kinds there in turn (`zabd,java395`), without TLS; the tests
themselves are untouched. Outcomes go to the file in ZABD_KAZOO_OUTCOMES, one `outcome nodeid` per line.
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

KINDS = os.environ["ZABD_KAZOO_SERVER"].split(",")
os.environ["ZOOKEEPER_PATH"] = "replaced by this plugin"
os.environ["ZOOKEEPER_VERSION"] = "3.8.0"
os.environ["ZOOKEEPER_CLUSTER_SIZE"] = os.environ["ZABD_KAZOO_SIZE"]
for name in ("ZOOKEEPER_CLASSPATH", "ZOOKEEPER_JAAS_AUTH", "CI"):
    os.environ.pop(name, None)


class OurServer(common.ManagedZooKeeper):
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
            if self.jaas_config:
                jaas = Path(self.working_path) / "jaas.conf"
                jaas.write_text(self.jaas_config)
                properties["java.security.auth.login.config"] = jaas
                # As in the zoo.cfg that kazoo would have written.
                properties["authProvider.1"] = "org.apache.zookeeper.server.auth.SASLAuthenticationProvider"
            if self.peers:
                entries.update({"initLimit": 4, "syncLimit": 2, **self.members()})
                properties["readonlymode.enabled"] = "true"
            kind = KINDS[(self.server_info.server_id - 1) % len(KINDS)]
            self.server = Server(kind, self.working_path, port=self.client_port, config=entries, properties=properties)
            self.server.data_dir.mkdir(exist_ok=True)
            (self.server.data_dir / "myid").write_text(str(self.server_info.server_id))
        self.server.start(wait=not self.peers)
        self._running = True

    def members(self):
        """As kazoo writes them."""
        return {
            f"server.{each.server_id}": f"localhost:{each.leader_port}:{each.election_port}:{each.peer_type}"
            for each in (self.server_info, *self.peers)}

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
    for server in cluster:
        server.server.await_serving()


def with_free_ports(server_id, _client, secure, _election, _leader, admin, peer_type):
    """kazoo counts ports from an offset; there may be somebody there."""
    return Ports(server_id, free_port(), secure, free_port(), free_port(), admin, peer_type)


Ports, common.ServerInfo = common.ServerInfo, with_free_ports
common.ManagedZooKeeper = OurServer
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
