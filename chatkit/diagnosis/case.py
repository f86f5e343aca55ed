"""A case: lives or attempts that ask the same question, and what was observed of them."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from chatkit.diagnosis.facts import Life
from chatkit.diagnosis.observation import Observation
from chatkit.diagnosis.trials import Trials


class Case(Struct, kw_only=True):
    """What has to be explained."""

    kind: str
    """``attempt``, ``life``, or one of the chat's: ``copies``, ``replies`` …"""
    title: str
    """What happened, in a few words."""
    lives: tuple[Life, ...] = ()
    observations: tuple[Observation, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    """Measured values that parameters and summaries are made of."""
    trials: Trials | None = None
    """What became of the arms of an investigation; ``None`` for any other recording."""
    excluded: frozenset[str] = frozenset()
    """Causes that cannot be: whoever made the recording knows that."""
    carries: bool = True
    """Whether this kind of evidence can carry a cause for such a case."""
    why_not: str = ""
    """Why it cannot."""

    @property
    def connections(self) -> tuple[str, ...]:
        """Ids of the connections it speaks of."""
        return tuple(life.id for life in self.lives)

    def value(self, observable: str) -> str | None:
        """What was observed, ``None`` where nothing was."""
        return next((one.value for one in self.observations if one.of == observable), None)


def case_of(kind: str, title: str, observations: list[Observation], lives: list[Life], **values: object) -> Case:
    """A case from its parts; ``values`` are what is known by name."""
    return Case(kind=kind, title=title, lives=tuple(lives), observations=tuple(observations), facts=dict(values))
