"""Encoded rows that come as lines, and become rows when somebody asks."""

from __future__ import annotations

from collections import deque


class Lines:
    """Rows in order. A recording that nobody looks at is spared an object for each of its events."""

    __slots__ = ("_late", "_rows")

    def __init__(self) -> None:
        self._rows: list[bytes] = []
        # What came since somebody asked: each is some rows with a line feed behind the last, or one without.
        self._late: deque[bytes] = deque()

    def add(self, rows: list[bytes]) -> None:
        """Adds rows; one or more."""
        if self._late:
            self._late.append(b"\n".join(rows))
        else:
            self._rows += rows

    def add_lines(self, lines: bytes) -> None:
        """Adds rows, each with a line feed behind it."""
        self._late.append(lines)

    @property
    def rows(self) -> list[bytes]:
        """All of them; what is taken out of this list is forgotten."""
        while self._late:
            self._rows += self._late.popleft().removesuffix(b"\n").split(b"\n")
        return self._rows
