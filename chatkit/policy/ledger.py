"""Which reply is which, and where our messages are: the conversation as a pure ledger.

A user's message goes out over HTTP (or the WebSocket); the reply comes back twice, in that HTTP response and over the
WebSocket, and once more from the history after a reconnect. Each is shown once. What tells that two copies are one, in
this order:

1. ``in_reply_to``: our own id of the message that is answered, where the backend names it;
2. ``message_id``: the server's id;
3. ``timestamp``: session, role and server time, for messages without an id;
4. ``reply-of-request``: equal text and session, only between the one HTTP reply and the one WebSocket reply of the
   same request, and only once: two equal answers to two questions are two messages.

The first copy wins, the second is noted on it (``also_via``). While the socket is live its copy is the message and
the HTTP copy waits for it. Every method takes the facts and returns what changed; nothing here knows a socket or a
clock.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

from chatkit.policy.delivery import NOTHING, SETTLED, ChatMessage, DeliveryState, Outcome, Via
from chatkit.policy.seen import MOST, Seen

LATE_COPY = 15.0
"""Seconds after an HTTP reply became the message within which its WebSocket copy still counts as the same."""
REMEMBERED = 600.0
"""Seconds for which session, role and server time of a message without an id are remembered."""


class Request(Struct, kw_only=True):
    """What is known of one message of ours; the ledger's own."""

    key: str
    at: float
    session_id: str | None
    client_id: str | None
    reply: str | None = None
    """The HTTP reply's text, once it came and while its WebSocket copy has not."""
    done: bool = False
    answer: tuple[str, str] | None = None
    """The reply's text and the transport that carried it."""
    shown: str | None = None
    """Key of the message that answers it."""
    row: str | None = None
    """Id of its row in the session's history."""


