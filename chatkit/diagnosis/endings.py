"""Lives that ended, compared with each other: cases of one kind of ending each, with timers, crowds and sequels."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from chatkit.diagnosis import deaths
from chatkit.diagnosis.attempts import stage_of
from chatkit.diagnosis.case import Case
from chatkit.diagnosis.facts import Facts, Life, ended, median
from chatkit.diagnosis.mute import Mute, mutes
from chatkit.diagnosis.observation import Observation
from chatkit.diagnosis.taxonomy import NONE
from chatkit.diagnosis.timers import of_timer, regular, timed
from chatkit.diagnosis.trials import TIMED, displaced, disturbed, trials
from chatkit.events import FrameReceived, FrameSent, HealthChecked, HttpAnswered, PingSent

TOGETHER = 0.5
"""Seconds within which endings are one event (rule of thumb 3 of the taxonomy)."""
AT_EXPIRY = 2.5
"""Seconds around ``exp`` that count as at it: ``exp`` is in whole seconds, clocks may differ by one more."""
MANY, YOUNG = 3, 60.0
"""Lives that our side ended, and their age in seconds, from which on it leaves again and again."""
_OUR_GOODBYE = frozenset({"close-1000", "close-1001", "close-1005", "local"})
"""How an investigation ends its own arms."""
_GIVEN_UP = frozenset({"close-1011", "silence"})
"""How an arm ends whose pings are not answered."""
_NOT_OURS = frozenset({"client-going-away", "client-suspended"})
"""What an investigation's own connections never do: pages are left, tabs are put to sleep."""
UNGREETED = 5.0
"""Seconds of an open connection without a message from the backend from which on it counts as never greeted."""
ABSENT = 5.0
"""Seconds after an end within which nobody listening is about that end."""
_NOBODY = re.compile(r"refused|connection attempts failed", re.IGNORECASE)
"""How an HTTP client says that nobody listened."""
RIVAL = 2.0
"""Seconds before an end within which a new connection is a rival."""


def cases(facts: Facts) -> Iterator[Case]:
    """Ended lives, together where ending, actor, last action and crowd agree."""
    lives = [life for life in facts.lives if life.opened and life.connection.ending is not None]
    if facts.arms:
        yield from _of_arms(facts, lives)
        return
    crowds, silent = _crowds(lives), mutes(facts)
    groups: dict[tuple[Any, ...], list[Life]] = {}
    for life in lives:
        groups.setdefault((*_looks(facts, life), life.id in crowds), []).append(life)
    for group in groups.values():
        for part in [group] if regular(group) else _by_action(facts, group):
            yield _case(facts, tuple(part), crowds, silent)


def _of_arms(facts: Facts, lives: list[Life]) -> Iterator[Case]:
    """Arms of an investigation that ended otherwise than by our goodbye, together where they ended alike."""
    groups: dict[tuple[str, str | None], list[Life]] = {}
    for life in lives:
        value, by = _looks(facts, life)
        if by == "client" and value in _OUR_GOODBYE and not _never_greeted(life):
            continue
        if disturbed(facts, life) or displaced(facts, life):
            continue
        value = "abort" if value in ("fin", "rst") else value
        if by == "client" and value in _GIVEN_UP:
            value = "given-up"
        groups.setdefault((value, by), []).append(life)
    for (value, by), group in groups.items():
        case = _case(facts, tuple(group), {}, mutes(facts))
        reach = _of_reach(facts) if case.value("rival") == "yes" else ()
        case.observations = (*(one for one in case.observations if one.of not in TIMED), *reach)
        # When we gave up is our own rule, and tells nothing.
        gave_up = by == "client" and value in (*_OUR_GOODBYE, "given-up")
        case.trials = None if gave_up else trials(facts, case.lives)
        if value == "given-up":
            case.observations = (
                *(o for o in case.observations if o.of != "next"),
                *_meanwhile(facts, case.lives),
                *deaths.of_quiet(facts, case.lives),
            )
        case.excluded = _NOT_OURS | ({NONE} if gave_up else set())
        yield case


