"""What went through a relay over one TCP connection, as events: HTTP/1.1 and the WebSockets that come out of it; pure.

The relay sees the bytes above TLS, from the first one on and without holes; so there is neither TCP nor TLS to read.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from msgspec.structs import force_setattr, replace

from chatkit.events import (
    AttemptFailed,
    AttemptStarted,
    Event,
    Noted,
    OpaqueReceived,
    OpaqueSent,
    TcpConnected,
    TlsEstablished,
    TransportEnded,
)
from chatkit.redact import Redactor
from chatkit.wire.reader import WireReader
from chatkit.wire.talk import Talk

SHOWN = 24
"""Bytes that are shown of what cannot be read."""
_TLS_RECORD = 0x16
_SIDES = ("client", "server")


class Relayed:
    """One TCP connection of a client, and the one to the server that belongs to it.

    Args:
        ids: where the events' ids come from; shared by all that are recorded together.
        redactor: takes secrets out before an event exists.
        number: makes an id for a connection.
        exchange: makes an id for an HTTP exchange.
        purpose: what an HTTP exchange is for, from its method and target.
        target: ``host:port`` of the server.
        secure: whether the client speaks TLS to the relay.
    """

    def __init__(
        self,
        ids: Iterator[int],
        redactor: Redactor,
        *,
        number: Callable[[], str],
        exchange: Callable[[], str],
        purpose: Callable[[str, str], str],
        target: str,
        secure: bool,
    ) -> None:
        self._ids = ids
        self.redactor = redactor
        self.exchange, self.purpose = exchange, purpose
        self._number = number
        self.peer, self.secure = target, secure
        self.id: str | None = None
        """Of the WebSocket, or the attempt at one, that the connection carries now."""
        self.midway = False
        self._talk = Talk(self)
        self._events: list[Event] = []
        self._connected: dict[str, Any] | None = None
        self._tls: dict[str, Any] | None = None
        self._now: tuple[int, float, bytes] = (0, 0.0, b"")
        self._opaque = self._failed = self._over = False
        self.wire: WireReader | None = None
        """What reads the frames, once this is a WebSocket: bytes may go to it and need not come here."""

    # What the relay tells; each returns the events that it makes.

    def sent(self, at: float, data: bytes) -> list[Event]:
        """Bytes from client to server."""
        return self._data(0, at, data)

    def received(self, at: float, data: bytes) -> list[Event]:
        """Bytes from server to client."""
        return self._data(1, at, data)

    def connected(self, at: float, local: str, peer: str, seconds: float, tls: dict[str, Any] | None) -> list[Event]:
        """The relay reached the server; ``tls`` is what was agreed there, but for how long it took."""
        self._connected = {"local": local, "peer": peer, "seconds": seconds}
        self._tls = None if tls is None else tls | {"seconds": seconds}
        return []

    def failed(self, at: float, stage: str, error: str) -> list[Event]:
        """The relay got no further than this with the server, or with the client."""
        if self._over:
            return []
        self._over = True
        if self.id is None and not self._talk.waiting:
            self.begin(at, f"{'tls' if self.secure else 'tcp'}://{self.peer}")
        self.refused(at, stage, error)
        self._talk.finished(TransportEnded(id="", at=at, how="rst", error=self._clean(error)))
        return self._take()

    def noted(self, at: float, text: str) -> list[Event]:
        """What the relay did by itself."""
        self.put([Noted(id="", at=at, connection=self.id, text=self._clean(text))])
        return self._take()

    def ended(self, at: float, how: str, by: str | None, error: str | None = None) -> list[Event]:
        """The first end of the client's connection; after that, an RST of one who had not ended it."""
        if self._over:
            return self.noted(at, f"an RST by the {by} followed") if how == "rst" and self.id is not None else []
        self._over = True
        if self.wire is not None:
            self.wire.ids = itertools.repeat(0)
        end = self._talk.ended(at, how, by)
        if error and isinstance(end, TransportEnded):
            end = replace(end, error=self._clean(error))
        self._talk.finished(end)
        if end is not None and end.connection is not None:
            self.put([end])
        return self._take()

    # What its reading asks for

    @property
    def sink(self) -> Relayed:
        """Where what all conversations share is to be had."""
        return self

    def put(self, events: list[Event]) -> None:
        """Takes events, cleaned."""
        self._events += events

    def reader(self, at: float, url: str, *, first: bool) -> WireReader:
        """A reader for a WebSocket that the client asks for."""
        if self.id is None or not first:
            self.begin(at, url)
        assert self.id is not None
        return WireReader(self.id, itertools.repeat(0), self.redactor)

    def begin(self, at: float, url: str) -> None:
        """The connection matters: tells how it began."""
        self.id, self._failed = self._number(), False
        self.put([AttemptStarted(id="", at=at, connection=self.id, url=self._clean(url))])
        if self._connected is not None:
            self.put([TcpConnected(id="", at=at, connection=self.id, **self._connected)])
        if self._tls is not None:
            self.put([TlsEstablished(id="", at=at, connection=self.id, **self._tls)])

    def refused(self, at: float, stage: str, error: str, status: int | None = None) -> None:
        """The attempt failed; the first step that did counts."""
        if self.id is not None and not self._failed:
            self._failed = True
            error = self._clean(error)
            self.put([AttemptFailed(id="", at=at, connection=self.id, stage=stage, error=error, status=status)])

    def ignore(self) -> None:
        """This is no HTTP: that is what there is to tell of it."""
        side, at, data = self._now
        self._opaque = True
        if self.id is not None:
            return
        self.begin(at, f"{'tls' if self.secure else 'tcp'}://{self.peer}")
        if side:
            what = "the server said what is no HTTP/1.1"
        elif data[:1] == bytes([_TLS_RECORD]):
            what = "the client speaks TLS to a port that does not: use https:// and wss:// with --tls only"
        else:
            what = "the client sent what is no HTTP/1.1"
        # Quoted as a whole, so that a secret is cut out of it and not cut in two.
        shown = repr(self.redactor.prefix(data[:SHOWN]))[1:]
        self.refused(at, "upgrade", f"{what}: {shown}")

    def hidden(self, side: int, at: float, size: int) -> None:
        """It matters perhaps, and cannot be read."""
        if self.id is None:
            self.begin(at, f"{'tls' if self.secure else 'tcp'}://{self.peer}")
        self.opaque(side, at, size)

    def opaque(self, side: int, at: float, size: int) -> None:
        """Bytes that cannot be read."""
        self.put([(OpaqueReceived if side else OpaqueSent)(id="", at=at, connection=self.id, size=size)])

    def warn(self, text: str) -> None:
        """Notes what a reader should know."""
        self.put([Noted(id="", at=self._now[1], connection=self.id, text=text)])

    def tunnelled(self) -> None:
        """A proxy opened a way through: what follows begins anew."""
        self._talk = Talk(self)

    def flip(self) -> None:
        """Who is the client is known here."""

    def lacking(self, side: int, at: float, size: int) -> None:
        """Nothing is missing here."""

    def hide(self, word: str) -> None:
        """Nothing is hidden here."""

    # How

    def _data(self, side: int, at: float, data: bytes) -> list[Event]:
        if not self._opaque:
            self._now = (side, at, data)
            self._talk.data(side, at, data)
        if self._opaque:
            self.opaque(side, at, len(data))
        events = self._take()
        if self._talk.wire is not None:
            self.wire = self._talk.wire
            self.wire.ids = self._ids
        return events

    def _take(self) -> list[Event]:
        events, self._events = self._events, []
        ids = self._ids
        for event in events:
            # Nobody else has them yet. Numbers are given here, because some events are made before others and told
            # after them.
            force_setattr(event, "id", str(next(ids)))
        return events

    def _clean(self, text: str) -> str:
        return self.redactor.text(text)
