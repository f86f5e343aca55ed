"""The plotly figure and the table: what they say, and that hostile text stays text."""

from __future__ import annotations

import numpy as np
import pytest

from builders import HEADER, event, incident_trace, trace
from chatkit.errors import InvalidInput
from chatkit.events import AttemptFailed, Opened, PingSent, TransportEnded
from chatkit.trace import TraceBuilder
from chatkit.views import plot, shaping


def texts(figure):
    return [note.text for note in figure.layout.annotations]


def test_the_title_counts_and_says_the_zone():
    figure = incident_trace().timeline(zone="UTC")
    assert figure.layout.title.text == "4 connections, 148 events, 16:02:05–16:02:47 UTC"
    assert "17:02:05–17:02:47 UTC+1" in plot.timeline(incident_trace(), zone="Europe/Berlin").layout.title.text


def test_endings_stand_there_in_words():
    said = " ".join(texts(plot.timeline(incident_trace(), zone="UTC")))
    assert said.count("RST by server") == 3
    assert "0.2 s after our ping, age 0.3 s" in said
    for words in (
        "retry in 2.3 s",
        "stabilising 5 s",
        "RTT 4 ms",
        "HEAD 405",
        "GET 200, 3 ms",
        "POST chat 200",
        "214 ms",
    ):
        assert words in said


def test_hover_is_the_event_in_one_line():
    figure = plot.timeline(incident_trace(), zone="UTC")
    hovers = [text for data in figure.data if data.customdata is not None for text in map(str, data.customdata)]
    assert any("open, no extension" in text for text in hovers)
    assert any("received text" in text and "connection_established" in text for text in hovers)


def test_height_follows_the_lanes():
    one = plot.timeline(
        trace(event(Opened, 0.0), event(TransportEnded, 1.0, id="1", how="fin", by="server")), zone="UTC"
    )
    assert plot.timeline(incident_trace(), zone="UTC").layout.height - one.layout.height == 8 * plot.PITCH


def test_aligned_at_open():
    figure = plot.timeline(incident_trace(), align="open", zone="UTC")
    opens = next(data for data in figure.data if getattr(data.marker, "symbol", None) == "line-ns")
    assert np.allclose(opens.x, 0)
    assert not any("HTTP" == text for text in texts(figure))
    assert "from its opening" in figure.layout.title.text


def test_wrong_options_are_refused():
    with pytest.raises(InvalidInput, match="alignment"):
        plot.timeline(incident_trace(), align="close")
    with pytest.raises(InvalidInput, match="theme"):
        plot.timeline(incident_trace(), theme="sepia")


def test_hostile_text_stays_text():
    evil = trace(
        event(AttemptFailed, 0.0, stage="tls", error='<img src=x onerror="alert(1)">'),
        event(TransportEnded, 1.0, "<script>", id="1", how="rst", by="server"),
    )
    for text in (*texts(plot.timeline(evil, zone="UTC")), evil._repr_html_()):
        assert "<img" not in text
        assert "<script" not in text


def test_more_frames_than_a_figure_carries_are_thinned_and_it_says_so():
    incident = incident_trace()
    builder = TraceBuilder(HEADER)
    frame = next(i for i in range(len(incident)) if incident.size[i] >= 0)
    for n in range(120_000):
        builder.append_row(incident.rows[frame], n / 1000, int(incident.kind[frame]), "1", 10)
    figure = plot.timeline(builder.build(), zone="UTC")
    assert "120,000 frames drawn as" in figure.layout.title.text
    assert sum(len(data.x) for data in figure.data) <= shaping.MOST_MARKS


def test_too_many_pings_are_thinned_too():
    pings = [event(PingSent, n / 100, id=str(n)) for n in range(101_000)]
    figure = plot.timeline(trace(*pings), zone="UTC")
    assert "101,001 other marks as" in figure.layout.title.text
    assert sum(len(data.x) for data in figure.data) < 10_000


def test_an_empty_trace_is_drawn():
    assert "0 connections, 0 events" in plot.timeline(trace(), zone="UTC").layout.title.text
