"""A TCP hop on loopback between clients and server that can refuse, reset, end and stall."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Self

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: close() sends RST."""


class Hop:
    """Forwards bytes both ways to a port of this machine.

    Args:
        target: that port.

    ``async with`` listens, on :attr:`port`, until the end of the block.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self.port = 0
        self.accepted = 0
        """TCP connections so far."""
        self._server: asyncio.Server | None = None
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._flows = asyncio.Event()
        self._flows.set()

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._deafen()
        self._flows.set()
        self.reset()
        await asyncio.sleep(0.05)

    async def refuse(self, seconds: float) -> None:
        """Resets everything and refuses connections for so long."""
        self._deafen()
        self.reset()
        try:
            await asyncio.sleep(seconds)
        finally:
            await self._listen()

    async def stall(self, seconds: float, *, lose: bool = False) -> None:
        """Holds all bytes for so long; then they arrive, or are lost with their connections."""
        self._flows.clear()
        try:
            await asyncio.sleep(seconds)
        finally:
            if lose:
                self.reset()
            self._flows.set()

    def reset(self) -> None:
        """Ends every connection with RST, both sides."""
        for pair in list(self._pairs):
            for writer in pair:
                with contextlib.suppress(OSError):
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                writer.transport.abort()

    def fin(self) -> None:
        """Ends every connection with FIN, both sides."""
        for pair in list(self._pairs):
            for writer in pair:
                writer.close()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]

    def _deafen(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            back, forth = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        pair = (writer, forth)
        self._pairs.add(pair)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, forth))
                group.create_task(self._pump(back, writer))
        finally:
            self._pairs.discard(pair)
            for end in pair:
                end.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                await self._flows.wait()
                writer.write(data)
                await writer.drain()
        writer.close()
