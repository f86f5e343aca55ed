"""The client's states and what to tell people about them; pure."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

from chatkit.ending import Connection


class State(StrEnum):
    """Where a client is."""

    IDLE = "idle"
    """Not started."""
    CONNECTING = "connecting"
    """An attempt runs, up to the backend's first message."""
    CONNECTED = "connected"
    """Established, but too young to count as stable."""
    STABLE = "stable"
    """Established and stable; retries count from zero again."""
    BACKOFF = "backoff"
    """Lost; another attempt is scheduled."""
    AUTH_REQUIRED = "auth-required"
    """The token was refused and could not be refreshed; a new one resumes."""
    FAILED = "failed"
    """Nothing more is tried until somebody says so."""
    CLOSING = "closing"
    """Closing by our own wish."""
    CLOSED = "closed"
    """Closed by our own wish."""


LIVE = frozenset({State.CONNECTED, State.STABLE})
"""States in which the WebSocket carries replies."""
RESTING = frozenset({State.AUTH_REQUIRED, State.FAILED, State.CLOSED})
"""States that nobody leaves without being told."""

_WORDS = {
    State.IDLE: "Idle",
    State.CONNECTING: "Connecting",
    State.CONNECTED: "Live",
    State.STABLE: "Live",
    State.BACKOFF: "Reconnecting",
    State.AUTH_REQUIRED: "Needs a token",
    State.FAILED: "Failed",
    State.CLOSING: "Closing",
    State.CLOSED: "Closed",
}


class Status(Struct, frozen=True, kw_only=True):
    """A client's state as a value; times are Unix seconds, so that a browser can count with them."""

    state: State = State.IDLE
    since: float = 0.0
    because: str = ""
    """What led here, one sentence."""
    attempt: int = 0
    """Retries since the last stable connection."""
    max_attempts: int = 0
    retry_at: float | None = None
    """When the next attempt starts."""
    connection: str | None = None
    """Id of the present or last connection."""
    bot: str = ""
    """The bot's name, as the backend gives it once it is known."""
    first_ping: float | None = None
    """When the first ping goes out; the connection is quiet until then."""

    @property
    def live(self) -> bool:
        """Whether the WebSocket carries replies."""
        return self.state in LIVE

    @property
    def word(self) -> str:
        """The state in one word or three."""
        return _WORDS[self.state]


def explain(status: Status, ended: Sequence[Connection], stabilise: float) -> str:
    """The state in one or two sentences: what happened, what happens next, what the reader can do.

    Args:
        status: where the client is.
        ended: connections that ended, oldest first.
        stabilise: seconds of quiet before the first ping.
    """
    last = ended[-1] if ended else None
    lost = f"Connection {last.id} ended: {last.ending}." if last is not None and last.ending is not None else ""
    if status.state is State.CONNECTING:
        again = f" (retry {status.attempt} of {status.max_attempts})" if status.attempt else ""
        return f"{lost} Opening a connection{again}.".strip()
    if status.live:
        return _explain_live(status, ended, stabilise)
    if status.state is State.BACKOFF:
        return f"{lost or _sentence(status.because)} Retry {status.attempt} of {status.max_attempts} is scheduled."
    if status.state is State.AUTH_REQUIRED:
        return f"{_sentence(status.because)} Log in again or give another token."
    if status.state is State.FAILED:
        return f"{_sentence(status.because)} Nothing more is tried; Reconnect tries again."
    return _sentence(status.because) or f"{status.word}."


def _explain_live(status: Status, ended: Sequence[Connection], stabilise: float) -> str:
    quiet = "" if status.state is State.STABLE else f" The first ping waits {stabilise:g} s."
    if stabilise == 0:
        quiet = " The first ping went out at once."
    before = ""
    if ended:
        last = ended[-1].ending
        same = sum(1 for c in ended if c.ending is not None and last is not None and c.ending.words == last.words)
        count = "The one before it" if len(ended) == 1 else f"{same} of the {len(ended)} before it"
        before = f" {count} ended: {last}." if last is not None else ""
    verb = "holds" if status.state is State.STABLE else "is open"
    return f"Connection {status.connection} {verb}.{quiet}{before}"


def _sentence(text: str) -> str:
    text = text.strip().rstrip(".")
    return f"{text[:1].upper()}{text[1:]}." if text else ""
