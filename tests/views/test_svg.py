"""The timeline as a document of its own."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from builders import Script, incident_trace
from chatkit.errors import InvalidInput
from chatkit.events import LoopLagged, Noted
from chatkit.views.svg import MOST, svg
from chatkit.views.timeline import lay_out

NS = {"s": "http://www.w3.org/2000/svg"}


def drawn(trace, **options) -> ET.Element:
    return ET.fromstring(svg(lay_out(trace), zone="UTC", **options))


def words(root: ET.Element) -> list[str]:
    return ["".join(one.itertext()) for one in root.iterfind(".//s:text", NS)]


def test_all_there_is_to_read() -> None:
    """Lanes, endings in words, times; nothing is fetched and nothing runs."""
    root = drawn(incident_trace())
    said = words(root)
    assert said[0] == "4 connections, 148 events, 16:02:05–16:02:47 UTC"
    assert {"connection 1", "connection 4", "health", "our loop lag", "5 s", "40 s"} <= set(said)
    assert sum(one.startswith("RST by server") for one in said) == 3
    assert {tag.tag.rpartition("}")[2] for tag in root.iter()} <= {
        "svg", "title", "clipPath", "rect", "text", "tspan", "path", "g", "polygon", "circle",
    }  # fmt: skip


def test_a_stretch_with_clock_times_from_a_pinned_lane() -> None:
    """What the explorer shows is what the document shows."""
    layout = lay_out(incident_trace())
    lag = next(lane.code for lane in layout.lanes if lane.kind == "lag")
    root = ET.fromstring(svg(layout, zone="UTC", clock=True, since=10.0, until=20.0, pinned=[lag], theme="dark"))
    said = words(root)
    assert "16:02:16" in said
    assert said.index("our loop lag") < said.index("connection 1")
    fine = words(drawn(incident_trace(), clock=True, since=0.5, until=0.8))
    assert any(re.fullmatch(r"16:02:05\.\d{3}", one) for one in fine)


def test_aligned_at_open() -> None:
    """Only the connections have such a zero."""
    said = words(drawn(incident_trace(), align="open", theme="both"))
    assert said[0].endswith("each connection from its opening")
    assert "health" not in said


def test_hostile_text_is_text() -> None:
    """Also what XML cannot hold at all."""
    script = Script()
    script.put(1.0, Noted, text='<script>&"\x00\x1b\ufffe')
    script.put(2.0, Noted, text="last")
    assert any("<script>&" in one for one in words(drawn(script.trace())))


def test_many_events_are_thinned_and_it_says_so() -> None:
    """A document has bounds."""
    script = Script()
    for n in range(MOST + 5_000):
        script.put(n / 100, LoopLagged, lag=0.001)
    text = svg(lay_out(script.trace()), zone="UTC")
    assert "marks drawn as" in words(ET.fromstring(text))[0]
    assert len(text) < 3_000_000


@pytest.mark.parametrize(
    "options", [{"align": "close"}, {"theme": "pink"}, {"width": 10}, {"since": 5.0, "until": 1.0}]
)
def test_wrong_options(options: dict) -> None:
    """Are told."""
    with pytest.raises(InvalidInput):
        drawn(incident_trace(), **options)
