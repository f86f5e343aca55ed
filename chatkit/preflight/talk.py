"""The WebSocket steps of the check: open, wait for the backend's first message, ping, close."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime

from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from chatkit.client.connection import RecordedConnection
from chatkit.client.http import HttpApi
from chatkit.client.opening import open_connection
from chatkit.policy.reconnect import Loss, loss_of
from chatkit.preflight import judge
from chatkit.preflight.judge import Line, ms
from chatkit.recorder import Recorder

PONG_LIMIT = 3.0
"""Seconds that a pong may take here; the profile's ``pong_timeout`` where that is less."""


class Talk:
    """One connection's steps.

    Args:
        api: names the socket's URL, its headers and the profile.
        bot: the bot's id.
        recorder: where the connection's events go.
        proxy: whether proxies of the environment are used.
        limit: seconds that the next step may take.
    """

    def __init__(self, api: HttpApi, bot: str, recorder: Recorder, *, proxy: bool, limit: Callable[[], float]) -> None:
        self._api, self._bot, self._recorder = api, bot, recorder
        self._profile, self._proxy, self._limit = api.profile, proxy, limit
        self.patience = min(self._profile.client.pong_timeout, PONG_LIMIT)
        """Seconds to wait for a pong."""

    async def open(self) -> RecordedConnection:
        """The open connection, whose the caller is; raises ``ConnectFailed``."""
        return await open_connection(
            self._api.socket_url(self._bot),
            self._recorder,
            headers=self._api.socket_headers(),
            max_size=self._profile.client.max_size,
            proxy=self._proxy,
            timeout=self._limit(),
        )

    def upgraded(self, connection: RecordedConnection, seconds: float) -> Line:
        """The line of an upgrade that worked."""
        names = [extension.name for extension in connection.protocol.extensions]
        summary = f"HTTP 101 in {ms(seconds)}" + (f", with {', '.join(names)}" if names else "")
        return Line(status="pass", summary=summary, details={"http_status": 101, "extensions": names})

    async def established(self, connection: RecordedConnection) -> Line:
        """The backend's first message."""
        expected = self._profile.types.established
        limit, began, first = self._limit(), time.monotonic(), ""
        try:
            async with asyncio.timeout(limit):
                while True:
                    message = self._profile.read(await connection.recv())
                    if message.kind == "established":
                        took = time.monotonic() - began
                        return Line(status="pass", summary=f"{expected} {ms(took)} after the upgrade")
                    first = first or (message.detail or message.type or message.kind)
        except TimeoutError:
            remedy = "look at the backend's connect handler: a step that blocks; or types.established of the profile"
            instead = f"; the first message was: {first}" if first else ""
            return Line(status="fail", summary=f"no {expected} within {limit:.1f} s{instead}", remedy=remedy)
        except ConnectionClosed as error:
            return await self._ended(connection, loss_of(error))

    async def quiet(self, connection: RecordedConnection) -> Line | None:
        """Waits out the stabilisation delay; a line if the connection ends meanwhile."""
        try:
            async with asyncio.timeout(self._profile.client.stabilise):
                await connection.wait_closed()
        except TimeoutError:
            return None
        return await self._ended(connection, _loss(connection))

    async def ping_application(self, connection: RecordedConnection) -> Line:
        """One ping of the application's own."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(self.patience):
                await connection.send(self._profile.ping(datetime.now(UTC).isoformat()))
                while self._profile.read(await connection.recv()).kind != "pong":
                    pass
        except TimeoutError:
            remedy = "look at the handler of ping in the backend; types.pong of the profile names its answer"
            return Line(
                status="fail", summary=f"no {self._profile.types.pong} within {self.patience:g} s", remedy=remedy
            )
        except ConnectionClosed as error:
            return await self._ended(connection, loss_of(error))
        return Line(status="pass", summary=f"{self._profile.types.pong} in {ms(time.monotonic() - began)}")

    async def ping_protocol(self, connection: RecordedConnection) -> Line:
        """One ping frame (RFC 6455, section 5.5.2)."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(self.patience):
                await (await connection.ping())
        except TimeoutError:
            remedy = "look for a hop that swallows control frames, or a blocked server: RFC 6455 demands a pong"
            return Line(status="fail", summary=f"no pong frame within {self.patience:g} s", remedy=remedy)
        except ConnectionClosed as error:
            return await self._ended(connection, loss_of(error))
        return Line(status="pass", summary=f"pong frame in {ms(time.monotonic() - began)}")

    async def close(self, connection: RecordedConnection) -> Line:
        """The closing handshake with 1000."""
        limit, began = self._limit(), time.monotonic()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit):
                await connection.close(1000)
        took = ms(time.monotonic() - began)
        answer = connection.protocol.close_rcvd
        if answer is not None and answer.code == 1000:
            return Line(status="pass", summary=f"1000 answered in {took}", details={"code": 1000})
        if answer is not None:
            summary = f"answered with {answer.code} instead of 1000 in {took}"
            return Line(
                status="warning", summary=summary, remedy="an answer repeats the code (RFC 6455, section 5.5.1)"
            )
        summary = f"our close frame was not answered within {took}"
        remedy = "the server or a hop drops connections without a close frame; clients will see 1006"
        return Line(status="warning", summary=summary, remedy=remedy)

    def is_open(self, connection: RecordedConnection) -> bool:
        """Whether frames may still flow."""
        return connection.state is State.OPEN

    async def _ended(self, connection: RecordedConnection, loss: Loss) -> Line:
        # The transport's end comes after the exception, and is half of the ending.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await connection.wait_closed()
        ending = self._recorder.connection(connection.tap.id).ending
        return judge.ended(loss, f"the connection ended: {ending}")


def _loss(connection: RecordedConnection) -> Loss:
    received = connection.protocol.close_rcvd
    return Loss(stage="open", code=received.code if received is not None else 1006)
