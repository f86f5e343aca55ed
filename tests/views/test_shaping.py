"""A layout made fit for a still picture."""

from __future__ import annotations

import numpy as np
import pytest

from builders import event, incident_trace, trace
from chatkit.events import HealthChecked, PingSent
from chatkit.views import shaping
from chatkit.views.palette import Shape
from chatkit.views.shaping import aligned, few, headline, thin
from chatkit.views.timeline import lay_out


@pytest.mark.parametrize(
    ("zone", "words"),
    [
        ("UTC", "4 connections, 148 events, 16:02:05–16:02:47 UTC"),
        ("Asia/Kolkata", "4 connections, 148 events, 21:32:05–21:32:47 UTC+5:30"),
    ],
)
def test_headline(zone: str, words: str) -> None:
    """Counts, and when, with the zone."""
    assert headline(lay_out(incident_trace()), zone) == words


def test_aligned_lives_begin_at_zero() -> None:
    """Each by its own opening; what has no such zero is left out, and nothing is open any more."""
    whole = lay_out(incident_trace())
    moved = aligned(whole)
    assert {lane.kind for lane in moved.lanes} == {"connection"}
    lives = moved.marks.shape == 0
    np.testing.assert_allclose(moved.marks.x0[lives], 0.0, atol=1e-9)
    assert np.isfinite(moved.marks.x1).all()
    codes = [lane.code for lane in moved.lanes]
    assert set(moved.ticks.lane.tolist()) <= set(codes)
    outside = ~np.isin(moved.marks.lane, codes)
    assert np.isnan(moved.marks.x0[outside]).all()
    assert [m for m in moved.labels if outside[m]] == []
    assert moved.first <= 0 <= moved.last
    assert len(moved.marks) == len(whole.marks), "a label's number is still its mark's"


def test_alignment_leaves_the_layout_as_it_was() -> None:
    """It is a value."""
    whole = lay_out(incident_trace())
    before = whole.marks.x0.copy()
    aligned(whole)
    np.testing.assert_array_equal(whole.marks.x0, before)


def test_nothing_to_align() -> None:
    """A trace without connections has no lane left."""
    checked = event(HealthChecked, 3.0, None, method="GET", healthy=True, seconds=0.1, status=200)
    for layout in (lay_out(trace()), lay_out(trace(checked))):
        moved = aligned(layout)
        assert (moved.lanes, moved.first, moved.last) == ((), 0.0, 0.0)


def test_what_fits_is_not_thinned() -> None:
    """And nothing is said."""
    whole = lay_out(incident_trace())
    assert thin(whole) == (whole, "")


def test_frames_are_thinned_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """One per pixel and lane and side; what is left is a part of what was there."""
    whole = lay_out(incident_trace())
    monkeypatch.setattr(shaping, "MOST_MARKS", len(whole.marks) + 20)
    monkeypatch.setattr(shaping, "BINS", 10)
    few, said = thin(whole)
    assert 0 < len(few.ticks) <= 20 < len(whole.ticks)
    assert set(few.ticks.row.tolist()) < set(whole.ticks.row.tolist())
    assert said.startswith(f"{len(whole.ticks)} frames drawn as {len(few.ticks)}: one per ")
    assert "other marks" not in said


def test_marks_that_are_left_out_keep_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a begin of nan, so that labels and rows still fit."""
    whole = lay_out(trace(*(event(PingSent, n / 100, id=str(n)) for n in range(500))))
    monkeypatch.setattr(shaping, "MOST_MARKS", 100)
    monkeypatch.setattr(shaping, "BINS", 50)
    few, said = thin(whole)
    drawn = ~np.isnan(few.marks.x0)
    assert len(few.marks) == len(whole.marks)
    assert 40 <= drawn.sum() <= 110
    np.testing.assert_array_equal(few.marks.x0[drawn], whole.marks.x0[drawn])
    assert f"other marks as {drawn.sum()}" in said


@pytest.mark.parametrize("most", [100, 40, 12])
def test_few_stands_alone(most: int) -> None:
    """Words and labels fit what is left; lives and ends stay before the rest."""
    whole = lay_out(incident_trace())
    layout, said = few(whole, most)
    assert len(layout.ticks) + len(layout.marks) <= most + 10
    assert said.startswith(f"{len(whole.ticks) + len(whole.marks)} marks drawn as ")
    assert (layout.until.ticks, layout.until.marks) == (len(layout.ticks), len(layout.marks))
    for old, new in ((whole.marks, layout.marks), (whole.ticks, layout.ticks)):
        said_before = dict(zip(old.row.tolist(), (whole.words[n] for n in old.word.tolist()), strict=True))
        words = [layout.words[n] for n in new.word.tolist()]
        assert all(word in whole.words for word in words)
        assert set(new.row.tolist()) <= set(said_before)
    strong = {label.strong for label in layout.labels.values()} - {""}
    assert strong == {"RST by server"}
    assert np.isin([Shape.CROSS], layout.marks.shape).all()


def test_few_of_few_is_all() -> None:
    """Nothing is done to a small layout."""
    whole = lay_out(incident_trace())
    assert few(whole, 10_000) == (whole, "")
