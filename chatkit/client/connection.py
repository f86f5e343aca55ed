"""One instrumented connection: what ``websockets`` offers for subclassing, with its bytes and its end recorded.

Chunks go to the recorder at the asyncio callbacks; frames are read from them by ``wire``, off the hot path.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed
from websockets.protocol import OPEN

from chatkit.client import tcpinfo
from chatkit.events import TcpInfoSampled
from chatkit.recorder import WireTap


class _RecordingTransport:
    """The transport as ``websockets`` sees it; remembers what went out and whether we ended it ourselves."""

    __slots__ = ("_tap", "_transport", "ended_by_us")

    def __init__(self, transport: asyncio.Transport, tap: WireTap) -> None:
        self._transport = transport
        self._tap = tap
        self.ended_by_us = False

    def write(self, data: bytes) -> None:
        self._tap.sent(bytes(data))
        self._transport.write(data)

    def write_eof(self) -> None:
        self.ended_by_us = True
        self._transport.write_eof()

    def close(self) -> None:
        self.ended_by_us = True
        self._transport.close()

    def abort(self) -> None:
        self.ended_by_us = True
        self._transport.abort()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _Nobody:
    """Takes messages in place of the queue from which a reader gets them."""

    __slots__ = ()

    def put(self, frame: object) -> None:
        pass

    def close(self) -> None:
        pass


_NOBODY = _Nobody()


class RecordedConnection(ClientConnection):
    """A ``websockets`` connection whose bytes and end are recorded."""

    # With more than thirty attributes in its dictionary an instance would lose the keys that all share (CPython), and
    # take 1.6 KiB more than the library's own.
    __slots__ = ("_cutting", "_made", "_on_end", "_peer_ended", "_recording", "last_received", "tap")

    def __init__(self, *args: Any, tap: WireTap, made: Callable[[asyncio.Transport], None], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tap = tap
        self.last_received = self.loop.time()
        """When bytes last came, by the loop's clock."""
        self._made: Callable[[asyncio.Transport], None] | None = made
        self._peer_ended = False
        self._cutting: asyncio.TimerHandle | None = None
        self._on_end: Callable[[str, str | None], None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if self._made is not None:
            self._made(transport)
        self._made = None  # it holds what the attempt was made of
        self._recording = _RecordingTransport(transport, self.tap)
        super().connection_made(self._recording)  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        self.tap.received(data)
        self.last_received = self.loop.time()
        super().data_received(data)
        if self.close_deadline is not None and self._cutting is None:
            # After close frames, or once we failed the connection, the library waits for the peer's FIN, and without
            # limit while nobody sends: a peer that is gone would hold a reader for ever.
            self._cutting = self.loop.call_at(self.close_deadline, self.transport.abort)

    def eof_received(self) -> None:
        # The first FIN counts: a peer that answers ours did not end the connection.
        self._peer_ended = not self._recording.ended_by_us
        self.sample_tcp()
        super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._cutting is not None:
            self._cutting.cancel()
        how, by = how_ended(exc, self._peer_ended, self._recording.ended_by_us)
        self.tap.ended(how, by, str(exc) if exc is not None else None)
        super().connection_lost(exc)
        if self._on_end is not None:
            self._on_end(how, by)

    def hold(self, on_end: Callable[[str, str | None], None]) -> None:
        """From now on messages are recorded and let go, with no task to read them; :attr:`open` is asked first.

        Args:
            on_end: called once, when the transport has ended: how and by whom (:func:`how_ended`).
        """
        self._on_end = on_end
        # What nobody reads would pile up.
        self.recv_messages = _NOBODY  # type: ignore[assignment]

    @property
    def open(self) -> bool:
        """Whether messages may be sent."""
        return self.protocol.state is OPEN

    def write_now(self, text: str) -> bool:
        """Writes a short message without waiting for anything, for heartbeats; whether it went out.

        It does not where the connection is not open, and within a message that is sent in fragments.
        """
        if not self.open or self.send_in_progress is not None:
            return False
        self.protocol.send_text(text.encode())
        self.send_data()
        return True

    def ping_now(self, payload: bytes = b"") -> bool:
        """Sends an RFC 6455 ping without waiting for anything; whether it went out. The recording shows its pong."""
        if not self.open:
            return False
        self.protocol.send_ping(payload)
        self.send_data()
        return True

    def say_goodbye(self, code: int = 1000) -> None:
        """Sends a close frame without waiting for the answer; nothing where there is a goodbye already."""
        if self.open:
            self.protocol.send_close(code)
            self.send_data()

    def sample_tcp(self) -> None:
        """Records the kernel's view of the connection, where there is one."""
        info = tcpinfo.sample(self.transport.get_extra_info("socket"))
        if info is not None:
            self.tap.record(TcpInfoSampled, **info)

    def abort(self) -> None:
        """Cuts the connection without a close frame."""
        self.transport.abort()


def how_ended(exc: Exception | None, peer_fin: bool, by_us: bool) -> tuple[str, str | None]:
    """How a transport ended and who did it, from what asyncio tells."""
    number = exc.errno if isinstance(exc, OSError) else None
    if isinstance(exc, ConnectionResetError | BrokenPipeError | ConnectionAbortedError):
        return "rst", "server"
    if isinstance(exc, TimeoutError) or number in (errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH):
        return "timeout", None
    if peer_fin:
        return "fin", "server"
    if by_us:
        return "local", "client"
    return ("local", "client") if exc is not None else ("fin", "server")


async def close_quietly(connection: RecordedConnection, code: int = 1000, reason: str = "") -> None:
    """Closes a connection; a peer that does not answer within two seconds is cut off."""
    with contextlib.suppress(Exception):
        await connection.close(code, reason)


async def write_quietly(connection: RecordedConnection, text: str) -> None:
    """Sends a message; on a connection that has ended it does nothing: the reader tells how."""
    with contextlib.suppress(ConnectionClosed):
        await connection.send(text)
