"""The one timeline layout: a trace in, lanes and marks out; pure.

:class:`TimelineBuilder` reads events once and in order, so a trace that grows costs what is new. Data frames stay
columns all the way; only the rare kinds of events become objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise, repeat, takewhile
from operator import contains, truth
from typing import TYPE_CHECKING, Any

import numpy as np

from chatkit.events import (
    KIND_CODE,
    AttemptFailed,
    CloseReceived,
    CloseSent,
    EndReported,
    FrameReceived,
    FrameSent,
    HealthChecked,
    HttpAnswered,
    HttpFailed,
    HttpRequested,
    LoopLagged,
    OpaqueReceived,
    OpaqueSent,
    PingSent,
    RetryScheduled,
    StateChanged,
    TransportEnded,
)
from chatkit.trace import Trace
from chatkit.views.lifelines import Lifeline
from chatkit.views.sheet import Cursor, Delta, Lane, Layout, Sheet, clip
from chatkit.views.sidelines import TITLES, Sidelines, stream_of
from chatkit.views.wording import seen_by

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SENT, _RECEIVED, _PING = (KIND_CODE[kind] for kind in (FrameSent, FrameReceived, PingSent))
_OPAQUE = {
    KIND_CODE[OpaqueSent]: "sent bytes, not readable here",
    KIND_CODE[OpaqueReceived]: "received bytes, not readable here",
}
_TICKS = (_SENT, _RECEIVED, *_OPAQUE)
_UP = (_RECEIVED, KIND_CODE[OpaqueReceived])
_ENDS = {KIND_CODE[kind] for kind in (CloseSent, CloseReceived, TransportEnded, AttemptFailed, EndReported)}
_BESIDE = {
    KIND_CODE[kind] for kind in (StateChanged, HttpRequested, HttpAnswered, HttpFailed, HealthChecked, LoopLagged)
}
_FIRST_CONNECTION = len(TITLES)
_WINDOW = 16_384
"""Events whose rows are read by connection and not in order: more would not stay in the cache of a processor."""


def lay_out(trace: Trace, *, stabilise: float | None = None) -> Layout:
    """The layout of a whole trace.

    Args:
        trace: what to lay out.
        stabilise: the client's known quiet time before its first ping, seconds; ``None`` shows it once a ping came.
    """
    builder = TimelineBuilder(stabilise=stabilise)
    builder.extend(trace)
    return builder.layout()


class TimelineBuilder:
    """Lays out a trace that may grow.

    Args:
        stabilise: as in :func:`lay_out`.
    """

    def __init__(self, *, stabilise: float | None = None) -> None:
        self._stabilise = stabilise
        self._sheet = Sheet()
        self._side = Sidelines(self._sheet)
        self._lives: dict[int, Lifeline] = {}
        self._rows = 0
        self._first: float | None = None
        self._last = 0.0
        self._epoch = 0.0
        self._latest: int | None = None

    def __len__(self) -> int:
        """Events laid out so far."""
        return self._rows

    @property
    def cursor(self) -> Cursor:
        """Where the layout stands now."""
        return self._sheet.cursor

    def layout(self) -> Layout:
        """All of it."""
        return self.since(Cursor())

    def since(self, cursor: Cursor) -> Delta:
        """What a holder of ``cursor`` lacks."""
        return self._sheet.since(
            cursor,
            lanes=self._lanes(),
            first=self._first or 0.0,
            last=max(self._last, self._first or 0.0),
            epoch=self._epoch,
            events=self._rows,
        )

    def extend(self, trace: Trace) -> Delta:
        """Adds the events that follow those read so far; what they changed."""
        before = self.cursor
        if len(trace):
            self._epoch = trace.epoch
            first = float(trace.at.min())
            self._first = first if self._first is None else min(first, self._first)
            self._last = max(self._last, float(trace.at.max()))
            self._read(trace)
            self._rows += len(trace)
        return self.since(before)

    def rows_within(
        self, begin: float, end: float, lanes: Iterable[int], *, aligned: bool = False
    ) -> NDArray[np.int64]:
        """Places in the trace, ascending, of the events that a stretch of time on some lanes shows.

        Args:
            begin: seconds since the trace's epoch; of an aligned view, since each connection opened.
            end: the same, included.
            lanes: their codes.
            aligned: whether time counts from each connection's opening.
        """
        all_lanes = self._lanes()
        origin = np.zeros(max((lane.code for lane in all_lanes), default=0) + 1)
        if aligned:
            for lane in all_lanes:
                origin[lane.code] = lane.origin or 0.0
        return self._sheet.rows_within(begin, end, lanes, origin)

    def connection_of(self, lane: int) -> str | None:
        """Id of the connection whose lane has this code; ``None`` for the lanes beside the connections."""
        life = self._lives.get(lane - _FIRST_CONNECTION)
        return None if life is None else life.name

    def _lanes(self) -> tuple[Lane, ...]:
        lives = [
            Lane(
                code=code + _FIRST_CONNECTION,
                title=clip(f"connection {life.name}", 40),
                kind="connection",
                origin=life.origin,
            )
            for code, life in sorted(self._lives.items())
        ]
        beside = [Lane(code=code, title=TITLES[code][1], kind=TITLES[code][0]) for code in sorted(self._side.used)]
        return (*lives, *beside)

    def _read(self, trace: Trace) -> None:
        frames = np.isin(trace.kind, _TICKS)
        types = trace.message_types
        names = trace.header.types
        words = _Words(trace, types)
        places = np.flatnonzero(frames)
        stop = ~frames
        stop[places] = words.among({names.send_ping, names.pong, names.typing, names.send_typing, names.reply})[places]
        stop[self._first_frames(trace, places)] = True
        stop[words.first(places)] = True
        chunks = np.flatnonzero(frames & (trace.kind == _RECEIVED) & words.among({names.chunk}))
        more = _continued(trace, stop, chunks)
        mine = _Mine(trace)
        pings = [self._step(trace, i, types[i], mine, more.get(i, 0)) for i in np.flatnonzero(stop).tolist()]
        frames[[i for i in pings if i is not None]] = False
        self._tick(trace, np.flatnonzero(frames), types, words)
        mine.leave(self._lives)

    def _first_frames(self, trace: Trace, places: NDArray[np.intp]) -> NDArray[np.intp]:
        """Where a connection shows itself for the first time: its life may begin there."""
        codes, first = np.unique(trace.connection_code[places], return_index=True)
        return places[first[codes >= 0]]

    def _word(self, kind: int, type_: str | None, seen: str) -> int:
        words = _OPAQUE.get(kind) or f"{'sent' if kind == _SENT else 'received'} {type_ or 'message'}"
        return self._sheet.word(words + seen)

    def _life(self, trace: Trace, code: int) -> Lifeline:
        life = self._lives.get(code)
        if life is None:
            lane = code + _FIRST_CONNECTION
            life = Lifeline(self._sheet, lane, trace.names[code], trace.header, self._stabilise)
            self._lives[code] = life
        return life

    def _step(self, trace: Trace, i: int, type_: str | None, mine: _Mine, more: int) -> int | None:
        """Reads one event that is more than a tick; its place if it is a ping, which gets a shape instead."""
        kind, code = int(trace.kind[i]), int(trace.connection_code[i])
        if kind in _TICKS:
            return self._frame(trace, i, kind, code, type_, more)
        event, row = trace[i], self._rows + i
        if isinstance(event, RetryScheduled) and code < 0 and self._latest is not None:
            code = self._latest
        if code < 0 or kind in _BESIDE:
            self._side.add(event, row)
            return None
        life = self._life(trace, code)
        if kind in _ENDS:
            life.last_sent = mine.before(code, i) or life.last_sent
        life.add(event, row, trace.rows[i])
        if life.ended_at is not None and kind in _ENDS:
            self._latest = code
            self._side.gone(code, life.ended_at)
        return None

    def _frame(self, trace: Trace, i: int, kind: int, code: int, type_: str | None, more: int) -> int | None:
        at, row, raw, names = float(trace.at[i]), self._rows + i, trace.rows[i], trace.header.types
        view = _view(trace, i)
        if code >= 0:
            self._life(trace, code).live(at, row, kind, raw=raw)
        if kind == _SENT and type_ == names.send_ping and code >= 0:
            self._life(trace, code).ping(at, row, raw, "sent application ping", view)
            return i
        self._word(kind, type_, seen_by(view))
        if type_ == (names.send_typing if kind == _SENT else names.typing):
            self._side.typing(code, at, row, raw, kind)
        if kind == _RECEIVED:
            if type_ == names.pong and code >= 0:
                self._life(trace, code).pong(at, row, raw, view)
            elif type_ == names.chunk:
                self._side.chunk(code, at, row, raw, kind, view, 1 + more)
            elif type_ == names.reply:
                self._side.reply(code, at, raw)
        return None

    def _tick(self, trace: Trace, places: NDArray[np.intp], types: list[str | None], words: _Words) -> None:
        codes, kinds = trace.connection_code[places], trace.kind[places]
        known = np.zeros(words.size, dtype=np.int32)
        for i in words.first(places).tolist():
            known[words.key[i]] = self._word(int(trace.kind[i]), types[i], seen_by(_view(trace, i)))
        self._sheet.tick(
            x=trace.at[places],
            lane=np.where(codes >= 0, codes + _FIRST_CONNECTION, 0),
            row=places + self._rows,
            word=known[words.key[places]],
            size=np.clip(trace.size[places], -1, 2**31 - 1),
            up=np.where(np.isin(kinds, _UP), 1, -1),
        )


def _view(trace: Trace, i: int) -> str:
    """Name of the vantage point that saw an event of merged evidence; nothing otherwise."""
    code = int(trace.vantage_code[i])
    return trace.vantage_names[code] if code >= 0 else ""


class _Words:
    """What tells the words of frames apart, as one number for each event of a stretch of trace."""

    def __init__(self, trace: Trace, types: list[str | None]) -> None:
        self.types = list(dict.fromkeys(types))
        number = {type_: n for n, type_ in enumerate(self.types)}
        self.type = np.fromiter(map(number.__getitem__, types), np.int64, len(types))
        kind = np.zeros(256, np.int64)
        kind[list(_TICKS)] = np.arange(len(_TICKS))
        views = len(trace.vantage_names) + 1
        self.key = (kind[trace.kind] * len(self.types) + self.type) * views + trace.vantage_code + 1
        self.size = len(_TICKS) * max(len(self.types), 1) * views

    def among(self, wanted: set[str | None]) -> NDArray[np.bool_]:
        """Which events have one of these types."""
        return np.array([type_ is not None and type_ in wanted for type_ in self.types], np.bool_)[self.type]

    def first(self, places: NDArray[np.intp]) -> NDArray[np.intp]:
        """Of these places, in order, the first of each kind of words."""
        found = np.full(self.size, -1, np.intp)
        found[self.key[places[::-1]]] = places[::-1]  # of several, the one that is written last stays
        return np.sort(found[found >= 0])


def _continued(trace: Trace, stop: NDArray[np.bool_], chunks: NDArray[np.intp]) -> dict[int, int]:
    """How many chunks go on with the stream of each chunk that begins one; those that begin one become stops.

    A chunk goes on when it names the message of the chunk before it and nothing but chunks came on its connection in
    between: then it changes nothing but the count. Where a window ends a stream is begun anew, which counts the same.
    """
    busy = stop.copy()
    busy[chunks] = False
    turn = _turns(trace.connection_code, np.flatnonzero(busy), chunks)
    window = chunks // _WINDOW
    order = np.lexsort((trace.connection_code[chunks], window))
    turn, chunks, window = turn[order], chunks[order], window[order]
    begins = stop[chunks]
    for column in (window, trace.connection_code[chunks], trace.vantage_code[chunks], turn):
        begins[1:] |= column[1:] != column[:-1]
    begins[:1] = True
    bounds = [*np.flatnonzero(begins).tolist(), len(chunks)]
    more: dict[int, int] = {}
    for begin, end in pairwise(bounds):
        places = chunks[begin:end].tolist()
        for n, length in _streams([trace.rows[i] for i in places]):
            stop[places[n]] = True
            if length > 1:
                more[places[n]] = length - 1
    return more


def _streams(rows: list[bytes]) -> Iterator[tuple[int, int]]:
    """Where each stream of chunks that follow each other begins, and how many chunks it has."""
    n, rest = 0, iter(rows[1:])
    while n < len(rows):
        named = stream_of(rows[n])
        # Each of a million chunks is looked at: this loop is not Python's own. The row that ends it begins the next.
        same = repeat(named) if named is not None else repeat(b"\n", 1)
        length = 1 + sum(takewhile(truth, map(contains, rest, same)))
        yield n, length
        n += length


def _turns(codes: NDArray[np.int32], breaks: NDArray[np.intp], chunks: NDArray[np.intp]) -> NDArray[np.intp]:
    """A number for each chunk that changes within a connection where one of the connection's own breaks comes."""
    far = len(codes) + 1
    before = np.sort(codes[breaks].astype(np.int64) * far + breaks)
    turns: NDArray[np.intp] = np.searchsorted(before, codes[chunks].astype(np.int64) * far + chunks)
    return turns


class _Mine:
    """Our own frames of one stretch of trace, by connection: which was the last before an ending."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        places = np.flatnonzero((trace.kind == _SENT) | (trace.kind == _PING))
        codes = trace.connection_code[places]
        order = np.argsort(codes, kind="stable")
        self._places, self._codes = places[order], codes[order]

    def before(self, code: int, i: int) -> tuple[float, int, bytes] | None:
        """The last one on connection ``code`` before place ``i``."""
        begin, end = np.searchsorted(self._codes, [code, code + 1])
        n = int(np.searchsorted(self._places[begin:end], i))
        return self._item(int(self._places[begin + n - 1])) if n else None

    def leave(self, lives: dict[int, Lifeline]) -> None:
        """Remembers the last of each connection for the stretch to come."""
        codes, first = np.unique(self._codes, return_index=True)
        for code, last in (
            zip(codes.tolist(), [*first[1:] - 1, len(self._codes) - 1], strict=True) if len(codes) else ()
        ):
            if code in lives:
                lives[code].last_sent = self._item(int(self._places[last]))

    def _item(self, i: int) -> tuple[float, int, bytes]:
        trace: Any = self._trace
        return float(trace.at[i]), int(trace.kind[i]), trace.rows[i]
