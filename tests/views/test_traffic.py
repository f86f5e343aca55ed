"""Traffic and savings as small tables."""

from __future__ import annotations

import subprocess
import sys

from builders import event, trace
from chatkit.events import FrameReceived, FrameSent, HttpAnswered, Opened
from chatkit.saving import saving
from chatkit.traffic import MOST

EVIL = '<script>alert("x")</script>&'


def talk() -> list:
    """A compressed message each way and one HTTP exchange."""
    fields = {"exchange": "1", "status": 200, "seconds": 0.1, "method": "GET", "sent": 100, "received": 900}
    return [
        event(Opened, 0.0, extensions="permessage-deflate"),
        event(FrameSent, 0.1, id="1", size=100, length=1_000, text='{"type": "typing"}'),
        event(FrameReceived, 0.2, id="2", size=1_500, length=6_000, text='{"type": "chat_response"}'),
        event(HttpAnswered, 60.0, None, id="3", purpose="history", **fields),
    ]


def test_the_table() -> None:
    """Compression in words, numbers with their units in the head, tabular digits, colours of the theme."""
    shown = trace(*talk()).traffic()._repr_html_()
    assert "connection 1: permessage-deflate with context takeover in both directions" in shown
    assert "<p>in frames: 7,000 bytes of payload as 1,610 bytes on the wire, wire ÷ payload 0.23</p>" in shown
    for words in ("wire (bytes)", ">6,000<", ">1,504<", ">0.25<", ">chat_response<", ">history<", ">900<"):
        assert words in shown
    assert "tabular-nums" in shown
    assert "var(--jp-ui-font-color1, inherit)" in shown


def test_a_saving() -> None:
    """Per minute, per cent, the sum in the last row."""
    traffic = trace(*talk()).traffic()
    shown = saving(traffic, traffic, ("before", "after"))._repr_html_()
    assert shown.rindex("<tr>") == shown.index("<tr>", shown.index("HTTP history"))
    for words in ("bytes per minute", ">before<", ">after<", ">everything<", ">2,610<", ">0 %<"):
        assert words in shown


def test_hostile_text_is_escaped_and_bounded() -> None:
    """Ids, types, purposes and names come from files, servers and users."""
    row = f'{{"type": "{EVIL[8:]}"}}'
    facts = {"exchange": "1", "status": 200, "seconds": 0.1, "method": "GET"}
    traffic = trace(
        event(FrameReceived, 0.0, EVIL, size=5, text='{"type": "<b>&"}'),
        event(FrameReceived, 0.1, EVIL * 100, id="1", size=5, text=row),
        event(HttpAnswered, 1.0, None, id="2", purpose=EVIL + "x" * 10_000, **facts),
    ).traffic()
    for shown in (traffic._repr_html_(), saving(traffic, traffic, (EVIL, EVIL))._repr_html_()):
        assert "<script" not in shown
        assert "<b>" not in shown
        assert "&lt;b&gt;&amp;" in shown
        assert len(shown) < 8_000


def test_many_rows_are_counted() -> None:
    """Beyond a page, only how many there are."""
    many = [event(FrameReceived, 0.0, str(n), str(n), size=2, text="{}") for n in range(MOST + 5)]
    shown = trace(*many).traffic()._repr_html_()
    assert shown.count("<tr>") == MOST + 1
    assert "<p>and 5 rows more</p>" in shown
    assert "<p>and 5 connections more</p>" in shown


def test_the_table_needs_no_plotly() -> None:
    """It is text."""
    code = (
        "import sys, chatkit.views; from chatkit.trace import Trace; "
        "assert Trace.of([]).traffic()._repr_html_(); assert 'plotly' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
