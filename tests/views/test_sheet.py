"""Columns that grow, patches that travel, words that are bounded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from chatkit.views.palette import Shape, Tone
from chatkit.views.sheet import MAX_WORDS, OPEN_END, Cursor, Delta, Label, Lane, Sheet, clip, span

FRAME: dict[str, Any] = {"lanes": (), "first": 0.0, "last": 9.0, "epoch": 0.0, "events": 0}


def bar(sheet: Sheet, at: float = 0.0, end: float | None = OPEN_END, **more: Any) -> int:
    """A mark."""
    return sheet.mark(Shape.BAR, Tone.OK, 1, at, end, row=0, kind=0, word=0, **more)


def ticks(sheet: Sheet, *at: float) -> None:
    """Frames received."""
    zero = np.zeros(len(at))
    sheet.tick(x=np.array(at), lane=zero, row=zero, word=zero, size=zero, up=zero + 1)


def test_the_delta_since_nothing_is_everything() -> None:
    """And since now it is nothing."""
    sheet = Sheet()
    ticks(sheet, 1.0, 2.0)
    bar(sheet, 1.5, label=Label("a"))
    sheet.word("w")
    whole = sheet.since(Cursor(), **FRAME)
    assert (len(whole.ticks), len(whole.marks), whole.words, whole.labels) == (2, 1, ("w",), {0: Label("a")})
    assert whole.until == sheet.cursor == Cursor(2, 1, 1, 0)
    rest = sheet.since(sheet.cursor, **FRAME)
    assert (len(rest.ticks), len(rest.marks), rest.words, rest.labels, len(rest.changed)) == (0, 0, (), {}, 0)


def test_a_patch_reaches_who_holds_the_mark_already() -> None:
    """Once, however often it was patched; who does not hold the mark gets it as it is now."""
    sheet = Sheet()
    first = bar(sheet)
    held = sheet.cursor
    second = bar(sheet, 3.0)
    sheet.patch(first, x1=2.0)
    sheet.patch(first, x1=4.0, tone=Tone.BAD)
    sheet.patch(second, x1=5.0)
    sheet.relabel(first, Label("ended"))
    delta = sheet.since(held, **FRAME)
    assert delta.changed.tolist() == [first]
    assert (delta.changes.x1.tolist(), delta.changes.tone.tolist()) == ([4.0], [Tone.BAD])
    assert (delta.marks.x0.tolist(), delta.marks.x1.tolist()) == ([3.0], [5.0])
    assert delta.labels == {first: Label("ended")}
    assert sheet.since(sheet.cursor, **FRAME).changed.tolist() == []


def apply(held: dict[int, float], delta: Delta) -> dict[int, float]:
    """What a receiver does: the ends of the marks."""
    known = held | dict(zip(delta.changed.tolist(), delta.changes.x1.tolist(), strict=True))
    return known | {len(held) + n: x for n, x in enumerate(delta.marks.x1.tolist())}


def test_deltas_one_after_the_other_are_the_whole() -> None:
    """A receiver that follows holds what one that comes late gets at once."""
    sheet, held, cursor = Sheet(), {}, Cursor()
    for n in range(6):
        bar(sheet, float(n))
        if n % 2:
            sheet.patch(n - 1, x1=n + 0.5)
        held, cursor = apply(held, sheet.since(cursor, **FRAME)), sheet.cursor
    assert held == apply({}, sheet.since(Cursor(), **FRAME))


def test_a_mark_can_be_asked() -> None:
    """Where it begins, whether it is open, what stands beside it."""
    sheet = Sheet()
    open_, point = bar(sheet, 1.0), bar(sheet, 2.0, None)
    assert [sheet.begin(open_), sheet.begin(point)] == [1.0, 2.0]
    assert [sheet.is_open(open_), sheet.is_open(point)] == [True, False]
    assert sheet.label(point) == Label()
    whole = sheet.since(Cursor(), **FRAME)
    assert whole.marks.take(np.array([1])).x1.tolist() == [2.0]


def test_words_are_kept_once_and_bounded() -> None:
    """A peer's text too."""
    sheet = Sheet()
    assert [sheet.word(text) for text in ("a", "b", "a", " a\n")] == [0, 1, 0, 0]
    sheet.word("x" * 100_000)
    assert max(map(len, sheet.since(Cursor(), **FRAME).words)) == MAX_WORDS


def test_connections_are_counted_by_their_lanes() -> None:
    """Other lanes are beside them."""
    lanes = tuple(Lane(code=n, title="t", kind=kind) for n, kind in enumerate(["client", "connection", "connection"]))
    assert Sheet().since(Cursor(), **(FRAME | {"lanes": lanes})).connections == 2


@pytest.mark.parametrize(
    ("text", "limit", "line"),
    [("", 5, ""), (" a \n b ", 5, "a b"), ("12345", 5, "12345"), ("123456", 5, "1234…"), (" " * 99 + "a", 5, "")],
)
def test_clip(text: str, limit: int, line: str) -> None:
    """One line; only the beginning is looked at."""
    assert clip(text, limit) == line


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0, "0.0 ms"), (0.0004, "0.4 ms"), (0.004, "4 ms"), (0.25, "250 ms"), (1.24, "1.24 s"), (90.0, "90.00 s")],
)
def test_span(seconds: float, words: str) -> None:
    """As people read it."""
    assert span(seconds) == words
