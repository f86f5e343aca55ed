"""An attempt is refused while connections live: by their number, or by the pace of the attempts?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from chatkit.experiments.treatments import SILENT
from chatkit.investigation.crew import Crew

STATUSES = (403, 429, 503)
"""What limits of number and of pace are answered with."""
TOLD = frozenset({"connection-limit", "rate-limited"})
"""Causes that need no slower attempts any more."""
PAUSES = (2.0, 4.0, 8.0)
"""Seconds without an attempt, one after the other: the last is a limit of 8 a minute."""
SOON = 0.4
"""Seconds after which the next attempt is one at once."""

Rest = Callable[[float], Awaitable[None]]
"""Waits that many seconds, or less where the investigation ends."""


async def fewer(crew: Crew, *, rest: Rest) -> None:
    """Lets one of those that live leave, and tries two attempts: the first takes its place, the second has none."""
    for _ in range(2):
        if not crew.alive:
            return
        await crew.dismiss(crew.alive[-1])
        await rest(SOON)
        await crew.open(SILENT)
        await rest(SOON)
        await crew.open(SILENT)
        await rest(SOON)


async def slower(crew: Crew, *, rest: Rest, left: Callable[[], float]) -> None:
    """Tries attempts ever further apart until one is let in, and another at once, which a limit of pace refuses.

    ``left`` are the seconds of the budget that remain: no pause is begun that does not fit.
    """
    for pause in PAUSES:
        if left() < pause + 1.0:
            return
        await rest(pause)
        if left() <= 0.0:
            return
        arm = await crew.open(SILENT, timeout=4.0)
        if arm.failure is None:
            await rest(SOON)
            await crew.open(SILENT, timeout=4.0)
            return
