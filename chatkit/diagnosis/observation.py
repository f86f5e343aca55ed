"""What was observed: one value of an observable, with the sentence and the events that show it."""

from __future__ import annotations

from msgspec import Struct


class Observation(Struct, frozen=True, kw_only=True):
    """One value of an observable, seen in a recording."""

    of: str
    """Id of the observable."""
    value: str
    finding: str
    """The same as a sentence without a full stop."""
    events: tuple[str, ...] = ()
    """Ids of the events that show it."""
