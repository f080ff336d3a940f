"""Somebody at a terminal: prompt, completion, history, events while a line is being written, Ctrl-D and Ctrl-C."""

import os
import pty
import re
import select
import signal
import termios
import time

import pytest

from harness.servers import die_with_parent

from .shells import SHELLS, environment, run

SECONDS_MAX = 60
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\r")


class Terminal:
    """A shell on a terminal of its own."""

    def __init__(self, server, shell="zabd"):
        self.pid, self.end = pty.fork()
        if self.pid == 0:
            die_with_parent()
            termios.tcsetwinsize(0, (24, 80))
            os.execvpe(SHELLS[shell][0], [*SHELLS[shell], "-server", server.hosts], environment(TERM="xterm"))
        self.seen = ""

    def await_text(self, text):
        """Returns what came up to a text."""
        deadline = time.monotonic() + SECONDS_MAX
        while text not in (shown := ESCAPES.sub("", self.seen)):
            assert select.select([self.end], [], [], max(0, deadline - time.monotonic()))[0], f"no {text!r} in\n{shown}"
            self.seen += self.read()
        # What is behind it is for the next question.
        self.seen = shown[shown.index(text) + len(text):]
        return shown

    def read(self):
        try:
            return os.read(self.end, 65536).decode(errors="replace")
        except OSError:  # The other end is closed.
            return ""

    def type(self, keys):
        os.write(self.end, keys.encode())

    def status(self):
        """The exit code, once it has ended."""
        deadline = time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = None
                return os.waitstatus_to_exitcode(status)
            if select.select([self.end], [], [], 0.01)[0]:
                self.read()
        raise AssertionError("it did not end")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.end)


@pytest.fixture
def server(start, kind):
    server = start(kind)
    run("zabd", "-server", server.hosts, script="create /app\ncreate /app/one\ncreate /app/two x\nquit\n")
    return server


@pytest.fixture
def terminal(server):
    with Terminal(server) as terminal:
        terminal.await_text(f"[zk: {server.hosts}(CONNECTED) 0] ")
        yield terminal


def test_it_begins_as_javas(server):
    with Terminal(server) as terminal:
        shown = terminal.await_text("(CONNECTED) 0] ")
        head = f"Connecting to {server.hosts}\nWelcome to ZooKeeper!\nJLine support is enabled\n"
        assert shown.startswith(head)
        assert "\nWATCHER::\n\nWatchedEvent state:SyncConnected type:None path:null zxid: -1\n" in shown


def test_commands_and_znodes_are_completed(terminal):
    terminal.type("getAllC\t/ap\t/tw\t\n")
    terminal.await_text("getAllChildrenNumber /app/two")
    terminal.await_text("0\n")
    terminal.await_text("(CONNECTED) 1] ")
    terminal.type("get /app/\t\t")
    terminal.await_text("/app/one")
    terminal.await_text("/app/two")
    terminal.type("two\n")
    terminal.await_text("x\n")
    terminal.await_text("(CONNECTED) 2] ")


def test_lines_are_recalled(terminal):
    terminal.type("get /app/two\n")
    terminal.await_text("x\n")
    terminal.await_text("(CONNECTED) 1] ")
    terminal.type("\x1b[A\n")
    terminal.await_text("x\n")
    terminal.await_text("(CONNECTED) 2] ")
    terminal.type("history\n")
    terminal.await_text("0 - get /app/two\n1 - get /app/two\n2 - history\n")


@pytest.mark.parametrize("shell", SHELLS)
def test_every_line_of_what_is_sent_at_once_is_carried_out(server, shell):
    """Pasted, sent by a program, or typed ahead of the prompt."""
    with Terminal(server, shell) as terminal:
        terminal.type("create /ahead\rcreate /ahead/x 1\rls /ahead\r")
        terminal.await_text("[x]")
        terminal.await_text("(CONNECTED) 3] ")
        terminal.type("create /once\rcreate /once/y 1\rls /once\r")
        terminal.await_text("[y]")
        terminal.await_text("(CONNECTED) 6] ")
        for line in ["create /one", "create /one/z 1", "ls /one"]:
            terminal.type(f"{line}\r")
        terminal.await_text("[z]")
        terminal.type("quit\r")
        assert terminal.status() == 0


def test_an_event_leaves_the_line_that_is_being_written(server, terminal):
    terminal.type("get -w /app\n")
    terminal.await_text("(CONNECTED) 1] ")
    terminal.type("get /app/t")
    terminal.await_text("get /app/t")
    run("zabd", "-server", server.hosts, "set", "/app", "changed")
    terminal.await_text("WatchedEvent state:SyncConnected type:NodeDataChanged path:/app zxid: ")
    terminal.await_text("(CONNECTED) 1] get /app/t")
    terminal.type("wo\n")
    terminal.await_text("x\n")


@pytest.mark.parametrize("key", ["\x04", "\x03"], ids=["ctrl-d", "ctrl-c"])
def test_leaving_by_a_key_ends_with_the_last_commands_code(terminal, key):
    terminal.type("get /none\n")
    terminal.await_text("Node does not exist: /none\n")
    terminal.await_text("(CONNECTED) 1] ")
    terminal.type(key)
    assert terminal.status() == 1


def test_quit_leaves(terminal):
    terminal.type("quit\n")
    terminal.await_text("WatchedEvent state:Closed type:None path:null zxid: -1")
    assert terminal.status() == 0
