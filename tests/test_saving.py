"""Two ways to have the same conversation, per minute."""

from __future__ import annotations

import pytest

from chatkit.events import FrameReceived, FrameSent, HttpAnswered, Noted
from chatkit.saving import saving
from chatkit.trace import Trace
from chatkit.traffic import SIZES
from stories import events, header, story, text

PLAIN = story(
    (0.0, FrameSent, {"size": 94, "text": '{"type": "ping"}'}),
    (10.0, FrameReceived, {"size": 196, "text": '{"type": "chat"}'}),
    (10.0, FrameReceived, {"connection": "2", "size": 98, "text": '{"type": "chat"}'}),
    (30.0, Noted, {"text": "half a minute"}),
)
POLLED = story(
    (0.0, FrameSent, {"size": 94, "text": '{"type": "ping"}'}),
    (
        60.0,
        HttpAnswered,
        {"exchange": "1", "purpose": "history", "status": 200, "seconds": 0.1, "method": "GET", "sent": 100, "received": 1_100},
    ),
)  # fmt: skip


def test_bytes_per_minute() -> None:
    """Of all connections, HTTP included; the sum is last."""
    compared = saving(POLLED.traffic(), PLAIN.traffic(), ("polled", "pushed"))
    assert [(line.what, line.a, line.b) for line in compared.lines] == [
        ("sent ping", 100, 200),
        ("HTTP history", 1_200, 0),
        ("received chat", 0, 600),
        ("everything", 1_300, 800),
    ]
    assert [line.saved for line in compared.lines] == [-100, 100, None, pytest.approx(100 * 500 / 1300)]


def test_the_text() -> None:
    """A line each, the names on top."""
    assert str(saving(POLLED.traffic(), PLAIN.traffic(), ("polled", "pushed"))).splitlines() == [
        "bytes per minute  polled  pushed   saved",
        "sent ping            100     200  -100 %",
        "HTTP history       1,200       0   100 %",
        "received chat          0     600",
        "everything         1,300     800    38 %",
    ]


def test_what_is_not_visible_is_not_compared() -> None:
    """Neither is a moment without length."""
    hidden = Trace.of(events((0, FrameSent, text("ping")), (60, FrameSent, text("ping"))), header(not_visible=(SIZES,)))
    for other in (hidden, story((0.0, FrameSent, text("ping")))):
        (line, everything) = saving(other.traffic(), PLAIN.traffic()).lines[::2]
        assert (line.what, line.a, line.saved) == ("sent ping", None, None)
        assert (everything.what, everything.a, everything.saved) == ("everything", None, None)


def test_tables() -> None:
    """pandas and Arrow hold the lines."""
    compared = saving(PLAIN.traffic(), POLLED.traffic())
    assert list(compared.to_pandas().columns) == compared.to_arrow().column_names == ["what", "a", "b", "saved"]
    assert compared.to_pandas()["what"].tolist()[-1] == "everything"


def test_nothing_and_nothing() -> None:
    """Is a line without numbers."""
    nothing = saving(story().traffic(), story().traffic())
    assert [line.what for line in nothing.lines] == ["everything"]
