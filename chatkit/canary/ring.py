"""The store behind a canary's recorder: of each connection the last events and its landmarks, nothing else; pure.

A quiet connection keeps its own history however much its neighbours say. What is kept of a life that ended goes once
some more have ended; until then :meth:`Rings.freeze` makes a trace of it and of what happened beside it.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict, deque
from collections.abc import Collection, Iterable
from typing import NamedTuple

import msgspec
import numpy as np

from chatkit.events import (
    KIND_CODE,
    AttemptFailed,
    Event,
    HealthChecked,
    Opened,
    RecordingEnded,
    TcpInfoSampled,
    TransportEnded,
)
from chatkit.trace import EVENT_DECODER, LANDMARKS, Header, Trace, TraceBuilder

ENDED_KEPT = 20
"""Lives that ended and are still held."""
BESIDE = 40
"""Newest events that a frozen recording holds of each other connection, besides its landmarks."""
MOST_BESIDE = 50
"""Other connections that a frozen recording holds, the newest."""
MOST_FROZEN = 2_000_000
"""Bytes of rows that a frozen recording holds; the oldest that are no landmarks go first."""
_HEALTH, _OPENED, _TCP = KIND_CODE[HealthChecked], KIND_CODE[Opened], KIND_CODE[TcpInfoSampled]
_ENDS = (KIND_CODE[TransportEnded], KIND_CODE[AttemptFailed])
_LANDMARKS = frozenset(LANDMARKS)


class _Row(NamedTuple):
    place: int
    row: bytes
    at: float
    kind: int
    size: int


class _Ring:
    """One connection, or what belongs to none."""

    __slots__ = ("landmarks", "rows")

    def __init__(self, most: int) -> None:
        self.rows: deque[_Row] = deque(maxlen=most)
        self.landmarks: dict[int, _Row] = {}

    def add(self, row: _Row) -> None:
        if row.kind in _LANDMARKS:
            self.landmarks.setdefault(row.kind, row)
        # Of several looks at TCP in a row the last one tells.
        if row.kind == _TCP and self.rows and self.rows[-1].kind == _TCP:
            self.rows[-1] = row
        else:
            self.rows.append(row)

    def held(self, newest: int | None = None) -> list[_Row]:
        """Landmarks and the newest rows, in order."""
        rows = list(self.rows) if newest is None else list(self.rows)[-newest:]
        first = rows[0].place if rows else float("inf")
        return [row for row in self.landmarks.values() if row.place < first] + rows


class News(NamedTuple):
    """What has happened since the last look."""

    opened: tuple[tuple[str, float], ...]
    """Connections that opened, and when (seconds since the epoch)."""
    ended: tuple[str, ...]
    """Connections that ended, or attempts that failed."""
    health: tuple[HealthChecked, ...]


class Rings(TraceBuilder):
    """Takes the place of a recorder's :class:`TraceBuilder`.

    Args:
        header: of the traces that it makes.
        most: events that are kept of each connection.
    """

    def __init__(self, header: Header, most: int) -> None:
        super().__init__(header)
        self._most = most
        self._count = 0
        self._beside = _Ring(max(most, 100))
        self._rings: OrderedDict[str, _Ring] = OrderedDict()
        self._ended: dict[str, float] = {}
        self._opened: list[tuple[str, float]] = []
        self._ending: dict[str, float] = {}
        self._health: list[bytes] = []

    def __len__(self) -> int:
        return self._count

    def append_row(self, row: bytes, at: float, kind: int, connection: str | None, size: int) -> None:
        """Adds an event that is encoded already."""
        one = _Row(self._count, row, at, kind, size)
        self._count += 1
        if connection is None:
            self._beside.add(one)
            if kind == _HEALTH:
                self._health.append(row)
            return
        ring = self._rings.get(connection)
        if ring is None:
            ring = self._rings[connection] = _Ring(self._most)
        ring.add(one)
        if kind == _OPENED:
            self._opened.append((connection, at))
        elif kind in _ENDS and connection not in self._ended:
            self._ended[connection] = self._ending[connection] = at
            self._forget()

    def extend(self, events: list[Event], rows: list[bytes]) -> None:
        """Adds events of one connection, with their encoded rows."""
        for event, row in zip(events, rows, strict=True):
            self.append_row(row, event.at, KIND_CODE[type(event)], event.connection, getattr(event, "size", -1))

    def extend_lines(self, lines: bytes, at: float, name: str | None, kinds: array[int], sizes: array[int]) -> None:
        """Adds encoded events of one connection and one moment, each with a line feed behind it."""
        for row, kind, size in zip(lines[:-1].split(b"\n"), kinds, sizes, strict=True):
            self.append_row(row, at, kind, name, size)

    def trim(self, keep: int) -> None:
        """Nothing: each ring bounds itself."""

    def news(self, until: float) -> News:
        """What happened since the last call; ends that came after ``until`` wait, so that what follows at once is
        there when they are told."""
        ended = tuple(id for id, at in self._ending.items() if at <= until)
        for id in ended:
            del self._ending[id]
        news = News(tuple(self._opened), ended, tuple(EVENT_DECODER.decode(row) for row in self._health))
        self._opened, self._health = [], []
        return news

    def build(self, start: int = 0) -> Trace:
        """Everything that is held, in order."""
        parts = {None: self._beside.held()} | {id: ring.held() for id, ring in self._rings.items()}
        return self._made((row, id) for id, rows in parts.items() for row in rows if row.place >= start)

    def build_one(self, connection: str) -> Trace:
        """What is held of one connection."""
        ring = self._rings.get(connection)
        return self._made((row, connection) for row in (ring.held() if ring is not None else ()))

    def freeze(self, dead: Collection[str], at: float) -> Trace:
        """A recording of deaths: these connections in full, the newest others in brief, and what belongs to none.

        Args:
            dead: ids of the connections that died; those that are not held any more are left out.
            at: when it is frozen, seconds since the epoch.
        """
        others = [id for id in self._rings if id not in dead][-MOST_BESIDE:]
        found: list[tuple[_Row, str | None]] = [
            (row, id) for id in self._rings if id in dead for row in self._rings[id].held()
        ]
        found += [(row, id) for id in others for row in self._rings[id].held(BESIDE)]
        found += [(row, None) for row in self._beside.held()]
        found = _bounded(found)
        end = RecordingEnded(id=str(self._count), at=round(at, 6))
        last = _Row(self._count, msgspec.json.encode(end), end.at, KIND_CODE[RecordingEnded], -1)
        return self._made([*found, (last, None)])

    def _forget(self) -> None:
        while len(self._ended) > ENDED_KEPT + len(self._ending):
            oldest = next(id for id in self._ended if id not in self._ending)
            del self._ended[oldest]
            self._rings.pop(oldest, None)

    def _made(self, found: Iterable[tuple[_Row, str | None]]) -> Trace:
        ordered = sorted(found, key=lambda pair: pair[0].place)
        names: dict[str, int] = {}
        codes = [-1 if id is None else names.setdefault(id, len(names)) for _, id in ordered]
        return Trace(
            self.header,
            [row.row for row, _ in ordered],
            np.array([row.at for row, _ in ordered], np.float64),
            np.array([row.kind for row, _ in ordered], np.uint8),
            np.array(codes, np.int32),
            np.array([row.size for row, _ in ordered], np.int64),
            tuple(names),
        )


def _bounded(found: list[tuple[_Row, str | None]]) -> list[tuple[_Row, str | None]]:
    """Without the oldest rows that are no landmarks, where all are too many bytes."""
    total = sum(len(row.row) for row, _ in found)
    if total <= MOST_FROZEN:
        return found
    dropped = set()
    for row, _ in sorted(found, key=lambda pair: pair[0].place):
        if total <= MOST_FROZEN:
            break
        if row.kind not in _LANDMARKS:
            dropped.add(row.place)
            total -= len(row.row)
    return [pair for pair in found if pair[0].place not in dropped]
