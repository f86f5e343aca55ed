"""Times in which a whole server was mute: health, API and sockets silent together, then all of them back."""

from __future__ import annotations

from msgspec import Struct

from chatkit.diagnosis.facts import Facts, Life, answer_of
from chatkit.events import (
    FrameReceived,
    HealthChecked,
    HttpAnswered,
    HttpFailed,
    PingReceived,
    PingSent,
    PongReceived,
    TcpInfoSampled,
)

LONG = 3.0
"""Seconds from which on an answer is late enough to be a sign."""
LONG_BESIDE = 1.6
"""The same in an investigation, which asks health and sockets every second and knows its own loop's lag."""
UNHEARD, AGAIN = 0.8, 2
"""Seconds without an acknowledgement, and segments sent again meanwhile, from which on it was the path that was dead:
the kernel of a server that stands still acknowledges what comes (RFC 9293, section 3.8.4)."""
OWN_SHARE = 0.2
"""Share of such a time for which our own loop was away from which on it is ours and nobody else's."""
EDGE = 0.5
"""Seconds at both ends of a mute time in which something may still come."""


Look = HealthChecked | HttpAnswered | HttpFailed


class Mute(Struct, frozen=True, kw_only=True):
    """One such time."""

    begin: float
    end: float
    events: tuple[str, ...]
    """Answers that came late, and pings that waited."""
    signs: tuple[str, ...]
    """Which of health, API, sockets and upgrades were seen to wait."""
    path: str | None = None
    """``clean`` where TCP was acknowledged all the time, ``unacknowledged`` where it was not; ``None`` if not seen."""
    samples: tuple[str, ...] = ()
    """The looks at the kernel's figures that show it."""

    @property
    def seconds(self) -> float:
        """How long it lasted, as far as it was seen."""
        return self.end - self.begin

    def covers(self, begin: float, end: float) -> bool:
        """Whether that time lies, at least in part, within it."""
        return begin < self.end and end > self.begin


def mutes(facts: Facts) -> tuple[Mute, ...]:
    """Times of at least ``LONG`` seconds in which two of health, API and sockets waited and nothing at all came."""
    looks: list[Look] = [*facts.health, *facts.answers, *facts.failures]
    long = LONG_BESIDE if facts.arms else LONG
    late = [one for one in looks if one.seconds >= long]
    found: list[Mute] = []
    for group in _together(late, long):
        begin, end = max(one.at - one.seconds for one in group), min(one.at for one in group)
        path, samples = _path(facts, begin, end)
        heard = _heard(facts, begin, end)
        if heard is not None and path != "unacknowledged":
            continue
        if heard is None:
            # What was asked first and waited tells best since when, if nothing came since then.
            asked = sorted(one.at - one.seconds for one in group)
            begin = next(since for since in asked if since == begin or _heard(facts, since, end) is None)
        # Of a path that heals each connection hears when TCP tries again, twice as late as the last time.
        end = heard or end
        if end - begin < long or _ours(facts, begin, end) or not any(map(_came, group)):
            continue  # where nothing came in the end, it is not said that the server was there all the time
        waited = _waited(facts, begin, end, long)
        signs = {"health" if isinstance(one, HealthChecked) else "API" for one in group}
        signs |= {"sockets"} if waited else set()
        signs |= {"upgrades"} if _opening(facts, begin, end, long) else set()
        if len(signs) >= 2:
            events = (*(one.id for one in group), *waited)
            found.append(
                Mute(
                    begin=begin,
                    end=end,
                    events=events[:20],
                    signs=tuple(sorted(signs)),
                    path=path,
                    samples=samples,
                )
            )
    return tuple(found)


def _ours(facts: Facts, begin: float, end: float) -> bool:
    """Whether it was our own loop, in an investigation, that stood still."""
    if not facts.arms:
        return False
    away = [min(one.at, end) - max(one.at - one.lag, begin) for one in facts.lags]
    return sum(each for each in away if each > 0) >= OWN_SHARE * (end - begin)


def _path(facts: Facts, begin: float, end: float) -> tuple[str | None, tuple[str, ...]]:
    """Whether TCP was acknowledged meanwhile, by the kernel's figures on the connections that were open."""
    dead, seen = [], []
    for life in facts.open_at(begin):
        samples = life.all(TcpInfoSampled)
        before = [one.retransmits for one in samples if one.at < begin]
        during = [one for one in samples if begin <= one.at <= end + EDGE]
        if not before or not during:
            continue
        seen += [one.id for one in during[-1:]]
        dead += [
            one.id
            for one in during
            if one.unacked and one.last_ack_received >= UNHEARD and one.retransmits - before[-1] >= AGAIN
        ]
    if dead:
        return "unacknowledged", tuple(dead[:10])
    return ("clean" if seen else None), tuple(seen[:10])


def _came(one: Look) -> bool:
    return not isinstance(one, HttpFailed) and one.status is not None


def _together(late: list[Look], long: float) -> list[list[Look]]:
    """Answers that waited for so long together."""
    groups: list[list[Look]] = []
    for one in sorted(late, key=lambda one: one.at - one.seconds):
        if groups and one.at - one.seconds < min(other.at for other in groups[-1]) - long:
            groups[-1].append(one)
        else:
            groups.append([one])
    return groups


def _heard(facts: Facts, begin: float, end: float) -> float | None:
    """When the first thing came from the server meanwhile."""
    looks: list[HealthChecked | HttpAnswered] = [*facts.health, *facts.answers]
    times = [one.at for one in looks if _came(one) and begin + EDGE < one.at - one.seconds and one.at < end - EDGE]
    times += [at for life in facts.lives if (at := _said(life, begin + EDGE, end - EDGE)) is not None]
    return min(times, default=None)


def _said(life: Life, since: float, until: float) -> float | None:
    at = life.trace.at[life.of(FrameReceived, PongReceived, PingReceived)]
    between = at[(at > since) & (at < until)]
    return float(between[0]) if len(between) else None


def _waited(facts: Facts, begin: float, end: float, long: float) -> tuple[str, ...]:
    """Our pings of that time: none was answered before its end, or something would have come."""
    asked = [_pings(life, begin, end - long / 2) for life in facts.lives]
    return tuple(id for ids in asked for id in ids)


def _opening(facts: Facts, begin: float, end: float, long: float) -> bool:
    """Whether an attempt had to wait through it for its answer, whatever that was."""
    tried = [(life.connection.started_at, _answered(life)) for life in (*facts.lives, *facts.variants)]
    return any(at is not None and at - since >= long and since < end and at > begin for since, at in tried)


def _answered(life: Life) -> float | None:
    """When its upgrade was answered, with 101 or another status."""
    if life.opened:
        return life.start
    answer = answer_of(life)
    return answer.at if answer is not None else None


def _pings(life: Life, since: float, until: float) -> tuple[str, ...]:
    places = [*life.app_pings.tolist(), *life.of(PingSent).tolist()]
    return life.ids([i for i in places if since - 1e-3 <= life.trace.at[i] < until])
