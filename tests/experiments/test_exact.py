"""The permutation test: counted by hand, beside scipy's tests, and what holds of any two groups."""

from __future__ import annotations

import builtins
import math
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from chatkit.errors import InvalidInput, MissingDependency
from chatkit.experiments.exact import MOST_DEALS, SLACK, Life, compare, scores

GROUP = st.lists(st.tuples(st.integers(0, 20).map(float), st.booleans()), max_size=6)
"""Whole seconds, so that lives are equally long now and then."""


def dead(*seconds: float) -> list[Life]:
    return [(one, True) for one in seconds]


def alive(*seconds: float) -> list[Life]:
    return [(one, False) for one in seconds]


def group(rng: np.random.Generator, n: int, mean: float) -> list[Life]:
    """Whole seconds; a quarter is censored."""
    return [(float(s), bool(d)) for s, d in zip(np.ceil(rng.exponential(mean, n)), rng.random(n) < 0.75, strict=True)]


def theirs(first: list[Life], second: list[Life]) -> tuple[float, float]:
    """Two-sided and one-sided, as scipy computes the log-rank test; there a ``greater`` hazard of the first group is meant."""
    a, b = (
        stats.CensoredData.right_censored([s for s, _ in lives], [not d for _, d in lives]) for lives in (first, second)
    )
    return stats.logrank(a, b).pvalue, stats.logrank(a, b, alternative="greater").pvalue


@pytest.mark.parametrize(
    ("first", "second", "two_sided", "longer"),
    [
        # all die, none dies: one deal of C(10, 5) = 252, and its mirror image
        (dead(1, 2, 3, 4, 5), alive(60, 60, 60, 60, 60), 2 / 252, 1 / 252),
        # four of five die and all lives end after the deaths: as Fisher's exact test, C(6, 5) deals of 252 or fewer
        (dead(1, 1, 1, 1) + alive(60), alive(60, 60, 60, 60, 60), 12 / 252, 6 / 252),
        (dead(1, 2, 3), alive(9, 9, 9), 2 / 20, 1 / 20),
        (dead(1, 2), dead(3, 4), 2 / 6, 1 / 6),
        (dead(3, 4), dead(1, 2), 2 / 6, 1.0),
        # all equal, nobody died, nobody there
        (dead(1, 1), dead(1, 1), 1.0, 1.0),
        (alive(1, 2), alive(3), 1.0, 1.0),
        ([], dead(1, 2), 1.0, 1.0),
        ([], [], 1.0, 1.0),
    ],
)
def test_by_hand(first: list[Life], second: list[Life], two_sided: float, longer: float) -> None:
    """Deals that are as telling, of all deals."""
    found = compare(first, second)
    assert (found.p, found.longer) == pytest.approx((two_sided, longer))
    assert found.test == "exact"


def test_with_one_moment_of_death_it_is_fishers_test() -> None:
    """Who died is all that there is to know then."""
    for died_a, died_b in ((5, 0), (4, 1), (6, 2), (3, 3)):
        a, b = dead(*[1] * died_a) + alive(*[9] * (7 - died_a)), dead(*[1] * died_b) + alive(*[9] * (6 - died_b))
        table = [[died_a, 7 - died_a], [died_b, 6 - died_b]]
        assert compare(a, b).longer == pytest.approx(stats.fisher_exact(table, alternative="greater").pvalue)


def test_scores_by_hand() -> None:
    """A death at 1 of three; a life lost at 2; a death at 3 of the last one: expected are 1/3, 1/3, 4/3."""
    assert scores([(3, True), (1, True), (2, False)]).tolist() == pytest.approx([1 - 4 / 3, 1 - 1 / 3, -1 / 3])


@given(GROUP, GROUP)
def test_every_deal_is_looked_at(first: list[Life], second: list[Life]) -> None:
    """As counting them one after the other tells."""
    all_scores = scores([*first, *second])
    assert all_scores.sum() == pytest.approx(0, abs=1e-9)
    found = all_scores[len(first) :].sum()
    deals = [all_scores[list(deal)].sum() for deal in combinations(range(len(all_scores)), len(second))]
    assert compare(first, second).longer == pytest.approx(sum(one <= found + SLACK for one in deals) / len(deals))


