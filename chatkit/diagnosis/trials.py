"""An investigation's arms as one case: what became of each of them, weighed by the mechanisms of every cause.

How an arm ended (who, at which layer, with which words) is observed as of any other life. When it ended, beside what
was done to it, is not put into words first: the mechanisms predict it, and the prediction is compared.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from msgspec import Struct

from chatkit.diagnosis.courses import Course, courses
from chatkit.diagnosis.facts import Facts, Life, median
from chatkit.diagnosis.mechanisms import ODD, PINGS, Fit, fits
from chatkit.diagnosis.observation import Observation
from chatkit.diagnosis.taxonomy import Cause

TOLD_APART = 0.75
"""Probability from which on a kind of activity is said to be the one that counts."""
DISTURBED, DISTURBED_WITHIN = 1.0, 3.0
"""Seconds of our own loop's lag, and before an end, from which on the end proves nothing: a server's heartbeat of two
seconds does not wait for us."""
TIMED = frozenset(
    {"age", "timer", "together", "rival", "after", "pinged", "repeat", "first-frame", "compressed", "expiry"}
)  # fmt: skip
"""Observations that tell times in words: of an arm the mechanisms say it better."""
DISPLACED_WITHIN = 1.2
"""Seconds after a connection to another bot opened within which an end is put down to it: the next is opened after
1.5 s."""
_TRIGGERS = {"chat": "message", "sync": "session_sync", "any-ping": "ping"}
"""Words for parameters where they differ from those of the mechanism."""


class Trials(Struct, frozen=True, kw_only=True):
    """Courses and how well each mechanism explains them."""

    courses: tuple[Course, ...]
    fits: dict[str, Fit]

    def lift(self, cause: Cause) -> float:
        """Logarithm of how much likelier all courses are with the cause than with ends at random."""
        return self.survival(cause) - self.fits["free"].evidence

    def survival(self, cause: Cause) -> float:
        """Logarithm of the probability of all courses with the cause: where none ended, that it harmed none so far."""
        parts = [math.log(share) + self.fits[id].evidence for id, share in cause.courses.items()]
        peak = max(parts)
        return peak + math.log(sum(math.exp(part - peak) for part in parts))

    def unharmed(self) -> float:
        """As :meth:`lift`, of no fault at all: whatever ended had a reason of its own."""
        ended = sum(math.log(ODD) - math.log((c.until + 0.3) * 10) for c in self.courses if c.died)
        return ended - self.fits["free"].evidence

    def fit(self, cause: Cause) -> Fit:
        """The mechanism by which the cause explains the courses best."""
        best = max(cause.courses, key=lambda id: math.log(cause.courses[id]) + self.fits[id].evidence)
        return self.fits[best]

    def between(self, first: Cause, second: Cause | None) -> list[tuple[float, Course]]:
        """How much each course speaks for the first cause against the second, or against chance."""
        mine = self.fit(first).each
        other = self.fit(second).each if second is not None else self.fits["free"].each
        return [(float(a - b), course) for a, b, course in zip(mine, other, self.courses, strict=True)]


def trials(facts: Facts, dead: tuple[Life, ...]) -> Trials | None:
    """Of the lives that an investigation watched; ``None`` where their openings are not visible."""
    found = courses(facts, dead)
    return Trials(courses=found, fits=fits(found)) if any(course.died for course in found) else None


def survivors(facts: Facts) -> Trials | None:
    """All arms, where none of them ended in a way that has to be explained; ``None`` where none opened."""
    found = courses(facts, ())
    return Trials(courses=found, fits=fits(found)) if found else None


def sentence(course: Course) -> str:
    """What became of an arm."""
    name = f"arm {course.arm}" if course.arm else f"connection {course.id}"
    last = course.acts[-1] if course.acts else None
    if not course.died:
        return f"{name} lived for {course.until:.1f} s" + (
            _doings(course) if course.acts else " without a word from us"
        )
    if last is None:
        return f"{name} was silent and ended at an age of {course.until:.1f} s"
    gap = course.until - last.age
    return f"{name} ended at an age of {course.until:.1f} s, {gap:.1f} s after our {_word(last.what)}"


def _doings(course: Course) -> str:
    kinds = list(dict.fromkeys(_word(act.what) for act in course.acts))
    return f" with {len(course.acts)} × {', '.join(kinds[:2])}"


def _word(what: str) -> str:
    return {
        "app-ping": "ping",
        "protocol-ping": "ping (RFC 6455)",
        "typing": "typing message",
        "chat": "chat message",
        "sync": "session_sync message",
    }.get(what, "message")


def observation(course: Course) -> Observation:
    """The same with the events that show it."""
    return Observation(of="arm", value=course.arm or course.id, finding=sentence(course), events=course.events)


# Measured values


def measured(found: Trials, fit: Fit) -> dict[str, Any]:
    """Parameters of a mechanism, as exactly as the courses tell them."""
    dead = [course for course in found.courses if course.died]
    match fit.mechanism:
        case "idle":
            return _idle(found, fit, dead)
        case "age":
            return {"age_s": round(median([course.until for course in dead]), 3)}
        case "early":
            return _window(found, fit, dead)
        case "trigger":
            trigger = fit.best["trigger"]
            return {"trigger": _TRIGGERS.get(trigger, trigger), "after_s": _after(dead)}
        case "size":
            return _size(found, dead)
        case "free":
            lived = sum(course.until for course in found.courses)
            return {"mean_s": round(lived / max(1, len(dead)), 1)}
        case "moment" | "share":
            at = [course for course in dead if course.moment is not None]
            return {"count": len(at)} if len(at) > 1 else {}
        case "rival":
            return {"rivals": len(dead)}
        case _:
            return dict(fit.best)


def counted(fit: Fit) -> dict[str, float]:
    """Probability of each kind of activity that an idle time-out may count."""
    found: dict[str, float] = {}
    for point, share in zip(fit.points, fit.posterior.tolist(), strict=True):
        found[point["counts"]] = found.get(point["counts"], 0.0) + share
    return found


def _idle(found: Trials, fit: Fit, dead: list[Course]) -> dict[str, Any]:
    shares = counted(fit)
    counts = max(shares, key=lambda kind: shares[kind])
    about = fit.best["timeout_s"]
    quiet = [course.until - max(course.activity.get(counts, ()), default=0.0) for course in dead]
    near = [one for one in quiet if abs(one - about) <= max(1.5, 0.2 * about)] or quiet
    values: dict[str, Any] = {"timeout_s": round(median(near), 3), "counts": counts}
    if max(near) - min(near) > max(0.3, 0.03 * min(near)):
        values |= {"timeout_min_s": round(min(near), 3), "timeout_max_s": round(max(near), 3)}
    if shares[counts] < TOLD_APART:
        values["counts_perhaps"] = [kind for kind, share in sorted(shares.items(), key=lambda x: -x[1]) if share > 0.05]
    return values


def _window(found: Trials, fit: Fit, dead: list[Course]) -> dict[str, Any]:
    kind, kinds = fit.best["ping"], _kinds(fit)
    fatal = [age for course in dead if (age := _first(course, kinds)) is not None]
    fine = [age for course in found.courses if not course.died and (age := _first(course, kinds)) is not None]
    low = max(fatal, default=0.0)
    high = min((age for age in fine if age > low), default=None)
    values: dict[str, Any] = {
        "ping": {"app-ping": "application", "protocol-ping": "protocol"}.get(kind, "both"),
        "window_min_s": round(low, 2),
        "window_s": round((low + high) / 2 if high is not None else low, 2),
        "after_s": _after(dead),
    }
    return values | ({"window_max_s": round(high, 2)} if high is not None else {})


def _kinds(fit: Fit) -> tuple[str, ...]:
    """Of the pings that are too early."""
    return PINGS if fit.best["ping"] == "both" else (fit.best["ping"],)


def _first(course: Course, kinds: tuple[str, ...]) -> float | None:
    return next((act.age for act in course.acts if act.what in kinds), None)


def _after(dead: list[Course]) -> float:
    gaps = [course.until - course.acts[-1].age for course in dead if course.acts]
    return round(median(gaps), 2) if gaps else 0.0


def _size(found: Trials, dead: list[Course]) -> dict[str, Any]:
    fatal = [course.acts[-1].size for course in dead if course.acts]
    fine = [
        act.size for course in found.courses for act in course.acts if not course.died or act is not course.acts[-1]
    ]
    low = max((size for size in fine if not fatal or size < min(fatal)), default=0)
    if not fatal:
        return {}
    # The roundest number between the largest that passed and the smallest that did not.
    power = 2 ** (min(fatal) - 1).bit_length() // 2
    limit = power if low <= power < min(fatal) else (low + min(fatal)) // 2
    return {
        "limit_bytes": limit,
        "limit_min_bytes": low,
        "limit_max_bytes": min(fatal),
        "size_bytes": min(fatal),
        "direction": "outbound",
    }


def lacking(found: Trials, cause: Cause) -> str | None:
    """The experiment without which the cause is not proven, however probable it is; ``None`` where nothing lacks."""
    fit = found.fit(cause)
    if fit.mechanism != "early":
        return None
    lived = any(not course.died and _first(course, _kinds(fit)) is not None for course in found.courses)
    return None if lived else "every ping was fatal: whether a later first ping is, was not tried"


# Arms of which none ended


def disturbed(facts: Facts, life: Life) -> bool:
    """Whether our own loop was away just before a connection ended: then its end may be about us."""
    near = (one.lag for one in facts.lags if life.end - DISTURBED_WITHIN <= one.at <= life.end + 0.2)
    return max(near, default=0.0) >= DISTURBED


def displaced(facts: Facts, life: Life) -> tuple[Life, ...]:
    """Connections to another bot, opened on purpose, that a life ended right after."""
    return tuple(
        one
        for one in facts.variants
        if facts.arms[one.id].alters == "bot"
        and one.opened
        and one.connection.started_at < life.end
        and life.start < one.start
        and -0.3 <= life.end - one.start <= DISPLACED_WITHIN
    )


def untried(facts: Facts) -> tuple[str, ...]:
    """What an investigation has not tried that the common causes need in order to show; sentences."""
    lives = [life for life in facts.lives if life.opened and life.connection.opened_at is not None]
    found = courses(facts, ())
    longest = max((course.until for course in found), default=0.0)
    missing = []
    lost = [life for life in lives if life.connection.ending is not None and not life.connection.ending.clean]
    if away := [life for life in lost if disturbed(facts, life)]:
        missing.append(f"{len(away)} connections ended while our own machine was too busy to answer: try a quieter one")
    if not any(_silent(course) and course.until >= max(2.0, 0.5 * longest) for course in found):
        missing.append("no silent connection was watched for as long as the others")
    for what, words in (("app-ping", "an application ping"), ("protocol-ping", "an RFC 6455 ping")):
        if not any(act.what == what and act.age < 1.0 for course in found for act in course.acts):
            missing.append(f"no connection sent {words} right after opening")
        busy = [course for course in found if sum(act.what == what for act in course.acts) >= 3]
        if not any(course.until >= 0.3 * longest for course in busy):
            missing.append(f"no connection kept sending {words}")
    if not any(act.what == "typing" for course in found for act in course.acts):
        missing.append("no typing message was sent")
    return tuple(missing) if lives else ("no connection opened",)


def _silent(course: Course) -> bool:
    """Whether nothing went out on it; what is said to the bot over HTTP goes elsewhere."""
    return all(act.what == "chat" for act in course.acts)


def longest_quiet(facts: Facts) -> float:
    """Seconds of the longest quiet that a connection survived, up to now."""
    quiet = [0.0]
    for course in courses(facts, ()):
        ages = np.array([0.0, *course.activity.get("any", ()), course.until])
        quiet.append(float(np.diff(ages).max()))
    return max(quiet)
