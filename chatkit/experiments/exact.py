"""Whether two small groups die alike: the log-rank statistic over every way the lives could have been dealt; pure.

A log-rank statistic is a sum over one group's lives of scores that do not know the groups (Peto and Peto 1972). With
few lives every deal can be looked at, so the probability needs no large number; with many, the log-rank test of
:mod:`chatkit.diagnosis.survival` says the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from chatkit.diagnosis.survival import log_rank
from chatkit.errors import InvalidInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_DEALS = 200_000
"""Looked at one by one, which takes some hundredths of a second: ten lives against ten are 184,756 deals."""
SLACK = 1e-9
"""Two sums of scores that differ by less are equal but for rounding; different ones differ by far more."""

Test = Literal["exact", "log-rank"]
Life = tuple[float, bool]
"""Seconds, and whether it ended by death; else it is censored."""


class Comparison(NamedTuple):
    """How a second group lives beside a first one."""

    p: float
    """Two-sided, in (0, 1]: twice the smaller tail, so that the groups may change places."""
    longer: float
    """One-sided: how probable lives of the second group this long or longer are if both die alike."""
    test: Test


def compare(first: Sequence[Life], second: Sequence[Life]) -> Comparison:
    """The exact permutation test up to ``MOST_DEALS`` deals, the log-rank test beyond; 1 where nobody died.

    Raises:
        InvalidInput: a duration is negative or no number.
        MissingDependency: there are too many lives for the exact test, and scipy is not installed.
    """
    lives = [*first, *second]
    if not all(seconds >= 0 and math.isfinite(seconds) for seconds, _ in lives):
        raise InvalidInput("no such duration", expected="seconds >= 0", got=[seconds for seconds, _ in lives])
    if math.comb(len(lives), len(second)) <= MOST_DEALS:
        return _exact(scores(lives), len(first))
    if not any(died for _, died in lives):
        return Comparison(1.0, 1.0, "log-rank")
    return _approximate(first, second)


def scores(lives: Sequence[Life]) -> NDArray[np.float64]:
    """Of each life: its own death less the deaths expected of it if all die alike; together they are 0."""
    seconds = np.array([one for one, _ in lives], np.float64)
    died = np.array([dead for _, dead in lives], np.bool_)
    time, deaths = np.unique(seconds[died], return_counts=True)
    at_risk = len(seconds) - np.searchsorted(np.sort(seconds), time, "left")
    expected = np.concatenate(([0.0], np.cumsum(deaths / at_risk)))
    return np.asarray(died - expected[np.searchsorted(time, seconds, "right")], np.float64)


def _exact(all_scores: NDArray[np.float64], first: int) -> Comparison:
    found = float(all_scores[first:].sum())
    sums = _sums(all_scores, len(all_scores) - first)
    longer = float(np.mean(sums <= found + SLACK))
    shorter = float(np.mean(sums >= found - SLACK))
    return Comparison(min(1.0, 2 * min(longer, shorter)), longer, "exact")


def _sums(values: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """The sum of every subset of a size; of the smaller part where that is the rest."""
    if 2 * size > len(values):
        return np.asarray(values.sum() - _sums(values, len(values) - size), np.float64)
    by_size = [np.zeros(1), *(np.empty(0) for _ in range(size))]
    for value in values.tolist():
        for n in range(size, 0, -1):
            by_size[n] = np.concatenate((by_size[n], by_size[n - 1] + value))
    return by_size[size]


def _approximate(first: Sequence[Life], second: Sequence[Life]) -> Comparison:
    a, b = ([list(column) for column in zip(*lives, strict=True)] for lives in (first, second))
    found = log_rank({"first": (a[0], a[1]), "second": (b[0], b[1])})
    # An underflow is no certainty.
    p = max(found.p, math.ulp(0.0))
    longer = p / 2 if found.observed["second"] < found.expected["second"] else 1 - p / 2
    return Comparison(p, longer, "log-rank")
