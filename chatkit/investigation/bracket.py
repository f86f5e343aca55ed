"""How long a quiet a path forgets a connection after: a round of arms that are quiet for as long as might be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from chatkit.diagnosis.result import Diagnosis
from chatkit.experiments.bracketing import UNANSWERED, quiet, quiets
from chatkit.investigation.crew import MOST_AT_ONCE, Crew

GOODBYES = 4.0
"""Seconds that goodbyes take over a path that is dead, before and after."""


async def bracket(crew: Crew, found: Diagnosis, *, rest: Callable[[float], Awaitable[None]], left: float) -> bool:
    """Where a path forgets quiet connections, tries quiets between the longest that was survived and the shortest
    that was fatal; whether there were any to try.

    ``rest`` waits that many seconds or less, ``left`` are the seconds of the budget that remain. Arms that run make
    room first; a server that is spoken to at the same time would feed those that are to be quiet.
    """
    if not found.causes or found.causes[0].id != "nat-timeout":
        return False
    known = found.causes[0].parameters
    tried = quiets(known.get("timeout_min_s"), known.get("timeout_max_s"), MOST_AT_ONCE)
    if not tried or left < tried[-1] + UNANSWERED + GOODBYES:
        return False
    await crew.dismiss(*crew.alive)
    arms = [await crew.open(quiet(seconds)) for seconds in tried]
    await rest(tried[-1] + UNANSWERED)
    await crew.dismiss(*arms)
    return True
