"""A lone server: what it says from the first moment to the last, to every kind of prober, and when parts of it hang."""

import signal
import subprocess
import time
from contextlib import contextmanager

import pytest

from harness import places, wire
from harness.waiting import eventually

from .probing import QUESTIONS, SERVICES, STALL_SECONDS, Probed, get, write_log, zabd_check

ALL = set(QUESTIONS)


def test_a_server_that_serves_says_yes_to_everything(probed):
    server = probed().start()
    assert server.holds() == ALL
    assert server.get("/readyz") == (200, "ok")
    assert server.why("ready") == {
        "start": "+0 bytes replayed", "loops": "+2 turn", "serving": "+standalone", "staying": "+not asked to end"}
    assert server.get("/livez", method="HEAD") == (200, "")
    assert server.get("/livez", method="POST")[0] == 405
    assert server.get("/healthz")[0] == 404


def test_services_of_the_grpc_protocol(probed):
    server = probed().start()
    assert [server.check(service) for service in ("", *SERVICES.values())] == ["SERVING"] * 4
    assert server.check("livez") == "NOT_FOUND"
    assert next(server.watch("livez")) == "SERVICE_UNKNOWN"
    assert next(server.watch("liveness")) == "SERVING"


def test_check_needs_no_shell_and_no_client(probed):
    server = probed().start()
    file = server.directory / "zoo.cfg"
    for question, yes in (("live", "live"), ("ready", "ready"), ("startup", "started")):
        assert zabd_check(f"--{question}", "--port", server.probes) == (0, yes)
        assert zabd_check(f"--{question}", "--config", file) == (0, yes)
    server.stop()
    code, line = zabd_check("--port", server.probes)
    assert code == 1 and line.startswith(f"not ready: port {server.probes}: Connection refused"), line
    # The client port speaks something else.
    other = probed().start()
    code, line = zabd_check("--live", "--port", other.port)
    assert code == 1 and line.startswith(f"not live: port {other.port}: "), line


def test_a_port_that_is_taken_ends_the_start_and_names_the_key(probed):
    server = probed().start()
    second = Probed(server.directory.parent / "second", config={"zabd.probes.port": server.probes})
    second.start(wait=False)
    assert second.process.wait(20) == 1
    assert f"zabd.probes.port={server.probes} cannot be opened on 127.0.0.1:{server.probes}" in second.log_text()


def test_without_the_key_no_port_is_opened(probed):
    server = probed(config={"zabd.probes.port": 0}).start()
    with pytest.raises(ConnectionRefusedError):
        get(server.probes, "/livez")


def test_a_replay_tells_how_far_it_is(probed):
    """The port is open before the first byte is read; what was asked for then is answered while the log is replayed."""
    server = probed(config={"snapshot.trust.empty": "true"})
    size = write_log(server.data_dir, records=400_000)
    server.start(wait=False)
    eventually(lambda: is_open(server), what="the port for probes")
    seen = []
    while (answer := server.get("/startupz"))[0] != 200:
        assert answer[0] == 503 and server.status("live") == 200
        seen.append(answer[1])
        if len(seen) == 1:
            assert server.check("startup") == "NOT_SERVING" and server.check("readiness") == "NOT_SERVING"
            code, line = zabd_check("--startup", "--port", server.probes)
            assert (code, line.split(",")[0]) == (1, "not started: start failed: replaying"), line
    percents = [int(text.split("replaying, ")[1].split("%")[0]) for text in seen]
    assert percents == sorted(percents) and any(0 < percent < 100 for percent in percents), percents
    eventually(lambda: server.holds() == ALL, what="readiness")
    replayed = int(server.why("startup")["start"].split(" ")[0][1:])
    assert size - 100 < replayed <= size


def is_open(server):
    try:
        return server.status("live") == 200
    except OSError:
        return False


class StuckDisk(Probed):
    """A server whose log cannot be synced while the test says so."""

    library = None

    def command(self):
        return ["env", f"LD_PRELOAD={self.library}", f"FAULTY_DISK={self.directory}/order", *super().command()]

    @contextmanager
    def stuck(self):
        """Meanwhile nothing in a log gets to the disk, and nobody is told that it does not."""
        (self.directory / "order").write_text("stuck log.")
        try:
            yield
        finally:
            (self.directory / "order").unlink()


@pytest.fixture
def stuck_disk(tmp_path):
    library = tmp_path / "faulty_disk.so"
    source = places.TESTS / "operations" / "faulty_disk.c"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    server = StuckDisk(tmp_path / "stuck")
    server.library = library
    yield server
    server.kill()


def test_nothing_but_a_loop_that_hangs_makes_a_process_dead(probed, stuck_disk):
    """A loop that hangs does. A disk that never answers does not: a restart would have to replay the log from that very disk.
    Nor has a process that was stopped, or a machine that slept, anything that a restart would mend."""
    hanging, stopped, stuck = probed().start(), probed().start(), stuck_disk.start()
    session = wire.Session(stuck.port)
    with hanging.thread_stopped("SessionTracker"), stuck.stuck():
        stopped.process.send_signal(signal.SIGSTOP)
        session.submit(wire.CREATE, wire.create_body("/a"))
        assert hanging.holds() == ALL, "a stall shorter than the bound is none"
        began = time.monotonic()
        eventually(lambda: hanging.status("live") == 503, seconds=3 * STALL_SECONDS, what="death")
        assert STALL_SECONDS / 2 < time.monotonic() - began
        assert hanging.why("live")["loops"].startswith("-SessionTracker stands still for ")
        assert hanging.holds() == {"startup"}
        assert zabd_check("--live", "--port", hanging.probes)[0] == 1
        # For as long the disk has not answered.
        assert session.is_quiet(), "the write must not have been answered"
        assert stuck.holds() == ALL
        stopped.process.send_signal(signal.SIGCONT)
        statuses = {stopped.status("live") for _ in range(500)}
        assert statuses == {200}
    assert session.reply().err == 0
    eventually(lambda: hanging.holds() == ALL, what="life")
