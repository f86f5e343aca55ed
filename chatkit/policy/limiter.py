"""The least distance between attempts to one host, whoever makes them; pure."""

from __future__ import annotations


class Limiter:
    """Hands out starting times that are at least ``floor`` seconds apart.

    Args:
        floor: seconds; 0 lets everything pass.

    A place that is not used is given back with :meth:`release`. Not locked: one loop uses it.
    """

    def __init__(self, floor: float) -> None:
        self.floor = floor
        self._last = float("-inf")
        self._booked: list[float] = []

    def book(self, now: float, earliest: float) -> float:
        """The first free time from ``earliest`` on; ``now`` is the same clock's present reading."""
        self._forget(now)
        at = max(earliest, now, self._last + self.floor)
        for taken in self._booked:
            if abs(taken - at) < self.floor:
                at = taken + self.floor
        self._booked = sorted([*self._booked, at])
        return at

    def release(self, at: float) -> None:
        """A booked time that is not used; one that is not booked is ignored."""
        if at in self._booked:
            self._booked.remove(at)

    def started(self, now: float) -> None:
        """An attempt starts without a booking, or earlier than it was booked for."""
        self._last = max(self._last, now)

    def busy(self, now: float) -> bool:
        """Whether others wait for their turn: who comes new then waits as well."""
        self._forget(now)
        return bool(self._booked)

    def _forget(self, now: float) -> None:
        past = [taken for taken in self._booked if taken <= now]
        if past:
            self._last = max(self._last, past[-1])
            self._booked = self._booked[len(past) :]
