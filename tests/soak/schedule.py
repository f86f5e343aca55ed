"""What goes wrong when: the chaos of a soak as data, decided by a seed and nothing else."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal, get_args

What = Literal["outage", "reset", "fin", "stall", "blackout", "restart", "expiry", "kill"]
"""``outage``: everything is reset and the port refuses for a while. ``reset``: every TCP connection ends with RST.
``fin``: with FIN and without a close frame. ``stall``: bytes are held. ``blackout``: bytes are held and then lost, with a reset. ``restart``: close 1012 to all, then the port
refuses for a while. ``expiry``: close 4001 to all, as for an expired token. ``kill``: SIGKILL to the clients' process,
which is started again."""
KINDS: tuple[What, ...] = get_args(What)
_WEIGHTS = {"outage": 2, "reset": 3, "fin": 3, "stall": 2, "blackout": 3, "restart": 2, "expiry": 2, "kill": 1}
_LASTS = {"outage": (1.0, 4.0), "stall": (1.0, 3.0), "blackout": (0.5, 2.0), "restart": (0.3, 1.5)}
CALM_START = 2.0
"""Seconds at the beginning in which connections are established."""
TAIL = 10.0
"""Least seconds at the end in which everything may settle, but for runs too short for that."""
KILLS_UNTIL = 0.4
"""Share of the run after which nothing is killed: the last process lives long enough for its memory to be judged."""
KILL_GAP = 8.0
"""Least seconds between two kills, so that a process does something before it dies."""


@dataclass(frozen=True)
class Deed:
    """One thing that goes wrong."""

    at: float
    """Seconds since the run began."""
    what: What
    seconds: float = 0.0
    """How long it lasts."""


def tail(seconds: float) -> float:
    """Quiet seconds at the end of a run."""
    return min(max(TAIL, 0.15 * seconds), 0.4 * seconds)


def plan(seconds: float, seed: int, kinds: tuple[What, ...] = KINDS) -> tuple[Deed, ...]:
    """The chaos of a run: something goes wrong at least every second, but for one that lasts and the quiet tail.

    Every kind comes at least once where there is time for it.
    """
    draw, at, last_kill = random.Random(seed), CALM_START, float("-inf")
    end = seconds - tail(seconds)
    deeds: list[Deed] = []
    missing = list(kinds)
    draw.shuffle(missing)
    missing.sort(key=lambda what: what != "kill")  # its time is over first
    while at < end:
        may_kill = at <= max(CALM_START, KILLS_UNTIL * seconds) and at - last_kill >= KILL_GAP
        allowed = [what for what in kinds if what != "kill" or may_kill]
        what = next((kind for kind in missing if kind in allowed), None)
        if what is None:
            what = draw.choices(allowed, [_WEIGHTS[kind] for kind in allowed])[0]
        else:
            missing.remove(what)
        lasts = round(min(draw.uniform(*_LASTS[what]), end - at), 3) if what in _LASTS else 0.0
        deeds.append(Deed(round(at, 3), what, lasts))
        last_kill = at if what == "kill" else last_kill
        at += lasts + draw.uniform(0.3, 1.0)
    return tuple(deeds)
