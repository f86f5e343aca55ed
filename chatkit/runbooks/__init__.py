"""The runbooks as values: where their notebooks are, what stands in them, and which one a symptom leads to."""

from chatkit.runbooks.guide import Guide
from chatkit.runbooks.shelf import Parameter, Runbook, find, names, read

__all__ = ["Guide", "Parameter", "Runbook", "find", "names", "read"]