def _meanwhile(facts: Facts, lives: tuple[Life, ...]) -> Iterator[Observation]:
    """How attempts went after these had fallen silent, whenever we gave them up."""
    silent = min(map(deaths.unheard, lives))
    later = [life for life in facts.lives if life.connection.started_at > silent]
    if not later:
        return
    opened = [life for life in later if life.opened]
    value = "opens" if opened else "fails"
    words = "new connections opened meanwhile" if opened else "new connections failed as well"
    events = tuple(life.ids(life.places[:1])[0] for life in (opened or later)[:5])
    yield Observation(of="meanwhile", value=value, finding=words, events=events)


def _never_greeted(life: Life) -> bool:
    """Whether we left because the backend had not said a word for as long as a client waits."""
    return life.end - life.start >= UNGREETED and not len(life.of(FrameReceived)) and not life.connection.opaque


def _by_action(facts: Facts, lives: list[Life]) -> list[list[Life]]:
    """Apart where our last action before the end differs: an abort after it is about the action (rule of thumb 4)."""
    groups: dict[str | None, list[Life]] = {}
    for life in lives:
        act = deaths.after(facts, life)
        groups.setdefault(act[0] if act is not None else None, []).append(life)
    silent = groups.get("nothing", [])
    # Silent twins that die at odd times, and not fewer: then what the others had done is chance.
    if len(silent) >= 2 and 2 * len(silent) >= len(lives) and not timed(silent):
        return [lives]
    return list(groups.values())


def _crowds(lives: list[Life]) -> dict[str, tuple[Life, ...]]:
    """Lives that ended in one moment though they began at different ones, by id."""
    found: dict[str, tuple[Life, ...]] = {}
    waiting = sorted(lives, key=lambda life: life.end)
    while waiting:
        group = [life for life in waiting if life.end - waiting[0].end <= TOGETHER]
        waiting = waiting[len(group) :]
        starts = [life.start for life in group]
        if len(group) > 1 and (max(starts) - min(starts) > 2 * TOGETHER or len(group) > 2):
            found |= {life.id: tuple(group) for life in group}
    return found


def _case(facts: Facts, lives: tuple[Life, ...], crowds: dict[str, tuple[Life, ...]], silent: tuple[Mute, ...]) -> Case:
    first = lives[0]
    ending = first.connection.ending
    assert ending is not None
    count = "" if len(lives) == 1 else f", {len(lives)} times"
    case = Case(kind="life", title=f"{ending.words}{count}", lives=lives)
    case.facts = {
        "code": ending.close_code,
        "reason": ending.close_reason or "",
        "error": ending.transport.error if ending.transport is not None else None,
        "deaths": len(lives),
    }
    found = list(deaths.of_end(facts, first))
    found = _agreeing(facts, found, lives)
    case.observations = tuple(found)
    found += [*_of_after(facts, case), *of_timer(facts, case), *_of_crowd(facts, case, crowds)]
    found += [
        *_of_sequel(facts, case),
        *_of_expiry(facts, case),
        *_of_rival(facts, case),
        *_of_mute(facts, case, silent),
    ]
    found += [*_of_leaving(case), *_of_disagreement(facts, case)]
    case.observations = tuple(found)
    _judge_evidence(facts, case)
    return case


