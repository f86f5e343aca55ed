"""The client's states, the one function that moves between them, and what people are told about them; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from msgspec import Struct

from chatkit.behaviour import Kind
from chatkit.ending import Connection


class State(StrEnum):
    """Where a client is."""

    IDLE = "idle"
    """Not started, or parked: no socket is wanted right now."""
    CONNECTING = "connecting"
    """An attempt runs, up to the backend's first message."""
    CONNECTED = "connected"
    """Established, but too young to count as stable."""
    STABLE = "stable"
    """Established and stable; retries count from zero again."""
    BACKOFF = "backoff"
    """Lost; another attempt is scheduled."""
    SUSPENDED = "suspended"
    """The fast retries are used up; the backend's health is looked at, and an attempt follows when it is good."""
    AUTH_REQUIRED = "auth-required"
    """The token was refused and could not be refreshed; a new one resumes."""
    FAILED = "failed"
    """Nothing more is tried until somebody says so."""
    CLOSING = "closing"
    """Closing by our own wish."""
    CLOSED = "closed"
    """Closed by our own wish."""


class Move(StrEnum):
    """What moves a client from one state to another."""

    TRY = "try"
    """An attempt begins: for the first time, after a delay, after a refresh, or because somebody says so."""
    ESTABLISH = "establish"
    """The backend's first message came."""
    SETTLE = "settle"
    """The connection has lived long enough."""
    RETRY = "retry"
    """Lost, and another attempt is scheduled."""
    SUSPEND = "suspend"
    """Lost, and the fast retries are used up."""
    NEED_TOKEN = "need-token"
    """The token is refused for good."""
    FAIL = "fail"
    """Nothing more will help."""
    PARK = "park"
    """No socket is wanted for now."""
    CLOSE = "close"
    """Our user closes."""
    END = "end"
    """Everything is closed."""


_LOSABLE = frozenset({State.CONNECTING, State.CONNECTED, State.STABLE})
_OPEN = frozenset(State) - {State.CLOSING, State.CLOSED}
_MOVES: Mapping[Move, tuple[frozenset[State], State]] = MappingProxyType(
    {
        Move.TRY: (_OPEN, State.CONNECTING),
        Move.ESTABLISH: (frozenset({State.CONNECTING}), State.CONNECTED),
        Move.SETTLE: (frozenset({State.CONNECTED}), State.STABLE),
        Move.RETRY: (_LOSABLE, State.BACKOFF),
        Move.SUSPEND: (_LOSABLE | {State.SUSPENDED}, State.SUSPENDED),
        Move.NEED_TOKEN: (_LOSABLE, State.AUTH_REQUIRED),
        Move.FAIL: (_OPEN, State.FAILED),
        Move.PARK: (_OPEN, State.IDLE),
        Move.CLOSE: (_OPEN, State.CLOSING),
        Move.END: (frozenset({State.CLOSING}), State.CLOSED),
    }
)


def fits(state: State, move: Move) -> bool:
    """Whether a move means anything in a state; one that does not is stale."""
    return state in _MOVES[move][0]


def transition(state: State, move: Move) -> State:
    """The state after a move; a stale one changes nothing."""
    return _MOVES[move][1] if fits(state, move) else state


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
    State.SUSPENDED: "Suspended",
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
    kind: Kind | None = None
    """Class of the failure that led here."""
    remedy: str = ""
    """What the user can do about it."""
    attempt: int = 0
    """Retries since the last stable connection."""
    max_attempts: int = 0
    retry_at: float | None = None
    """When the next attempt starts, or while suspended the next look at the backend's health."""
    connection: str | None = None
    """Id of the present or last connection."""
    generation: int = 0
    """Number of the present or last attempt; what belongs to an older one is stale."""
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


class Waiting(Struct, frozen=True, kw_only=True):
    """Messages of ours that are not settled."""

    queued: int = 0
    """Not sent yet."""
    unknown: int = 0
    """Sent, and nobody knows whether they arrived."""
    by_http: bool = False
    """Whether messages go out over HTTP and so need no live socket."""
    durable: bool = False
    """Whether they are kept in a file."""
    problem: str = ""
    """What is wrong with that file, in sentences."""


