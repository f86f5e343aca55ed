"""One timer of the loop for everything that waits on it: ten thousand heartbeats are one entry in the loop's heap.

A wheel: moments are rounded up to a slot of a hundredth of a second, and one wake-up serves all that share a slot.
Nothing comes early.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Callable
from weakref import WeakKeyDictionary

SLOT = 0.01
"""Seconds; what is due is called so much later at most."""


class Due:
    """Something that will be called; :meth:`cancel` prevents it."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[[], None]) -> None:
        self._call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """It is not called any more, and what it would have called is let go; twice is fine."""
        self._call = None

    def _fire(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call()


class Timers:
    """Calls at moments of one loop's clock; :func:`timers` gives the loop's own. Use it on that loop only."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._slots: dict[int, list[Due]] = {}
        self._order: list[int] = []
        self._handle: asyncio.TimerHandle | None = None

    def at(self, when: float, call: Callable[[], None]) -> Due:
        """Calls ``call`` at ``when``, a moment of ``loop.time()``; at once, but not from within, where that is over."""
        slot, due = math.ceil(when / SLOT), Due(call)
        here = self._slots.get(slot)
        if here is None:
            self._slots[slot] = [due]
            heapq.heappush(self._order, slot)
            if self._order[0] == slot:
                self._set()
        else:
            here.append(due)
        return due

    def after(self, seconds: float, call: Callable[[], None]) -> Due:
        """Calls ``call`` in so many seconds."""
        return self.at(self._loop.time() + seconds, call)

    def _set(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._handle = self._loop.call_at(self._order[0] * SLOT, self._serve) if self._order else None

    def _serve(self) -> None:
        self._handle = None
        # The loop may wake a clock tick early (its own resolution); such a slot is due.
        now = math.floor(self._loop.time() / SLOT + 1e-3)
        ready: list[Due] = []
        while self._order and self._order[0] <= now:
            ready += self._slots.pop(heapq.heappop(self._order))
        # Set before anything is called: what is called may ask for another moment.
        self._set()
        for due in ready:
            try:
                due._fire()
            except Exception as error:
                # One that fails must not stop the others' heartbeats.
                self._loop.call_exception_handler({"message": "a timer of chatkit failed", "exception": error})


_timers: WeakKeyDictionary[asyncio.AbstractEventLoop, Timers] = WeakKeyDictionary()


def timers() -> Timers:
    """The running loop's."""
    loop = asyncio.get_running_loop()
    found = _timers.get(loop)
    if found is None:
        found = _timers[loop] = Timers(loop)
    return found
