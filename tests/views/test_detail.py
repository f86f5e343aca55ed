"""One event in full."""

from __future__ import annotations

import json

import pytest

from builders import event, incident_trace, trace
from chatkit.events import FrameReceived, HealthChecked, TransportEnded, UpgradeAnswered
from chatkit.views.detail import MAX_PAYLOAD, MAX_VALUE, describe


def test_an_event_in_full():
    incident = incident_trace()
    frame = next(i for i in range(len(incident)) if incident.message_types[i] == "ping")
    told = describe(incident, frame)
    assert ("type", "FrameSent") in told["fields"]
    assert told["payload"].startswith('{\n  "type": "ping"')
    assert len(told["payload"]) < MAX_PAYLOAD


def test_fields_are_pairs_of_text() -> None:
    """Type, id and both times first; what is no text stands as JSON."""
    answered = event(UpgradeAnswered, 1.5, "7", "3", status=101, reason="ok", headers=[("Host", "ünï")])
    told = describe(trace(answered), 0)
    assert told["at"] == 1.5
    assert told["line"] == str(answered)
    assert told["payload"] is None
    assert told["fields"][:4] == [
        ("type", "UpgradeAnswered"),
        ("id", "3"),
        ("at", "1.500000 s"),
        ("time", "2026-11-23T16:02:06.500Z"),
    ]
    fields = dict(told["fields"])
    assert (fields["connection"], fields["status"], fields["headers"]) == ("7", "101", '[["Host", "ünï"]]')


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"a":{"b":[1]}}', '{\n  "a": {\n    "b": [\n      1\n    ]\n  }\n}'),
        ('"ünï"', '"ünï"'),
        ("no json {", "no json {"),
        ("", ""),
        ("<script>", "<script>"),
        ("[" * 5_000, "[" * 5_000),
    ],
)
def test_a_payload_is_indented_where_it_is_json(text: str, shown: str) -> None:
    """Else it stands as it came, however deep it claims to be."""
    told = describe(trace(event(FrameReceived, size=len(text), text=text)), 0)
    assert told["payload"] == shown


@pytest.mark.parametrize("text", ["x" * 90_000, json.dumps(["x"] * 20_000)])
def test_a_payload_is_bounded(text: str) -> None:
    """And says how much is missing."""
    payload = describe(trace(event(FrameReceived, size=len(text), text=text)), 0)["payload"]
    assert len(payload) < MAX_PAYLOAD + 40
    assert payload.endswith(" more characters")


def test_values_and_the_line_are_bounded() -> None:
    """One line each, whatever a peer sent."""
    told = describe(trace(event(TransportEnded, how="error", by="server", error="a\nb" * 50_000)), 0)
    assert [name for name, value in told["fields"] if len(value) > MAX_VALUE or "\n" in value] == []
    assert len(told["line"]) <= 300


def test_no_connection_is_no_field() -> None:
    """What has its default says nothing."""
    told = describe(trace(event(HealthChecked, 0.0, None, method="GET", healthy=True, seconds=0.1)), 0)
    assert "connection" not in dict(told["fields"])
