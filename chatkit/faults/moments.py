"""What a fault plan is told (moments) and what it answers (actions): frozen values on both sides.

A moment is something that happens at the server, or on the way when a proxy executes the plan. Moments
that a server as a whole sees (``Started``, ``Asked`` about health) and moments of one connection have
separate states.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from chatkit.faults.path_moments import Answered, Flowed, Linked, Lose, Mangle, Passing, Requested, Rewrite

FrameKind = Literal["data", "app-ping", "protocol-ping", "protocol-pong", "close"]
How = Literal["fin", "rst"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The server begins to listen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Somebody asks for something that may be refused."""

    what: Literal["health", "api", "bot", "upgrade"]
    """``GET /health``, an HTTP call with a token, one about a bot, or a WebSocket upgrade."""
    bot: str | None = None
    """The bot that it is about; ``None`` when it is about none."""
    path: str = ""
    """Of an upgrade: the path, without the query."""
    host: str = ""
    """Of an upgrade: the header ``Host``."""
    origin: str | None = None
    """Of an upgrade: the header ``Origin``; ``None`` when it is missing."""
    protocols: tuple[str, ...] = ()
    """Of an upgrade: the subprotocols offered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Knocked:
    """To the server: somebody asks for a connection. Whatever comes of it, :class:`Left` follows."""

    connection: int
    """The connection's number."""
    user: str | None
    """Who it is; ``None`` when the token is not good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """To the server: a connection was let in."""

    connection: int
    """The connection's number."""
    user: str
    """Whose it is."""
    bot: str | None
    """The bot that it is about; ``None`` when it is about none."""
    token: str
    """A word that stands for its token; equal for the same token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """To the server: a connection is no more, or was never let in. Twice is fine."""

    connection: int
    """The connection's number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """To the server: what came over one TCP connection is about to show on another."""

    source: int
    """The number of the TCP connection that it came over."""
    target: int
    """The number of the other."""


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
    size: int = 0
    """Bytes of a message, decompressed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A whole message or control frame went to the client."""

    kind: FrameKind
    buffered: int = 0
    """Bytes that wait for the client to read on, this one's included."""


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


PathMoment = Linked | Requested | Answered | Flowed | Passing
"""What only a hop in front of a server sees."""
Moment = (
    Started
    | Asked
    | Knocked
    | Joined
    | Left
    | Crossing
    | Opened
    | Received
    | Sent
    | Sending
    | Saying
    | Replying
    | Woke
    | PathMoment
)


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
    location: str | None = None
    """The header ``Location``, to which the query is added; ``None`` for no header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Select:
    """Answer the upgrade with this subprotocol."""

    protocol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoil:
    """Answer the upgrade with 101 and one header that is wrong."""

    header: Literal["accept", "upgrade", "extension"]
    """``Sec-WebSocket-Accept`` of another key, no ``Upgrade``, or an extension that nobody offered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Send this message right after the next one of its kind."""

    seconds: float
    """Send it after this time at the latest."""


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

    what: Literal["invalid-json", "big-frame", "unknown-type", "missing-field"]
    size: int = 0
    """Bytes of the text of a ``big-frame``."""

    def text(self) -> str:
        """The text to send; a big frame is valid JSON of exactly ``size`` bytes."""
        match self.what:
            case "invalid-json":
                return '{"type": "chat_response", "data": {'
            case "unknown-type":
                return json.dumps({"type": "assistant.delta", "payload": {"text": "hello"}})
            case "missing-field":
                return json.dumps({"type": "chat_response", "message": {"id": "1", "text": "hello"}})
        empty = json.dumps({"type": "document_update", "data": {"filler": ""}})
        return empty.replace('""', '"' + "x" * max(0, self.size - len(empty)) + '"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Malform:
    """Send a frame that no endpoint may send."""

    what: Literal["opcode", "rsv", "fragment", "utf8"]
    """A reserved opcode, a reserved bit, a control frame in fragments, or a text that is no UTF-8."""

    def frame(self) -> bytes:
        """The bytes on the wire, unmasked (RFC 6455, section 5.2)."""
        payload = b'{"type": "chat_response", "data": {"content": "caf\xe9"}}' if self.what == "utf8" else b"hello"
        first = {"opcode": 0x83, "rsv": 0xA1, "fragment": 0x09, "utf8": 0x81}[self.what]
        return bytes([first, len(payload)]) + payload


@dataclass(frozen=True, slots=True, kw_only=True)
class Evict:
    """End one connection of the server."""

    connection: int
    """Its number."""
    end: Abort | CloseWith
    """How."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """Close every connection of the server in order and refuse new ones for a while."""

    code: int
    """The code of the close frames."""
    gap: float
    """Seconds until the server listens again."""


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


PathAction = Rewrite | Mangle | Lose
"""What only a hop in front of a server can do."""
Action = (
    Abort
    | CloseWith
    | Refuse
    | Select
    | Spoil
    | Delay
    | Drop
    | Duplicate
    | Hold
    | Inject
    | Malform
    | Evict
    | Restart
    | Crash
    | BlackHole
    | Stall
    | Wake
    | PathAction
)
