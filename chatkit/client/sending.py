"""``Sender``: our messages of one conversation on their way out: queued, written in order, settled.

One pump starts what may start, in the order of the queue, each after the one before it was written or did not get
that far; so a new message cannot overtake. What becomes of a failure is decided in ``policy.carrying``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from chatkit.behaviour import Kind
from chatkit.client.book import Book
from chatkit.client.connection import RecordedConnection, write_quietly
from chatkit.client.host import Host
from chatkit.client.http import HttpStatusError, Writing
from chatkit.client.outbox import Outbox
from chatkit.client.tasks import Tasks
from chatkit.errors import AuthError, ChatkitError, ConnectFailed, ConnectionEnded, InvalidInput
from chatkit.events import Noted
from chatkit.policy.carrying import HANDLER_FAILED, fate
from chatkit.policy.delivery import SETTLED, DeliveryState
from chatkit.policy.outgoing import IN_FLIGHT, Item, new_id, next_batch
from chatkit.policy.reconnect import Loss, asked_to_wait, backoff, explain, row_of

T = TypeVar("T")

IDLE = 3600.0
"""Seconds after which the pump looks again although nothing happened."""


class Sender:
    """Carries messages to the backend.

    Args:
        bot: the bot's id.
        host: the backend.
        book: the conversation's ledger.
        outbox: where messages wait; the sender opens and closes it.
        tasks: owner of the pump and of deliveries under way.
        shared: whether the socket carries several bots.
    """

    def __init__(self, bot: str, host: Host, book: Book, outbox: Outbox, tasks: Tasks, *, shared: bool) -> None:
        self.bot, self.outbox = bot, outbox
        self._host, self._api, self._rules, self._profile = host, host.api, host.rules, host.profile
        self._book, self._tasks, self._shared = book, tasks, shared
        self._connection: RecordedConnection | None = None
        self._lost: asyncio.Future[Loss] | None = None
        self._idempotent = host.profile.send.idempotent
        self._undecided = False
        self._in_flight: set[str] = set()
        self._kick = asyncio.Event()
        self._failures = 0
        self._not_before = self._hold_until = float("-inf")
        self._session_lock = asyncio.Lock()
        self._joined = False
        """Whether the backend took a message in the session; until then it may be one that it has forgotten."""
        self._closed = False

    # Life

    def open(self) -> None:
        """Takes what an earlier process left behind, and begins to send.

        Raises:
            InvalidInput: the queue's file is in use, or cannot be there.
        """
        found = self.outbox.open()
        if self.outbox.problem is not None:
            self._host.recorder.record(Noted, text=self.outbox.problem)
        epoch = self._host.recorder.epoch
        ledger = self._book.ledger
        for item in found:
            if (known := ledger.request_of(item.id)) is not None:
                ledger.moved(known.key, item.state, item.because, item.session_id)
            else:
                ledger.sent(item.text, item.created - epoch, item.session_id, item.id, item.state)
            self._book.introduce(self._key(item.id), self.bot)
            self._book.promise(self._key(item.id))
        # Whether these may go out again, the backend may still tell when it says hello.
        self._undecided = not self._idempotent and any(item.state == DeliveryState.WRITTEN for item in found)
        self._host.listeners.append(self._health_changed)
        self._tasks.spawn(self._pump(), "outgoing")

    def close(self) -> None:
        """Sends nothing more; what waits stays in the queue's file, where it has one."""
        self._closed = True
        if self._health_changed in self._host.listeners:
            self._host.listeners.remove(self._health_changed)
        self._book.close("the client was closed")
        self.outbox.close()

    @property
    def session(self) -> str | None:
        """Id of the conversation's session, once there is one."""
        return self.outbox.session

    @property
    def under_way(self) -> int:
        """Messages that are with the backend right now."""
        return len(self._in_flight)

    @property
    def recovered(self) -> bool:
        """Whether an earlier process left a session or messages behind."""
        return self.outbox.session is not None or bool(self.outbox.pending())

    # The socket comes and goes

    def up(self, connection: RecordedConnection, capabilities: Iterable[str]) -> None:
        """The connection is established: the backend is there, and has said what it can do."""
        self._connection, self._lost = connection, asyncio.get_running_loop().create_future()
        self._idempotent = self._profile.send.idempotent or "idempotency" in capabilities
        self._undecided = False
        self._go_on()

    def down(self, loss: Loss) -> None:
        """The connection is gone."""
        self._connection = None
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(loss)

    def acknowledged(self, id: str) -> None:
        """The backend said that it has a message."""
        request = self._book.ledger.request_of(id)
        if request is not None and not request.done:
            self._book.apply(self._book.ledger.acked(request.key))
        self.outbox.remove(id)

    def forget_settled(self) -> None:
        """The conversation may have learned the fate of messages: those that arrived need no place in the queue."""
        for item in self.outbox.pending():
            key = self._key(item.id)
            if key and self._book.ledger.message(key).state in (DeliveryState.ACKED, DeliveryState.REPLIED):
                self.outbox.remove(item.id)

    # Sending

    def offer(self, text: str, ttl: float | None = None) -> str:
        """Queues a message; its key in the ledger. Raises as ``ChatClient.send``."""
        self._check(text)
        wall = time.time()
        item = Item(
            id=new_id(wall, os.urandom(10)),
            bot=self.bot,
            text=text,
            session_id=self.session,
            created=wall,
            ttl=self._rules.queue_ttl if ttl is None else ttl,
        )
        for dropped in self.outbox.put(item):
            self._settle(dropped, DeliveryState.REJECTED, "the queue is full and newer messages came")
        message = self._book.ledger.sent(text, self._book.now(), self.session, item.id, DeliveryState.QUEUED)
        self._book.introduce(message.key, self.bot)
        self._kick.set()
        return message.key

    def _check(self, text: str) -> None:
        limit = self._profile.send.max_chars
        if not text.strip():
            raise InvalidInput("the message is empty", expected=f"1 to {limit:,} characters")
        if len(text) > limit:
            raise InvalidInput(
                "the message is too long",
                expected=f"at most {limit:,} characters",
                got=f"{len(text):,} characters",
                remedy="split it",
            )

    # The pump

    async def _pump(self) -> None:
        while True:
            self._kick.clear()
            self._expire()
            await self._start_ready()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._look_again_in()):
                    await self._kick.wait()

    def _expire(self) -> None:
        for item in self.outbox.expire():
            self._settle(item, DeliveryState.EXPIRED, f"it waited {item.ttl:g} s and was not sent")
        for item in self.outbox.pending():
            stuck = item.state == DeliveryState.WRITTEN and item.id not in self._in_flight
            if stuck and not self._undecided and (not self._idempotent or self.outbox.age(item.id) >= item.ttl):
                self._doubt(item, item.because or "the process that sent it ended before its answer came")

    async def _start_ready(self) -> None:
        while not self._undecided and self._may_carry():
            limit = self._profile.send.in_flight or (1 if self._idempotent else IN_FLIGHT)
            batch = next_batch(self.outbox.pending(), self._in_flight, limit, idempotent=self._idempotent)
            if not batch:
                return
            await self._start(batch[0])

    def _may_carry(self) -> bool:
        if self._profile.send.via == "websocket":
            return self._connection is not None
        return time.monotonic() >= max(self._not_before, self._hold_until)

    def _look_again_in(self) -> float:
        now = time.monotonic()
        until = [max(self._not_before, self._hold_until) - now]
        until += [item.ttl - self.outbox.age(item.id) for item in self.outbox.pending()]
        return min((seconds for seconds in until if seconds > 0), default=IDLE) + 0.001

    async def _start(self, item: Item) -> None:
        """Begins one delivery; returns when it is written, or will not be."""
        self._in_flight.add(item.id)
        # On disk before any byte goes out: a process that dies in between leaves a message that may have arrived.
        updated = self.outbox.update(item.id, state=DeliveryState.WRITTEN, attempts=item.attempts + 1)
        self._book.apply(self._book.ledger.moved(self._key(item.id), DeliveryState.WRITTEN))
        writing = Writing()
        self._tasks.spawn(self._deliver(updated or item, writing), f"delivery {item.id}")
        await writing.over.wait()

    async def _deliver(self, item: Item, writing: Writing) -> None:
        carry = self._carry_socket if self._profile.send.via == "websocket" else self._carry_http
        try:
            await carry(item, writing)
        except HttpStatusError as error:
            self._failed(item, error, error.status, writing.began, error.retry_after)
        except ConnectFailed as error:
            self._failed(item, error, None, writing.began, error.retry_after)
        except AuthError as error:
            self._drop(item, error)
        finally:
            writing.over.set()
            self._in_flight.discard(item.id)
            self._kick.set()

    async def _carry_http(self, item: Item, writing: Writing) -> None:
        session = await self._with_token(self._ensure_session)
        id = item.id if self._idempotent else None
        try:
            reply, found = await self._with_token(lambda: self._api.chat(self.bot, item.text, session, id, writing))
        except HttpStatusError as error:
            # A backend that was replaced does not know an old session; it took nothing, so another one may be begun.
            if error.status != 404 or session is None or self._joined:
                raise
            self._forget_session(session)
            session = await self._with_token(self._ensure_session)
            reply, found = await self._with_token(lambda: self._api.chat(self.bot, item.text, session, id, writing))
        self._joined = True
        self._succeeded(item)
        self._remember_session(found or session)
        key = self._key(item.id)
        ledger, live = self._book.ledger, self._connection is not None
        self._book.apply(ledger.answered(key, reply, found, self._book.now(), live=live))
        if self._book.waiting(key) is not None:
            self._tasks.spawn(self._grace(key), f"grace {key}")

    async def _grace(self, key: str) -> None:
        await asyncio.sleep(self._rules.reply_grace)
        if self._book.ledger.has(key):
            self._book.apply(self._book.ledger.overdue(key, self._book.now()))

    async def _with_token(self, call: Callable[[], Awaitable[T]]) -> T:
        """A call, and once more with another token where the first was refused: a 401 was not processed."""
        used = self._api.credentials.token
        try:
            return await call()
        except HttpStatusError as error:
            if error.status != 401 or not self._api.credentials.renewable:
                raise
            await self._api.refresh(stale=used)
            return await call()

    async def _carry_socket(self, item: Item, writing: Writing) -> None:
        connection, lost = self._connection, self._lost
        if connection is None or lost is None:
            raise ConnectFailed("the socket is not live", target=self._api.base, stage="tcp")
        id, bot = item.id if self._idempotent else None, self.bot if self._shared else None
        writing.began = True
        await write_quietly(connection, self._profile.message(item.text, self.session, id, bot))
        writing.over.set()
        key = self._key(item.id)
        await self._answer_or(key, lost)
        state = self._book.ledger.message(key).state
        if state in (DeliveryState.REPLIED, DeliveryState.ACKED):
            self._succeeded(item)
            self._tasks.spawn(self._late_answer(key), f"answer {key}")
        elif lost.done():
            self._lost_with(item, lost.result())
        else:
            self._no_answer(item)

    async def _answer_or(self, key: str, lost: asyncio.Future[Loss] | None) -> None:
        """Waits for the answer of a message, for the end of its connection, or for the time-out."""
        reply = self._book.waiting(key)
        futures = [future for future in (reply, lost) if future is not None]
        if reply is not None and futures:
            await asyncio.wait(futures, timeout=self._rules.http_timeout, return_when=asyncio.FIRST_COMPLETED)

    async def _late_answer(self, key: str) -> None:
        """The backend has the message: its answer may come over the next connection, but nobody waits for ever."""
        await self._answer_or(key, None)
        self._book.tell(key, ChatkitError(f"no answer within {self._rules.http_timeout:g} s"))

    # What becomes of it

    def _succeeded(self, item: Item) -> None:
        self._failures, self._not_before = 0, float("-inf")
        self.outbox.remove(item.id)

    def _failed(
        self, item: Item, error: ChatkitError, status: int | None, began: bool, retry_after: float | None
    ) -> None:
        if status == HANDLER_FAILED and began and self.outbox.server_failed(item.id, error.what):
            self._poison(item, error.what)
            return
        match fate(status=status, began=began, idempotent=self._idempotent):
            case "reject":
                self._drop(item, error)
                return
            case "unknown":
                self._doubt(item, error.what)
            case "wait":
                self._wait(item, DeliveryState.QUEUED, error.what)
            case "again":
                self._wait(item, DeliveryState.WRITTEN, error.what)
        self._pause(retry_after)

    def _pause(self, retry_after: float | None) -> None:
        """The backend is not well: the next message waits."""
        now = time.monotonic()
        self._failures += 1
        self._not_before = now + backoff(self._failures, self._rules, random.random())
        if retry_after is not None:
            self._hold_until = now + asked_to_wait(retry_after, self._rules)

    def _wait(self, item: Item, state: DeliveryState, because: str) -> None:
        self.outbox.update(item.id, state=state, because=because)
        self._book.apply(self._book.ledger.moved(self._key(item.id), state, because))

    def _lost_with(self, item: Item, loss: Loss) -> None:
        """The socket went away while a message waited for its answer."""
        kind, what = row_of(loss).kind, f"the connection ended: {explain(loss)}"
        if kind is Kind.PAYLOAD and not loss.by_us:
            self._drop(item, ConnectionEnded("the backend closed on it: the message is too big"))
        elif kind is Kind.SERVER_ERROR and self.outbox.server_failed(item.id, what):
            self._poison(item, what)
        elif self._idempotent:
            self._wait(item, DeliveryState.WRITTEN, what)
        else:
            self._doubt(item, what)

    def _no_answer(self, item: Item) -> None:
        """The socket lives, and nothing answered: whoever waits is told; a later reply is shown all the same."""
        what = f"no answer within {self._rules.http_timeout:g} s"
        if self._idempotent:
            self._wait(item, DeliveryState.WRITTEN, what)
        else:
            self._doubt(item, what)

    def _doubt(self, item: Item, because: str) -> None:
        """Nobody knows whether it arrived; the history may still tell."""
        self.outbox.update(item.id, state=DeliveryState.UNKNOWN, because=because)
        self._settle(item, DeliveryState.UNKNOWN, because)

    def _drop(self, item: Item, error: ChatkitError) -> None:
        self.outbox.remove(item.id)
        self._book.fail(self._key(item.id), DeliveryState.REJECTED, error)

    def _poison(self, item: Item, what: str) -> None:
        because = f"set aside, because the server failed on it again and again: {what}"
        self.outbox.set_aside(item.id, because)
        self._settle(item, DeliveryState.REJECTED, because)

    def _settle(self, item: Item, state: DeliveryState, because: str) -> None:
        key = self._key(item.id)
        if key and not self._is_settled(item):
            self._book.fail(key, state, ChatkitError(because))

    def _is_settled(self, item: Item) -> bool:
        key = self._key(item.id)
        return not key or self._book.ledger.message(key).state in SETTLED

    def _key(self, id: str) -> str:
        request = self._book.ledger.request_of(id)
        return request.key if request is not None else ""

    # Session and pace

    async def _ensure_session(self) -> str | None:
        async with self._session_lock:
            if self.session is None:
                try:
                    session = await self._api.new_session(self.bot)
                except HttpStatusError as error:
                    # A backend without this call starts the session with the first message.
                    if error.status not in (404, 405):
                        raise
                else:
                    self._remember_session(session)
            return self.session

    def _forget_session(self, session: str) -> None:
        if self.session == session:
            self.outbox.set_session(None)
            text = "the backend does not know the session of before the restart: another one is begun"
            self._host.recorder.record(Noted, text=text)

    def _remember_session(self, session: str | None) -> None:
        if session is None or session == self.session:
            return
        self.outbox.set_session(session)
        if self._connection is not None:
            sync = self._profile.sync(session, self.bot if self._shared else None)
            self._tasks.spawn(write_quietly(self._connection, sync), "session sync")

    def _health_changed(self) -> None:
        last = self._host.health.status.last
        if last is not None and last.healthy:
            self._go_on()

    def _go_on(self) -> None:
        """The backend is there (again): what waits need not wait for its own timer, but for a ``Retry-After``."""
        self._not_before = float("-inf")
        self._kick.set()
