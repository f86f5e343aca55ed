"""What a diagnosis says, as values; ``to_dict`` is the JSON that scripts rely on."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct

from chatkit import display

MIME = "application/vnd.chatkit.diagnosis+json"
"""The type under which a displayed diagnosis carries ``to_dict()`` in the output of a notebook."""
MOST_LISTED = 100
"""Entries of one list in there."""
MOST_EVENTS = 50
"""Event ids that one piece of evidence names; the rest is counted in its words."""

Verdict = Literal["fault", "no-fault", "inconclusive"]


class Evidence(Struct, frozen=True, kw_only=True):
    """An observation that speaks for a cause or against it."""

    finding: str
    """One sentence without a full stop."""
    events: tuple[str, ...] = ()
    """Ids of the events that show it."""
    supports: bool = True
    weight: float = 1.0
    """How many times likelier the observation is with this cause than in general."""


class Fix(Struct, frozen=True, kw_only=True):
    """What stops it."""

    summary: str
    where: str = ""
    settings: dict[str, str] = {}
    """Exact settings by product."""


class RankedCause(Struct, frozen=True, kw_only=True):
    """One cause of the taxonomy, as probable as the evidence makes it."""

    id: str
    title: str
    confidence: float
    """Probability that this is the cause of what it speaks of."""
    who: str
    """``client``, ``server``, ``proxy``, ``network`` or ``unknown``."""
    connections: tuple[str, ...]
    summary: str
    parameters: dict[str, Any] = {}
    likely: tuple[str, ...] = ()
    """Products whose limit fits what was measured; suspects, not facts."""
    evidence: tuple[Evidence, ...] = ()
    fix: Fix
    lookalikes: tuple[tuple[str, float], ...] = ()
    """What else it could be, with its probability."""
    experiment: str = ""
    """What would tell it from its look-alikes."""


class Remark(Struct, frozen=True, kw_only=True):
    """Odd, but no fault."""

    finding: str
    events: tuple[str, ...] = ()


class RuledOut(Struct, frozen=True, kw_only=True):
    """A cause that the evidence speaks against."""

    id: str
    because: str


class Diagnosis(Struct, frozen=True, kw_only=True):
    """Causes ranked with their evidence, what is ruled out, and what remains unknown."""

    verdict: Verdict
    causes: tuple[RankedCause, ...] = ()
    """Most probable first; none when there is no fault."""
    remarks: tuple[Remark, ...] = ()
    ruled_out: tuple[RuledOut, ...] = ()
    unknown: tuple[str, ...] = ()
    headline: str = ""
    """The verdict in one sentence."""
    next_steps: tuple[str, ...] = ()
    """What to try next, most telling first."""
    lives: str = ""
    """What the recording holds, in a line: connections, endings."""

    def to_dict(self) -> dict[str, Any]:
        """The object that ``--json`` prints under ``diagnosis``."""
        return {
            "verdict": self.verdict,
            "headline": self.headline,
            "causes": [_cause(cause) for cause in self.causes],
            "remarks": [{"finding": remark.finding, "events": list(remark.events)} for remark in self.remarks],
            "ruled_out": [{"id": one.id, "because": one.because} for one in self.ruled_out],
            "unknown": list(self.unknown),
            "next_steps": list(self.next_steps),
        }

    def ticket(self) -> str:
        """The verdict as Markdown to paste into a ticket."""
        render = display.find("diagnosis", "ticket")
        return str(self) if render is None else str(render(self))

    def __str__(self) -> str:
        render = display.find("diagnosis", "text")
        return self.headline if render is None else str(render(self))

    _repr_pretty_ = display.in_words

    def _repr_html_(self) -> str | None:
        render = display.find("diagnosis", "html")
        return None if render is None else render(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """The verdict as data beside its other faces: whoever runs a notebook headless reads it out of the output."""
        return {MIME: _cut(self.to_dict())}


def _cut(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _cut(one) for key, one in value.items()}
    return [_cut(one) for one in value[:MOST_LISTED]] if isinstance(value, list) else value


def _cause(cause: RankedCause) -> dict[str, Any]:
    return {
        "id": cause.id,
        "confidence": round(cause.confidence, 3),
        "who": cause.who,
        "connections": list(cause.connections),
        "summary": cause.summary,
        "parameters": msgspec.to_builtins(cause.parameters),
        "likely": list(cause.likely),
        "lookalikes": [{"id": id, "confidence": round(chance, 3)} for id, chance in cause.lookalikes],
        "evidence": [
            {"finding": one.finding, "events": list(one.events), "supports": one.supports} for one in cause.evidence
        ],
        "fix": {"summary": cause.fix.summary, "where": cause.fix.where, "settings": dict(cause.fix.settings)},
    }
