"""A refusal while connections live: by their number, or by the pace of the attempts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from chatkit.client.http import HttpApi
from chatkit.diagnosis import diagnose
from chatkit.experiments.treatments import SILENT
from chatkit.investigation import refusals
from chatkit.investigation.crew import AGENT, Crew
from chatkit.lab import LabServer
from chatkit.profile import DEFAULT
from chatkit.recorder import Recorder


@pytest.fixture
async def crew(recorder: Recorder) -> AsyncIterator[Callable[[LabServer], Awaitable[Crew]]]:
    """``await crew(lab)``; closed with the test."""
    gathered: list[Crew] = []

    async def gather(house: LabServer) -> Crew:
        api = await stack.enter_async_context(HttpApi(house.url, recorder=recorder, token=house.token, agent=AGENT))
        found = Crew(
            api, None, bot="echo", recorder=recorder, profile=DEFAULT, proxy=True, woken=asyncio.Event()
        )  # fmt: skip
        gathered.append(found)
        return found

    async with AsyncExitStack() as stack:
        yield gather
        for one in gathered:
            await one.close()


def outcomes(crew: Crew) -> list[bool]:
    """Whether each arm was let in."""
    return [arm.failure is None for arm in crew]


async def test_one_leaves_and_one_takes_its_place(lab, crew) -> None:
    """And another one finds no room: twice."""
    hands = await crew(await lab("connection-limit:limit=2,status=503"))
    for _ in range(3):
        await hands.open(SILENT)
    await refusals.fewer(hands, rest=asyncio.sleep)
    assert outcomes(hands) == [True, True, False, True, False, True, False]


async def test_the_one_that_waited_is_let_in_and_the_next_is_not(lab, crew, recorder, monkeypatch) -> None:
    """Refused, refused after a short pause, let in after a longer one, and the next refused at once: a limit of pace."""
    monkeypatch.setattr(refusals, "PAUSES", (0.5, 4.0))
    hands = await crew(await lab("upgrade-rate:limit=1,window=3,status=503"))
    for _ in range(2):
        await hands.open(SILENT)
    await refusals.slower(hands, rest=asyncio.sleep, left=lambda: 60.0)
    assert outcomes(hands) == [True, False, False, True, False]
    assert [cause.id for cause in diagnose(recorder.snapshot()).causes] == ["rate-limited"]


async def test_no_pause_is_begun_that_does_not_fit(lab, crew) -> None:
    """What is left of the budget is asked before each."""
    hands = await crew(await lab())

    async def never(seconds: float) -> None:
        raise AssertionError("it rested")

    await refusals.slower(hands, rest=never, left=lambda: 2.5)
    assert outcomes(hands) == []
