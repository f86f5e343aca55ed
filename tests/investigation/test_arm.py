"""One arm against a real lab: whose end it was."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from chatkit.client.http import HttpApi
from chatkit.experiments import treatments
from chatkit.investigation.crew import Crew
from chatkit.lab import LabServer
from chatkit.profile import DEFAULT
from chatkit.recorder import Recorder
from conftest import PATIENCE

Lab = Callable[..., Awaitable[LabServer]]


async def test_who_ended_it(lab: Lab) -> None:
    """An arm that the server had ended was not closed by us, although we take leave of all arms in the end."""
    house = await lab("early-ping-abort:window=3")
    recorder = Recorder(target=house.url)
    async with HttpApi(house.url, recorder=recorder, profile=DEFAULT, token=house.token, proxy=False) as api:
        crew = Crew(
            api, None, bot="echo", recorder=recorder, profile=DEFAULT, proxy=False, woken=asyncio.Event()
        )  # fmt: skip
        quiet = await crew.open(treatments.SILENT)
        ping = await crew.open(treatments.first_ping(0.0))
        async with asyncio.timeout(PATIENCE):
            await ping.over.wait()
        await crew.close()
    assert [arm.line().state for arm in (quiet, ping)] == ["closed", "ended"]
    assert [arm.left for arm in (quiet, ping)] == [True, False]
    assert "RST by server" in ping.line().ending