def explain(status: Status, ended: Sequence[Connection], stabilise: float, waiting: Waiting | None = None) -> str:
    """One paragraph: the state, why, since when, what happens next and when, what the reader can do.

    Args:
        status: where the client is.
        ended: connections that ended, oldest first.
        stabilise: seconds of quiet before the first ping.
        waiting: messages of ours that are not settled.
    """
    parts = [_state(status, ended, stabilise), _messages(status, waiting or Waiting())]
    return " ".join(part for part in parts if part)


def _state(status: Status, ended: Sequence[Connection], stabilise: float) -> str:
    match status.state:
        case State.CONNECTING:
            return _explain_connecting(status, ended)
        case State.CONNECTED | State.STABLE:
            return _explain_live(status, ended, stabilise)
        case State.BACKOFF:
            retry = f"Retry {status.attempt} of {status.max_attempts} starts{_at(status.retry_at)} by itself"
            return f"{_lost(status, ended)} {retry}; Retry now does not wait."
        case State.SUSPENDED:
            return _explain_suspended(status, ended)
        case State.AUTH_REQUIRED:
            remedy = _sentence(status.remedy or "log in again or give another token")
            return f"{_sentence(status.because)}{_since(status)} {remedy}"
        case State.FAILED:
            remedy = f" {_sentence(status.remedy)}" if status.remedy else ""
            return f"{_sentence(status.because)}{_since(status)} Nothing more is tried; Reconnect tries again.{remedy}"
    return _sentence(status.because) or f"{status.word}."


def _explain_connecting(status: Status, ended: Sequence[Connection]) -> str:
    again = f" (retry {status.attempt} of {status.max_attempts})" if status.attempt else ""
    before = _lost(status, ended) if ended or status.because else ""
    return f"{before} Opening a connection{again}.".strip()


def _explain_suspended(status: Status, ended: Sequence[Connection]) -> str:
    what = f"{status.max_attempts} retries in a row did not help, so the backend's health is watched instead"
    after = f"the next look is{_at(status.retry_at)}" if status.retry_at else "it is looked at now and then"
    return f"{_lost(status, ended)} {what}: {after}, and a good answer starts an attempt. Retry now does not wait."


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
    since = f" since {_clock(status.since)}" if status.since else ""
    return f"Connection {status.connection} {verb}{since}.{quiet}{before}"


def _lost(status: Status, ended: Sequence[Connection]) -> str:
    """What ended, and what it may mean."""
    last = ended[-1] if ended else None
    if last is None or last.ending is None or (last.id != status.connection and status.connection is not None):
        return f"{_sentence(status.because)}{_since(status)}".strip()
    when = f" at {_clock(status.since)}" if status.since and status.state is not State.CONNECTING else ""
    return f"Connection {last.id} ended{when}: {last.ending}."


def _messages(status: Status, waiting: Waiting) -> str:
    parts = []
    if waiting.queued:
        many = f"{waiting.queued} message{'s' if waiting.queued != 1 else ''}"
        kept = ", kept in a file," if waiting.durable else ""
        when = "when the backend answers again" if waiting.by_http else "when the connection is back"
        if status.state in (State.CLOSING, State.CLOSED):
            parts.append(f"{many} of yours{kept} did not go out.")
        else:
            parts.append(f"{many} of yours{kept} wait{'' if waiting.queued != 1 else 's'} and will go out {when}.")
    if waiting.unknown:
        many = f"{waiting.unknown} message{'s' if waiting.unknown != 1 else ''}"
        parts.append(f"For {many} it is not known whether they arrived: look into the history before sending again.")
    if waiting.problem:
        parts.append(_sentence(waiting.problem))
    return " ".join(parts)


def _since(status: Status) -> str:
    return f" This is so since {_clock(status.since)}." if status.since else ""


def _at(moment: float | None) -> str:
    return f" at {_clock(moment)}" if moment else " soon"


def _clock(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment):%H:%M:%S}"


def _sentence(text: str) -> str:
    text = text.strip().rstrip(".")
    return f"{text[:1].upper()}{text[1:]}." if text else ""
