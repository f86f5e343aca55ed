"""Misbehaving peers on real sockets, and client behaviour in ticks instead of seconds."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import msgspec
import pytest
from websockets.frames import Frame, Opcode
from websockets.utils import accept_key

from chatkit.behaviour import Client
from chatkit.client import ChatClient, open_connection
from chatkit.client.connection import RecordedConnection
from chatkit.lab import LabServer
from chatkit.profile import DEFAULT, Profile
from chatkit.recorder import Recorder
from conftest import TICK

RULES: Client = msgspec.structs.replace(
    DEFAULT.client,
    connect_timeout=60 * TICK,
    stabilise=2 * TICK,
    stable_after=4 * TICK,
    ping_interval=6 * TICK,
    ping_jitter=TICK,
    pong_timeout=6 * TICK,
    health_interval=20 * TICK,
    health_timeout=40 * TICK,
    http_timeout=100 * TICK,
    retry_base=TICK,
    retry_cap=8 * TICK,
    retry_floor=TICK / 10,
    suspend_probe=10 * TICK,
    suspend_attempt=100 * TICK,
    queue_ttl=200 * TICK,
    reply_grace=10 * TICK,
    typing_stop=3 * TICK,
    typing_expire=6 * TICK,
)
"""The contract's behaviour with a second made into a tick."""

HELLO = (
    '{"type": "connection_established", "data": '
    '{"bot_id": "echo", "bot_name": "Echo", "user_id": "ada", "connection_id": "c1"}}'
)


def profile(**changes: Any) -> Profile:
    """A profile with scaled timings and these on top."""
    return Profile(client=msgspec.structs.replace(RULES, **changes))


def frame(opcode: Opcode, payload: bytes | str) -> bytes:
    """A server's frame."""
    return Frame(opcode, payload.encode() if isinstance(payload, str) else payload).serialize(mask=False)


class Guest:
    """One client at a raw server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.request = b""
        self.upgraded = False

    async def head(self) -> bytes:
        """Its HTTP request."""
        self.request = await self.reader.readuntil(b"\r\n\r\n")
        return self.request

    async def accept(self, *then: bytes | str) -> None:
        """Upgrades, greets, and says more."""
        await self.head()
        fields = dict(line.split(b": ", 1) for line in self.request.split(b"\r\n")[1:-2])
        key = accept_key(fields[b"Sec-WebSocket-Key"].decode())
        self.writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + key.encode() + b"\r\n\r\n"
        )
        for text in then:
            self.writer.write(text if isinstance(text, bytes) else frame(Opcode.TEXT, text))
        self.upgraded = True
        await self.writer.drain()

    async def silence(self) -> None:
        """Reads until the client goes."""
        while await self.reader.read(65_536):
            pass

    def reset(self) -> None:
        """RST (SO_LINGER with zero seconds)."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Talk = Callable[[Guest], Awaitable[None]]


@asynccontextmanager
async def peer(talk: Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server that does what ``talk`` does with each guest; its port."""
    guests: set[asyncio.Task[None]] = set()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        guests.add(asyncio.current_task())
        try:
            with suppress(OSError, EOFError, asyncio.CancelledError):
                await talk(Guest(reader, writer))
        finally:
            writer.close()

    server = await asyncio.start_server(meet, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for guest in guests:
            guest.cancel()
        await asyncio.gather(*guests, return_exceptions=True)
        await asyncio.sleep(TICK / 5)  # an aborted transport says goodbye on the loop's next turns


@pytest.fixture
def recorder() -> Any:
    """In memory."""
    with Recorder() as recorder:
        yield recorder


@pytest.fixture
async def dial(recorder: Recorder) -> AsyncIterator[Callable[..., Awaitable[RecordedConnection]]]:
    """``await dial(port, …)`` opens a recorded connection to a peer; it is cut when the test ends."""
    opened: list[RecordedConnection] = []

    async def go(port: int, path: str = "/p", **options: Any) -> RecordedConnection:
        connection = await open_connection(f"ws://127.0.0.1:{port}{path}", recorder, **options)
        opened.append(connection)
        return connection

    yield go
    for connection in opened:
        connection.abort()
        with suppress(Exception):
            await connection.wait_closed()


@pytest.fixture
async def chat() -> AsyncIterator[Callable[..., Any]]:
    """``await chat(lab_or_url, …)`` is a started client in ticks; it closes with the test."""
    async with AsyncExitStack() as stack:

        async def go(where: LabServer | str, *, live: bool = True, rules: dict[str, Any] | None = None, **options: Any) -> ChatClient:  # fmt: skip
            url = where if isinstance(where, str) else where.url
            if isinstance(where, LabServer) and not {"token", "user"} & set(options):
                options["token"] = where.token
            options = {"bot": "echo", "profile": profile(**rules or {})} | options
            client = ChatClient(url, **options)
            stack.push_async_callback(client.close)
            await client.start()
            if live:
                await client.ready()
            return client

        yield go
