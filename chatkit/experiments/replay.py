"""Their client, not only ours: what a recorded client did, as a treatment that does the same at the same times."""

from __future__ import annotations

from chatkit.diagnosis.facts import Facts, Life
from chatkit.events import FrameSent, PingSent
from chatkit.experiments.treatments import Doing, Treatment, replayed
from chatkit.trace import Trace

MOST_DOINGS = 300
"""Acts that are repeated at most: the beginning of a life tells what kind of client it is."""
MOST_BYTES = 4096
"""Bytes of a repeated message at most: politeness. What was longer is repeated as long as this."""


def replay_of(trace: Trace) -> Treatment | None:
    """The doings of the connection that tells most: one that ended, and on which the client did something.

    Messages keep their kind, size and time after the opening, not their content. ``None`` where the evidence does not
    show what the client sent.
    """
    facts = Facts(trace)
    told = [(life, doings) for life in facts.lives if life.opened and (doings := _doings(life))]
    if not told:
        return None
    ended = [pair for pair in told if pair[0].connection.ending is not None]
    _, doings = max(ended or told, key=lambda pair: len(pair[1]))
    return replayed(doings)


def _doings(life: Life) -> tuple[Doing, ...]:
    types, found = life.trace.header.types, []
    named = {types.send_ping: "app-ping", types.send_typing: "typing"}
    for place in life.of(FrameSent, PingSent, until=life.end)[:MOST_DOINGS].tolist():
        at = max(0.0, round(float(life.trace.at[place]) - life.start, 3))
        if isinstance(life.trace[place], PingSent):
            found.append(Doing(what="protocol-ping", at=at))
            continue
        what = named.get(life.type_at(place) or "", "replay")
        size = min(int(life.trace.size[place]), MOST_BYTES)
        found.append(Doing(what=what, at=at, size=size if what != "app-ping" else None))  # type: ignore[arg-type]
    return tuple(found)
