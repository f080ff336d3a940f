"""Containers and pods: a process 1 with a root, a host name, a resolver, an address and a volume as a pod has them.

A container's root is a copy of the image's, made of links, so that it may be changed (the tutorial removes a program) and is as
new when the container is started again. What lies on the volume stays. Programs are the image's own, those of the base are
Debian's; libraries are the machine's.
"""

import os
import re
import shutil
import signal
import subprocess
import time
from functools import cached_property
from pathlib import Path

from harness import places
from harness.servers import die_with_parent
from harness.waiting import eventually

from .network import NODE

UID = GID = 1000
GRACE_SECONDS = 30
# What the tutorial's steps call, of the compat image's base. Its sh is bash: Debian's own, dash, would stay process 1 around the
# server, where it hears no SIGTERM.
TOOLS = {"sh": "bash", **{name: name for name in ("hostname", "cat", "ps", "pkill", "ls", "rm", "sleep")}}
RESOLVER = (
    f"nameserver {NODE}\nsearch default.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n")
# What a container runtime does, as root in namespaces of its own: the root's directory, the volume's, where that is in it, how the
# root is mounted, the host's name, a command.
RUNTIME = """
set -e
root=$1 volume=$2 at=$3 mode=$4; hostname "$5"; shift 5
mount --bind "$root" "$root"
for each in /usr/lib /usr/lib64; do
  [ ! -d $each ] || mount -o bind,ro $each "$root$each"
done
mount --bind "$volume" "$root$at"
mount --bind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -o remount,bind,$mode "$root"
cd "$root"
exec chroot . /runtime/setpriv --reuid 1000 --regid 1000 --groups 1000 --inh-caps=-all --bounding-set=-all \\
  --no-new-privs --pdeathsig KILL "$@"
"""


class Image:
    """The root of every container, as long as a test run is there, and the variables that the compat image has for the tutorial."""

    def __init__(self, root):
        self.root = root
        dockerfile = (places.ROOT / "docker/Dockerfile").read_text()
        stage = dockerfile.split(" AS compat\n", 1)[1].split("\nFROM ", 1)[0]
        self.variables = dict(re.findall(r"^ENV (\w+)=(\S+)$", stage, re.M))
        for directory in ("usr/bin", "usr/lib", "usr/lib64", "dev", "proc", "runtime"):
            (root / directory).mkdir(parents=True)
        for name in ("bin", "lib", "lib64"):
            (root / name).symlink_to(f"usr/{name}")
        for name, tool in TOOLS.items():
            shutil.copy(shutil.which(tool), root / "usr/bin" / name)
        shutil.copy(shutil.which("setpriv"), root / "runtime/setpriv")
        subprocess.run([places.ROOT / "docker/rootfs", places.ZABD, root], check=True)
        shutil.copytree(places.ROOT / "docker/etc", root / "etc", dirs_exist_ok=True)
        # As the Dockerfile does, for the tutorial's step that removes a program.
        os.chown(root / "usr/bin", UID, GID)

    def unpack(self, directory):
        """A container's root; programs are shared with all others."""
        subprocess.run(["cp", "-a", "--link", self.root, directory], check=True)


    def start(self, pod, root, log):
        """A pod's container."""
        return Container(pod, self, root, log)


def make_volume(directory):
    """A volume as `fsGroup: 1000` leaves it: root's, and the group's."""
    directory.mkdir()
    os.chown(directory, 0, GID)
    directory.chmod(0o2775)
    return directory


class Container:
    """One life of a pod's container."""

    def __init__(self, pod, image, root, log):
        self.pod, self.root, self.log = pod, root, log
        image.unpack(root)
        wishes = pod.wishes
        (root / "etc/hosts").write_text(f"127.0.0.1\tlocalhost\n{pod.address}\t{pod.domain_name}\t{pod.name}\n")
        (root / "etc/resolv.conf").write_text(RESOLVER)
        words = ["unshare", "--mount", "--uts", "--pid", "--fork", "sh", "-c", RUNTIME, "runtime", str(root), str(pod.volume),
                 wishes.volume_at, "ro" if wishes.has_read_only_root else "rw", pod.name, *wishes.command]
        with pod.plug.namespace.entered():
            self.run(words, log, {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **image.variables, **dict(wishes.variables)})

    def run(self, words, log, variables=None):
        """Starts the runtime, which lasts as long as the container."""
        with open(log, "ab") as out:
            self.started = time.monotonic()
            self.runtime = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/", env=variables, preexec_fn=die_with_parent)

    @cached_property
    def first_process(self):
        """The number of its process 1 on the node."""
        return eventually(self._find_first_process, what="the container's process 1")

    def _find_first_process(self):
        """Its number, when it is what was asked for and not the runtime any more."""
        status = self.runtime.poll()
        assert status is None, f"{self.pod.name} ended with {status}: {self.said()[-2000:]}"
        children = Path(f"/proc/{self.runtime.pid}/task/{self.runtime.pid}/children").read_text().split()
        try:
            return children and os.stat(f"/proc/{children[0]}").st_uid == UID and int(children[0])
        except FileNotFoundError:
            return None

    def said(self):
        """What all lives of the container have said."""
        return self.log.read_text(errors="replace")

    @property
    def is_running(self):
        return self.runtime.poll() is None

    def kill(self, number=signal.SIGKILL):
        """Sends process 1 a signal, as the kernel does when memory is short."""
        if self.is_running:
            os.kill(self.first_process, number)

    def stop(self):
        """As the kubelet ends one: SIGTERM, and SIGKILL behind the grace period. Gives the exit code."""
        self.kill(signal.SIGTERM)
        try:
            return self.runtime.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.runtime.wait(GRACE_SECONDS)

    def exec(self, *words):
        """`kubectl exec POD -- WORDS`: the finished process, as text."""
        return subprocess.run(
            ["nsenter", "--target", str(self.first_process), "--mount", "--uts", "--net", "--pid", "--root", "--wd",
             "--setuid", str(UID), "--setgid", str(GID), "--", *words],
            capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, env={"PATH": "/usr/bin:/bin"})


class Pod:
    """A place in the network, a volume, and a container that the kubelet starts again when it ends."""

    def __init__(self, wishes, ordinal, plug, volume, image, directory):
        self.wishes, self.name = wishes, f"{wishes.name}-{ordinal}"
        self.domain_name = f"{self.name}.{wishes.domain}"
        self.plug, self.volume, self.image, self.directory = plug, volume, image, directory
        self.starts = 0
        self.is_ending = False

    @property
    def address(self):
        return self.plug.address

    def start(self):
        """The container's first life, or the next one."""
        self.starts += 1
        # What the kubelet knows: when each probe is due, how often it has failed since it last succeeded.
        self.has_started, self.is_ready, self.ready_since = self.wishes.startup is None, False, None
        self.due, self.failures = {}, {}
        self.container = self.image.start(
            self, self.directory / f"{self.name}-{self.address}-{self.starts}", self.directory / f"{self.name}.log")

    def exec(self, *words):
        """What a program in the container says; it must succeed."""
        done = self.container.exec(*words)
        assert done.returncode == 0, f"{self.name}: {words}: {done}"
        return done.stdout

    def delete(self):
        """Ends it in an orderly way; gives the exit code."""
        self.is_ending = True
        code = self.container.stop()
        self.plug.close()
        return code

    def lose(self):
        """Its node dies."""
        self.is_ending = True
        self.plug.pull()
        self.container.kill()
        self.container.runtime.wait()
        self.plug.close()
