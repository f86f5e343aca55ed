"""Incidents with a known cause as synthetic traces: one function each, collected by the cause that it tells of."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from chatkit.trace import Header, Trace
from tests.builders import HEADER
from tests.diagnosis.stories.telling import Tale

NO_FAULT, OPEN = "none", "unknown"
"""Labels that are no causes: a clean life, and evidence that cannot carry a cause."""


class Story(Struct, frozen=True, kw_only=True):
    """One incident, and what a diagnosis should say of it."""

    name: str
    label: str
    """The cause that comes first; ``none`` for no fault, ``unknown`` for evidence that does not tell."""
    make: Callable[[], Tale]
    header: Header
    health_method: str | None = None
    also: tuple[str, ...] = ()
    """Further causes that must be listed."""

    def trace(self) -> Trace:
        """Its trace, made anew."""
        return self.make().trace(self.header)


_FOUND: list[Story] = []


def story(
    label: str, header: Header = HEADER, *, health_method: str | None = None, also: tuple[str, ...] = ()
) -> Callable[[Callable[[], Tale]], Callable[[], Tale]]:
    """Collects the function below it; its name with blanks is the story's."""

    def collect(make: Callable[[], Tale]) -> Callable[[], Tale]:
        name = make.__name__.replace("_", " ")
        _FOUND.append(Story(name=name, label=label, make=make, header=header, health_method=health_method, also=also))
        return make

    return collect


def stories() -> tuple[Story, ...]:
    """All of them, in the order of the taxonomy's groups."""
    from . import attempts, chat, clean, early, ends, steady  # noqa: F401

    return tuple(_FOUND)
