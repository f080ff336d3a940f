"""HBase: its master and its region server hold their places, and clients find them, through ZooKeeper."""

import subprocess

import pytest
from harness import places
from harness.servers import die_with_parent, free_port

from .applications import Work, ensemble_of, program, there_and_back

JAVA = [
    "java", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dlog4j2.level=INFO",
    *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in ("java.lang", "java.nio", "jdk.internal.ref", "sun.nio.ch")),
    "-Dorg.apache.hbase.thirdparty.io.netty.tryReflectionSetAccessible=true"]
PROPERTY = "<property><name>{}</name><value>{}</value></property>"


@pytest.fixture(name="cluster")
def cluster_fixture(tmp_path):
    with ensemble_of(["java395"] * 3, tmp_path) as ensemble:
        folder = tmp_path / "hbase"
        folder.mkdir()
        settings = {
            "hbase.cluster.distributed": "true",
            "hbase.rootdir": f"file://{folder}/root",
            "hbase.tmp.dir": f"{folder}/tmp",
            "hbase.wal.provider": "filesystem",
            "hbase.unsafe.stream.capability.enforce": "false",
            "hbase.zookeeper.quorum": ",".join(server.hosts for server in ensemble.members.values()),
            "zookeeper.session.timeout": 10_000,
            "hbase.master.hostname": "localhost",
            "hbase.regionserver.hostname": "localhost",
            "hbase.master.port": free_port(),
            "hbase.master.info.port": -1,
            "hbase.regionserver.port": free_port(),
            "hbase.regionserver.info.port": -1,
        }
        lines = "".join(PROPERTY.format(name, value) for name, value in settings.items())
        (folder / "hbase-site.xml").write_text(f"<configuration>{lines}</configuration>")
        java = [*JAVA, "-cp", f"{folder}:{places.DEPS}/hbase/*"]
        processes = [
            program([*java, f"org.apache.hadoop.hbase.{role}", "start"], folder / f"{role.split('.')[1]}.log", cwd=folder)
            for role in ("master.HMaster", "regionserver.HRegionServer")]
        try:
            yield ensemble, java, folder
            assert [process.poll() for process in processes] == [None, None], "a server lost its session and ended"
        finally:
            for process in processes:
                process.kill()
                process.wait()


def test_tables_come_and_go(cluster):
    ensemble, java, folder = cluster
    with open(folder / "work.log", "ab") as log:
        worker = subprocess.Popen(
            [*java, str(places.TESTS / "applications" / "HBaseWork.java")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, bufsize=1, preexec_fn=die_with_parent)
    try:
        def table(number):
            worker.stdin.write(f"{number}\n")
            while (said := worker.stdout.readline()) != f"done {number}\n":
                assert said, "the work has ended"

        work = Work(table, 180)
        work.start()
        there_and_back(ensemble, work)
        done = work.end()
        listed, _ = worker.communicate(timeout=60)
        [tables] = [line.split()[1:] for line in listed.splitlines() if line.startswith("tables ")]
        assert set(tables) == {f"table-{number}" for number in range(0, done, 2)}
    finally:
        worker.kill()
        worker.wait()
