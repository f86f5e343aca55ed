"""Times of log lines: found at the front of a line, in whatever shape a logging framework gives them.

A log may leave out the zone, the year or the day. What is left out is taken from what stands nearest: the line before,
else a full date anywhere in the beginning of the file; ``notes`` says in words what was assumed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

MONTHS = {name: number for number, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}
_MONTH = "|".join(MONTHS)
_DAY = 86400.0

# Before a time stand brackets, levels, names and numbers; quotes, braces and marks begin what a line says.
_FRONT = r"[^\"'{}<>=?%!]{0,80}?"
_ISO = re.compile(
    r"^" + _FRONT + r"(?<!\d)(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?"
    r"\s?(Z|[+-]\d\d:?\d\d)?(?![\d:])[\]\)]?[ \t|:-]{0,8}"
)
_CHROME = re.compile(r"^\[(?:\d+:){0,2}(\d\d)(\d\d)/(\d\d)(\d\d)(\d\d)(?:\.(\d{1,9}))?:")
_SYSLOG = re.compile(
    r"^[\[\(]?(" + _MONTH + r") {1,2}(\d{1,2})(?: (\d{4}))? (\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?[\]\)]?\s?"
)
_CLOCK = re.compile(r"^[\[\(]?(\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?[\]\)]?\s{1,8}")
_UNIX = re.compile(r"^[\[\(]?(\d{10})(?:[.,](\d{1,9}))?[\]\)]?\s{1,8}")
_CLF = re.compile(r"(\d\d)/(" + _MONTH + r")/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)")
_HINT = re.compile(
    rb"(?<!\d)(20\d\d)-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)"
    rb"|\b(\d\d) (" + _MONTH.encode() + rb") (20\d\d) (\d\d):(\d\d):(\d\d) GMT"
)


class Stamps:
    """Reads times; remembers what was seen for the lines that say less.

    Args:
        start: the beginning of the file, for a full date.
    """

    def __init__(self, start: bytes = b"") -> None:
        self._near = _hint(start)
        self._known = self._near is not None
        self._notes: dict[str, None] = {}

    @property
    def notes(self) -> list[str]:
        """What was assumed, one sentence each."""
        return list(self._notes)

    def split(self, line: str) -> tuple[float | None, str]:
        """The time at the front of a line (Unix time in seconds; ``None`` without one) and the rest of the line."""
        for pattern, read in _SHAPES:
            if (match := pattern.match(line)) is not None and (wall := read(self, match)) is not None:
                self._near = wall
                return wall, line[match.end() :]
        return None, line

    def iso(self, text: str) -> float | None:
        """The time that a field of its own holds: ISO-8601, or as :func:`clf`."""
        match = _ISO.match(text)
        return clf(text) if match is None else self._iso(match)

    def _iso(self, match: re.Match[str]) -> float | None:
        year, month, day, *clock = match.groups()[:6]
        wall = _wall(int(year), int(month), int(day), clock, match[7])
        zone = match[8]
        if wall is None:
            return None
        if zone is None:
            self._notes["the times name no zone: they are taken for UTC"] = None
        elif zone != "Z":
            wall -= _offset(zone)
        return wall

    def _chrome(self, match: re.Match[str]) -> float | None:
        month, day, *clock = match.groups()[:5]
        return self._yearless(int(month), int(day), clock, match[6])

    def _syslog(self, match: re.Match[str]) -> float | None:
        name, day, year, *clock = match.groups()[:6]
        if year is None:
            return self._yearless(MONTHS[name], int(day), clock, match[7])
        self._notes["the times name no zone: they are taken for UTC"] = None
        return _wall(int(year), MONTHS[name], int(day), clock, match[7])

    def _yearless(self, month: int, day: int, clock: list[str], fraction: str | None) -> float | None:
        near = self._near if self._near is not None else 0.0
        middle = datetime.fromtimestamp(near, UTC).year
        # A 29 February is in one year of four, and in 1972 first.
        reach = 4 if (month, day) == (2, 29) else 1
        years = range(max(1970, middle - reach), middle + reach + 1)
        found = [wall for year in years if (wall := _wall(year, month, day, clock, fraction)) is not None]
        if not found:
            return None
        self._assume("year")
        return min(found, key=lambda wall: abs(wall - near))

    def _clock(self, match: re.Match[str]) -> float | None:
        near = self._near if self._near is not None else 0.0
        day = near - near % _DAY
        date = datetime.fromtimestamp(day, UTC)
        wall = _wall(date.year, date.month, date.day, list(match.groups()[:3]), match[4])
        if wall is None:
            return None
        self._assume("day")
        around = (wall, wall + _DAY) if wall < _DAY else (wall, wall - _DAY, wall + _DAY)
        return min(around, key=lambda one: abs(one - near)) if self._near is not None else wall

    def _unix(self, match: re.Match[str]) -> float | None:
        return int(match[1]) + _fraction(match[2])

    def _assume(self, what: str) -> None:
        known = f"the {what} is taken from a date in the file" if self._known else f"the {what} is shown as of 1970"
        self._notes[f"the times name no {what} and no zone: {known}, the zone is taken for UTC"] = None


def clf(text: str) -> float | None:
    """The time of an access log, ``24/Nov/2026:07:52:35 +0100``, with its offset; Unix time in seconds."""
    match = _CLF.search(text)
    if match is None:
        return None
    day, month, year, *clock = match.groups()[:6]
    wall = _wall(int(year), MONTHS[month], int(day), clock, None)
    return None if wall is None else wall - _offset("".join(match.groups()[6:]))


def unix(value: object) -> float | None:
    """A number in seconds, milliseconds, microseconds or nanoseconds since 1970, told by its size, as seconds."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1e8 < value < 1e20:
        return None
    for power in (1, 1_000, 1_000_000, 1_000_000_000):
        if value / power < 1e11:
            return value / power
    return None


