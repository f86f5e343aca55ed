"""The columns a layout is drawn into, and what changed in them since somebody looked.

Data frames become *ticks*, which never change; everything else becomes a *mark*, which may be patched (a bar that was
open gets its end). A :class:`Delta` holds what a receiver lacks; the delta since nothing is the whole layout.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from chatkit.views.palette import Shape, Tone

if TYPE_CHECKING:
    from numpy.typing import NDArray

OPEN_END = float("inf")
"""``x1`` of what has not ended yet: it is drawn up to the layout's last moment."""
MAX_WORDS = 300
"""Characters of a hover line; what comes from outside is bounded in size."""

TICK_COLUMNS = {"x": "<f8", "lane": "<i4", "row": "<i4", "word": "<i4", "size": "<i4", "up": "<i1"}
MARK_COLUMNS = {
    "x0": "<f8",
    "x1": "<f8",
    "value": "<f4",
    "lane": "<i4",
    "row": "<i4",
    "word": "<i4",
    "shape": "<u1",
    "tone": "<u1",
    "level": "<i1",
    "kind": "<u1",
}
_TYPECODE = {"<f8": "d", "<f4": "f", "<i4": "i", "<i1": "b", "<u1": "B"}


class Lane(Struct, frozen=True, kw_only=True):
    """One row of the picture."""

    code: int
    """What the ``lane`` columns hold; stable while the layout grows."""
    title: str
    kind: str
    """``connection``, ``client``, ``http``, ``health``, ``typing``, ``streaming`` or ``lag``."""
    origin: float | None = None
    """Where the connection opened (else: began), seconds since the epoch of the trace; zero of an aligned view."""


class Label(Struct, frozen=True, array_like=True):
    """Words beside a mark."""

    strong: str = ""
    dim: str = ""
    below: str = ""


class Cursor(Struct, frozen=True):
    """How much of a layout somebody holds: counts of ticks, marks, words and patches."""

    ticks: int = 0
    marks: int = 0
    words: int = 0
    patches: int = 0


@dataclass(frozen=True)
class Ticks:
    """Data frames, one per frame, in the order of the trace."""

    x: NDArray[np.float64]
    """Seconds since the trace's epoch."""
    lane: NDArray[np.int32]
    row: NDArray[np.int32]
    """Position of the event in the trace."""
    word: NDArray[np.int32]
    """Index into the words: what the frame is, briefly."""
    size: NDArray[np.int32]
    """Payload bytes."""
    up: NDArray[np.int8]
    """1 received (above the centre line), -1 sent (below)."""

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Marks:
    """Everything but data frames."""

    x0: NDArray[np.float64]
    """Begin, seconds since the trace's epoch."""
    x1: NDArray[np.float64]
    """End, seconds; ``inf`` while it has none."""
    value: NDArray[np.float32]
    """Seconds: the round trip of an arc, the lag of a sample; else 0."""
    lane: NDArray[np.int32]
    row: NDArray[np.int32]
    word: NDArray[np.int32]
    shape: NDArray[np.uint8]
    tone: NDArray[np.uint8]
    level: NDArray[np.int8]
    """1 above the centre line, -1 below, 0 on it; for bars: which of three storeys."""
    kind: NDArray[np.uint8]
    """Index into ``chatkit.events.KINDS``."""

    def __len__(self) -> int:
        return len(self.x0)

    def take(self, places: NDArray[Any]) -> Marks:
        """The marks at these places."""
        return Marks(**{field.name: getattr(self, field.name)[places] for field in fields(self)})


@dataclass(frozen=True)
class Delta:
    """What a receiver that holds ``since`` needs to hold ``until``."""

    since: Cursor
    until: Cursor
    ticks: Ticks
    marks: Marks
    changed: NDArray[np.int32]
    """Marks before ``since`` that are different now."""
    changes: Marks
    """Their new columns, parallel to ``changed``."""
    labels: dict[int, Label]
    """By mark; of the new and the changed ones. An empty label takes the old one away."""
    words: tuple[str, ...]
    """New hover words."""
    lanes: tuple[Lane, ...]
    """All lanes, from top to bottom."""
    first: float
    """First moment, seconds since the trace's epoch."""
    last: float
    """Last moment."""
    epoch: float
    """Unix time of the trace's start."""
    events: int
    """Events laid out so far."""

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return sum(lane.kind == "connection" for lane in self.lanes)


Layout = Delta
"""A whole layout is the delta since nothing."""


