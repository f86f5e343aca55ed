"""Rows of a merged trace are those of its parts, with another id, time and connection."""

from __future__ import annotations

import numpy as np
import pytest

from chatkit.events import KIND_CODE, Event
from chatkit.merging.rows import MergedRows
from chatkit.merging.sights import View
from chatkit.trace import EVENT_DECODER, Trace, Vantage
from stories import ALL, header


@pytest.mark.parametrize("event", ALL, ids=lambda event: type(event).__name__)
def test_one_row(event: Event) -> None:
    """Of every kind: decoded, it is the event with other places."""
    import msgspec

    trace = Trace.of([event], header())
    vantage = Vantage(name="v", origin=trace.origin)
    kind = np.array([KIND_CODE[type(event)]], np.uint8)
    rows = MergedRows(
        [View(vantage, trace, np.arange(1), 0.0)],
        np.zeros(1, np.int16),
        np.zeros(1, np.int64),
        np.array([7.5]),
        kind,
        [b"3"],
        np.zeros(1, np.int32),
    )
    fields = {"id": "v/17", "at": 7.5, "connection": "3"}
    if hasattr(event, "exchange"):
        fields["exchange"] = f"v/{event.exchange}"
    assert EVENT_DECODER.decode(rows[0]) == msgspec.structs.replace(event, **fields)
    assert rows[0:1] == list(rows)
