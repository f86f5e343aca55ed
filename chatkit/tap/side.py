"""One TCP connection of a relay, as its owner sees it."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from typing import Any, Protocol, cast

from chatkit.faults.moments import How
from chatkit.faults.path_moments import Direction

READ_SIZE = 65_536
"""Bytes that are read at a time."""


class Owner(Protocol):
    """Who is told what happens at a side."""

    def came(self, side: Side, data: bytes) -> None:
        """Bytes came."""

    def finished(self, side: Side) -> None:
        """A FIN came."""

    def lost(self, side: Side, error: Exception | None) -> None:
        """The connection is no more."""

    def reset(self, side: Side) -> None:
        """An RST came that reading did not notice."""

    def full(self, side: Side) -> None:
        """What was written waits for the peer to read."""

    def drained(self, side: Side) -> None:
        """It waits no more."""


class Side(asyncio.Protocol):
    """A connection whose reading several may hold up at a time.

    Args:
        owner: who is told.
        direction: of what comes from this side, seen from the client.
    """

    def __init__(self, owner: Owner, direction: Direction) -> None:
        self.direction = direction
        self.transport: asyncio.Transport | None = None
        self.ended = False
        """Whether its FIN came."""
        self.gone = False
        """Whether the connection is no more."""
        self._owner = owner
        self._holders: set[str] = set()

    @property
    def sock(self) -> Any:
        """Its socket."""
        assert self.transport is not None
        return self.transport.get_extra_info("socket")

    @property
    def deaf(self) -> bool:
        """Whether nothing is read, so that an RST would not be noticed by reading."""
        return self.ended or bool(self._holders)

    def hold(self, why: str) -> None:
        """Reads no more until everybody who held it lets it go."""
        self._holders.add(why)
        if self.transport is not None and not self.gone:
            self.transport.pause_reading()

    def release(self, why: str) -> None:
        """Undoes :meth:`hold` of the same word; without one it does nothing."""
        self._holders.discard(why)
        if not self._holders and self.transport is not None and not self.ended and not self.gone:
            self.transport.resume_reading()

    def write(self, data: bytes) -> None:
        """Sends, as far as there is somebody to send to."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def finish(self) -> None:
        """Sends FIN behind what was written; in TLS, where no half can be closed, both halves end."""
        if self.transport is None or self.transport.is_closing():
            return
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def close(self) -> None:
        """Ends it in order, behind what was written."""
        if self.transport is not None:
            self.transport.close()

    def end(self, how: How) -> None:
        """Ends it at once."""
        if self.transport is not None:
            end_transport(self.transport, how)

    def was_reset(self) -> None:
        """Its owner is to know of an RST."""
        self._owner.reset(self)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        if hasattr(transport, "max_size"):
            # asyncio's own 256 KiB are a freshly mapped block for each read, which halves the throughput of a relay.
            transport.max_size = READ_SIZE
        if self._holders:
            self.transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        self._owner.came(self, data)

    def eof_received(self) -> bool:
        self.ended = True
        self._owner.finished(self)
        assert self.transport is not None
        return self.transport.can_write_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True
        self._owner.lost(self, exc)

    def pause_writing(self) -> None:
        self._owner.full(self)

    def resume_writing(self) -> None:
        self._owner.drained(self)


def end_transport(transport: asyncio.Transport, how: How) -> None:
    """Ends a TCP connection at once, unsent data included.

    With ``rst`` a zero linger time makes the kernel send RST. With ``fin`` the FIN is sent first: otherwise
    unread input would turn the end into an RST (RFC 2525, section 2.17).
    """
    sock = transport.get_extra_info("socket")
    with suppress(OSError):
        if how == "rst":
            reset_at_close(sock)
        else:
            sock.shutdown(socket.SHUT_WR)
    transport.abort()


def reset_at_close(sock: Any) -> None:
    """Lets the end of a socket be an RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
