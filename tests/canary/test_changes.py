"""Change points: found where they are, and not where nothing changed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.canary.changes import (
    MOST_DEATHS,
    MOST_NAMED,
    SAMPLES,
    Change,
    Deaths,
    Samples,
    best_cut,
    pettitt,
)

HOUR = 3600.0


def die(deaths: Deaths, gaps: list[float], at: float = 0.0) -> tuple[list[Change], float]:
    """Deaths with so many seconds of life between them; the changes on the way, and the time at the end."""
    found = []
    for gap in gaps:
        at += gap
        deaths.lived(gap)
        deaths.died(at, f"c{at:.0f}")
        found += [change for change in [deaths.change(at)] if change is not None]
    return found, at


def test_a_steady_rate_is_no_change() -> None:
    """Five thousand deaths at one rate: at most one false alarm."""
    found, _ = die(Deaths(), np.random.default_rng(3).exponential(100.0, 5000).tolist())
    assert len(found) <= 1


def test_a_fixed_age_is_no_change() -> None:
    """Deaths like clockwork are as steady as any."""
    assert die(Deaths(), [60.0] * 500)[0] == []


def test_more_deaths() -> None:
    """Found, at a death where the new kind begins, with both rates and those who died."""
    deaths = Deaths()
    _, quiet = die(deaths, [HOUR] * 20)
    (change,), _ = die(deaths, [60.0] * 10, quiet)
    assert (change.what, change.direction) == ("survival", "worse")
    assert change.at in (quiet, quiet + 60.0)
    assert change.before.value == pytest.approx(1.0, rel=0.05)
    assert change.after.value > 20
    assert change.before.high < change.after.low
    assert change.evidence[0] == f"c{change.at:.0f}"
    assert "survival got worse: 0.95 [" in str(change)


def test_the_first_deaths_after_a_quiet_day() -> None:
    """Nobody died before: three in a minute are enough."""
    deaths = Deaths()
    deaths.lived(24 * HOUR)
    found, _ = die(deaths, [20.0] * 3, 24 * HOUR)
    assert [(one.direction, one.before.n, one.after.n) for one in found] == [("worse", 0, 3)]


def test_deaths_stop() -> None:
    """Found while nobody dies: life itself is the evidence."""
    deaths = Deaths()
    die(deaths, [60.0] * 30)
    assert deaths.change(1800.0) is None
    deaths.lived(2 * HOUR)
    change = deaths.change(1800.0 + 2 * HOUR)
    assert change is not None
    assert (change.direction, change.after.n, change.at) == ("better", 0, 1800.0)
    assert change.evidence[-1] == "c1800"


def test_after_a_change_the_new_rate_is_the_normal_one() -> None:
    """It is told once."""
    deaths = Deaths()
    deaths.lived(24 * HOUR)
    found, _ = die(deaths, np.random.default_rng(5).exponential(30.0, 400).tolist(), 24 * HOUR)
    assert [one.direction for one in found] == ["worse"]


def test_all_at_once_is_one_incident() -> None:
    """A restart takes a hundred connections: that is no change."""
    deaths = Deaths()
    deaths.lived(100 * HOUR)
    for n in range(100):
        deaths.died(10.0 + n / 1000, f"c{n}")
    assert deaths.change(11.0) is None
    assert len(deaths.incidents) == 1
    assert len(deaths.incidents[0].connections) == MOST_NAMED


def test_what_is_held_is_bounded() -> None:
    """Of older deaths their number stays, so that the rate does."""
    deaths = Deaths()
    die(deaths, [60.0] * (MOST_DEATHS + 50))
    assert (len(deaths.incidents), deaths.older) == (MOST_DEATHS, 50)


def test_what_was_counted_in_advance_is_taken_back() -> None:
    """But never behind a death."""
    deaths = Deaths()
    die(deaths, [10.0])
    deaths.lived(5.0)
    deaths.lived(-9.0)
    assert deaths.exposure == 10.0


def log_likelihood(before: int, lived: float, after: int, left: float) -> float:
    """Of two rates against one, the plain way."""
    lived, left = max(lived, 1.0), max(left, 1.0)

    def term(deaths: int, seconds: float) -> float:
        return deaths * math.log(deaths / seconds) if deaths else 0.0

    return term(before, lived) + term(after, left) - term(before + after, lived + left)


@given(st.lists(st.floats(0.0, 1000.0), min_size=1, max_size=30), st.floats(0.0, 5000.0), st.integers(0, 5))
def test_the_best_cut_is_the_best(gaps: list[float], rest: float, older: int) -> None:
    """No cut at a death has a greater likelihood ratio, by the plain formula."""
    lived = np.cumsum(gaps).tolist()
    exposure = lived[-1] + rest
    cut = best_cut(lived, exposure, older)
    n = len(lived)
    ways = [
        log_likelihood(older + i, at, n - i, exposure - at)
        for i, at in enumerate(lived)
        if n - i >= 3 and (n - i) / max(exposure - at, 1.0) > (older + i) / max(at, 1.0)
    ] + [
        log_likelihood(older + i + 1, at, n - i - 1, exposure - at)
        for i, at in enumerate(lived)
        if older + i + 1 >= 5 and (n - i - 1) / max(exposure - at, 1.0) < (older + i + 1) / max(at, 1.0)
    ]
    best = max(ways, default=0.0)
    assert (cut.score if cut is not None else 0.0) == pytest.approx(best, abs=1e-6)


@given(st.lists(st.floats(0.001, 10.0), min_size=2, max_size=40))
def test_pettitt_is_pettitts(values: list[float]) -> None:
    """As defined: the sum of signs over all pairs on either side of the cut."""
    place, p = pettitt(values)
    sums = [abs(sum(np.sign(b - a) for a in values[:k] for b in values[k:])) for k in range(1, len(values))]
    n = len(values)
    assert sums[place - 1] == max(sums)
    assert p == pytest.approx(min(1.0, 2 * math.exp(-6 * max(sums) ** 2 / (n**3 + n**2))))


def take(samples: Samples, seconds: list[float], at: float = 0.0) -> list[Change]:
    """Samples every 15 s; the changes on the way."""
    found = []
    for n, one in enumerate(seconds):
        samples.add(at + 15.0 * n, one)
        found += [change for change in [samples.change("latency", at + 15.0 * n)] if change is not None]
    return found


def test_a_steady_latency_is_no_change() -> None:
    """However much it scatters."""
    assert take(Samples(), np.random.default_rng(7).lognormal(-4.0, 1.0, 5000).tolist()) == []


def test_slower_answers() -> None:
    """Found, near where they began, with medians and quartiles of both sides."""
    random = np.random.default_rng(8)
    seconds = [*random.normal(0.02, 0.002, 100).tolist(), *random.normal(0.08, 0.01, 60).tolist()]
    (change,) = take(Samples(), seconds)
    assert (change.what, change.direction) == ("latency", "worse")
    assert abs(change.at - 1500.0) <= 30.0
    assert change.before.value == pytest.approx(0.02, rel=0.1)
    assert change.after.value == pytest.approx(0.08, rel=0.1)
    assert change.score < 1e-6
    assert "latency got worse: median 20" in str(change)


@pytest.mark.parametrize(("fast", "slow"), [(0.020, 0.024), (0.001, 0.003)])
def test_small_differences_are_no_change(fast: float, slow: float) -> None:
    """Less than half, or less than five milliseconds, is nothing to wake anybody for."""
    random = np.random.default_rng(9)
    seconds = [*random.normal(fast, fast / 50, 100).tolist(), *random.normal(slow, slow / 50, 100).tolist()]
    assert take(Samples(), seconds) == []


def test_samples_are_bounded() -> None:
    """The newest stay."""
    samples = Samples()
    take(samples, [0.01] * (SAMPLES + 10))
    assert len(samples.seconds) == SAMPLES
