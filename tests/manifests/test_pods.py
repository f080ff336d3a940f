"""The pods of the manifests, run for real without a cluster: the container's own command as its own user, on a root file system that
nobody may write but where volumes are mounted, in a network of its own. Every port is listened to, every probe is answered."""

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness import places
from harness.disk import AS_ROOT, kill_whole
from harness.servers import die_with_parent
from harness.waiting import eventually

from .manifests import Manifest, manifest

# Sets up what the kubelet would, then becomes the container's process: $1 is a folder, $2 the host's name, the rest the command.
SETUP = """
set -e
folder=$1; name=$2; shift 2
mount --make-rprivate /
hostname "$name"
mount --bind "$folder/hosts" /etc/hosts
ip link set lo up
while read -r place options; do
  mkdir -p "$place"
done <"$folder/places"
mount -o remount,bind,ro /
mount -o remount,bind,ro /tmp 2>/dev/null || true
while read -r place options; do
  mount -t tmpfs -o "$options" volume "$place"
done <"$folder/places"
echo "$$" >"$folder/ready.fifo"
exec setpriv --reuid 1000 --regid 1000 --clear-groups --no-new-privs --bounding-set -all "$@"
"""


class Pod:
    """A pod's one container."""

    def __init__(self, of: Manifest, folder: Path, log: Path):
        self.manifest, self.folder, self.log = of, folder, log
        name = of.set["metadata"]["name"]
        self.name = f"{name}-0"
        self.places = [mount["mountPath"] for mount in of.container["volumeMounts"]]
        if not of.container.get("securityContext", {}).get("readOnlyRootFilesystem"):
            self.places.append(of.value("conf_dir"))  # Belongs to uid 1000 in the image.
        # Mount points that this machine lacks are made, and go again. No two tests have one in common.
        self.made = [place for place in self.places if not Path(place).exists()]
        self.domain = f"{of.set['spec']['serviceName']}.default.svc.cluster.local"

    def start(self):
        # A service is where its one pod is.
        services = " ".join(each["metadata"]["name"] for each in self.manifest.of("Service"))
        (self.folder / "hosts").write_text(f"127.0.0.1 localhost {services}\n127.0.0.5 {self.name}.{self.domain} {self.name}\n")
        # A volume is root's and the group's if the pod has an fsGroup, and else as in the image, as its directories are.
        group = self.manifest.pod["spec"].get("securityContext", {}).get("fsGroup")
        options = dict.fromkeys(self.places, "uid=1000,gid=1000,mode=750")
        if group is not None:
            options |= {mount["mountPath"]: f"uid=0,gid={group},mode=2775" for mount in self.manifest.container["volumeMounts"]}
        (self.folder / "places").write_text("".join(f"{place} {option}\n" for place, option in options.items()))
        os.mkfifo(self.folder / "ready.fifo")
        variables = {each["name"]: each["value"] for each in self.manifest.container.get("env", [])}
        words = [*self.manifest.container["command"], *self.manifest.container.get("args", [])]
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(
                [*AS_ROOT, "unshare", "--mount", "--uts", "--net", "--ipc", "--kill-child", "sh", "-c", SETUP, "sh", self.folder, self.name,
                 "env", "-i", f"PATH={self.folder}/bin:/usr/bin:/bin", *(f"{key}={value}" for key, value in variables.items()), *words],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, preexec_fn=die_with_parent)
        self.pid = (self.folder / "ready.fifo").read_text().strip()

    def run(self, *words):
        """As `kubectl exec`: exit code and output."""
        done = subprocess.run(
            [*AS_ROOT, "nsenter", "-t", self.pid, "-m", "-n", "-u", "env", "-i", f"PATH={self.folder}/bin:/usr/bin:/bin", *words],
            capture_output=True, text=True, timeout=30)
        return done.returncode, done.stdout + done.stderr

    def probe(self, kind):
        """As the kubelet asks: whether the container passes."""
        probe = self.manifest.container[kind]
        if "exec" in probe:
            return self.run(*probe["exec"]["command"])[0] == 0
        question = {"/livez": "--live", "/readyz": "--ready", "/startupz": "--startup"}[probe["httpGet"]["path"]]
        return self.run("zabd", "check", question, "--port", str(self.manifest.ports()[probe["httpGet"]["port"]]))[0] == 0

    def is_alive(self):
        """Fails with its log if it has ended."""
        assert self.process.poll() is None, self.log.read_text()
        return True

    def listened(self):
        """The ports that are listened to."""
        lines = Path(f"/proc/{self.pid}/net/tcp").read_text().splitlines() + Path(f"/proc/{self.pid}/net/tcp6").read_text().splitlines()
        fields = [line.split() for line in lines]
        return {int(each[1].split(":")[1], 16) for each in fields if each[3] == "0A"}


