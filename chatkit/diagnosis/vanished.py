"""Lives without an end in the evidence that are gone all the same: by the server's log, by TCP's silence, or because
the client has moved on to another connection."""

from __future__ import annotations

from collections.abc import Iterator

from chatkit.diagnosis import deaths
from chatkit.diagnosis.case import Case
from chatkit.diagnosis.facts import Facts, Life
from chatkit.diagnosis.observation import Observation

KILLED = ("worker-killed",)
"""Facts of a log that end the connections they are about."""
WITHIN = 5.0
"""Seconds between a master's decision and the end of its worker."""
SILENT = 10.0
"""Seconds without any answer, at the end of a recording, from which on a connection counts as dead."""


def cases(facts: Facts) -> Iterator[Case]:
    """What has to be explained although no end was seen."""
    lives = [life for life in facts.lives if life.opened and life.connection.ending is None]
    yield from _bereft(facts, lives)
    yield from _mute(facts, lives)
    yield from _left_behind(facts, lives)


def _bereft(facts: Facts, lives: list[Life]) -> Iterator[Case]:
    """The server's log says that their process is gone."""
    for line in facts.logs:
        if line.what not in ("worker-timeout", "oom") or line.connection is not None:
            continue
        killed = {one.connection for one in facts.logs if one.what in KILLED and 0 <= one.at - line.at <= WITHIN}
        mine = tuple(life for life in lives if life.id in killed)
        if not mine:
            continue
        left = [life for life in facts.open_at(line.at) if life.id not in killed]
        value, words = ("some", f", {len(left)} lived on") if left else ("all", ", all that were open")
        crowd = f"{len(mine)} connections went with the process{words}"
        found = (
            Observation(of="log", value=line.what, finding=f"the server logged {line.text[:120]}", events=(line.id,)),
            Observation(of="together", value=value, finding=crowd),
        )
        yield Case(kind="life", title=f"{len(mine)} lost with their process", lives=mine, observations=found)


def _mute(facts: Facts, lives: list[Life]) -> Iterator[Case]:
    """Nothing that we send is answered or acknowledged any more, to the end of the recording."""
    for life in lives:
        last = life.last_activity("inbound")
        path = [one for one in deaths.of_path(facts, life) if one.value == "unacknowledged"]
        pongs = [one for one in deaths.of_pongs(facts, life) if one.value == "ours-unanswered"]
        quiet = life.end - (life.start if last is None else last)
        if not path and not (pongs and quiet >= SILENT):
            continue
        later = [one for one in facts.lives if one.connection.started_at > (last or life.start) and one is not life]
        found = [
            Observation(of="ending", value="silence", finding=f"nothing came back in the last {quiet:.1f} s"),
            Observation(of="by", value="nobody", finding="nobody said a word"),
            *path,
            *pongs,
            *deaths.of_quiet(facts, (life,)),
        ]
        if later:
            value = "opens" if later[0].opened else "fails"
            words = "a new connection opened" if later[0].opened else "a new connection failed too"
            found.append(Observation(of="meanwhile" if facts.arms else "next", value=value, finding=words))
        tried = bool(later) or not facts.arms
        facts_ = {"timeout_s": round(quiet, 1), "since": round(last or life.start, 1)}
        yield Case(
            kind="life",
            title="silent to the end",
            lives=(life,),
            observations=tuple(found),
            facts=facts_,
            carries=tried,
            why_not="" if tried else "whether a new connection opens was not tried",
        )


def _left_behind(facts: Facts, lives: list[Life]) -> Iterator[Case]:
    """In evidence that shows no ends, the client opened the same again: the connection before had gone."""
    if facts.visible("transport-end") or facts.server_log:
        return
    gone = []
    for life in lives:
        place = (life.connection.url or "").partition("?")[0]
        last = float(life.at[-1])
        again = [
            one
            for one in facts.lives
            if one.connection.started_at > last and (one.connection.url or "").partition("?")[0] == place
        ]
        if again:
            gone.append(life)
    if not gone:
        return
    why = (
        f"{facts.trace.origin.format or 'this evidence'} does not show how connections end; a NetLog, a capture, the "
        "server's log or `chatkit diagnose` would"
    )
    count = f" {len(gone)} times" if len(gone) > 1 else ""
    words = f"the client opened the same connection again{count}, so the one before was gone"
    found = Observation(
        of="ending", value="hidden", finding=words, events=tuple(one.ids(one.places[:1])[0] for one in gone)
    )
    yield Case(
        kind="life",
        title=f"how it ended is not visible, and the client opened it again{count}",
        lives=tuple(gone),
        observations=(found, Observation(of="age", value="early", finding="it was replaced")),
        facts={"again": True},
        carries=False,
        why_not=why,
    )
