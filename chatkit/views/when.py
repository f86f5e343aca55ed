"""Clock times for people, with their zone."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo


def zoned(unix: float, zone: tzinfo | str | None = None) -> datetime:
    """A moment in a zone: a ``tzinfo``, a name as in ``Europe/Berlin``, or ``None`` for this machine's own."""
    return datetime.fromtimestamp(unix, UTC).astimezone(ZoneInfo(zone) if isinstance(zone, str) else zone)


def zone_name(moment: datetime) -> str:
    """``UTC``, ``UTC+2``, ``UTC+5:30``."""
    offset = moment.utcoffset()
    minutes = int(offset.total_seconds() // 60) if offset is not None else 0
    if not minutes:
        return "UTC"
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{'+' if minutes > 0 else '-'}{hours}" + (f":{rest:02d}" if rest else "")


def stretch(begin: float, end: float, zone: tzinfo | str | None = None) -> str:
    """``18:02:05–18:02:47 UTC+2``; with the dates where they differ."""
    a, b = zoned(begin, zone), zoned(end, zone)
    form = "%H:%M:%S" if a.date() == b.date() else "%Y-%m-%d %H:%M:%S"
    return f"{a.strftime(form)}–{b.strftime(form)} {zone_name(b)}"


def count(number: int, noun: str) -> str:
    """``1 event``, ``2,140 events``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
