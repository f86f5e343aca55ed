"""How an investigation stands, as values: what the terminal and the widget show while it runs."""

from __future__ import annotations

from msgspec import Struct

from chatkit.diagnosis.engine import Standing
from chatkit.diagnosis.taxonomy import NONE, UNKNOWN, causes

BARS = 6
"""Hypotheses that are shown."""


class Bar(Struct, frozen=True, kw_only=True):
    """A hypothesis and how probable it is now."""

    id: str
    """Of the taxonomy; ``none`` for no fault, ``unknown`` for something that is not modelled."""
    title: str
    probability: float


class ProbeLine(Struct, frozen=True, kw_only=True):
    """A probe and what it showed."""

    id: str
    status: str
    """``pass``, ``warning``, ``fail``, ``not-tried`` or ``running``."""
    summary: str


class ArmLine(Struct, frozen=True, kw_only=True):
    """An arm and what has become of it."""

    id: str
    connection: str | None
    """Id in the recording; ``None`` before it was tried."""
    what: str
    state: str
    """``waiting``, ``opening``, ``alive``, ``ended``, ``refused`` or ``closed`` (by us)."""
    opened: float | None = None
    """Seconds since the investigation began."""
    age: float = 0.0
    """Seconds that it has lived, or lived."""
    acts: tuple[float, ...] = ()
    """Ages at which it did something."""
    ending: str = ""
    """In words, where it ended."""


class Progress(Struct, frozen=True, kw_only=True):
    """One look at a running investigation."""

    stage: str
    """What is being done, in a few words."""
    elapsed: float
    budget: float
    bars: tuple[Bar, ...] = ()
    """Most probable first; few."""
    probes: tuple[ProbeLine, ...] = ()
    arms: tuple[ArmLine, ...] = ()
    notes: tuple[str, ...] = ()
    """What was decided lately, newest last: which arm was added and why, what was measured."""
    done: bool = False


def bars(standing: Standing | None) -> tuple[Bar, ...]:
    """The likeliest hypotheses."""
    if standing is None:
        return ()
    titles = {NONE: "no fault so far", UNKNOWN: "something that is not modelled"}
    return tuple(
        Bar(
            id=one.id,
            title=titles[one.id] if one.id in titles else causes()[one.id].title,
            probability=round(one.probability, 4),
        )
        for one in standing.hypotheses[:BARS]
    )
