"""Whether lives ended by a timer, and of which kind: constant age, constant quiet, both, or neither."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from chatkit.diagnosis.case import Case
from chatkit.diagnosis.facts import ACTIVITY, Facts, Life, median
from chatkit.diagnosis.limits import suspects
from chatkit.diagnosis.observation import Observation

SPREAD, SHARE = 0.3, 0.03
"""Seconds, or share of itself, by which a timer may vary (rule of thumb 2 of the taxonomy)."""
SHORTEST_TIMER = 1.5
"""Seconds below which an age or a quiet time is no timer but a consequence."""
REGULAR = 2
"""Lives of one age from which on they belong together, whatever they did last."""


def steady(values: list[float]) -> bool:
    """Whether these seconds could be one timer."""
    middle = median(values)
    return max(values) - min(values) <= _room(middle)


def _room(seconds: float) -> float:
    return max(SPREAD, SHARE * seconds)


def regular(lives: list[Life]) -> bool:
    """Whether these lives are many and of one age."""
    ages = [life.age for life in lives if life.age is not None]
    return len(ages) == len(lives) >= REGULAR and min(ages) >= SHORTEST_TIMER and steady(ages)


def timed(lives: list[Life]) -> bool:
    """Whether the ages of these lives, or their last quiet times, could be a timer."""
    ages = [life.age for life in lives if life.age is not None]
    quiet = [q for life in lives if (q := life.idle("any")) is not None]
    return any(
        len(values) == len(lives) and min(values) >= SHORTEST_TIMER and steady(values) for values in (ages, quiet)
    )


def of_timer(facts: Facts, case: Case) -> Iterator[Observation]:
    """What ages and quiet times say; of one life, whether a known limit fits. ``case.facts`` gets what was measured."""
    if not facts.visible("timing"):
        return
    ages = [life.age for life in case.lives if life.age is not None]
    if len(ages) < len(case.lives) or not ages or max(ages) < SHORTEST_TIMER:
        return
    idles = _idles(facts, case)
    events = tuple(id for life in case.lives[:20] if life.connection.ending for id in life.connection.ending.events)
    case.facts["ages"] = [round(age, 3) for age in ages]
    case.facts["age_s"] = _measured(ages)
    quiet = idles.get("any")
    if quiet:
        case.facts["timeout_s"], case.facts["counts"] = _measured(quiet), "any"
    if len(ages) >= 2:
        yield _of_many(case, ages, idles, events)
    else:
        yield _of_one(case, ages[0], quiet[0] if quiet else None, events)
    if len(ages) >= 3:
        case.facts["mean_s"] = round(float(np.mean(ages)), 1)


def _idles(facts: Facts, case: Case) -> dict[str, list[float]]:
    """Quiet times of each kind that is known of all lives: one for each life."""
    if not facts.visible("frames") and not all(life.connection.opaque for life in case.lives):
        return {}
    found = {kind: [q for life in case.lives if (q := life.idle(kind)) is not None] for kind in ACTIVITY}
    return {kind: values for kind, values in found.items() if len(values) == len(case.lives)}


def _measured(values: list[float]) -> float:
    return round(median(values), 3)


def _survived(case: Case, kind: str, quiet: float) -> bool:
    """Whether a life outlived a longer quiet of that kind before: then nobody waits for it."""
    return any(life.longest_quiet(kind) > quiet + _room(quiet) for life in case.lives)


def _kinds(case: Case, ages: list[float], idles: dict[str, list[float]]) -> list[str]:
    """Kinds of activity after which all of them were quiet for the same time."""
    found = []
    for kind, values in idles.items():
        moved = [age - quiet for age, quiet in zip(ages, values, strict=True)]
        # Where nothing of that kind happened while other things did, its quiet is the age by another name.
        own = kind == "any" or max(moved) > SHORTEST_TIMER / 3
        if own and min(values) >= SHORTEST_TIMER and steady(values) and not _survived(case, kind, _measured(values)):
            found.append(kind)
    # First those whose quiet times agree though the ages do not.
    return sorted(found, key=lambda kind: not _apart(ages, idles[kind]))


def _apart(ages: list[float], quiet: list[float]) -> bool:
    """Whether quiet times are another thing than ages."""
    return max(a - q for a, q in zip(ages, quiet, strict=True)) > max(1.0, 0.1 * max(ages))


def _of_many(case: Case, ages: list[float], idles: dict[str, list[float]], events: tuple[str, ...]) -> Observation:
    kinds = _kinds(case, ages, idles)
    if kinds:
        case.facts["counts"], case.facts["timeout_s"] = kinds[0], _measured(idles[kinds[0]])
    age, quiet = _measured(ages), case.facts.get("timeout_s")
    if steady(ages) and (kinds or not idles):
        value = _by_limit(case, age, quiet if kinds else None) or "either"
        words = f"all lived {age:.1f} s" + (f" and were quiet for the last {quiet:.1f} s" if kinds else "")
    elif steady(ages):
        value, words = "age", f"all ended at an age of {age:.1f} s ({len(ages)} lives)"
    elif kinds:
        value = "idle"
        words = f"all ended {quiet:.1f} s after the last activity ({kinds[0]})"
        words += f", at ages from {min(ages):.1f} to {max(ages):.1f} s"
    else:
        value, words = _clock(case, ages)
    return Observation(of="timer", value=value, finding=words, events=events)


def _clock(case: Case, ages: list[float]) -> tuple[str, str]:
    """Ends by the clock on the wall, or by nothing that is regular."""
    pauses = np.diff(sorted(life.end for life in case.lives)).tolist()
    if len(pauses) >= 2 and min(pauses) > 5 and steady(pauses):
        case.facts["period_s"] = round(median(pauses), 1)
        return "clock", f"they ended every {case.facts['period_s']:.0f} s by the clock"
    return "irregular", f"neither ages ({min(ages):.1f} to {max(ages):.1f} s) nor quiet times agree"


def _by_limit(case: Case, age: float, quiet: float | None) -> str | None:
    """Which of the two is a limit that is known to be someone's; a quiet that is not visible may be all the age."""
    ending = case.lives[0].connection.ending
    assert ending is not None
    how = _how(ending.close_code, ending.transport.how if ending.transport is not None else None)
    waited = age if quiet is None else quiet
    by_idle = waited >= SHORTEST_TIMER and bool(suspects("idle", waited, error=0.5, ending=how))
    by_age = bool(suspects("age", age, error=0.5, ending=how))
    if by_idle and by_age:
        return "known-either"
    return "known-idle" if by_idle else "known-age" if by_age else None


def _of_one(case: Case, age: float, quiet: float | None, events: tuple[str, ...]) -> Observation:
    """One life tells a timer only by a limit that is known to be someone's."""
    outlived = quiet is not None and _survived(case, "any", quiet)
    value = _by_limit(case, age, 0.0 if outlived else quiet) or "single"
    words = {
        "known-either": f"{age:.1f} s of life and {quiet or age:.1f} s of quiet are both known limits",
        "known-idle": f"it ended after {quiet or age:.1f} s without activity, a known idle time-out",
        "known-age": f"it ended at an age of {age:.1f} s, a known limit",
        "single": "one life alone tells no timer",
    }
    return Observation(of="timer", value=value, finding=words[value], events=events)


def _how(code: int | None, transport: str | None) -> str | None:
    if code is not None and code != 1006:
        return f"close:{code}"
    return {"timeout": "silence", "fin": "fin", "rst": "rst"}.get(transport or "")
