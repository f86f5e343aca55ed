"""The block that travels: what goes in comes out."""

from __future__ import annotations

import numpy as np
import pytest

from builders import incident_trace, split
from chatkit.views import packet
from chatkit.views.detail import MAX_PAYLOAD, describe
from chatkit.views.timeline import TimelineBuilder, lay_out


def test_a_block_carries_the_columns():
    layout = lay_out(incident_trace())
    header, tables = packet.decode(packet.encode(layout))
    for name, column in tables["marks"].items():
        np.testing.assert_array_equal(column, getattr(layout.marks, name))
    for name, column in tables["ticks"].items():
        np.testing.assert_array_equal(column, getattr(layout.ticks, name))
    assert header["until"]["ticks"] == len(layout.ticks)
    assert header["until"]["words"] == len(header["words"])
    assert ["RST by server", "0.2 s after our ping, age 0.3 s", "retry in 2.3 s"] in header["labels"].values()
    assert header["live"] is False


def test_a_delta_carries_patches():
    builder = TimelineBuilder()
    first, second = split(incident_trace(), [60])
    builder.extend(first)
    header, tables = packet.decode(packet.encode(builder.extend(second), live=True))
    assert len(tables["changed"]["index"]) == len(tables["changes"]["x0"]) > 0
    assert header["live"] is True
    assert "kinds" not in header, "said once"


def test_something_else_is_refused():
    with pytest.raises(ValueError, match="not a timeline block"):
        packet.decode(b"HTTP/1.1 200 OK")


def test_an_event_in_full():
    incident = incident_trace()
    frame = next(i for i in range(len(incident)) if incident.message_types[i] == "ping")
    told = describe(incident, frame)
    assert ("type", "FrameSent") in told["fields"]
    assert told["payload"].startswith('{\n  "type": "ping"')
    assert len(told["payload"]) < MAX_PAYLOAD
