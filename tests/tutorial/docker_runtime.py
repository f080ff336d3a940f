"""The same pods as containers of Docker: the image as docker/build makes it, its daemon in a network of its own.

A pod is a container that only holds the network and the host's name, as Kubernetes' own "pause" does, and the server's container
joins it: so a server may be started anew without its pod getting another address. `--in-docker` asks for it.
"""

import subprocess
from functools import cached_property

from harness import places
from harness.servers import die_with_parent
from harness.waiting import eventually

from .network import NODE, Namespace
from .pods import GID, UID, Container

IMAGE = "zabd:compat"
SEARCH = ("default.svc.cluster.local", "svc.cluster.local", "cluster.local")


class Docker:
    """A daemon, and its client."""

    def __init__(self, directory):
        self.host = f"unix://{directory}/docker.sock"
        self.node = Namespace()
        words = ["dockerd", "--data-root", str(places.DEPS / "docker"), "--exec-root", f"{directory}/exec", "--pidfile",
                 f"{directory}/pid", "--host", self.host, "--bridge", "none", "--log-level", "warn"]
        self.log = open(directory / "dockerd.log", "wb")
        with self.node.entered():
            self.daemon = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, preexec_fn=die_with_parent)
        eventually(lambda: self.client("version").returncode == 0, 60, (directory / "dockerd.log").read_text)
        for left_over in self.run("ps", "-aq").split():
            self.run("rm", "--force", left_over)
        if "pods" in self.run("network", "ls", "--format", "{{.Name}}").split():
            self.run("network", "rm", "pods")
        self.run("network", "create", "--subnet", "10.244.0.0/16", "--gateway", NODE, "pods")
        self.made = 0

    def words(self, *words):
        return ["/usr/bin/docker", "--host", self.host, *words]

    def client(self, *words):
        return subprocess.run(self.words(*words), capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)

    def run(self, *words):
        """What the client says; it must succeed."""
        done = self.client(*words)
        assert done.returncode == 0, done
        return done.stdout.strip()

    def exec(self, container, *words):
        return self.client("exec", container, *words)

    def plug(self, name, domain):
        """A pod's place in the network."""
        self.made += 1
        return Plug(self, f"{name}-{self.made}", f"10.244.1.{self.made}", name, domain)

    def start(self, pod, _root, log):
        """A pod's container."""
        return DockerContainer(self, pod, log)

    def close(self):
        self.run("network", "rm", "pods")
        self.daemon.terminate()
        self.daemon.wait()
        self.log.close()
        self.node.close()


class Plug:
    """The container that holds the network."""

    def __init__(self, docker, sandbox, address, name, domain):
        self.docker, self.sandbox, self.address = docker, sandbox, address
        searches = [word for each in SEARCH for word in ("--dns-search", each)]
        docker.run(
            "run", "--detach", "--name", sandbox, "--network", "pods", "--ip", address, "--hostname", name, "--domainname", domain, "--dns", NODE,
            *searches, "--dns-option", "ndots:5", "--entrypoint", "sleep", IMAGE, "infinity")

    def pull(self):
        """As when a node dies."""
        process = self.docker.run("inspect", "--format", "{{.State.Pid}}", self.sandbox)
        subprocess.run(["nsenter", "--target", process, "--net", "ip", "link", "set", "eth0", "down"], check=True)

    def close(self):
        self.docker.run("rm", "--force", self.sandbox)


class DockerContainer(Container):
    """One life of a server's container."""

    def __init__(self, docker, pod, log):
        self.pod, self.docker, self.log = pod, docker, log
        self.name = f"{pod.plug.sandbox}-server-{pod.starts}"
        wishes = pod.wishes
        variables = [word for name, value in wishes.variables for word in ("--env", f"{name}={value}")]
        words = docker.words(
            "run", "--rm", "--name", self.name, "--network", f"container:{pod.plug.sandbox}", "--user", f"{UID}:{GID}",
            "--cap-drop", "ALL", "--security-opt", "no-new-privileges", *(["--read-only"] if wishes.has_read_only_root else []),
            "--volume", f"{pod.volume}:{wishes.volume_at}", *variables, "--entrypoint", wishes.command[0], IMAGE,
            *wishes.command[1:])
        self.run(words, log)

    @cached_property
    def first_process(self):
        """The number of its process 1 on the node."""
        def find():
            assert self.runtime.poll() is None, self.said()
            found = self.docker.client("inspect", "--format", "{{.State.Pid}}", self.name).stdout.strip()
            return int(found or 0)
        return eventually(find, what="the container's process 1")

    def exec(self, *words):
        return self.docker.exec(self.name, *words)
