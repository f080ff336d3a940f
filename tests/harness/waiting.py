"""Waiting for what a server does in its own time."""

import time


def eventually(ask, seconds=20, what="it"):
    """Asks until the answer is true, and gives it. Waits no longer than it must, and fails when it never comes.

    `what` is said then; it may be something that tells it.
    """
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"{what() if callable(what) else what}: not within {seconds} s"
        time.sleep(0.01)
    return answer
