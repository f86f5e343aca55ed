"""The one timeline layout: a trace in, lanes and marks out; pure.

:class:`TimelineBuilder` reads events once and in order, so a trace that grows costs what is new. Data frames stay
columns all the way; only the rare kinds of events become objects.
"""

from __future__ import annotations

from collections.abc import Iterable
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
from chatkit.views.sidelines import TITLES, Sidelines
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
        special = {names.send_ping, names.pong, names.typing, names.send_typing, names.chunk, names.reply}
        stop = ~frames
        places = np.flatnonzero(frames)
        stop[[i for i in places if types[i] in special]] = True
        stop[self._first_frames(trace, places)] = True
        stop[self._first_words(trace, places, types)] = True
        mine = _Mine(trace)
        pings = [self._step(trace, int(i), types[i], mine) for i in np.flatnonzero(stop)]
        frames[[i for i in pings if i is not None]] = False
        self._tick(trace, np.flatnonzero(frames), types)
        mine.leave(self._lives)

    def _first_frames(self, trace: Trace, places: NDArray[np.intp]) -> NDArray[np.intp]:
        """Where a connection shows itself for the first time: its life may begin there."""
        codes, first = np.unique(trace.connection_code[places], return_index=True)
        return places[first[codes >= 0]]

    def _first_words(self, trace: Trace, places: NDArray[np.intp], types: list[str | None]) -> list[int]:
        """Where a kind of frame comes for the first time: its words get their number in the order of events."""
        kinds, views = trace.kind, trace.vantage_code
        first: dict[tuple[int, str | None, int], int] = {}
        for i in places.tolist():
            first.setdefault((int(kinds[i]), types[i], int(views[i])), i)
        return list(first.values())

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

    def _step(self, trace: Trace, i: int, type_: str | None, mine: _Mine) -> int | None:
        """Reads one event that is more than a tick; its place if it is a ping, which gets a shape instead."""
        kind, code = int(trace.kind[i]), int(trace.connection_code[i])
        if kind in _TICKS:
            return self._frame(trace, i, kind, code, type_)
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

    def _frame(self, trace: Trace, i: int, kind: int, code: int, type_: str | None) -> int | None:
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
                self._side.chunk(code, at, row, raw, kind, view)
            elif type_ == names.reply:
                self._side.reply(code, at, raw)
        return None

    def _tick(self, trace: Trace, places: NDArray[np.intp], types: list[str | None]) -> None:
        codes, kinds = trace.connection_code[places], trace.kind[places]
        lanes = np.where(codes >= 0, codes + _FIRST_CONNECTION, 0)
        known: dict[tuple[int, str | None, int], int] = {}
        words = np.zeros(len(places), dtype=np.int32)
        views = trace.vantage_code[places].tolist()
        for n, (i, kind, view) in enumerate(zip(places.tolist(), kinds.tolist(), views, strict=True)):
            key = (kind, types[i], view)
            if key not in known:
                known[key] = self._word(kind, types[i], seen_by(_view(trace, i)))
            words[n] = known[key]
        self._sheet.tick(
            x=trace.at[places],
            lane=lanes,
            row=places + self._rows,
            word=words,
            size=np.clip(trace.size[places], -1, 2**31 - 1),
            up=np.where(np.isin(kinds, _UP), 1, -1),
        )


def _view(trace: Trace, i: int) -> str:
    """Name of the vantage point that saw an event of merged evidence; nothing otherwise."""
    code = int(trace.vantage_code[i])
    return trace.vantage_names[code] if code >= 0 else ""


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