@given(GROUP, GROUP)
def test_it_is_a_probability_and_groups_may_change_places(first: list[Life], second: list[Life]) -> None:
    """In (0, 1]; the two one-sided ones overlap in the deal that was found."""
    here, there = compare(first, second), compare(second, first)
    assert 0 < here.p <= 1
    assert 0 < here.longer <= 1
    assert here.p == pytest.approx(there.p)
    assert here.longer + there.longer > 1


@given(GROUP, GROUP, st.sampled_from([1e-3, 0.3, 7.0, 1e4]), st.randoms())
def test_neither_the_unit_nor_the_order_matters(
    first: list[Life], second: list[Life], factor: float, random: Any
) -> None:
    """Only which life is longer than which."""
    scaled = [[(s * factor, d) for s, d in lives] for lives in (first, second)]
    random.shuffle(scaled[0])
    assert compare(*scaled) == pytest.approx(compare(first, second))


@pytest.mark.parametrize("seed", range(6))
def test_with_many_lives_it_is_the_log_rank_test(seed: int) -> None:
    """Beyond the deals that can be looked at, to the last digit."""
    rng = np.random.default_rng(seed)
    first, second = group(rng, 30, 10), group(rng, 25, 10 + 4 * seed)
    found = compare(first, second)
    assert found.test == "log-rank"
    assert (found.p, found.longer) == pytest.approx(theirs(first, second))


@pytest.mark.parametrize("seed", range(6))
def test_with_few_it_is_near_it(seed: int) -> None:
    """Ten against ten: the large-sample test is right to some hundredths."""
    rng = np.random.default_rng(seed)
    first, second = group(rng, 10, 10), group(rng, 10, 10 + 6 * seed)
    found, (p, longer) = compare(first, second), theirs(first, second)
    assert found.test == "exact"
    assert found.p == pytest.approx(p, abs=0.06)
    assert found.longer == pytest.approx(longer, abs=0.03)


def test_the_exact_test_holds_its_level() -> None:
    """Groups that die alike differ at 0.05 in one trial of twenty at most, also where lives are lost."""
    rng = np.random.default_rng(11)
    found = [compare(group(rng, 5, 10), group(rng, 6, 10)) for _ in range(600)]
    # Three standard errors of 600 trials are allowed.
    assert np.mean([one.p <= 0.05 for one in found]) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 600)
    assert np.mean([one.longer <= 0.2 for one in found]) <= 0.2 + 3 * math.sqrt(0.2 * 0.8 / 600)
    assert np.mean([one.longer <= 0.2 for one in found]) >= 0.1


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(12, 40), st.integers(12, 40))
def test_many_lives_may_change_places_too(seed: int, n: int, m: int) -> None:
    """And what is far beyond doubt still has a probability."""
    rng = np.random.default_rng(seed)
    first, second = group(rng, n, 10), group(rng, m, 20)
    here, there = compare(first, second), compare(second, first)
    assert here.p == pytest.approx(there.p)
    assert here.longer + there.longer == pytest.approx(1)
    assert 0 < compare(dead(*[1] * 3000), alive(*[9] * 3000)).p < 1e-100


def test_many_of_whom_nobody_died() -> None:
    """Nothing was seen."""
    found = compare(alive(*[1] * 20), alive(*[2] * 20))
    assert (found.p, found.longer) == (1, 1)


def test_scipy_is_asked_for_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten against ten do without; eleven against eleven say what to install."""
    real = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name.startswith("scipy"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    assert math.comb(20, 10) <= MOST_DEALS < math.comb(22, 11)
    assert compare(dead(*range(10)), alive(*[99] * 10)).p == pytest.approx(2 / math.comb(20, 10))
    with pytest.raises(MissingDependency, match="'statistics'"):
        compare(dead(*range(11)), alive(*[99] * 11))


@pytest.mark.parametrize("wrong", [-1.0, math.nan, math.inf])
def test_what_is_no_duration_is_refused(wrong: float) -> None:
    """On either side."""
    for groups in ((dead(wrong), dead(1)), (dead(1), alive(wrong))):
        with pytest.raises(InvalidInput, match="no such duration"):
            compare(*groups)
