"""Times of log lines, whole and with parts left out."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.formats.stamps import Stamps, clf, unix

NOON = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("line", "wall", "rest"),
    [
        ("2026-11-24 12:00:00,123 DEBUG x", NOON + 0.123, "DEBUG x"),
        ("2026-11-24T12:00:00.5Z x", NOON + 0.5, "x"),
        ("2026-11-24T13:00:00+01:00 x", NOON, "x"),
        ("[2026-11-24 07:00:00 -0500] [7] [INFO] x", NOON, "[7] [INFO] x"),
        ("INFO 2026-11-24 12:00:00 x", NOON, "x"),
        ("web-1  | 2026-11-24T12:00:00.000000001Z x", NOON + 1e-9, "x"),
        ("2026/11/24 12:00:00 [info] 7#7: x", NOON, "[info] 7#7: x"),
        ("Nov 24 2026 12:00:00 x", NOON, "x"),
        ("1795521600.25 x", NOON + 0.25, "x"),
    ],
)
def test_a_whole_time(line: str, wall: float, rest: str) -> None:
    """At the front of the line, with zone or without."""
    found = Stamps().split(line)
    assert found == (pytest.approx(wall), rest)


@pytest.mark.parametrize(
    "line",
    [
        'DEBUG:websockets.client:> TEXT \'{"timestamp":"2026-11-24T12:00:00Z"}\' [40 bytes]',
        "2026-13-24 12:00:00 no such month",
        "2026-02-30 12:00:00 no such day",
        "2026-11-24 25:00:00 no such hour",
        "0001-01-01 00:00:00+05:00 before all logs",
        "127.0.0.1:5000 - no time",
        "",
    ],
)
def test_no_time(line: str) -> None:
    """What a line says is not when it was written."""
    assert Stamps().split(line) == (None, line)


def test_a_year_is_taken_from_the_file() -> None:
    """The one that brings the date nearest; over the turn of the year too."""
    stamps = Stamps(b'{"timestamp":"2026-12-31T23:59:00Z"}')
    first, _ = stamps.split("[1:2:1231/235959.000000:INFO:CONSOLE:1] x")
    second, _ = stamps.split("[1:2:0101/000001.000000:INFO:CONSOLE:1] x")
    assert first is not None
    assert second is not None
    assert (second - first, datetime.fromtimestamp(second, UTC).year) == (2.0, 2027)
    assert stamps.notes == [
        "the times name no year and no zone: the year is taken from a date in the file, the zone is taken for UTC"
    ]


def test_a_year_that_nobody_knows_is_the_first() -> None:
    """And a 29 February gets a year that has one."""
    stamps = Stamps()
    wall, _ = stamps.split("[1:2:0229/120000:INFO:CONSOLE:1] x")
    assert wall is not None
    assert datetime.fromtimestamp(wall, UTC).year == 1972
    assert "shown as of 1970" in stamps.notes[0]


def test_a_day_is_taken_from_the_file_and_goes_on_over_midnight() -> None:
    """A clock that falls back by a day has passed midnight."""
    stamps = Stamps(b"date: Tue, 24 Nov 2026 23:58:00 GMT")
    first, rest = stamps.split("23:59:58.100 chat.js:4 x")
    second, _ = stamps.split("00:00:03.100 chat.js:4 x")
    assert rest == "chat.js:4 x"
    assert first is not None
    assert second == pytest.approx(first + 5.0)
    assert datetime.fromtimestamp(first, UTC).day == 24


def test_offsets_of_an_access_log() -> None:
    """East is earlier in UTC."""
    assert clf("[24/Nov/2026:13:00:00 +0100]") == NOON
    assert clf("[24/Nov/2026:11:30:00 -0030]") == NOON
    assert clf("[99/Nov/2026:11:30:00 -0030]") is None


@pytest.mark.parametrize("power", [1, 10**3, 10**6, 10**9])
def test_numbers_of_any_unit(power: int) -> None:
    """Told by their size."""
    assert unix(int(NOON) * power) == pytest.approx(NOON)


@pytest.mark.parametrize("value", [True, None, "1795521600", -1, 0, 10**30, float("nan"), float("inf")])
def test_what_is_no_time(value: object) -> None:
    """No guess."""
    assert unix(value) is None


@given(st.text(max_size=120))
def test_any_line_has_a_time_or_none(line: str) -> None:
    """And nothing of it is lost."""
    wall, rest = Stamps().split(line)
    assert line.endswith(rest)
    assert wall is None or 0 <= wall < 2e10
