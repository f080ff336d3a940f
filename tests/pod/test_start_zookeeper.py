"""`start-zookeeper` does what the script of the tutorial's image does, and what its reader expects; then what the script cannot."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from kazoo.client import KazooClient

from harness.disk import AS_ROOT
from harness.waiting import eventually

from .conftest import as_pod, namespaces, ports

RECORDED = json.loads((Path(__file__).parent / "start-zookeeper.json").read_text())
GOLDEN = Path(__file__).parents[1] / "data" / "golden"
DOMAIN = "zk-hs.default.svc.cluster.local"
# In what zabd's files differ from the script's: text of the script, text of zabd, why.
DIFFERENCES = [
    (r"purgeInteval", "purgeInterval"),  # Misspelt, no server knows the key, and nothing is ever purged.
    (r"(SessionTimeout)= ", r"\1="),  # A blank that a reader must trim.
    (r'(-Xms\w+)"', r'\1 -Dzookeeper.4lw.commands.whitelist=conf,cons,crst,dirs,dump,envi,gtmk,isro,mntr,ruok,srst,srvr,stat,'
                    r'stmk,wchs -Dzabd.probes.port=0"'),  # ZooKeeper 3.4.10 answers these words without being told to.
    (r"Fialed to parse name and ordinal of Pod", 'the host is called "zookeeper", not NAME-ORDINAL as a pod of a StatefulSet'),
]


def as_zabd(text):
    """What the script wrote, as zabd writes it."""
    for old, new in DIFFERENCES:
        text = re.sub(old, new, text)
    return text


def with_ports(words, client, server, election):
    """The words with ports that nobody else has; they stand first, since some words end the options."""
    rest = re.sub(r"--(client|server|election)_port=\d+", "", words)
    return f"--client_port={client} --server_port={server} --election_port={election} {rest}"


def hide_ports(text):
    """A zoo.cfg without its ports."""
    return re.sub(r"clientPort=\d+|:\d+:\d+$", "PORTS", text, flags=re.MULTILINE)


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: f"{case['host']} {case['words'][-40:]}")
def test_it_leaves_what_the_script_leaves(pod, tmp_path, case):
    client, server, election = ports(3)
    root = tmp_path / "root"
    root.mkdir()
    words = with_ports(case["words"], client, server, election).replace("@", str(root))
    started = pod("start-zookeeper", *words.split(), port=client, ZABD_HOSTNAME=case["host"], ZABD_DOMAIN=DOMAIN)
    if case["status"]:
        assert started.process.wait(30) == case["status"]
        said = started.said()
        assert as_zabd(case["stdout"] + case["stderr"]).strip() in said.splitlines(), said
        assert list(root.iterdir()) == []
        return
    started.await_answers()
    said = started.said().replace(str(root), "@")
    assert said.startswith(hide_in_order(case, said)), said
    assert "Creating ZooKeeper log4j configuration\n" in said
    for name, text in case["files"].items():
        assert hide_ports((root / name).read_text().replace(str(root), "@")) == hide_ports(as_zabd(text)), name
    assert (root / "data/myid").exists() == ("data/myid" in case["files"])
    assert started.end() == 0


def hide_in_order(case, said):
    """What the script says on standard error, with the ports that were taken here."""
    taken = iter(re.findall(r"clientPort=\d+|:\d+:\d+$", said, flags=re.MULTILINE))
    return re.sub(r"clientPort=\d+|:\d+:\d+$", lambda _: next(taken), as_zabd(case["stderr"]), flags=re.MULTILINE)


def test_help_and_an_ordinal_that_is_none_of_the_servers(call):
    told = call("start-zookeeper", "-h")
    assert told.returncode == 0 and told.stdout.startswith("Usage: start-zookeeper [OPTIONS]\n")
    assert call("start-zookeeper", "--help").stdout == told.stdout
    refused = call("start-zookeeper", "--servers=3", ZABD_HOSTNAME="zk-3", ZABD_DOMAIN=DOMAIN)
    assert refused.returncode == 1 and "zk-3 is none of 3 servers, which are zk-0 to zk-2" in refused.stderr


def test_a_volume_of_another_pod_is_refused_and_stays_as_it_is(call, tmp_path):
    (tmp_path / "myid").write_text("3\n")
    words = ["--servers=3", f"--data_dir={tmp_path}", f"--data_log_dir={tmp_path}", f"--conf_dir={tmp_path / 'conf'}"]
    refused = call("start-zookeeper", *words, ZABD_HOSTNAME="zk-0", ZABD_DOMAIN=DOMAIN)
    assert refused.returncode == 1
    assert "this is server 1, but" in refused.stderr and "; hint: give server 3 its volume back" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["myid"]


def test_the_volume_of_a_server_of_3_4_that_never_took_a_snapshot(pod, room):
    """What the tutorial's own image leaves of a server that is not yet old."""
    (client,) = ports(1)
    logs = room / "data" / "log" / "version-2"
    shutil.copytree(GOLDEN / "java-3.4.14" / "standalone" / "version-2", logs)
    words = [f"--data_dir={room / 'data'}", f"--data_log_dir={room / 'data' / 'log'}", f"--conf_dir={room / 'conf'}",
             f"--log_dir={room / 'logs'}", f"--client_port={client}"]
    server = pod("start-zookeeper", *words, port=client, ZABD_HOSTNAME="zk-0").await_serving()
    zxid = server.answers("srvr").split("Zxid: ")[1].split()[0]
    assert server.end() == 0
    assert "logs of Java 3.4 without a snapshot" in server.said()
    assert list((room / "data" / "version-2").glob("snapshot.*")), "from now on there is one"
    again = pod("start-zookeeper", *words, port=client, ZABD_HOSTNAME="zk-0").await_serving()
    assert f"Zxid: {zxid}\n" in again.answers("srvr") and "without a snapshot" not in again.said()
    assert again.end() == 0
    # Without the first of them they are not all that there was.
    for path in (room / "data" / "version-2").glob("snapshot.*"):
        path.unlink()
    (logs / "log.1").unlink()
    refused = pod("start-zookeeper", *words, port=client, ZABD_HOSTNAME="zk-0")
    assert refused.process.wait(30) == 1 and "neither a snapshot nor another log holds what came before" in refused.said()


