"""Change points: since when connections die more often, or answers take longer; pure.

Survival: deaths are a Poisson process over the time that connections lived. Of every way to cut that time in two at a
death, the likelihood ratio of two rates against one is taken (Raftery and Akman 1986); the best cut is the change when
its logarithm passes ``THRESHOLD``, which a steady backend does about once in ten thousand deaths (a test simulates
it). Deaths within a second of each other count as one: a restart that takes everybody is one incident.

Latency: the rank test of Pettitt (1979), which asks nothing about the distribution, over the newest sixty samples and
over all that are held. It is asked again and again for days, so its p must be below one in a million, and the medians
must differ by half and by five milliseconds.

After a change everything starts over with what came since: the next change is one against the new normal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from msgspec import Struct, field

from chatkit.diagnosis.survival import hazard

Direction = Literal["worse", "better"]

TOGETHER = 1.0
"""Seconds within which deaths are one incident."""
THRESHOLD = 14.0
"""Logarithm of the likelihood ratio from which on a cut is a change."""
MOST_DEATHS = 256
"""Incidents that are held; of older ones their number and time."""
WORSE_NEEDS, BETTER_NEEDS = 3, 5
"""Incidents behind a change to the worse; before one to the better."""
LEAST_EXPOSURE = 1.0
"""Seconds: less life than this is taken for this, or a rate would be infinite."""
SAMPLES = 240
WINDOWS = (60, SAMPLES)
LEAST_SAMPLES = 20
EVERY = 5
"""Samples between two tests."""
MOST_LIKELY = 1e-6
"""p of Pettitt's test below which a cut is a change."""
RATIO, DIFFERENCE = 1.5, 0.005
MOST_NAMED = 20
"""Connections that a change names as its evidence."""


class Level(Struct, frozen=True, kw_only=True):
    """A rate of deaths per hour of life, or a median in seconds, on one side of a change."""

    value: float
    low: float
    """Of a rate: the exact 95 % interval of a Poisson count (Garwood 1936). Of a median: the quartiles."""
    high: float
    n: int
    """Incidents, or samples."""
    exposure_s: float = 0.0
    """Of a rate: seconds that connections lived."""


class Change(Struct, frozen=True, kw_only=True):
    """Something is not any more as it was."""

    what: str
    """``survival``, ``latency`` (the application ping's round trip) or ``health`` (the health endpoint's answer)."""
    direction: Direction
    at: float
    """Since when, Unix seconds: the first death or sample behind the cut."""
    seen_at: float
    """When that was known, Unix seconds."""
    before: Level
    after: Level
    score: float
    """Of survival: logarithm of the likelihood ratio. Of latency: Pettitt's p."""
    evidence: tuple[str, ...] = ()
    """Connections whose deaths are behind the cut (before it, where it is to the better)."""

    def __str__(self) -> str:
        if self.what == "survival":
            told = f"{_rate(self.before)} -> {_rate(self.after)} deaths per hour of connection"
            return f"survival got {self.direction}: {told} (log likelihood ratio {self.score:.1f})"
        told = f"median {1000 * self.before.value:.4g} -> {1000 * self.after.value:.4g} ms"
        return (
            f"{self.what} got {self.direction}: {told} (p {self.score:.1g}, {self.before.n} and {self.after.n} samples)"
        )


def _rate(level: Level) -> str:
    return f"{level.value:.3g} [{level.low:.2g}-{level.high:.3g}]"


class Incident(Struct, kw_only=True):
    """Deaths at one moment."""

    lived: float
    """Seconds that all connections had lived since the last change."""
    at: float
    connections: list[str]


class Deaths(Struct, kw_only=True):
    """The deaths of one target since the last change; grows by :meth:`lived` and :meth:`died`."""

    exposure: float = 0.0
    """Seconds that connections lived since then."""
    older: int = 0
    """Incidents that are not held any more; they lie before the first that is."""
    incidents: list[Incident] = []

    def lived(self, seconds: float) -> None:
        """Connections lived for so many seconds, all together; negative where that had been counted in advance."""
        least = self.incidents[-1].lived if self.incidents else 0.0
        self.exposure = max(least, self.exposure + seconds)

    def died(self, at: float, connection: str) -> None:
        """One died at ``at`` (Unix seconds)."""
        if self.incidents and at - self.incidents[-1].at <= TOGETHER:
            self.incidents[-1].connections = [*self.incidents[-1].connections, connection][:MOST_NAMED]
            return
        self.incidents.append(Incident(lived=self.exposure, at=at, connections=[connection]))
        if len(self.incidents) > MOST_DEATHS:
            self.incidents.pop(0)
            self.older += 1

    def change(self, now: float) -> Change | None:
        """The change that the deaths show at ``now``, if they do; then everything starts over from it."""
        cut = best_cut([one.lived for one in self.incidents], self.exposure, self.older)
        if cut is None or cut.score < THRESHOLD:
            return None
        behind, before = self.incidents[cut.place :], self.incidents[: cut.place]
        named = behind if cut.direction == "worse" else before[-MOST_NAMED:]
        split = behind[0].lived if cut.direction == "worse" else before[-1].lived
        change = Change(
            what="survival",
            direction=cut.direction,
            at=behind[0].at if behind and cut.direction == "worse" else before[-1].at,
            seen_at=now,
            before=_level(self.older + len(before), split),
            after=_level(len(behind), self.exposure - split),
            score=round(cut.score, 2),
            evidence=tuple(id for one in named for id in one.connections)[:MOST_NAMED],
        )
        self.exposure, self.older = self.exposure - split, 0
        self.incidents = [Incident(lived=one.lived - split, at=one.at, connections=one.connections) for one in behind]
        return change


