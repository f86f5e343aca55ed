"""Cloudflare's records of WebSockets: sides, reasons, times of every unit."""

from __future__ import annotations

import json

import pytest

from chatkit.events import EndReported, Logged, Opened
from chatkit.formats import Options, cloudflare
from chatkit.formats.source import Source
from chatkit.trace import Trace

BEGAN = 1795521600
RECORD = {
    "ClientRequestHost": "h",
    "ClientRequestPath": "/ws",
    "ConnectionCloseReason": "none",
    "ConnectionCloseSource": "me",
}


def read(*records: object) -> Trace:
    return cloudflare.read(Source.of("\n".join(json.dumps(record) for record in records).encode()), Options())


@pytest.mark.parametrize(
    ("source", "by", "words"),
    [
        ("upstream", "server", "closed by the origin"),
        ("downstream", "client", "closed by the client"),
        ("me", None, "closed by the edge itself"),
        ("both", None, "closed by both sides"),
        ("17", None, "closed by 17"),
        (None, None, "closed by nobody named"),
    ],
)
def test_who_closed(source: str | None, by: str | None, words: str) -> None:
    """The edge is neither client nor server."""
    trace = read(RECORD | {"ConnectionCloseSource": source, "Timestamp": "2026-11-24T12:00:00Z"})
    (ended,) = [event for event in trace if isinstance(event, EndReported)]
    (logged,) = [event for event in trace if isinstance(event, Logged)]
    assert (ended.by, ended.code) == (by, None)
    assert words in logged.text


@pytest.mark.parametrize(
    ("reason", "what"),
    [
        ("timedOut", "timed-out"),
        ("peerReset", "connection-reset"),
        ("upstreamReset", "upstream-reset"),
        ("protocolViolation", "protocol-violation"),
        ("peerNoError", "connection-closed"),
        ("somethingNew", "connection-closed"),
        (7, "connection-closed"),
    ],
)
def test_why(reason: object, what: str) -> None:
    """A word for each of the documented reasons."""
    (logged,) = [event for event in read(RECORD | {"ConnectionCloseReason": reason}) if isinstance(event, Logged)]
    assert (logged.what, logged.by) == (what, "proxy")


@pytest.mark.parametrize(
    "times",
    [
        {"StartTimestamp": "2026-11-24T12:00:00Z", "EndTimestamp": "2026-11-24T12:01:00Z"},
        {"ConnectionStartTime": BEGAN, "ConnectionEndTime": BEGAN + 60},
        {"EdgeStartTimestamp": BEGAN * 1000, "EdgeEndTimestamp": (BEGAN + 60) * 1000},
        {"EstablishedTimestamp": BEGAN * 10**9, "ClosedTimestamp": (BEGAN + 60) * 10**9},
        {"StartTimestamp": str(BEGAN), "ConnectionDurationMs": 60_000},
        {"Timestamp": "2026-11-24T13:01:00+01:00", "DurationSec": 60},
    ],
)
def test_times(times: dict[str, object]) -> None:
    """By the names of the fields and the size of the numbers."""
    trace = read(RECORD | times)
    assert (trace.epoch, trace.duration) == (BEGAN, 60.0)
    assert trace.connections[0].url == "ws://h/ws"


def test_a_record_without_times() -> None:
    """Its end is known, its length is not; said, not guessed."""
    trace = read(RECORD)
    assert not any(isinstance(event, Opened) for event in trace)
    assert "timing" in trace.not_visible
    assert trace.connections[0].state == "ended"


def test_other_lines_are_skipped() -> None:
    """And counted."""
    trace = read(RECORD, {"EdgeResponseStatus": 200}, 3)
    assert len(trace.connections) == 1
    assert any(warning.startswith("2 lines were skipped") for warning in trace.warnings)


def test_which_files_are_such_records() -> None:
    """Not those of other data sets."""
    assert cloudflare.sniff(json.dumps(RECORD).encode())
    assert not cloudflare.sniff(b'{"EdgeResponseStatus": 200, "RayID": "x"}')
    assert not cloudflare.sniff(b'[{"ConnectionCloseSource": "me"}]')
