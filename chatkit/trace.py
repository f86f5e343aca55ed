"""A trace: an ordered, immutable collection of events with its origin, its clock and what the origin cannot see.

Columns from the start: times, kinds, connections and sizes are numpy arrays, and each event itself is one encoded
row (the same bytes as its line in a file) that becomes an object when somebody asks. A million events are 13 MB of
columns and their rows, not a million objects.
"""

from __future__ import annotations

import itertools
import re
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Union

import msgspec
import numpy as np
from msgspec import Struct, field

from chatkit import display
from chatkit.clock import iso_utc
from chatkit.ending import Connection, summarise, summarise_one
from chatkit.errors import InvalidInput, MissingDependency
from chatkit.events import (
    KIND_BY_NAME,
    KIND_CODE,
    KINDS,
    SCHEMA,
    AttemptFailed,
    AttemptStarted,
    CloseReceived,
    CloseSent,
    Established,
    Event,
    FrameReceived,
    FrameSent,
    NameResolved,
    Opened,
    ProtocolFailed,
    TcpConnected,
    TlsEstablished,
    TransportEnded,
    UpgradeAnswered,
    UpgradeRequested,
    message_types,
)
from chatkit.lines import Lines
from chatkit.profile import Types
from chatkit.table import Tabular
from chatkit.traffic import Traffic, measure

if TYPE_CHECKING:
    from numpy.typing import NDArray

EVENT_DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Union[KINDS])  # noqa: UP007
_encode = msgspec.json.Encoder().encode
_ID = re.compile(rb'"id":"([^"]+)"')
_FRAMES = np.array([KIND_CODE[FrameSent], KIND_CODE[FrameReceived]], dtype=np.uint8)
_ENDS = {KIND_CODE[AttemptFailed], KIND_CODE[TransportEnded]}
_BETWEEN = (
    AttemptStarted,
    NameResolved,
    TcpConnected,
    TlsEstablished,
    UpgradeRequested,
    UpgradeAnswered,
    Opened,
    Established,
    CloseSent,
    CloseReceived,
    ProtocolFailed,
)
LANDMARKS = [*_ENDS, *(KIND_CODE[kind] for kind in _BETWEEN)]
"""Without these nothing true can be said about a connection: how it began, what was agreed, how it ended."""