class Cut(NamedTuple):
    """Where lived time is best cut in two."""

    place: int
    """Incidents that are held before it."""
    score: float
    direction: Direction


def best_cut(lived: Sequence[float], exposure: float, older: int = 0) -> Cut | None:
    """The cut with the greatest likelihood ratio, ``None`` where there is too little to say.

    Args:
        lived: seconds lived by all connections until each incident, ascending.
        exposure: the same until now.
        older: incidents before the first that is held.
    """
    n = len(lived)
    total = older + n
    if not n or exposure <= 0:
        return None
    at, place = np.asarray(lived, np.float64), np.arange(n)
    # To the worse: just before a death, which is the first of the new kind. To the better: just after one.
    worse = _ratio(older + place, at, total - older - place, exposure - at, to_worse=True)
    worse[n - place < WORSE_NEEDS] = 0.0
    better = _ratio(older + place + 1, at, n - place - 1, exposure - at, to_worse=False)
    better[older + place + 1 < BETTER_NEEDS] = 0.0
    up, down = int(worse.argmax()), int(better.argmax())
    if worse[up] >= better[down]:
        return Cut(up, float(worse[up]), "worse") if worse[up] > 0 else None
    return Cut(down + 1, float(better[down]), "better")


def _ratio(before: object, lived: object, after: object, left: object, *, to_worse: bool) -> np.ndarray:
    """Logarithms of likelihood ratios: a rate on either side against one rate; 0 where the other side is the worse."""
    d1, d2 = np.asarray(before, np.float64), np.asarray(after, np.float64)
    e1, e2 = (np.maximum(np.asarray(one, np.float64), LEAST_EXPOSURE) for one in (lived, left))
    one = (d1 + d2) / (e1 + e2)
    found = _term(d1, e1) + _term(d2, e2) - (d1 + d2) * np.log(one)
    wanted = d2 / e2 > d1 / e1 if to_worse else d2 / e2 < d1 / e1
    return np.where(wanted, found, 0.0)


def _term(deaths: np.ndarray, exposure: np.ndarray) -> np.ndarray:
    return np.where(deaths > 0, deaths * np.log(np.maximum(deaths, 1) / exposure), 0.0)


def _level(deaths: int, exposure: float) -> Level:
    """Deaths per hour."""
    exposure = max(exposure, LEAST_EXPOSURE)
    died = np.zeros(max(deaths, 1), np.bool_)
    died[:deaths] = True
    seconds = np.full(len(died), exposure / len(died))
    rate = hazard(seconds, died)
    return Level(
        value=rate.per_s * 3600, low=rate.low * 3600, high=rate.high * 3600, n=deaths, exposure_s=round(exposure, 3)
    )


class Samples(Struct, kw_only=True):
    """Seconds that something took, the newest since the last change."""

    at: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    untested: int = 0

    def add(self, at: float, seconds: float) -> None:
        """One more, taken at ``at`` (Unix seconds)."""
        self.at.append(at)
        self.seconds.append(seconds)
        self.untested += 1
        if len(self.at) > SAMPLES:
            del self.at[0], self.seconds[0]

    def change(self, what: str, now: float) -> Change | None:
        """The change that they show, tested every fifth sample; then the older ones are forgotten."""
        if self.untested < EVERY or len(self.seconds) < LEAST_SAMPLES:
            return None
        self.untested = 0
        for window in sorted({min(window, len(self.seconds)) for window in WINDOWS}):
            found = self._look(window, what, now)
            if found is not None:
                return found
        return None

    def _look(self, window: int, what: str, now: float) -> Change | None:
        values = np.asarray(self.seconds[-window:], np.float64)
        place, p = pettitt(values)
        before, after = _quartiles(values[:place]), _quartiles(values[place:])
        low, high = sorted((before.value, after.value))
        if p >= MOST_LIKELY or high < RATIO * low or high - low < DIFFERENCE:
            return None
        first = len(self.seconds) - window + place
        change = Change(
            what=what,
            direction="worse" if after.value > before.value else "better",
            at=self.at[first],
            seen_at=now,
            before=before,
            after=after,
            score=p,
        )
        del self.at[:first], self.seconds[:first]
        return change


def pettitt(values: Sequence[float] | np.ndarray) -> tuple[int, float]:
    """Where a series is best cut in two by the ranks of its values, and the approximate p of that cut.

    The place is the number of values before the cut, from 1 to one less than there are; p is at most 1, and
    ``2 exp(-6 K² / (n³ + n²))`` below.
    """
    ranks = _ranks(np.asarray(values, np.float64))
    n = len(ranks)
    if n < 2:
        return n, 1.0
    k = np.arange(1, n)
    statistic = np.abs(2 * np.cumsum(ranks)[:-1] - k * (n + 1))
    place = int(statistic.argmax())
    return place + 1, min(1.0, 2 * math.exp(-6 * float(statistic[place]) ** 2 / (n**3 + n**2)))


def _ranks(values: np.ndarray) -> np.ndarray:
    """From 1; equal values share their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def _quartiles(values: np.ndarray) -> Level:
    low, middle, high = (float(one) for one in np.quantile(values, (0.25, 0.5, 0.75)))
    return Level(value=middle, low=low, high=high, n=len(values))
