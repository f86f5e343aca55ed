"""Hazards of a fleet: deaths per second of watched life, over the age of a connection and over the day; pure.

The watched time of an age, or of an hour, is what all connections lived in it together, so a busy hour is no dangerous
one, and many young connections do not make youth dangerous.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from chatkit.diagnosis.survival import Hazard, rate
from chatkit.fleet.comparing import Counts

if TYPE_CHECKING:
    from numpy.typing import NDArray

DAY = 86_400
_LADDER = (1.0, 2.0, 5.0)
"""Steps of each decade of ages."""


class Span(NamedTuple):
    """A hazard between two ages, or two times of the day, in seconds."""

    start: float
    end: float
    hazard: Hazard


class Course(NamedTuple):
    """Wall time in steps of equal width: what came and went in each."""

    start: float
    """Unix time of the first step, a multiple of ``width``."""
    width: float
    """Seconds."""
    opened: NDArray[np.int64]
    opened_after: NDArray[np.float64]
    """Seconds into the step, added up over those that opened."""
    ended: NDArray[np.int64]
    """Lives whose watch ended, well or not."""
    ended_after: NDArray[np.float64]
    died: NDArray[np.int64]

    @property
    def alive(self) -> NDArray[np.int64]:
        """At the start of each step."""
        return np.concatenate(([0], np.cumsum(self.opened - self.ended)[:-1])).astype(np.int64)

    @property
    def watched(self) -> NDArray[np.float64]:
        """Seconds that all lived together in each step."""
        came = self.opened * self.width - self.opened_after
        went = self.ended * self.width - self.ended_after
        found: NDArray[np.float64] = np.maximum(self.alive * self.width + came - went, 0.0)
        return found


def over_age(counts: Counts) -> tuple[Span, ...]:
    """The hazard of each stretch of ages, 1–2–5 in each decade; from the first with a death to the last watched."""
    if not counts.lives:
        return ()
    last = float(counts.seconds[-1])
    edges = _edges(max(float(counts.seconds[0]), 1e-3), max(last, 1e-3))
    ended = counts.deaths + counts.others
    found = []
    for start, end in itertools.pairwise(edges):
        inside = (counts.seconds > start) & (counts.seconds <= end)
        beyond = int(ended[counts.seconds > end].sum())
        watched = float(((counts.seconds[inside] - start) * ended[inside]).sum()) + beyond * (end - start)
        if watched > 0:
            found.append(Span(start, end, rate(int(counts.deaths[inside].sum()), watched)))
    return tuple(found)


def _edges(first: float, last: float) -> list[float]:
    decade = math.floor(math.log10(first))
    edges = [0.0]
    while edges[-1] < last:
        edges += [step * 10.0**decade for step in _LADDER if step * 10.0**decade >= first]
        decade += 1
    return [edge for n, edge in enumerate(edges) if n == 0 or edges[n - 1] < last]


def over_day(course: Course) -> tuple[Span, ...]:
    """The hazard of each hour of the day, UTC; only hours in which somebody was watched."""
    steps = course.start + course.width * np.arange(len(course.died))
    hours = (np.floor(steps / 3600) % 24).astype(np.int64)
    died = np.bincount(hours, weights=course.died, minlength=24)
    watched = np.bincount(hours, weights=course.watched, minlength=24)
    return tuple(
        Span(3600.0 * hour, 3600.0 * (hour + 1), rate(int(died[hour]), float(watched[hour])))
        for hour in range(24)
        if watched[hour] > 0
    )
