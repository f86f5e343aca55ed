"""Ratios, their intervals, and corrected p-values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.diagnosis.survival import log_rank
from chatkit.errors import InvalidInput
from chatkit.fleet.comparing import Counts, compare, hazard_ratio, holm, risk_ratio


def counted(seconds, died) -> Counts:
    """Lives by duration."""
    time, place = np.unique(np.asarray(seconds, float), return_inverse=True)
    dead = np.bincount(place, weights=np.asarray(died, float), minlength=len(time)).astype(np.int64)
    return Counts(seconds=time, deaths=dead, others=np.bincount(place, minlength=len(time)).astype(np.int64) - dead)


def exponential(mean: float, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Lives with a constant hazard, watched for 100 s."""
    life = np.random.default_rng(seed).exponential(mean, n).round(3)
    return np.minimum(life, 100.0), life < 100.0


def test_a_cohort_that_dies_three_times_as_fast() -> None:
    """The interval holds the true ratio, the log-rank p is that of the general test, and it stands on top."""
    bad, good = exponential(20, 2000, 1), exponential(60, 2000, 2)
    found = compare({"version": {"bad": counted(*bad), "good": counted(*good)}}, {})
    first = found[0]
    assert (first.by, first.value, first.measure, first.differs) == ("version", "bad", "drops", True)
    assert first.ratio.low < 3 < first.ratio.high
    assert (first.n, first.events) == (2000, int(bad[1].sum()))
    assert (first.others, first.other_events) == (2000, int(good[1].sum()))
    small, few = exponential(30, 60, 3), exponential(40, 60, 4)
    mine = compare({"v": {"a": counted(*small), "b": counted(*few)}}, {})[0]
    assert mine.ratio.p == pytest.approx(log_rank({"a": small, "b": few}).p, rel=1e-9)


def test_cohorts_that_are_alike_do_not_differ() -> None:
    """Whatever their sizes."""
    found = compare({"region": {"a": counted(*exponential(30, 500, 5)), "b": counted(*exponential(30, 3000, 6))}}, {})
    assert [one.differs for one in found] == [False, False]


def test_a_cohort_without_a_death() -> None:
    """Is bounded from above; its mirror from below."""
    lives = {"a": counted([10.0] * 50, [False] * 50), "b": counted([5.0] * 50, [True] * 50)}
    found = {one.value: one for one in compare({"v": lives}, {})}
    assert found["a"].ratio.value == 0
    assert 0 < found["a"].ratio.high < 1
    assert found["b"].ratio.value == math.inf
    assert found["b"].ratio.low == pytest.approx(1 / found["a"].ratio.high)
    assert found["b"].to_dict()["ratio"] is None


def test_small_cohorts_and_single_ones_are_not_compared() -> None:
    """Twenty lives are needed, and somebody to compare with."""
    few = counted([1.0] * 19, [True] * 19)
    many = counted([1.0] * 50, [True] * 50)
    assert compare({"v": {"few": few, "many": many}}, {}) == ()
    assert compare({"v": {"many": many}}, {"v": {"many": (50, 0)}}) == ()


def test_refusals() -> None:
    """A share that is five times as large."""
    found = compare({}, {"proxy": {"edge": (1000, 100), "core": (1000, 20)}})
    assert [(one.value, one.measure) for one in found] == [("edge", "refusals"), ("core", "refusals")]
    assert found[0].ratio.low < 5 < found[0].ratio.high
    assert found[0].differs


def test_risk_ratio_where_one_group_has_none() -> None:
    """Finite, and one where nobody has any."""
    ratio = risk_ratio(10, 100, 0, 100)
    assert 1 < ratio.low < ratio.value < math.inf
    assert risk_ratio(0, 10, 0, 10).p == 1.0


def test_no_deaths_say_nothing() -> None:
    """From 0 to infinity."""
    none, some = np.zeros(3, np.int64), np.ones(3, np.int64)
    ratio = hazard_ratio(none, some, none, some)
    assert (ratio.low, ratio.high, ratio.p) == (0.0, math.inf, 1.0)


def test_holm_by_hand() -> None:
    """The smallest times their number, and never less than the one before."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    with pytest.raises(InvalidInput):
        holm([1.2])


@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_keeps_the_order_and_never_helps(p: list[float]) -> None:
    """Corrected values are at least the raw ones, at most 1, in the same order."""
    corrected = holm(p)
    assert all(raw <= one <= 1 for raw, one in zip(p, corrected, strict=True))
    order = sorted(range(len(p)), key=p.__getitem__)
    assert [corrected[i] for i in order] == sorted(corrected)
