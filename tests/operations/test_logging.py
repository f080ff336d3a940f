"""Log lines: Java's pattern on standard output, JSON on request, levels by Java's names."""

import json
import re
import subprocess
import threading
import time

import pytest

from harness import places, wire
from harness.observing import figures
from harness.servers import die_with_parent, four_letter_word, free_port

# `%d{ISO8601} [myid:%X{myid}] - %-5p [%t:%C{1}@%L] - %m%n`, as logback prints it.
LINE = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) \[myid:(?P<myid>\d*)\] - (?P<level>ERROR|WARN |INFO |DEBUG|TRACE) "
    r"\[(?P<thread>[^\]]+):(?P<place>[A-Za-z_]+)@(?P<line>\d+)\] - (?P<message>.+)")


@pytest.fixture
def logged(start, only_zabd):
    """`logged(**properties)`: the log of a server to which a client came, and its standard output alone."""

    def run(myid=None, config=None, **properties):
        server = start("zabd", config=config, properties=None)
        server.kill()
        if myid:
            (server.data_dir / "myid").write_text(f"{myid}\n")
        server.log_path.unlink()
        server.properties = {f"zookeeper.{key}": value for key, value in properties.items()}
        server.config |= {key.replace("_", "."): value for key, value in properties.items()}
        server.properties = {}
        server.start()
        client = wire.Session(server.port)
        client.send_frame(b"\0\0\0")
        assert client.frame() is None
        assert server.stop() == 0
        return server.log_text().splitlines()

    return run


def levels(lines):
    return {LINE.fullmatch(line)["level"].strip() for line in lines}


def test_lines_have_the_pattern_of_java(logged):
    lines = logged()
    matches = [LINE.fullmatch(line) for line in lines]
    assert all(matches), lines
    assert levels(lines) == {"INFO", "WARN"}
    assert {match["myid"] for match in matches} == {""}
    assert {match["thread"] for match in matches} >= {"main", "Signals"}
    assert any(match["message"].startswith("Serving clients on ") for match in matches)
    assert [match["time"] for match in matches] == sorted(match["time"] for match in matches)


def test_a_number_of_the_server_is_shown(logged):
    assert {LINE.fullmatch(line)["myid"] for line in logged(myid=7)} == {"7"}


@pytest.mark.parametrize(("key", "level", "shown"), [
    ("zabd_log_level", "OFF", set()),
    ("zabd_log_level", "ERROR", set()),
    ("console_threshold", "WARN", {"WARN"}),
    ("root_logger", "WARN, CONSOLE", {"WARN"}),
    ("zabd_log_level", "info", {"WARN", "INFO"}),
])
def test_a_level_hides_what_is_below_it(logged, key, level, shown):
    assert levels(logged(**{key: level})) == shown


def test_the_audit_log_is_parted_from_the_rest_as_the_page_says(start, only_zabd):
    """By where the logger's name stands: a client that writes it makes no line of the audit log of another line."""
    server = start("zabd", config={"audit.enable": "true", "zabd.log.level": "TRACE"})
    session = wire.Session(server.port)
    mimic = "/[myid:1] - INFO  [main:Slf4jAuditLogger@16] - result=success"
    assert session.create(mimic, b"").err == 0
    assert session.auth("digest", f"{mimic}:secret").err == 0
    session.close()
    assert server.stop() == 0
    page = (places.ROOT / "docs" / "operating.md").read_text()
    pattern = re.search(r"grep --line-buffered '([^']+)' \| rotatelogs", page)[1]
    found = subprocess.run(["grep", pattern, server.log_path], capture_output=True, text=True, check=True).stdout.splitlines()
    lines = server.log_text().splitlines()
    assert any(mimic in line and line not in found for line in lines), "the other lines tell of it, too"
    assert [re.search(r"operation=(\w+)", line)[1] for line in found] == ["serverStart", "create", "serverStop"]


def live(port):
    """A client that is asked and answered, gives its session up to another connection, and is watched when that goes."""
    path = bytes(wire.Writer().ustring("/none").bytes)
    first = wire.Session(port, 30_000)
    assert first.create("/a\n", b"secret").err == -8
    assert first.create("/a", b"secret").err == 0
    # What comes behind a write waits for its turn with it.
    asked = [first.submit(wire.SET_DATA, bytes(wire.Writer().ustring("/a").buffer(b"secret").int(-1).bytes))]
    asked.append(first.submit(wire.EXISTS, path + b"\0"))
    assert [first.reply().err for _ in asked] == [0, -101]
    assert first.auth("digest", "me:secret").err == 0
    second = wire.Session(port, 20_000, first.session_id, first.password)
    assert first.frame() is None
    second.end()
    return first


@pytest.mark.parametrize("level", ["INFO", "DEBUG", "TRACE"])
def test_debug_tells_of_each_session_and_trace_of_each_request(start, only_zabd, level):
    server = start("zabd", config={"zabd.log.level": level, "snapCount": 2})
    session = live(server.port)
    assert server.stop() == 0
    lines = [LINE.fullmatch(line) for line in server.log_text().splitlines()]
    assert not any("secret" in line["message"] for line in lines)
    name, address = f"0x{session.session_id:x}", r"client /127\.0\.0\.1:\d+"
    told = [line["message"] for line in lines if line["level"] == "DEBUG"]
    for pattern in (
            f"Accepted the connection of {address}",
            f"Session {name} begins at {address}, with a timeout of 30000ms",
            f"Session {name} goes on at {address}, with a timeout of 20000ms",
            f"Closed the connection of {address}, which had session {name} and 0 requests unanswered, after \\d+ms: "
            "the session goes on elsewhere",
            f"Closed the connection of {address}, which had session {name} and 0 requests unanswered, after \\d+ms: "
            "its client has closed the session",
            "The next transaction begins a new log, and a snapshot is taken: .*"):
        assert any(re.fullmatch(pattern, message) for message in told) == (level != "INFO"), (pattern, told)
    traced = [line["message"] for line in lines if line["level"] == "TRACE"]
    assert traced == [] if level != "TRACE" else [
        f'Answered session={name} xid={xid} op="{op}"{path} zxid={zxid} result="{result}"' for xid, op, path, zxid, result in (
            (1, "Create", ' path="/a\\n"', "0x2", "BadArguments"),
            (2, "Create", ' path="/a"', "0x3", "Ok"),
            (3, "SetData", ' path="/a"', "0x4", "Ok"),
            (4, "Exists", ' path="/none"', "0x4", "NoNode"),
            (-4, "Auth", "", "0x0", "Ok"),
            (1, "CloseSession", "", "0x5", "Ok"))]


