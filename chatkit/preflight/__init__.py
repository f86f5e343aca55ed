"""The pre-flight check: what works right now on the way to a chat, line by line; it does not say why.

``run`` does the steps, ``judge`` turns their answers into lines (pure), ``report`` holds the lines and shows them.
"""

from chatkit.preflight.report import Check, CheckReport
from chatkit.preflight.run import check, plan

__all__ = ["Check", "CheckReport", "check", "plan"]
