"""The taxonomy as data: what may be wrong, who is responsible, what each cause makes visible, and what stops it.

``causes.toml`` holds the causes, ``observations.toml`` what can be observed. A cause states how likely it makes each
value of the observations that it says something about (``seen``); about all others it says nothing, and the general
rate of the value counts. So one model ranks causes from a recording and chooses the experiment that parts them.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Any

import msgspec
from msgspec import Struct, field

from chatkit.diagnosis.result import Fix

PRIORS = {"+++": 0.05, "++": 0.02, "+": 0.005}
"""Weights in an incident queue."""
OTHERWISE = 0.01
"""Of ``Observable.otherwise``, where the table does not say."""
UNKNOWN, NONE = "unknown", "none"


class Observable(Struct, frozen=True, kw_only=True):
    """Something that a recording may show of a case."""

    id: str
    asks: str
    """The question it answers."""
    rates: dict[str, float]
    """How often each value is seen in general; ``*`` for any other."""
    otherwise: float = OTHERWISE
    """Probability of a value that a cause does not name, though it says something about the observation."""

    def rate(self, value: str) -> float:
        """General probability of a value."""
        return self.rates.get(value, self.rates.get("*", 0.02))


class Cause(Struct, frozen=True, kw_only=True):
    """An entry of the taxonomy."""

    id: str
    group: int
    """1 before the upgrade, 2 at it, 3 early life, 4 steady life, 5 somebody's end, 6 the chat itself."""
    title: str
    who: tuple[str, ...]
    """Who may be responsible, likeliest first."""
    weight: str
    """``+++``, ``++`` or ``+``: how common it is."""
    cases: tuple[str, ...]
    """Kinds of cases that it may explain: ``attempt``, ``life``, or one of the chat's."""
    signature: str
    lookalikes: tuple[str, ...] = ()
    apart: str
    """What tells it from its look-alikes."""
    experiment: str = ""
    """The arm of an investigation that does."""
    summary: str
    """One sentence; ``{name}`` stands for a parameter."""
    fix: Fix
    courses: dict[str, float] = field(default_factory=lambda: {"free": 1.0})
    """By which mechanism it ends lives, and how often by each; ``free`` is at random."""
    seen: dict[str, dict[str, float]] = field(default_factory=dict)
    """Probability of each value of an observation, given this cause; ``*`` for any other value."""

    @property
    def prior(self) -> float:
        """Its share in an incident queue."""
        return PRIORS[self.weight]

    def likelihood(self, observable: Observable, value: str) -> float:
        """Probability of the value given this cause."""
        table = self.seen.get(observable.id)
        if table is None:
            return observable.rate(value)
        return table.get(value, table.get("*", observable.otherwise))


@cache
def causes() -> dict[str, Cause]:
    """All causes by id, in the order of the taxonomy."""
    return {cause.id: cause for cause in msgspec.convert(_read("causes.toml")["cause"], list[Cause])}


@cache
def observables() -> dict[str, Observable]:
    """All observations by id."""
    table = _read("observations.toml")
    return {id: msgspec.convert({"id": id} | rest, Observable) for id, rest in table.items()}


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads(resources.files("chatkit.diagnosis").joinpath(name).read_text("utf-8"))
