"""Measures how late this loop's own timers fire, so that our own slowness is never taken for the peer's."""

from __future__ import annotations

import asyncio

from chatkit.events import LoopLagged
from chatkit.recorder import Recorder

TICK = 0.1
"""Seconds between two looks."""
REPORT = 1.0
"""Seconds after which the worst lag is recorded even when it is small."""
NOTABLE = 0.05
"""A lag of so many seconds is recorded at once."""


async def watch_loop(recorder: Recorder) -> None:
    """Records :class:`LoopLagged` until cancelled."""
    loop = asyncio.get_running_loop()
    worst, since = 0.0, loop.time()
    while True:
        due = loop.time() + TICK
        await asyncio.sleep(TICK)
        now = loop.time()
        lag = max(0.0, now - due)
        worst = max(worst, lag)
        if lag >= NOTABLE or now - since >= REPORT:
            recorder.record(LoopLagged, lag=round(worst, 6))
            worst, since = 0.0, now
