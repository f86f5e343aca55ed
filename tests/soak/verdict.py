"""What a soak shows: messages against the history, attempts per second, memory over time; pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

STEADY = 1.0
"""MiB per minute that count as flat."""
ENOUGH = 120
"""Samples after the warm-up that a slope needs: in a shorter life bounded memories still fill."""


@dataclass(frozen=True)
class Tally:
    """What became of the messages of one conversation, or of many."""

    offered: int = 0
    lost: int = 0
    """Offered, and not in the history."""
    duplicated: int = 0
    """In the history more than once, each further copy."""
    disordered: int = 0
    """First copies that come after a later message."""

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.offered + other.offered,
            self.lost + other.lost,
            self.duplicated + other.duplicated,
            self.disordered + other.disordered,
        )


def tally(offered: Iterable[int], history: Sequence[int]) -> Tally:
    """Compares numbers that were offered with those that arrived, in the order in which they did.

    One that arrived without being on the list is none of the three: its sender died before it could write it down.
    """
    wanted, found = set(offered), Counter(history)
    highest, disordered = -1, 0
    for number in dict.fromkeys(history):
        disordered += number < highest
        highest = max(highest, number)
    duplicated = sum(count - 1 for count in found.values())
    return Tally(len(wanted), len(wanted - found.keys()), duplicated, disordered)


def total(tallies: Iterable[Tally]) -> Tally:
    """All together."""
    return sum(tallies, Tally())


def number_of(text: str) -> int:
    """The number in ``bot 7 message 123``."""
    return int(text.rsplit(" ", 1)[1])


def peak(times: Iterable[float], window: float = 1.0) -> int:
    """Most moments within any such window."""
    moments = sorted(times)
    first, most = 0, 0
    for last, moment in enumerate(moments):
        while moment - moments[first] >= window:
            first += 1
        most = max(most, last - first + 1)
    return most


@dataclass(frozen=True)
class Slope:
    """How memory grew in the longest life of a process, after its warm-up."""

    per_minute: float
    """MiB per minute, least squares."""
    error: float
    """Its standard error."""
    samples: int
    last: float = 0.0
    """MiB at the end."""

    @property
    def judged(self) -> bool:
        """Whether there is enough to say something."""
        return self.samples >= ENOUGH

    @property
    def flat(self) -> bool:
        """Within noise, or next to nothing; what cannot be judged is not held against anybody."""
        return not self.judged or self.per_minute <= max(STEADY, 3 * self.error)

    def __str__(self) -> str:
        verdict = ("flat" if self.flat else "GROWS") if self.judged else "too short to judge"
        figures = f"{self.per_minute:+.2f} ± {self.error:.2f} MiB/min, {self.last:.0f} MiB at the end"
        return f"{figures}, {self.samples} samples: {verdict}"


def slope(lives: Mapping[int, Sequence[tuple[float, float]]]) -> Slope:
    """Of ``(seconds, MiB)`` by life of the process; the first third of the longest one is warm-up."""
    longest = max(lives.values(), key=len, default=())
    points = longest[len(longest) // 3 :]
    count = len(points)
    if count < 3:
        return Slope(0.0, math.inf, count)
    x = [at / 60 for at, _ in points]
    y = [mib for _, mib in points]
    middle, level = sum(x) / count, sum(y) / count
    spread = sum((each - middle) ** 2 for each in x)
    rise = sum((a - middle) * (b - level) for a, b in zip(x, y, strict=True)) / spread
    left = sum((b - level - rise * (a - middle)) ** 2 for a, b in zip(x, y, strict=True))
    return Slope(rise, math.sqrt(left / (count - 2) / spread), count, y[-1])


def lives_of(reports: Iterable[tuple[int, float, float]]) -> dict[int, list[tuple[float, float]]]:
    """``(life, seconds, MiB)`` sorted by life."""
    lives: dict[int, list[tuple[float, float]]] = {}
    for life, at, mib in reports:
        lives.setdefault(life, []).append((at, mib))
    return lives