def _agreeing(facts: Facts, found: list[Observation], lives: tuple[Life, ...]) -> list[Observation]:
    """Of several lives: what most of them show, with the events of all that do."""
    if len(lives) == 1:
        return found
    seen: dict[tuple[str, str], list[Observation]] = {}
    for life in lives[:200]:
        for one in deaths.of_end(facts, life):
            seen.setdefault((one.of, one.value), []).append(one)
    best: dict[str, list[Observation]] = {}
    for (of, _), group in seen.items():
        if len(group) > len(best.get(of, [])):
            best[of] = group
    total = min(len(lives), 200)
    merged = []
    for of, group in best.items():
        if 2 * len(group) < total and of not in ("log", "lag", "path", "pong", "inbound", "sleep"):
            continue
        words = group[0].finding + (f" ({len(group)} of {total} lives)" if len(group) > 1 else "")
        events = tuple(id for one in group[:20] for id in one.events[:3])
        merged.append(Observation(of=of, value=group[0].value, finding=words, events=events))
    return merged


def _of_after(facts: Facts, case: Case) -> Iterator[Observation]:
    acts = [(life, act) for life in case.lives if (act := deaths.after(facts, life)) is not None]
    if not acts:
        return
    value, often = Counter(act[0] for _, act in acts).most_common(1)[0]
    events = tuple(id for _, act in acts[:20] if act[0] == value for id in act[1])
    gap = median([act[2] for _, act in acts if act[0] == value])
    case.facts |= {"trigger": value, "after_s": round(gap, 2)}
    if value == "nothing":
        yield Observation(of="after", value=value, finding="we had done nothing within the second before")
        return
    words = {"first-ping": "our first ping", "ping": "our ping", "protocol-ping": "our ping (RFC 6455)"}
    what = words.get(value, f"our {value.replace('-', ' ')}{' message' if value == 'typing' else ''}")
    lives = f" in {often} of {len(acts)} lives" if len(acts) > 1 else ""
    yield Observation(of="after", value=value, finding=f"it ended {gap:.1f} s after {what}{lives}", events=events)
    if value in ("first-ping", "protocol-ping"):
        soon = median([_offset(life, value) for life in case.lives])
        when = "at-once" if soon < 1.0 else "soon" if soon < deaths.EARLY_PING else "late"
        yield Observation(
            of="pinged", value=when, finding=f"that ping came {soon:.1f} s after the opening", events=events
        )
    if any(act[0] == "nothing" for _, act in acts):
        twin = "others of these lives ended in the same way though they had done nothing"
        yield Observation(of="repeat", value="twin-died", finding=twin, events=events)
    else:
        yield from _of_twins(facts, case, value, gap)


def _of_twins(facts: Facts, case: Case, value: str, gap: float) -> Iterator[Observation]:
    """Lives without the action that lasted longer, and lives that survived it."""
    mine = {life.id for life in case.lives}
    others = [life for life in facts.lives if life.id not in mine and life.opened]
    ages = [life.age or 0.0 for life in case.lives]
    survived, silent = [], []
    for life in others:
        acts = _actions(life, value)
        if not len(acts):
            if life.end - life.start > 3 * max(ages) + 2:
                silent.append(life)
        elif any(life.end - float(life.trace.at[i]) > gap + 1.5 for i in acts.tolist()):
            survived.append(life)
    if value in ("first-ping", "protocol-ping"):
        _bracket(case, survived)
        survived = [life for life in survived if _offset(life, value) <= case.facts.get("window_min_s", 0.0)]
    how = (case.value("ending"), case.value("by"))
    twins = [one for one in others if ended(one) and not deaths.acted(facts, one) and _looks(facts, one) == how]
    if twins:
        words = f"{len(twins)} connections ended in the same way though they had done nothing"
        events = tuple(id for one in twins[:10] if one.connection.ending for id in one.connection.ending.events[:1])
        yield Observation(of="repeat", value="twin-died", finding=words, events=events)
    elif silent:
        words = f"without it a connection lived for {silent[0].end - silent[0].start:.0f} s"
        yield Observation(of="repeat", value="twin-lived", finding=words, events=())
    elif survived:
        yield Observation(of="repeat", value="mixed", finding="another connection survived the same action")
    elif len(case.lives) > 1:
        yield Observation(
            of="repeat", value="always", finding=f"{len(case.lives)} lives ended like that, and none survived it"
        )
    else:
        yield Observation(of="repeat", value="once", finding="it was seen once")


