"""The block that travels: what goes in comes out."""

from __future__ import annotations

import numpy as np
import pytest

from builders import incident_trace, split
from chatkit.views import packet
from chatkit.views.timeline import TimelineBuilder, lay_out
from million import crowd


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


def test_whole_numbers_travel_as_narrow_as_they_are():
    header, tables = packet.decode(packet.encode(lay_out(crowd(1_000))))
    types = {name: code for table, name, code, _ in header["columns"] if table == "ticks"}
    assert types["x"] == "<f8"
    assert (types["lane"], types["row"]) == ("<u1", "<u2")
    assert int(tables["ticks"]["row"].max()) > 255
