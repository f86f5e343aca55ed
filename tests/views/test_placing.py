"""Words stand where none covers another."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from builders import event, incident_trace, trace
from chatkit.events import Logged, Opened, TransportEnded
from chatkit.views.palette import Shape, Tone
from chatkit.views.placing import CHARACTER, Placed, place
from chatkit.views.sheet import Cursor, Label, Layout, Sheet
from chatkit.views.timeline import lay_out

WIDTH = 1000.0


def layout(*marks: tuple[Shape, float, float, Label], lane: int = 9) -> Layout:
    """These marks on one lane, over ten seconds."""
    sheet = Sheet()
    for shape, begin, end, label in marks:
        sheet.mark(shape, Tone.OK, lane, begin, end, row=0, kind=0, word=0, label=label)
    return sheet.since(Cursor(), lanes=(), first=0.0, last=10.0, epoch=0.0, events=0)


def pixel(seconds: float) -> float:
    """Ten seconds over the whole width."""
    return seconds * WIDTH / 10


def extent(placed: Placed, scale: Any = pixel) -> tuple[float, float]:
    """From where to where its words stand."""
    room = max(len(placed.label.strong) + len(placed.label.dim) + 1, len(placed.label.below)) * CHARACTER
    at = scale(placed.x) + placed.shift
    return (at - room, at) if placed.left else (at, at + room)


@pytest.mark.parametrize(
    ("shape", "begin", "end", "x", "left", "low"),
    [
        (Shape.CROSS, 2.0, 2.0, 2.0, False, False),
        (Shape.CROSS, 9.9, 9.9, 9.9, True, False),
        (Shape.BAR, 2.0, 4.0, 4.0, False, False),
        (Shape.BAR, 6.0, float("inf"), 6.0, True, False),
        (Shape.SEGMENT, 2.0, 6.0, 2.0, False, False),
        (Shape.UNDERLINE, 2.0, 6.0, 2.0, False, True),
        (Shape.ARC, 2.0, 2.1, 2.0, False, True),
    ],
)
def test_where_a_label_stands(shape: Shape, begin: float, end: float, x: float, left: bool, low: bool) -> None:
    """After its mark, before it where there is no room, below the line for what hangs there."""
    (one,) = place(layout((shape, begin, end, Label("some words"))), pixel, WIDTH)
    assert (one.x, one.left, one.low) == (x, left, low)


@pytest.mark.parametrize(
    ("shape", "begin", "end", "label"),
    [
        (Shape.SEGMENT, 2.0, 2.1, Label("a state that was short")),
        (Shape.CROSS, 5.0, 5.0, Label("x" * 200)),
        (Shape.CROSS, 5.0, 5.0, Label()),
    ],
)
def test_what_does_not_fit_is_left_out(shape: Shape, begin: float, end: float, label: Label) -> None:
    """Rather no words than words upon words."""
    assert place(layout((shape, begin, end, label)), pixel, WIDTH) == []


def test_endings_come_first() -> None:
    """Where two want one place, and where only so many may be."""
    words = Label("of twenty characters")
    both = layout((Shape.POINT, 2.0, 2.0, words), (Shape.CROSS, 2.05, 2.05, words), (Shape.POINT, 6.0, 6.0, words))
    assert place(both, pixel, WIDTH)[0].mark == 1
    assert [one.mark for one in place(both, pixel, WIDTH, most=1)] == [1]


def test_an_end_of_a_short_life_stands_before_it() -> None:
    """Not upon it."""
    short = layout((Shape.LIFE, 9.5, 9.9, Label()), (Shape.CROSS, 9.9, 9.9, Label("RST by server")))
    (one,) = place(short, pixel, WIDTH)
    assert (one.left, one.x) == (True, 9.5)


@pytest.mark.parametrize("width", [300.0, 700.0, 1000.0, 2000.0])
def test_no_words_cover_others(width: float) -> None:
    """In the incident, at any width, and all inside the drawing."""
    whole = lay_out(incident_trace())

    def scale(seconds: float) -> float:
        return (seconds - whole.first) / (whole.last - whole.first) * width

    placed = place(whole, scale, width)
    assert placed
    for one, other in itertools.combinations(placed, 2):
        if (whole.marks.lane[one.mark], one.low) == (whole.marks.lane[other.mark], other.low):
            a, b = sorted([extent(one, scale), extent(other, scale)])
            assert a[1] <= b[0] + 1e-6, (one, other)
    assert all(a >= 0 and b <= width + 12 for a, b in (extent(one, scale) for one in placed))


def test_an_ending_without_room_beside_it_stands_below() -> None:
    """Facts of a log close to the end do not hide how it ended."""
    facts = [event(Logged, 9.0 + n / 10, id=str(n + 1), by="proxy", what="upstream-timeout") for n in range(9)]
    found = lay_out(
        trace(event(Opened, 0.0, id="0"), *facts, event(TransportEnded, 10.0, id="20", how="rst", by="server"))
    )
    placed = place(found, lambda seconds: seconds * 100, 1000)
    (ending,) = [one for one in placed if one.label.strong == "RST by server"]
    assert ending.low
    assert ending.left


def boxes(whole: Layout, placed: list[Placed], scale: Any, pitch: float) -> list[tuple[float, float, float, float]]:
    """Left, right, top and bottom of every line of words, as the drawings put them."""
    order = {lane.code: n for n, lane in enumerate(whole.lanes)}
    found = []
    for one in placed:
        a, b = extent(one, scale)
        y = order[int(whole.marks.lane[one.mark])] * pitch
        middle = y + 18 * min(1.0, pitch / 38) if one.low else y
        found.append((a, b, middle - 5.5, middle + 5.5))
        if one.label.below:
            under = len(one.label.below) * CHARACTER
            found.append((*((b - under, b) if one.left else (a, a + under)), y + 8, y + 18))
    return found


@pytest.mark.parametrize("pitch", [12.0, 15.0, 20.0, 25.9, 26.0, 29.0, 34.0, 38.0])
def test_no_words_reach_into_another_line_or_lane(pitch: float) -> None:
    """However close the lanes stand: words keep their size."""
    whole = lay_out(incident_trace())

    def scale(seconds: float) -> float:
        return (seconds - whole.first) / (whole.last - whole.first) * 1_000

    placed = place(whole, scale, 1_000, pitch=pitch)
    assert any(one.label.strong for one in placed), "endings are told at any pitch"
    assert any(one.low for one in placed) == (pitch >= 26)
    for one, other in itertools.combinations(boxes(whole, placed, scale, pitch), 2):
        assert one[1] <= other[0] or other[1] <= one[0] or one[3] <= other[2] or other[3] <= one[2], (one, other)
    assert place(whole, scale, 1_000, pitch=11.9) == []