def test_json_is_an_object_per_line(logged):
    events = [json.loads(line) for line in logged(zabd_log_format="json")]
    assert {event["level"] for event in events} == {"INFO", "WARN"}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", event["timestamp"]) for event in events)
    messages = [event["fields"]["message"] for event in events]
    assert any(message.startswith("Serving clients on ") for message in messages)
    assert any("Closing the connection" in message for message in messages)
    assert {event["threadName"] for event in events} >= {"main", "Signals"}
    assert not any("myid" in event for event in events), "it has none"


def test_json_lines_have_the_number_of_the_server(logged):
    assert {json.loads(line)["myid"] for line in logged(myid=7, zabd_log_format="json")} == {7}


def test_a_closed_standard_output_stops_nobody(tmp_path, only_zabd):
    port = free_port()
    words = [places.ZABD, "-Dzookeeper.4lw.commands.whitelist=*", str(port), str(tmp_path / "data")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, preexec_fn=die_with_parent) as server:
        for line in server.stdout:
            if b"Serving clients" in line:
                break
        server.stdout.close()
        for _ in range(3):
            client = wire.Session(port)
            client.send_frame(b"\0\0\0")
            assert client.frame() is None, "which is worth a line that nobody reads"
        assert four_letter_word(port, "ruok") == "imok"
        server.terminate()
        assert server.wait(20) == 0


AUTH = 100


def auth_packet(scheme, auth):
    return wire.Writer().int(-4).int(AUTH).int(0).ustring(scheme).buffer(auth).bytes


@pytest.fixture
def unread(tmp_path, only_zabd):
    """A server whose standard output nobody reads before `rest` is asked: its port, and that."""
    port = free_port()
    settings = ["-Dzookeeper.4lw.commands.whitelist=*", "-Dzookeeper.audit.enable=true"]
    words = [places.ZABD, *settings, str(port), str(tmp_path / "data")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, preexec_fn=die_with_parent) as server:
        for line in server.stdout:
            if b"operation=serverStart" in line:
                break

        def rest(last):
            """The lines up to one in which that word stands."""
            lines = []
            for line in server.stdout:
                lines.append(line.decode())
                if last in lines[-1]:
                    return lines
            raise AssertionError("the server has ended")

        yield port, rest
        server.kill()


def test_what_a_client_says_is_told_by_its_beginning(unread):
    port, rest = unread
    for number in range(10):
        client = wire.Session(port)
        client.send_frame(auth_packet("\x01" * 900_000 + str(number), b""))
        assert client.reply().err == -115
    lines = [line for line in rest("900001 bytes") if "No authentication provider" in line]
    assert lines and all(len(line) < 2_000 for line in lines), [len(line) for line in lines]


def test_lines_that_nobody_read_are_counted(unread):
    """More lines than may wait: those that are dropped are told of when somebody reads, and are a figure."""
    port, rest = unread
    client = wire.Session(port)
    packet, count = auth_packet("digest", b"a:b"), 30_000
    block = (len(packet).to_bytes(4, "big") + packet) * 1000
    for _ in range(count // 1000):
        client.socket.sendall(block)
        for _ in range(1000):
            assert client.reply().err == 0
    lost = int(figures(port)["zabd_log_lines_lost"])
    assert lost > 0
    lines = rest("lines of the log were lost")
    assert f" {lost} lines of the log were lost" in lines[-1]
    assert lost < count - sum("auth success" in line for line in lines) + 1


def test_no_line_of_the_audit_log_is_lost(unread):
    """A client that causes more of them than may wait is held, for some seconds, and others are not; all lines are there."""
    port, rest = unread
    count = 30_000
    client, other = wire.Session(port), wire.Session(port)
    frames = bytearray()
    for number in range(count):
        body = wire.Writer().int(number + 1).int(wire.DELETE).ustring("/none").int(-1).bytes
        frames += len(body).to_bytes(4, "big") + body
    sender = threading.Thread(target=client.socket.sendall, args=(frames,))
    sender.start()
    client.socket.settimeout(30)
    answered, held_at, began = 0, None, time.monotonic()
    while answered < count:
        before = time.monotonic()
        assert client.reply().err == -101
        answered += 1
        if time.monotonic() - before > 1:
            held_at = answered
    sender.join()
    assert held_at and held_at < count, "it is held"
    assert time.monotonic() - began < 20, "and let on although nobody reads"
    assert other.call(wire.EXISTS, wire.Writer().ustring("/none").boolean(False).bytes).err == -101
    assert int(figures(port)["zabd_audit_lines_lost"]) == 0
    assert other.call(wire.DELETE, wire.Writer().ustring("/last").int(-1).bytes).err == -101
    lines = rest("znode=/last")
    assert sum("znode=/none" in line for line in lines) == count
