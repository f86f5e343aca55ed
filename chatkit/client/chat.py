"""``ChatClient``: one conversation with one bot, kept alive over many connections.

It puts together what each does for itself: the host (HTTP, tokens, health), the line (one WebSocket kept alive, or a
subscription on a shared one), the sender (our messages, queued while nothing carries them) and the conversation
(what is shown). It owns those that it made and ends them when it is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from msgspec import Struct

from chatkit.behaviour import Client, Kind
from chatkit.client.book import Book
from chatkit.client.connection import RecordedConnection
from chatkit.client.conversation import Conversation
from chatkit.client.credentials import Provider
from chatkit.client.delivery import Delivery
from chatkit.client.health import HealthMonitor
from chatkit.client.host import Host
from chatkit.client.http import HttpApi, base_url
from chatkit.client.link import Link
from chatkit.client.mux import Mux, Subscription
from chatkit.client.outbox import Outbox
from chatkit.client.sending import Sender
from chatkit.client.tasks import Tasks
from chatkit.ending import Connection
from chatkit.errors import AuthError, ConnectionEnded, InvalidInput
from chatkit.events import Noted
from chatkit.policy.delivery import ChatMessage, DeliveryState
from chatkit.policy.ledger import Ledger
from chatkit.policy.outgoing import Item
from chatkit.policy.presets import preset
from chatkit.policy.reconnect import Loss
from chatkit.policy.retelling import retell
from chatkit.policy.status import RESTING, State, Status, Waiting, explain
from chatkit.profile import DEFAULT, Incoming, Profile
from chatkit.profile import load as load_profile
from chatkit.recorder import Recorder
from chatkit.trace import Trace


class Counters(Struct, frozen=True, kw_only=True):
    """What a client counted since it was made."""

    connects: int
    """Connections that were established."""
    drops: dict[Kind, int]
    """Attempts and connections that ended, by class of the policy table."""
    duplicates: dict[str, int]
    """Copies that were not shown again, by the key that told."""
    queued: int
    unknown: int
    set_aside: int
    """Messages that the server failed on again and again."""
    lag: float
    """Worst lateness of our own loop, seconds."""
    latency: float | None
    """Moving average of the application ping's round trip, seconds."""
    silent_for: float | None
    """Seconds since anything came, while connected."""


