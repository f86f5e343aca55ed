"""One event in full."""

from __future__ import annotations

import base64
import json

import pytest

from builders import event, incident_trace, trace
from chatkit.events import FrameReceived, HealthChecked, PingSent, TransportEnded, UpgradeAnswered
from chatkit.views.detail import MAX_BYTES, MAX_PAYLOAD, MAX_VALUE, describe, listing


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


def test_it_is_measured_from_other_moments() -> None:
    """With a sign, as people read durations."""
    told = describe(trace(event(PingSent, 1.5)), 0, {"the event before": 0.25, "the reference": 1.504})
    assert told["fields"][4:6] == [("since the event before", "+1.25 s"), ("since the reference", "−4 ms")]


@pytest.mark.parametrize(
    ("fields", "form"),
    [
        ({"size": 15, "text": '{"type":"pong"}'}, "chat message pong"),
        ({"size": 3, "text": "[1]"}, "JSON"),
        ({"size": 2, "text": "hi"}, "text"),
        ({"size": 2, "opcode": "binary", "data": "aGk="}, "bytes"),
        ({"size": 2}, ""),
    ],
)
def test_it_says_what_the_payload_is(fields: dict, form: str) -> None:
    """The chat's own type where the message has one."""
    assert describe(trace(event(FrameReceived, **fields)), 0)["form"] == form


def test_bytes_are_dumped() -> None:
    """A binary message and a control frame's data, sixteen bytes a line; what is not there is counted."""
    data = base64.b64encode(bytes(range(60, 80))).decode()
    told = describe(trace(event(FrameReceived, size=30, opcode="binary", data=data)), 0)
    assert told["payload"].split("\n") == [
        "00000000  3c 3d 3e 3f 40 41 42 43  44 45 46 47 48 49 4a 4b  <=>?@ABCDEFGHIJK",
        "00000010  4c 4d 4e 4f                                       LMNO",
        "… 10 more bytes",
    ]
    assert "data" not in dict(told["fields"])
    assert describe(trace(event(PingSent, payload="6869ff")), 0)["payload"].endswith("hi.")
    assert describe(trace(event(PingSent, payload="no hex")), 0)["payload"] is None
    assert describe(trace(event(FrameReceived, size=1, data="%%%")), 0)["payload"] == "\n… 1 more bytes"
    large = base64.b64encode(bytes(10_000)).decode()
    shown = describe(trace(event(FrameReceived, size=10_000, data=large)), 0)["payload"]
    assert shown.endswith("… 5,904 more bytes")
    assert shown.count("\n") == MAX_BYTES // 16


@pytest.mark.parametrize("data", ["no base64!", "[redacted]", "QUJDRA=A", "üüüü"])
def test_data_that_is_no_base64_is_shown_as_it_stands(data: str) -> None:
    """A file can hold anything there, also the place of a secret that was taken out."""
    told = describe(trace(event(FrameReceived, opcode="binary", size=9, data=data)), 0)
    assert data in str(told)


def test_many_in_a_line_each() -> None:
    """With the time since the line above, also above the first."""
    picked = trace(event(PingSent, 1.0), event(TransportEnded, 1.25, None, how="fin", by="server"))
    assert listing(picked, [7, 9]) == [
        (7, 1.0, "", "1", "sent ping (RFC 6455)"),
        (9, 1.25, "+250 ms", "", str(picked[1])),
    ]
    assert listing(picked.where([1]), [9], 2.25)[0][2] == "−1.00 s"
