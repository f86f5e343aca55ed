"""What ``send()`` hands back: a message on its way, to watch or to await."""

from __future__ import annotations

import asyncio
from collections.abc import Generator

from msgspec import Struct

from chatkit.policy.delivery import ChatMessage, DeliveryState, Ledger


class Reply(Struct, frozen=True, kw_only=True):
    """A bot's answer to one message."""

    text: str
    via: str
    """``websocket`` or ``http``: the transport whose copy is the message."""

    def __str__(self) -> str:
        return self.text


class Delivery:
    """One message of ours. ``await delivery`` gives its :class:`Reply`, once, however many copies come.

    Awaiting raises :class:`chatkit.ConnectionLost` when the message's fate is unknown and
    :class:`chatkit.InvalidInput`-like refusals as the backend gave them; it never waits longer than the HTTP
    time-out and a short grace for the WebSocket's copy. Cancelling the wait does not take the message back.
    """

    def __init__(self, key: str, ledger: Ledger, done: asyncio.Future[Reply]) -> None:
        self.key = key
        self._ledger = ledger
        self._done = done

    @property
    def message(self) -> ChatMessage:
        """The message as it is shown now."""
        return self._ledger.message(self.key)

    @property
    def state(self) -> DeliveryState:
        """Where the message is."""
        return DeliveryState(self.message.state)

    def __await__(self) -> Generator[None, None, Reply]:
        return asyncio.shield(self._done).__await__()

    def __repr__(self) -> str:
        because = f", {self.message.because}" if self.message.because else ""
        return f"<Delivery {self.key}: {self.state}{because}>"
