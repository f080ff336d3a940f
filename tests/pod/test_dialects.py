"""Containers of other images with the image changed: their variables, their files, their entry points, their users.

Every variable has a unit test; here are whole starts, and what the entry point of the Docker official image was recorded to leave.
"""

import json
import socket
import subprocess
from pathlib import Path

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import SessionClosedRequireSaslError
from kazoo.security import make_acl

from harness.disk import AS_ROOT
from harness.waiting import eventually

from .conftest import ports

RECORDED = json.loads((Path(__file__).parent / "docker-entrypoint.json").read_text())
SERVE = ["zkServer.sh", "start-foreground"]
AS_WE_ARE = {"ZABD_RUN_AS": "root"}


@pytest.mark.parametrize("case", RECORDED, ids=range(len(RECORDED)))
def test_it_leaves_what_the_official_entry_point_leaves(call, tmp_path, case):
    """Its data has a file where a directory must be, which ends the start when all else is done: no server is waited for."""
    variables = {**case["variables"], "ZABD_ROOT": str(tmp_path), **AS_WE_ARE}
    (tmp_path / "data").mkdir()
    (tmp_path / "data/version-2").write_text("")
    done = call("docker-entrypoint.sh", *SERVE, **variables)
    assert done.returncode != 0 and "version-2" in done.stdout, done.stderr
    for name, text in case["files"].items():
        assert (tmp_path / name).read_text().replace(str(tmp_path), "@") == text
    assert [line for line in done.stdout.splitlines() if " WARN " in line and "default of" in line] == []
    assert "Configured by the variables of the Docker official image\n" in done.stderr


def test_three_of_the_official_image(pod, room):
    """A compose file of three servers, each of which its place in `ZOO_SERVERS` tells its port."""
    quorum, election, *clients = ports(5)
    lines = " ".join(f"server.{n}=127.0.1.{n}:{quorum}:{election};{port}" for n, port in enumerate(clients, 1))
    started = [
        pod("docker-entrypoint.sh", *SERVE, port=port, ZOO_MY_ID=str(n), ZOO_SERVERS=lines, ZOO_TICK_TIME="200",
            ZOO_4LW_COMMANDS_WHITELIST="srvr, ruok", ZABD_ROOT=str(room / str(n)), **AS_WE_ARE)
        for n, port in enumerate(clients, 1)]
    for each in started:
        each.await_serving()
    assert [(room / f"{n}/data/myid").read_text() for n in (1, 2, 3)] == ["1\n", "2\n", "3\n"]
    client = KazooClient(",".join(f"127.0.0.1:{port}" for port in clients))
    client.start()
    client.create("/hello", b"world")
    client.stop()
    assert [each.end() for each in started] == [0, 0, 0]
    again = pod("docker-entrypoint.sh", *SERVE, port=clients[0], ZOO_MY_ID="2", ZOO_SERVERS=lines,
                ZABD_ROOT=str(room / "1"), **AS_WE_ARE)
    assert again.process.wait(30) == 1
    assert f"ZOO_MY_ID: this is server 2, but {room}/1/data/myid says 1; hint: " in again.said()


def test_bitnamis_image_by_its_own_paths_and_files(pod, bin, room):
    [port] = ports(1)
    subprocess.run([bin / "zabd", "links", "--places", room / "image"], check=True)
    scripts = room / "image/opt/bitnami/scripts/zookeeper"
    (room / "allow").write_text("yes\n")
    started = pod(scripts / "entrypoint.sh", scripts / "run.sh", port=port, ALLOW_EMPTY_PASSWORD_FILE=str(room / "allow"),
                  ZOO_PORT_NUMBER=str(port), ZOO_AUTOPURGE_INTERVAL="1", ZOO_MY_ID="9",
                  ZOO_4LW_COMMANDS_WHITELIST="srvr, mntr, ruok", ZABD_ROOT=str(room / "root"), **AS_WE_ARE)
    started.await_serving()
    said = started.said()
    assert "ZOO_MY_ID: Bitnami's image does not read this variable" in said
    assert "autopurge.purgeInterval=1 (ZOO_AUTOPURGE_INTERVAL)" in said
    assert f"clientPort={port}\n" in (room / "root/opt/bitnami/zookeeper/conf/zoo.cfg").read_text()
    assert (room / "root/bitnami/zookeeper/data/version-2").is_dir()
    assert health(scripts, port).returncode == 0
    assert started.end() == 0
    gone = health(scripts, port)
    assert gone.returncode == 1 and f"port {port}: " in gone.stderr


