"""What a client can do in one step of a walk."""

from dataclasses import dataclass

SLOTS = 4  # Clients at a time.


@dataclass(frozen=True)
class Burst:
    """Requests of one client, sent at once, so that later ones are checked while earlier ones are on their way."""

    slot: int
    requests: tuple

    def __str__(self):
        return f"client {self.slot}: " + "; ".join(str(request) for request in self.requests)


@dataclass(frozen=True)
class End:
    """A client closes its session and begins another."""

    slot: int


@dataclass(frozen=True)
class Resume:
    """A client continues its session on another connection, having closed the one before or not."""

    slot: int
    closes_first: bool


@dataclass(frozen=True)
class ResumeEnded:
    """Someone asks for the session that ended last."""

    slot: int
