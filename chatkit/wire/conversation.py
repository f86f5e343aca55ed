"""What one TCP connection carried, as events: HTTP/1.1 with WebSockets in it, in clear or in TLS; pure.

A :class:`Conversation` listens to a :class:`chatkit.wire.tcp.Tcp` and tells a :class:`Sink`. Connections that carry
nothing of interest are let go as early as that is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import msgspec

from chatkit.events import (
    AttemptFailed,
    AttemptStarted,
    BytesMissing,
    Event,
    OpaqueReceived,
    OpaqueSent,
    Retransmitted,
    TcpConnected,
    TlsEstablished,
    TransportEnded,
)
from chatkit.wire.reader import WireReader
from chatkit.wire.talk import Shared, Talk
from chatkit.wire.tcp import Tcp
from chatkit.wire.tls import KeyLog, Tls, is_tls

_MOST_EARLY = 20
"""Retransmissions that are held until it is known whether the connection matters."""
SIDES = ("client", "server")


class Sink(Shared, Protocol):
    """Where the events of all conversations of a capture go, and what they share."""

    ids: Iterator[int]
    keys: KeyLog | None

    def put(self, events: list[Event]) -> None:
        """Takes events, cleaned."""

    def number(self, port: int) -> str:
        """An id for a connection that matters, to a server's port."""

    def failed(self, conversation: Conversation, at: float, error: str) -> None:
        """An attempt that brought no TCP connection; whether it matters is not known here."""


