"""Exercises as data: which fault is hidden, what counts as shown by a recording, and what is said to an answer; pure.

An answer is never compared with a cause that lies about in a variable. First the reader's own recording is asked
whether it shows what is claimed: what it does not show is told so, right or wrong, so guessing teaches nothing. Only
then is the claim tried on a seal: salted digests of the cause with every value within the tolerance.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import random
from collections.abc import Callable, Sequence
from difflib import get_close_matches

from msgspec import Struct

from chatkit.diagnosis.courses import Course
from chatkit.plain import one_line

GRID = 0.1
"""Seconds between two values that a seal tells apart."""
TOLERANCE = 0.25
"""Seconds by which a stated number may be off."""
NEAR = 0.15
"""Seconds by which two measurements of one timer may differ."""
FOLLOWS = 0.6
"""Seconds within which an end counts as following what we did."""


class Cause(Struct, frozen=True, kw_only=True):
    """What an answer may name."""

    id: str
    key: str
    """The parameter that goes with it."""
    says: str
    """What is claimed, in words."""
    words: tuple[str, ...] = ()
    """Values that the parameter may take; empty for seconds."""


CAUSES = {
    cause.id: cause
    for cause in (
        Cause(id="early-ping-abort", key="window_s", says="a ping sooner than this after the opening is fatal"),
        Cause(id="idle-timeout", key="timeout_s", says="it ends after this time without traffic"),
        Cause(id="max-lifetime", key="age_s", says="it ends at this age, whatever the traffic"),
        Cause(id="server-error", key="trigger", says="it ends on this message", words=("typing", "session_sync")),
    )
}
_ACTS = {"typing": "typing", "session_sync": "sync"}
"""A trigger as the acts of a course name it."""
_LAZY = {
    "1006": "1006 is what an API makes up when no close frame came: nobody sent it, and every fault here ends so",
    "1005": "1005 says that a close frame had no code; it is no cause",
    "abort": "that names what everybody sees: no close frame. The question is why none came",
    "fin": "a FIN says how TCP ended, not why somebody ended it",
    "rst": "an RST says how TCP ended, not why somebody ended it",
    "server": "that is who ended it; the question is why",
    "network": "that is who, perhaps; the question is why",
    "timeout": "there are several: counted from what, the opening or the last traffic",
    "unknown": "then make another life that differs from the last in one thing",
}


class Seal(Struct, frozen=True):
    """Answers as salted digests: it can be asked, not read."""

    salt: bytes
    digests: frozenset[bytes]

    def opens(self, cause: str, value: float | str) -> bool:
        """Whether this is the answer, within the tolerance."""
        return _digest(self.salt, cause, value) in self.digests

    def __repr__(self) -> str:
        return "<sealed answer>"


class Riddle(Struct, frozen=True):
    """A hidden fault and its seal."""

    fault: str
    """For whoever starts the backend; nobody else should keep it."""
    seal: Seal

    def __repr__(self) -> str:
        return "<riddle>"


class Marked(Struct, frozen=True, kw_only=True):
    """What is said to an answer."""

    right: bool
    says: str
    """In one or two sentences; never holds the answer."""
    look: tuple[str, ...] = ()
    """Ids of the events to look at."""

    def __str__(self) -> str:
        where = f" Look at event{'s' if len(self.look) > 1 else ''} {', '.join(self.look)}." if self.look else ""
        return f"{'Right' if self.right else 'Not yet'}. {self.says}{where}"


class _Weighed(Struct, frozen=True):
    shown: bool
    says: str = ""
    look: tuple[str, ...] = ()


def draw(seed: int | None, salt: bytes) -> Riddle:
    """A riddle: the same seed hides the same fault; ``None`` is for the caller to replace by something random.

    Args:
        seed: decides fault and parameter.
        salt: random bytes for the seal.
    """
    chance = random.Random(f"riddle {seed}")
    cause, how = chance.choice(sorted(CAUSES)), chance.choice(("fin", "rst"))
    value: float | str
    match cause:
        case "early-ping-abort":
            value = chance.choice((1.0, 1.5, 2.0, 2.5))
            fault = f"{cause}:window={value},how={how}"
        case "idle-timeout":
            value = chance.choice((1.0, 1.4, 1.8, 2.2))
            fault = f"{cause}:timeout={value},how={how}"
        case "max-lifetime":
            value = chance.choice((1.6, 2.0, 2.4, 2.8))
            fault = f"{cause}:age={value},how={how}"
        case _:
            value = chance.choice(CAUSES[cause].words)
            fault = f"{cause}:on={value},how={how}"
    return Riddle(fault, seal(cause, value, salt))


def seal(cause: str, value: float | str, salt: bytes) -> Seal:
    """Seals an answer: a number with everything within the tolerance of it."""
    if isinstance(value, str):
        return Seal(salt, frozenset({_digest(salt, cause, value)}))
    first, last = math.ceil((value - TOLERANCE) / GRID), math.floor((value + TOLERANCE) / GRID)
    return Seal(salt, frozenset(_digest(salt, cause, k * GRID) for k in range(first, last + 1)))


def _digest(salt: bytes, cause: str, value: float | str) -> bytes:
    word = value if isinstance(value, str) else str(round(value / GRID))
    return hashlib.blake2b(f"{cause}|{word}".encode(), key=salt, digest_size=16).digest()


def mark(seal: Seal, courses: Sequence[Course], answer: str, parameters: dict[str, object]) -> Marked:
    """What is said to an answer.

    Args:
        seal: of the hidden fault.
        courses: the reader's lives; those that died were not ended by the reader.
        answer: a cause.
        parameters: its one parameter.
    """
    name = str(answer).strip().lower().replace("_", "-").replace(" ", "-")
    if name in _LAZY:
        return Marked(
            right=False, says=f"{_LAZY[name][0].upper()}{_LAZY[name][1:]}. Name a cause: {', '.join(CAUSES)}."
        )
    if name not in CAUSES:
        close = get_close_matches(name, CAUSES, 1)
        hint = f"did you mean {close[0]}?" if close else f"it is one of {', '.join(CAUSES)}."
        return Marked(right=False, says=f"There is no cause “{one_line(str(answer), 60)}” here: {hint}")
    cause = CAUSES[name]
    value = _value(cause, parameters)
    if isinstance(value, Marked):
        return value
    weighed = _weigh(cause, value, courses)
    if not weighed.shown:
        return Marked(right=False, says=weighed.says, look=weighed.look)
    if not seal.opens(name, value):
        return Marked(
            right=False,
            says="It fits what you recorded so far, yet it is not the answer. Which life would it forbid? Make one.",
            look=weighed.look,
        )
    return Marked(right=True, says=f"{cause.id}: {cause.says}; and your recording shows it.", look=weighed.look)


def _value(cause: Cause, parameters: dict[str, object]) -> float | str | Marked:
    given = parameters.get(cause.key)
    if given is None or set(parameters) != {cause.key}:
        kind = f'"{"|".join(cause.words)}"' if cause.words else "seconds"
        return Marked(
            right=False, says=f"{cause.id} needs its parameter, and no other: {cause.key}={kind} ({cause.says})."
        )
    if cause.words:
        word = str(given)
        if word in cause.words:
            return word
        return Marked(right=False, says=f"{cause.key} is one of {', '.join(cause.words)}.")
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given) or given <= 0:
        return Marked(right=False, says=f"{cause.key} is a number of seconds above 0.")
    if given > 60:
        return Marked(
            right=False, says=f"{cause.key} is in seconds, not in milliseconds; no fault here takes a minute."
        )
    return float(given)


# What a recording shows


def _weigh(cause: Cause, value: float | str, courses: Sequence[Course]) -> _Weighed:
    dead = [one for one in courses if one.died]
    if not dead:
        return _Weighed(False, "No life in your recording was ended by the other side yet: make one, then explain it.")
    if isinstance(value, str):
        return _trigger(value, courses, dead)
    weigh: dict[str, Callable[[float, Sequence[Course], Sequence[Course]], _Weighed]] = {
        "early-ping-abort": _early_ping,
        "idle-timeout": _idle,
        "max-lifetime": _age,
    }
    return weigh[cause.id](value, courses, dead)


def _pings(course: Course) -> list[float]:
    return [act.age for act in course.acts if act.what in ("app-ping", "protocol-ping")]


def _quiet(course: Course) -> float:
    """Seconds without traffic before the end."""
    return course.until - max(course.activity.get("any", ()), default=0.0)


def _gaps(course: Course) -> float:
    """The longest time without traffic that it outlived."""
    ages = sorted({0.0, *course.activity.get("any", ())})
    gaps = [later - sooner for sooner, later in itertools.pairwise(ages)]
    return max([*gaps, 0.0 if course.died else _quiet(course)], default=0.0)


def _idle(timeout: float, courses: Sequence[Course], dead: Sequence[Course]) -> _Weighed:
    off = [one for one in dead if abs(_quiet(one) - timeout) > TOLERANCE]
    if off:
        even = max(map(_quiet, dead)) - min(map(_quiet, dead)) <= 2 * NEAR
        says = (
            "The times without traffic before the ends agree with each other, but not with your number: measure again"
            if even
            else "Not every life that ended was quiet for that long before its end"
        )
        return _Weighed(False, f"{says}. Connection {off[0].id}: from the last frame to the end.", off[0].events)
    outlived = [one for one in courses if _gaps(one) > timeout + TOLERANCE]
    if outlived:
        return _Weighed(False, f"Connection {outlived[0].id} outlived a longer silence than that.", outlived[0].events)
    if not any(one.until > timeout + 2 * TOLERANCE and _gaps(one) < timeout for one in courses):
        return _Weighed(
            False,
            "A maximum age would look the same so far. Make a life with pings more often than that, and let it age.",
        )
    return _Weighed(True, look=dead[0].events)


def _age(age: float, courses: Sequence[Course], dead: Sequence[Course]) -> _Weighed:
    off = [one for one in dead if abs(one.until - age) > TOLERANCE]
    if off:
        even = max(one.until for one in dead) - min(one.until for one in dead) <= 2 * NEAR
        says = (
            "The ages agree with each other, but not with your number: measure again"
            if even
            else "Not every life that ended had that age"
        )
        return _Weighed(False, f"{says}. Connection {off[0].id}: from the opening to the end.", off[0].events)
    older = [one for one in courses if one.until > age + TOLERANCE]
    if older:
        return _Weighed(False, f"Connection {older[0].id} grew older than that.", older[0].events)
    busy = [one for one in dead if len(one.activity.get("any", ())) >= 4 and _quiet(one) < age / 2]
    if not busy:
        return _Weighed(
            False,
            "An idle time-out would look the same so far. Make a life with several pings, to its very end, beside a "
            "quiet one.",
        )
    if all(one in busy for one in dead):
        return _Weighed(False, "Perhaps a ping was at fault. Make a life without one beside it.", busy[0].events)
    return _Weighed(True, look=busy[0].events)


def _early_ping(window: float, courses: Sequence[Course], dead: Sequence[Course]) -> _Weighed:
    other = [one for one in dead if not any(0 <= one.until - ping <= FOLLOWS for ping in _pings(one)[-1:])]
    if other:
        return _Weighed(False, f"Connection {other[0].id} ended, and no ping went before it.", other[0].events)
    fatal = max(_pings(one)[-1] for one in dead)
    late = [one for one in courses if not one.died and _pings(one) and one.until - _pings(one)[0] > FOLLOWS]
    if not late:
        return _Weighed(
            False, "Is it every ping, or an early one? Make a life whose first ping is late, and see.", dead[0].events
        )
    harmless = min(_pings(one)[0] for one in late)
    if not fatal - NEAR <= window <= harmless + NEAR:
        which = (
            max(dead, key=lambda one: _pings(one)[-1]) if window < fatal else min(late, key=lambda one: _pings(one)[0])
        )
        return _Weighed(
            False,
            f"Connection {which.id} contradicts that number: when did its first ping go, and what came of it?",
            which.events,
        )
    if harmless - fatal > 4 * TOLERANCE:
        return _Weighed(
            False,
            "The latest fatal ping and the earliest harmless one lie too far apart to tell: try one between them.",
        )
    return _Weighed(True, look=dead[0].events)


def _trigger(trigger: str, courses: Sequence[Course], dead: Sequence[Course]) -> _Weighed:
    what = _ACTS[trigger]
    other = [one for one in dead if not one.acts or one.acts[-1].what != what or one.until - one.acts[-1].age > FOLLOWS]
    if other:
        return _Weighed(False, f"Connection {other[0].id} ended, and no such message went before it.", other[0].events)
    lived = [one for one in courses if not one.died and any(act.what == what for act in one.acts[:-1])]
    if lived:
        return _Weighed(False, f"Connection {lived[0].id} outlived such a message.", lived[0].events)
    if not any(not one.died and any(act.what != what for act in one.acts) for one in courses):
        return _Weighed(
            False, "Is it this message, or any? Make a life that says something else and lives.", dead[0].events
        )
    return _Weighed(True, look=dead[0].events)
