"""Moments and actions of a hop in front of a server, which sees bytes, heads and frames of both directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from chatkit.faults.moments import FrameKind

Direction = Literal["outbound", "inbound"]
"""Seen from the client: ``outbound`` is what the client sends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """Both TCP connections stand: the client's to the hop, and the hop's to the server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requested:
    """The head of an HTTP request is about to go to the server."""

    what: Literal["health", "api", "upgrade"]
    """``GET /health``, another call, or a WebSocket upgrade."""
    open: int = 0
    """WebSockets that are open through the hop at this moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The 101 of the server is about to go to the client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flowed:
    """Bytes came in one direction, whatever they are."""

    direction: Direction
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Passing:
    """A whole message or control frame is about to go on."""

    direction: Direction
    kind: FrameKind
    type: str | None = None
    """The message's ``type``; ``None`` for control frames and for what is no JSON object."""
    size: int = 0
    """Payload bytes on the wire, compressed where the message is."""
    compressed: bool = False
    whole: bool = True
    """False for a message too long to be held: its beginning is about to go on, ``size`` is what came so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """Change the head that is about to go on."""

    what: Literal["no-upgrade", "uncompressed", "independent", "accept", "extension", "lose-deflate", "claim-deflate"]
    """``no-upgrade``: without the fields of the upgrade. ``uncompressed``: without the offer of compression.
    ``independent``: compression without context takeover, so that a message may be missing. ``accept``: a wrong
    ``Sec-WebSocket-Accept``. ``extension``: one that nobody offered. ``lose-deflate``, ``claim-deflate``: the client
    hears that compression was not, or was, agreed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mangle:
    """Break the message that is about to go on."""

    how: Literal["utf8", "reserved-bit", "deflate", "rsv1"]
    """A byte that UTF-8 does not know at its end, the RSV2 bit set, compressed data that begin with an invalid block,
    or the mark of compression (RSV1) cleared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lose:
    """From now on lose packets of this connection."""

    share: float
    direction: Literal["both", "outbound", "inbound"]
