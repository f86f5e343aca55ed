"""What ``send()`` hands back: a message on its way, to watch or to await."""

from __future__ import annotations

import asyncio
from collections.abc import Generator

import msgspec
from msgspec import Struct

from chatkit import display
from chatkit.policy.delivery import ChatMessage, DeliveryState
from chatkit.policy.ledger import Ledger


class Reply(Struct, frozen=True, kw_only=True):
    """A bot's answer to one message."""

    text: str
    via: str
    """``websocket``, ``http`` or ``history``: the transport whose copy is the message."""

    _repr_pretty_ = display.in_words

    def _repr_html_(self) -> str | None:
        return display.glance("reply", self.text, [("via", self.via)], "ok")

    def __str__(self) -> str:
        return self.text


class Delivery:
    """One message of ours. ``await delivery`` gives its :class:`Reply`, once, however many copies come.

    Awaiting raises :class:`chatkit.errors.ConnectionLost` when the message expired or its fate is unknown, and the
    backend's refusal where it was refused. It never waits longer than the message may wait for its turn, the time-out
    of the transport, and a short grace for the WebSocket's copy. Cancelling the wait does not take the message back.
    """

    def __init__(self, key: str, ledger: Ledger, done: asyncio.Future[Reply]) -> None:
        self.key = key
        self._ledger = ledger
        self._done = done
        self._last = ledger.message(key)

    @property
    def message(self) -> ChatMessage:
        """The message as it is shown now, or as it was when the conversation forgot it."""
        if self._ledger.has(self.key):
            self._last = self._ledger.message(self.key)
        elif self._done.done() and not self._done.cancelled():
            # The conversation forgot it: what became of it is known all the same.
            error = self._done.exception()
            state = DeliveryState.REPLIED if error is None else getattr(error, "outcome", DeliveryState.REJECTED)
            self._last = msgspec.structs.replace(self._last, state=state)
        return self._last

    @property
    def id(self) -> str | None:
        """Our id of the message (``client_message_id``)."""
        return self.message.client_id

    @property
    def state(self) -> DeliveryState:
        """Where the message is."""
        return DeliveryState(self.message.state)

    def __await__(self) -> Generator[None, None, Reply]:
        return asyncio.shield(self._done).__await__()

    def _repr_html_(self) -> str | None:
        message = self.message
        facts = [("state", str(self.state)), *([("because", message.because)] if message.because else [])]
        return display.glance("message", message.text, facts)

    def __repr__(self) -> str:
        because = f", {self.message.because}" if self.message.because else ""
        return f"<Delivery {self.key}: {self.state}{because}>"
