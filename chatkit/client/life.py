"""One connection from the backend's first message to its end: reading, the application ping, the kernel's view."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from websockets.exceptions import ConnectionClosed

from chatkit.behaviour import Signal
from chatkit.client.connection import RecordedConnection, close_quietly
from chatkit.client.host import Host
from chatkit.client.tasks import Tasks
from chatkit.client.timers import Due, timers
from chatkit.policy import keepalive
from chatkit.policy.reconnect import Loss, loss_of
from chatkit.profile import Incoming

TCP_SAMPLE_INTERVAL = 5.0
"""Seconds between two looks at ``TCP_INFO``."""
PING_AGAIN = 0.05
"""Seconds after which a ping that could not go out is tried again."""
BAD_MESSAGES, BAD_WITHIN = 20, 60.0
"""So many unreadable messages within so many seconds mean another contract than the profile's."""


class Port(Protocol):
    """Who lives on a link; called on its loop, and must not block."""

    def up(self, connection: RecordedConnection, hello: Incoming) -> None:
        """The connection is established."""

    def heard(self, message: Incoming, connection: str) -> None:
        """A message came."""

    def down(self, loss: Loss) -> None:
        """The connection is gone."""


class Life:
    """A connection that is established.

    Args:
        connection: the connection; whoever opened it keeps it.
        host: names profile and rules.
        port: hears every message.
        tasks: owner of the closing of a connection that is half open; it ends with the reader.
        measured: called with the round-trip time of each application ping, seconds.
    """

    def __init__(
        self,
        connection: RecordedConnection,
        host: Host,
        port: Port,
        tasks: Tasks,
        measured: Callable[[float], None],
    ) -> None:
        self._connection, self._port, self._tasks, self._measured = connection, port, tasks, measured
        self._profile, self._rules = host.profile, host.rules
        self._bad: deque[float] = deque(maxlen=BAD_MESSAGES)
        self._loop, self._timers = asyncio.get_running_loop(), timers()
        self._pulse = keepalive.Pulse(established_at=self._loop.time())
        self._next_beat = self._next_sample = Due(lambda: None)
        self._closing: asyncio.Task[None] | None = None

    async def run(self) -> Loss:
        """Reads until the end; how it ended. Cancelling stops reading and leaves the connection open."""
        self._beat()
        self._sample()
        try:
            return await self._read(self._connection)
        finally:
            for due in (self._next_beat, self._next_sample):
                due.cancel()
            if self._closing is not None:
                self._closing.cancel()

    async def _read(self, connection: RecordedConnection) -> Loss:
        try:
            while True:
                message = self._profile.read(await connection.recv())
                self._pulse = self._pulse.heard()
                if message.kind == "pong":
                    self._see_pong(message)
                elif message.kind in ("invalid", "unknown") and self._too_many_bad():
                    self._port.heard(message, connection.tap.id)
                    await close_quietly(connection, 1002, "unreadable messages")
                    return Loss(signal=Signal.TOO_MANY_BAD_MESSAGES, error=message.detail or "")
                self._port.heard(message, connection.tap.id)
        except ConnectionClosed as error:
            return loss_of(error)

    def _too_many_bad(self) -> bool:
        now = time.monotonic()
        self._bad.append(now)
        return len(self._bad) == BAD_MESSAGES and now - self._bad[0] <= BAD_WITHIN

    def _beat(self) -> None:
        """What keepalive does now; the loop's one timer calls again when it has to look again."""
        now = self._loop.time()
        decided = keepalive.step(self._pulse, now, self._rules)
        match decided.action:
            case "wait":
                self._next_beat = self._timers.at(decided.wake_at, self._beat)
            case "ping":
                if self._connection.write_now(self._profile.ping(datetime.now(UTC).isoformat())):
                    self._pulse = self._pulse.pinged(now, self._rules, random.random())
                    self._next_beat = self._timers.at(now, self._beat)
                elif self._connection.open:  # within a message in fragments, which a ping must not cut in two
                    self._next_beat = self._timers.after(PING_AGAIN, self._beat)
            case "drain":
                # Our own lateness: what waits in the socket is read in the loop's next turns, then we look again.
                self._pulse = self._pulse.rearmed(now, self._rules)
                self._next_beat = self._timers.at(now, self._beat)
            case "dead":
                # The code and words of the library's own keepalive, so that every reader knows them.
                goodbye = close_quietly(self._connection, 1011, "keepalive ping timeout")
                self._closing = self._tasks.spawn(goodbye, "keepalive")

    def _sample(self) -> None:
        self._connection.sample_tcp()
        self._next_sample = self._timers.after(TCP_SAMPLE_INTERVAL, self._sample)

    def _see_pong(self, message: Incoming) -> None:
        if message.timestamp is None:
            return
        with contextlib.suppress(ValueError):
            sent = datetime.fromisoformat(message.timestamp)
            if sent.tzinfo:
                self._measured(max(0.0, (datetime.now(UTC) - sent).total_seconds()))