def health(scripts, port):
    """As the chart's probes ask."""
    command = f"ZOO_HC_TIMEOUT=3 {scripts}/healthcheck.sh"
    return subprocess.run(["bash", "-ec", command], capture_output=True, text=True, timeout=60,
                          env={"PATH": "/usr/bin:/bin", "ZOO_PORT_NUMBER": str(port)})


def test_confluents_image(pod, bin, room):
    [port] = ports(1)
    subprocess.run([bin / "zabd", "links", "--places", room / "image"], check=True)
    started = pod(room / "image/etc/confluent/docker/run", port=port, ZOOKEEPER_CLIENT_PORT=str(port),
                  ZOOKEEPER_TICK_TIME="300", KAFKA_OPTS="-Dzookeeper.4lw.commands.whitelist=conf", ZABD_ROOT=str(room / "root"),
                  ZOOKEEPER_SERVICE_HOST="10.0.0.1", ZOOKEEPER_PORT="tcp://10.0.0.1:2181", **AS_WE_ARE).await_serving()
    assert "tickTime=300\n" in started.answers("conf")
    assert "does not read" not in started.said()
    assert (room / "root/var/lib/zookeeper/log/version-2").is_dir()


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """A key with its certificate, and both as a store with a password, which is in a file."""
    directory = tmp_path_factory.mktemp("stores")

    def openssl(line):
        subprocess.run(["openssl", *line.split()], cwd=directory, check=True, capture_output=True)

    openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 -subj /CN=localhost "
            "-addext subjectAltName=DNS:localhost -keyout key.pem -out trust.pem")
    openssl("pkcs12 -export -inkey key.pem -in trust.pem -passout pass:sesame -out keys.p12")
    (directory / "password").write_text("sesame\n")
    (directory / "users.conf").write_text(
        "Server { org.apache.zookeeper.server.auth.DigestLoginModule required user_alice=\"wonder land\"; };\n")
    return directory


def secure_variables(image, stores, secure):
    """TLS at this port, for those who authenticate as `alice`, in the words of each image."""
    provider = "org.apache.zookeeper.server.auth.SASLAuthenticationProvider"
    keys, trust, login = stores / "keys.p12", stores / "trust.pem", f"-Djava.security.auth.login.config={stores / 'users.conf'}"
    if image == "docker":
        extra = [f"secureClientPort={secure}", f"ssl.keyStore.location={keys}", "ssl.keyStore.password=sesame",
                 f"ssl.trustStore.location={trust}", f"authProvider.1={provider}", "sessionRequireClientSASLAuth=true"]
        # Without a port of its own it is 2181, which others use, too.
        quorum, election, plain = ports(3)
        return {"ZOO_CFG_EXTRA": " ".join(extra), "JVMFLAGS": login, "ZOO_SERVERS": f"server.1=localhost:{quorum}:{election};{plain}",
                "ZOO_ADMINSERVER_ENABLED": "false"}
    if image == "confluent":
        return {"ZOOKEEPER_SECURE_CLIENT_PORT": str(secure), "ZOOKEEPER_SSL_KEYSTORE_LOCATION": str(keys),
                "ZOOKEEPER_SSL_KEYSTORE_PASSWORD": "sesame", "ZOOKEEPER_SSL_TRUSTSTORE_LOCATION": str(trust),
                "ZOOKEEPER_SSL_CLIENT_AUTH": "need", "ZOOKEEPER_AUTH_PROVIDER_SASL": provider,
                "ZOOKEEPER_SERVER_CNXN_FACTORY": "org.apache.zookeeper.server.NettyServerCnxnFactory",
                "KAFKA_OPTS": f"{login} -Dzookeeper.sessionRequireClientSASLAuth=true"}
    return {"ZOO_TLS_CLIENT_ENABLE": "true", "ZOO_TLS_PORT_NUMBER": str(secure), "ZOO_TLS_CLIENT_KEYSTORE_FILE": str(keys),
            "ZOO_TLS_CLIENT_KEYSTORE_PASSWORD_FILE": str(stores / "password"), "ZOO_TLS_CLIENT_TRUSTSTORE_FILE": str(trust),
            "ZOO_ENABLE_AUTH": "yes", "ZOO_SERVER_USERS": "bob,alice", "ZOO_SERVER_PASSWORDS": "builder;wonderland",
            "ZOO_CLIENT_USER": "alice", "ZOO_CLIENT_PASSWORD": "wonderland",
            "ZOO_4LW_COMMANDS_WHITELIST": "srvr, mntr, ruok"}


