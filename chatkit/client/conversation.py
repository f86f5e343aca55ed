"""The conversation of one client: what comes in, who types, and what is filled in after a reconnect.

``Conversation`` is the port of a link: it outlives every connection. After a reconnect it holds live messages back
until the gap before them is filled, from the backend's own replay where it offers one, else from the history.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from chatkit.behaviour import Client
from chatkit.client.book import Book
from chatkit.client.connection import RecordedConnection
from chatkit.client.host import Host
from chatkit.client.sending import Sender
from chatkit.client.tasks import Tasks
from chatkit.errors import ChatkitError
from chatkit.events import BadMessageReceived, Resumed
from chatkit.policy.delivery import ChatMessage
from chatkit.policy.history import merge, read_rows
from chatkit.policy.reconnect import Loss
from chatkit.policy.retelling import author_of, take
from chatkit.profile import Incoming

TYPING_REPEAT = 1.0
"""Least seconds between two "is typing" messages of ours."""
HELD_BACK = 500
"""Live messages that are held back at most while a gap is filled."""
_HELD = ("reply", "chunk", "message")
_WHOLE = ("reply", "message")


class Conversation:
    """Messages both ways with one bot.

    Args:
        bot: the bot's id.
        host: the backend.
        book: the ledger with its listeners.
        sender: carries our messages; the conversation tells it of the socket.
        tasks: the owner of what runs beside.
        write: sends something that may be lost, on the present connection.
        changed: called with ``message``, ``typing`` or ``resumed`` after a change.
        shared: whether the socket carries several bots.
    """

    def __init__(
        self,
        bot: str,
        host: Host,
        book: Book,
        sender: Sender,
        tasks: Tasks,
        write: Callable[[str], None],
        changed: Callable[[str], None],
        *,
        shared: bool,
    ) -> None:
        self.bot = bot
        self.bot_name = bot
        """As the backend gives it, once it is known."""
        self._host, self._api, self._profile, self._recorder = host, host.api, host.profile, host.recorder
        self._rules: Client = host.rules
        self._book, self._sender, self._tasks = book, sender, tasks
        self._write, self._changed, self._shared = write, changed, shared
        self._typing: dict[str, asyncio.TimerHandle] = {}
        self._own_typing: asyncio.TimerHandle | None = None
        self._typing_sent = float("-inf")
        self._was_up = False
        self._held: list[tuple[Incoming, str]] | None = None
        self._overflowed = False
        self._filling: asyncio.Task[None] | None = None
        self._replay: asyncio.Future[tuple[Incoming, int]] | None = None
        shown = reversed(book.ledger.messages)
        self._last_id = next((one.message_id for one in shown if one.message_id is not None), None)
        self._foreign = False

    @property
    def messages(self) -> tuple[ChatMessage, ...]:
        """The conversation as it is shown."""
        return self._book.ledger.messages

    @property
    def typing_users(self) -> tuple[str, ...]:
        """Who types right now; an indicator that is not renewed expires."""
        return tuple(self._typing)

    @property
    def last_id(self) -> str | None:
        """The server's id of the last message that came over the socket or from the history."""
        return self._last_id

    # The socket comes and goes

    def up(self, connection: RecordedConnection, hello: Incoming) -> None:
        """The socket is live: replies come over it, and typing may go out."""
        self.bot_name = hello.bot_name or self.bot_name
        missing = self._was_up or self._sender.recovered
        self._was_up = True
        self._sender.up(connection, hello.capabilities)
        if missing:
            self._held, self._overflowed = [], False
            self._filling = self._tasks.spawn(self._catch_up(connection, hello), "catch up")

    def down(self, loss: Loss) -> None:
        """The socket is gone: HTTP replies that waited for it become messages."""
        if self._filling is not None:
            self._filling.cancel()
            self._filling = None
        self._let_go()
        for user in list(self._typing):
            self._expire_typing(user)
        self._book.apply(self._book.ledger.socket_down(self._book.now()))
        self._sender.down(loss)

    def close(self) -> None:
        """Nothing more will come."""
        for timer in [*self._typing.values(), *([self._own_typing] if self._own_typing else [])]:
            timer.cancel()
        self._typing.clear()

    def heard(self, message: Incoming, connection: str) -> None:
        """A message of the server came on ``connection``; pongs and the first message are the link's."""
        if message.kind == "resumed" and self._replay is not None and not self._replay.done():
            self._replay.set_result((message, len(self._held or [])))
        elif self._held is not None and message.kind in _HELD:
            self._held.append((message, connection))
            if len(self._held) > HELD_BACK:
                self._overflowed = True
                self._let_go()
        else:
            self._handle(message, connection)

    def _handle(self, message: Incoming, connection: str) -> None:
        match message.kind:
            case "chunk" | "reply" | "message":
                self._take(message, connection)
            case "typing":
                self._see_typing(author_of(message), bool(message.is_typing))
            case "acked":
                self._sender.acknowledged(message.acked_id or "")
            case "invalid" | "unknown" | "error":
                detail = message.detail or message.kind
                self._recorder.record(BadMessageReceived, connection=connection, detail=detail[:300])

    def _take(self, message: Incoming, connection: str) -> None:
        self._last_id = message.message_id or self._last_id
        self._foreign = self._foreign or message.session_id not in (None, self._sender.session)
        if message.kind == "reply":
            self._expire_typing(author_of(message))
        outcome = take(self._book.ledger, message, self.bot_name, self._book.now())
        self._book.apply(outcome, connection)

    # Filling gaps

    async def history(self) -> list[dict[str, Any]]:
        """The session's messages as the backend stores them; empty before the first message."""
        session = self._sender.session
        return await self._api.history(session) if session else []

    async def poll(self) -> None:
        """Asks for the history now and then, for a backend whose push is not to be trusted; until cancelled."""
        while True:
            await asyncio.sleep(self._rules.history_poll)
            try:
                self._merge(await self.history())
            except ChatkitError as error:
                self._recorder.record(BadMessageReceived, detail=f"the history could not be read: {error.what}"[:300])

    async def _catch_up(self, connection: RecordedConnection, hello: Incoming) -> None:
        recovered, replayed, because = False, 0, ""
        try:
            if "resume" in hello.capabilities:
                recovered, replayed, because = await self._ask_replay(connection)
            elif self._sender.session is not None:
                replayed, recovered = self._merge(await self.history()), True
                because = "messages of other sessions with this bot are not in this session's history"
                because = because if self._foreign else ""
            elif self._shared and self._last_id is not None:
                recovered = True  # the server replays by itself, right after the subscription
            else:
                because = "there is no session yet whose history could be asked"
        except (ChatkitError, TimeoutError) as error:
            because = error.what if isinstance(error, ChatkitError) else "the backend did not answer"
        if self._overflowed:
            because = f"more than {HELD_BACK} live messages came meanwhile and were shown at once"
        self._let_go()
        self._recorder.record(
            Resumed,
            connection=connection.tap.id,
            bot=self.bot,
            recovered=recovered,
            replayed=replayed,
            gap_possible=bool(because),
            because=because[:300],
        )
        self._changed("resumed")

    async def _ask_replay(self, connection: RecordedConnection) -> tuple[bool, int, str]:
        """The backend sends again what was missed; whether it did, how many, and why a gap is possible."""
        self._replay = asyncio.get_running_loop().create_future()
        self._write(self._profile.resume(self._sender.session, self._last_id))
        async with asyncio.timeout(self._rules.connect_timeout):
            answer, count = await self._replay
        again, live = _part(self._held or [], count, answer.replayed or 0)
        self._held = live
        shown = self._book.shown
        for message, where in again:
            self._handle(message, where)
        because = "" if answer.complete is not False else "the backend does not remember all that was missed"
        return True, self._book.shown - shown, because

    def _merge(self, rows: Sequence[dict[str, Any]]) -> int:
        """Shows what of the history was missing; how many messages."""
        found = read_rows(rows, self._profile.fields)
        outcomes = merge(
            self._book.ledger,
            found,
            self._sender.session,
            self._book.now(),
            epoch=self._recorder.epoch,
            ahead=self._api.server_ahead or 0.0,
            author=self.bot_name,
        )
        self._book.apply(outcomes)
        self._sender.forget_settled()
        self._last_id = next((row.id for row in reversed(found) if row.id is not None), self._last_id)
        return sum(outcome.new for outcome in outcomes)

    def _let_go(self) -> None:
        """Live messages that were held back go on."""
        held, self._held = self._held or [], None
        for message, connection in held:
            self._handle(message, connection)

    # Typing

    def typing(self, is_typing: bool = True) -> None:
        """Says that the user types; taken back by itself. Coalesced, and dropped while the socket is not live."""
        if not is_typing:
            self.stop_typing()
            return
        loop = asyncio.get_running_loop()
        if self._own_typing is not None:
            self._own_typing.cancel()
        if loop.time() - self._typing_sent >= TYPING_REPEAT:
            self._typing_sent = loop.time()
            self._say_typing(True)
        self._own_typing = loop.call_later(self._rules.typing_stop, self.stop_typing)

    def stop_typing(self) -> None:
        """Takes it back, if it was said."""
        if self._own_typing is not None:
            self._own_typing.cancel()
            self._own_typing = None
            self._typing_sent = float("-inf")
            self._say_typing(False)

    def _say_typing(self, is_typing: bool) -> None:
        self._write(self._profile.typing(is_typing, self.bot if self._shared else None))

    def _see_typing(self, user: str, is_typing: bool) -> None:
        timer = self._typing.pop(user, None)
        if timer is not None:
            timer.cancel()
        if is_typing:
            loop = asyncio.get_running_loop()
            self._typing[user] = loop.call_later(self._rules.typing_expire, self._expire_typing, user)
        self._changed("typing")

    def _expire_typing(self, user: str) -> None:
        timer = self._typing.pop(user, None)
        if timer is not None:
            timer.cancel()
            self._changed("typing")


def _part(
    held: list[tuple[Incoming, str]], count: int, replayed: int
) -> tuple[list[tuple[Incoming, str]], list[tuple[Incoming, str]]]:
    """What was sent again, and what is live, of messages held back.

    The backend's replay is the last ``replayed`` whole messages of the first ``count``: live ones before it are part of
    it or later than it.
    """
    whole = [n for n, (message, _) in enumerate(held[:count]) if message.kind in _WHOLE]
    again = set(whole[len(whole) - replayed :]) if replayed else set()
    return [held[n] for n in sorted(again)], [entry for n, entry in enumerate(held) if n not in again]