def _wall(year: int, month: int, day: int, clock: list[str], fraction: str | None) -> float | None:
    if not 1970 <= year < 2500:
        return None  # No log's time: a number of another kind, or a hostile one.
    try:
        moment = datetime(year, month, day, tzinfo=UTC)
        seconds = timedelta(hours=int(clock[0]), minutes=int(clock[1]), seconds=int(clock[2]))
        if int(clock[0]) > 23 or int(clock[1]) > 59 or int(clock[2]) > 60:
            return None
        return (moment + seconds).timestamp() + _fraction(fraction)
    except (ValueError, OverflowError):
        return None


def _fraction(digits: str | None) -> float:
    return int(digits) / 10 ** len(digits) if digits else 0.0


def _offset(zone: str) -> float:
    """Seconds east of Greenwich of ``+01:00`` or ``-0500``."""
    digits = zone[1:].replace(":", "")
    seconds = int(digits[:2]) * 3600 + int(digits[2:4]) * 60
    return -seconds if zone[0] == "-" else seconds


def _hint(start: bytes) -> float | None:
    for match in _HINT.finditer(start):
        texts = [(part or b"").decode() for part in match.groups()]
        if texts[0]:
            wall = _wall(int(texts[0]), int(texts[1]), int(texts[2]), texts[3:6], None)
        else:
            wall = _wall(int(texts[8]), MONTHS[texts[7]], int(texts[6]), texts[9:12], None)
        if wall is not None:
            return wall
    return None


_SHAPES: tuple[tuple[re.Pattern[str], Callable[[Stamps, re.Match[str]], float | None]], ...] = (
    (_CHROME, Stamps._chrome),
    (_CLOCK, Stamps._clock),
    (_ISO, Stamps._iso),
    (_SYSLOG, Stamps._syslog),
    (_UNIX, Stamps._unix),
)
