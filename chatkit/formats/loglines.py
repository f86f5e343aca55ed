"""Lines of a text log: decoded, dated, counted. What an importer does not know it skips, and one warning says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from chatkit.errors import ImportFailed
from chatkit.formats.collector import Collector
from chatkit.formats.stamps import Stamps, unix

LONGEST = 1 << 20
"""Bytes of a line that are looked at; a longer one is skipped."""
SHOWN = 300
"""Characters of a line that an event quotes."""

_TIMES = ("timestamp", "time", "@timestamp", "ts", "asctime", "datetime", "created")
_TEXTS = ("message", "msg", "event", "text", "log")
_NAMES = ("logger", "name", "logger_name")


class Line(Struct, frozen=True):
    """One line of a log."""

    number: int
    wall: float
    """Unix time in seconds; of the last dated line before it where it has none."""
    text: str
    """Without the time at its front; what a JSON line says where lines are JSON."""
    front: str
    """What stood at the front: the time, or the logger's name of a JSON line."""
    more: str = ""
    """The traceback that a JSON line carries."""
    dated: bool = False
    fields: dict[str, Any] | None = None
    """Of a JSON line."""


class Lines:
    """The lines of a source.

    Args:
        collector: of the importer; gets the warnings, and the word ``timing`` where no line is dated.
        what: what the importer looks for, in words for ``ImportFailed``.
    """

    def __init__(self, collector: Collector, what: str) -> None:
        self._collector, self._what = collector, what
        self._stamps = Stamps(collector.source.start)
        self._skipped = self._used = 0
        self._first_skipped = 0
        self._number = 0

    def __iter__(self) -> Iterator[Line]:
        wall, dated = self._first()
        if not dated:
            self._collector.not_visible.add("timing")
        for number, raw in enumerate(self._collector.source.lines(), 1):
            self._number = number
            if not raw.strip():
                continue
            if len(raw) > LONGEST:
                self.skip()
                continue
            line = self._read(number, raw.decode("utf-8", "replace"), wall)
            wall = line.wall
            yield line

    def used(self) -> None:
        """The current line was understood."""
        self._used += 1

    def skip(self) -> None:
        """The current line tells nothing that an importer knows."""
        self._skipped += 1
        self._first_skipped = self._first_skipped or self._number

    def finish(self) -> None:
        """Says what was skipped and assumed.

        Raises:
            ImportFailed: no line was of use.
        """
        if not self._used:
            raise ImportFailed(
                "no line of the file is one of this log",
                source=self._collector.source.name,
                entry=self._first_skipped or None,
                expected=self._what,
                got=f"{self._number:,} other line{'' if self._number == 1 else 's'}",
                remedy="name the right format with --input-format (format=…), or give the whole file",
            )
        if self._skipped:
            first = self._first_skipped
            some = f"{self._skipped:,} lines were skipped, they are no part of this log (the first is line {first})"
            one = f"1 line was skipped, it is no part of this log (line {first})"
            self._collector.warn(one if self._skipped == 1 else some)
        for note in self._stamps.notes:
            self._collector.warn(note)

    def _first(self) -> tuple[float, bool]:
        """The first time in the beginning of the file: that of lines before it."""
        stamps = Stamps(self._collector.source.start)
        for number, raw in enumerate(self._collector.source.start.splitlines()):
            line = self._parse(number, raw.decode("utf-8", "replace"), 0.0, stamps)
            if line.dated:
                return line.wall, True
        return 0.0, False

    def _read(self, number: int, text: str, wall: float) -> Line:
        return self._parse(number, text, wall, self._stamps)

    def _parse(self, number: int, text: str, wall: float, stamps: Stamps) -> Line:
        if text.startswith("{") and (fields := record(text)) is not None:
            return self._of_json(number, fields, wall, stamps)
        found, rest = stamps.split(text)
        front = text[: len(text) - len(rest)]
        return Line(number, wall if found is None else found, rest, front, dated=found is not None)

    def _of_json(self, number: int, fields: dict[str, Any], wall: float, stamps: Stamps) -> Line:
        found = next((time for key in _TIMES if (time := _time(fields.get(key), stamps)) is not None), None)
        said = next((fields[key] for key in _TEXTS if isinstance(fields.get(key), str)), "")
        name = next((fields[key] for key in _NAMES if isinstance(fields.get(key), str)), "")
        more = next(
            (fields[key] for key in ("exc_info", "exception", "traceback") if isinstance(fields.get(key), str)), ""
        )
        wall = wall if found is None else found
        return Line(number, wall, said, f"{name} ", more, dated=found is not None, fields=fields)


def record(text: str) -> dict[str, Any] | None:
    """The JSON object that a line is; ``None`` for any other line."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def shown(text: str) -> str:
    """A line as an event quotes it: one line, bounded."""
    flat = " ".join(text[: SHOWN * 4].split())
    return flat if len(flat) <= SHOWN else flat[: SHOWN - 1] + "…"


def _time(value: object, stamps: Stamps) -> float | None:
    return stamps.iso(value) if isinstance(value, str) else unix(value)