def _looks(facts: Facts, life: Life) -> tuple[str, str | None]:
    ending = life.connection.ending
    assert ending is not None
    return deaths.ending_value(facts, life), deaths.actor(ending)


def _actions(life: Life, value: str) -> Any:
    if value in ("first-ping", "ping"):
        return life.app_pings
    if value == "protocol-ping":
        return life.of(PingSent)
    return life.of(FrameSent)


def _offset(life: Life, value: str) -> float:
    acts = _actions(life, value)
    return float(life.trace.at[acts[0]]) - life.start if len(acts) else float("inf")


def _bracket(case: Case, survived: list[Life]) -> None:
    """How soon after the opening a ping was fatal, and from when on it was not."""
    value = case.facts["trigger"]
    fatal = [offset for life in case.lives if (offset := _offset(life, value)) < 1e6]
    fine = [_offset(life, value) for life in survived]
    low = max(fatal, default=0.0)
    high = min((one for one in fine if one > low), default=None)
    case.facts["window_min_s"] = round(low, 2)
    if high is not None:
        case.facts["window_max_s"] = round(high, 2)
    case.facts["window_s"] = round((low + high) / 2 if high is not None else low, 2)
    case.facts["ping"] = "protocol" if value == "protocol-ping" else "application"


# Crowds and sequels


def _of_crowd(facts: Facts, case: Case, crowds: dict[str, tuple[Life, ...]]) -> Iterator[Observation]:
    crowd = crowds.get(case.lives[0].id)
    if crowd is not None:
        ids = {life.id for life in crowd}
        left = [one for one in facts.open_at(crowd[0].end - 1e-6) if one.id not in ids and one.end > crowd[-1].end + 1]
        case.facts["count"] = len(crowd)
        value = "some" if left else "all"
        words = f"{len(crowd)} connections ended within {crowd[-1].end - crowd[0].end:.1f} s of each other"
        words += f", while {len(left)} lived on" if left else ", all that were open"
        events = tuple(id for life in crowd[:20] if life.connection.ending for id in life.connection.ending.events[:1])
        yield Observation(of="together", value=value, finding=words, events=events)
        return
    others = [one for life in case.lives for one in facts.open_at(life.end - 1e-6) if one is not life]
    if any(one.end > life.end + 1 for life in case.lives for one in others):
        yield Observation(of="together", value="alone", finding="other connections lived on")
    else:
        yield Observation(of="together", value="single", finding="no other connection was open")


def _of_sequel(facts: Facts, case: Case) -> Iterator[Observation]:
    """How the next attempt went, and whether the server was away."""
    ends = [(life, after) for life in case.lives if (after := facts.next_attempt(life)) is not None]
    value: str | None = None
    events: tuple[str, ...] = ()
    bad = [one for one in facts.health if _around(one, case) and not one.healthy and one.status not in (404, 405, 501)]
    if ends:
        life, attempt = _most_telling(ends) if facts.arms else ends[0]
        value, words = _sequel(attempt)
        events = attempt.connection.ending.events if attempt.connection.ending is not None else ()
        if value != "opens" or not bad:
            # What opens only after the absence that health shows tells nothing of it.
            yield Observation(of="next", value=value, finding=words, events=events)
        back = _back(facts, life)
        if back is not None:
            case.facts["gap_s"] = round(back - life.end, 1)
    if value in ("refused", "gateway"):
        yield Observation(
            of="gap", value=value, finding=f"right after, the next attempt was answered: {value}", events=events
        )
    elif bad:
        refused = any(_NOBODY.search(one.error or "") for one in bad)
        shown = tuple(one.id for one in bad[:10])
        yield Observation(of="gap", value="refused" if refused else "failing", finding=str(bad[0]), events=shown)
    elif value == "opens":
        yield Observation(of="gap", value="open", finding="the server was there all the time", events=events)
    elif facts.arms and (good := _well_after(facts, case)):
        words = "the health endpoint was good all the time"
        yield Observation(of="gap", value="open", finding=words, events=tuple(one.id for one in good[:5]))


