"""What evidence says, as JSON."""

from __future__ import annotations

import json

import pytest

from chatkit.diagnosis import diagnose
from chatkit.events import EndReported
from chatkit.inspection import SCHEMA, Inspection, connection_dict, input_of
from tests.diagnosis.stories.telling import CAPTURE, ENCRYPTED, HAR, Tale

KEYS = {
    *("id", "url", "opened_at", "duration_s", "http_status", "frames_in", "frames_out", "pings_in", "pings_out"),
    *("pongs_in", "pongs_out", "close_code", "close_reason", "closed_by", "transport_end", "state", "vantages"),
}


def only(tale: Tale, header=CAPTURE) -> dict[str, object]:
    """The one connection of a tale."""
    trace = tale.trace(header)
    return connection_dict(trace, trace.connections[0])


def life() -> Tale:
    """Talk and pings."""
    tale = Tale()
    tale.opens(1, "1")
    tale.ping(6, "1")
    tale.protocol_ping(7, "1", by="server")
    tale.says(8, "1")
    return tale


def test_a_whole_life() -> None:
    """Counts are complete messages; times are seconds and UTC."""
    tale = life()
    tale.closed(11, "1", 1011, "oops")
    found = only(tale)
    assert set(found) == KEYS
    assert (found["frames_in"], found["frames_out"], found["pings_in"], found["pongs_out"]) == (2, 2, 1, 1)
    assert (found["close_code"], found["close_reason"], found["closed_by"]) == (1011, "oops", "server")
    assert found["transport_end"] == {"how": "fin", "by": "server"}
    assert (found["state"], found["http_status"], found["duration_s"]) == ("ended", 101, 10.0)
    assert found["opened_at"] == "2026-11-23T16:02:06.000Z" or str(found["opened_at"]).startswith("2026-11-23T16:02:06")


@pytest.mark.parametrize(
    ("how", "by", "code", "closed_by"),
    [("rst", "server", 1006, "server"), ("fin", "client", 1006, "client"), ("timeout", None, 1006, None)],
)
def test_an_end_without_a_close_frame(how, by, code, closed_by) -> None:
    """1006, and who ended TCP first."""
    tale = life()
    tale.ends(11, "1", how, by)
    found = only(tale)
    assert (found["close_code"], found["closed_by"]) == (code, closed_by)
    assert found["transport_end"] == {"how": how, "by": by}


def test_a_close_frame_without_a_code() -> None:
    """1005, by whoever sent it first."""
    tale = life()
    tale.closed(11, "1", None, by="client")
    assert (only(tale)["close_code"], only(tale)["closed_by"]) == (1005, "client")


def test_a_refusal() -> None:
    """No code, no opening."""
    tale = Tale()
    tale.refused(1, "1", 503)
    found = only(tale)
    assert (found["state"], found["http_status"], found["close_code"]) == ("refused", 503, None)
    assert found["opened_at"] is None


def test_one_that_lives() -> None:
    """Nothing ended."""
    found = only(life())
    assert (found["state"], found["close_code"], found["transport_end"]) == ("open", None, {"how": "none", "by": None})


def test_what_is_not_visible_is_null() -> None:
    """Never zero: a browser shows no pings, TLS no frames."""
    tale = life()
    tale.put(11, EndReported, "1", source="browser")
    found = only(tale, HAR)
    assert (found["pings_in"], found["close_code"], found["transport_end"]) == (None, None, None)
    found = only(life(), ENCRYPTED)
    assert (found["frames_in"], found["pings_out"]) == (None, None)


def test_the_whole_document() -> None:
    """Schema, inputs, connections, diagnosis; valid JSON."""
    tale = life()
    tale.closed(11, "1", 1000, by="client")
    trace = tale.trace(CAPTURE)
    document = Inspection(inputs=(input_of(trace, "a.pcap"),), trace=trace, diagnosis=diagnose(trace)).to_dict()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert set(document) == {"schema", "inputs", "connections", "diagnosis"}
    assert document["schema"] == SCHEMA == "chatkit.inspection/1"
    assert document["inputs"] == [
        {"file": "a.pcap", "format": "pcap", "not_visible": ["client-side", "server-side"], "warnings": []}
    ]
    assert document["diagnosis"]["verdict"] == "no-fault"
