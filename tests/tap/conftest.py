"""A relay between two bare sockets, and a server that keeps what it hears."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from chatkit.tap import Hop
from conftest import PATIENCE, until


@dataclass
class Ends:
    """Both ends of what goes through a hop."""

    hop: Hop
    client: socket.socket
    server: socket.socket

    async def send(self, side: str, data: bytes) -> None:
        """All of it."""
        await asyncio.get_running_loop().sock_sendall(self._of(side), data)

    async def read(self, side: str, size: int) -> bytes:
        """Exactly so many bytes, or fewer if FIN comes before."""
        loop, heard = asyncio.get_running_loop(), bytearray()
        async with asyncio.timeout(PATIENCE):
            while len(heard) < size and (data := await loop.sock_recv(self._of(side), size - len(heard))):
                heard += data
        return bytes(heard)

    async def ending(self, side: str) -> str:
        """``fin`` or ``rst``, whichever comes next at that side."""
        try:
            rest = await self.read(side, 1)
        except ConnectionResetError:
            return "rst"
        assert rest == b""
        return "fin"

    async def wrote(self, side: str) -> str:
        """What writing to that side, again and again, leads to: ``reset`` or ``pipe``."""
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    await self.send(side, b"x")
                except ConnectionResetError:
                    return "reset"
                except BrokenPipeError:
                    return "pipe"
                await asyncio.sleep(0.01)

    def fin(self, side: str) -> None:
        """Ends that side's half."""
        self._of(side).shutdown(socket.SHUT_WR)

    def rst(self, side: str) -> None:
        """Ends that side at once."""
        sock = self._of(side)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()

    def _of(self, side: str) -> socket.socket:
        return self.client if side == "client" else self.server


@pytest.fixture
async def wired() -> AsyncIterator[Callable[..., Awaitable[Ends]]]:
    """``await wired("fault", …)`` connects a client and a server through a hop."""
    async with AsyncExitStack() as stack:
        loop = asyncio.get_running_loop()

        async def wire(*faults: str, buffer: int | None = None, **options: object) -> Ends:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            listener.setblocking(False)
            if buffer is not None:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            to = f"http://127.0.0.1:{listener.getsockname()[1]}"
            hop = await stack.enter_async_context(Hop(to=to, faults=faults, **options))
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            if buffer is not None:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            async with asyncio.timeout(PATIENCE):
                host, port = hop.address.split(":")
                await loop.sock_connect(client, (host, int(port)))
                server, _ = await loop.sock_accept(listener)
            server.setblocking(False)
            stack.enter_context(server)
            await until(lambda: all(pair.client.transport for pair in hop._pairs.values()))
            return Ends(hop, client, server)

        yield wire
