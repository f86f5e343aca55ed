"""Our own slowness is measured, so that it is never taken for the peer's."""

from __future__ import annotations

import asyncio
import time

from chatkit.client.lag import NOTABLE, LoopWatch
from chatkit.events import LoopLagged
from conftest import TICK, until


async def test_a_blocked_loop_is_recorded(recorder) -> None:
    """With how long it was blocked at least."""
    watch = asyncio.get_running_loop().create_task(LoopWatch(recorder).run())
    await asyncio.sleep(TICK)
    time.sleep(0.1 + 4 * NOTABLE)
    await until(lambda: len(recorder.snapshot()))
    watch.cancel()
    worst = max(event.lag for event in recorder.snapshot() if isinstance(event, LoopLagged))
    assert worst >= NOTABLE


async def test_a_quiet_loop_says_so_now_and_then(recorder) -> None:
    """A small lag is evidence as well."""
    watch = asyncio.get_running_loop().create_task(LoopWatch(recorder).run())
    await until(lambda: len(recorder.snapshot()))
    watch.cancel()
    assert all(isinstance(event, LoopLagged) and event.lag >= 0 for event in recorder.snapshot())
