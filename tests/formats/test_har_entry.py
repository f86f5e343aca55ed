"""An entry is looked at with care: nothing in it need be what it should be."""

from __future__ import annotations

from typing import Any

import pytest

from chatkit.formats.har_entry import Entry, instant, unix


@pytest.mark.parametrize(
    ("value", "time"),
    [
        ("1970-01-01T00:00:01Z", 1.0),
        ("1970-01-01T02:00:01.5+02:00", 1.5),
        ("1970-01-01T00:00:01", 1.0),
        ("yesterday", None),
        ("", None),
        (17, None),
        (None, None),
        ("9999-99-99T00:00:00Z", None),
    ],
)
def test_instants(value: object, time: float | None) -> None:
    """ISO-8601; without a zone UTC."""
    assert instant(value) == time


@pytest.mark.parametrize(
    ("value", "time"),
    [(1.78e9, 1.78e9), (1.78e12, 1.78e9), (1.78e15, 1.78e9), (-1, None), (0, None), (5.0, None), (1e300, None),
     (float("nan"), None), ("1780000000", None), (None, None)],
)  # fmt: skip
def test_units(value: object, time: float | None) -> None:
    """By the size of the number."""
    assert unix(value) == time


@pytest.mark.parametrize(
    ("plain", "yes"),
    [
        ({"_resourceType": "websocket"}, True),
        ({"request": {"url": "wss://h/"}}, True),
        ({"request": {"url": "http://h/", "headers": [{"name": "UPGRADE", "value": "WebSocket"}]}}, True),
        ({"_webSocketClose": "aborted"}, True),
        ({"request": {"url": "http://h/"}}, False),
        ({"request": [], "response": "x"}, False),
    ],
)
def test_what_is_a_socket(plain: dict[str, Any], yes: bool) -> None:
    """By type, scheme, header or what only a WebSocket has."""
    assert Entry(plain).is_socket is yes


def test_times_and_sizes() -> None:
    """Timings of -1 are none; sizes only where both are told."""
    entry = Entry({"time": -1, "timings": {"blocked": -1, "wait": 20, "connect": 5, "receive": 7, "send": "x"}})
    assert (entry.seconds, entry.shaking(), entry.shaking(connected=True), entry.receiving) == (0.0, 0.025, 0.02, 0.007)
    assert entry.bytes_of({"headersSize": 10, "bodySize": 5}) == 15
    assert entry.bytes_of({"headersSize": -1, "bodySize": 5}) is None


@pytest.mark.parametrize(
    ("url", "socket_url", "target"),
    [("http://h/a?b=c", "ws://h/a?b=c", "/a?b=c"), ("wss://h", "wss://h", "/"), ("http://[", "ws://[", "http://[")],
)
def test_urls(url: str, socket_url: str, target: str) -> None:
    """mitmproxy writes http; a URL need not be one."""
    entry = Entry({"request": {"url": url}})
    assert (entry.socket_url, entry.target) == (socket_url, target)
