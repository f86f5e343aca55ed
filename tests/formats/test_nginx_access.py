"""Access logs of nginx: a status 101 is a life, in every format that is told by its looks."""

from __future__ import annotations

import json

import pytest

from chatkit.errors import ImportFailed
from chatkit.events import (
    AttemptFailed,
    EndReported,
    HealthChecked,
    HttpAnswered,
    Logged,
    Opened,
    UpgradeAnswered,
    UpgradeRequested,
)
from chatkit.formats import Options, nginx_access
from chatkit.formats.source import Source
from chatkit.trace import Trace

LINE = '1.2.3.4 - - [24/Nov/2026:13:00:10 +0100] "GET /ws HTTP/1.1" {} 12 "-" "Mozilla/5.0 (X11)"{}\n'


def read(text: str) -> Trace:
    return nginx_access.read(Source.of(text.encode()), Options())


@pytest.mark.parametrize(
    "rest",
    [
        " 60.004",
        " 60.004 ",
        ' "-" 60.004',
        " rt=60.004 urt=1.000",
        ' request_time="60.004" x',
        " duration=60.004 0.001",
    ],
)
def test_how_long_a_life_was(rest: str) -> None:
    """The last number, or the one with a name."""
    trace = read(LINE.format(101, rest))
    assert [type(event) for event in trace] == [UpgradeRequested, UpgradeAnswered, Opened, EndReported]
    assert trace.duration == pytest.approx(60.004)
    assert trace.epoch + trace.duration == pytest.approx(1795521610.0)


@pytest.mark.parametrize("rest", ["", ' "198.51.100.7"', " 12", " text"])
def test_a_life_of_unknown_length(rest: str) -> None:
    """Only its end is known."""
    trace = read(LINE.format(101, rest))
    assert [type(event) for event in trace] == [Logged, EndReported]
    (connection,) = trace.connections
    assert (connection.state, connection.opened_at, connection.ending.age) == ("ended", None, None)  # type: ignore[union-attr]
    assert any("$request_time" in warning for warning in trace.warnings)


@pytest.mark.parametrize(("status", "answered"), [(403, 403), (502, 502), (504, 504), (426, 426), (499, None)])
def test_refused_upgrades(status: int, answered: int | None) -> None:
    """499 is nginx's own word: nobody was answered."""
    trace = read(LINE.format(status, " 0.100"))
    (failed,) = [event for event in trace if isinstance(event, AttemptFailed)]
    assert failed.status == answered
    assert trace.connections[0].status == answered
    assert any(isinstance(event, Logged) and event.what == "client-closed" for event in trace) is (answered is None)


def test_requests_beside() -> None:
    """With the time that they took."""
    trace = read(
        LINE.replace("GET /ws", "HEAD /health").format(405, " 0.250")
        + LINE.replace("/ws", "/api/bots/1").format(200, " 1.500")
    )
    assert [(event.status, event.seconds) for event in trace if isinstance(event, HealthChecked)] == [(405, 0.25)]
    assert [(event.purpose, event.seconds) for event in trace if isinstance(event, HttpAnswered)] == [("bot", 1.5)]


@pytest.mark.parametrize(
    "fields",
    [
        {
            "time_iso8601": "2026-11-24T13:00:10+01:00",
            "request_method": "GET",
            "request_uri": "/x",
            "http_upgrade": "websocket",
        },
        {"time_local": "24/Nov/2026:13:00:10 +0100", "request": "GET /x HTTP/1.1"},
        {"msec": "1795521610.000", "request": "GET /x HTTP/1.1"},
        {"@timestamp": 1795521610000, "method": "GET", "uri": "/x"},
    ],
)
def test_json_lines(fields: dict[str, object]) -> None:
    """With nginx's own names; numbers as text or not."""
    for status, seconds in ((101, 60.0), ("101", "60.000")):
        text = json.dumps(fields | {"status": status, "request_time": seconds})
        assert nginx_access.sniff(text.encode())
        trace = read(text)
        assert (trace.duration, trace.epoch) == (60.0, 1795521550.0)


@pytest.mark.parametrize(
    "change", [{"status": "x"}, {"status": 1e9}, {"method": 3}, {"time": "soon"}, {"uri": None}, {"status": None}]
)
def test_json_lines_that_are_none(change: dict[str, object]) -> None:
    """Skipped; alone, refused."""
    fields = {"time": "2026-11-24T12:00:00Z", "method": "GET", "uri": "/x", "status": 200, "request_time": 1} | change
    with pytest.raises(ImportFailed):
        read(json.dumps(fields))


def test_a_path_with_odd_characters() -> None:
    """As nginx escapes them."""
    trace = read(LINE.replace("/ws", "/ws/a\\x22b?token=abcdefgh").format(101, " 1.000"))
    assert trace.connections[0].url == "/ws/a\\x22b?token=[redacted]"
