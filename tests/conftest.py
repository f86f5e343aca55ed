"""Fixtures that every test may use."""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack

import pytest
from hypothesis import settings

from chatkit.lab import LabServer

settings.register_profile("ci", derandomize=True, deadline=None, max_examples=100)
settings.register_profile("laptop", deadline=None, max_examples=50)
settings.load_profile("ci" if os.environ.get("CI") else "laptop")

TICK = 0.05
"""The unit of time in tests with sockets, seconds: scaled client timings and waits are multiples of it."""
PATIENCE = 10.0
"""Seconds after which something that should happen is missing: far beyond every duration in these tests."""

_PERMANENT = {"chatkit engine"}
"""Threads of the process, not of a test; who starts them in a test closes them with a fixture of its own."""


async def until(condition: Callable[[], object], patience: float = PATIENCE) -> None:
    """Waits until ``condition()`` is true; fails after ``patience`` seconds."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"still not so after {patience:g} s: {inspect.getsource(condition).strip()}"
        await asyncio.sleep(TICK / 5)


def until_sync(condition: Callable[[], object], patience: float = PATIENCE) -> None:
    """As :func:`until`, for a test without a loop."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"still not so after {patience:g} s: {inspect.getsource(condition).strip()}"
        time.sleep(TICK / 5)


@pytest.fixture
async def lab() -> AsyncIterator[Callable[..., Awaitable[LabServer]]]:
    """``await lab("fault", …, bots=…)`` opens a lab on the test's loop; it closes with the test."""
    async with AsyncExitStack() as stack:

        async def start(*faults: str, **options: object) -> LabServer:
            return await stack.enter_async_context(LabServer(faults=faults, **options))

        yield start


@pytest.fixture(autouse=True)
def _no_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """No thread and no task of chatkit outlives the test that started it."""
    if inspect.iscoroutinefunction(getattr(request, "function", None)):
        request.getfixturevalue("_no_leftover_tasks")
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 2
    while left := _strays(before):
        assert time.monotonic() < deadline, f"threads outlive the test: {left}"
        time.sleep(TICK / 5)


def _strays(before: set[threading.Thread]) -> list[str]:
    new = [thread.name for thread in threading.enumerate() if thread not in before]
    return [name for name in new if name.startswith("chatkit") and name not in _PERMANENT]


@pytest.fixture
async def _no_leftover_tasks() -> AsyncIterator[None]:
    yield
    for _ in range(20):
        left = [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("chatkit")]
        if not left:
            return
        await asyncio.sleep(TICK / 5)
    raise AssertionError(f"tasks outlive the test: {left}")
