"""What a trace cost on the wire: bytes per connection, direction and message type; HTTP beside it; pure.

*Payload* is what the application said (after decompression), *wire* is what the frames took (RFC 6455, section 5.2:
compressed payload, frame head, mask). TCP, TLS and the opening handshake are not counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from msgspec import Struct

from chatkit import display, table
from chatkit.deflate import Compression
from chatkit.events import (
    KIND_CODE,
    CloseReceived,
    CloseSent,
    Event,
    FrameReceived,
    FrameSent,
    HttpAnswered,
    Opened,
    PingReceived,
    PingSent,
    PongReceived,
    PongSent,
    UpgradeRequested,
    completes,
    message_type,
)
from chatkit.plain import one_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chatkit.trace import Trace

SIZES = "frame sizes"
EXTENSIONS = "extensions"
"""What an origin writes into ``Header.not_visible`` when it shows no sizes on the wire, or no negotiation."""

SENT, RECEIVED = "sent", "received"
BINARY, UNTYPED, CUT = "(binary)", "(no type)", "(unfinished)"
"""Types of messages without a type of their own; the last one is of fragments whose message never completed."""
MOST = 200
"""Lines of a table that are shown; the rest is counted."""

_DATA = (FrameSent, FrameReceived)
_CONTROL: dict[type[Event], str] = {
    PingSent: "ping (RFC 6455)",
    PingReceived: "ping (RFC 6455)",
    PongSent: "pong (RFC 6455)",
    PongReceived: "pong (RFC 6455)",
    CloseSent: "close (RFC 6455)",
    CloseReceived: "close (RFC 6455)",
}
_OURS = (FrameSent, PingSent, PongSent, CloseSent)
# Quotation marks inside a text are escaped: this can only be the key itself.
_LENGTH = re.compile(rb',"length":(\d{1,15})[,}]')


class Total(Struct, frozen=True, kw_only=True):
    """A sum over frames."""

    messages: int = 0
    """Complete data messages, or control frames."""
    frames: int = 0
    payload: int = 0
    """Bytes after decompression."""
    wire: int | None = 0
    """Bytes of the frames; ``None`` where the origin shows no sizes on the wire."""

    @property
    def ratio(self) -> float | None:
        """Wire ÷ payload; ``None`` without a payload, or where the wire is not visible."""
        return self.wire / self.payload if self.payload and self.wire is not None else None


class Row(Total, frozen=True, kw_only=True):
    """The frames of one connection, direction and type."""

    connection: str | None
    direction: str
    """``sent`` or ``received``."""
    type: str
    """The message's ``type``; ``ping (RFC 6455)`` and the like for control frames; else ``(binary)``, ``(no type)``
    or ``(unfinished)``."""


class Exchanges(Struct, frozen=True, kw_only=True):
    """HTTP exchanges of one purpose."""

    purpose: str
    exchanges: int
    """Answered ones."""
    sent: int
    """Bytes of heads and bodies; of the exchanges whose bytes were counted."""
    received: int
    uncounted: int = 0
    """Exchanges whose bytes the recording does not hold."""


class ConnectionTraffic(Struct, frozen=True, kw_only=True):
    """One connection's compression and sums."""

    id: str | None
    compression: Compression
    sent: Total
    received: Total


class Traffic(table.Tabular):
    """Bytes of a trace. ``print`` it, show it in a notebook, or take :attr:`rows` and :attr:`http`.

    Args:
        seconds: from the first event to the last.
        compression: by connection.
        rows: by connection, direction and message type.
        http: by purpose.
    """

    def __init__(
        self,
        seconds: float,
        compression: Mapping[str | None, Compression],
        rows: Sequence[Row],
        http: Sequence[Exchanges],
    ) -> None:
        self.seconds = seconds
        self.rows = tuple(rows)
        self.http = tuple(http)
        sides: dict[tuple[str | None, str], list[Row]] = {}
        for row in rows:
            sides.setdefault((row.connection, row.direction), []).append(row)
        self.connections = tuple(
            ConnectionTraffic(
                id=id,
                compression=agreed,
                sent=_sum(sides.get((id, SENT), ())),
                received=_sum(sides.get((id, RECEIVED), ())),
            )
            for id, agreed in compression.items()
        )

    def total(self, *, connection: str | None = None, direction: str | None = None, type: str | None = None) -> Total:
        """The sum over the rows that fit all of what is given; HTTP is not in it."""
        return _sum(
            row
            for row in self.rows
            if connection in (None, row.connection) and direction in (None, row.direction) and type in (None, row.type)
        )

    def to_pandas(self) -> Any:
        """A ``pandas.DataFrame`` of the rows: connection, direction, type, messages, frames, payload, wire, ratio.

        Raises:
            MissingDependency: pandas is not installed.
        """
        return table.to_pandas("a table of traffic", self._table())

    def to_arrow(self) -> Any:
        """A ``pyarrow.Table`` with the columns of :meth:`to_pandas`.

        Raises:
            MissingDependency: pyarrow is not installed.
        """
        return table.to_arrow("an Arrow table of traffic", self._table())

    def _table(self) -> dict[str, list[Any]]:
        names = ("connection", "direction", "type", "messages", "frames", "payload", "wire", "ratio")
        return {name: [getattr(row, name) for row in self.rows] for name in names}

    def _repr_html_(self) -> str | None:
        render = display.find("traffic", "html")
        return None if render is None else render(self)

    def __str__(self) -> str:
        parts = [f"connection {one_line(c.id or 'unknown', 40)}: {c.compression}" for c in self.connections[:MOST]]
        parts += table.aligned(ROW_HEAD, [row_cells(row) for row in self.rows[:MOST]], left=3)
        if len(self.rows) > MOST:
            parts.append(f"and {len(self.rows) - MOST:,} more")
        parts.append(f"in frames: {describe(self.total())}")
        if self.http:
            parts += table.aligned(HTTP_HEAD, [http_cells(one) for one in self.http[:MOST]], left=1)
        return "\n".join(parts)

    __repr__ = __str__


