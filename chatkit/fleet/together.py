"""Deaths of many connections in one moment: one event and not many (rule of thumb 3 of the taxonomy); pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from chatkit.diagnosis.pattern import TOGETHER

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST = 5
"""Deaths that make a moment."""
EXCESS = 3.0
"""Times as many as the minutes around let expect."""
AROUND = 300.0
"""Seconds to either side from which is learnt what is usual."""
CHANCE = 1e-3
"""Probability that so many die at once in any moment of the fleet by chance."""
_JOIN = 2
"""Half seconds; moments that lie so close are one: a server that stops needs a moment for all."""


class Moment(NamedTuple):
    """Many deaths at once."""

    first: int
    """Step of half a second since 1970 with the first of them."""
    last: int
    """The last step."""
    deaths: int
    expected: float
    """By what is usual around."""

    @property
    def at(self) -> float:
        """Unix time at which it begins, seconds."""
        return self.first * TOGETHER

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return (self.last - self.first + 1) * TOGETHER


def moments(step: NDArray[np.int64], deaths: NDArray[np.int64]) -> tuple[Moment, ...]:
    """Moments in which more connections died than chance makes.

    Args:
        step: half seconds since 1970 (``chatkit.diagnosis.pattern.TOGETHER``) in which somebody died, ascending.
        deaths: how many.
    """
    if not len(step):
        return ()
    total = np.concatenate(([0], np.cumsum(deaths)))
    reach = int(AROUND / TOGETHER)
    low, high = np.searchsorted(step, step - reach, "left"), np.searchsorted(step, step + reach, "right")
    width = np.minimum(step + reach, step[-1]) - np.maximum(step - reach, step[0]) + 1
    # What is in question does not speak for what is usual.
    usual = (total[high] - total[low] - deaths) / np.maximum(width - 1, 1)
    limit = CHANCE / max(int(step[-1] - step[0]) + 1, 1)
    many = (deaths >= FEWEST) & (deaths >= EXCESS * usual)
    found = [n for n in np.flatnonzero(many).tolist() if _tail(int(deaths[n]), float(usual[n])) < limit]
    return tuple(_joined(step, deaths, usual, found))


def _joined(
    step: NDArray[np.int64], deaths: NDArray[np.int64], usual: NDArray[np.float64], places: list[int]
) -> list[Moment]:
    found: list[Moment] = []
    for place in places:
        one = Moment(int(step[place]), int(step[place]), int(deaths[place]), float(usual[place]))
        if found and one.first - found[-1].last <= _JOIN:
            before = found.pop()
            one = Moment(before.first, one.last, before.deaths + one.deaths, before.expected + one.expected)
        found.append(one)
    return found


def _tail(count: int, mean: float) -> float:
    """An upper bound (Chernoff 1952) of the probability that a Poisson number is ``count`` or more."""
    if mean <= 0:
        return 0.0 if count else 1.0
    return 1.0 if count <= mean else math.exp(count - mean + count * math.log(mean / count))
