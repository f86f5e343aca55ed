"""One works, the others wait."""

from __future__ import annotations

import asyncio

import pytest

from chatkit.lab.once import Once


class Work:
    """Something that takes until it is told to go on."""

    def __init__(self) -> None:
        self.begun = 0
        self.go = asyncio.Event()

    async def __call__(self) -> int:
        self.begun += 1
        await self.go.wait()
        return self.begun


async def settle() -> None:
    """Lets every task run until it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_one_outcome_for_all_who_come_meanwhile() -> None:
    """And a new one for who comes later; other keys do not wait."""
    once, work = Once[int](), Work()
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(once.run("a", work)) for _ in range(3)]
        await settle()
        other = group.create_task(once.run("b", work))
        await settle()
        assert work.begun == 2
        work.go.set()
    assert {task.result() for task in waiting} == {2}
    assert other.result() == 2
    assert await once.run("a", work) == 3


async def test_a_failure_is_everybodys_and_is_forgotten() -> None:
    """The next one may try again."""
    once, go = Once[int](), asyncio.Event()

    async def fail() -> int:
        await go.wait()
        raise RuntimeError("no")

    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(_outcome(once.run("a", fail))) for _ in range(2)]
        await settle()
        go.set()
    assert [task.result() for task in waiting] == ["no", "no"]
    with pytest.raises(RuntimeError):
        await once.run("a", fail)


async def _outcome(run) -> str:
    try:
        return str(await run)
    except RuntimeError as error:
        return str(error)


async def test_who_waits_may_leave_and_takes_over_when_the_worker_is_cancelled() -> None:
    """Neither cancels the other."""
    once, work = Once[int](), Work()
    async with asyncio.TaskGroup() as group:
        worker, leaving, heir = (group.create_task(once.run("a", work)) for _ in range(3))
        await settle()
        leaving.cancel()
        await settle()
        assert (leaving.cancelled(), worker.done(), work.begun) == (True, False, 1)
        worker.cancel()
        await settle()
        assert (worker.cancelled(), heir.done(), work.begun) == (True, False, 2)
        work.go.set()
    assert heir.result() == 2
