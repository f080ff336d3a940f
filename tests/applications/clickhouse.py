"""ClickHouse: two replicas of a table insert through a client of ZooKeeper of their own, written in C++."""

import subprocess

import pytest
from harness.servers import free_port
from harness.waiting import eventually

from .applications import Work, ensemble_of, program, there_and_back

ROWS = 1000
CONFIG = """<yandex>
  <logger><level>information</level><console>1</console></logger>
  <http_port>{http}</http_port><tcp_port>{tcp}</tcp_port><interserver_http_port>{interserver}</interserver_http_port>
  <interserver_http_host>127.0.0.1</interserver_http_host><listen_host>127.0.0.1</listen_host>
  <path>{path}/data/</path><tmp_path>{path}/tmp/</tmp_path><mark_cache_size>5000000</mark_cache_size>
  <users_config>{path}/users.xml</users_config><default_profile>default</default_profile><default_database>default</default_database>
  <zookeeper>{nodes}<session_timeout_ms>10000</session_timeout_ms></zookeeper>
  <macros><shard>1</shard><replica>{number}</replica></macros>
</yandex>
"""
USERS = """<yandex>
  <profiles><default/></profiles><quotas><default/></quotas>
  <users><default><password/><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></default></users>
</yandex>
"""
TABLE = """CREATE TABLE t (d Date, k UInt64) ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/t', '{replica}')
PARTITION BY toYYYYMM(d) ORDER BY k"""


class Replica:
    """One server of ClickHouse."""

    def __init__(self, number, directory, ensemble):
        directory.mkdir()
        self.port = free_port()
        nodes = "".join(
            f'<node index="{index}"><host>127.0.0.1</host><port>{server.port}</port></node>'
            for index, server in ensemble.members.items())
        (directory / "users.xml").write_text(USERS)
        (directory / "config.xml").write_text(CONFIG.format(
            http=free_port(), tcp=self.port, interserver=free_port(), path=directory, nodes=nodes, number=number))
        self.process = program(["clickhouse-server", f"--config-file={directory}/config.xml"], directory / "log", cwd=directory)

    def ask(self, query):
        """What the query gives; `CalledProcessError` if it fails."""
        done = subprocess.run(
            ["clickhouse-client", "--port", str(self.port), "--query", query], capture_output=True, text=True, check=True, timeout=60)
        return done.stdout.strip()

    def answers(self, query):
        """What the query gives, or nothing if it fails."""
        try:
            return self.ask(query)
        except subprocess.CalledProcessError:
            return ""


@pytest.fixture(name="replicas")
def replicas_fixture(tmp_path):
    with ensemble_of(["java395"] * 3, tmp_path) as ensemble:
        replicas = [Replica(number, tmp_path / f"replica{number}", ensemble) for number in (1, 2)]
        try:
            yield ensemble, replicas
        finally:
            for replica in replicas:
                replica.process.kill()
                replica.process.wait()


def test_replicas_take_every_insert_once(replicas):
    """An insert that failed is asked again; ZooKeeper's znodes of blocks tell whether it was done."""
    ensemble, servers = replicas
    for server in servers:
        eventually(lambda server=server: server.answers("SELECT 1") == "1", 60)
        server.ask(TABLE)

    def insert(number):
        query = f"INSERT INTO t SELECT toDate('2024-01-01') + {number % 50}, number + {number * ROWS} FROM numbers({ROWS})"
        eventually(lambda: not failure(servers[number % 2], query), 60)

    work = Work(insert, 120)
    work.start()
    there_and_back(ensemble, work)
    rows = work.end() * ROWS
    expected = f"{rows}\t{rows}\t{rows * (rows - 1) // 2}"
    for server in servers:
        eventually(lambda server=server: server.answers("SELECT count(), uniqExact(k), sum(k) FROM t") == expected, 60)
        assert server.ask("SELECT is_readonly, is_session_expired, active_replicas FROM system.replicas") == "0\t0\t2"
    for server in servers:
        server.process.terminate()
        server.process.wait(60)
    ensemble.assert_equal_trees()


def failure(server, query):
    """What an insert's failure says, nothing if it was done."""
    try:
        server.ask(query)
        return ""
    except subprocess.CalledProcessError as failed:
        return failed.stderr or "failed"
