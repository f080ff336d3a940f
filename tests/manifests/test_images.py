"""What the images are made of: the root file system that both have, and what their Dockerfile says of users, ports and the command."""

import json
import re
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness import places
from harness.disk import AS_ROOT
from harness.waiting import eventually

from .manifests import Manifest, manifest
from .test_pods import pod_of

DOCKER = places.ROOT / "docker"
NAMES = ("start-zookeeper", "zookeeper-ready", "zookeeper-metrics", "zkCli.sh", "zkServer.sh", "docker-entrypoint.sh")


@pytest.fixture(autouse=True)
def only_zabd(kind):
    if kind != "zabd":
        pytest.skip("images are of zabd")


@pytest.fixture
def rootfs():
    """Made as for an image."""
    with tempfile.TemporaryDirectory(prefix="zabd-rootfs-") as folder:
        root = Path(folder) / "root"
        subprocess.run([*AS_ROOT, DOCKER / "rootfs", places.ZABD, root], check=True)
        yield root
        subprocess.run([*AS_ROOT, "rm", "-rf", root], check=True)


def stages():
    """The instructions of each stage by its name."""
    parts = re.split(r"^FROM (?:\S+) AS ([\w-]+)\n", (DOCKER / "Dockerfile").read_text(), flags=re.M)[1:]
    return dict(zip(parts[::2], parts[1::2]))


def words_of(stage, instruction):
    return json.loads(re.search(rf"^{instruction} (\[.*\])$", stage, re.M).group(1))


def test_every_name_is_a_link_to_the_one_program(rootfs):
    binaries = rootfs / "usr" / "bin"
    links = {path.name for path in binaries.iterdir() if path.is_symlink()}
    assert set(NAMES) <= links
    assert {path.name for path in binaries.iterdir()} - links == {"zabd"}
    assert all((binaries / name).resolve() == binaries / "zabd" for name in links)
    workdir = re.search(r"^WORKDIR (.*)$", stages()["image"], re.M).group(1)
    assert (rootfs / workdir.strip("/") / "bin" / "zkCli.sh").resolve() == binaries / "zabd", "probes run `./bin/zkCli.sh`"


@pytest.mark.skipif("debug" in places.ZABD.parts, reason="what a build for debugging takes says nothing")
def test_the_program_alone_is_an_image_of_twenty_megabytes(tmp_path):
    """The image has it without symbols and with a C library in it, which is a megabyte."""
    subprocess.run(["strip", "-o", tmp_path / "zabd", places.ZABD], check=True)
    assert (tmp_path / "zabd").stat().st_size < 19_000_000


def test_only_what_must_be_written_belongs_to_the_user(rootfs):
    found = subprocess.run(
        [*AS_ROOT, "find", rootfs, "-uid", "1000", "-printf", "%P %G %m\n"], capture_output=True, text=True, check=True)
    # Bitnami's may be written by any user whose group is 0, as there.
    assert dict(line.split(" ", 1) for line in found.stdout.splitlines()) == {
        **dict.fromkeys(
            ["opt/zookeeper/conf", "var/lib/zookeeper", "var/lib/zookeeper/data", "var/lib/zookeeper/log", "var/log/zookeeper",
             "conf", "data", "datalog", "logs", "etc/kafka"], "1000 750"),
        **dict.fromkeys(
            ["bitnami/zookeeper", "bitnami/zookeeper/data", "opt/bitnami/zookeeper/conf", "opt/bitnami/zookeeper/logs"], "0 775")}
    others = subprocess.run(
        [*AS_ROOT, "find", rootfs, "-not", "-uid", "1000", "-not", "-uid", "0"], capture_output=True, text=True, check=True)
    assert others.stdout == ""
    assert "zookeeper:x:1000:1000:" in (DOCKER / "etc" / "passwd").read_text()


