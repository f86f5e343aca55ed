"""uvicorn's WebSocket protocol with hands: it sees every frame at the socket and can end badly on purpose.

ASGI shows an application no ping frames and offers no way to end a connection without a close frame; both
live here. A plan's view of the connection (``Line.faults``) reaches the endpoint through the ASGI scope.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, cast

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.utils import accept_key

from chatkit.faults.moments import (
    Abort,
    BlackHole,
    CloseWith,
    Crash,
    Drop,
    FrameKind,
    How,
    Inject,
    Malform,
    Received,
    Sent,
    Spoil,
)
from chatkit.lab.runner import Deed, FaultRunner
from chatkit.lab.witness import Witness
from chatkit.tap.hole import HeldTransport, Hole
from chatkit.tap.side import end_transport

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent
    from websockets.frames import Frame
    from websockets.http11 import Request

    from chatkit.lab.backend import Backend

_TYPE_LIMIT = 65_536
"""Longer messages are not parsed for their type: no rule waits for a type in a large message."""
_CLOSE_TIMEOUT = 2.0
"""Seconds that the peer has to answer our close frame."""
_SMALL_BUFFER = 16_384
"""Bytes for the kernel to hold where a fault limits what may wait; Linux doubles it (socket(7))."""

_log = logging.getLogger("chatkit.lab.wire")


class _Redact(logging.Filter):
    """uvicorn and websockets log the path with its query, and the query holds the token."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = re.sub(r"(token=)[^&\s'\"]+", r"\1***", record.getMessage())
        record.args = ()
        return True


_log.addFilter(_Redact())


class Line(Protocol):
    """What an endpoint may know of its connection."""

    faults: FaultRunner

    def drop(self) -> None:
        """Ends the connection without a close frame."""

    def spoil(self, what: Spoil) -> None:
        """Makes a header of the 101 wrong; call it before the upgrade is accepted."""


def line_of(scope: Mapping[str, Any]) -> Line:
    """The connection behind an ASGI scope of the lab."""
    line: Line = scope["state"]["line"]
    return line


class LabProtocol(WebSocketsSansIOProtocol):
    """One WebSocket connection of the lab."""

    def __init__(self, backend: Backend, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.backend = backend
        self.faults = backend.connection_faults(self.perform)
        self.close_timeout = _CLOSE_TIMEOUT
        self.logger = _log
        self.conn.logger, self.conn.debug = _log, False
        self._hole: Hole | None = None
        self._healing: asyncio.TimerHandle | None = None
        self._passable = asyncio.Event()
        self._passable.set()
        self._witness: Witness | None = None
        self._cut: How | None = None
        backend.counters.attempts += 1

    # What is seen

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self.backend.recorder is not None:
            self._witness = Witness(cast("asyncio.Transport", transport), self.backend.recorder.wire())
            transport = cast("asyncio.BaseTransport", self._witness.transport)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._witness is not None:
            self._witness.heard(data)
        super().data_received(data)

    def eof_received(self) -> None:
        if self._witness is not None:
            self._witness.eof()
        super().eof_received()

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):
            # The application's task was created, but cannot have run yet.
            self.scope["state"]["line"] = self
            self._keep_little()

    def handle_ping(self) -> None:
        self.backend.counters.protocol_pings += 1
        if Drop() in self.faults.tell(Received(kind="protocol-ping")):
            # The library has queued the pong already (RFC 6455, section 5.5.2): take it and throw it away.
            self.conn.data_to_send()
            return
        super().handle_ping()
        self.faults.tell(Sent(kind="protocol-pong"))

    def handle_pong(self, event: Frame) -> None:
        self.faults.tell(Received(kind="protocol-pong"))
        super().handle_pong(event)

    def handle_close(self, event: Frame) -> None:
        self.faults.tell(Received(kind="close"))
        super().handle_close(event)

    def send_receive_event_to_app(self) -> None:
        self.backend.counters.messages += 1
        type = _type_of(self.frames) if self.curr_msg_data_type == "text" else None
        self.backend.counters.app_pings += type == "ping"
        kind: FrameKind = "app-ping" if type == "ping" else "data"
        size = sum(map(len, self.frames))
        if Drop() in self.faults.tell(Received(kind=kind, type=type, size=size)):
            self.frames = []
            return
        super().send_receive_event_to_app()

    def send_keepalive_ping(self) -> None:
        super().send_keepalive_ping()
        self.faults.tell(Sent(kind="protocol-ping"))

    async def send(self, message: ASGISendEvent) -> None:
        await self._passable.wait()
        if self.handshake_complete and (self.close_sent or self.transport.is_closing()):
            # A fault ended the connection behind the application's back: for it the client is gone.
            raise ClientDisconnected
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and self.close_sent:
            # uvicorn forgets it, and would log an error for every refusal.
            self.handshake_complete = True
        if message["type"] == "websocket.send":
            self.faults.tell(Sent(kind="data", buffered=self.transport.get_write_buffer_size()))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._witness is not None:
            self._witness.lost(exc, self._cut)
        self.faults.close()
        self._passable.set()
        super().connection_lost(exc)

    def _keep_little(self) -> None:
        limit = self.backend.plan.buffer_limit
        if limit is not None:
            # Otherwise the application would wait at 64 KiB and the kernel take megabytes: the limit would never show.
            self.transport.set_write_buffer_limits(high=4 * limit)
            with suppress(OSError):
                self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SMALL_BUFFER)

    # What is done

    def perform(self, deed: Deed) -> None:
        """Carries out what a plan decided."""
        match deed:
            case Abort(how=how):
                self.abort(how)
            case CloseWith(code=code, reason=reason):
                self.close_with(code, reason)
            case Inject():
                self.inject(deed.text())
            case Malform():
                self.malform(deed.frame())
            case BlackHole(seconds=seconds):
                self.fall_silent(seconds)
            case Crash():
                self.backend.perform(deed)

    def drop(self) -> None:
        """Ends the connection without a close frame, by RST."""
        self.abort("rst")

    def abort(self, how: How) -> None:
        """Ends the TCP connection without a close frame; after the end it does nothing."""
        if not self.transport.is_closing():
            self.backend.counters.aborted += 1
            self._cut = how
            abort_transport(self.transport, how)

    def close_with(self, code: int, reason: str) -> None:
        """Starts the closing handshake; after the end it does nothing."""
        if self.close_sent or self.transport.is_closing():
            return
        with suppress(InvalidState):
            self.conn.send_close(code, reason)
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
            if self.read_paused:
                self.read_paused = False
                self.transport.resume_reading()
            self.close_timer = self.loop.call_later(self.close_timeout, self.transport.close)

    def inject(self, text: str) -> None:
        """Sends a text message of which the application knows nothing."""
        if self.close_sent or self.transport.is_closing():
            return
        with suppress(InvalidState):
            self.conn.send_text(text.encode())
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.faults.tell(Sent(kind="data"))

    def malform(self, frame: bytes) -> None:
        """Sends bytes past the library, which would refuse to; after the end it does nothing."""
        if self.handshake_complete and not self.close_sent and not self.transport.is_closing():
            self.transport.write(frame)

    def spoil(self, what: Spoil) -> None:
        """Makes a header of the 101 wrong; call it before the upgrade is accepted."""
        match what.header:
            case "accept":
                del self.response.headers["Sec-WebSocket-Accept"]
                self.response.headers["Sec-WebSocket-Accept"] = accept_key("bm90IHRoZSBrZXkgc2VudA==")
            case "upgrade":
                del self.response.headers["Upgrade"]
            case "extension":
                self.response.headers["Sec-WebSocket-Extensions"] = "x-chatkit-lab"

    def fall_silent(self, seconds: float) -> None:
        """Puts the connection into a black hole for that time, 0 for ever; in one already it does nothing."""
        if self._hole is not None or self.transport.is_closing():
            return
        self._hole = Hole(self.transport.get_extra_info("socket"))
        self.backend.holes.add(self)
        self.transport = cast("asyncio.Transport", HeldTransport(self.transport))
        self._passable.clear()
        if seconds > 0:
            self._healing = self.loop.call_later(seconds, self.heal)

    def heal(self) -> None:
        """Ends the black hole: what was held back goes out, an end that was hidden shows; twice is fine."""
        if self._hole is None:
            return
        if self._healing is not None:
            self._healing.cancel()
        self._hole.close()
        self._hole = None
        self.backend.holes.discard(self)
        self.transport = cast("HeldTransport", self.transport).release()
        self._passable.set()

    def shutdown(self) -> None:
        """Orderly end with the server: close 1012."""
        if not self.transport.is_closing():
            super().shutdown()


def abort_transport(transport: asyncio.Transport, how: How) -> None:
    """As :func:`chatkit.tap.side.end_transport`; in a black hole neither FIN nor RST is sent."""
    if isinstance(transport, HeldTransport):
        transport.abort()
    else:
        end_transport(transport, how)


def _type_of(frames: list[bytes]) -> str | None:
    if sum(map(len, frames)) > _TYPE_LIMIT:
        return None
    try:
        found = json.loads(b"".join(frames))["type"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return found if isinstance(found, str) else None