def test_a_server_that_will_not_serve_leaves_no_number(call, tmp_path):
    words = ["--servers=3", "--tick_time=x", *(f"--{name}={tmp_path / name}" for name in ("data_dir", "data_log_dir", "conf_dir"))]
    refused = call("start-zookeeper", *words, ZABD_HOSTNAME="zk-0", ZABD_DOMAIN=DOMAIN)
    assert refused.returncode == 2 and "--tick_time: tickTime=x is not a number" in refused.stderr
    assert list(tmp_path.iterdir()) == [], "nor a zoo.cfg that nobody can start from"


# --- Pods ----------------------------------------------------------------------------------------------------------------


def pod_words(room, name, client, server, election, servers=3):
    """The tutorial's words with other directories and ports."""
    places = [f"--{key}={room / name / place}" for key, place in [
        ("data_dir", "data"), ("data_log_dir", "data/log"), ("conf_dir", "conf"), ("log_dir", "log")]]
    return [f"--servers={servers}", *places, f"--client_port={client}", f"--server_port={server}",
            f"--election_port={election}", "--tick_time=200", "--purge_interval=12", "--log_level=INFO", "--heap=512M"]


def pod_hosts(room, number, known):
    """An /etc/hosts of a pod: its own line, as the kubelet writes it, and those that its DNS would know by now."""
    path = room / f"hosts-{number}"
    lines = [f"127.0.1.{each + 1}\tzk-{each}.{DOMAIN}\t{f'zk-{each}' if each == number else ''}\n" for each in known]
    path.write_text("127.0.0.1\tlocalhost\n" + "".join(lines))
    return path


