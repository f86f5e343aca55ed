"""The same chaos for others: ``websockets``' own reconnecting loop, and ``python-socketio``.

Both send numbered messages as their documentation shows it, over a minimal server of their own kind behind the same
hop. Neither promises that a message arrives; the table shows what that means. Clients, hop and server share one loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import socketio
import websockets
from aiohttp import web
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from tests.soak.harness import perform
from tests.soak.hop import Hop
from tests.soak.schedule import What, plan, tail
from tests.soak.verdict import Tally, peak, tally, total
from tests.soak.worker import RATE

KINDS: tuple[What, ...] = ("outage", "reset", "fin", "stall", "blackout", "restart")
"""Without tokens nothing expires, and a loop in memory has nothing to find again after a kill."""
Row = tuple[str, Tally, int, int]
"""Contestant, messages, reconnects, most attempts per second."""


class Score:
    """What the clients offered and the server got, by bot."""

    def __init__(self, bots: int) -> None:
        self.offered: list[list[int]] = [[] for _ in range(bots)]
        self.arrived: list[list[int]] = [[] for _ in range(bots)]
        self.attempts: list[float] = []
        self.connects = 0
        self.stopped = False

    def row(self, name: str) -> Row:
        """The line of the table."""
        found = total(tally(offered, got) for offered, got in zip(self.offered, self.arrived, strict=True))
        return name, found, max(0, self.connects - len(self.offered)), peak(self.attempts)


class Server:
    """A server that a contestant talks to."""

    def __init__(self, port: int, close: Callable[[int, str], Awaitable[object]]) -> None:
        self.port, self.close = port, close


Serve = Callable[[Score], AbstractAsyncContextManager[Server]]
Client = Callable[[int, int, Score], Awaitable[None]]


# websockets


@asynccontextmanager
async def plain_server(score: Score) -> AsyncIterator[Server]:
    """Echoes ``bot number`` and writes it down."""

    async def handle(connection: ServerConnection) -> None:
        with contextlib.suppress(websockets.ConnectionClosed):
            async for text in connection:
                bot, number = map(int, text.split())
                score.arrived[bot].append(number)
                await connection.send(text)

    async with serve(handle, "127.0.0.1", 0, ping_interval=2, ping_timeout=2, close_timeout=1) as server:

        async def close(code: int, reason: str) -> None:
            await asyncio.gather(*(each.close(code, reason) for each in list(server.connections)))

        yield Server(server.sockets[0].getsockname()[1], close)


async def plain_client(bot: int, port: int, score: Score) -> None:
    """``async for websocket in connect(…)``, as the documentation of ``websockets`` has it."""

    class Counted(connect):
        """Counts attempts."""

        async def open_tcp_connection(self) -> Any:
            score.attempts.append(time.monotonic())
            return await super().open_tcp_connection()

    async def listen(websocket: Any) -> None:
        with contextlib.suppress(websockets.ConnectionClosed):
            async for _ in websocket:
                pass

    number = 0
    options: dict[str, Any] = {"ping_interval": 2, "ping_timeout": 2, "open_timeout": 3, "close_timeout": 1}
    async for websocket in Counted(f"ws://127.0.0.1:{port}", proxy=None, **options):
        score.connects += 1
        listening = asyncio.get_running_loop().create_task(listen(websocket), name=f"websockets listens {bot}")
        try:
            while not score.stopped:
                await websocket.send(f"{bot} {number + 1}")
                number += 1
                score.offered[bot].append(number)
                await asyncio.sleep(1 / RATE)
            # What was written last still arrives; the end of the contest cancels this.
            await listening
            return
        except websockets.ConnectionClosed:
            continue
        finally:
            listening.cancel()


# python-socketio


@asynccontextmanager
async def socketio_server(score: Score) -> AsyncIterator[Server]:
    """The same over Socket.IO."""
    server = socketio.AsyncServer(async_mode="aiohttp", ping_interval=2, ping_timeout=2, logger=False)

    @server.event
    async def message(sid: str, data: list[int]) -> None:
        bot, number = data
        score.arrived[bot].append(number)
        await server.emit("message", data, to=sid)

    application = web.Application()
    server.attach(application)
    runner = web.AppRunner(application, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()

    async def close(code: int, reason: str) -> None:
        # Socket.IO has no goodbye that asks to come back: one that the server says ends its client for good.
        return

    try:
        yield Server(runner.addresses[0][1], close)
    finally:
        await server.shutdown()
        await runner.cleanup()


async def socketio_client(bot: int, port: int, score: Score) -> None:
    """``AsyncClient`` with its own reconnection; the first connection is tried until it is there."""

    class Counted(socketio.AsyncClient):
        """Counts attempts, those of its own reconnection too."""

        async def connect(self, *arguments: Any, **options: Any) -> None:
            score.attempts.append(time.monotonic())
            await super().connect(*arguments, **options)
            score.connects += 1

    client, number = Counted(handle_sigint=False, request_timeout=3), 0
    try:
        while not score.stopped:
            with contextlib.suppress(socketio.exceptions.ConnectionError):
                await client.connect(f"http://127.0.0.1:{port}", transports=["websocket"])
                break
            await asyncio.sleep(1.0)
        while not score.stopped:
            with contextlib.suppress(socketio.exceptions.SocketIOError):
                await client.emit("message", [bot, number + 1])
                number += 1
                score.offered[bot].append(number)
            await asyncio.sleep(1 / RATE)
    finally:
        with contextlib.suppress(Exception):
            await client.shutdown()


CONTESTANTS: dict[str, tuple[Serve, Client]] = {
    f"websockets {websockets.__version__}": (plain_server, plain_client),
    "python-socketio": (socketio_server, socketio_client),
}


async def contest(name: str, serve: Serve, client: Client, seconds: float, seed: int, bots: int) -> Row:
    """One contestant under the chaos of that seed."""
    score = Score(bots)
    async with serve(score) as server, Hop(server.port) as hop:
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(client(bot, hop.port, score), name=f"{name} {bot}") for bot in range(bots)]
        try:
            await perform(plan(seconds, seed, KINDS), hop, close=server.close)
            # The last ones may arrive as late as those of chatkit; whoever waits to connect has the tail for it.
            await asyncio.sleep(tail(seconds) / 2)
            score.stopped = True
            await asyncio.sleep(tail(seconds) / 2)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    return score.row(name)


async def compare(seconds: float, seed: int, bots: int) -> list[Row]:
    """A row for each contestant."""
    for logger in ("websockets", "socketio", "engineio", "aiohttp", "asyncio"):
        logging.getLogger(logger).setLevel(logging.CRITICAL)
    return [await contest(name, *sides, seconds, seed, bots) for name, sides in CONTESTANTS.items()]