ROW_HEAD = ("connection", "direction", "type", "messages", "payload (bytes)", "wire (bytes)", "wire ÷ payload")
HTTP_HEAD = ("HTTP", "exchanges", "sent (bytes)", "received (bytes)")
HIDDEN = "not visible"


def row_cells(row: Row) -> tuple[str, ...]:
    """A row's cells under :data:`ROW_HEAD`, on one line each, harmless to a terminal and not yet safe for HTML."""
    names = (one_line(row.connection or "", 40), row.direction, one_line(row.type, 64))
    return (*names, f"{row.messages:,}", f"{row.payload:,}", _bytes(row.wire), _ratio(row))


def http_cells(one: Exchanges) -> tuple[str, ...]:
    """A purpose's cells under :data:`HTTP_HEAD`."""
    more = f" ({one.uncounted:,} not counted)" if one.uncounted else ""
    return one_line(one.purpose, 64), f"{one.exchanges:,}{more}", f"{one.sent:,}", f"{one.received:,}"


def describe(total: Total) -> str:
    """A sum in words."""
    if total.wire is None:
        return f"{total.payload:,} bytes of payload, {HIDDEN} on the wire"
    ratio = f", wire ÷ payload {_ratio(total)}" if total.ratio is not None else ""
    return f"{total.payload:,} bytes of payload as {total.wire:,} bytes on the wire{ratio}"


def measure(trace: Trace) -> Traffic:
    """What a trace cost on the wire; seconds for a million frames."""
    names: dict[str, int] = {}
    frames = _join(trace, _read_data(trace, names), _read_control(trace, names))
    rows = _rows(trace, frames, list(names))
    return Traffic(trace.duration, _compression(trace, rows), rows, _http(trace))


class _Frames(NamedTuple):
    """One entry per frame."""

    place: NDArray[np.int64]
    """Position in the trace."""
    type: NDArray[np.int64]
    """Number of the type's name."""
    size: NDArray[np.int64]
    """Bytes behind the frame's head."""
    payload: NDArray[np.int64]
    """Bytes that the frame adds to the application's payload: a message's all stand on the frame that completes it."""
    whole: NDArray[np.bool_]
    """Whether it completes a message."""


def _of(trace: Trace, kinds: Iterable[type[Event]]) -> NDArray[np.int64]:
    return np.flatnonzero(np.isin(trace.kind, [KIND_CODE[kind] for kind in kinds]))


def _read_data(trace: Trace, names: dict[str, int]) -> _Frames:
    place = _of(trace, _DATA)
    size = np.maximum(trace.size[place], 0)
    rows = [trace.rows[i] for i in place.tolist()]
    payload = [_payload(row, plain) for row, plain in zip(rows, size.tolist(), strict=True)]
    whole = np.array([completes(row) for row in rows], np.bool_)
    type_ = [names.setdefault(message_type(row) or _untyped(row), len(names)) for row in rows]
    return _Frames(place, np.array(type_, np.int64), size, np.array(payload, np.int64), whole)


def _payload(row: bytes, size: int) -> int:
    found = _LENGTH.search(row)
    return int(found.group(1)) if found else size


def _untyped(row: bytes) -> str:
    return CUT if not completes(row) else BINARY if b',"opcode":"binary"' in row else UNTYPED


def _read_control(trace: Trace, names: dict[str, int]) -> _Frames:
    place = _of(trace, _CONTROL)
    events = [trace[i] for i in place.tolist()]
    size = np.array([_control_size(event) for event in events], np.int64)
    type_ = np.array([names.setdefault(_CONTROL[type(event)], len(names)) for event in events], np.int64)
    return _Frames(place, type_, size, size, np.ones(len(place), np.bool_))


