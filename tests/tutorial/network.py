"""The network of a cluster on one machine: nothing of it touches the machine's own, and all of it is gone with this process.

A pod's network is a namespace that this process holds open, with a cable (veth) to a bridge in another one, which stands for all
nodes; a thread that has entered it is where the kubelet, the cluster's DNS and clients outside of pods are. Making namespaces
takes root.
"""

import ctypes
import itertools
import os
import socket
import struct
import subprocess
import threading
from contextlib import contextmanager

NODE = "10.244.0.1"
DNS_PORT = 53
TYPE_A, CLASS_IN = 1, 1
NO_SUCH_NAME = 3
TTL_SECONDS = 5

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _call(function, *arguments):
    if function(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{function.__name__}: {os.strerror(error)}; the suite makes network namespaces, and needs root")


class Namespace:
    """A network namespace without a name: a descriptor, and gone when that is closed."""

    def __init__(self):
        failures = []

        def make():
            try:
                _call(_libc.unshare, _CLONE_NEWNET)
                self.descriptor = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            except OSError as failure:
                failures.append(failure)

        # Only the thread that asks for it changes its namespace.
        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        if failures:
            raise failures[0]
        self.configure("link set lo up")

    @property
    def path(self):
        """For `ip`, which takes it for a namespace's name."""
        return f"/proc/{os.getpid()}/fd/{self.descriptor}"

    @contextmanager
    def entered(self):
        """This thread, and what it starts meanwhile, are inside."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        _call(_libc.setns, self.descriptor, _CLONE_NEWNET)
        try:
            yield
        finally:
            _call(_libc.setns, before, _CLONE_NEWNET)
            os.close(before)

    def configure(self, *commands):
        """Commands of `ip`."""
        with self.entered():
            subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), text=True, check=True)

    def close(self):
        os.close(self.descriptor)


class Network:
    """The bridge, and a plug for each pod."""

    def __init__(self):
        self.node = Namespace()
        # A bridge without an address of its own takes the lowest of its cables', and another one with each that comes or goes: what
        # is sent to it meanwhile is lost.
        self.node.configure(
            "link add bridge0 address 02:00:00:00:00:01 type bridge", f"addr add {NODE}/24 dev bridge0", "link set bridge0 up")
        self.addresses = (f"10.244.0.{last}" for last in itertools.count(10))

    def plug(self, _name, _domain):
        """A namespace with an address that nobody has had before."""
        return Plug(self.node, next(self.addresses))

    def close(self):
        self.node.close()


class Plug:
    """A pod's place in the network, which its containers come and go in."""

    def __init__(self, node, address):
        self.node, self.address = node, address
        self.namespace = Namespace()
        self.cable = "pod" + address.rpartition(".")[2]
        node.configure(
            f"link add {self.cable} type veth peer name eth0 netns {self.namespace.path}",
            f"link set {self.cable} master bridge0 up")
        self.namespace.configure(f"addr add {address}/24 dev eth0", "link set eth0 up")

    def pull(self):
        """As when a node dies: nothing comes or goes any more, and nobody is told."""
        self.node.configure(f"link set {self.cable} down")

    def close(self):
        """As when a pod is deleted. The kernel may take its time with the namespace: what is left of a connection holds it."""
        self.node.configure(f"link del {self.cable}")
        self.namespace.close()


class Names:
    """The cluster's DNS: it knows the names that it was told, and no others. What it says changes at once.

    A service's name is the address of whomever `services` picks for it, anew each time, as a connection to a service's own
    address would find one of its pods.
    """

    def __init__(self, node):
        self.known = {}
        self.services = {}
        self.asked = set()
        with node.entered():
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.socket.bind((NODE, DNS_PORT))
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            query, whom = self.socket.recvfrom(1500)
            if not query:
                return
            self.socket.sendto(self._answer(query), whom)

    def _answer(self, query):
        labels, offset = [], 12
        while length := query[offset]:
            labels.append(query[offset + 1:offset + 1 + length].decode())
            offset += 1 + length
        name = ".".join(labels).lower()
        kind = struct.unpack_from(">H", query, offset + 1)[0]
        question = query[12:offset + 5]
        self.asked.add(name)
        address = self.services[name]() if name in self.services else self.known.get(name)
        answer = b""
        if address and kind == TYPE_A:
            answer = struct.pack(">HHHIH4s", 0xC00C, TYPE_A, CLASS_IN, TTL_SECONDS, 4, socket.inet_aton(address))
        # An answer, with authority, and recursion as it was wished for.
        flags = 0x8580 | (0 if address else NO_SUCH_NAME)
        return query[:2] + struct.pack(">HHHHH", flags, 1, 1 if answer else 0, 0, 0) + question + answer

    def close(self):
        self.socket.sendto(b"", self.socket.getsockname())
        self.thread.join()
        self.socket.close()
