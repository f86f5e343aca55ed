"""The planner beside a crew: asked for arms, for an end, and for room."""

from __future__ import annotations

import asyncio
import types

from chatkit.diagnosis.engine import stand
from chatkit.experiments.treatments import SILENT, every, first_ping
from chatkit.investigation.planning import Planning
from tests.diagnosis import rounds
from tests.diagnosis.rounds import ROUND, played


class Standin:
    """An arm that lives."""

    def __init__(self, treatment, age: float) -> None:
        self.treatment, self.age, self.left = treatment, age, False
        self.over = asyncio.Event()

    def leave(self) -> None:
        self.left = True
        self.over.set()


def planning(*arms: Standin, left: float = 30.0) -> Planning:
    async def dismiss(arm: Standin) -> None:
        arm.leave()

    running = [(one.treatment, one.age) for one in arms]
    crew = types.SimpleNamespace(alive=list(arms), running=running, dismiss=dismiss)
    return Planning(crew, chat=False, intrusive=False, left=lambda: left)


EARLY = stand(played(rounds.early(3.0, ("app-ping", "protocol-ping"))))
QUIET = stand(played(rounds.idle(6.0), watched=20.0))


def test_arms_are_proposed_within_what_is_left() -> None:
    """First pings that split the window; nothing once the time is over."""
    found = asyncio.run(planning().proposals(EARLY, room=3))
    assert found
    assert all(one.treatment.id.startswith("ping") for one in found)
    assert asyncio.run(planning(left=0.5).proposals(EARLY, room=3)) == []


def test_a_window_that_is_wide_is_not_measured_well() -> None:
    """While first pings in between would tell more of it; with no time left nothing would."""
    assert not asyncio.run(planning().measured_well(EARLY))
    assert asyncio.run(planning(left=0.0).measured_well(EARLY))


def test_one_that_has_told_all_makes_room() -> None:
    """Where another would tell something: the one that has shown what it can leaves, the silent one stays."""

    async def check() -> None:
        told, silent = Standin(first_ping(0.0), 20.0), Standin(SILENT, 0.5)
        await planning(told, silent).make_room(EARLY)
        assert told.left
        assert not silent.left

    asyncio.run(check())


def test_nobody_leaves_for_nothing() -> None:
    """Where no arm would tell more, all stay."""

    async def check() -> None:
        arms = [Standin(one, 20.0) for one in (*ROUND, every(2.0, "app-ping"))]
        await planning(*arms, left=0.5).make_room(QUIET)
        assert not any(arm.left for arm in arms)

    asyncio.run(check())
