"""Tasks that end with their owner."""

from __future__ import annotations

import asyncio

from chatkit.client.tasks import Tasks
from conftest import TICK, until


async def test_tasks_have_names_and_end_with_their_owner() -> None:
    """Cancelled and waited for; closing twice is fine."""
    ended = []

    async def work() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(asyncio.current_task().get_name())

    tasks = Tasks(ended.append)
    tasks.spawn(work(), "one")
    tasks.spawn(work(), "two")
    await asyncio.sleep(0)
    await tasks.close()
    await tasks.close()
    assert sorted(ended) == ["chatkit one", "chatkit two"]


async def test_a_failure_is_never_silent() -> None:
    """The owner is told; a cancellation is no failure."""
    failures = []

    async def fail() -> None:
        raise ValueError("a defect")

    tasks = Tasks(failures.append)
    tasks.spawn(fail(), "fails")
    tasks.spawn(asyncio.sleep(3600), "sleeps").cancel()
    await until(lambda: failures)
    await tasks.close()
    assert [str(failure) for failure in failures] == ["a defect"]


async def test_a_task_may_close_its_owner() -> None:
    """It does not wait for itself."""
    tasks = Tasks(lambda error: None)
    done = []

    async def close() -> None:
        await tasks.close()
        done.append(True)

    tasks.spawn(asyncio.sleep(3600), "sleeps")
    await asyncio.wait_for(tasks.spawn(close(), "closes"), 50 * TICK)
    assert done == [True]
