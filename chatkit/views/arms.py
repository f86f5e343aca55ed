"""The arms of an investigation side by side: one time axis, what each did on it, and how it ended; pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from chatkit.experiments.progress import ArmLine, Progress
from chatkit.views.wording import say

MOST_ARMS = 20
"""Lifelines drawn; of more, those that live and the latest of the others."""
SPACING = 0.006
"""Of the axis: acts that are closer together are drawn as one."""
LONGEST = 1e6
"""Seconds that are believed."""
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600)
"""Seconds between two marks of the axis."""


class Fate(NamedTuple):
    """What has become of an arm."""

    mark: str
    """``✕`` for an end that was not ours, ``|`` for one that was, ``▸`` while it lives: it says what tones say."""
    tone: str
    """``ok``, ``bad``, ``remark`` (refused, which may be as it should be) or ``dim``."""
    words: str


def fate(arm: ArmLine) -> Fate:
    """How an arm stands, in words."""
    age = f"{seconds(arm.age):.1f} s"
    ending = say(arm.ending, 120)
    match arm.state:
        case "alive":
            return Fate("▸", "ok", f"{age}, alive")
        case "ended":
            return Fate("✕", "bad", f"{age}, {ending or 'ended'}")
        case "closed":
            return Fate("|", "dim", f"{age}, closed by us")
        case "refused":
            return Fate("✕", "remark", f"refused: {ending}" if ending else "refused")
        case "opening":
            return Fate("·", "dim", "opening")
        case _:
            return Fate("·", "dim", "waits")


def chosen(arms: Sequence[ArmLine]) -> tuple[list[ArmLine], int]:
    """The arms that are drawn, in their order, and how many are not."""
    if len(arms) <= MOST_ARMS:
        return list(arms), 0
    order = sorted(range(len(arms)), key=lambda n: (arms[n].state in ("alive", "opening"), n), reverse=True)
    return [arms[n] for n in sorted(order[:MOST_ARMS])], len(arms) - MOST_ARMS


def horizon(progress: Progress) -> float:
    """Where the time axis ends, seconds since the beginning: it grows by steps, lifelines by the second."""
    ends = [arm.opened + seconds(arm.age) for arm in progress.arms if arm.opened is not None]
    last = max([seconds(end) for end in ends] + ([] if progress.done else [seconds(progress.elapsed)]), default=0.0)
    step = step_of(max(last, 1.0) * 1.05)
    return step * math.ceil(max(last, 1.0) * 1.05 / step)


def step_of(end: float) -> float:
    """Seconds between two marks of an axis of about five."""
    return next((step for step in _STEPS if end / step <= 6), 3600.0 * math.ceil(end / 3600 / 6))


def seconds(value: float | None) -> float:
    """A duration that can be drawn."""
    return min(value, LONGEST) if value is not None and math.isfinite(value) and value > 0 else 0.0


def life(arm: ArmLine, end: float) -> tuple[float, float] | None:
    """Begin and end of a lifeline as shares of the axis; ``None`` while there is none."""
    if arm.opened is None:
        return None
    begin = seconds(arm.opened)
    return min(1.0, begin / end), min(1.0, (begin + seconds(arm.age)) / end)


def acts(arm: ArmLine, end: float) -> list[float]:
    """What an arm did, as shares of the axis, none closer than ``SPACING``."""
    found: list[float] = []
    begin = seconds(arm.opened)
    for act in sorted(seconds(act) for act in arm.acts):
        share = (begin + act) / end
        if share <= 1.0 and (not found or share - found[-1] >= SPACING):
            found.append(share)
    return found
