"""Where time comes from: the only module of the lower rooms that reads a clock.

Intervals use the monotonic clock, people and other evidence use the wall clock; both in seconds as ``float``.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """The machine's clocks."""

    def monotonic(self) -> float:
        """Seconds of an arbitrary origin that never run backwards."""
        return time.monotonic()

    def wall(self) -> float:
        """Unix time in seconds; may jump when the machine's time is set."""
        return time.time()


class ManualClock(Clock):
    """A clock for tests: it moves only when told to.

    Args:
        monotonic: first reading of the monotonic clock, seconds.
        wall: first reading of the wall clock, Unix seconds.
    """

    def __init__(self, monotonic: float = 0.0, wall: float = 1_700_000_000.0) -> None:
        self._monotonic = monotonic
        self._wall = wall

    def monotonic(self) -> float:
        return self._monotonic

    def wall(self) -> float:
        return self._wall

    def advance(self, seconds: float) -> None:
        """Moves both clocks forward by ``seconds`` (not negative)."""
        if seconds < 0:
            raise ValueError(f"a clock runs forward: expected seconds >= 0, got {seconds}")
        self._monotonic += seconds
        self._wall += seconds

    def jump(self, seconds: float) -> None:
        """Sets the wall clock ``seconds`` forward or, negative, back; the monotonic one does not notice."""
        self._wall += seconds


def iso_utc(wall: float) -> str:
    """Unix seconds as ISO-8601 in UTC with milliseconds: ``2026-11-23T18:02:11.402Z``."""
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