@pytest.mark.parametrize("image", ["docker", "bitnami", "confluent"])
def test_tls_and_users_by_each_images_variables(pod, bin, room, stores, image):
    [secure] = ports(1)
    variables = secure_variables(image, stores, secure)
    started = pod("docker-entrypoint.sh", *SERVE, port=secure, ZABD_DIALECT=image, ZABD_ROOT=str(room), **variables, **AS_WE_ARE)

    def client(password):
        options = {"mechanism": "DIGEST-MD5", "username": "alice", "password": password}
        return KazooClient(
            f"localhost:{secure}", use_ssl=True, ca=str(stores / "trust.pem"), certfile=str(stores / "trust.pem"),
            keyfile=str(stores / "key.pem"), sasl_options=options if password else None)

    alice = client("wonderland" if image == "bitnami" else "wonder land")
    eventually(lambda: started.process.poll() is None and answers_tls(secure), 30, started.said)
    alice.start()
    alice.create("/hers", b"mine", acl=[make_acl("sasl", "alice", all=True)])
    assert alice.get("/hers")[0] == b"mine"
    alice.stop()
    nobody = client(None)
    nobody.start()
    with pytest.raises(SessionClosedRequireSaslError):
        nobody.get("/")
    nobody.stop()
    if image == "bitnami":
        conf = room / "opt/bitnami/zookeeper/conf"
        assert "user_alice" in (conf / "zoo_jaas.conf").read_text() and "clientPort=" not in (conf / "zoo.cfg").read_text()
        assert {(conf / name).stat().st_mode & 0o777 for name in ("zoo_jaas.conf", "zoo.cfg")} == {0o600}
        subprocess.run([bin / "zabd", "links", "--places", room / "image"], check=True)
        asked = room / "image/opt/bitnami/scripts/zookeeper/healthcheck.sh"
        probe = subprocess.run([asked], capture_output=True, text=True, timeout=60,
                               env={"ZABD_ROOT": str(room), **variables})
        assert (probe.returncode, probe.stderr) == (0, "")
    assert started.end() == 0


def test_the_shell_of_bitnamis_image_logs_in(pod, bin, room):
    """By the java.env that the image's script leaves beside zoo.cfg."""
    [port] = ports(1)
    variables = {"ZOO_ENABLE_AUTH": "yes", "ZOO_SERVER_USERS": "bob,alice", "ZOO_SERVER_PASSWORDS": "builder;wonderland",
                 "ZOO_CLIENT_USER": "alice", "ZOO_CLIENT_PASSWORD": "wonderland", "ZOO_PORT_NUMBER": str(port)}
    started = pod("docker-entrypoint.sh", *SERVE, port=port, ZABD_ROOT=str(room), **variables, **AS_WE_ARE).await_serving()
    subprocess.run([bin / "zabd", "links", "--places", room], check=True)

    def shell(*words, **more):
        done = subprocess.run([room / "opt/bitnami/zookeeper/bin/zkCli.sh", *words], capture_output=True, text=True, timeout=60,
                              env={**more})
        return done.returncode, done.stdout, done.stderr

    server = ["-server", f"localhost:{port}"]
    made = shell(*server, "create", "/hers", "mine", "sasl:alice:cdrwa", JVMFLAGS="-Da=b")
    assert made[0] == 0 and "Created /hers" in made[1] + made[2], made
    (room / "other").mkdir()
    assert shell("--config", str(room / "other"), *server, "create", "/theirs")[0] == 1, "nobody is logged in"
    assert started.end() == 0


