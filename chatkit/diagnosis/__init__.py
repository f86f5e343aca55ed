"""From a trace to a cause with its evidence: the taxonomy as data, observations by rules, an engine that ranks."""

from __future__ import annotations

from chatkit.diagnosis.engine import diagnose
from chatkit.diagnosis.result import Diagnosis

__all__ = ["Diagnosis", "diagnose"]
