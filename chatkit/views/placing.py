"""Where words stand beside marks so that none covers another; pure, in pixels of a nominal width."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import numpy as np
from msgspec import Struct

from chatkit.views.palette import Shape
from chatkit.views.sheet import Label, Layout
from chatkit.views.sidelines import STREAMING

CHARACTER = 6.2
"""Pixels of one character at 11 px, on average and on the safe side."""
SHORT = 80
"""Pixels of a life that has no room for words upon it."""
TWO_LINES = 26.0
"""Pixels between lanes from which a second line of words has room in each."""
ONE_LINE = 12.0
"""Pixels between lanes from which there is room for words at all."""
_FIRST = (Shape.CROSS, Shape.END, Shape.UNDERLINE, Shape.ARC, Shape.BAR, Shape.DIAMOND, Shape.AREA, Shape.POINT)
_GAP = {
    Shape.CROSS: 10,
    Shape.END: 6,
    Shape.BAR: 6,
    Shape.SEGMENT: 5,
    Shape.UNDERLINE: 2,
    Shape.ARC: 14,
    Shape.AREA: 16,
}
_LOW = (Shape.UNDERLINE, Shape.ARC)
_SOLID = (Shape.CROSS, Shape.BAR, Shape.POINT, Shape.DIAMOND)


class Placed(Struct, frozen=True):
    """A label with its place."""

    mark: int
    label: Label
    x: float
    """Seconds: where it is anchored."""
    shift: float
    """Pixels to the right of there, negative to the left."""
    low: bool
    """Whether it stands below the centre line."""
    left: bool
    """Whether it ends at its anchor instead of beginning there."""


class _Row:
    """Taken stretches of one line of text, pixels."""

    def __init__(self) -> None:
        self.taken: list[tuple[float, float]] = []

    def free(self, begin: float, end: float) -> bool:
        return all(end <= a or begin >= b for a, b in self.taken)


def place(
    layout: Layout, pixel: Callable[[float], float], width: float, most: int = 250, *, pitch: float = 38.0
) -> list[Placed]:
    """The labels that fit, endings first.

    Args:
        layout: what is labelled.
        pixel: seconds to pixels.
        width: of the drawing, pixels.
        most: labels at most.
        pitch: pixels from lane to lane; words do not shrink with it, so of closer lanes only the first line has any.
    """
    if pitch < ONE_LINE:
        return []
    rows: dict[tuple[int, bool], _Row] = defaultdict(_Row)
    marks = layout.marks
    for m in np.flatnonzero(np.isin(marks.shape, _SOLID) & ~np.isnan(marks.x0)).tolist():
        begin, end = pixel(float(marks.x0[m])), pixel(min(float(marks.x1[m]), layout.last))
        rows[int(marks.lane[m]), False].taken.append((begin - 4, max(end, begin) + 4))
    born = _births(layout)
    rank = {shape: n for n, shape in enumerate(_FIRST)}
    wanted = [m for m, label in layout.labels.items() if label != Label()]
    wanted.sort(key=lambda m: (rank.get(Shape(int(marks.shape[m])), 99), m))
    placed: list[Placed] = []
    for m in wanted:
        if len(placed) == most:
            break
        found = _fit(layout, m, pixel, width, rows, born, pitch >= TWO_LINES)
        if found is not None:
            placed.append(found)
    return placed


def _births(layout: Layout) -> dict[int, float]:
    """Where the life of each lane begins: words to the left of a short one stand before it, not upon it."""
    marks = layout.marks
    lives = np.flatnonzero(np.isin(marks.shape, (Shape.LIFE, Shape.ATTEMPT)))
    return {int(marks.lane[m]): float(marks.x0[m]) for m in lives[::-1].tolist()}


def _fit(
    layout: Layout,
    m: int,
    pixel: Callable[[float], float],
    width: float,
    rows: dict[tuple[int, bool], _Row],
    born: dict[int, float],
    two: bool,
) -> Placed | None:
    marks, label = layout.marks, layout.labels[m]
    if not two:
        label = Label(label.strong, label.dim)
    shape, lane = Shape(int(marks.shape[m])), int(marks.lane[m])
    begin, end = float(marks.x0[m]), min(float(marks.x1[m]), layout.last)
    low = shape in _LOW or lane == STREAMING
    if low and not two:
        return None
    anchor = begin if low or shape is Shape.SEGMENT else end
    gap = 2 if lane == STREAMING else _GAP.get(shape, 10)
    room = max(len(label.strong) + len(label.dim) + 1, len(label.below)) * CHARACTER
    if shape is Shape.SEGMENT and pixel(end) - pixel(begin) < room + gap:
        return None
    before = min(begin, born.get(lane, begin)) if shape in (Shape.CROSS, Shape.END) else begin
    if pixel(begin) - pixel(before) > SHORT:
        before = begin
    # An ending's words stand below the line rather than nowhere.
    for down in (False, True) if two and shape in (Shape.CROSS, Shape.END) else (low,):
        words = Label(label.strong, label.dim) if down and not low else label
        row, below = rows[lane, down], rows[lane, True]
        for left in (False, True):
            at = pixel(before if left else anchor)
            a, b = (at - gap - room, at - gap) if left else (at + gap, at + gap + room)
            if b > width + 12 or a < 0 or not row.free(a, b) or (words.below and not below.free(a, b)):
                continue
            row.taken.append((a, b))
            if words.below:
                under = len(words.below) * CHARACTER
                below.taken.append((b - under, b) if left else (a, a + under))
            return Placed(m, words, before if left else anchor, -gap if left else gap, down, left)
    return None
