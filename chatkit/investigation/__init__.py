"""Experiments against a live backend: probes, arms, a cause, and a cure that was tried."""

from chatkit.investigation.run import investigate

__all__ = ["investigate"]