def answers_tls(port):
    try:
        socket.create_connection(("localhost", port), timeout=5).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(("variables", "said"), [
    ({"ZOO_MY_ID": "1", "ZOO_SERVER_ID": "2"}, "ZOO_MY_ID: this is a variable of the Docker official image, and ZOO_SERVER_ID is"),
    ({"ZOO_TICK_TIME": "100", "ZOO_CFG_EXTRA": "tickTime=200"}, "ZOO_CFG_EXTRA: this sets tickTime to 200, and ZOO_TICK_TIME"),
    ({"ZOO_MY_ID": "2", "ZOO_SERVERS": "server.1=zk1:2888:3888 server.2=zk2:2888:3888"},
     "ZOO_SERVERS: the line of server.2 names no port for clients"),
    ({"ZOO_MY_ID": "4"}, "ZOO_MY_ID: My id 4 not in the peer list"),
    ({"ZOO_PORT_NUMBER": "2181"}, "hint: set ALLOW_EMPTY_PASSWORD=yes, or ZOO_ENABLE_AUTH=yes"),
    ({"ALLOW_EMPTY_PASSWORD": "yes", "ZOO_TLS_CLIENT_ENABLE": "yes"}, "ZOO_TLS_CLIENT_KEYSTORE_FILE: "),
    ({"ZOO_ENABLE_AUTH": "yes", "ZOO_SERVER_USERS": "a"}, "ZOO_SERVER_USERS: it has 1, and ZOO_SERVER_PASSWORDS has 0"),
])
def test_what_cannot_be_is_refused(call, tmp_path, variables, said):
    done = call("docker-entrypoint.sh", *SERVE, **variables, ZABD_ROOT=str(tmp_path), **AS_WE_ARE)
    assert done.returncode in (1, 2) and said in done.stderr
    assert list(tmp_path.iterdir()) == [], "nothing was touched"


def test_any_other_word_is_a_program(call, tmp_path):
    assert call("docker-entrypoint.sh", "echo", "a", "b").stdout == "a b\n"
    assert call("docker-entrypoint.sh", "sh", "-c", "exit 7").returncode == 7
    assert call("docker-entrypoint.sh", "no-such-program").returncode == 127
    assert call("docker-entrypoint.sh", "zkServer.sh", "version").stdout.startswith("Apache ZooKeeper, version ")
    assert call("docker-entrypoint.sh", "zookeeper-ready", "1").returncode == 1


def test_zabds_own_words_need_no_link(bin, tmp_path):
    """As in an image whose PATH lacks them."""
    (tmp_path / "docker-entrypoint.sh").symlink_to(bin / "zabd")

    def said(*words):
        done = subprocess.run([tmp_path / "docker-entrypoint.sh", *words], capture_output=True, text=True, timeout=60,
                              env={"PATH": "/nowhere"})
        return done.returncode, done.stdout

    version = said("zabd", "--version")
    assert version[0] == 0 and version[1].startswith("zabd ")
    assert said("--version") == said("version") == said("/usr/bin/zabd", "version") == version
    assert said("server", "--help")[1].startswith("Usage:\n  zabd server ")
    assert said("check", "--help")[1].startswith("Usage:\n  zabd check ")
    assert said("zkServer.sh", "version")[1].startswith("Apache ZooKeeper, version ")
    assert said("no-such-program")[0] == 127


@pytest.mark.parametrize("words", [["docker-entrypoint.sh"], ["zabd", "docker-entrypoint.sh"]], ids=" ".join)
def test_root_gives_the_directories_away_and_goes_on_as_the_user(bin, pod, room, words):
    """The first process stays the one that was started: there is no wrapper around the server."""
    [port] = ports(1)
    data = room / "root/data"
    data.mkdir(parents=True)
    (data / "kept").write_text("")
    started = pod(*words, *SERVE, port=port, inside=AS_ROOT, ZOO_SERVERS=f"server.1=localhost:2888:3888;{port}",
                  ZABD_ROOT=str(room / "root")).await_serving()
    log = data / "version-2"
    assert {path.stat().st_uid for path in (data, data / "kept", log)} == {1000}
    if not AS_ROOT:
        status = Path(f"/proc/{started.process.pid}/status").read_text()
        assert "Uid:\t1000\t1000\t1000\t1000\n" in status and "Gid:\t1000\t1000\t1000\t1000\n" in status
        assert "Groups:\t \n" in status


def test_shell_files_beside_the_configuration_count(pod, room):
    [port] = ports(1)
    (room / "conf").mkdir()
    (room / "conf/java.env").write_text('export JVMFLAGS="-Xmx1G -Dzookeeper.4lw.commands.whitelist=conf"\nif true; then :; fi\n')
    started = pod("docker-entrypoint.sh", *SERVE, port=port, ZOO_SERVERS=f"server.1=localhost:2888:3888;{port}",
                  ZABD_ROOT=str(room), **AS_WE_ARE).await_serving()
    assert "clientPort=" in started.answers("conf")
    assert f"{room}/conf/java.env:2 is more than an assignment" in started.said()
