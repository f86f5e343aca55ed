"""Kaplan–Meier, hazards and log-rank against scipy, and what holds of every curve."""

from __future__ import annotations

import builtins
import math
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from chatkit.diagnosis.survival import curves, hazard, kaplan_meier, lives, log_rank
from chatkit.errors import InvalidInput, MissingDependency
from tests.builders import incident_trace

RNG = np.random.default_rng(7)
LIVES = st.lists(st.tuples(st.floats(0, 1e6), st.booleans()), max_size=60)


def columns(pairs: list[tuple[float, bool]]) -> tuple[list[float], list[bool]]:
    return [seconds for seconds, _ in pairs], [died for _, died in pairs]


def sample(n: int, seed: int) -> tuple[Any, Any]:
    """Whole seconds, so that ties occur; a third is censored."""
    rng = np.random.default_rng(seed)
    return np.ceil(rng.exponential(30, n)), rng.random(n) < 0.67


@pytest.mark.parametrize(("n", "seed"), [(5, 0), (40, 1), (400, 2)])
def test_as_scipy_computes_it(n: int, seed: int) -> None:
    """Curve, numbers at risk, and the log(-log) band wherever scipy defines it."""
    seconds, died = sample(n, seed)
    curve = kaplan_meier(seconds, died)
    theirs = stats.ecdf(stats.CensoredData.right_censored(seconds, ~died)).sf
    where = np.isin(theirs.quantiles, curve.time)
    assert curve.survival[1:] == pytest.approx(theirs.probabilities[where])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # where all are gone its band is undefined
        band = theirs.confidence_interval(0.95, method="log-log")
    for mine, other in ((curve.low, band.low), (curve.high, band.high)):
        probabilities = other.probabilities[where]
        defined = ~np.isnan(probabilities)
        assert mine[1:][defined] == pytest.approx(probabilities[defined])
    assert curve.at_risk[0] == n
    assert curve.events == died.sum()
    assert len(curve.censored) == n - died.sum()


def test_by_hand() -> None:
    """Of five lives: one dies at 1, one is lost at 2, two die at 3, one goes on."""
    curve = kaplan_meier([3, 1, 2, 3, 4], [True, True, False, True, False])
    assert curve.time.tolist() == [0, 1, 3]
    assert curve.survival.tolist() == pytest.approx([1, 0.8, 0.8 / 3])
    assert curve.at_risk.tolist() == [5, 5, 3]
    assert (curve.median, curve.last) == (3, 4)
    assert [curve.at(t) for t in (0, 0.99, 1, 2.5, 100)] == pytest.approx([1, 1, 0.8, 0.8, 0.8 / 3])
    assert str(curve) == "5 lives, 3 deaths, median 3 s"


@given(LIVES)
def test_every_curve_falls_within_its_band(pairs: list[tuple[float, bool]]) -> None:
    """Monotone, in [0, 1], from 1; the band holds it."""
    curve = kaplan_meier(*columns(pairs))
    assert curve.survival[0] == 1
    assert (np.diff(curve.survival) <= 0).all()
    assert (np.diff(curve.time) >= 0).all()
    for column in (curve.survival, curve.low, curve.high):
        assert ((column >= 0) & (column <= 1)).all()
    assert (curve.low <= curve.survival + 1e-12).all()
    assert (curve.survival <= curve.high + 1e-12).all()


@given(LIVES, st.randoms())
def test_the_order_of_lives_does_not_matter(pairs: list[tuple[float, bool]], random: Any) -> None:
    """Nor does it for the hazard."""
    mixed = list(pairs)
    random.shuffle(mixed)
    one, other = kaplan_meier(*columns(pairs)), kaplan_meier(*columns(mixed))
    assert one.time.tolist() == other.time.tolist()
    assert one.survival.tolist() == other.survival.tolist()
    assert hazard(*columns(pairs))[3:] == pytest.approx(hazard(*columns(mixed))[3:])


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60))
def test_without_censoring_it_is_the_share_that_is_left(seconds: list[float]) -> None:
    """As counting tells."""
    curve = kaplan_meier(seconds, [True] * len(seconds))
    for time, share in zip(curve.time[1:], curve.survival[1:], strict=True):
        assert share == pytest.approx(sum(s > time for s in seconds) / len(seconds))


