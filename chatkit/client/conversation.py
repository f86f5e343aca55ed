"""The conversation of one client: messages, deliveries, typing. It outlives every connection.

``Conversation`` does what the pure ledger decides: it records the decision, answers whoever waits for a reply, and
carries messages to the backend. The socket, while there is one, is lent to it by the client.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from websockets.exceptions import ConnectionClosed

from chatkit.behaviour import Client
from chatkit.client.connection import RecordedConnection
from chatkit.client.delivery import Delivery, Reply
from chatkit.client.http import HttpApi, HttpStatusError
from chatkit.client.tasks import Tasks
from chatkit.errors import AuthError, ChatkitError, ConnectFailed, ConnectionEnded, ConnectionLost, InvalidInput
from chatkit.events import BadMessageReceived, DeliveryChanged, DuplicateSuppressed, GapDetected
from chatkit.policy.delivery import ChatMessage, DeliveryState, Ledger, Outcome
from chatkit.profile import Incoming
from chatkit.recorder import Recorder

REPLY_GRACE = 5.0
"""Seconds that an answered message waits for its WebSocket copy before the HTTP reply counts as its answer."""
TYPING_REPEAT = 1.0
"""Least seconds between two "is typing" messages of ours."""


class Conversation:
    """Messages both ways with one bot.

    Args:
        bot: the bot's id.
        api: the HTTP side; it names the profile too.
        rules: the client's behaviour.
        recorder: where decisions are recorded.
        tasks: the owner of deliveries under way.
        changed: called with ``message`` or ``typing`` after a change.
    """

    def __init__(
        self,
        bot: str,
        api: HttpApi,
        rules: Client,
        recorder: Recorder,
        tasks: Tasks,
        changed: Callable[[str], None],
    ) -> None:
        self.bot = bot
        self.bot_name = bot
        """As the backend gives it, once it is known."""
        self.api, self.rules, self.profile = api, rules, api.profile
        self._recorder, self._tasks, self._changed = recorder, tasks, changed
        via_socket = self.profile.send.via == "websocket"
        self._ledger = Ledger(show_both=rules.show_http_reply, via_socket=via_socket)
        self._connection: RecordedConnection | None = None
        self._replies: dict[str, asyncio.Future[Reply]] = {}
        self._typing: dict[str, asyncio.TimerHandle] = {}
        self._own_typing: asyncio.TimerHandle | None = None
        self._typing_sent = float("-inf")
        self._session: str | None = None
        self._session_lock = asyncio.Lock()

    @property
    def messages(self) -> tuple[ChatMessage, ...]:
        """The conversation as it is shown."""
        return self._ledger.messages

    @property
    def typing_users(self) -> tuple[str, ...]:
        """Who types right now; an indicator that is not renewed expires."""
        return tuple(self._typing)

    # The socket comes and goes

    def socket_up(self, connection: RecordedConnection) -> None:
        """The socket is live: replies come over it, and typing may go out."""
        self._connection = connection

    def socket_down(self) -> None:
        """The socket is gone: HTTP replies that waited for it become messages."""
        self._connection = None
        for user in list(self._typing):
            self._expire_typing(user)
        for outcome in self._ledger.socket_down(self._recorder.now()):
            self._apply(outcome)

    def close(self) -> None:
        """Nothing more will come; who waits for a reply is told."""
        for timer in [*self._typing.values(), *([self._own_typing] if self._own_typing else [])]:
            timer.cancel()
        for key, future in self._replies.items():
            if not future.done():
                self._settle_lost(key, future, "the client was closed")

    # Ours

    def send(self, text: str) -> Delivery:
        """Begins to carry a message; see ``ChatClient.send``."""
        limit = self.profile.send.max_chars
        if not text.strip():
            raise InvalidInput("the message is empty", expected=f"1 to {limit:,} characters")
        if len(text) > limit:
            raise InvalidInput(
                "the message is too long",
                expected=f"at most {limit:,} characters",
                got=f"{len(text):,} characters",
                remedy="split it",
            )
        message = self._ledger.sent(text, self._recorder.now(), self._session)
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        # A delivery that nobody awaits must not complain about a reply that nobody fetched.
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._replies[message.key] = future
        self._apply(Outcome(message=message))
        self._stop_typing()
        self._tasks.spawn(self._deliver(message.key, text), f"delivery {message.key}")
        return Delivery(message.key, self._ledger, future)

    def typing(self, is_typing: bool = True) -> None:
        """Says that the user types; taken back by itself. Dropped while the socket is not live."""
        if not is_typing:
            self._stop_typing()
            return
        loop = asyncio.get_running_loop()
        if self._own_typing is not None:
            self._own_typing.cancel()
        if loop.time() - self._typing_sent >= TYPING_REPEAT:
            self._typing_sent = loop.time()
            self._write(self.profile.typing(True))
        self._own_typing = loop.call_later(self.rules.typing_stop, self._stop_typing)

    async def history(self) -> list[dict[str, Any]]:
        """The session's messages as the backend stores them; empty before the first message."""
        return await self.api.history(self._session) if self._session else []

    # Theirs

    def handle(self, message: Incoming, connection: str | None) -> None:
        """A message of the server came on ``connection``; pongs and the first message are the client's."""
        at = self._recorder.now()
        author = message.username or ("Assistant" if message.kind in ("reply", "chunk") else "somebody")
        match message.kind:
            case "chunk":
                assert message.message_id is not None
                assert message.seq is not None
                assert message.delta is not None
                name = self.bot_name
                self._apply(
                    self._ledger.chunk(message.message_id, message.seq, message.delta, message.session_id, name, at),
                    message.message_id,
                    connection,
                )
            case "reply":
                self._expire_typing(author)
                name = self.bot_name if author == "Assistant" else author
                self._apply(
                    self._ledger.reply(message.content or "", message.message_id, message.session_id, name, at),
                    message.message_id,
                    connection,
                )
            case "message":
                self._apply(
                    self._ledger.other(message.content or "", message.message_id, message.session_id, author, at),
                    message.message_id,
                    connection,
                )
            case "typing":
                self._see_typing(author, bool(message.is_typing))
            case "invalid" | "unknown" | "error":
                detail = message.detail or message.kind
                self._recorder.record(BadMessageReceived, connection=connection, detail=detail[:300])

    def _apply(self, outcome: Outcome, message_id: str | None = None, connection: str | None = None) -> None:
        """Records and announces what the ledger decided, and answers those who wait."""
        if outcome.suppressed is not None:
            via = "http" if outcome.message is not None and outcome.message.also_via == "http" else "websocket"
            self._recorder.record(
                DuplicateSuppressed, connection=connection, key=outcome.suppressed, via=via, message_id=message_id
            )
        if outcome.gap is not None:
            expected, got = outcome.gap
            self._recorder.record(
                GapDetected, connection=connection, message_id=message_id or "", expected=expected, got=got
            )
        message = outcome.message
        if outcome.delivery is not None:
            self._settle(outcome.delivery)
        elif message is not None and message.via == "local":
            self._note(message)
        self._changed("message")

    def _note(self, message: ChatMessage, via: str | None = None) -> None:
        self._recorder.record(
            DeliveryChanged, delivery=message.key, state=str(message.state), via=via, because=message.because
        )

    def _settle(self, key: str) -> None:
        """Our message has its reply."""
        future = self._replies.pop(key, None)
        answer = self._ledger.answer(key)
        self._note(self._ledger.message(key), answer[1] if answer is not None else None)
        if future is not None and not future.done() and answer is not None:
            text, via = answer
            future.set_result(Reply(text=text, via=via))

    def _settle_lost(self, key: str, future: asyncio.Future[Reply], because: str) -> None:
        future.set_exception(
            ConnectionLost(
                f"the reply did not come: {because}",
                delivery=key,
                outcome=str(self._ledger.message(key).state),
                remedy="look into the history before sending it again",
            )
        )

    async def _deliver(self, key: str, text: str) -> None:
        """Carries one message to the backend and its answer to whoever waits."""
        try:
            if self.profile.send.via == "websocket":
                await self._deliver_socket(key, text)
            else:
                await self._deliver_http(key, text)
        except HttpStatusError as error:
            self._refuse(key, DeliveryState.REJECTED, error)
        except (ConnectFailed, ConnectionEnded) as error:
            # Nothing was written where no TCP connection came about.
            never = isinstance(error, ConnectionEnded) or error.stage == "tcp"
            self._refuse(key, DeliveryState.REJECTED if never else DeliveryState.UNKNOWN, error)
        except AuthError as error:
            self._refuse(key, DeliveryState.REJECTED, error)

    def _refuse(self, key: str, state: DeliveryState, error: ChatkitError) -> None:
        self._apply(self._ledger.failed(key, state, error.what))
        future = self._replies.pop(key, None)
        if future is None or future.done():
            return
        if state is DeliveryState.UNKNOWN:
            self._settle_lost(key, future, error.what)
        else:
            future.set_exception(error)

    async def _deliver_http(self, key: str, text: str) -> None:
        session = await self._ensure_session()
        try:
            reply, found = await self.api.chat(self.bot, text, session)
        except HttpStatusError as error:
            # A 401 was refused before it was processed, so sending it again duplicates nothing.
            if error.status != 401 or not self.api.can_refresh:
                raise
            await self.api.refresh()
            reply, found = await self.api.chat(self.bot, text, session)
        self._session = found or session
        for outcome in self._ledger.answered(
            key, reply, found, self._recorder.now(), live=self._connection is not None
        ):
            self._apply(outcome)
        if key in self._replies:
            await asyncio.sleep(REPLY_GRACE)
            self._apply(self._ledger.overdue(key))

    async def _deliver_socket(self, key: str, text: str) -> None:
        if self._connection is None:
            raise ConnectionEnded("the socket is not live and this backend takes messages only over it")
        await self._connection.send(self.profile.message(text, self._session))
        self._apply(self._ledger.acked(key))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.rules.http_timeout):
                await asyncio.shield(self._replies[key])

    async def _ensure_session(self) -> str | None:
        async with self._session_lock:
            if self._session is None:
                try:
                    self._session = await self.api.new_session(self.bot)
                except HttpStatusError as error:
                    # A backend without this call starts the session with the first message.
                    if error.status not in (404, 405):
                        raise
                else:
                    if self._session is not None:
                        self._write(self.profile.sync(self._session))
            return self._session

    def _write(self, text: str) -> None:
        """Sends something that may be lost: dropped while the socket is not live."""
        if self._connection is not None:
            self._tasks.spawn(self._write_now(self._connection, text), "write")

    async def _write_now(self, connection: RecordedConnection, text: str) -> None:
        with contextlib.suppress(ConnectionClosed):
            await connection.send(text)

    # Typing

    def _stop_typing(self) -> None:
        if self._own_typing is not None:
            self._own_typing.cancel()
            self._own_typing = None
            self._typing_sent = float("-inf")
            self._write(self.profile.typing(False))

    def _see_typing(self, user: str, is_typing: bool) -> None:
        timer = self._typing.pop(user, None)
        if timer is not None:
            timer.cancel()
        if is_typing:
            loop = asyncio.get_running_loop()
            self._typing[user] = loop.call_later(self.rules.typing_expire, self._expire_typing, user)
        self._changed("typing")

    def _expire_typing(self, user: str) -> None:
        timer = self._typing.pop(user, None)
        if timer is not None:
            timer.cancel()
            self._changed("typing")
