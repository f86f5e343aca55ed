"""The planner beside a running investigation: asked on a thread, for it weighs thousands of hypotheses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from chatkit.diagnosis.engine import Standing
from chatkit.experiments import planner
from chatkit.experiments.planner import Proposal
from chatkit.investigation.crew import Crew

LAST = 1.0
"""Seconds of the budget in which nothing is begun any more."""


class Planning:
    """What to do next with a crew.

    Args:
        crew: whose arms run.
        chat: whether chat messages are permitted.
        intrusive: whether large messages are.
        left: seconds of the budget that are left.

    The loop whose lag would be taken for the backend's is not used for thinking.
    """

    def __init__(self, crew: Crew, *, chat: bool, intrusive: bool, left: Callable[[], float]) -> None:
        self._crew, self._chat, self._intrusive, self._left = crew, chat, intrusive, left

    async def proposals(self, standing: Standing, room: int = 1) -> list[Proposal]:
        """Arms worth running, most telling first."""
        return await asyncio.to_thread(
            planner.propose,
            standing,
            self._crew.running,
            left=max(0.0, self._left() - LAST),
            room=room,
            chat=self._chat,
            intrusive=self._intrusive,
        )

    async def measured_well(self, standing: Standing) -> bool:
        """Whether no arm would tell more of the parameters."""
        return await asyncio.to_thread(
            planner.measured_well,
            standing,
            self._crew.running,
            left=self._left(),
            chat=self._chat,
            intrusive=self._intrusive,
        )

    async def make_room(self, standing: Standing) -> None:
        """Where another arm would tell something, one that has told all it could leaves."""
        arms = [arm for arm in self._crew.alive if not arm.treatment.also]
        running = [(arm.treatment, arm.age) for arm in arms]
        spare = await asyncio.to_thread(planner.spare, standing, running, left=self._left())
        if spare and await self.proposals(standing):
            await self._crew.dismiss(arms[spare[0]])
