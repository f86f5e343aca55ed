"""Proof of the cure: cured arms beside controls, in rounds, until the difference is proven or is not."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from chatkit.experiments.cures import Trial
from chatkit.experiments.proof import Lifetime, Proof, judge, more_needed, must_live
from chatkit.investigation.arm import Arm
from chatkit.investigation.crew import Crew

STAGGER = 0.7
"""Seconds between two openings: ends within half a second of each other count once."""
MOST_PAIRS = 15
"""Of all rounds together."""
PATIENCE = 6.0
"""Seconds beyond what an arm has to live for which a round waits."""
Rest = Callable[[float], Awaitable[None]]


class Verification:
    """The trial of one cure.

    Args:
        trial: control, cured, and what a cured arm must live through.
        crew: starts arms, and has at least ten places free.
        rest: waits, and returns early when the user stops.
        halted: whether the user has stopped.
    """

    def __init__(self, trial: Trial, crew: Crew, *, rest: Rest, halted: Callable[[], bool]) -> None:
        self._trial, self._crew, self._rest, self._halted = trial, crew, rest, halted
        self._control: list[Arm] = []
        self._cured: list[Arm] = []

    async def run(self) -> Proof:
        """Rounds of pairs until it is decided, or nothing could decide it."""
        wanted = self._needed()
        while wanted and not self._halted() and len(self._cured) < MOST_PAIRS:
            await self._pairs(min(wanted, 5, MOST_PAIRS - len(self._cured)))
            await self._watch()
            wanted = self._needed()
        return judge(self._lifetimes(self._control), self._lifetimes(self._cured), self._trial.cure)

    def _needed(self) -> int:
        return more_needed(self._lifetimes(self._control), self._lifetimes(self._cured), self._trial.cure)

    async def _pairs(self, count: int) -> None:
        """Control and cured in turn."""
        for _ in range(count):
            for treatment, role, arms in (
                (self._trial.control, "control", self._control),
                (self._trial.cured, "cured", self._cured),
            ):
                if self._halted():
                    return
                arm = await self._crew.open(treatment, role)
                if arm.failure is None:
                    arms.append(arm)
                await self._rest(STAGGER)

    async def _watch(self) -> None:
        """Until every cured arm has ended or lived long enough; then all of them leave."""
        until = time.monotonic() + 3 * self._trial.seconds
        while not self._halted() and time.monotonic() < until:
            longest = must_live(self._lifetimes(self._control), self._trial.cure)
            if longest is None and all(arm.age > 2 * self._trial.control_s + PATIENCE for arm in self._control):
                break  # the controls live as well: there is nothing to cure here
            if longest is not None and all(not arm.alive or arm.age > longest + 0.3 for arm in self._cured):
                break
            await self._rest(0.3)
        for arm in (*self._control, *self._cured):
            arm.leave()
            if not self._halted():
                await arm.over.wait()

    def _lifetimes(self, arms: list[Arm]) -> list[Lifetime]:
        now = time.monotonic()
        return [
            Lifetime(
                seconds=round(arm.age, 4),
                died=arm.over.is_set() and (not arm.left or arm.gave_up),
                at=round(now if arm.ended_at is None else arm.ended_at, 4),
            )
            for arm in arms
        ]
