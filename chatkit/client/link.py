"""``Link``: one WebSocket kept alive by the policy. What to do is decided in ``policy``; here it is done.

One life loop owns the state: an attempt, the life of the connection, and what follows its loss, one after the other.
Nothing of a connection outlives it, so nothing stale is left that could act on the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec
from websockets.exceptions import ConnectionClosed

from chatkit.behaviour import Kind, Signal
from chatkit.client.connection import RecordedConnection, close_quietly, write_quietly
from chatkit.client.giveup import auth_error, final_error
from chatkit.client.host import Host
from chatkit.client.http import HttpStatusError
from chatkit.client.life import Life, Port
from chatkit.client.opening import open_connection
from chatkit.client.tasks import Tasks
from chatkit.ending import Connection
from chatkit.errors import AuthError, ChatkitError, ConnectFailed, ConnectionEnded
from chatkit.events import Established, RetryScheduled, StateChanged
from chatkit.policy.reconnect import (
    Context,
    Decision,
    Loss,
    classify,
    kind_of,
    loss_of,
    may_leave,
    probe_delay,
    rejoin_delay,
)
from chatkit.policy.status import RESTING, Move, State, Status, fits, transition
from chatkit.profile import Incoming

ENDED_KEPT = 1000
"""Connections that ended and are remembered."""
LATENCY_WEIGHT = 0.2
"""Weight of the newest round trip in the moving average."""


class Link:
    """One WebSocket, kept alive.

    Args:
        host: the backend; must outlive the link.
        name: what it is for, shown until the backend gives a name: the bot's id.
        bot: the bot whose HTTP description tells what a refusal means; ``None`` for none.
        url: the WebSocket URL, asked for before each attempt because it carries the token.
        port: who lives on it.
        changed: called with ``state`` after every change of :attr:`status`.

    :meth:`start` begins to connect, :meth:`close` ends it for good. Cancelling any call leaves the link as it is.
    """

    def __init__(
        self,
        host: Host,
        *,
        name: str,
        bot: str | None,
        url: Callable[[], str],
        port: Port,
        changed: Callable[[str], None],
    ) -> None:
        self.host, self.rules, self.profile, self.recorder = host, host.rules, host.profile, host.recorder
        self._bot, self._url, self._port, self._changed = bot, url, port, changed
        self._tasks = Tasks(self.fail)
        self.status = Status(bot=name, max_attempts=self.rules.retry_attempts)
        self.connection: RecordedConnection | None = None
        """The connection while it is established."""
        self.error: BaseException | None = None
        """What stopped the link, or the last attempt, where something did."""
        self.rtt: float | None = None
        """Round-trip time of the last application ping, seconds."""
        self.latency: float | None = None
        """Moving average of the round-trip times, seconds."""
        self.connects = 0
        """Connections that were established."""
        self.drops: dict[Kind, int] = {}
        """Losses by class."""
        self._opening: RecordedConnection | None = None
        self._ended: deque[Connection] = deque(maxlen=ENDED_KEPT)
        self._moved = asyncio.Event()
        self._again = asyncio.Event()
        self._parked = self._started = False
        self._attempts, self._step = 0, self.rules.retry_first
        self._suspended: float | None = None
        self._stable = self._refreshed = self._exempt = False
        self._refreshed_until = float("-inf")
        self._compression = True
        self._seen: dict[Kind, float] = {}
        self._attempted = float("-inf")
        self._used_token: str | None = None

    # From outside

    def start(self) -> None:
        """Begins to connect; a second call changes nothing."""
        if not self._started:
            self._started = True
            if not self._parked:
                self._set(Move.TRY, "started")
            self._tasks.spawn(self._live(), "life loop")

    async def ready(self) -> None:
        """Waits until the connection is established.

        Raises:
            ConnectFailed, AuthError, ConnectionEnded: the first attempt failed, or nothing more is tried.
        """
        await self.wait(lambda status: status.live or status.state in RESTING or status.attempt > 0)
        if not self.status.live:
            raise self.error if self.error is not None else ConnectionEnded(self.status.because or "closed")

    async def wait(self, until: Callable[[Status], bool]) -> Status:
        """Waits until a status satisfies ``until``; use ``asyncio.timeout`` around it to bound it."""
        while not until(self.status):
            self._moved.clear()
            await self._moved.wait()
        return self.status

    def wake(self) -> None:
        """Has everybody who waits look again: something that they look at has changed."""
        self._moved.set()

    def fail(self, error: BaseException) -> None:
        """A task of ours failed: a defect, shown and never silently retried."""
        self.error = error
        self._set(Move.FAIL, f"chatkit failed: {type(error).__name__}: {error}")

    def reconnect(self) -> None:
        """Tries at once: ends a waiting time, starts over after failure, or comes back after :meth:`park`."""
        self._parked = False
        self._again.set()

    def park(self) -> None:
        """Gives the socket up for now, with a goodbye; :meth:`reconnect` brings it back."""
        if self.status.state in (State.CLOSING, State.CLOSED) or self._parked:
            return
        self._parked = True
        self._again.set()
        if self._opening is not None:
            self._tasks.spawn(close_quietly(self._opening), "park")

    async def close(self) -> None:
        """Says goodbye (1000) and ends all tasks; at most about 2 s. Twice is fine."""
        if self.status.state is State.CLOSED:
            return
        self._set(Move.CLOSE, "closed by us")
        if self._opening is not None:
            await close_quietly(self._opening)
        await self._tasks.close()
        self._set(Move.END, "closed by us")

    @property
    def ended(self) -> tuple[Connection, ...]:
        """Connections that ended, oldest first; the last thousand."""
        return tuple(self._ended)

    @property
    def silent_for(self) -> float | None:
        """Seconds since bytes last came, while connected."""
        if self.connection is None:
            return None
        return asyncio.get_running_loop().time() - self.connection.last_received

    def send(self, text: str, generation: int) -> None:
        """Sends something that may be lost: dropped while there is no connection, or another than the caller meant."""
        if self.connection is not None and generation == self.status.generation:
            self._tasks.spawn(write_quietly(self.connection, text), "write")

    # The life loop

    async def _live(self) -> None:
        while True:
            if self._parked:
                await self._rest(Move.PARK, "no socket is wanted right now")
            loss = await self._one_life()
            if not self._parked:
                await self._follow(loss)

    async def _follow(self, loss: Loss) -> None:
        """Does what the policy says about a loss; returns when the next attempt is due."""
        kind = kind_of(loss, self.rules)
        self.drops[kind] = self.drops.get(kind, 0) + 1
        api_status = None
        while True:
            decision = classify(loss, self._context(loss, api_status))
            self._compression = self._compression and decision.compression
            match decision.action:
                case "ask":
                    api_status = await self._ask_api()
                    continue
                case "refresh":
                    failure = await self._refresh(decision)
                    if failure is None:
                        return
                    loss = failure
                    continue
                case "reconnect":
                    return await self._back_off(decision, loss)
                case "suspend":
                    return await self._suspend(decision, loss)
                case "auth":
                    self.error = self.error if isinstance(self.error, AuthError) else auth_error(decision, self.host)
                    return await self._rest(Move.NEED_TOKEN, decision.hint, decision, loss)
                case _:
                    self.error = final_error(decision, loss, self.host, self.error)
                    return await self._rest(Move.FAIL, decision.hint, decision, loss)

    def _context(self, loss: Loss, api_status: int | None) -> Context:
        kind, now = kind_of(loss, self.rules), time.monotonic()
        before, self._seen[kind] = self._seen.get(kind), now
        return Context(
            rules=self.rules,
            attempts=self._attempts,
            step=self._step,
            stable=self._stable,
            # Asking the API and deciding again is one failure, not two.
            repeated=None if before is None or api_status is not None else now - before,
            can_refresh=self.host.api.credentials.renewable,
            refreshed=self._refreshed and now < self._refreshed_until,
            token_left=self.host.api.token_left,
            api_status=api_status,
            lag=self.host.lag.lately(),
            draw=random.random(),
        )

    async def _ask_api(self) -> int:
        """What the HTTP API answers the same token about the bot; 0 for no answer."""
        if self._bot is None:
            return 0
        try:
            await self.host.api.bot(self._bot)
        except HttpStatusError as error:
            return error.status
        except ChatkitError:
            return 0
        return 200

    async def _refresh(self, decision: Decision) -> Loss | None:
        """Gets another token and goes on at once; the failure otherwise."""
        self._set(Move.TRY, f"{decision.hint}; another token is fetched", decision)
        # Where another client renewed it meanwhile, nothing is asked, and this client's own turn is still to come.
        self._refreshed = self._refreshed or self._used_token == self.host.api.credentials.token
        try:
            await self.host.api.refresh(stale=self._used_token)
        except ConnectFailed as error:
            # Nobody refused anything: the next attempt may refresh again.
            self.error, self._refreshed = error, False
            return Loss(
                stage="upgrade",
                signal=Signal.PROVIDER_UNREACHABLE,
                error=error.what,
                retry_after=error.retry_after,
            )
        except AuthError as error:
            self.error = error
            return Loss(stage="upgrade", signal=Signal.PROVIDER_DENIED, error=error.what)
        self._exempt = True
        # A later refusal is answered with another renewal, even if no connection was stable meanwhile. Half a life is
        # enough, since clocks are compared by whole seconds; a token that is born expired gets no such pardon.
        left, most = self.host.api.token_left, self.rules.retry_cap
        self._refreshed_until = time.monotonic() + (most if left is None or left <= 0 else min(left / 2, most))
        return None

    async def _back_off(self, decision: Decision, loss: Loss) -> None:
        self._attempts += 1
        self._step += decision.backoff
        await self._pause(Move.RETRY, decision, loss, decision.delay, self._attempts)

    async def _pause(self, move: Move, decision: Decision, loss: Loss, delay: float, attempt: int) -> None:
        """Waits for the next attempt: the policy's delay, and a place in the host's pace."""
        now = time.monotonic()
        booked = self.host.limiter.book(now, now + delay)
        delay = booked - now
        self.recorder.record(
            RetryScheduled,
            connection=self.status.connection,
            attempt=attempt,
            delay=round(delay, 3),
            because=decision.hint,
        )
        self._set(move, decision.hint, decision, loss, attempt=attempt, retry_in=delay)
        self._again.clear()
        try:
            await self._wait_again(delay)
        finally:
            self.host.limiter.release(booked)

    async def _wait_again(self, seconds: float) -> bool:
        """Whether somebody wanted to go on before so many seconds were over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._again.wait()
                return True
        return False

    async def _suspend(self, decision: Decision, loss: Loss) -> None:
        """Looks at the backend's health now and then; returns when an attempt is due."""
        delay = decision.delay
        began = self._suspended = self._suspended or time.monotonic()
        while True:
            self._set(Move.SUSPEND, decision.hint, decision, loss, attempt=self._attempts, retry_in=delay)
            self._again.clear()
            if await self._wait_again(delay):
                return
            health = await self.host.health.fresh(self.rules.suspend_probe / 3)
            healthy = health.last is not None and health.last.healthy
            if may_leave(healthy, time.monotonic() - self._attempted, self.rules):
                break
            if self.rules.give_up_after is not None and time.monotonic() - began >= self.rules.give_up_after:
                hint = f"gave up after {self.rules.give_up_after:g} s without a healthy backend: {decision.hint}"
                given_up = msgspec.structs.replace(decision, hint=hint)
                return await self._rest(Move.FAIL, hint, given_up, loss)
            delay = probe_delay(self.rules, random.random())
        # The backend is back for everybody at the same time: each comes when its turn is.
        await self._pause(Move.SUSPEND, decision, loss, rejoin_delay(self.rules, random.random()), self._attempts)

    async def _rest(self, move: Move, because: str, decision: Decision | None = None, loss: Loss | None = None) -> None:
        """Waits until somebody says so; then everything starts over."""
        self._again.clear()
        self._set(move, because, decision, loss, attempt=0)
        await self._again.wait()
        self._forget_retries()
        self._stable = self._refreshed = False
        self._compression = True
        self._seen.clear()

    def _forget_retries(self) -> None:
        self._attempts, self._step, self._suspended = 0, self.rules.retry_first, None

    # One connection

    async def _one_life(self) -> Loss:
        """One connection from the attempt to its end."""
        await self._take_turn()
        began = self._attempted = time.monotonic()
        generation = self.status.generation + 1
        self._set(Move.TRY, self.status.because, attempt=self._attempts, generation=generation)
        connection = None
        try:
            connection = await self._open()
            left = self.rules.connect_timeout - (time.monotonic() - began)
            async with asyncio.timeout(max(0.0, left)):
                hello = await self._first_message(connection)
        except TimeoutError:
            waited = f"no {self.profile.types.established} within {self.rules.connect_timeout:g} s"
            return await self._no_hello(connection, waited)
        except ConnectFailed as error:
            self.error = error
            return loss_of(error)
        except ConnectionClosed as error:
            assert connection is not None
            self._buried(connection)
            return loss_of(error)
        connection.tap.record(Established, seconds=round(time.monotonic() - began, 6))
        loss = await self._established(connection, hello)
        self._buried(connection)
        return loss

    async def _take_turn(self) -> None:
        """A first attempt keeps the host's distance only where the host is in trouble; retries have waited already."""
        limiter, now = self.host.limiter, time.monotonic()
        if not self._exempt and self._attempts == 0 and limiter.busy(now):
            booked = limiter.book(now, now)
            try:
                await asyncio.sleep(booked - now)
            finally:
                limiter.release(booked)
        self._exempt = False
        limiter.started(time.monotonic())

    async def _open(self) -> RecordedConnection:
        self._used_token = self.host.api.credentials.token
        connection = await open_connection(
            self._url(),
            self.recorder,
            attempt=self._attempts,
            headers=self.host.api.socket_headers(),
            compression="deflate" if self._compression else None,
            max_size=self.rules.max_size,
            proxy=self.host.proxy,
            timeout=self.rules.connect_timeout,
        )
        self._opening = connection
        self.status = msgspec.structs.replace(self.status, connection=connection.tap.id)
        return connection

    async def _first_message(self, connection: RecordedConnection) -> Incoming:
        while True:
            message = self.profile.read(await connection.recv())
            if message.kind == "established":
                return message
            self._port.heard(message, connection.tap.id)

    async def _no_hello(self, connection: RecordedConnection | None, detail: str) -> Loss:
        if connection is not None:
            # 4408 as the field uses it: a time-out of the application's own handshake.
            await close_quietly(connection, 4408, detail[:100])
            self._buried(connection)
        self.error = ConnectFailed(
            f"the backend is not ready: {detail}",
            target=self.recorder.redactor.text(self.host.api.base),
            stage="established",
            remedy="look at the backend's connect handler; chatkit check says what works",
        )
        return Loss(stage="established", error=detail, signal=Signal.HELLO_TIMEOUT)

    async def _established(self, connection: RecordedConnection, hello: Incoming) -> Loss:
        self.error, self.connection = None, connection
        self.connects += 1
        first_ping = time.time() + self.rules.stabilise
        self._port.up(connection, hello)
        name = hello.bot_name or self.status.bot
        self._set(Move.ESTABLISH, "", attempt=self._attempts, bot=name, first_ping=first_ping)
        stability = self._tasks.spawn(self._become_stable(), "stability")
        loss = Loss(signal=Signal.NO_CLOSE_FRAME)
        try:
            if self._parked:
                await close_quietly(connection)
            loss = await Life(connection, self.host, self._port, self._tasks, self._measured).run()
        finally:
            stability.cancel()
            self.connection = None
            self._port.down(loss)
        return loss

    async def _become_stable(self) -> None:
        await asyncio.sleep(self.rules.stable_after)
        self._forget_retries()
        self._stable, self._refreshed = True, False
        self._set(Move.SETTLE, "", attempt=0)

    def _buried(self, connection: RecordedConnection) -> None:
        self._opening = None
        self._ended.append(self.recorder.connection(connection.tap.id))

    def _measured(self, rtt: float) -> None:
        before = rtt if self.latency is None else self.latency
        self.rtt, self.latency = rtt, before + LATENCY_WEIGHT * (rtt - before)
        self._changed("state")

    # State

    def _set(
        self,
        move: Move,
        because: str,
        decision: Decision | None = None,
        loss: Loss | None = None,
        *,
        retry_in: float | None = None,
        **changes: Any,
    ) -> None:
        before = self.status.state
        if not fits(before, move):
            return  # stale
        state = transition(before, move)
        now = time.time()
        self.status = msgspec.structs.replace(
            self.status,
            state=state,
            because=because,
            since=self.status.since if before is state else now,
            kind=decision.kind if decision is not None else None,
            remedy=decision.remedy if decision is not None else "",
            retry_at=None if retry_in is None else now + retry_in,
            **changes,
        )
        if before is not state:
            self._record(before, decision, loss, retry_in)
        self._moved.set()
        self._changed("state")

    def _record(self, before: State, decision: Decision | None, loss: Loss | None, retry_in: float | None) -> None:
        self.recorder.record(
            StateChanged,
            connection=self.status.connection,
            state=str(self.status.state),
            because=self.status.because[:300],
            previous=str(before),
            reason=str(decision.kind) if decision is not None else None,
            close_code=loss.code if loss is not None else None,
            http_status=loss.status if loss is not None else None,
            attempt=self.status.attempt,
            retry_in=None if retry_in is None else round(retry_in, 3),
            hint=decision.remedy if decision is not None else "",
            bot=self._bot,
        )