def test_nothing_waits_for_a_nameserver_that_does_not_answer(pod, room):
    """Each name costs at least five seconds there; probes and the pod's own records wait for a server that listens."""
    (room / "resolv.conf").write_text("nameserver 192.0.2.1\n")
    [port] = ports(1)
    inside = namespaces(["--net", "--mount"], "ip link set lo up", "ip route add 192.0.2.0/24 dev lo",
                        f"mount --bind {shlex.quote(str(room / 'resolv.conf'))} /etc/resolv.conf")
    started = pod("start-zookeeper", *pod_words(room, "zk-0", port, 2888, 3888), port=port, inside=inside, ZABD_HOSTNAME="zk-0",
                  ZABD_DOMAIN="zk.example")
    eventually(lambda: "Listening for clients on" in started.said(), 30, started.said)
    took = int(re.search(r"Listening for clients on .* after (\d+)ms", started.said()).group(1))
    assert took < 4000, started.said()
    assert "this server's own name, does not resolve within 250ms" in started.said()


def test_three_pods_are_an_ensemble_as_soon_as_their_names_resolve(pod, call, room):
    server, election, *clients = ports(5)
    started = []
    for number, client in enumerate(clients):
        inside = as_pod(f"zk-{number}", pod_hosts(room, number, [number]))
        started.append(pod("start-zookeeper", *pod_words(room, f"zk-{number}", client, server, election), port=client,
                           inside=inside))
    for each in started:
        each.await_answers()
        assert call("zookeeper-ready", each.port).returncode == 0, "`ruok` says nothing about a quorum"
        assert "not currently serving" in each.answers("srvr")
    for number in range(3):
        pod_hosts(room, number, range(3))
    for each in started:
        each.await_serving()
    assert sorted(re.search(r"Mode: (\w+)", each.answers("srvr")).group(1) for each in started) == [
        "follower", "follower", "leader"]
    assert [(room / f"zk-{number}/data/myid").read_text() for number in range(3)] == ["1\n", "2\n", "3\n"]
    assert f"server.3=zk-2.{DOMAIN}:{server}:{election}\n" in (room / "zk-0/conf/zoo.cfg").read_text()
    writer, reader = KazooClient(f"127.0.0.1:{clients[0]}"), KazooClient(f"127.0.0.1:{clients[1]}")
    writer.start()
    reader.start()
    writer.create("/hello", b"world")
    reader.sync("/hello")
    assert reader.get("/hello")[0] == b"world"
    writer.stop()
    reader.stop()
    figures = call("zookeeper-metrics", clients[0])
    assert figures.returncode == 0 and re.search(r"^zk_server_state\t(leader|follower)$", figures.stdout, re.MULTILINE)
    eventually(lambda: "Purge task completed" in started[0].said(), what="a purge")


def test_a_read_only_root_and_a_volume_of_a_group(pod, room):
    """Uid 1000, a conf directory that cannot be written, and a volume that belongs to root and to the group 1000."""
    client, server, election = ports(3)
    volume, conf = room / "zk-0/data", room / "zk-0/conf"
    for directory in (volume, conf):
        directory.mkdir(parents=True)
    subprocess.run([*AS_ROOT, "chown", "0:1000", str(volume)], check=True)
    subprocess.run([*AS_ROOT, "chmod", "2775", str(volume)], check=True)
    ours = shlex.quote(str(conf))
    inside = [*namespaces(["--mount"], f"mount --bind {ours} {ours}", f"mount -o remount,bind,ro {ours}"),
              "setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups"]
    words = pod_words(room, "zk-0", client, server, election, servers=1)
    started = pod("start-zookeeper", *words, port=client, inside=inside, ZABD_HOSTNAME="zk-0").await_serving()
    assert f"the configuration is in {volume}/conf\n" in started.said()
    assert "clientPort=" in (volume / "conf/zoo.cfg").read_text() and list(conf.iterdir()) == []
    assert (volume / "version-2").stat().st_uid == 1000 and volume.stat().st_uid == 0
    assert f"{room}/zk-0/log is not made" in started.said(), "nobody may write there, and nobody must"


# --- Process 1 ----------------------------------------------------------------------------------------------------------------


