"""The trial of a cure on real connections: one that holds, one that is none, and one that is stopped.

They run beside each other, each against a lab of its own.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

from chatkit.client.http import HttpApi
from chatkit.events import ArmStarted
from chatkit.experiments.cures import Trial
from chatkit.experiments.proof import Cure, Proof
from chatkit.experiments.treatments import SILENT, Doing, Treatment, first_ping
from chatkit.investigation import investigate
from chatkit.investigation.crew import AGENT, MOST_AT_ONCE, Crew
from chatkit.investigation.verify import Verification
from chatkit.lab import LabServer
from chatkit.profile import DEFAULT
from chatkit.recorder import Recorder
from chatkit.trace import Trace

from .conftest import most_at_once, of, profile

LATER = Treatment(
    id="cured", what="quiet, then pings", doings=(Doing(what="app-ping", at=1.3, every=1.0),)
)  # fmt: skip
PINGS = Trial(
    control=replace(first_ping(0.0), id="uncured"),
    cured=LATER,
    cure=Cure.of_pings("1.3 s of quiet before the first ping", first_s=1.3, every_s=1.0, window_s=1.0, settle_s=0.5),
    control_s=0.3,
)
NO_CURE = Trial(
    control=replace(SILENT, id="uncured"),
    cured=replace(LATER, what="pings that help against nothing"),
    cure=Cure.of_quiet("a heartbeat", heartbeat_s=1.0, timeout_s=1.5),
    control_s=1.5,
)


class Tried(NamedTuple):
    """What came of a trial."""

    proof: Proof
    trace: Trace
    left: int
    """Connections of the lab that were open after the trial, before the crew closed."""


async def _try(house: LabServer, trial: Trial, stop_after: int | None = None) -> Tried:
    """``stop_after`` openings the user stops it."""
    recorder = Recorder(target=house.url)
    async with HttpApi(house.url, recorder=recorder, token=house.token, agent=AGENT) as api:
        woken = asyncio.Event()
        crew = Crew(api, None, bot="echo", recorder=recorder, profile=DEFAULT, proxy=True, woken=woken)

        def halted() -> bool:
            return stop_after is not None and len(crew.arms) >= stop_after

        async def rest(seconds: float) -> None:
            until = time.monotonic() + seconds
            while not halted() and time.monotonic() < until:
                await asyncio.sleep(0.02)

        proof = await Verification(trial, crew, rest=rest, halted=halted).run()
        left = len(crew.alive)
        await crew.close()
    async with asyncio.timeout(5):
        while house.stats.peers:
            await asyncio.sleep(0.01)
    return Tried(proof, recorder.snapshot(), left)


async def _whole(house: LabServer) -> Tried:
    """An investigation that finds the early ping and tries its cure."""
    options: dict[str, Any] = {"profile": profile(stabilise=1.5), "chat": False, "verify": True}
    result = await investigate(house.url, bot="echo", token=house.token, budget=20, **options)
    assert result.verification is not None
    return Tried(result.verification, result.trace, len(house.stats.peers))


@pytest.fixture(scope="module")
def tried() -> dict[str, Tried]:
    """By the name of the trial."""

    async def all_of_them() -> list[Tried]:
        faults = [["early-ping-abort:window=1"], ["max-lifetime:age=1.5"], []]
        faults += [["early-ping-abort:window=1"], ["early-ping-abort:window=1"]]
        async with AsyncExitStack() as stack:
            houses = [await stack.enter_async_context(LabServer(faults=some)) for some in faults]
            return await asyncio.gather(
                _try(houses[0], PINGS),
                _try(houses[1], NO_CURE),
                _try(houses[2], PINGS),
                _try(houses[3], PINGS, stop_after=4),
                _whole(houses[4]),
            )

    names = ("holds", "no-cure", "healthy", "stopped", "whole")
    return dict(zip(names, asyncio.run(all_of_them()), strict=True))


@pytest.mark.parametrize("name", ["holds", "whole"])
def test_a_cure_that_holds(tried, name) -> None:
    """Five of five outlived what killed five of five: by the exact test less than one in a hundred."""
    proof = tried[name].proof
    assert proof.outcome == "holds", str(proof)
    assert proof.p is not None
    assert proof.p < 0.01
    assert (proof.control.died, proof.cured.died) == (proof.control.arms, 0)
    assert proof.control.arms >= 5
    assert "the cure holds" in str(proof)


def test_no_cure(tried) -> None:
    """Pings do not help against a maximum age, and nobody says that they do."""
    proof = tried["no-cure"].proof
    assert proof.outcome == "fails", str(proof)
    assert proof.cured.died == proof.cured.arms >= 5
    assert "does not hold" in str(proof)


def test_nothing_to_cure(tried) -> None:
    """Where the controls live as well, nothing is proven."""
    proof = tried["healthy"].proof
    assert proof.outcome == "undecided", str(proof)
    assert (proof.control.died, proof.cured.died) == (0, 0)


def test_the_user_stops_it(tried) -> None:
    """No further arm is opened, and nothing is claimed."""
    one = tried["stopped"]
    assert len(of(one.trace, ArmStarted)) == 4
    assert one.proof.outcome == "undecided", str(one.proof)


@pytest.mark.parametrize("name", ["holds", "no-cure", "healthy", "stopped"])
def test_control_and_cured_in_turn(tried, name) -> None:
    """So that what changes with time hits both; and their roles stand in the recording."""
    started = of(tried[name].trace, ArmStarted)
    assert [arm.role for arm in started[:10]] == ["control", "cured"] * (len(started[:10]) // 2)
    assert {arm.role: arm.arm for arm in started} == {"control": "uncured", "cured": "cured"}


@pytest.mark.parametrize("name", ["holds", "no-cure", "healthy", "stopped", "whole"])
def test_polite(tried, name) -> None:
    """Never more than twelve, and all of them leave."""
    assert most_at_once(tried[name].trace) <= MOST_AT_ONCE
    assert tried[name].left == 0
