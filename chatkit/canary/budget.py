"""What goes when a folder holds too much, and how many diagnoses are permitted; pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class File(NamedTuple):
    """A file of evidence."""

    path: str
    size: int
    """Bytes."""
    at: float
    """When it was written, Unix seconds."""


def evict(files: Iterable[File], limit: float) -> list[File]:
    """The oldest files that must go so that the rest is within ``limit`` bytes."""
    held = sorted(files, key=lambda file: (file.at, file.path))
    total, gone = sum(file.size for file in held), []
    for file in held:
        if total <= limit:
            break
        gone.append(file)
        total -= file.size
    return gone


class Allowance:
    """So many a minute, and a quarter of them at once.

    Args:
        per_minute: 0 permits none.
    """

    def __init__(self, per_minute: float) -> None:
        self._per_second = per_minute / 60
        self._most = max(1.0, per_minute / 4) if per_minute else 0.0
        self._left, self._at = self._most, float("-inf")

    def take(self, now: float) -> bool:
        """Whether one is permitted at ``now`` (any clock, seconds); it is taken then."""
        if self._at > float("-inf"):
            self._left = min(self._most, self._left + max(0.0, now - self._at) * self._per_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
