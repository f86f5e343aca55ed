"""A bounded memory of what was seen: the newest so many entries, each for so long; pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

MOST = 2000
"""Entries that are remembered."""


class Seen(Generic[K, V]):
    """What was seen lately.

    Args:
        most: entries kept; the least recently used one goes first.
        age: seconds that an entry is kept; ``None`` for as long as there is room.
    """

    def __init__(self, most: int = MOST, age: float | None = None) -> None:
        self._most, self._age = most, age
        self._entries: OrderedDict[K, tuple[V, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K, at: float) -> V | None:
        """What was put under ``key``, if it is remembered at the moment ``at`` (seconds of any one clock)."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if self._age is not None and at - entry[1] > self._age:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: K, value: V, at: float) -> None:
        """Remembers ``value``."""
        self._entries[key] = (value, at)
        self._entries.move_to_end(key)
        while len(self._entries) > self._most:
            self._entries.popitem(last=False)
