"""Values of the conversation: our messages' states, messages as they are shown, and what a fact changed; pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from msgspec import Struct

Via = Literal["websocket", "http", "history", "local"]


class DeliveryState(StrEnum):
    """Where a message of ours is."""

    QUEUED = "queued"
    """Waits: nothing carries it right now, or its turn has not come."""
    WRITTEN = "written"
    """Handed to the transport, no answer yet."""
    ACKED = "acked"
    """The backend has it."""
    REPLIED = "replied"
    """Its reply is there."""
    EXPIRED = "expired"
    """It waited too long and was not sent."""
    REJECTED = "rejected"
    """The backend refused it, or it was set aside: it is not sent again."""
    UNKNOWN = "unknown"
    """The transport failed in between: it may or may not have arrived."""


SETTLED = frozenset({DeliveryState.REPLIED, DeliveryState.EXPIRED, DeliveryState.REJECTED, DeliveryState.UNKNOWN})
"""States in which nobody waits for a reply any more."""


class ChatMessage(Struct, frozen=True, kw_only=True):
    """One message of the conversation as it is shown."""

    key: str
    """Stable while the message grows."""
    role: Literal["user", "assistant"]
    author: str
    text: str
    at: float
    """Seconds since the trace's epoch: when it was sent, or first seen."""
    via: Via
    state: str
    """Of ours: a :class:`DeliveryState`; of others: ``streaming``, ``complete`` or ``interrupted``."""
    message_id: str | None = None
    session_id: str | None = None
    client_id: str | None = None
    """Of ours: the id by which backends that can do so know a message that is sent again."""
    answers: str | None = None
    """Key of our message that it answers, once that is known."""
    chunks: int = 0
    """Streamed chunks so far."""
    gap: bool = False
    """Whether a chunk is missing from the stream."""
    also_via: str | None = None
    """The transport of a second copy that was not shown."""
    because: str = ""
    """Why a delivery failed."""


class Outcome(Struct, frozen=True, kw_only=True):
    """What a fact changed."""

    message: ChatMessage | None = None
    """The message that is new or changed."""
    delivery: str | None = None
    """Key of our message that got its reply."""
    suppressed: str | None = None
    """What told that a second copy is one: ``in_reply_to``, ``message_id``, ``timestamp``, ``reply-of-request``."""
    via: str = "websocket"
    """The transport of that second copy."""
    gap: tuple[int, int] | None = None
    """Expected and received chunk number."""
    new: bool = False
    """Whether a message of somebody else was added."""


NOTHING = Outcome()