class Origin(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a trace comes from."""

    kind: str
    """``live``, ``tap``, ``file`` or ``merged``."""
    format: str | None = None
    file: str | None = None
    target: str | None = None
    """The URL that was talked to, redacted."""


class Vantage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of the places from which a merged trace was seen."""

    name: str
    """What stands before the slash in the ids of its events."""
    origin: Origin
    not_visible: tuple[str, ...] = ()
    offset: float = 0.0
    """Seconds that were added to its clock."""
    offset_error: float | None = None
    """How far off that may be, seconds; ``None`` where nothing tied its clock to the others'."""
    place: int | None = None
    """Where it stands on the way from the client (lowest) to the server; ``None`` where that is not told."""


class Header(Struct, frozen=True, kw_only=True):
    """What is true of a whole trace; the first line of its file."""

    schema: str = SCHEMA
    origin: Origin
    epoch: float
    """Unix time of the start; an event's ``at`` counts from here by the monotonic clock."""
    clock: str = "monotonic"
    not_visible: tuple[str, ...] = ()
    """What this origin cannot show: never "did not happen"."""
    types: Types = field(default_factory=Types)
    """Names of the backend's message types."""
    vantages: tuple[Vantage, ...] = ()
    """Of a merged trace."""
    tool: str = "chatkit"


class Trace(Tabular):
    """An ordered, immutable collection of events.

    Iterating and indexing make event objects; the columns ``at`` (seconds), ``kind`` (index into
    ``chatkit.events.KINDS``), ``connection`` (index into ``names``, -1 for none) and ``size`` (payload bytes, -1 for
    none) are numpy arrays of equal length.

    >>> import chatkit
    >>> trace = chatkit.load("incident.har")
    >>> trace.to_arrow().column_names
    ['id', 'at', 'type', 'connection', 'size', 'text', 'time']
    """

    def __init__(
        self,
        header: Header,
        rows: Sequence[bytes],
        at: NDArray[np.float64],
        kind: NDArray[np.uint8],
        connection: NDArray[np.int32],
        size: NDArray[np.int64],
        names: tuple[str, ...],
        warnings: tuple[str, ...] = (),
    ) -> None:
        self.header = header
        self.rows = rows
        self.at, self.kind, self.connection_code, self.size = at, kind, connection, size
        self.names = names
        self.warnings = warnings
        """What was wrong with the source: a cut last line, a recording without an end."""

    @classmethod
    def of(cls, events: Iterable[Event], header: Header | None = None) -> Trace:
        """A trace of ready events, in their order."""
        builder = TraceBuilder(header or Header(origin=Origin(kind="live"), epoch=0.0))
        for event in events:
            builder.append(event)
        return builder.build()

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Event]:
        decode = EVENT_DECODER.decode
        return (decode(row) for row in self.rows)

    def __getitem__(self, index: int) -> Event:
        event: Event = EVENT_DECODER.decode(self.rows[index])
        return event

    @cached_property
    def _index(self) -> Mapping[str, int]:
        return {m.group(1).decode(): i for i, row in enumerate(self.rows) if (m := _ID.search(row, 0, 200))}

    def index(self, id: str) -> int:
        """Position of the event with this id."""
        if id not in self._index:
            raise InvalidInput("no such event", expected=f"an id of this trace of {len(self):,} events", got=id)
        return self._index[id]

    def event(self, id: str) -> Event:
        """The event with this id."""
        return self[self.index(id)]

    @property
    def vantage_names(self) -> tuple[str, ...]:
        """Names of the vantage points of merged evidence; none otherwise."""
        return tuple(vantage.name for vantage in self.header.vantages)

    @cached_property
    def vantage_code(self) -> NDArray[np.int16]:
        """Which vantage point saw each event: index into ``vantage_names``, of any other trace always -1."""
        told: NDArray[np.int16] | None = getattr(self.rows, "vantages", None)
        if told is not None:
            return told
        codes = np.full(len(self), -1, dtype=np.int16)
        if self.header.vantages:
            known = {name: n for n, name in enumerate(self.vantage_names)}
            for i, row in enumerate(self.rows):
                match = _ID.search(row, 0, 200)
                codes[i] = known.get(match.group(1).decode().rpartition("/")[0], -1) if match else -1
        return codes

    @property
    def epoch(self) -> float:
        """Unix time of the start, seconds."""
        return self.header.epoch

    @property
    def origin(self) -> Origin:
        """Where the trace comes from."""
        return self.header.origin

    @property
    def not_visible(self) -> tuple[str, ...]:
        """What the origin cannot show."""
        return self.header.not_visible

    @property
    def duration(self) -> float:
        """Seconds from the first event to the last."""
        return float(self.at[-1] - self.at[0]) if len(self) else 0.0

    @cached_property
    def connections(self) -> tuple[Connection, ...]:
        """One summary per connection, in the order of their first events."""
        return summarise(self)

    def connection(self, id: str) -> Connection:
        """The connection with this id; the others are not looked at."""
        code = self.names.index(id) if id in self.names else None
        if code is None or not (self.connection_code == code).any():
            raise InvalidInput(
                "no such connection", expected="one of " + (", ".join(self.names) or "none: the trace has none"), got=id
            )
        return summarise_one(self, code)

    @cached_property
    def message_types(self) -> list[str | None]:
        """The ``type`` of each data frame's JSON message, ``None`` elsewhere; found without parsing the messages."""
        places = np.flatnonzero(np.isin(self.kind, _FRAMES))
        found = np.full(len(self), None, dtype=object)
        found[places] = message_types(map(self.rows.__getitem__, places.tolist()))
        types: list[str | None] = found.tolist()
        return types

    def find(self, needle: bytes, most: int) -> list[int]:
        """Positions of the first ``most`` events whose row holds these bytes, in order; nothing is decoded."""
        search = getattr(self.rows, "find", None)
        if search is not None:
            return list(search(needle, most))
        return list(itertools.islice((i for i, row in enumerate(self.rows) if needle in row), most))

    def select(
        self,
        *,
        connection: str | Collection[str] | None = None,
        kinds: Collection[str] | None = None,
        since: float | None = None,
        until: float | None = None,
    ) -> Trace:
        """The events that fit all of what is given, as a trace with the same header.

        Args:
            connection: id or ids of connections.
            kinds: names of event types, for example ``{"PingSent", "PongReceived"}``.
            since: first ``at`` to keep, seconds.
            until: last ``at`` to keep, seconds.
        """
        keep = np.ones(len(self), dtype=bool)
        if connection is not None:
            wanted = {connection} if isinstance(connection, str) else set(connection)
            codes = [code for code, name in enumerate(self.names) if name in wanted]
            keep &= np.isin(self.connection_code, codes)
        if kinds is not None:
            unknown = set(kinds) - set(KIND_BY_NAME)
            if unknown:
                raise InvalidInput(
                    "no such kind of event", expected=f"of {', '.join(KIND_BY_NAME)}", got=sorted(unknown)
                )
            keep &= np.isin(self.kind, [KIND_BY_NAME[name] for name in kinds])
        if since is not None:
            keep &= self.at >= since
        if until is not None:
            keep &= self.at <= until
        return self._take(np.flatnonzero(keep))

    def where(self, indices: Iterable[int]) -> Trace:
        """The events at these positions, in order, as a trace with the same header."""
        return self._take(np.array(sorted(set(indices)), dtype=np.int64))

    def _take(self, places: NDArray[np.int64]) -> Trace:
        rows = [self.rows[i] for i in places.tolist()]
        columns = (self.at[places], self.kind[places], self.connection_code[places], self.size[places])
        return Trace(self.header, rows, *columns, self.names, self.warnings)

    def to_pandas(self) -> Any:
        """A ``pandas.DataFrame``: id, at (s), time (UTC), type, connection, size (bytes), text.

        Raises:
            MissingDependency: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            raise MissingDependency("a table of events", package="pandas", extra="tables") from None
        frame = pd.DataFrame(self._table())
        frame["time"] = pd.to_datetime(self._micros(), unit="us", utc=True)
        return frame

    def to_arrow(self) -> Any:
        """A ``pyarrow.Table`` with the columns of :meth:`to_pandas`.

        Raises:
            MissingDependency: pyarrow is not installed.
        """
        try:
            import pyarrow as pa
        except ImportError:
            raise MissingDependency("an Arrow table of events", package="pyarrow", extra="tables") from None
        return pa.table(self._table() | {"time": pa.array(self._micros(), pa.timestamp("us", tz="UTC"))})

    def _micros(self) -> NDArray[np.int64]:
        """Wall times in whole microseconds: a float of Unix seconds holds no more digits than that."""
        return np.round((self.epoch + self.at) * 1e6).astype(np.int64)

    def _table(self) -> dict[str, Any]:
        events = list(self)
        return {
            "id": [event.id for event in events],
            "at": self.at,
            "type": [type(event).__name__ for event in events],
            "connection": [event.connection for event in events],
            "size": self.size,
            "text": [str(event) for event in events],
        }

    def traffic(self) -> Traffic:
        """Bytes on the wire per connection, direction and message type, what compression saved, and HTTP beside it."""
        return measure(self)

    def timeline(self, **options: Any) -> Any:
        """The timeline as a plotly figure; ``align="open"`` lays the connections above each other from their start."""
        render = display.find("trace", "timeline")
        if render is None:
            raise InvalidInput("no view is loaded that draws a timeline", remedy="import chatkit, not chatkit.trace")
        return render(self, **options)

    def survival(self, **options: Any) -> Any:
        """How long connections live, as a plotly figure of Kaplan-Meier curves with their bands.

        ``by`` makes a curve for each cohort: ``"url"``, ``"code"``, ``"vantage"``, ``"extensions"``, or a function of
        a connection.
        """
        render = display.find("trace", "survival")
        if render is None:
            raise InvalidInput("no view is loaded that draws survival", remedy="import chatkit, not chatkit.trace")
        return render(self, **options)

    def _repr_html_(self) -> str | None:
        render = display.find("trace", "html")
        return None if render is None else render(self)

    def __str__(self) -> str:
        lines = [
            f"{len(self):,} events, {len(self.names)} connections, {self.duration:.1f} s from {iso_utc(self.epoch)}"
        ]
        lines += [f"  {connection}" for connection in self.connections]
        lines += [f"  note: {warning}" for warning in self.warnings]
        return "\n".join(lines)

    __repr__ = __str__


class _Row(NamedTuple):
    """One event with its columns, outside of them."""

    place: int
    """How many events came before it."""
    row: bytes
    at: float
    kind: int
    connection: int
    size: int


class TraceBuilder:
    """Collects events in order; :meth:`build` hands out a trace of what is there and may be called again.

    Its length counts every event that was added, also those that :meth:`trim` let go.
    """

    def __init__(self, header: Header) -> None:
        self.header = header
        self.warnings: list[str] = []
        self.held = Lines()  # without the landmarks
        self._at, self._kind = array("d"), array("B")
        self._connection, self._size = array("i"), array("q")
        self._names: dict[str, int] = {}
        self._dropped = 0
        self._landmarks: dict[int, dict[int, _Row]] = {}

    def __len__(self) -> int:
        return self._dropped + len(self._at)

    def append(self, event: Event) -> bytes:
        """Adds an event; its encoded row."""
        self.extend([event], [row := _encode(event)])
        return row

    def append_row(self, row: bytes, at: float, kind: int, connection: str | None, size: int) -> None:
        """Adds an event that is encoded already."""
        self.held.add([row])
        self._grow(at, connection, array("B", [kind]), array("q", [size]))

    def extend(self, events: list[Event], rows: list[bytes]) -> None:
        """Adds events with their encoded rows; the columns grow in one piece."""
        names, connections = self._names, [event.connection for event in events]
        self.held.add(rows)
        self._at.extend([event.at for event in events])
        self._kind.extend([KIND_CODE[type(event)] for event in events])
        self._connection.extend([-1 if one is None else names.setdefault(one, len(names)) for one in connections])
        self._size.extend([getattr(event, "size", -1) for event in events])

    def extend_lines(self, lines: bytes, at: float, name: str | None, kinds: array[int], sizes: array[int]) -> None:
        """Adds encoded events of the connection of that name and one moment, each with a line feed behind it."""
        self.held.add_lines(lines)
        self._grow(at, name, kinds, sizes)

    def _grow(self, at: float, name: str | None, kinds: array[int], sizes: array[int]) -> None:
        code = -1 if name is None else self._names.setdefault(name, len(self._names))
        self._at.extend(array("d", [at]) * len(kinds))
        self._kind += kinds
        self._connection.extend(array("i", [code]) * len(kinds))
        self._size += sizes

    def trim(self, keep: int) -> None:
        """Lets the oldest events go once a quarter more than ``keep`` are held, so that the rest moves rarely.

        Landmarks of connections that live, and of the last few that ended, stay: a handful of rows for each.
        """
        excess = len(self._at) - keep
        if 4 * excess < keep:
            return
        kinds, codes = np.asarray(self._kind[:excess]), np.asarray(self._connection[:excess])
        for i in np.flatnonzero(np.isin(kinds, LANDMARKS) & (codes >= 0)).tolist():
            one = self._at_place(i)
            self._landmarks.setdefault(one.connection, {}).setdefault(one.kind, one)
        for column in (self.held.rows, self._at, self._kind, self._connection, self._size):
            del column[:excess]
        self._dropped += excess
        here = set(np.unique(np.asarray(self._connection)).tolist())
        ended = [code for code, found in self._landmarks.items() if _ENDS & found.keys() and code not in here]
        for code in ended[: -max(10, keep // 100)]:
            del self._landmarks[code]
        if len(needed := (here - {-1}) | self._landmarks.keys()) < len(self._names):  # numbering is dear
            self._forget_names(needed)

    def _forget_names(self, needed: set[int]) -> None:
        """Numbers the connections anew, without those of which nothing is held."""
        new = np.full(len(self._names) + 1, -1, np.int32)  # the last place is code -1: no connection
        names = [name for name, code in self._names.items() if code in needed]
        new[[self._names[name] for name in names]] = np.arange(len(names))
        self._connection = array("i", new[np.asarray(self._connection)].tobytes())
        self._landmarks = {
            int(new[code]): {kind: one._replace(connection=int(new[code])) for kind, one in found.items()}
            for code, found in self._landmarks.items()
        }
        self._names = {name: code for code, name in enumerate(names)}

    def build(self, start: int = 0) -> Trace:
        """A trace of the events after the first ``start``; later appends do not touch it."""
        older = sorted(one for found in self._landmarks.values() for one in found.values() if one.place >= start)
        missing = self._dropped - start - len(older)
        warnings = [*self.warnings, *([f"older events dropped from memory: {missing:,}"] if missing > 0 else [])]
        return self._take(older, slice(max(start - self._dropped, 0), None), tuple(warnings))

    def build_one(self, connection: str) -> Trace:
        """The events of one connection, and the last of all: as much as a summary of that connection reads."""
        code, last = self._names.get(connection, -2), len(self._at) - 1
        places = np.flatnonzero(np.asarray(self._connection) == code)
        if last >= 0 and not (len(places) and places[-1] == last):
            places = np.append(places, last)
        return self._take(sorted(self._landmarks.get(code, {}).values()), places)

    def _take(self, older: list[_Row], places: slice | NDArray[np.int64], warnings: tuple[str, ...] = ()) -> Trace:
        """A trace of landmarks and of what is held at these places; nothing is shared with the columns that grow."""
        rows = self.held.rows[places] if isinstance(places, slice) else [self.held.rows[i] for i in places.tolist()]
        columns = [np.asarray(column)[places] for column in (self._at, self._kind, self._connection, self._size)]
        parts = [[one[2 + n] for one in older] for n in range(len(columns))]
        at, kind, connection, size = (
            np.concatenate((np.array(part, column.dtype), column)) for part, column in zip(parts, columns, strict=True)
        )
        if older:
            rows = [one.row for one in older] + rows
        return Trace(self.header, rows, at, kind, connection, size, tuple(self._names), warnings)

    def _at_place(self, i: int) -> _Row:
        row = self.held.rows[i]
        return _Row(self._dropped + i, row, self._at[i], self._kind[i], self._connection[i], self._size[i])
