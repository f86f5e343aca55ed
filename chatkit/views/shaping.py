"""What is done to a whole layout before it is drawn as a still picture: a title, an alignment, fewer ticks; pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import tzinfo
from typing import TYPE_CHECKING

import numpy as np

from chatkit.views.palette import Shape
from chatkit.views.sheet import Cursor, Layout, Ticks, span
from chatkit.views.when import count, stretch

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_MARKS = 100_000
"""Marks of one figure; ticks beyond are thinned, and the figure says so."""
BINS = 2_000


def headline(layout: Layout, zone: tzinfo | str | None = None) -> str:
    """``4 connections, 214 events, 18:02:05–18:02:47 UTC+2``."""
    times = stretch(layout.epoch + layout.first, layout.epoch + layout.last, zone)
    return f"{count(layout.connections, 'connection')}, {count(layout.events, 'event')}, {times}"


def aligned(layout: Layout) -> Layout:
    """The same with every connection's opening at 0; the lanes beside them have no such zero and are left out."""
    lanes = tuple(lane for lane in layout.lanes if lane.kind == "connection")
    codes = np.array([lane.code for lane in lanes], dtype=np.int32)
    origin = np.zeros(max((lane.code for lane in layout.lanes), default=0) + 1)
    for lane in lanes:
        origin[lane.code] = lane.origin or 0.0
    marks, ticks = layout.marks, layout.ticks
    last = np.where(np.isinf(marks.x1), layout.last, marks.x1)
    outside = ~np.isin(marks.lane, codes)
    moved = replace(marks, x0=marks.x0 - origin[marks.lane], x1=last - origin[marks.lane])
    moved.x0[outside] = np.nan
    keep = np.isin(ticks.lane, codes)
    columns = {name: column[keep] for name, column in vars(ticks).items()}
    columns["x"] = columns["x"] - origin[columns["lane"]]
    ends = [moved.x1[~outside], moved.x0[~outside], columns["x"], np.zeros(1)]
    every = np.concatenate(ends)
    labels = {m: label for m, label in layout.labels.items() if not outside[m]}
    first, last_ = float(every.min()), float(every.max())
    return replace(layout, lanes=lanes, marks=moved, ticks=Ticks(**columns), labels=labels, first=first, last=last_)


def thin(layout: Layout) -> tuple[Layout, str]:
    """At most about ``MOST_MARKS`` marks, and what was done: of what falls into one pixel of a lane, the first stays.

    Marks that are left out keep their place in the columns with a begin of ``nan``.
    """
    ticks, marks = layout.ticks, layout.marks
    if len(ticks) + len(marks) <= MOST_MARKS:
        return layout, ""
    width = max(layout.last - layout.first, 1e-9) / BINS
    side = ticks.lane.astype(np.int64) * 2 + (ticks.up > 0)
    kept = _first_per_cell(side, ticks.x - layout.first, width)
    few = Ticks(**{name: column[kept] for name, column in vars(ticks).items()})
    said = f"{len(ticks):,} frames drawn as {len(few):,}: one per {span(width)} and lane; the explorer shows all"
    if len(marks) + len(few) <= MOST_MARKS:
        return replace(layout, ticks=few), said
    kind = (marks.lane.astype(np.int64) * 16 + marks.shape) * 4 + marks.level
    drawn = np.union1d(
        _first_per_cell(kind, marks.x0 - layout.first, width), np.flatnonzero(marks.x1 - marks.x0 > width)
    )
    x0 = np.full(len(marks), np.nan)
    x0[drawn] = marks.x0[drawn]
    labels = {m: label for m, label in layout.labels.items() if not np.isnan(x0[m])}
    said += f"; {len(marks):,} other marks as {len(drawn):,}"
    return replace(layout, ticks=few, marks=replace(marks, x0=x0), labels=labels), said


def few(layout: Layout, most: int) -> tuple[Layout, str]:
    """A layout of about ``most`` ticks and marks that can stand alone, and what was done.

    What is crowded goes first: of each stretch of a lane one tick stays. Marks with words, and what takes longer than
    a stretch, stay before others. Numbers of marks and words are new.
    """
    ticks, marks = layout.ticks, layout.marks
    if len(ticks) + len(marks) <= most:
        return layout, ""
    side = ticks.lane.astype(np.int64) * 2 + (ticks.up > 0)
    groups = max(1, len(np.unique(side)))
    room = most - min(len(marks), most // 2)
    width = max(layout.last - layout.first, 1e-9) / max(1, room // groups)
    kept = _first_per_cell(side, ticks.x - layout.first, width) if len(ticks) > room else np.arange(len(ticks))
    drawn = _worthy(layout, width, max(0, most - len(kept)))
    words = np.unique(np.concatenate((ticks.word[kept], marks.word[drawn])))
    new = np.zeros(max(len(layout.words), 1), np.int32)
    new[words] = np.arange(len(words))
    columns = {name: column[kept] for name, column in vars(ticks).items()}
    columns["word"] = new[columns["word"]]
    chosen = marks.take(drawn)
    places = {int(mark): n for n, mark in enumerate(drawn.tolist())}
    said = f"{len(ticks) + len(marks):,} marks drawn as {len(kept) + len(drawn):,}: one per {span(width)} and lane"
    return replace(
        layout,
        until=Cursor(len(kept), len(drawn), len(words), layout.until.patches),
        ticks=Ticks(**columns),
        marks=replace(chosen, word=new[chosen.word]),
        labels={places[mark]: label for mark, label in layout.labels.items() if mark in places},
        words=tuple(layout.words[n] for n in words.tolist()),
    ), said


def _worthy(layout: Layout, width: float, most: int) -> NDArray[np.intp]:
    marks = layout.marks
    if len(marks) <= most:
        return np.arange(len(marks))
    kind = (marks.lane.astype(np.int64) * 16 + marks.shape) * 4 + marks.level
    first = _first_per_cell(kind, marks.x0 - layout.first, width)
    rank = np.full(len(marks), 3)
    rank[first] = 2
    rank[marks.x1 - marks.x0 > width] = 1
    rank[list(layout.labels)] = 1
    rank[np.isin(marks.shape, (Shape.LIFE, Shape.OPEN, Shape.CROSS, Shape.END))] = 0
    kept: NDArray[np.intp] = np.sort(np.argsort(rank, kind="stable")[:most])
    return kept


def _first_per_cell(group: NDArray[np.int64], x: NDArray[np.float64], width: float) -> NDArray[np.intp]:
    cell = np.nan_to_num(x / width, nan=-1).astype(np.int64)
    most = max(int(cell.max(initial=0)), 0) + 2
    _, first = np.unique(group * most + cell, return_index=True)
    kept: NDArray[np.intp] = np.sort(first)
    return kept