class ChatClient:
    """Keeps one conversation with one bot alive.

    Args:
        url: base URL of the backend, ``http://localhost:8000``.
        bot: the bot's id.
        token: access token (JWT), or a function that gets one, plain or asynchronous.
        user, password: log in with these instead of a token.
        refresh_token: gets another token when one expires.
        profile: the backend's contract; a :class:`Profile` or the path of a TOML file.
        policy: ``default`` (chatkit's own), ``incident`` (the repaired front end) or ``incident-before`` (the broken
            one).
        queue: file (SQLite) in which messages wait while nothing carries them; in memory when not given. A process
            that is killed goes on with the same queue; one process at a time may use it.
        recorder: where events go; a new one, in memory, when not given.
        record_to: file for a new recorder.
        before: what was recorded before the process was started again: a new recorder and the conversation go on from
            it.
        proxy: whether proxies of the environment are used; never for loopback addresses.
        host: a backend that is shared with other clients, instead of ``url`` and tokens; see ``BotPool``.
        mux: the socket that is shared with other bots.

    ``async with`` connects and raises when the first attempt fails; :meth:`start` returns at once and keeps trying.
    Closing twice is fine. Cancelling any call leaves the client as it is.

    >>> import asyncio, chatkit
    >>> async def talk():
    ...     async with chatkit.LabServer() as lab:
    ...         async with chatkit.ChatClient(lab.url, bot="echo", token=lab.token) as chat:
    ...             return (await chat.send("hello")).text
    >>> asyncio.run(talk())
    'hello'
    """

    def __init__(
        self,
        url: str = "",
        *,
        bot: str,
        token: str | Provider | None = None,
        user: str | None = None,
        password: str | None = None,
        refresh_token: str | None = None,
        profile: Profile | str | Path | None = None,
        policy: str = "default",
        queue: str | Path | None = None,
        recorder: Recorder | None = None,
        record_to: str | Path | None = None,
        before: Trace | None = None,
        proxy: bool = True,
        host: Host | None = None,
        mux: Mux | None = None,
    ) -> None:
        if not bot:
            raise InvalidInput("no bot is named", expected="a bot's id", where="bot")
        if (user is None) != (password is None):
            raise InvalidInput("a login needs both user and password", where="user, password")
        self.bot = bot
        self._owns_recorder = recorder is None and host is None
        self._owns_host = host is None
        if host is None:
            host = make_host(url, token, refresh_token, profile, policy, recorder, record_to, proxy, before)
        self.host = host
        self.profile, self.rules, self.recorder = host.profile, host.rules, host.recorder
        self._login = (user, password) if user is not None and password is not None else None
        self._tasks = Tasks(self._crashed)
        self._listeners: list[Callable[[str], None]] = []
        self._complaints: set[type[Exception]] = set()
        self._failure: BaseException | None = None
        shared = mux is not None
        ledger = Ledger(
            show_both=self.rules.show_http_reply,
            via_socket=self.profile.send.via == "websocket",
            most=self.rules.keep_messages,
        )
        if before is not None:
            retell(ledger, before, self.profile, bot)
        self._book = Book(ledger, self.recorder, self._notify)
        outbox = Outbox(queue, bot, self.rules, redactor=self.recorder.redactor)
        self._sender = Sender(bot, host, self._book, outbox, self._tasks, shared=shared)
        self._conversation = Conversation(
            bot, host, self._book, self._sender, self._tasks, self._write, self._notify, shared=shared
        )
        if mux is not None:
            self._line: Link | Subscription = mux.subscription(bot, self, self._notify)
        else:
            self._line = Link(
                host, name=bot, bot=bot, url=lambda: host.api.socket_url(bot), port=self, changed=self._notify
            )
        host.listeners.append(self._health_changed)
        self._opened = False

    # Opening and closing

    async def __aenter__(self) -> Self:
        try:
            await self.connect()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Logs in if that was asked for, takes the queue, and begins to connect; returns before the connection is
        there. A second call changes nothing.

        Raises:
            AuthError: the login was refused.
            ConnectFailed: the login got no answer.
            InvalidInput: the queue's file is in use, or cannot be there.
        """
        if self._opened or self.status.state is not State.IDLE:
            return
        self._opened = True
        try:
            if self._login is not None:
                await self.api.login(*self._login)
            await self.host.renew_first()
            self._sender.open()
        except BaseException:
            self._opened = False
            raise
        self.host.start()
        if self.rules.history_poll > 0:
            self._tasks.spawn(self._conversation.poll(), "history poll")
        self._line.start()

    async def connect(self) -> None:
        """Starts, or starts over after failure, and waits until the connection is established; concurrent callers wait
        for the same attempt.

        Raises:
            ConnectFailed, AuthError, ConnectionEnded: the attempt failed, or nothing more is tried.
        """
        await self.start()
        if self.status.state in RESTING or (self.status.state is State.IDLE and self._opened):
            self._line.reconnect()
            await self.wait(lambda status: status.state not in RESTING or status.state is State.CLOSED)
        await self.ready()

    async def ready(self) -> None:
        """Waits until the connection is established.

        Raises:
            ConnectFailed, AuthError, ConnectionEnded: the first attempt failed, or nothing more is tried.
        """
        await self._line.ready()

    async def wait(self, until: Callable[[Status], bool]) -> Status:
        """Waits until a status satisfies ``until``; use ``asyncio.timeout`` around it to bound it."""
        return await self._line.wait(until)

    async def close(self) -> None:
        """Says goodbye (1000), ends all tasks and what the client made for itself; at most about 2 s. Messages that
        wait stay in the queue's file, where there is one; :meth:`unsent` tells which."""
        if self.status.state is State.CLOSED:
            return
        await self._line.close()
        await self._tasks.close()
        self._conversation.close()
        self._sender.close()
        with contextlib.suppress(ValueError):
            self.host.listeners.remove(self._health_changed)
        if self._owns_host:
            await self.host.close()
        if self._owns_recorder:
            # Joins the writer thread, which may be in the middle of a batch.
            try:
                await asyncio.to_thread(self.recorder.close)
            except RuntimeError:  # at the end of the interpreter no thread starts any more
                self.recorder.close()

    def park(self) -> None:
        """Gives the socket up for now; messages still go out over HTTP, where they do. :meth:`reconnect` resumes."""
        self._line.park()

    # What can be seen

    @property
    def api(self) -> HttpApi:
        """The backend's HTTP side."""
        return self.host.api

    @property
    def health(self) -> HealthMonitor:
        """Watches the backend's health."""
        return self.host.health

    @property
    def status(self) -> Status:
        """State, since when, what comes next."""
        return self._line.status

    @property
    def error(self) -> BaseException | None:
        """What stopped the client, or the last attempt, where something did."""
        return self._failure or self._line.error

    @property
    def rtt(self) -> float | None:
        """Round-trip time of the last application ping, seconds."""
        return self._line.rtt

    @property
    def messages(self) -> tuple[ChatMessage, ...]:
        """The conversation as it is shown; the newest two thousand messages."""
        return self._conversation.messages

    @property
    def typing_users(self) -> tuple[str, ...]:
        """Who types right now; an indicator that is not renewed expires."""
        return self._conversation.typing_users

    @property
    def trace(self) -> Trace:
        """Everything recorded until now."""
        return self.recorder.snapshot()

    @property
    def ended(self) -> tuple[Connection, ...]:
        """This client's connections that ended, oldest first."""
        return self._line.ended

    @property
    def waiting(self) -> Waiting:
        """Messages of ours that are not settled."""
        pending = self._sender.outbox.pending()
        return Waiting(
            queued=sum(item.state in (DeliveryState.QUEUED, DeliveryState.WRITTEN) for item in pending)
            - self._sender.under_way,
            unknown=sum(item.state == DeliveryState.UNKNOWN for item in pending),
            by_http=self.profile.send.via == "http",
            durable=self._sender.outbox.path is not None,
            problem=self._sender.outbox.problem or "",
        )

    @property
    def busy(self) -> bool:
        """Whether a message of ours is with the backend right now."""
        return self._sender.under_way > 0

    @property
    def counters(self) -> Counters:
        """What happened so far, as numbers."""
        waiting = self.waiting
        return Counters(
            connects=self._line.connects,
            drops=dict(self._line.drops),
            duplicates=dict(self._book.duplicates),
            queued=waiting.queued,
            unknown=waiting.unknown,
            set_aside=len(self._sender.outbox.dead()),
            lag=self.host.lag.worst,
            latency=self._line.latency,
            silent_for=self._line.silent_for,
        )

    def unsent(self) -> tuple[Item, ...]:
        """Messages that did not go out, or whose arrival nobody confirmed, oldest first."""
        return self._sender.outbox.unsent()

    def set_aside(self) -> tuple[Item, ...]:
        """Messages that the server failed on again and again; they are not sent any more."""
        return self._sender.outbox.dead()

    def explain(self) -> str:
        """One paragraph: the state, why, since when, what happens next and when, what can be done."""
        return explain(self.status, self.ended, self.rules.stabilise, self.waiting)

    def subscribe(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Calls ``listener`` after a change with what changed: ``state``, ``message``, ``delivery``, ``duplicate``,
        ``typing``, ``resumed`` or ``health``; returns the way out.

        It is called on the client's loop and must be quick.
        """
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    # What can be done

    def send(self, text: str, *, ttl: float | None = None) -> Delivery:
        """Sends a message, or queues it while nothing carries it; the returned :class:`Delivery` can be watched, and
        awaited for the reply.

        Args:
            text: what to say.
            ttl: seconds after which it is not sent any more; the profile's ``queue_ttl`` when not given.

        Raises:
            InvalidInput: empty, or longer than the backend accepts.
            QueueFull: too many messages wait already.
            AuthError: the client needs a token.
            ConnectionEnded: the client is closed, or failed for good.
        """
        state = self.status.state
        if not self._opened or state in (State.CLOSING, State.CLOSED):
            raise ConnectionEnded("the client is not open", remedy="start it, or make another one")
        if state is State.AUTH_REQUIRED:
            raise AuthError("the client needs a token", got=self.status.because, remedy="set_token, or log in again")
        if state is State.FAILED:
            raise ConnectionEnded(f"the client failed: {self.status.because}", remedy=self.status.remedy or "reconnect")
        key = self._sender.offer(text, ttl)
        self._conversation.stop_typing()
        return Delivery(key, self._book.ledger, self._book.promise(key))

    def typing(self, is_typing: bool = True) -> None:
        """Says that the user types; taken back by itself after ``typing_stop`` seconds. Dropped while not live."""
        self._conversation.typing(is_typing)

    async def history(self) -> list[dict[str, Any]]:
        """The session's messages as the backend stores them, oldest first; empty before the first message."""
        return await self._conversation.history()

    def reconnect(self) -> None:
        """Tries at once: ends a waiting time, starts over after failure, or comes back after :meth:`park`."""
        self._line.reconnect()

    def set_token(self, token: str, refresh_token: str | None = None) -> None:
        """Uses another token from the next attempt on; resumes a client that needs one."""
        self.api.set_token(token, refresh_token)
        if self.status.state is State.AUTH_REQUIRED:
            self._line.reconnect()

    # The port of the line

    def up(self, connection: RecordedConnection, hello: Incoming) -> None:
        """The connection is established."""
        self._conversation.up(connection, hello)

    def heard(self, message: Incoming, connection: str) -> None:
        """A message came."""
        self._conversation.heard(message, connection)

    def down(self, loss: Loss) -> None:
        """The connection is gone."""
        self._conversation.down(loss)

    @property
    def last_id(self) -> str | None:
        """The server's id of the last message that was seen."""
        return self._conversation.last_id

    # Inside

    def _write(self, text: str) -> None:
        self._line.send(text, self.status.generation)

    def _health_changed(self) -> None:
        self._notify("health")

    def _notify(self, what: str) -> None:
        for listener in list(self._listeners):
            try:
                listener(what)
            except Exception as error:
                self._complain(error)

    def _complain(self, error: Exception) -> None:
        """A listener failed: its own defect, noted once for each kind, and no reason to end a connection."""
        if type(error) not in self._complaints:
            self._complaints.add(type(error))
            self.recorder.record(Noted, text=f"a listener failed: {type(error).__name__}: {error}"[:300])

    def _crashed(self, error: BaseException) -> None:
        """A task of ours failed: a defect, shown and never silently retried."""
        self._failure = error
        self._line.fail(error)

    def __repr__(self) -> str:
        return f"<ChatClient {self.bot!r} at {self.api.base}: {self.status.word}>"


def make_host(
    url: str,
    token: str | Provider | None,
    refresh_token: str | None,
    profile: Profile | str | Path | None,
    policy: str,
    recorder: Recorder | None,
    record_to: str | Path | None,
    proxy: bool,
    before: Trace | None = None,
) -> Host:
    """A backend of one's own, with a recorder."""
    contract = DEFAULT if profile is None else load_profile(profile)
    rules: Client = preset(policy, contract.client)
    base_url(url)  # before a recording is begun that would stay behind empty
    # Not "recorder or": a recorder without events yet has the length 0.
    recorder = Recorder(record_to, target=url, types=contract.types, before=before) if recorder is None else recorder
    plain, provider = (None, token) if callable(token) else (token, None)
    return Host(
        url,
        profile=contract,
        rules=rules,
        recorder=recorder,
        token=plain,
        refresh_token=refresh_token,
        provider=provider,
        proxy=proxy,
    )
