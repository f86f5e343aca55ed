"""``Book``: the ledger with hands. It records what the ledger decided, answers who waits, and tells who listens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from chatkit.client.delivery import Reply
from chatkit.errors import ChatkitError, ConnectionLost
from chatkit.events import DeliveryChanged, DuplicateSuppressed, GapDetected
from chatkit.policy.delivery import ChatMessage, DeliveryState, Outcome
from chatkit.policy.ledger import Ledger
from chatkit.recorder import Recorder


class Book:
    """One conversation's ledger, its waiting callers, its listeners.

    Args:
        ledger: decides.
        recorder: where decisions are recorded.
        changed: called with ``message``, ``delivery`` or ``duplicate`` after a change.
    """

    def __init__(self, ledger: Ledger, recorder: Recorder, changed: Callable[[str], None]) -> None:
        self.ledger = ledger
        self._recorder, self._changed = recorder, changed
        self._replies: dict[str, asyncio.Future[Reply]] = {}
        self.duplicates: dict[str, int] = {}
        """Copies that were not shown again, by what told that they are copies."""
        self.shown = 0
        """Messages of others that were added."""

    def now(self) -> float:
        """Seconds since the trace's epoch."""
        return self._recorder.now()

    def promise(self, key: str) -> asyncio.Future[Reply]:
        """What will hold the reply to our message."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        # A delivery that nobody awaits must not complain about a reply that nobody fetched.
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._replies[key] = future
        return future

    def waiting(self, key: str) -> asyncio.Future[Reply] | None:
        """The same, while it holds nothing yet."""
        return self._replies.get(key)

    def apply(self, outcomes: Outcome | Iterable[Outcome], connection: str | None = None) -> None:
        """Records and announces what the ledger decided, and answers those who wait."""
        for outcome in (outcomes,) if isinstance(outcomes, Outcome) else outcomes:
            self._apply(outcome, connection)
        self.ledger.trim()

    def introduce(self, key: str, bot: str) -> None:
        """Records what a message of ours says; what follows only says where it is."""
        message = self.ledger.message(key)
        self._note(message, text=message.text, bot=bot, client_id=message.client_id)
        self._changed("message")
        self.ledger.trim()

    def fail(self, key: str, state: DeliveryState, error: ChatkitError) -> None:
        """Our message will not get its reply: refused, expired, or its fate is unknown."""
        self.apply(self.ledger.failed(key, state, error.what))
        self.tell(key, error)

    def tell(self, key: str, error: ChatkitError) -> None:
        """Ends the wait for a reply; where the message may have arrived, as a loss."""
        future = self._replies.pop(key, None)
        if future is None or future.done() or not self.ledger.has(key):
            return
        state = self.ledger.message(key).state
        refused = state == DeliveryState.REJECTED
        future.set_exception(error if refused else self._lost(key, state, error.what))

    def close(self, because: str) -> None:
        """Nothing more will come; who waits for a reply is told."""
        for key in list(self._replies):
            self.tell(key, ChatkitError(because))

    def _apply(self, outcome: Outcome, connection: str | None) -> None:
        message = outcome.message
        self.shown += outcome.new
        if outcome.suppressed is not None:
            self.duplicates[outcome.suppressed] = self.duplicates.get(outcome.suppressed, 0) + 1
            self._recorder.record(
                DuplicateSuppressed,
                connection=connection,
                key=outcome.suppressed,
                via=outcome.via,
                message_id=message.message_id if message is not None else None,
            )
            self._changed("duplicate")
        if outcome.gap is not None:
            expected, got = outcome.gap
            id = message.message_id if message is not None else None
            self._recorder.record(GapDetected, connection=connection, message_id=id or "", expected=expected, got=got)
        if outcome.delivery is not None:
            self._settle(outcome.delivery)
        elif message is not None and message.via == "local":
            self._note(message)
        self._changed("message")

    def _note(self, message: ChatMessage, via: str | None = None, **told: str | None) -> None:
        fields = {"delivery": message.key, "state": str(message.state), "via": via, "because": message.because}
        self._recorder.record(DeliveryChanged, **fields, **told)
        self._changed("delivery")

    def _settle(self, key: str) -> None:
        """Our message has its reply."""
        future = self._replies.pop(key, None)
        answer = self.ledger.answer(key)
        reply, via = answer if answer is not None else (None, None)
        # What came over the socket is recorded as a frame; the bodies of HTTP answers are not.
        self._note(self.ledger.message(key), via, reply=reply if via != "websocket" else None)
        if future is not None and not future.done() and answer is not None:
            text, via = answer
            future.set_result(Reply(text=text, via=via))

    def _lost(self, key: str, state: str, because: str) -> ConnectionLost:
        remedy = "look into the history before sending it again"
        if state in (DeliveryState.QUEUED, DeliveryState.EXPIRED):
            remedy = "it did not go out: send it again when you like"
        return ConnectionLost(f"the reply did not come: {because}", delivery=key, outcome=str(state), remedy=remedy)
