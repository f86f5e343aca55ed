"""Clock times for people, with their zone."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone, tzinfo

import pytest

from chatkit.views.when import count, stretch, zone_name, zoned

SUMMER, WINTER = 1_783_000_000.0, 1_795_449_725.0
"""2026-07-02T13:46:40Z and 2026-11-23T16:02:05Z."""


@pytest.mark.parametrize(
    ("zone", "moment", "name"),
    [
        (UTC, WINTER, "UTC"),
        ("UTC", WINTER, "UTC"),
        ("Europe/Berlin", WINTER, "UTC+1"),
        ("Europe/Berlin", SUMMER, "UTC+2"),
        ("Asia/Kolkata", WINTER, "UTC+5:30"),
        ("America/St_Johns", WINTER, "UTC-3:30"),
        ("America/New_York", WINTER, "UTC-5"),
        (timezone(timedelta(hours=-11)), WINTER, "UTC-11"),
    ],
)
def test_a_zone_has_its_offset_as_name(zone: tzinfo | str, moment: float, name: str) -> None:
    """At that moment, for summer time moves it; halves of hours too."""
    assert zone_name(zoned(moment, zone)) == name
    assert zoned(moment, zone).timestamp() == moment


@pytest.mark.parametrize(
    ("seconds", "zone", "words"),
    [
        (42.0, "UTC", "16:02:05–16:02:47 UTC"),
        (0.0, "Europe/Berlin", "17:02:05–17:02:05 UTC+1"),
        (30_000.0, "UTC", "2026-11-23 16:02:05–2026-11-24 00:22:05 UTC"),
        (30_000.0, "America/New_York", "11:02:05–19:22:05 UTC-5"),
    ],
)
def test_a_stretch(seconds: float, zone: str, words: str) -> None:
    """With the dates only where they differ in that zone."""
    assert stretch(WINTER, WINTER + seconds, zone) == words


def test_without_a_zone_it_is_this_machines_own() -> None:
    """Aware all the same."""
    assert zoned(WINTER).utcoffset() is not None


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 events"), (1, "1 event"), (2, "2 events"), (2140, "2,140 events")]
)
def test_count(number: int, words: str) -> None:
    """One is one."""
    assert count(number, "event") == words