def _control_size(event: Event) -> int:
    if isinstance(event, CloseSent | CloseReceived):
        return 0 if event.code is None else 2 + len(event.reason.encode("utf-8", "replace"))
    assert isinstance(event, PingSent | PingReceived | PongSent | PongReceived)
    return len(event.payload) // 2


def _join(trace: Trace, data: _Frames, control: _Frames) -> _Frames:
    """Fragments get the type of their message, which stands on its last frame only."""
    if not data.whole.all():
        stream = trace.connection_code[data.place] * len(_DATA) + (trace.kind[data.place] == KIND_CODE[FrameSent])
        coming: dict[int, int] = {}
        for n, key in reversed(list(enumerate(stream.tolist()))):
            if data.whole[n]:
                coming[key] = int(data.type[n])
            elif key in coming:
                data.type[n], data.payload[n] = coming[key], 0
    return _Frames(*(np.concatenate(pair) for pair in zip(data, control, strict=True)))


def _rows(trace: Trace, frames: _Frames, names: list[str]) -> list[Row]:
    ours = np.isin(trace.kind[frames.place], [KIND_CODE[kind] for kind in _OURS])
    code = trace.connection_code[frames.place].astype(np.int64)
    keys, group = np.unique((2 * code + ~ours) * len(names) + frames.type, return_inverse=True)
    columns = (frames.whole, np.ones(len(group)), frames.payload, frames.size + head_bytes(frames.size, ours))
    sums = [np.bincount(group, column, len(keys)).astype(np.int64).tolist() for column in columns]
    seen = SIZES not in trace.not_visible
    rows = [
        Row(
            connection=trace.names[key // len(names) // 2] if key >= 0 else None,
            direction=RECEIVED if key // len(names) % 2 else SENT,
            type=names[key % len(names)],
            messages=messages,
            frames=count,
            payload=payload,
            wire=wire if seen else None,
        )
        for key, messages, count, payload, wire in zip(keys.tolist(), *sums, strict=True)
    ]
    order = {name: n for n, name in enumerate(trace.names)}
    return sorted(rows, key=lambda r: (order.get(r.connection or "", -1), r.direction == RECEIVED, -r.payload, r.type))


def head_bytes(size: NDArray[np.int64], masked: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Bytes of frame heads (RFC 6455, section 5.2): 2, 4 or 10 by payload size, and 4 more for a mask."""
    heads: NDArray[np.int64] = 2 + 2 * (size > 125) + 6 * (size > 65535) + 4 * masked
    return heads


def _compression(trace: Trace, rows: Iterable[Row]) -> dict[str | None, Compression]:
    """Of every connection that opened or has frames, in the order of the trace."""
    hidden = Compression(negotiated=None)
    offers: dict[str | None, str] = {}
    found: dict[str | None, Compression] = {}
    for i in _of(trace, (UpgradeRequested, Opened)).tolist():
        event = trace[i]
        if isinstance(event, UpgradeRequested):
            fields = [value for name, value in event.headers if name.lower() == "sec-websocket-extensions"]
            offers[event.connection] = ", ".join(fields)
        elif isinstance(event, Opened):
            unseen = EXTENSIONS in trace.not_visible and event.extensions is None
            offer = offers.get(event.connection)
            found[event.connection] = hidden if unseen else Compression.parse(event.extensions, offer)
    return found | {row.connection: hidden for row in rows if row.connection not in found}


def _http(trace: Trace) -> list[Exchanges]:
    groups: dict[str, list[HttpAnswered]] = {}
    for i in _of(trace, (HttpAnswered,)).tolist():
        event = trace[i]
        assert isinstance(event, HttpAnswered)
        groups.setdefault(event.purpose, []).append(event)
    return [
        Exchanges(
            purpose=purpose,
            exchanges=len(answers),
            sent=sum(answer.sent or 0 for answer in answers),
            received=sum(answer.received or 0 for answer in answers),
            uncounted=sum(answer.sent is None or answer.received is None for answer in answers),
        )
        for purpose, answers in groups.items()
    ]


def _sum(rows: Iterable[Total]) -> Total:
    messages = frames = payload = 0
    wire: int | None = 0
    for row in rows:
        messages, frames, payload = messages + row.messages, frames + row.frames, payload + row.payload
        wire = add(wire, row.wire)
    return Total(messages=messages, frames=frames, payload=payload, wire=wire)


def add(one: int | None, other: int | None) -> int | None:
    """What is not visible makes the sum invisible."""
    return None if one is None or other is None else one + other


def _bytes(number: int | None) -> str:
    return HIDDEN if number is None else f"{number:,}"


def _ratio(total: Total) -> str:
    return "" if total.ratio is None else f"{total.ratio:.2f}"
