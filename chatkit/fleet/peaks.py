"""Timers of a fleet: ages, or stretches of quiet, at which far more connections die than just beside; pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from chatkit.diagnosis.pattern import SECONDS, SHARE, SHORTEST_IDLE

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST = 10
"""Deaths that make a timer."""
EXCESS = 4.0
"""Times as many as beside it."""
MOST = 6
"""Timers that are told of one kind."""
_BESIDE = 5.0
"""Half widths on either side from which is learnt what is usual."""
_SURE = 20.0
"""Natural logarithm of the odds against chance."""


class Peak(NamedTuple):
    """A timer."""

    kind: str
    """``age`` or ``idle``."""
    seconds: float
    low: float
    """From here on a death fits it, seconds."""
    high: float
    deaths: int
    expected: float


def peaks(kind: str, seconds: NDArray[np.float64], deaths: NDArray[np.int64]) -> tuple[Peak, ...]:
    """Timers, the strongest first.

    Args:
        kind: what the durations are, ``age`` or ``idle``.
        seconds: durations at which somebody died, ascending.
        deaths: how many.
    """
    left = deaths.astype(np.int64).copy()
    found: list[Peak] = []
    while len(found) < MOST and (best := _strongest(kind, seconds, left)) is not None:
        found.append(best)
        left[(seconds >= best.low) & (seconds <= best.high)] = 0
    return tuple(found)


def _strongest(kind: str, seconds: NDArray[np.float64], deaths: NDArray[np.int64]) -> Peak | None:
    if not len(seconds):
        return None
    total = np.concatenate(([0], np.cumsum(deaths)))
    half = np.maximum(seconds * SHARE, SECONDS) / 2
    inside = _between(seconds, total, seconds - half, seconds + half)
    around = _between(seconds, total, seconds - _BESIDE * half, seconds + _BESIDE * half)
    width = np.minimum(seconds, _BESIDE * half) + _BESIDE * half
    usual = (around - inside) * 2 * half / np.maximum(width - 2 * half, half)
    usual = np.maximum(usual, 0.5)
    many = (inside >= FEWEST) & (inside >= EXCESS * usual) & (seconds >= SHORTEST_IDLE)
    if not many.any():
        return None
    surprise = np.where(many, inside * np.log(np.maximum(inside, 1) / usual) - (inside - usual), -np.inf)
    place = int(np.argmax(surprise))
    if surprise[place] < _SURE:
        return None
    low, high = float(seconds[place] - half[place]), float(seconds[place] + half[place])
    mine = (seconds >= low) & (seconds <= high)
    middle = _median(seconds[mine], deaths[mine])
    return Peak(kind, middle, low, high, int(inside[place]), float(usual[place]))


def _between(
    seconds: NDArray[np.float64], total: NDArray[np.int64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> NDArray[np.int64]:
    found: NDArray[np.int64] = (
        total[np.searchsorted(seconds, high, "right")] - total[np.searchsorted(seconds, low, "left")]
    )
    return found


def _median(seconds: NDArray[np.float64], deaths: NDArray[np.int64]) -> float:
    gone = np.cumsum(deaths)
    place = int(np.searchsorted(gone, math.ceil(int(gone[-1]) / 2)))
    return float(seconds[min(place, len(seconds) - 1)])
