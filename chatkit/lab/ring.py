"""The last messages of one bot, to be sent again to those who missed them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from chatkit.lab.messages import Message

RING_SIZE = 1_000
"""Messages that are kept of each bot."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What one user is sent again."""

    messages: tuple[Message, ...]
    """Oldest first."""
    complete: bool
    """Whether nothing is missing before them."""


class Ring:
    """The newest replies and messages of one bot, each with the user who was left out of its broadcast."""

    def __init__(self, size: int = RING_SIZE) -> None:
        self._kept: deque[tuple[Message, str | None]] = deque(maxlen=size)
        self._full = False

    def add(self, message: Message, besides: str | None) -> None:
        """Keeps a message that is broadcast to everybody but ``besides``; the oldest makes room."""
        self._full = self._full or len(self._kept) == self._kept.maxlen
        self._kept.append((message, besides))

    def after(self, message_id: object, user: str) -> Replay:
        """What came after a message; nothing, and incomplete, when that one is not there any more."""
        ids = [message["data"]["message_id"] for message, _ in self._kept]
        if message_id not in ids:
            return Replay((), complete=False)
        start = ids.index(message_id) + 1
        return Replay(tuple(m for m, besides in list(self._kept)[start:] if besides != user), complete=True)

    def of_session(self, session_id: object, user: str) -> Replay:
        """Everything of one conversation; incomplete when something had to make room already."""
        mine = (m for m, besides in self._kept if besides != user and m["data"].get("session_id") == session_id)
        return Replay(tuple(mine), complete=not self._full)
