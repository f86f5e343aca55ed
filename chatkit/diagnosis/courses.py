"""A life as the mechanisms see it: when what happened on it, counted from its opening, and when it ended or was left.

The same form tells what became of an arm and what an arm is going to do, so one model judges and plans.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from msgspec import Struct

from chatkit.deflate import deflate_parameters
from chatkit.diagnosis.facts import ACTIVITY, Facts, Life, median
from chatkit.events import FrameReceived, FrameSent, PingSent

MANY_ACTS = 400
"""Acts of one life that are looked at."""
TOGETHER = 0.5
"""Seconds within which endings are one event (rule of thumb 3 of the taxonomy)."""
APART = 0.3
"""Seconds between openings from which on ends at one moment are no ends at one age."""


class Act(Struct, frozen=True, kw_only=True):
    """Something that we did on a connection."""

    age: float
    what: str
    """``app-ping``, ``protocol-ping``, ``typing``, ``sync``, ``message``; ``chat``: over HTTP."""
    size: int = 0
    """Bytes of its payload."""


class Course(Struct, frozen=True, kw_only=True):
    """One life, or the plan of one. Seconds count from its opening."""

    id: str
    arm: str = ""
    opened: float
    """When it opened, seconds since the trace's epoch."""
    until: float
    """Age at its end, or at the last moment that was watched."""
    died: bool
    """Whether it ended there in the way that is to be explained."""
    activity: dict[str, tuple[float, ...]]
    """Ages at which something of each kind of activity happened; before the end."""
    acts: tuple[Act, ...] = ()
    compressed: float | None = None
    """Age at the first compressed message that we sent."""
    inflated: float | None = None
    """Age at the first compressed message that came."""
    deflated: bool = False
    """Whether permessage-deflate was agreed on."""
    expires: float | None = None
    """Age at which its token expires."""
    rivals: tuple[float, ...] = ()
    """Ages at which another connection to the same place opened."""
    beside: int = 0
    """Connections of ours that were open when it opened."""
    moment: float | None = None
    """When, in seconds since the epoch, several connections of different age ended together while it was open."""
    events: tuple[str, ...] = ()
    """Ids of the events that show its end."""


def courses(facts: Facts, dead: Iterable[Life]) -> tuple[Course, ...]:
    """All lives that opened, of which ``dead`` ended in the way that is to be explained."""
    mine = {life.id for life in dead}
    lives = [life for life in facts.lives if life.opened and life.connection.opened_at is not None]
    moments = _moments([life for life in lives if life.id in mine])
    return tuple(_course(facts, life, lives, life.id in mine, moments) for life in lives)


def _moments(lives: Sequence[Life]) -> list[float]:
    found: list[float] = []
    waiting = sorted(lives, key=lambda life: life.end)
    while waiting:
        group = [one for one in waiting if one.end - waiting[0].end <= TOGETHER]
        waiting = waiting[len(group) :]
        starts = [one.start for one in group]
        opened, over = max(starts) - min(starts), group[-1].end - group[0].end
        # Of those that were opened in a row, a common age would part the ends as it parts the openings.
        if len(group) > 1 and (opened > 2 * TOGETHER or (opened >= APART and over <= opened / 4)):
            found.append(median([one.end for one in group]))
    return found


def _course(facts: Facts, life: Life, lives: Sequence[Life], died: bool, moments: list[float]) -> Course:
    start, arm = life.start, facts.arms.get(life.id)
    moment = next((at for at in moments if start < at <= life.end + TOGETHER), None)
    ending = life.connection.ending
    expires = facts.expires(life)
    place = (life.connection.url or "").partition("?")[0]
    others = [one for one in lives if one is not life and (one.connection.url or "").partition("?")[0] == place]
    return Course(
        id=life.id,
        arm=arm.arm if arm is not None else "",
        opened=start,
        until=max(0.0, life.end - start),
        died=died,
        activity={kind: _ages(life, life.activity(kind)) for kind in ACTIVITY},
        acts=_acts(facts, life),
        compressed=_compressed(life, FrameSent),
        inflated=_compressed(life, FrameReceived),
        deflated=deflate_parameters(life.connection.extensions) is not None,
        expires=expires - life.trace.epoch - start if expires is not None else None,
        rivals=tuple(sorted(one.start - start for one in others if 0 < one.start - start <= life.end - start + 0.05)),
        beside=sum(one.start < start and (one.end > start or one.connection.ending is None) for one in others),
        moment=moment,
        events=ending.events if ending is not None else life.ids(life.places[-1:]),
    )


def _ages(life: Life, places: np.ndarray[tuple[int], np.dtype[np.int64]]) -> tuple[float, ...]:
    return tuple(np.maximum(life.trace.at[places] - life.start, 0.0).tolist())


def _acts(facts: Facts, life: Life) -> tuple[Act, ...]:
    types, start = life.trace.header.types, life.start
    named = {types.send_ping: "app-ping", types.send_typing: "typing", types.send_sync: "sync"}
    found = [
        Act(
            age=float(life.trace.at[i]) - start,
            what=named.get(life.type_at(i) or "", "message"),
            size=_length(life, i),
        )
        for i in life.of(FrameSent, until=life.end)[:MANY_ACTS].tolist()
    ]
    pings = life.trace.at[life.of(PingSent, until=life.end)[:MANY_ACTS]]
    found += [Act(age=at - start, what="protocol-ping") for at in pings.tolist()]
    asked = [one for one in facts.requests.values() if one.purpose == "chat" and start <= one.at <= life.end]
    found += [Act(age=one.at - start, what="chat") for one in asked]
    return tuple(sorted(found, key=lambda act: act.age))


def _length(life: Life, place: int) -> int:
    """Bytes of the payload as the application sent it."""
    size = int(life.trace.size[place])
    if b'"compressed":true' not in life.trace.rows[place]:
        return size
    event = life.trace[place]
    return max(size, event.length or 0) if isinstance(event, FrameSent) else size


def _compressed(life: Life, kind: type[FrameSent] | type[FrameReceived]) -> float | None:
    places = life.of(kind)[:MANY_ACTS].tolist()
    packed = next((i for i in places if b'"compressed":true' in life.trace.rows[i]), None)
    return None if packed is None else float(life.trace.at[packed]) - life.start