@contextmanager
def pod_of(of, log):
    # Where uid 1000 may look, as it may in an image.
    folder = Path(tempfile.mkdtemp(prefix="zabd-pod-", dir="/var/tmp"))
    folder.chmod(0o755)
    (folder / "bin").mkdir()
    shutil.copy(places.ZABD, folder / "bin" / "zabd")
    subprocess.run([folder / "bin" / "zabd", "links", folder / "bin"], check=True)
    pod = Pod(of, folder, log)
    try:
        pod.start()
        yield pod
    finally:
        kill_whole(pod.process.pid)
        pod.process.wait()
        shutil.rmtree(folder)
        for place in pod.made:
            subprocess.run([*AS_ROOT, "rmdir", "--parents", "--ignore-fail-on-non-empty", place], check=True)


@pytest.fixture(autouse=True)
def only_zabd(kind):
    if kind != "zabd":
        pytest.skip("manifests are for zabd")


@pytest.mark.parametrize("name", ["zookeeper.yaml", "zabd.yaml", "default", "everything"])
def test_a_pod_without_its_peers_lives_and_listens(name, tmp_path):
    with pod_of(manifest(name), tmp_path / "log") as pod:
        first = "startupProbe" if "startupProbe" in pod.manifest.container else "readinessProbe"
        eventually(lambda: pod.is_alive() and pod.probe(first), what="a start")
        assert set(pod.manifest.ports().values()) <= pod.listened()
        assert pod.probe("livenessProbe")
        # The tutorial's probe says yes without a quorum; ours does not.
        assert pod.probe("readinessProbe") == (name == "zookeeper.yaml")
        volume = pod.manifest.container["volumeMounts"][0]["mountPath"]
        assert pod.run("stat", "-c", "%u:%g %a", volume)[1] == "0:1000 2775\n", "as fsGroup leaves it"
        written = [pod.manifest.value(flag) for flag in ("data_dir", "data_log_dir", "conf_dir")]
        for path in written:
            assert pod.run("ls", path)[0] == 0, path
        assert "server.3" in pod.run("cat", f"{pod.manifest.value('conf_dir')}/zoo.cfg")[1]
        assert pod.run("touch", "/usr/written")[0] != 0, "the root file system can be written"
        assert "Uid:\t1000\t1000\t1000\t1000\n" in Path(f"/proc/{pod.pid}/status").read_text()


def test_a_pod_alone_is_ready_and_ends_when_it_is_told(tmp_path):
    with pod_of(manifest("alone"), tmp_path / "log") as pod:
        eventually(lambda: pod.is_alive() and pod.probe("readinessProbe"), what="readiness")
        subprocess.run([*AS_ROOT, "kill", "-TERM", pod.pid], check=True)
        assert pod.process.wait(20) == 0


def test_helms_own_test_finds_a_server_by_the_services_name(tmp_path):
    """What `helm test` starts: its command, as its user, beside a server."""
    of = manifest("alone")
    hook = next(each for each in of.of("Pod") if each["metadata"]["annotations"]["helm.sh/hook"] == "test")
    container = hook["spec"]["containers"][0]
    assert hook["spec"]["restartPolicy"] == "Never" and container["image"] == of.container["image"]
    assert hook["spec"]["securityContext"] == of.pod["spec"]["securityContext"]
    assert container["securityContext"] == of.container["securityContext"]
    with pod_of(of, tmp_path / "log") as pod:
        eventually(lambda: pod.is_alive() and pod.probe("readinessProbe"), what="readiness")
        code, said = pod.run("setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups", "--bounding-set=-all", *container["command"])
        assert code == 0 and said.endswith("\n[zookeeper]\n"), said