def first_process(pod_):
    """The process that is number 1 in its namespace: the only child of `unshare`."""
    def child():
        children = Path(f"/proc/{pod_.process.pid}/task/{pod_.process.pid}/children").read_text().split()
        # `sh` becomes the server.
        return next((int(pid) for pid in children if b"start-zookeeper" in Path(f"/proc/{pid}/cmdline").read_bytes()[:400]), None)
    return eventually(child, what="process 1")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_process_1_hears_signals_and_reaps_orphans(pod, room, number):
    client, server, election = ports(3)
    started = pod("start-zookeeper", *pod_words(room, "zk-0", client, server, election, servers=1), port=client,
                  inside=namespaces(["--pid", "--fork", "--mount-proc"]), ZABD_HOSTNAME="zk-0").await_serving()
    first = first_process(started)
    assert "NSpid:\t%d\t1\n" % first in Path(f"/proc/{first}/status").read_text()
    gate = room / "gate"
    os.mkfifo(gate)
    subprocess.run([*AS_ROOT, "nsenter", "-t", str(first), "-p", "-m", "sh", "-c", f"(read x < {gate}) &"], check=True)
    children = Path(f"/proc/{first}/task/{first}/children")
    eventually(lambda: len(children.read_text().split()) == 1, what="an orphan")
    gate.write_text("go\n")
    eventually(lambda: children.read_text().split() == [], what="that the orphan is gone")
    subprocess.run([*AS_ROOT, "kill", f"-{number.value}", str(first)], check=True)
    assert started.process.wait(30) == 0


def test_scripts_in_the_container_find_the_zoo_cfg_of_process_1(pod, bin, room):
    """Of a server whose configuration is where nobody looks; what is said, or found by Java's rules, is stronger."""
    client, server, election = ports(3)
    started = pod("start-zookeeper", *pod_words(room, "zk-0", client, server, election, servers=1), port=client,
                  inside=namespaces(["--pid", "--fork", "--mount-proc"]), ZABD_HOSTNAME="zk-0").await_serving()
    first = first_process(started)

    def status(*words, **variables):
        done = subprocess.run(
            [*AS_ROOT, "nsenter", "-t", str(first), "-p", "-m", "env", *(f"{key}={value}" for key, value in variables.items()),
             str(bin / "zkServer.sh"), *words, "status"], capture_output=True, text=True, timeout=60, check=False)
        # Behind it stands what is missing.
        config = re.search(r"^Using config: (.*)$", done.stderr, re.MULTILINE).group(1)
        return done.returncode, config, done.stdout.splitlines()[-1]

    serving = (0, str(room / "zk-0/conf/zoo.cfg"), "Mode: standalone")
    assert status() == serving
    empty, other = room / "empty", room / "other"
    empty.mkdir()
    other.mkdir()
    assert status(ZOOCFGDIR=str(empty)) == serving, "as in the images, where it is /conf"
    nothing = "Unable to find either secure or unsecure client port in any configs. Terminating."
    assert status("--config", str(empty)) == (1, str(empty / "zoo.cfg"), nothing)
    assert status(ZOOCFG="second.cfg", ZOOCFGDIR=str(empty)) == (1, str(empty / "second.cfg"), nothing)
    (other / "zoo.cfg").write_text("dataDir=/nowhere\n")
    assert status(ZOOCFGDIR=str(other)) == (1, str(other / "zoo.cfg"), nothing)
    subprocess.run([*AS_ROOT, "kill", "-TERM", str(first)], check=True)
    assert started.process.wait(30) == 0


def test_process_1_can_be_ended_while_it_starts(pod, room):
    """A taken port is tried again for ever, so the start takes as long as this test wants."""
    client, server, election = ports(3)
    with socket.create_server(("0.0.0.0", election)):
        started = pod("start-zookeeper", *pod_words(room, "zk-0", client, server, election), port=client,
                      inside=namespaces(["--pid", "--fork", "--mount-proc"]), ZABD_HOSTNAME="zk-0", ZABD_DOMAIN="localhost.invalid",
                      JVMFLAGS="-Dzookeeper.electionPortBindRetry=0 -DquorumListenOnAllIPs=true")
        first = first_process(started)
        eventually(lambda: "quorumListenOnAllIPs" in started.said(), what="its log")
        eventually(lambda: str(election) in started.said().split("quorumListenOnAllIPs")[-1], what="that it tries again")
        subprocess.run([*AS_ROOT, "kill", "-TERM", str(first)], check=True)
        assert started.process.wait(30) == 0