class Sheet:
    """Growing columns with a journal of patches."""

    def __init__(self) -> None:
        self._ticks = {name: array(_TYPECODE[code]) for name, code in TICK_COLUMNS.items()}
        self._marks = {name: array(_TYPECODE[code]) for name, code in MARK_COLUMNS.items()}
        self._labels: dict[int, Label] = {}
        self._words: list[str] = []
        self._codes: dict[str, int] = {}
        self._journal: list[int] = []

    @property
    def cursor(self) -> Cursor:
        """Where the sheet stands now."""
        return Cursor(len(self._ticks["x"]), len(self._marks["x0"]), len(self._words), len(self._journal))

    def word(self, text: str) -> int:
        """The code of a hover line."""
        text = clip(text, MAX_WORDS)
        code = self._codes.get(text)
        if code is None:
            code = self._codes[text] = len(self._words)
            self._words.append(text)
        return code

    def tick(self, **columns: NDArray[Any]) -> None:
        """Appends ticks."""
        for name, code in TICK_COLUMNS.items():
            self._ticks[name].frombytes(np.ascontiguousarray(columns[name], dtype=code).tobytes())

    def mark(
        self,
        shape: Shape,
        tone: Tone,
        lane: int,
        x0: float,
        x1: float | None = None,
        *,
        row: int,
        kind: int,
        word: int,
        level: int = 0,
        value: float = 0.0,
        label: Label | None = None,
    ) -> int:
        """Appends a mark; its number."""
        number = len(self._marks["x0"])
        end = x0 if x1 is None else x1
        values = (x0, end, value, lane, row, word, shape, tone, level, kind)
        for column, item in zip(self._marks.values(), values, strict=True):
            column.append(item)  # type: ignore[arg-type]
        if label is not None:
            self._labels[number] = label
        return number

    def patch(self, mark: int, **columns: float) -> None:
        """Changes columns of a mark."""
        for name, value in columns.items():
            self._marks[name][mark] = value  # type: ignore[call-overload]
        self._journal.append(mark)

    def relabel(self, mark: int, label: Label) -> None:
        """Gives a mark other words."""
        self._labels[mark] = label
        self._journal.append(mark)

    def begin(self, mark: int) -> float:
        """Where a mark begins, seconds."""
        return float(self._marks["x0"][mark])

    def is_open(self, mark: int) -> bool:
        """Whether a bar has no end yet."""
        return bool(self._marks["x1"][mark] == OPEN_END)

    def label(self, mark: int) -> Label:
        """The words beside a mark."""
        return self._labels.get(mark, Label())

    def rows_within(
        self, begin: float, end: float, lanes: Iterable[int], origin: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """Rows of the trace, ascending, of what begins in a stretch of time on these lanes.

        Args:
            begin: seconds from the origin of the lane.
            end: seconds from there, included.
            lanes: their codes.
            origin: zero of each lane's time by code, seconds since the trace's epoch.
        """
        wanted, found = list(lanes), []
        for columns, x in ((self._ticks, "x"), (self._marks, "x0")):
            lane = np.array(columns["lane"], dtype=np.int64)
            at = np.array(columns[x]) - origin[lane]
            found.append(np.array(columns["row"], dtype=np.int64)[np.isin(lane, wanted) & (at >= begin) & (at <= end)])
        rows: NDArray[np.int64] = np.unique(np.concatenate(found))
        return rows

    def since(self, cursor: Cursor, **frame: Any) -> Delta:
        """What came after ``cursor``; costs what is new, not what is there."""
        until = self.cursor
        changed = sorted({mark for mark in self._journal[cursor.patches :] if mark < cursor.marks})
        touched = [*changed, *range(cursor.marks, until.marks)]
        return Delta(
            since=cursor,
            until=until,
            ticks=Ticks(**_slice(self._ticks, TICK_COLUMNS, cursor.ticks)),
            marks=Marks(**_slice(self._marks, MARK_COLUMNS, cursor.marks)),
            changed=np.array(changed, dtype=np.int32),
            changes=Marks(**_pick(self._marks, MARK_COLUMNS, changed)),
            labels={mark: self._labels[mark] for mark in touched if mark in self._labels},
            words=tuple(self._words[cursor.words :]),
            **frame,
        )


def _slice(columns: dict[str, array[Any]], types: dict[str, str], start: int) -> dict[str, Any]:
    return {name: np.array(columns[name][start:], dtype=code) for name, code in types.items()}


def _pick(columns: dict[str, array[Any]], types: dict[str, str], places: list[int]) -> dict[str, Any]:
    return {name: np.array([columns[name][i] for i in places], dtype=code) for name, code in types.items()}


def clip(text: str, limit: int) -> str:
    """One line of at most ``limit`` characters."""
    flat = " ".join(text[: limit * 4].split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def span(seconds: float) -> str:
    """A duration as people read it: ``4 ms``, ``0.4 ms``, ``1.24 s``."""
    ms = seconds * 1000
    if ms < 1:
        return f"{ms:.1f} ms"
    return f"{ms:.0f} ms" if ms < 1000 else f"{seconds:.2f} s"
