"""Sessions that are lost, found again, expire or are refused: both shells say the same, at one server."""

import shutil

from .shells import Conversation, masked

RESUMED = "state:SyncConnected type:None"


def shells(server, timeout="6000"):
    """Both, each with a session."""
    both = [Conversation(shell, "-server", server.hosts, "-timeout", timeout) for shell in ("java", "zabd")]
    for shell in both:
        shell.await_text(RESUMED)
        shell.await_text("[zk: ")
    return both


def said_since(shell, mark):
    return masked(shell.text[mark:])


def test_a_session_goes_on_behind_a_restart(start, kind):
    """Watches are set again, what happened meanwhile is told, and the session's ephemerals are there."""
    server = start(kind)
    first, second = shells(server)
    with first, second:
        for number, shell in enumerate((first, second)):
            shell.say(f"create /own-{number}")
            shell.say(f"create -e /own-{number}/mine")
            shell.say(f"get -w /own-{number}")
            shell.say(f"ls -w /own-{number}")
            shell.say(f"addWatch -m persistent /own-{number}")
        server.kill()
        for shell in (first, second):
            shell.await_text("state:Disconnected")
        server.start()
        for shell in (first, second):
            shell.await_text(RESUMED, 2)
        for number, shell in enumerate((first, second)):
            shell.say(f"set /own-{number} changed")
            shell.await_text("NodeDataChanged")
            shell.say("getEphemerals")
            shell.await_text(f"[/own-{number}/mine]")
            shell.say(f"removewatches /own-{number}")
            shell.await_text("PersistentWatchRemoved")
            assert shell.end() == 0
        events = [[event.replace("/own-1", "/own-0").split(" zxid")[0] for event in shell.events] for shell in (first, second)]
        # Two kinds of watches that are removed together come in no order.
        assert sorted(events[0]) == sorted(events[1])
        assert events[1][:3] == [
            "WatchedEvent state:SyncConnected type:None path:null", "WatchedEvent state:Disconnected type:None path:null",
            "WatchedEvent state:SyncConnected type:None path:null"]


def test_a_command_without_a_server_fails_and_the_shell_goes_on(start, kind):
    server = start(kind)
    first, second = shells(server)
    with first, second:
        server.kill()
        for shell in (first, second):
            shell.await_text("state:Disconnected")
        for shell in (first, second):
            mark = len(shell.text)
            shell.say("get /a")
            assert "KeeperErrorCode = ConnectionLoss for /a" in said_since(shell, mark)
            assert shell.end() == 1


def test_a_session_that_the_server_does_not_know_is_expired(start, kind):
    """And then there is none, until `connect`."""
    server = start(kind)
    first, second = shells(server)
    with first, second:
        server.kill()
        shutil.rmtree(server.data_dir)
        server.start()
        for shell in (first, second):
            shell.await_text("state:Expired")
            mark = len(shell.text)
            shell.say("ls /")
            assert "Not connected\n" in said_since(shell, mark)
            assert "(CLOSED)" in said_since(shell, mark)
            shell.say("connect")
            shell.await_text(RESUMED, 2)
            mark = len(shell.text)
            shell.say("ls /")
            assert "[zookeeper]\n" in said_since(shell, mark)
            assert shell.end() == 0
        assert [event for event in first.events if "Closed" not in event] == second.events


def test_a_refused_identity_ends_the_session(start, kind):
    server = start(kind)
    first, second = shells(server)
    with first, second:
        for shell in (first, second):
            shell.say("addauth nonsense x")
            shell.await_text("WatchedEvent state:AuthFailed type:None path:null zxid: -1")
            mark = len(shell.text)
            shell.say("ls /")
            assert "Not connected\n" in said_since(shell, mark)
            assert "(AUTH_FAILED)" in said_since(shell, mark)
            assert shell.end() == 0
        assert first.events == second.events


def test_a_server_that_hangs_is_given_up(start, kind):
    """Nothing was heard for two thirds of the session's timeout: the connection is lost, and so is what was asked."""
    server = start(kind)
    first, second = shells(server, timeout="12000")
    with first, second:
        server.pause()
        for shell in (first, second):
            shell.write("get /a")
        for shell in (first, second):
            shell.await_text("KeeperErrorCode = ConnectionLoss for /a")
            shell.await_text("state:Disconnected")
        server.resume()
        for shell in (first, second):
            shell.await_text(RESUMED, 2)
            assert shell.end() == 1
        assert first.events == second.events


def test_closing_says_so(start, kind):
    """`close` and `quit` end the session at once, and are told of it."""
    server = start(kind)
    with Conversation("zabd", "-server", server.hosts) as shell:
        shell.say("create -e /mine")
        shell.say("close")
        shell.await_text("WatchedEvent state:Closed type:None path:null zxid: -1")
        shell.say("connect")
        shell.await_text(RESUMED, 2)
        mark = len(shell.text)
        shell.say("ls /")
        assert "[zookeeper]\n" in said_since(shell, mark)
        shell.write("quit")
        assert shell.end() == 0
        assert shell.text.endswith("\nWATCHER::\n\nWatchedEvent state:Closed type:None path:null zxid: -1\n")


def test_a_watch_without_a_mode_is_recursive(start, kind):
    """Whatever the mode of the one before it was."""
    server = start(kind)
    with Conversation("zabd", "-server", server.hosts) as shell:
        shell.say("create /a")
        shell.say("addWatch -m PERSISTENT /a")
        shell.say("removewatches /a -p")
        shell.say("addWatch /a")
        shell.say("create /a/b")
        shell.await_text("WatchedEvent state:SyncConnected type:NodeCreated path:/a/b zxid: ")
        shell.say("removewatches /a -r")
        assert shell.end() == 0