class Conversation:
    """One TCP connection.

    Args:
        sink: where events go.
        ends: address and port of side 0 and of side 1.
        ports: their ports.
    """

    __slots__ = (
        "_connected", "_early", "_end", "_flipped", "_names", "_ports", "_stage", "_tls_event", "id", "secure", "sink",
        "tcp",
    )  # fmt: skip

    def __init__(self, sink: Sink, ends: tuple[str, str], ports: tuple[int, int]) -> None:
        self.sink = sink
        self.tcp = Tcp(self)
        self.id: str | None = None
        """Once it matters."""
        self.secure = False
        self._names, self._ports = ends, ports
        self._flipped = 0
        self._stage: Talk | Tls | None = None
        self._connected: tuple[float, float] | None = None
        self._early: list[dict[str, Any]] = []
        self._tls_event: TlsEstablished | None = None
        self._end: Event | None = None

    # What the capture asks

    @property
    def peer(self) -> str:
        """The server's address and port."""
        return self._names[1 - self._flipped]

    @property
    def port(self) -> int:
        """The server's."""
        return self._ports[1 - self._flipped]

    # What TCP tells

    def connected(self, at: float, seconds: float) -> None:
        self._connected = (at, seconds)

    def failed(self, at: float, error: str) -> None:
        self.sink.failed(self, at, error)

    def data(self, side: int, at: float, data: bytes) -> None:
        stage = self._stage
        if stage is None:
            stage = self._choose(side, data)
            if stage is None:
                self.ignore()
                return
        stage.data(side ^ self._flipped, at, data)

    def missing(self, side: int, at: float, size: int) -> None:
        if self._stage is not None:
            self._stage.missing(side ^ self._flipped, at, size)

    def again(self, side: int, at: float, times: int, seconds: float, acknowledged: bool) -> None:
        fact: dict[str, Any] = {
            "at": at,
            "by": SIDES[side ^ self._flipped],
            "times": times,
            "seconds": round(seconds, 6),
            "acknowledged": acknowledged,
        }
        if self.id is not None:
            self.sink.put([Retransmitted(id="", connection=self.id, **fact)])
        elif len(self._early) < _MOST_EARLY:
            self._early.append(fact)

    def ended(self, side: int, at: float, how: str) -> None:
        by = SIDES[side ^ self._flipped]
        if self._end is not None:
            if how == "rst" and isinstance(self._end, TransportEnded) and self._end.error is None:
                later = f"an RST by the {by} followed {at - self._end.at:.3f} s later"
                self._end = msgspec.structs.replace(self._end, error=later)
            return
        if self._stage is not None:
            self._end = self._stage.ended(at, how, by)

    def finished(self) -> None:
        end, self._end = self._end, None
        if self._stage is not None:
            self._stage.finished(end)
        if end is not None and end.connection is not None:
            self.sink.put([end])
        self._stage = None

    # What its stages ask

    @property
    def midway(self) -> bool:
        """Whether the evidence begins after the connection did."""
        return not self.tcp.asked

    def ignore(self) -> None:
        """Nothing of it matters."""
        self._stage = None
        self.tcp.ignore()

    def flip(self) -> None:
        """The client is the other side than was thought."""
        self._flipped ^= 1

    def put(self, events: list[Event]) -> None:
        if events:
            self.sink.put(events)

    def begin(self, at: float, url: str, *, first: bool = True) -> str:
        """The connection matters: tells how it began, ``at`` the latest.

        Args:
            at: when that became known.
            url: what the client wants.
            first: whether nothing else went over this TCP connection before.
        """
        sink = self.sink
        self.id = id = sink.number(self.port)
        started = self.tcp.syn_at if first and self.tcp.asked else at
        events: list[Event] = []
        if not self.midway:
            events.append(AttemptStarted(id="", at=started, connection=id, url=sink.redactor.text(url)))
        if first and self._connected is not None:
            when, seconds = self._connected
            client = self._names[self._flipped]
            took = round(seconds, 6)
            events.append(TcpConnected(id="", at=when, connection=id, local=client, peer=self.peer, seconds=took))
        if first and self._tls_event is not None:
            events.append(msgspec.structs.replace(self._tls_event, connection=id))
        if first:
            events += [Retransmitted(id="", connection=id, **fact) for fact in self._early]
        self._early = []
        sink.put(events)
        return id

    def reader(self, at: float, url: str, *, first: bool) -> WireReader:
        """A reader for a WebSocket that the client asks for."""
        if self.id is None or not first:
            self.begin(at, url, first=first)
        assert self.id is not None
        return WireReader(self.id, self.sink.ids, self.sink.redactor)

    def established(self, event: TlsEstablished) -> None:
        """TLS is up."""
        if self.id is None:
            self._tls_event = event
        else:
            self.put([msgspec.structs.replace(event, connection=self.id)])

    def tunnelled(self) -> None:
        """A proxy opened a way through: what follows begins anew."""
        self._stage = None

    def hidden(self, side: int, at: float, size: int) -> None:
        """It matters perhaps, and cannot be read from its first bytes on."""
        if self.id is None:
            self.begin(at, f"{'tls' if self.secure else 'tcp'}://{self.peer}")
        self.opaque(side, at, size)

    def opaque(self, side: int, at: float, size: int) -> None:
        """Bytes that cannot be read."""
        assert self.id is not None
        self.put([(OpaqueReceived if side else OpaqueSent)(id="", at=at, connection=self.id, size=size)])

    def lacking(self, side: int, at: float, size: int) -> None:
        """Bytes that the evidence lacks, where no reader of frames tells it."""
        if self.id is not None:
            self.put([BytesMissing(id="", at=at, connection=self.id, by=SIDES[side], size=size)])

    def refused(self, at: float, stage: str, error: str, status: int | None = None) -> None:
        """The attempt failed above TCP."""
        self.put([AttemptFailed(id="", at=at, connection=self.id, stage=stage, error=error, status=status)])

    def _choose(self, side: int, data: bytes) -> Talk | Tls | None:
        if is_tls(data):
            if self.midway and data[5:6] in (b"\x01", b"\x02") and data[0] == 22 and (data[5] == 2) != side:
                self.flip()
            self.secure = True
            self._stage = Tls(self)
        elif self.midway or side == 0:
            self._stage = Talk(self)
        return self._stage
