"""Rounds of arms against a simulated backend: what each treatment does, until a rule ends it, as a recording.

A rule says of a course at which age the backend ends it. The rules here are written as a backend would follow them,
step by step, and not as the mechanisms predict them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import numpy as np
from msgspec.structs import replace

from chatkit.diagnosis.courses import Act, Course
from chatkit.diagnosis.endings import cases
from chatkit.diagnosis.facts import ACTIVITY, Facts
from chatkit.diagnosis.trials import Trials
from chatkit.events import ArmStarted, FrameSent
from chatkit.experiments.treatments import ALONE, SILENT, Treatment, control, every, first_ping
from chatkit.trace import Trace
from tests.diagnosis.stories.telling import Tale

Rule = Callable[[Course], float]
End = Callable[[Tale, float, str], None]

ROUND = (
    SILENT,
    first_ping(0.0, again=10.0),
    first_ping(0.0, "protocol-ping", again=30.0),
    every(1.0, "app-ping"),
    every(1.0, "protocol-ping"),
    every(1.0, "typing"),
    control(5.0, 30.0),
    SILENT,
)
"""Arms that part the common causes."""
ANSWER = 0.5
"""Seconds that a bot takes to answer."""
GOODBYE = 0.002
"""Seconds between two arms of which we take our leave."""


def course(*acts: tuple[float, str], until: float = 100.0, died: bool = False, **fields: Any) -> Course:
    """Acts at ages; sizes may follow the words, as in ``message 500``."""
    found = []
    for age, words in acts:
        what, _, size = words.partition(" ")
        found.append(Act(age=age, what=what, size=int(size or 0)))
    base: dict[str, Any] = {"id": "1", "opened": 10.0, "activity": dict.fromkeys(ACTIVITY, ())}
    return Course(**base | fields, acts=tuple(found), until=until, died=died)


# Rules of a backend


def never(course: Course) -> float:
    """A healthy one."""
    return math.inf


def idle(timeout: float, counts: str = "any") -> Rule:
    """It ends what was quiet for so long."""

    def rule(course: Course) -> float:
        last = 0.0
        for age in sorted(course.activity[counts]):
            if age - last >= timeout:
                break
            last = age
        return last + timeout

    return rule


def age(seconds: float) -> Rule:
    """It ends what is so old."""
    return lambda course: seconds


def early(window: float, kinds: Collection[str], after: float = 0.2) -> Rule:
    """It ends what pings before it has settled."""

    def rule(course: Course) -> float:
        first = next((act.age for act in course.acts if act.what in kinds), math.inf)
        return first + after if first < window else math.inf

    return rule


def trigger(what: str, after: float = 0.01) -> Rule:
    """It cannot stand one kind of message."""
    return lambda course: next((act.age + after for act in course.acts if act.what == what), math.inf)


def moment(at: float, spared: Collection[str] = ()) -> Rule:
    """All that is open at a moment ends, but for the connections of other workers."""
    return lambda course: at - course.opened if course.opened < at and course.id not in spared else math.inf


def rival(course: Course) -> float:
    """The newer connection replaces the older."""
    return course.rivals[0] + 0.02 if course.rivals else math.inf


def chance(mean: float, seed: int) -> Rule:
    """Somebody on the way cuts lives at random."""
    rng = np.random.default_rng(seed)
    return lambda course: float(rng.exponential(mean))


# Recordings


def cut(tale: Tale, at: float, name: str) -> None:
    """Without a close frame."""
    tale.ends(at, name)


def closes(code: int, reason: str = "") -> End:
    """With a close frame by the backend."""
    return lambda tale, at, name: tale.closed(at, name, code, reason)


def planned(
    arms: Sequence[Treatment], watched: float, apart: float, alone: bool, then: Sequence[Treatment] = ()
) -> list[Course]:
    """What each arm would do if it lived until the end; one alone first, the round 2.5 s later, others when it is over."""
    first = [(arm, 1.0 + 2.5 * alone + apart * n) for n, arm in enumerate(arms)]
    stop = first[-1][1] + watched
    second = [(arm, stop + 0.5 + apart * n) for n, arm in enumerate(then)]
    alone_first = [(ALONE, 1.0)] if alone else []
    found = []
    for group in ([*alone_first, *first], second):
        for n, (arm, start) in enumerate(group):
            course = arm.course(group[-1][1] + watched - start, opened=start, beside=n)
            rivals = tuple(one - start for _, one in group[n + 1 :])
            found.append(replace(course, id=str(len(found) + 1), rivals=rivals))
    return [_beside_chat(course, found) for course in found]


def _beside_chat(course: Course, all_: list[Course]) -> Course:
    """What is said to the bot over HTTP is an act beside every connection, and the answer comes in on each of them."""
    said = [one.opened + act.age - course.opened for one in all_ for act in one.acts if act.what == "chat"]
    acts = [act for act in course.acts if act.what != "chat"]
    acts += [Act(age=age, what="chat") for age in said if 0 <= age <= course.until]
    heard = [age + ANSWER for age in said if 0 < age + ANSWER <= course.until]
    own = {act.age for act in course.acts if act.what == "chat"}
    activity = {
        kind: (*(age for age in ages if age not in own), *(heard if kind in ("any", "inbound", "data-frames") else ()))
        for kind, ages in course.activity.items()
    }
    return replace(
        course,
        acts=tuple(sorted(acts, key=lambda act: act.age)),
        activity={kind: tuple(sorted(ages)) for kind, ages in activity.items()},
    )


def played(
    rule: Rule,
    arms: Sequence[Treatment] = ROUND,
    *,
    watched: float = 12.0,
    apart: float = 0.2,
    alone: bool = True,
    then: Sequence[Treatment] = (),
    end: End = cut,
    beside: Callable[[Tale], None] | None = None,
    without: Iterable[str] = (),
    **opening: Any,
) -> Trace:
    """The recording of a round.

    Args:
        rule: when the backend ends a course.
        arms: in the order in which they open.
        watched: seconds after the last opening at which we take our leave.
        apart: seconds between two openings.
        alone: whether a connection alone goes before.
        then: arms of a second round, when the first is over.
        end: how the backend ends one.
        beside: what else is recorded.
        without: arms that are left out of the recording, by name.
        opening: of every connection, as :meth:`Tale.opens` takes it.
    """
    tale = Tale()
    courses = planned(arms, watched, apart, alone, then)
    treatments = {arm.id: arm for arm in (*arms, *then, ALONE)}
    for course in courses:
        tell(tale, course, treatments[course.arm], rule(course), end, without=without, **opening)
    for course in courses:
        said = [one for one in treatments[course.arm].doings if one.what == "message"]
        for at in [course.opened + at for one in said for at in one.ages(min(rule(course), course.until))]:
            tale.api(at, purpose="chat", took=ANSWER)
    if beside is not None:
        beside(tale)
    return tale.trace()


def tell(
    tale: Tale, course: Course, arm: Treatment, over: float, end: End, *, without: Iterable[str] = (), **opening: Any
) -> None:
    """One arm, from the opening to the end by the backend at that age, or to our goodbye."""
    if course.arm in without:
        return
    name, start, until = course.id, course.opened, min(over, course.until)
    begin(tale, start - 0.03, name, arm)
    tale.opens(start, name, **opening)
    for act in course.acts:
        if act.age >= until:
            continue
        answered, at = act.age + 0.006 < until, start + max(act.age, 0.006)
        if act.what == "app-ping":
            tale.ping(at, name, answered=answered)
        elif act.what == "protocol-ping":
            tale.protocol_ping(at, name, answered=answered)
        elif act.what == "typing":
            tale.put(at, FrameSent, name, size=act.size, text='{"type":"typing","data":{"is_typing":true}}')
        elif act.what == "sync":
            tale.sent(at, name, "session_sync", data={"session_id": "s"})
            if answered:
                tale.received(at + 0.004, name, "session_sync", data={"session_id": "s"})
        elif act.age + ANSWER < until:
            tale.hears(at + ANSWER, name, id=f"m{at:.3f}")
    if over <= course.until:
        end(tale, start + over, name)
    else:
        tale.closed(start + until + GOODBYE * int(name), name, 1000, by="client")


def begin(tale: Tale, at: float, name: str, arm: Treatment) -> None:
    """An arm is started."""
    tale.put(
        at, ArmStarted, name, arm=arm.id, role="arm", what=arm.what, alters=arm.alters, settings=arm.settings()
    )  # fmt: skip


def tried(trace: Trace) -> Trials:
    """The arms of a recording whose ends all look alike."""
    (case,) = cases(Facts(trace))
    assert case.trials is not None
    return case.trials
