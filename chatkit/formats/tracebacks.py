"""Python tracebacks within a log: only the type and message of what was raised last is kept."""

from __future__ import annotations

import re

from chatkit.formats.loglines import Line, shown

_CHAIN = (
    "Traceback (most recent call last)",
    "Exception Group Traceback",
    "The above exception was",
    "During handling of the above",
)
_RAISED = re.compile(r"[A-Za-z_][\w.]{0,200}(?:: .*)?$")
_IN_GROUP = re.compile(r"[ |]*\| {1,8}([A-Za-z_][\w.]{0,200}(?:Error|Exception|Exit|Interrupt|Closed\w*): .*)$")


class Traceback:
    """Takes the lines after the one that announces an exception, as long as they belong to it."""

    def __init__(self) -> None:
        self._raised = ""
        self._whole = False
        self._begun = False

    @property
    def raised(self) -> str:
        """Type and message of the last exception, bounded; empty where the traceback was cut."""
        return shown(self._raised)

    def feed(self, line: Line) -> bool:
        """Whether a line belongs to the traceback."""
        text = line.text
        if line.dated:
            return False
        if text.strip(" |+-").startswith(_CHAIN):
            self._begun, self._whole = True, False
            return True
        if match := _IN_GROUP.match(text):
            self._raised = match[1]
            return True
        if text[:1] in (" ", "\t", "|", "+") and self._begun:
            return True
        if self._begun and not self._whole and _RAISED.match(text):
            self._raised, self._whole = text, True
            return True
        return False


def last_line(text: str) -> str:
    """What was raised, of a traceback in one piece; the longest look is at its last 4,096 characters."""
    lines = [line for line in text[-4096:].splitlines() if line.strip()]
    return shown(lines[-1].strip(" |")) if lines else ""
