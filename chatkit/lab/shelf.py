"""Messages that wait for the next one of their kind, to be sent behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable


class Shelf:
    """One message for each key; used on the lab's loop only."""

    def __init__(self) -> None:
        self._held: dict[Hashable, tuple[Callable[[], object], asyncio.TimerHandle]] = {}

    def hold(self, key: Hashable, send: Callable[[], object], seconds: float) -> None:
        """Keeps a message until :meth:`release`, that time at most; one that is there already goes out first."""
        self.release(key)
        timer = asyncio.get_running_loop().call_later(seconds, self.release, key)
        self._held[key] = (send, timer)

    def release(self, key: Hashable) -> None:
        """Sends what is held under that key, if anything is."""
        if key in self._held:
            send, timer = self._held.pop(key)
            timer.cancel()
            send()

    def close(self) -> None:
        """Forgets everything; twice is fine."""
        for _, timer in self._held.values():
            timer.cancel()
        self._held.clear()