def test_both_images_say_what_they_are():
    """One stage makes either; what is below differs."""
    *below, (name, stage) = stages().items()
    assert name == "image" and {"hardened", "compat"} <= dict(below).keys()
    assert not any(re.search("^(USER|ENTRYPOINT|CMD|LABEL|EXPOSE) ", text, re.M) for _, text in below)
    assert re.findall(r"^USER (.*)$", stage, re.M) == ["1000:1000"], "never root, and nothing else"
    exposed = {int(port) for port in re.search(r"^EXPOSE (.*)$", stage, re.M).group(1).split()}
    assert exposed == set(manifest("zabd.yaml").ports().values())
    labels = set(re.findall(r"org\.opencontainers\.image\.(\w+)=", stage))
    assert labels == {"title", "description", "licenses", "version", "revision"}
    assert "ENV ZOOCFGDIR=/conf\n" in stage


def test_what_other_images_keep_on_volumes_is_on_volumes(rootfs):
    """Without them a container that is made anew begins with nothing. What is there belongs to the user, so a volume does."""
    stage = stages()["image"]
    volumes = words_of(stage, "VOLUME")
    assert set(volumes) >= {"/data", "/datalog", "/logs", "/bitnami/zookeeper"}
    for path in ("/var/lib/zookeeper/data", "/var/lib/zookeeper/log"):
        assert any(path.startswith(f"{volume}/") for volume in volumes), "Confluent's, and the tutorial's"
    owners = subprocess.run(
        [*AS_ROOT, "stat", "-c", "%u", *(f"{rootfs}{path}" for path in volumes)], capture_output=True, text=True, check=True)
    assert set(owners.stdout.split()) == {"1000"}
    # What is written below one behind this would not be in the image.
    assert "COPY" not in stage and "RUN" not in stage


def test_the_image_with_a_shell_has_what_probes_use():
    """Both ways of making it install the same."""
    packages = re.search(r"--no-install-recommends (procps [\w -]+) >", stages()["compat"]).group(1).split()
    assert {"procps", "hostname", "netcat-openbsd", "curl", "openssl"} == set(packages)
    assert re.search(r"^packages=(.*)$", (DOCKER / "build").read_text(), re.M).group(1).split(",") == packages


def test_all_that_is_copied_into_an_image_exists():
    """The stage that builds the program in a container needs an image with Rust, which a machine without a registry lacks."""
    text = (DOCKER / "Dockerfile").read_text()
    made = {"rootfs.tar"}
    names = set(stages())
    for words in re.findall(r"^(?:COPY|ADD) (.*)$", text, re.M):
        *sources, _ = (word for word in words.split() if not word.startswith("--"))
        origin = re.search(r"--from=(\S+)", words)
        assert origin is None or origin.group(1) in names
        for source in sources if origin is None else []:
            assert source in made or (places.ROOT / source).exists(), source
    run = re.search(r"^RUN (docker/static-binary .*)$", stages()["build"], re.M).group(1)
    for program in re.findall(r"docker/[\w-]+", run):
        path = places.ROOT / program
        assert path.stat().st_mode & 0o111 and subprocess.run(["bash", "-n", path], check=False).returncode == 0


def test_an_image_serves_without_a_word(tmp_path):
    """Its own command, as `docker run` has it, on volumes and a read-only root; it answers probes."""
    stage = stages()["image"]
    flags = re.search(r"^ENV ZABD_IMAGE_FLAGS=(.*)$", stage, re.M).group(1)
    container = {
        "command": words_of(stage, "ENTRYPOINT"), "args": words_of(stage, "CMD"), "ports": [{"name": "probes", "containerPort": 8086}],
        "volumeMounts": [{"mountPath": path} for path in ("/data", "/datalog", "/logs", "/conf")],
        # Whoever sets ZooKeeper's own variable does not take the image's away.
        "env": [{"name": "ZABD_IMAGE_FLAGS", "value": flags}, {"name": "SERVER_JVMFLAGS", "value": "-Xmx512m"}], "securityContext": {"readOnlyRootFilesystem": True},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "probes"}}}
    image = Manifest("image", [{
        "kind": "StatefulSet", "metadata": {"name": "image"},
        "spec": {"serviceName": "none", "template": {"spec": {"containers": [container]}}}}])
    with pod_of(image, tmp_path / "log") as pod:
        eventually(lambda: pod.is_alive() and pod.probe("readinessProbe"), what="readiness")
        assert {2181, 8086} <= pod.listened()
        assert pod.run("zookeeper-metrics", "2181")[0] == 0
