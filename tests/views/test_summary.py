"""A trace as a small table."""

from __future__ import annotations

import subprocess
import sys

import pytest

from builders import event, incident_trace, trace
from chatkit.events import AttemptFailed, AttemptStarted, FrameReceived, Opened, TransportEnded, UpgradeAnswered
from chatkit.views.summary import MOST, summary

EVIL = '<script>alert("x")</script>&'


def test_the_table_says_how_each_ended():
    table = incident_trace()._repr_html_()
    assert table.count("RST by server, 0.2 s after our ping") == 3
    assert "still open" in table


def test_the_table_needs_no_plotly():
    code = (
        "import sys, chatkit.views; from chatkit import display; from chatkit.trace import Trace; "
        "display.find('trace', 'html')(Trace.of([])); assert 'plotly' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_hostile_text_is_escaped_and_bounded() -> None:
    """Ids and errors come from files and servers."""
    shown = summary(
        trace(
            event(AttemptFailed, 0.0, EVIL, stage="tls", error=EVIL),
            event(TransportEnded, 1.0, EVIL * 2, id="1", how="error", by="server", error=EVIL + "x" * 10_000),
        )
    )
    assert "<script" not in shown
    assert "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;&amp;" in shown
    assert len(shown) < 4_000


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([event(Opened, 1.0)], "still open"),
        ([event(UpgradeAnswered, 1.0, status=403, reason="no", headers=[])], "refused: HTTP 403"),
        ([event(Opened, 1.0), event(TransportEnded, 3.5, id="1", how="fin", by="server")], "FIN by server"),
    ],
)
def test_an_end_in_words(events: list, words: str) -> None:
    """Ended, refused, or still there."""
    assert words in summary(trace(*events))


def test_numbers() -> None:
    """Lived, in and out, each with its unit; who never opened has no life."""
    shown = summary(
        trace(
            event(Opened, 1.0),
            *(event(FrameReceived, 1.5, id=str(n), size=2, text="{}") for n in range(1, 1201)),
            event(TransportEnded, 3.5, id="1201", how="rst", by="server"),
            event(AttemptStarted, 4.0, "2", id="1202", url="ws://h"),
        )
    )
    assert "<p>2 connections, 1,203 events, from 2026-" in shown
    assert ">2.5 s<" in shown
    assert ">1,200<" in shown
    assert ">never<" in shown


def test_many_connections_are_counted() -> None:
    """Beyond a page, only how many there are."""
    shown = summary(trace(*(event(Opened, float(n), str(n), str(n)) for n in range(MOST + 5))))
    assert shown.count("<tr>") == MOST + 1
    assert "<p>and 5 more</p>" in shown
