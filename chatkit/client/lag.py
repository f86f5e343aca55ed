"""Measures how late this loop's own timers fire, so that our own slowness is never taken for the peer's."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Protocol

from chatkit.events import Event, LoopLagged

TICK = 0.1
"""Seconds between two looks."""
REPORT = 1.0
"""Seconds after which the worst lag is recorded even when it is small."""
NOTABLE = 0.05
"""A lag of so many seconds is recorded at once."""
REMEMBERED = 60.0
"""Seconds for which a notable lag is remembered."""


class Records(Protocol):
    """A recorder, or who hands on to several."""

    def record(self, kind: type[Event], /, *, connection: str | None = None, **fields: Any) -> None:
        """Takes a fact."""


class LoopWatch:
    """Watches the loop it runs on.

    Args:
        recorder: gets :class:`LoopLagged`.
    """

    def __init__(self, recorder: Records) -> None:
        self._recorder = recorder
        self._notable: deque[tuple[float, float]] = deque(maxlen=1000)
        self.worst = 0.0
        """The worst lag so far, seconds."""

    def lately(self) -> float:
        """The worst lag of the last minute, seconds."""
        since = asyncio.get_running_loop().time() - REMEMBERED
        return max((lag for at, lag in self._notable if at >= since), default=0.0)

    async def run(self) -> None:
        """Watches until cancelled."""
        loop = asyncio.get_running_loop()
        worst, since = 0.0, loop.time()
        while True:
            due = loop.time() + TICK
            await asyncio.sleep(TICK)
            now = loop.time()
            lag = max(0.0, now - due)
            worst = max(worst, lag)
            if lag >= NOTABLE:
                self._notable.append((now, lag))
                self.worst = max(self.worst, lag)
            if lag >= NOTABLE or now - since >= REPORT:
                self._recorder.record(LoopLagged, lag=round(worst, 6))
                worst, since = 0.0, now
