"""When the hazard of a fleet changed, and which cohort appeared then; pure.

Deaths in steps of wall time are Poisson numbers with a rate per watched second. The course is cut in two where that
explains it best, and each part again, until no cut gains what it costs (binary segmentation, Scott and Knott 1974).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from chatkit.fleet.rates import Course

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST = 8
"""Changes that are told."""
SMALLEST = 1.3
"""Times by which the hazard must change to be worth a word."""
FEWEST = 10
"""Deaths, expected or seen, on the side where there are more."""
NEAR, BEFORE = 0.05, 0.15
"""Shares of the whole time after a change, and before it, in which an appearance belongs to it: who comes slowly is
seen before the hazard of all has moved."""
_COST = 10.0
"""Gain in log-likelihood that a cut needs, beside the logarithm of how many places it may lie at."""


class Appearance(NamedTuple):
    """A value of a cohort's column that was seen first, or last, in the middle of the time."""

    by: str
    value: str
    at: float
    """Unix time, seconds."""
    how: str
    """``appeared`` or ``disappeared``."""
    lives: int


class Change(NamedTuple):
    """The hazard is another one from here on."""

    at: float
    """Unix time, seconds."""
    error: float
    """Width of a step, seconds: it is not known better than that."""
    before: float
    """Deaths per watched second."""
    after: float
    beside: tuple[Appearance, ...]
    """What appeared or disappeared at about that time."""

    @property
    def factor(self) -> float:
        """How many times the hazard before; infinite where nobody died before."""
        return self.after / self.before if self.before > 0 else math.inf


def changes(
    course: Course, appearances: Sequence[Appearance] = (), leave_out: NDArray[np.bool_] | None = None
) -> tuple[Change, ...]:
    """Changes in the order of time.

    Args:
        course: the fleet's.
        appearances: of cohorts.
        leave_out: steps in which many died at once: those are told as moments, and are no change of the hazard.
    """
    keep = course.watched > 0
    if leave_out is not None:
        keep &= ~leave_out
    places = np.flatnonzero(keep)
    if len(places) < 4:
        return ()
    died = np.concatenate(([0.0], np.cumsum(course.died[places])))
    watched = np.concatenate(([0.0], np.cumsum(course.watched[places])))
    cuts = sorted(_cuts(died, watched))
    ends = [0, *cuts, len(places)]
    span = course.width * len(course.died)
    found = []
    for n, cut in enumerate(cuts, 1):
        before = _rate(died, watched, ends[n - 1], cut)
        after = _rate(died, watched, cut, ends[n + 1])
        at = course.start + course.width * float(places[cut])
        first, last = at - max(BEFORE * span, 2 * course.width), at + max(NEAR * span, 2 * course.width)
        near = [one for one in appearances if first <= one.at <= last]
        found.append(Change(at, course.width, before, after, tuple(sorted(near, key=lambda one: abs(one.at - at)))))
    return tuple(found)


def _cuts(died: NDArray[np.float64], watched: NDArray[np.float64]) -> list[int]:
    """Places between which the rate is the same; the strongest ``MOST``."""
    parts, cuts = [(0, len(died) - 1)], list[tuple[float, int]]()
    while parts:
        start, end = parts.pop()
        gain, cut = _best(died, watched, start, end)
        if cut is not None:
            cuts.append((gain, cut))
            parts += [(start, cut), (cut, end)]
    return [cut for _, cut in sorted(cuts, reverse=True)[:MOST]]


def _best(died: NDArray[np.float64], watched: NDArray[np.float64], start: int, end: int) -> tuple[float, int | None]:
    if end - start < 2:
        return 0.0, None
    cut = np.arange(start + 1, end)
    d1, d2 = died[cut] - died[start], died[end] - died[cut]
    t1, t2 = watched[cut] - watched[start], watched[end] - watched[cut]
    gain = _fit(d1, t1) + _fit(d2, t2) - _fit(d1 + d2, t1 + t2)
    r1, r2 = d1 / t1, d2 / t2
    more = np.maximum(r1, r2)
    worth = (more >= SMALLEST * np.minimum(r1, r2)) & (more * np.minimum(t1, t2) >= FEWEST)
    gain = np.where(worth, gain, -np.inf)
    best = int(np.argmax(gain))
    enough = _COST + math.log(end - start)
    return (float(gain[best]), int(cut[best])) if gain[best] > enough else (0.0, None)


def _fit(deaths: NDArray[np.float64], seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-likelihood at the best rate, without what is the same for all cuts."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found: NDArray[np.float64] = np.where(deaths > 0, deaths * np.log(deaths / seconds), 0.0)
    return found


def _rate(died: NDArray[np.float64], watched: NDArray[np.float64], start: int, end: int) -> float:
    return float((died[end] - died[start]) / (watched[end] - watched[start]))


def appearances(
    by: str, seen: Sequence[tuple[str, float, float, int]], start: float, end: float
) -> tuple[Appearance, ...]:
    """Values that were not there from the first to the last.

    Args:
        by: the column.
        seen: value, Unix time of its first and of its last opening, and lives.
        start, end: Unix times between which connections opened.
    """
    edge, found = NEAR * (end - start), list[Appearance]()
    for value, first, last, lives in seen:
        if first > start + edge:
            found.append(Appearance(by, value, first, "appeared", lives))
        if last < end - edge:
            found.append(Appearance(by, value, last, "disappeared", lives))
    return tuple(found)
