"""Causes for connections of which only a row is known: the engine's own model over what a row can show; pure.

Rows that look alike have the same cause, and there are a few hundred looks, however many the connections are.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from chatkit.diagnosis.case import Case
from chatkit.diagnosis.deaths import EARLY, HOURS, INSTANT, close_value
from chatkit.diagnosis.engine import rank
from chatkit.diagnosis.observation import Observation
from chatkit.diagnosis.taxonomy import NONE, UNKNOWN

ENOUGH = 0.5
"""Probability from which on a cause is named, as in a diagnosis."""
AGES = (("instant", INSTANT), ("early", EARLY), ("minutes", HOURS))
"""Ages that are told apart, and the seconds up to which each reaches; beyond are ``hours``."""


class Look(NamedTuple):
    """What a row shows of its end."""

    state: str
    http_status: int | None
    close_code: int | None
    closed_by: str | None
    transport_how: str | None
    transport_by: str | None
    age: str | None
    """``instant``, ``early``, ``minutes`` or ``hours``."""
    timer: str
    """``age``, ``idle``, ``either`` or ``irregular``: which of the fleet's timers it fits; ``single`` of an attempt."""
    together: str
    """``all``, ``some`` or ``alone``: whether others ended in the same moment; ``single`` of an attempt."""


@cache
def verdict(look: Look) -> tuple[str, float]:
    """The likeliest cause, and how probable it is: an id of the taxonomy, ``none`` or ``unknown``."""
    observations = list(_attempt(look) if look.state == "refused" else _life(look))
    if not observations:
        return UNKNOWN, 0.0
    kind = "attempt" if look.state == "refused" else "life"
    made = tuple(Observation(of=of, value=value, finding="") for of, value in observations)
    best = rank(Case(kind=kind, title="", observations=made))[0]
    if best.id != NONE and best.probability < ENOUGH:
        return UNKNOWN, best.probability
    return best.id, best.probability


def _attempt(look: Look) -> list[tuple[str, str]]:
    if look.http_status is None:
        return []
    status = "redirect" if look.http_status in (301, 302, 303, 307, 308) else str(look.http_status)
    return [("stage", "upgrade"), ("status", status), ("others", "between")]


def _life(look: Look) -> list[tuple[str, str]]:
    ending = _ending(look)
    actor = look.closed_by or ("nobody" if look.transport_how in ("timeout", "none") else None)
    found = [("ending", ending)] if ending is not None else []
    found += [("by", actor)] if actor is not None else []
    found += [("age", look.age)] if look.age is not None else []
    if actor != "client":
        found += [("timer", look.timer), ("together", look.together)]
    return found


def _ending(look: Look) -> str | None:
    """As the observable ``ending`` knows it."""
    code = look.close_code
    if code is not None and code != 1006:
        return close_value(code)
    if look.transport_how == "timeout":
        return "silence"
    if look.transport_how in ("fin", "rst", "local"):
        return look.transport_how
    return "abort" if code == 1006 else None
