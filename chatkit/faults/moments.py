"""What a fault plan is told (moments) and what it answers (actions): frozen values on both sides.

A moment is something that happens at the server, or on the way when a proxy executes the plan. Moments
that a server as a whole sees (``Started``, ``Asked`` about health) and moments of one connection have
separate states.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

FrameKind = Literal["data", "app-ping", "protocol-ping", "protocol-pong", "close"]
How = Literal["fin", "rst"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The server begins to listen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Somebody asks for something that may be refused."""

    what: Literal["health", "api", "upgrade"]
    """``GET /health``, an HTTP call with a token, or a WebSocket upgrade."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The upgrade was answered with 101."""

    expires_in: float | None = None
    """Seconds until the token of this connection expires; ``None`` when that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A whole message or control frame came from the client."""

    kind: FrameKind
    type: str | None = None
    """The message's ``type``; ``None`` for control frames and for what is no JSON object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A whole message or control frame went to the client."""

    kind: FrameKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """A message is about to go to the client or to all clients of a bot."""

    type: str
    is_typing: bool | None = None
    """The flag of a ``typing_indicator``."""
    seq: int | None = None
    """The sequence number of a ``chat_response_chunk``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saying:
    """A user's chat message is about to be taken, over HTTP or over the socket."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Replying:
    """A bot is about to work on a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Woke:
    """The time of a :class:`Wake` has come."""

    key: int
    """The ``key`` of that action."""


Moment = Started | Asked | Opened | Received | Sent | Sending | Saying | Replying | Woke


@dataclass(frozen=True, slots=True, kw_only=True)
class Abort:
    """End the TCP connection without a close frame."""

    how: How
    after: float = 0.0
    """Seconds from now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseWith:
    """End the connection with a close frame."""

    code: int
    reason: str
    after: float = 0.0
    """Seconds from now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """Answer with this HTTP status instead of what was asked for; to a chat message: do not take it."""

    status: int
    retry_after: float | None = None
    """Seconds for the header ``Retry-After``; ``None`` for no header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """Wait before going on."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """Do not send this message, or act as if this frame had never arrived."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate:
    """Send this message twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inject:
    """Send a message that nobody asked for."""

    what: Literal["invalid-json", "big-frame"]
    size: int = 0
    """Bytes of the text of a ``big-frame``."""

    def text(self) -> str:
        """The text to send; a big frame is valid JSON of exactly ``size`` bytes."""
        if self.what == "invalid-json":
            return '{"type": "chat_response", "data": {'
        empty = json.dumps({"type": "document_update", "data": {"filler": ""}})
        return empty.replace('""', '"' + "x" * max(0, self.size - len(empty)) + '"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """Drop every connection of the server without close frame and refuse new ones for a while."""

    gap: float
    """Seconds until the server listens again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlackHole:
    """Let nothing through on this TCP connection, in either direction, and tell nobody."""

    seconds: float
    """Seconds until the path is whole again; 0 for never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall:
    """Block the server's event loop."""

    seconds: float
    """For how long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wake:
    """Tell the plan :class:`Woke` with this key."""

    after: float
    """Seconds from now."""
    key: int = -1
    """Filled in by the plan."""


Action = Abort | CloseWith | Refuse | Delay | Drop | Duplicate | Inject | Crash | BlackHole | Stall | Wake
