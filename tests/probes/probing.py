"""Asking a server how it is, as a container platform does."""

import ctypes
import http.client
import os
import struct
import subprocess
import zlib
from contextlib import contextmanager
from pathlib import Path

# A child of this process becomes a server at once; what gRPC does in a fork instead may crash it before that.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

import grpc  # noqa: E402
from grpc_health.v1 import health_pb2, health_pb2_grpc  # noqa: E402

from harness import places  # noqa: E402
from harness.servers import Server, free_port  # noqa: E402
from harness.wire import OPEN_ACL, Writer  # noqa: E402

QUESTIONS = {"live": "livez", "ready": "readyz", "startup": "startupz"}
SERVICES = {"live": "liveness", "ready": "readiness", "startup": "startup"}
# A loop that has not turned for longer makes a process dead.
STALL_SECONDS = 10

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


class Probed(Server):
    """A server with a port for probes."""

    def __init__(self, directory, config=None, **arguments):
        self.probes = free_port()
        config = {"zabd.probes.port": self.probes, "zabd.probes.address": "127.0.0.1", **(config or {})}
        super().__init__("zabd", directory, config=config, **arguments)

    def get(self, path, method="GET", timeout=5):
        """Status and body of one request on a connection of its own."""
        return get(self.probes, path, method, timeout)

    def status(self, question):
        """The status of `live`, `ready` or `startup`."""
        return self.get("/" + QUESTIONS[question])[0]

    def holds(self):
        """Which questions are answered with yes, by HTTP and by gRPC, which agree."""
        while True:
            found = {question for question in QUESTIONS if self.status(question) == 200}
            by_grpc = {question for question in QUESTIONS if self.check(SERVICES[question]) == "SERVING"}
            # Only while nothing changes can the two be compared.
            if found == {question for question in QUESTIONS if self.status(question) == 200}:
                break
        assert by_grpc == found
        return found

    def why(self, question):
        """The checks behind a question: name to what was found, `+` or `-` in front of it."""
        lines = self.get(f"/{QUESTIONS[question]}?verbose")[1].splitlines()[:-1]
        return {line[3:].split(" ")[0]: line[1] + line.split(": ", 1)[1] for line in lines}

    def stub(self):
        """A client of the gRPC service, on a connection of its own."""
        options = [("grpc.use_local_subchannel_pool", 1)]
        return health_pb2_grpc.HealthStub(grpc.insecure_channel(f"127.0.0.1:{self.probes}", options=options))

    def check(self, service):
        """`SERVING` or `NOT_SERVING`; the name of the code if the call fails."""
        try:
            answer = self.stub().Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
        except grpc.RpcError as error:
            return error.code().name
        return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)

    def watch(self, service):
        """The statuses that a watcher is told of, as they come."""
        for answer in self.stub().Watch(health_pb2.HealthCheckRequest(service=service), timeout=30):
            yield health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)

    @contextmanager
    def thread_stopped(self, name):
        """One thread of the process hangs meanwhile; all others go on."""
        thread = thread_of(self.process.pid, name)
        _ptrace(0x4206, thread)  # PTRACE_SEIZE
        _ptrace(0x4207, thread)  # PTRACE_INTERRUPT
        os.waitpid(thread, 0x40000000)  # __WALL
        try:
            yield
        finally:
            _ptrace(17, thread)  # PTRACE_DETACH


def get(port, path, method="GET", timeout=5):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def zabd_check(*words):
    """`zabd check`: its exit code and its one line."""
    done = subprocess.run([places.ZABD, "check", *map(str, words)], capture_output=True, text=True, timeout=30)
    assert done.stderr == "" and done.stdout.count("\n") == 1, done
    return done.returncode, done.stdout.strip()


def thread_of(pid, name):
    """The thread of a process that has this name."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    found = [int(task.name) for task in tasks if (task / "comm").read_text().strip() == name]
    assert len(found) == 1, (name, found)
    return found[0]


def _ptrace(request, thread):
    if _libc.ptrace(request, thread, None, None) != 0:
        raise OSError(ctypes.get_errno(), f"ptrace {request:#x}")


def write_log(data_dir, records):
    """A log that creates `/a` and then writes to it over and over."""
    folder = data_dir / "version-2"
    folder.mkdir(parents=True)

    def record(zxid, kind, body):
        entry = struct.pack(">qiqqi", 1, zxid, zxid, 1_700_000_000_000, kind) + body
        return struct.pack(">qi", zlib.adler32(entry), len(entry)) + entry + b"B"

    with open(folder / "log.1", "wb") as log:
        log.write(struct.pack(">4siq", b"ZKLG", 2, 0))
        log.write(record(1, 1, bytes(Writer().ustring("/a").buffer(b"").acl(OPEN_ACL).boolean(False).int(1).bytes)))
        for zxid in range(2, records + 1):
            log.write(record(zxid, 5, bytes(Writer().ustring("/a").buffer(b"x" * 32).int(zxid - 1).bytes)))
    return (folder / "log.1").stat().st_size
