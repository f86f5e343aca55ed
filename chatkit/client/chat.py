"""``ChatClient``: one conversation with one bot, kept alive over many connections.

It owns its HTTP client and its tasks (the life loop, health, loop lag; while connected a reader, a keepalive and a
TCP sampler) and ends them when it is closed. What to do is decided in ``policy``; here it is done.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
from websockets.exceptions import ConnectionClosed

from chatkit.behaviour import Client
from chatkit.client.connection import RecordedConnection, close_quietly
from chatkit.client.conversation import Conversation
from chatkit.client.delivery import Delivery
from chatkit.client.health import HealthMonitor
from chatkit.client.http import HttpApi, base_url
from chatkit.client.lag import watch_loop
from chatkit.client.opening import open_connection
from chatkit.client.tasks import Tasks
from chatkit.ending import Connection
from chatkit.errors import AuthError, ChatkitError, ConnectFailed, ConnectionEnded, InvalidInput
from chatkit.events import Established, Noted, RetryScheduled, StateChanged
from chatkit.policy import keepalive
from chatkit.policy.delivery import ChatMessage
from chatkit.policy.presets import preset
from chatkit.policy.reconnect import Decision, Loss, decide
from chatkit.policy.status import RESTING, State, Status, explain
from chatkit.profile import DEFAULT, Incoming, Profile
from chatkit.profile import load as load_profile
from chatkit.recorder import Recorder
from chatkit.trace import Trace

TCP_SAMPLE_INTERVAL = 5.0
"""Seconds between two looks at ``TCP_INFO``."""


class ChatClient:
    """Keeps one conversation with one bot alive.

    Args:
        url: base URL of the backend, ``http://localhost:8000``.
        bot: the bot's id.
        token: access token (JWT).
        user, password: log in with these instead of a token.
        refresh_token: gets another token when one expires.
        profile: the backend's contract; a :class:`Profile` or the path of a TOML file.
        policy: ``incident`` (the repaired front end) or ``incident-before`` (the broken one).
        recorder: where events go; a new one, in memory, when not given.
        record_to: file for a new recorder.
        proxy: whether proxies of the environment are used; never for loopback addresses.

    ``async with`` connects and raises when the first attempt fails; :meth:`start` returns at once and keeps trying.
    Closing twice is fine. Cancelling any call leaves the client as it is.
    """

    def __init__(
        self,
        url: str,
        *,
        bot: str,
        token: str | None = None,
        user: str | None = None,
        password: str | None = None,
        refresh_token: str | None = None,
        profile: Profile | str | Path | None = None,
        policy: str = "incident",
        recorder: Recorder | None = None,
        record_to: str | Path | None = None,
        proxy: bool = True,
    ) -> None:
        self.profile = DEFAULT if profile is None else load_profile(profile)
        self.rules: Client = preset(policy, self.profile.client)
        if not bot:
            raise InvalidInput("no bot is named", expected="a bot's id", where="bot")
        if (user is None) != (password is None):
            raise InvalidInput("a login needs both user and password", where="user, password")
        base_url(url)  # before a recording is begun that would stay behind empty
        self.bot = bot
        self._owns_recorder = recorder is None
        # Not "recorder or": a recorder without events yet has the length 0.
        self.recorder = Recorder(record_to, target=url, types=self.profile.types) if recorder is None else recorder
        self._login = (user, password) if user is not None and password is not None else None
        self.api = HttpApi(
            url, recorder=self.recorder, profile=self.profile, token=token, refresh_token=refresh_token, proxy=proxy
        )
        self.health = HealthMonitor(self.api, self.rules, lambda: self._notify("health"))
        self._proxy = proxy
        self._tasks = Tasks(self._crashed)
        self._conversation = Conversation(bot, self.api, self.rules, self.recorder, self._tasks, self._notify)
        self._status = Status(bot=bot, max_attempts=self.rules.retry_attempts)
        self._connection: RecordedConnection | None = None
        self._listeners: list[Callable[[str], None]] = []
        self._complaints: set[type[Exception]] = set()
        self._ended: list[Connection] = []
        self._again = asyncio.Event()
        self._moved = asyncio.Event()
        self._refreshed = False
        self._pulse: keepalive.Pulse | None = None
        self.rtt: float | None = None
        """Round-trip time of the last application ping, seconds."""
        self.error: BaseException | None = None
        """What stopped the client, where something did."""

    # Opening and closing

    async def __aenter__(self) -> Self:
        try:
            await self.start()
            await self.ready()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Logs in if that was asked for, and begins to connect; returns before the connection is there.

        Raises:
            AuthError: the login was refused.
            ConnectFailed: the login got no answer.
        """
        if self._status.state is not State.IDLE:
            return
        self._set(State.CONNECTING, "started")
        if self._login is not None:
            await self.api.login(*self._login)
        self._tasks.spawn(watch_loop(self.recorder), "loop lag")
        self._tasks.spawn(self.health.run(), "health")
        self._tasks.spawn(self._live(), "life loop")

    async def ready(self) -> None:
        """Waits until the connection is established.

        Raises:
            ConnectFailed, AuthError, ConnectionEnded: the first attempt failed, or nothing more is tried.
        """
        await self.wait(lambda status: status.live or status.state in RESTING or status.attempt > 0)
        if not self._status.live:
            raise self.error if self.error is not None else ConnectionEnded(self._status.because or "closed")

    async def wait(self, until: Callable[[Status], bool]) -> Status:
        """Waits until a status satisfies ``until``; use ``asyncio.timeout`` around it to bound it."""
        while not until(self._status):
            self._moved.clear()
            await self._moved.wait()
        return self._status

    async def close(self) -> None:
        """Says goodbye (1000), ends all tasks and, if the client made it, the recorder; at most about 2 s."""
        if self._status.state is State.CLOSED:
            return
        self._set(State.CLOSING, "closed by us")
        if self._connection is not None:
            await close_quietly(self._connection)
        await self._tasks.close()
        self._conversation.close()
        await self.api.aclose()
        self._set(State.CLOSED, "closed by us")
        if self._owns_recorder:
            # Joins the writer thread, which may be in the middle of a batch.
            try:
                await asyncio.to_thread(self.recorder.close)
            except RuntimeError:  # at the end of the interpreter no thread starts any more
                self.recorder.close()

    # What can be seen

    @property
    def status(self) -> Status:
        """State, since when, what comes next."""
        return self._status

    @property
    def messages(self) -> tuple[ChatMessage, ...]:
        """The conversation as it is shown."""
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
        return tuple(self._ended)

    def explain(self) -> str:
        """The state in one or two sentences."""
        return explain(self._status, self._ended, self.rules.stabilise)

    def subscribe(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Calls ``listener`` with ``state``, ``message``, ``typing`` or ``health`` after a change; returns the way out.

        It is called on the client's loop and must be quick.
        """
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    # What can be done

    def send(self, text: str) -> Delivery:
        """Sends a message; the returned :class:`Delivery` can be watched, and awaited for the reply.

        Raises:
            InvalidInput: empty, or longer than the backend accepts.
            ConnectionEnded: the client is closed.
        """
        if self._status.state in (State.IDLE, State.CLOSING, State.CLOSED):
            raise ConnectionEnded("the client is not open", remedy="start it, or make another one")
        return self._conversation.send(text)

    def typing(self, is_typing: bool = True) -> None:
        """Says that the user types; taken back by itself after ``typing_stop`` seconds. Dropped while not live."""
        self._conversation.typing(is_typing)

    async def history(self) -> list[dict[str, Any]]:
        """The session's messages as the backend stores them, oldest first; empty before the first message."""
        return await self._conversation.history()

    def reconnect(self) -> None:
        """Tries at once: ends a waiting time, or starts over after failure."""
        self._again.set()

    def set_token(self, token: str, refresh_token: str | None = None) -> None:
        """Uses another token from the next attempt on; resumes a client that needs one."""
        self.api.set_token(token, refresh_token)
        if self._status.state is State.AUTH_REQUIRED:
            self._again.set()

    # The life loop

    async def _live(self) -> None:
        attempt = 0
        while True:
            loss = await self._one_life(attempt)
            if self._status.attempt == 0:
                attempt = 0
            may_refresh = self.api.can_refresh and not self._refreshed
            decision = decide(loss, self.rules, attempts=attempt, may_refresh=may_refresh)
            attempt = await self._follow(decision, attempt)

    async def _follow(self, decision: Decision, attempt: int) -> int:
        """Does what was decided about a loss; the number of the next attempt."""
        if decision.action == "refresh":
            self._refreshed = True
            self._set(State.CONNECTING, f"{decision.hint}; another token is fetched", attempt=attempt)
            try:
                await self.api.refresh()
            except ConnectFailed as error:
                # Nobody refused anything: the next attempt may refresh again.
                self.error, self._refreshed = error, False
                loss = self._failed(error)
                decision = decide(loss, self.rules, attempts=attempt, may_refresh=False)
            except ChatkitError as error:
                self.error = error
                decision = msgspec.structs.replace(decision, action="stop", hint=f"{decision.hint}; {error.what}")
            else:
                return attempt
        self._again.clear()
        if decision.action == "stop":
            self._set(State.AUTH_REQUIRED if decision.auth else State.FAILED, decision.hint)
            if decision.auth and not isinstance(self.error, AuthError):
                claims = self.api.token_claims
                self.error = AuthError(
                    f"the backend refused the token: {decision.hint}",
                    expired_at=claims.exp if claims else None,
                    got=f"token {self.api.token_words()}",
                    remedy="log in again or give another token",
                )
            await self._again.wait()
            self._refreshed = False
            return 0
        attempt += 1
        self.recorder.record(
            RetryScheduled,
            connection=self._status.connection,
            attempt=attempt,
            delay=round(decision.delay, 3),
            because=decision.hint,
        )
        self._set(State.BACKOFF, decision.hint, attempt=attempt, retry_at=time.time() + decision.delay)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(decision.delay):
                await self._again.wait()
        return attempt

    async def _one_life(self, attempt: int) -> Loss:
        """One connection from the attempt to its end."""
        self._set(State.CONNECTING, "", attempt=attempt)
        began = time.monotonic()
        connection = None
        try:
            connection = await self._open(attempt)
            left = self.rules.connect_timeout - (time.monotonic() - began)
            async with asyncio.timeout(max(0.0, left)):
                hello = await self._first_message(connection)
        except TimeoutError:
            waited = f"no {self.profile.types.established} within {self.rules.connect_timeout:g} s"
            return await self._give_up(connection, waited)
        except ConnectFailed as error:
            return self._failed(error)
        except ConnectionClosed as error:
            assert connection is not None
            self._buried(connection)
            return loss_of(error)
        connection.tap.record(Established, seconds=round(time.monotonic() - began, 6))
        loss = await self._established(connection, hello)
        self._buried(connection)
        return loss

    async def _open(self, attempt: int) -> RecordedConnection:
        connection = await open_connection(
            self.api.socket_url(self.bot),
            self.recorder,
            attempt=attempt,
            headers=self.api.socket_headers(),
            max_size=self.rules.max_size,
            proxy=self._proxy,
            timeout=self.rules.connect_timeout,
        )
        self._connection = connection
        self._status = msgspec.structs.replace(self._status, connection=connection.tap.id)
        return connection

    async def _first_message(self, connection: RecordedConnection) -> Incoming:
        while True:
            message = self.profile.read(await connection.recv())
            if message.kind == "established":
                return message
            self._conversation.handle(message, connection.tap.id)

    async def _give_up(self, connection: RecordedConnection | None, detail: str) -> Loss:
        if connection is not None:
            # 4408 as the field uses it: a time-out of the application's own handshake.
            await close_quietly(connection, 4408, detail[:100])
            self._buried(connection)
        self.error = ConnectFailed(
            f"the backend is not ready: {detail}",
            target=self.recorder.redactor.text(self.api.base),
            stage="established",
            remedy="look at the backend's connect handler; chatkit check says what works",
        )
        return Loss(stage="established", error=detail)

    def _failed(self, error: ConnectFailed) -> Loss:
        self.error = error
        stage: Any = error.stage
        return Loss(stage=stage, status=error.status, error=error.what, retry_after=error.retry_after)

    async def _established(self, connection: RecordedConnection, hello: Incoming) -> Loss:
        loop = asyncio.get_running_loop()
        self._pulse = keepalive.Pulse(established_at=loop.time())
        self.error = None
        first_ping = time.time() + self.rules.stabilise
        self._conversation.bot_name = hello.bot_name or self.bot
        self._conversation.socket_up(connection)
        self._set(State.CONNECTED, "", bot=self._conversation.bot_name, first_ping=first_ping)
        helpers = [
            self._tasks.spawn(self._keep_alive(connection), "keepalive"),
            self._tasks.spawn(self._sample(connection), "tcp info"),
            self._tasks.spawn(self._become_stable(), "stability"),
        ]
        try:
            while True:
                message = self.profile.read(await connection.recv())
                self._pulse = msgspec.structs.replace(self._pulse, answered=True)
                if message.kind == "pong":
                    self._see_pong(message)
                self._conversation.handle(message, connection.tap.id)
        except ConnectionClosed as error:
            return loss_of(error)
        finally:
            for helper in helpers:
                helper.cancel()
            self._connection = None
            self._conversation.socket_down()

    async def _become_stable(self) -> None:
        await asyncio.sleep(self.rules.stable_after)
        self._refreshed = False
        self._set(State.STABLE, "", attempt=0)

    async def _keep_alive(self, connection: RecordedConnection) -> None:
        loop = asyncio.get_running_loop()
        while True:
            assert self._pulse is not None
            decided = keepalive.step(self._pulse, loop.time(), self.rules)
            if decided.action == "wait":
                await asyncio.sleep(decided.wake_at - loop.time())
            elif decided.action == "ping":
                try:
                    await connection.send(self.profile.ping(datetime.now(UTC).isoformat()))
                except ConnectionClosed:  # it ended just now; the reader tells how
                    return
                self._pulse = msgspec.structs.replace(
                    self._pulse, pings=self._pulse.pings + 1, last_ping_at=loop.time(), answered=False
                )
            else:
                # The code and words of the library's own keepalive, so that every reader knows them.
                await close_quietly(connection, 1011, "keepalive ping timeout")
                return

    async def _sample(self, connection: RecordedConnection) -> None:
        while True:
            connection.sample_tcp()
            await asyncio.sleep(TCP_SAMPLE_INTERVAL)

    def _buried(self, connection: RecordedConnection) -> None:
        self._connection = None
        self._ended.append(self.recorder.connection(connection.tap.id))

    def _see_pong(self, message: Incoming) -> None:
        if message.timestamp is not None:
            with contextlib.suppress(ValueError):
                sent = datetime.fromisoformat(message.timestamp)
                self.rtt = max(0.0, (datetime.now(UTC) - sent).total_seconds()) if sent.tzinfo else None
                self._notify("state")

    # State

    def _set(self, state: State, because: str, **changes: Any) -> None:
        before = self._status.state
        if before in (State.CLOSING, State.CLOSED) and state is not State.CLOSED:
            return
        since = self._status.since if before is state else time.time()
        changes.setdefault("retry_at", None)
        self._status = msgspec.structs.replace(self._status, state=state, because=because, since=since, **changes)
        if before is not state:
            self.recorder.record(
                StateChanged, connection=self._status.connection, state=str(state), because=because[:300]
            )
        self._moved.set()
        self._notify("state")

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
        self.error = error
        self._set(State.FAILED, f"chatkit failed: {type(error).__name__}: {error}")

    def __repr__(self) -> str:
        return f"<ChatClient {self.bot!r} at {self.api.base}: {self._status.word}>"


def loss_of(error: ConnectionClosed) -> Loss:
    """A library's exception as a :class:`Loss`."""
    received, sent = error.rcvd, error.sent
    if received is not None and (error.rcvd_then_sent or sent is None):
        return Loss(stage="open", code=received.code, error=received.reason)
    if sent is not None:
        return Loss(stage="open", code=sent.code, error=sent.reason, by_us=True)
    return Loss(stage="open", code=1006, error=str(error.__cause__ or ""))
