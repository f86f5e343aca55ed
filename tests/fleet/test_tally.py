"""Counts that can be added up."""

from __future__ import annotations

import numpy as np
import pytest

from chatkit.fleet import counting, rows, shard, tally
from tests.fleet.crowd import BAD, GOOD, crowd


def counted(lives) -> tally.Tally:
    """The tally of these rows."""
    base = shard.connect(threads=1)
    base.register("given", rows.table(lives))
    shard._create(base, "t")
    shard._insert(base, "t", 0, rows.table(lives))
    found = counting.tally(base, "t", ("version", "region"))
    base.close()
    return found


def test_parts_add_up_to_the_whole() -> None:
    """Whatever the cut."""
    lives = crowd(900)
    whole, parts = counted(lives), tally.merged([counted(lives[:100]), counted(lives[100:101]), counted(lives[101:])])
    assert parts.rows == whole.rows == 900
    for mine, theirs in zip(
        (*parts.quiet, *parts.opened, *parts.ended), (*whole.quiet, *whole.opened, *whole.ended), strict=True
    ):
        assert mine.tolist() == theirs.tolist()
    for value in (BAD, GOOD):
        mine, theirs = (tally.counts(one.cohorts["version"], value) for one in (parts, whole))
        assert mine.seconds.tolist() == theirs.seconds.tolist()
        assert (mine.deaths.tolist(), mine.others.tolist()) == (theirs.deaths.tolist(), theirs.others.tolist())
    assert sorted(tally.seen(parts.cohorts["version"])) == sorted(tally.seen(whole.cohorts["version"]))


def test_a_duration_is_known_to_a_thousandth() -> None:
    """The middle of its step."""
    seconds = np.array([0.002, 1.0, 59.99, 86_400.0])
    steps = np.floor(np.log(seconds / tally.SHORTEST) * tally.FINENESS).astype(np.int64)
    assert tally.seconds_of(steps) == pytest.approx(seconds, rel=1e-3)


def test_many_values_are_pooled() -> None:
    """The largest stay, the others are one; nobody is lost."""
    lives = [
        rows.Row(
            source="s",
            connection=str(n),
            state="ended",
            ended=True,
            lifetime_s=1.0,
            closed_by="server",
            close_code=1011,
            version=f"v{min(n, 100)}",
        )
        for n in range(300)
    ]
    columns = tally.pooled(counted(lives).cohorts["version"])
    values = set(columns["value"].tolist())
    assert len(values) == tally.MOST_VALUES + 1
    assert {"v100", tally.REST} <= values
    assert int(columns["n"].sum()) == 300


def test_a_course_has_no_more_steps_than_fit() -> None:
    """Every opening, end and death is in it once."""
    found = counted(crowd(900))
    made = tally.course(found)
    assert made is not None
    assert len(made.died) <= tally.MOST_STEPS
    assert made.opened.sum() == made.ended.sum() == 900
    assert made.died.sum() == found.ended[2].sum()
    assert made.watched.sum() == pytest.approx(sum(one.lifetime_s for one in crowd(900)), rel=1e-3)
