"""Several traces of one incident become one."""

from __future__ import annotations

from chatkit.trace import Trace


def merge(*traces: Trace) -> Trace:
    """One trace of several vantage points."""
    raise NotImplementedError


def disagreements(trace: Trace) -> list[object]:
    """What vantage points disagree about."""
    raise NotImplementedError