class Ledger:
    """The conversation: messages in order, requests without reply, replies without request.

    Args:
        show_both: the mistake of the incident: the HTTP reply is shown although the socket is live.
        via_socket: messages go out over the WebSocket too; then replies answer requests in their order.
        most: messages that :meth:`trim` leaves; the oldest go first, and :attr:`forgotten` counts them.
    """

    def __init__(self, *, show_both: bool = False, via_socket: bool = False, most: int = MOST) -> None:
        self._show_both = show_both
        self._via_socket = via_socket
        self._most = most
        self._messages: dict[str, ChatMessage] = {}
        self._requests: dict[str, Request] = {}
        self._by_client_id: dict[str, str] = {}
        self._by_id: dict[str, str] = {}
        self._gone: Seen[str, bool] = Seen(4 * most)
        self._by_time: Seen[tuple[str | None, str, str], str] = Seen(most, REMEMBERED)
        self._unclaimed: list[str] = []
        self._degraded: list[str] = []
        self._next = self._horizon = 0
        self.forgotten = 0
        """Messages that were dropped from the beginning."""

    @property
    def messages(self) -> tuple[ChatMessage, ...]:
        """All messages in the order in which they are shown."""
        return tuple(self._messages.values())

    @property
    def requests(self) -> tuple[Request, ...]:
        """Our messages, oldest first; for reading."""
        return tuple(self._requests.values())

    def message(self, key: str) -> ChatMessage:
        """The message with this key."""
        return self._messages[key]

    def beyond(self, key: str) -> bool:
        """Whether a message came after all that was forgotten."""
        return int(key[1:]) > self._horizon

    def has(self, key: str) -> bool:
        """Whether the message is still remembered."""
        return key in self._messages

    def known(self, message_id: str) -> str | None:
        """Key of the message with a server's id."""
        return self._by_id.get(message_id)

    def gone(self, message_id: str) -> bool:
        """Whether a message with this server's id was shown and forgotten."""
        return self._gone.get(message_id, 0.0) is not None

    def request_of(self, client_id: str) -> Request | None:
        """Our message with this client id."""
        return self._requests.get(self._by_client_id.get(client_id, ""))

    # Our side

    def sent(
        self,
        text: str,
        at: float,
        session_id: str | None,
        client_id: str | None = None,
        state: DeliveryState = DeliveryState.WRITTEN,
    ) -> ChatMessage:
        """We want to send a message, or have sent it."""
        key = self._key("m")
        self._requests[key] = Request(key=key, at=at, session_id=session_id, client_id=client_id)
        if client_id is not None:
            self._by_client_id[client_id] = key
        return self._put(
            ChatMessage(
                key=key,
                role="user",
                author="you",
                text=text,
                at=at,
                via="local",
                state=state,
                session_id=session_id,
                client_id=client_id,
            )
        )

    def moved(self, key: str, state: DeliveryState, because: str = "", session_id: str | None = None) -> Outcome:
        """Our message went out, or waits again. One that has its reply by now stays where it is."""
        request = self._requests[key]
        request.session_id = session_id or request.session_id
        if request.shown is not None:
            return NOTHING
        request.done = False
        return Outcome(message=self._change(key, state=state, because=because))

    def failed(self, key: str, state: DeliveryState, because: str) -> Outcome:
        """Our message was refused, expired, or its fate is unknown."""
        self._requests[key].done = True
        return Outcome(message=self._change(key, state=state, because=because))

    def acked(self, key: str) -> Outcome:
        """The backend has our message; no reply in that answer."""
        return Outcome(message=self._change(key, state=DeliveryState.ACKED, because=""))

    def arrived(self, key: str, row: str) -> Outcome:
        """The session's history holds our message, as the row with that id."""
        request = self._requests[key]
        request.row = row
        self._by_id[row] = key
        state = self._messages[key].state
        if state in (DeliveryState.UNKNOWN, DeliveryState.WRITTEN):
            request.done = False
            return Outcome(message=self._change(key, state=DeliveryState.ACKED, because="the history shows it"))
        return NOTHING

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
        if request.done and request.shown is not None and not self._show_both:
            # The socket's copy, or the history's, named our message: it is answered already.
            shown = self._change(request.shown, also_via="http")
            return [Outcome(message=shown, suppressed="in_reply_to", via="http")]
        outcomes = [self.acked(key)]
        copy = None if self._show_both else self._claim(request, text)
        if copy is not None:
            message = self._change(copy, also_via="http", answers=key)
            outcomes.append(Outcome(message=message, suppressed="reply-of-request", via="http"))
            outcomes.append(self.reply_to(request, message, "websocket"))
        elif live and not self._show_both:
            request.reply = text
        else:
            outcomes += self._degrade(request, text, at, remember=not self._show_both)
        return outcomes

    def overdue(self, key: str, at: float) -> list[Outcome]:
        """The WebSocket copy did not come for long although the socket is live: the HTTP reply is shown instead."""
        request = self._requests[key]
        if request.done or request.reply is None:
            return []
        outcomes = self._degrade(request, request.reply, at, remember=True)
        because = "the reply came over HTTP and was not seen on the WebSocket"
        return [*outcomes, Outcome(message=self._change(key, because=because))]

    def answer(self, key: str) -> tuple[str, str] | None:
        """The reply to our message and the transport that carried it, once there is one."""
        return self._requests[key].answer

    # Their side

    def chunk(self, message_id: str, seq: int, delta: str, session_id: str | None, author: str, at: float) -> Outcome:
        """A part of a streamed reply came."""
        key = self.known(message_id)
        if key is None:
            message = self.new(author, "", at, "websocket", "streaming", message_id, session_id)
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
        return Outcome(message=changed, gap=gap, new=key is None)

    def reply(
        self,
        text: str,
        message_id: str | None,
        session_id: str | None,
        author: str,
        at: float,
        *,
        in_reply_to: str | None = None,
        timestamp: str | None = None,
    ) -> Outcome:
        """A whole reply came over the WebSocket."""
        named = self.request_of(in_reply_to) if in_reply_to else None
        if named is not None and named.shown is not None and self._is_copy(named.shown, message_id, text):
            return self._again(named.shown, message_id, "in_reply_to", at)
        key = self.known(message_id) if message_id else None
        if key is not None and self._messages[key].state == "complete":
            return self._again(key, message_id, "message_id", at)
        if message_id and self.gone(message_id):
            return Outcome(suppressed="message_id")
        if key is None and (same := self._same_moment(message_id, session_id, timestamp, "assistant", at)):
            return self._again(same, message_id, "timestamp", at)
        request = named if named is not None and named.shown is None else None
        if request is None and named is None:
            request = self._waiting(text, session_id)
        # Who waits for this very text comes first: equal answers to two questions are two messages.
        shown = self._match_degraded(text, session_id, at) if request is None and named is None else None
        if shown is not None:
            return self._again(shown, message_id, "reply-of-request", at)
        new = key is None
        if key is None:
            message = self.new(author, text, at, "websocket", "complete", message_id, session_id)
            self._unclaimed.append(message.key)
        else:
            message = self._change(key, text=text, state="complete")
        self._note_moment(message.key, message_id, session_id, timestamp, "assistant", at)
        if request is None:
            return Outcome(message=message, new=new)
        self._forget_unclaimed(message.key)
        twice = request.reply is not None
        self.reply_to(request, message, "websocket")
        message = self._change(message.key, answers=request.key, also_via="http" if twice else message.also_via)
        suppressed = "reply-of-request" if twice else None
        return Outcome(message=message, delivery=request.key, suppressed=suppressed, via="http", new=new)

    def other(
        self,
        text: str,
        message_id: str | None,
        session_id: str | None,
        author: str,
        at: float,
        *,
        timestamp: str | None = None,
    ) -> Outcome:
        """Another user's message came."""
        if message_id and (self.known(message_id) is not None or self.gone(message_id)):
            return Outcome(suppressed="message_id")
        if self._same_moment(message_id, session_id, timestamp, "user", at):
            return Outcome(suppressed="timestamp")
        message = self.new(author, text, at, "websocket", "complete", message_id, session_id, "user")
        self._note_moment(message.key, message_id, session_id, timestamp, "user", at)
        return Outcome(message=message, new=True)

    def socket_down(self, at: float) -> list[Outcome]:
        """The socket is not live any more: HTTP replies that waited become messages, streams are interrupted."""
        streams = [message.key for message in self.messages if message.state == "streaming"]
        outcomes = [Outcome(message=self._change(key, state="interrupted")) for key in streams]
        for request in self.requests:
            if request.reply is not None and not request.done:
                outcomes += self._degrade(request, request.reply, at, remember=True)
        return outcomes

    # For the history's merge

    def unidentified(self, request: Request, text: str) -> str | None:
        """The message that answers a request with this text and has no server's id yet."""
        if request.shown is None:
            return None
        message = self._messages.get(request.shown)
        fits = message is not None and message.message_id is None and message.text == text
        return request.shown if fits else None

    def identify(self, key: str, message_id: str, via: str) -> Outcome:
        """A message that had no server's id has one now: the same message, seen again."""
        self._by_id[message_id] = key
        if key in self._degraded:
            self._degraded.remove(key)
        message = self._change(key, message_id=message_id, also_via=self._messages[key].also_via or via)
        return Outcome(message=message, suppressed="reply-of-request", via=via)

    def complete(self, key: str, text: str) -> Outcome:
        """A message that was streaming or interrupted is whole."""
        self._forget_unclaimed(key)
        return Outcome(message=self._change(key, text=text, state="complete", also_via="history"))

    def reply_to(self, request: Request, message: ChatMessage, via: str, because: str = "") -> Outcome:
        """A message answers our request."""
        request.done, request.shown, request.reply = True, message.key, None
        request.answer = (message.text, via)
        changed = self._change(request.key, state=DeliveryState.REPLIED, because=because)
        return Outcome(message=changed, delivery=request.key)

    def new(
        self,
        author: str,
        text: str,
        at: float,
        via: Via,
        state: str,
        message_id: str | None,
        session_id: str | None,
        role: Literal["user", "assistant"] = "assistant",
        *,
        after: str | None = None,
        ahead_of: str | None = None,
    ) -> ChatMessage:
        """A message of somebody else, at the end, or right after ``after``, or right ahead of ``ahead_of``."""
        key = self._key("r")
        if message_id:
            self._by_id[message_id] = key
        message = ChatMessage(
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
        return self._put(message, after, ahead_of)

    # Inside

    def _is_copy(self, key: str, message_id: str | None, text: str) -> bool:
        """Whether a reply that names our message is the one we show; a bot may answer twice."""
        shown = self._messages.get(key)
        if shown is None:
            return True
        return message_id is None or shown.message_id in (None, message_id) or shown.text == text

    def _again(self, key: str, message_id: str | None, told_by: str, at: float) -> Outcome:
        """A second copy of a message that is shown."""
        if key not in self._messages:
            return Outcome(suppressed=told_by)
        if message_id:
            self._by_id[message_id] = key
        shown = self._messages[key]
        also = shown.also_via or ("websocket" if shown.via != "websocket" or told_by == "message_id" else None)
        message = self._change(key, also_via=also, message_id=shown.message_id or message_id)
        return Outcome(message=message, suppressed=told_by)

    def _same_moment(
        self, message_id: str | None, session_id: str | None, timestamp: str | None, role: str, at: float
    ) -> str | None:
        if message_id is not None or timestamp is None:
            return None
        return self._by_time.get((session_id, timestamp, role), at)

    def _note_moment(
        self, key: str, message_id: str | None, session_id: str | None, timestamp: str | None, role: str, at: float
    ) -> None:
        if message_id is None and timestamp is not None:
            self._by_time.put((session_id, timestamp, role), key, at)

    def _claim(self, request: Request, text: str) -> str | None:
        """An unclaimed WebSocket reply that answers the request: same text and session, seen after the request."""
        for key in self._unclaimed:
            message = self._messages[key]
            fits = message.state == "complete" and message.text == text and message.at >= request.at
            if fits and _same(message.session_id, request.session_id):
                self._unclaimed.remove(key)
                return key
        return None

    def _waiting(self, text: str, session_id: str | None) -> Request | None:
        """The oldest request whose HTTP reply came with this text and waits for its WebSocket copy."""
        for request in self._requests.values():
            sent = self._messages[request.key].state in (DeliveryState.WRITTEN, DeliveryState.ACKED)
            fits = (self._via_socket and sent) or request.reply == text
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

    def _degrade(self, request: Request, text: str, at: float, *, remember: bool) -> list[Outcome]:
        """The HTTP reply becomes the message; an interrupted stream of the same reply is completed by it."""
        stream = next((key for key in self._unclaimed if self._continues(key, request, text)), None)
        if stream is not None:
            self._unclaimed.remove(stream)
            message = self._change(stream, text=text, state="complete", also_via="http", answers=request.key)
            return [Outcome(message=message), self.reply_to(request, message, "http")]
        later = next((r.shown for r in self.requests if r.at > request.at and r.shown in self._messages), None)
        message = self.new("Assistant", text, at, "http", "complete", None, request.session_id, ahead_of=later)
        message = self._change(message.key, answers=request.key)
        if remember:
            self._degraded.append(message.key)
        return [Outcome(message=message, new=True), self.reply_to(request, message, "http")]

    def _continues(self, key: str, request: Request, text: str) -> bool:
        message = self._messages[key]
        fits = message.state == "interrupted" and (message.gap or text.startswith(message.text))
        return fits and message.at >= request.at and _same(message.session_id, request.session_id)

    def _forget_unclaimed(self, key: str) -> None:
        if key in self._unclaimed:
            self._unclaimed.remove(key)

    def _key(self, prefix: str) -> str:
        self._next += 1
        return f"{prefix}{self._next}"

    def _put(self, message: ChatMessage, after: str | None = None, ahead_of: str | None = None) -> ChatMessage:
        beside = after if after is not None else ahead_of
        if beside is None or beside not in self._messages or next(reversed(self._messages)) == after:
            self._messages[message.key] = message
        else:
            rows = list(self._messages.items())
            place = next(n for n, (key, _) in enumerate(rows) if key == beside) + (after is not None)
            self._messages = dict([*rows[:place], (message.key, message), *rows[place:]])
        return message

    def trim(self) -> None:
        """Drops the oldest of what is over, where too much is remembered; to be called once all changes were told."""
        if len(self._messages) <= self._most:
            return
        loose = [key for key, message in self._messages.items() if self._is_over(message)]
        going = set(loose[: len(self._messages) - self._most + self._most // 10])
        # An answer goes with its question: alone, without an id, it would not be known again in the history.
        going |= {key for key in loose if self._messages[key].answers in going}
        for key in going:
            message, request = self._messages.pop(key), self._requests.pop(key, None)
            self._by_client_id.pop(message.client_id or "", None)
            self._forget_unclaimed(key)
            if key in self._degraded:
                self._degraded.remove(key)
            self.forgotten += 1
            self._horizon = max(self._horizon, int(key[1:]))
            for id in (message.message_id, request.row if request is not None else None):
                if id is not None and self._by_id.pop(id, None) is not None:
                    self._gone.put(id, True, 0.0)

    def _is_over(self, message: ChatMessage) -> bool:
        if message.via != "local":
            return message.state != "streaming"
        # Of a message whose fate is unknown the history may still tell.
        return message.state in SETTLED and message.state != DeliveryState.UNKNOWN

    def _change(self, key: str, **changes: object) -> ChatMessage:
        self._messages[key] = msgspec.structs.replace(self._messages[key], **changes)
        return self._messages[key]


def _same(one: str | None, other: str | None) -> bool:
    return one is None or other is None or one == other
