"""Which reply is which: the delivery rule of the contract as a pure ledger.

The user's message goes out over HTTP; the reply comes back twice, in that HTTP response and over the WebSocket. The
WebSocket is authoritative: its copy is the message. The HTTP copy marks our message as sent, and becomes the
message only while the socket is not live. Whatever the order of arrival, a reply is shown once; two equal answers
to two questions are two messages, because each HTTP answer claims one copy and no more.

Every method takes the facts and returns what changed; nothing here knows a socket or a clock.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec
from msgspec import Struct

LATE_COPY = 15.0
"""Seconds after an HTTP reply became the message within which its WebSocket copy still counts as the same."""


class DeliveryState(StrEnum):
    """Where a message of ours is."""

    QUEUED = "queued"
    """It waits: nothing carries it right now."""
    WRITTEN = "written"
    """Handed to the transport, no answer yet."""
    ACKED = "acked"
    """The backend has it."""
    REPLIED = "replied"
    """Its reply is there."""
    REJECTED = "rejected"
    """The backend refused it: it was not processed."""
    UNKNOWN = "unknown"
    """The transport failed in between: it may or may not have arrived."""
    EXPIRED = "expired"
    """It waited too long and was not sent."""


SETTLED = frozenset({DeliveryState.REPLIED, DeliveryState.EXPIRED, DeliveryState.REJECTED, DeliveryState.UNKNOWN})
"""States that the sender was told as the outcome."""


class ChatMessage(Struct, frozen=True, kw_only=True):
    """One message of the conversation as it is shown."""

    key: str
    """Stable while the message grows."""
    role: Literal["user", "assistant"]
    author: str
    text: str
    at: float
    """Seconds since the trace's epoch: when it was sent, or first seen."""
    via: Literal["websocket", "http", "local"]
    state: str
    """Of ours: a :class:`DeliveryState`; of others: ``streaming``, ``complete`` or ``interrupted``."""
    message_id: str | None = None
    session_id: str | None = None
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
    """The key by which a second copy was recognised: ``message_id`` or ``reply-of-request``."""
    gap: tuple[int, int] | None = None
    """Expected and received chunk number."""


NOTHING = Outcome()


class _Request(Struct, kw_only=True):
    key: str
    at: float
    session_id: str | None
    reply: str | None = None
    """The HTTP reply's text, once it came and while its WebSocket copy has not."""
    done: bool = False
    answer: tuple[str, str] | None = None
    """The reply's text and the transport that carried it."""