@pytest.mark.parametrize("n", [23, 24, 38, 44, 46, 54])
def test_a_half_that_is_rounded_is_a_half(n: int) -> None:
    """23/24 · 22/23 · … · 12/13 is a little more than one half on a machine."""
    assert kaplan_meier(range(1, n + 1), [True] * n).median == (n + 1) // 2


def test_unknown_durations_are_left_out_and_none_is_none() -> None:
    """NaN is not zero; no life makes an empty curve."""
    assert kaplan_meier([1, math.nan], [True, True]).n == 1
    empty = kaplan_meier([], [])
    assert (empty.n, empty.median, empty.at(10), str(empty)) == (
        0,
        None,
        1,
        "0 lives, 0 deaths, more than half lived on",
    )


@pytest.mark.parametrize("deaths", [0, 1, 2, 7, 200, 999, 1000, 5000])
def test_the_interval_of_a_hazard_is_the_exact_one(deaths: int) -> None:
    """As chi-square quantiles give it (Garwood); above a thousand by an approximation."""
    found = hazard([10.0] * deaths + [100.0], [True] * deaths + [False])
    exposure = 10.0 * deaths + 100
    assert found.per_s == pytest.approx(deaths / exposure)
    low = stats.chi2.ppf(0.025, 2 * deaths) / 2 if deaths else 0.0
    assert found.low * exposure == pytest.approx(low, rel=1e-5)
    assert found.high * exposure == pytest.approx(stats.chi2.ppf(0.975, 2 * deaths + 2) / 2, rel=1e-5)


def test_nothing_lived_nothing_known() -> None:
    """The hazard is not zero then."""
    found = hazard([], [])
    assert math.isnan(found.per_s)
    assert (found.low, found.high) == (0, math.inf)


@pytest.mark.parametrize("seed", range(4))
def test_two_cohorts_as_scipy_compares_them(seed: int) -> None:
    """The square of its statistic, the same probability."""
    (a, died_a), (b, died_b) = sample(30, seed), sample(25, seed + 100)
    mine = log_rank({"a": (a, died_a), "b": (b * 1.5, died_b)})
    theirs = stats.logrank(
        stats.CensoredData.right_censored(a, ~died_a), stats.CensoredData.right_censored(b * 1.5, ~died_b)
    )
    assert mine.statistic == pytest.approx(theirs.statistic**2)
    assert mine.p == pytest.approx(theirs.pvalue)
    assert sum(mine.observed.values()) == pytest.approx(sum(mine.expected.values()))


def test_more_cohorts_and_those_without_lives() -> None:
    """A degree of freedom for each but one; an empty cohort is none."""
    same = {name: sample(50, seed) for seed, name in enumerate("abc")}
    assert log_rank(same).freedom == 2
    assert log_rank(same).p > 0.01
    other = same | {"d": ([1.0] * 40, [True] * 40), "nobody": ([], [])}
    assert log_rank(other).freedom == 3
    assert log_rank(other).p < 1e-6


@pytest.mark.parametrize(
    "cohorts",
    [{}, {"a": ([1], [True])}, {"a": ([1], [True]), "b": ([], [])}, {"a": ([1], [False]), "b": ([2], [False])}],
)
def test_nothing_to_compare(cohorts: Any) -> None:
    """It says so."""
    with pytest.raises(InvalidInput, match="nothing to compare"):
        log_rank(cohorts)


def test_without_scipy_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Curves and hazards do without."""
    real = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name.startswith("scipy"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingDependency, match="'statistics'"):
        log_rank({"a": ([1], [True]), "b": ([2], [True])})
    assert kaplan_meier([1], [True]).median == 1


def test_a_curve_for_each_cohort() -> None:
    """In the order of first appearance."""
    found = curves(lives(incident_trace(), by=lambda one: "short" if one.id in "123" else "long"))
    assert list(found) == ["short", "long"]
    assert (found["short"].events, found["long"].events) == (3, 0)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: kaplan_meier([1, 2], [True]), "do not match"),
        (lambda: kaplan_meier([-1], [True]), "no such duration"),
        (lambda: kaplan_meier([math.inf], [True]), "no such duration"),
        (lambda: kaplan_meier([1], [True], confidence=95), "no such confidence"),
        (lambda: hazard([1], [True], confidence=0), "no such confidence"),
    ],
)
def test_wrong_columns_are_refused(call: Any, words: str) -> None:
    """With what would fit."""
    with pytest.raises(InvalidInput, match=words):
        call()
