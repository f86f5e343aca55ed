"""uvicorn on the caller's loop: no signal handlers, no process exit, a bounded end, and crashes on demand.

This drives uvicorn's protocols directly instead of ``uvicorn.Server``: that one exits the process when it
cannot start, waits for connections without bound when it stops, and cannot lose its port and come back.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from email.utils import formatdate
from functools import partial
from typing import Any, cast

from uvicorn import Config
from uvicorn.server import ServerState

from chatkit.faults.moments import Crash, Evict, How, Restart, Stall
from chatkit.lab.app import build_app
from chatkit.lab.backend import Backend
from chatkit.lab.listener import address_of, bind
from chatkit.lab.protocol import LabProtocol, abort_transport
from chatkit.lab.runner import Deed

GRACE = 0.5
"""Seconds that connections and bots have to end by themselves when the lab closes."""

_TURNS = 5
"""Turns of the loop from a connection that was accepted just before the end to the moment when its transport has
closed its socket, which is a callback after ``connection_lost``."""

App = Callable[[Any, Any, Any], Awaitable[None]]


class Serving:
    """One port with the lab behind it. Owned by one loop; opened once, closed as often as you like.

    Args:
        backend: what to serve.
        host: where to listen.
        port: 0 for any free one.
        ws_ping_interval: seconds between the server's own RFC 6455 pings; ``None`` for none.
        ws_ping_timeout: seconds to wait for the pong before it closes with 1011.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        host: str,
        port: int,
        ws_ping_interval: float | None = None,
        ws_ping_timeout: float | None = 20.0,
    ) -> None:
        self._backend = backend
        self._host, self._port = host, port
        self._config = Config(
            _quiet(build_app(backend)),
            http="h11",
            ws=cast("Any", partial(LabProtocol, backend)),
            ws_ping_interval=ws_ping_interval,
            ws_ping_timeout=ws_ping_timeout,
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            # Longer than clients keep idle connections (httpx: 5 s), so that no request meets a closing one.
            timeout_keep_alive=60,
            proxy_headers=False,
        )
        self._state = ServerState()
        self._socket: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._reviving: asyncio.Task[None] | None = None
        self._tick: asyncio.TimerHandle | None = None
        self._woken = threading.Event()
        self._closing = False
        self._down = False
        self._arrivals = itertools.count(1)
        self.address = ""

    async def open(self, database: str) -> None:
        """Binds, listens, starts the faults' clock.

        Raises:
            LabError: the port is taken, or the database cannot be used.
        """
        self._socket = bind(self._host, self._port)
        self.address = address_of(self._host, self._socket)
        self._port = self._socket.getsockname()[1]
        try:
            self._backend.open(database)
        except BaseException:
            self._socket.close()
            raise
        self._config.load()
        # uvicorn wraps the application when the root logger is at TRACE, and that would log the tokens.
        self._config.loaded_app = self._config.app
        self._stamp()
        await self._listen()
        self._backend.perform = self._perform
        self._backend.start_faults()

    async def close(self) -> None:
        """Refuses new connections, says 1012 to the old ones, aborts what is left after a short grace."""
        if self._closing:
            return
        self._closing = True
        if self._tick is not None:
            self._tick.cancel()
        if self._reviving is not None:
            self._reviving.cancel()
            await asyncio.wait([self._reviving])
        try:
            self._stop_accepting()
            await asyncio.sleep(0)
            self._take_leave()
            await self._settle(GRACE)
        finally:
            # Also when the caller is cancelled meanwhile: nothing stays open.
            self._deafen()
            self._drop_all("fin")
            self._backend.close()
        await self._settle(GRACE)

    def wake(self) -> None:
        """Ends a stall, and lets none come any more; safe from any thread."""
        self._woken.set()

    def cut(self, how: How) -> None:
        """Ends every connection without a close frame; the port stays open."""
        for connection in list(self._state.connections):
            if isinstance(connection, LabProtocol):
                connection.abort(how)

    def close_all(self, code: int, reason: str) -> None:
        """Starts the closing handshake on every WebSocket."""
        for connection in list(self._state.connections):
            if isinstance(connection, LabProtocol):
                connection.close_with(code, reason)

    def _perform(self, deed: Deed) -> None:
        match deed:
            case Stall(seconds=seconds):
                self._woken.wait(seconds)
            case Evict(connection=number, end=end):
                for connection in list(self._state.connections):
                    if isinstance(connection, LabProtocol) and connection.faults.ordinal == number:
                        connection.perform(end)
            case Crash() | Restart() if not self._down and not self._closing:
                self._backend.counters.crashes += isinstance(deed, Crash)
                self._backend.counters.restarts += isinstance(deed, Restart)
                self._down = True
                self._stop_accepting()
                asyncio.get_running_loop().call_soon(self._collapse, deed)

    def _collapse(self, deed: Crash | Restart) -> None:
        if self._closing:
            return
        self._deafen()
        self._socket = bind(self._host, self._port)
        if isinstance(deed, Restart):
            self._dismiss(deed.code)
        else:
            self._drop_all("fin")
        # The one task of this owner: close() cancels it and waits for it.
        loop = asyncio.get_running_loop()
        self._reviving = loop.create_task(self._revive(deed.gap), name="lab comes back")

    def _dismiss(self, code: int) -> None:
        self.close_all(code, "")
        for connection in list(self._state.connections):
            if not isinstance(connection, LabProtocol) and not connection.transport.is_closing():
                connection.shutdown()

    async def _revive(self, gap: float) -> None:
        grace = min(GRACE, gap)
        await asyncio.sleep(grace)
        self._drop_all("fin")
        await asyncio.sleep(gap - grace)
        self._down = False
        await self._listen()

    async def _listen(self) -> None:
        assert self._socket is not None, "bound before it listens"
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, sock=self._socket, backlog=self._config.backlog)

    def _connection(self) -> asyncio.Protocol:
        if self._closing or self._down:
            return _Late()  # accepted by the kernel just before the port was closed
        make = cast("Any", self._config.http_protocol_class)
        protocol: asyncio.Protocol = make(
            config=self._config, server_state=self._state, app_state={"arrival": next(self._arrivals)}
        )
        return protocol

    def _take_leave(self) -> None:
        self._deafen()
        self._backend.heal()
        for connection in list(self._state.connections):
            if not connection.transport.is_closing():
                connection.shutdown()

    def _stop_accepting(self) -> None:
        # A connection that asyncio has accepted and not yet made is lost, its socket open, when the server closes
        # (CPython 3.11: Server._attach asserts): the loop needs a turn between this and _deafen(). After a stall, or
        # while many reconnect, there are such connections.
        if self._socket is not None:
            with suppress(NotImplementedError):  # Windows' own loop
                asyncio.get_running_loop().remove_reader(self._socket)

    def _deafen(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _drop_all(self, how: How) -> None:
        for connection in list(self._state.connections):
            if not connection.transport.is_closing() or self._closing:
                abort_transport(connection.transport, how)
        for task in list(self._state.tasks):
            task.cancel()

    async def _settle(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        # uvicorn's sets tell nobody when they shrink.
        while (self._state.connections or self._state.tasks) and loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    def _stamp(self) -> None:
        date = (b"date", formatdate(self._backend.now(), usegmt=True).encode())
        self._state.default_headers = [date, *self._config.encoded_headers]
        self._tick = asyncio.get_running_loop().call_later(1.0, self._stamp)


class _Late(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).abort()


def _quiet(app: App) -> App:
    async def serve(scope: Any, receive: Any, send: Any) -> None:
        try:
            await app(scope, receive, send)
        except asyncio.CancelledError:
            # Only the lab cancels these tasks, after their transport is gone; uvicorn would log a traceback.
            return

    return serve