def _well_after(facts: Facts, case: Case) -> list[HealthChecked]:
    """Good looks at health soon after the last of them ended."""
    end = max(life.end for life in case.lives)
    return [one for one in facts.health if one.healthy and end <= one.at - one.seconds <= end + 3.0]


def _around(one: HealthChecked, case: Case) -> bool:
    """Whether it was asked about then; a look that was under way went down with them, and shows no absence."""
    asked = one.at - one.seconds
    if any(asked < life.end <= one.at + TOGETHER for life in case.lives):
        return False
    return any(life.end - 1 <= one.at <= life.end + 15 for life in case.lives)


def _most_telling(ends: list[tuple[Life, Life]]) -> tuple[Life, Life]:
    """An attempt soon after that found nobody listening; else the first."""
    soon = [(life, after) for life, after in ends if after.connection.started_at - life.end <= ABSENT]
    return next((pair for pair in soon if _sequel(pair[1])[0] == "refused"), ends[0])


def _sequel(attempt: Life) -> tuple[str, str]:
    if attempt.opened:
        return "opens", "the next attempt opened"
    status = attempt.connection.status
    if status in (401, 403):
        return "auth", f"the next attempt was refused with HTTP {status}"
    if status in (502, 503, 504):
        return "gateway", f"the next attempt was answered HTTP {status}"
    stage = stage_of(attempt)
    if stage == "refused":
        return "refused", "the next attempt found nobody listening"
    return "fails", f"the next attempt failed at {stage}"


def _back(facts: Facts, life: Life) -> float | None:
    """When a connection opened again."""
    return min((one.start for one in facts.lives if one.opened and one.start > life.end), default=None)


def _of_expiry(facts: Facts, case: Case) -> Iterator[Observation]:
    values = []
    for life in case.lives:
        expires = facts.expires(life)
        if expires is not None:
            late = life.trace.epoch + life.end - expires
            begun = life.trace.epoch + life.start - expires
            value = "at-exp" if abs(late) <= AT_EXPIRY and begun < -1 else "after-exp" if late > 0 else "before-exp"
            values.append((value, late, expires))
    if not values:
        return
    value = max({v for v, _, _ in values}, key=lambda one: sum(v == one for v, _, _ in values))
    late = next(late for v, late, _ in values if v == value)
    case.facts["exp"] = next(expires for v, _, expires in values if v == value)
    words = {
        "at-exp": f"it ended {abs(late):.1f} s {'after' if late > 0 else 'before'} its token expired",
        "after-exp": f"its token had expired {late:.0f} s before",
        "before-exp": f"its token was good for {-late:.0f} s more",
    }
    events = tuple(life.trace[int(life.places[0])].id for life in case.lives[:3])
    yield Observation(of="expiry", value=value, finding=words[value], events=events)


def _of_rival(facts: Facts, case: Case) -> Iterator[Observation]:
    """A connection of ours to the same place that had just opened when this one ended."""
    hits = []
    for life in case.lives:
        place = (life.connection.url or "").partition("?")[0]
        hits += [
            one
            for one in facts.lives
            if one is not life
            and one.opened
            and -0.3 <= life.end - one.start <= RIVAL
            # What was tried only after the end is a return, no rival.
            and one.connection.started_at < life.end
            and one.start > life.start
            and (one.connection.url or "").partition("?")[0] == place
        ]
    if len(hits) >= len(case.lives) and not any(_leaves(life) for life in case.lives):
        words = "another connection to the same place had opened just before" + (
            f" ({len(hits)} times)" if len(hits) > 1 else ""
        )
        events = tuple(one.trace[int(one.places[0])].id for one in hits[:10])
        yield Observation(of="rival", value="yes", finding=words, events=events)