class Ledger:
    """The conversation: messages in order, requests without reply, replies without request.

    Args:
        show_both: the mistake of the incident: the HTTP reply is shown although the socket is live.
        via_socket: messages go out over the WebSocket too; then replies answer requests in their order.
    """

    def __init__(self, *, show_both: bool = False, via_socket: bool = False) -> None:
        self._show_both = show_both
        self._via_socket = via_socket
        self._messages: dict[str, ChatMessage] = {}
        self._requests: dict[str, _Request] = {}
        self._by_id: dict[str, str] = {}
        self._unclaimed: list[str] = []
        self._degraded: list[str] = []
        self._next = 0

    @property
    def messages(self) -> tuple[ChatMessage, ...]:
        """All messages in the order in which they are shown."""
        return tuple(self._messages.values())

    def message(self, key: str) -> ChatMessage:
        """The message with this key."""
        return self._messages[key]

    # Our side

    def sent(self, text: str, at: float, session_id: str | None) -> ChatMessage:
        """We sent a message."""
        key = self._key("m")
        self._requests[key] = _Request(key=key, at=at, session_id=session_id)
        return self._put(
            ChatMessage(
                key=key,
                role="user",
                author="you",
                text=text,
                at=at,
                via="local",
                state=DeliveryState.WRITTEN,
                session_id=session_id,
            )
        )

    def failed(self, key: str, state: DeliveryState, because: str) -> Outcome:
        """Our message was refused, or its fate is unknown."""
        self._requests[key].done = True
        return Outcome(message=self._change(key, state=state, because=because))

    def acked(self, key: str) -> Outcome:
        """The backend has our message; no reply in that answer."""
        return Outcome(message=self._change(key, state=DeliveryState.ACKED))

    def answered(self, key: str, text: str, session_id: str | None, at: float, *, live: bool) -> list[Outcome]:
        """The HTTP response to our message came, with the reply's text.

        Args:
            key: our message.
            text: the reply.
            session_id: as the response names it.
            at: now, seconds since the trace's epoch.
            live: whether the WebSocket is established right now.
        """
        request = self._requests[key]
        request.session_id = session_id or request.session_id
        outcomes = [self.acked(key)]
        copy = None if self._show_both else self._claim(request, text)
        if copy is not None:
            message = self._change(copy, also_via="http")
            outcomes.append(Outcome(message=message, suppressed="reply-of-request"))
            outcomes.append(self._reply(request, message.text, "websocket"))
        elif live and not self._show_both:
            request.reply = text
        else:
            outcomes += self._degrade(request, text, at, remember=not self._show_both)
        return outcomes

    def overdue(self, key: str) -> Outcome:
        """The WebSocket copy did not come for long although the socket is live: the reply counts as answered."""
        request = self._requests[key]
        if request.done or request.reply is None:
            return NOTHING
        because = "the reply came over HTTP and was not seen on the WebSocket"
        return self._reply(request, request.reply, "http", because)

    def answer(self, key: str) -> tuple[str, str] | None:
        """The reply to our message and the transport that carried it, once there is one."""
        return self._requests[key].answer

    # Their side

    def chunk(self, message_id: str, seq: int, delta: str, session_id: str | None, author: str, at: float) -> Outcome:
        """A part of a streamed reply came."""
        key = self._by_id.get(message_id)
        if key is None:
            message = self._new(author, "", at, "websocket", "streaming", message_id, session_id)
            self._unclaimed.append(message.key)
        else:
            message = self._messages[key]
            if message.state == "complete":
                return Outcome(suppressed="message_id")
        expected = message.chunks
        gap = (expected, seq) if seq > expected else None
        if seq < expected:
            return Outcome(suppressed="message_id")
        changed = self._change(
            message.key,
            text=message.text + ("…" if gap else "") + delta,
            chunks=seq + 1,
            gap=message.gap or gap is not None,
            state="streaming",
        )
        return Outcome(message=changed, gap=gap)

    def reply(self, text: str, message_id: str | None, session_id: str | None, author: str, at: float) -> Outcome:
        """A whole reply came over the WebSocket."""
        key = self._by_id.get(message_id) if message_id else None
        if key is not None and self._messages[key].state == "complete":
            self._change(key, also_via="websocket")
            return Outcome(suppressed="message_id", message=self._messages[key])
        request = self._waiting(text, session_id)
        # Who waits for this very text comes first: equal answers to two questions are two messages.
        shown = self._match_degraded(text, session_id, at) if request is None else None
        if shown is not None:
            if message_id:
                self._by_id[message_id] = shown
            return Outcome(message=self._change(shown, also_via="websocket"), suppressed="reply-of-request")
        if key is None:
            message = self._new(author, text, at, "websocket", "complete", message_id, session_id)
            self._unclaimed.append(message.key)
        else:
            message = self._change(key, text=text, state="complete")
        if request is None:
            return Outcome(message=message)
        self._unclaimed.remove(message.key)
        self._reply(request, text, "websocket")
        if not self._via_socket:
            message = self._change(message.key, also_via="http")
        twice = None if self._via_socket else "reply-of-request"
        return Outcome(message=message, delivery=request.key, suppressed=twice)

    def other(self, text: str, message_id: str | None, session_id: str | None, author: str, at: float) -> Outcome:
        """Another user's message came."""
        if message_id and message_id in self._by_id:
            return Outcome(suppressed="message_id")
        return Outcome(message=self._new(author, text, at, "websocket", "complete", message_id, session_id, "user"))

    def socket_down(self, at: float) -> list[Outcome]:
        """The socket is not live any more: HTTP replies that waited become messages, streams are interrupted."""
        streams = [message.key for message in self.messages if message.state == "streaming"]
        outcomes = [Outcome(message=self._change(key, state="interrupted")) for key in streams]
        for request in list(self._requests.values()):
            if request.reply is not None and not request.done:
                outcomes += self._degrade(request, request.reply, at, remember=True)
        return outcomes

    # Inside

    def _claim(self, request: _Request, text: str) -> str | None:
        """An unclaimed WebSocket reply that answers the request: same text and session, seen after the request."""
        for key in self._unclaimed:
            message = self._messages[key]
            fits = message.state == "complete" and message.text == text and message.at >= request.at
            if fits and _same(message.session_id, request.session_id):
                self._unclaimed.remove(key)
                return key
        return None

    def _waiting(self, text: str, session_id: str | None) -> _Request | None:
        """The oldest request whose HTTP reply came with this text and waits for its WebSocket copy."""
        for request in self._requests.values():
            fits = self._via_socket or request.reply == text
            if not request.done and fits and _same(request.session_id, session_id):
                return request
        return None

    def _match_degraded(self, text: str, session_id: str | None, at: float) -> str | None:
        """An HTTP reply that became a message just now and whose WebSocket copy this is."""
        self._degraded = [key for key in self._degraded if at - self._messages[key].at <= LATE_COPY]
        for key in self._degraded:
            message = self._messages[key]
            if message.text == text and _same(message.session_id, session_id):
                self._degraded.remove(key)
                return key
        return None

    def _degrade(self, request: _Request, text: str, at: float, *, remember: bool) -> list[Outcome]:
        """The HTTP reply becomes the message; an interrupted stream of the same reply is completed by it."""
        stream = next((key for key in self._unclaimed if self._continues(key, request, text)), None)
        if stream is not None:
            self._unclaimed.remove(stream)
            message = self._change(stream, text=text, state="complete", also_via="http")
            return [Outcome(message=message), self._reply(request, text, "http")]
        message = self._new("Assistant", text, at, "http", "complete", None, request.session_id)
        if remember:
            self._degraded.append(message.key)
        return [Outcome(message=message), self._reply(request, text, "http")]

    def _continues(self, key: str, request: _Request, text: str) -> bool:
        message = self._messages[key]
        fits = message.state == "interrupted" and (message.gap or text.startswith(message.text))
        return fits and message.at >= request.at and _same(message.session_id, request.session_id)

    def _reply(self, request: _Request, text: str, via: str, because: str = "") -> Outcome:
        request.done = True
        request.answer = (text, via)
        message = self._change(request.key, state=DeliveryState.REPLIED, because=because)
        return Outcome(message=message, delivery=request.key)

    def _new(
        self,
        author: str,
        text: str,
        at: float,
        via: Literal["websocket", "http"],
        state: str,
        message_id: str | None,
        session_id: str | None,
        role: Literal["user", "assistant"] = "assistant",
    ) -> ChatMessage:
        key = self._key("r")
        if message_id:
            self._by_id[message_id] = key
        return self._put(
            ChatMessage(
                key=key,
                role=role,
                author=author,
                text=text,
                at=at,
                via=via,
                state=state,
                message_id=message_id,
                session_id=session_id,
            )
        )

    def _key(self, prefix: str) -> str:
        self._next += 1
        return f"{prefix}{self._next}"

    def _put(self, message: ChatMessage) -> ChatMessage:
        self._messages[message.key] = message
        return message

    def _change(self, key: str, **changes: object) -> ChatMessage:
        return self._put(msgspec.structs.replace(self._messages[key], **changes))


def _same(one: str | None, other: str | None) -> bool:
    return one is None or other is None or one == other
