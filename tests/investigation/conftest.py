"""Arms and crews against a lab on the test's own loop."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from chatkit.client.http import HttpApi
from chatkit.events import ArmStarted, Event
from chatkit.experiments.treatments import Treatment
from chatkit.investigation.arm import Arm
from chatkit.investigation.crew import AGENT
from chatkit.lab import LabServer
from chatkit.profile import DEFAULT, Profile
from chatkit.recorder import Recorder
from chatkit.trace import Trace

TOKEN = re.compile(rb"eyJ[\w-]{8,}\.")
"""The beginning of a JWT; a nonce in base64 may begin alike, but has no dot."""


def profile(**changes: Any) -> Profile:
    """The built-in profile, its client's behaviour changed."""
    return Profile(client=msgspec.structs.replace(DEFAULT.client, **changes))


def of(trace: Trace, *kinds: type[Event]) -> list[Any]:
    """The events of these kinds, in order."""
    return [event for event in trace if isinstance(event, kinds)]


def connections_of(trace: Trace, arm: str) -> list[str]:
    """The connections of an arm, in the order in which they began."""
    return [event.connection for event in of(trace, ArmStarted) if event.arm == arm]


def most_at_once(trace: Trace) -> int:
    """How many connections lived together at most, from the beginning of the attempt to the end of the transport."""
    spans = [(float(places[0]), float(places[-1])) for places in _times(trace)]
    return max((sum(a <= start <= b for a, b in spans) for start, _ in spans), default=0)


def _times(trace: Trace) -> Iterator[Any]:
    for connection in trace.connections:
        yield trace.select(connection=connection.id).at


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    """In memory."""
    with Recorder() as recorder:
        yield recorder


@pytest.fixture
async def hire(recorder: Recorder) -> AsyncIterator[Callable[..., Any]]:
    """``await hire(place, treatment, …)`` gives an arm and the task that runs it; both are gone after the test.

    ``place`` is a lab or a URL.
    """
    apis: list[HttpApi] = []
    tasks: list[asyncio.Task[None]] = []

    async def nothing(count: int) -> None:
        raise AssertionError("nobody expects a chat message")

    async def start(
        place: LabServer | str,
        treatment: Treatment,
        *,
        say: Callable[[int], Any] = nothing,
        contract: Profile = DEFAULT,
        token: str | None = None,
        **options: Any,
    ) -> tuple[Arm, asyncio.Task[None]]:
        url, token = (place, token) if isinstance(place, str) else (place.url, token or place.token)
        api = HttpApi(url, recorder=recorder, profile=contract, token=token, agent=AGENT)
        apis.append(api)
        loop = asyncio.get_running_loop()
        arm = Arm(
            treatment,
            api=api,
            bot="echo",
            recorder=recorder,
            role="arm",
            began=loop.time(),
            say=say,
            agent=AGENT,
            **options,
        )
        tasks.append(loop.create_task(arm.run()))
        await arm.opened.wait()
        return arm, tasks[-1]

    yield start
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError, RuntimeError):
            await task
    for api in apis:
        await api.aclose()