def _of_reach(facts: Facts) -> Iterator[Observation]:
    """Whether a connection to another bot ended ours as one to the same bot does."""
    others = [one for one in facts.variants if facts.arms[one.id].alters == "bot" and one.opened]
    beside = [one for one in others if facts.open_at(one.start - 1e-3)]
    if not beside:
        return
    ended_ = [life for life in facts.lives if life.opened and displaced(facts, life)]
    value = "user" if ended_ else "bot"
    words = "a connection to another bot ended it as well" if ended_ else "a connection to another bot left it alone"
    events = tuple(id for life in (ended_ or beside)[:5] for id in life.ids(life.places[-1:]))
    yield Observation(of="reach", value=value, finding=words, events=events)


def _leaves(life: Life) -> bool:
    """Whether our side ended it."""
    ending = life.connection.ending
    return ending is not None and deaths.actor(ending) == "client"


def _of_leaving(case: Case) -> Iterator[Observation]:
    """Our side left again and again, each time soon: as a page does that navigates by mistake."""
    ages = [life.age for life in case.lives if life.age is not None and _leaves(life)]
    if len(ages) >= MANY and len(ages) == len(case.lives) and median(ages) < YOUNG:
        events = tuple(id for life in case.lives[:20] if life.connection.ending for id in life.connection.ending.events)
        words = f"our side left {len(ages)} times, after {median(ages):.1f} s in the median"
        yield Observation(of="often", value="again", finding=words, events=events)


def _of_mute(facts: Facts, case: Case, silent: tuple[Mute, ...]) -> Iterator[Observation]:
    """It ended while, or soon after, the whole server was mute."""
    for one in silent:
        if all(one.begin < life.end < one.end + 5.0 for life in case.lives):
            case.facts["mute_s"] = round(one.seconds, 1)
            words = f"{' and '.join(one.signs)} were mute together for {one.seconds:.1f} s around it"
            yield Observation(of="mute", value="yes", finding=words, events=one.events)
            return
    waited = next((one for one in case.observations if one.of == "pong" and one.value == "ours-unanswered"), None)
    if waited is not None:
        since = facts.trace.at[facts.trace.index(waited.events[0])] if waited.events else case.lives[0].end
        looks: list[HealthChecked | HttpAnswered] = [*facts.health, *facts.answers]
        quick = [one for one in looks if since < one.at < case.lives[0].end and one.seconds < 1.0 and one.status]
        if quick:
            words = "health or API answered at once while that ping waited"
            yield Observation(of="mute", value="no", finding=words, events=tuple(one.id for one in quick[:10]))


def _of_disagreement(facts: Facts, case: Case) -> Iterator[Observation]:
    mine = set(case.connections)
    for one in facts.disagreements:
        if one.connection in mine and one.what in ("close-not-delivered", "different-end", "different-code"):
            yield Observation(of="vantage", value="not-delivered", finding=one.text, events=one.events)
            return


# What this kind of evidence can carry


def _judge_evidence(facts: Facts, case: Case) -> None:
    """A browser's abort without a close frame carries no cause while it is short (rule of thumb 6)."""
    ages = [life.age for life in case.lives if life.age is not None]
    young = not ages or median(ages) < deaths.EARLY
    unsaid = case.value("ending") in ("hidden", "abort") and case.value("log") is None
    ending = case.lives[0].connection.ending
    told = ending is not None and ending.reported is not None and ending.reported.source == "browser"
    if unsaid and (facts.browser_only or told) and young and not facts.live:
        case.carries = False
        case.why_not = (
            f"{facts.trace.origin.format or 'this evidence'} shows neither close frames nor how TCP ended, so no cause "
            "can be read off this short life; a NetLog, a capture, the server's log or `chatkit diagnose` would show it"
        )
