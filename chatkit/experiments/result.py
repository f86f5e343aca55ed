"""What an investigation found, as values; ``to_dict`` is the JSON that scripts rely on."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from chatkit import display
from chatkit.diagnosis.result import Diagnosis
from chatkit.experiments.proof import Proof
from chatkit.trace import Trace

SCHEMA = "chatkit.investigation/1"


class Probe(Struct, frozen=True, kw_only=True):
    """A probe and what it showed."""

    id: str
    status: str
    """``pass``, ``warning``, ``fail`` or ``not-tried``."""
    summary: str
    remedy: str | None = None


class ArmResult(Struct, frozen=True, kw_only=True):
    """An arm and what became of it."""

    id: str
    connection: str
    treatment: str
    """In a few words."""
    role: str
    outcome: str
    """``refused(403)``, ``no-answer(tcp)``, ``ended``, ``survived`` or ``mute``."""
    lifetime_s: float | None
    """From open to the end, or to our goodbye; ``None`` where it never opened."""
    ending: str | None
    """In words; ``None`` where we ended it."""


class Investigation(Struct, frozen=True, kw_only=True):
    """The experiments that were made, and what they prove."""

    target: str
    elapsed_s: float
    diagnosis: Diagnosis
    probes: tuple[Probe, ...] = ()
    arms: tuple[ArmResult, ...] = ()
    verification: Proof | None = None
    why: str = ""
    """Why it stopped: ``settled``, ``budget``, ``unchangeable``, ``interrupted`` or ``blocked``."""
    untried: tuple[str, ...] = ()
    """What was left out, and why."""
    trace: Trace
    """Everything that was recorded; replayed, it gives the same diagnosis."""

    def to_dict(self) -> dict[str, Any]:
        """The document of ``chatkit diagnose --json``."""
        return {
            "schema": SCHEMA,
            "target": self.target,
            "elapsed_s": round(self.elapsed_s, 3),
            "probes": [
                {"id": one.id, "status": one.status, "summary": one.summary, "remedy": one.remedy}
                for one in self.probes
            ],
            "arms": [
                {
                    "id": one.id,
                    "connection": one.connection,
                    "treatment": one.treatment,
                    "role": one.role,
                    "outcome": one.outcome,
                    "lifetime_s": one.lifetime_s,
                    "ending": one.ending,
                }
                for one in self.arms
            ],
            "diagnosis": self.diagnosis.to_dict(),
            "verification": self.verification.to_dict() if self.verification is not None else None,
            "stopped": self.why,
            "untried": list(self.untried),
        }

    def ticket(self) -> str:
        """Verdict and experiments as Markdown to paste into a ticket."""
        render = display.find("investigation", "ticket")
        return self.diagnosis.ticket() if render is None else str(render(self))

    def __str__(self) -> str:
        render = display.find("investigation", "text")
        return str(self.diagnosis) if render is None else str(render(self))

    _repr_pretty_ = display.in_words

    def _repr_html_(self) -> str | None:
        render = display.find("investigation", "html")
        return self.diagnosis._repr_html_() if render is None else render(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return self.diagnosis._repr_mimebundle_()
