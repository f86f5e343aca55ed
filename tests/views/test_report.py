"""The report as a file: whole in itself, small, safe; the browser test looks at how it works."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import zlib

import numpy as np
import pytest

from chatkit.events import FrameReceived, Logged, Opened
from chatkit.trace import Header, Origin, Trace, TraceBuilder, Vantage
from chatkit.views import packet
from chatkit.views.report import Section, report
from tests.builders import HEADER, incident_trace
from tests.stories import ALL
from tests.views.verdicts import HEALTHY, HOSTILE, NASTY, THIN, early_ping

TRACE = incident_trace()
MOST = 3_000_000
"""Bytes of a report of 100,000 events."""


def block(page: str, name: str) -> bytes:
    """What the page holds under a name, unpacked."""
    packed = re.search(rf'id="{name}">([^<]*)<', page).group(1)
    return zlib.decompress(base64.b64decode(packed))


def details(page: str) -> list[dict]:
    return [json.loads(line) for line in block(page, "details").splitlines()]


def test_the_verdict_comes_first() -> None:
    """Then the timeline, the connections, the inputs, the secrets, the ticket."""
    page = report(TRACE, early_ping(TRACE))
    order = ["The server aborts any", 'id="timeline"', "Connections (4)", "Inputs", "Secrets", "Ticket"]
    places = [page.index(part, page.index("<main>")) for part in order]
    assert places == sorted(places)


def test_the_page_asks_the_network_nothing() -> None:
    """The policy names the digests of the one script and the one style, and nothing else is let in."""
    page = report(TRACE, early_ping(TRACE))
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page).group(1)
    for tag, directive in (('script type="module"', "script-src"), ("style", "style-src")):
        content = re.search(rf"<{tag}>(.*?)</", page, re.DOTALL).group(1)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    markup = page[: page.index("<style>")] + page[page.index("</style>") : page.index('<script type="module">')]
    assert not re.search(r"[\s\"'](src|href|style|on\w+)\s*=", markup)


def test_the_layout_is_the_one_layout() -> None:
    """The same block that the widget gets."""
    header, tables = packet.decode(block(report(TRACE, HEALTHY), "layout"))
    assert header["events"] == len(TRACE)
    assert [lane["title"] for lane in header["lanes"]][:2] == ["connection 1", "connection 2"]
    assert len(tables["ticks"]["x"]) > 0


def test_claims_find_their_events() -> None:
    """By id, in the layout and in words."""
    page = report(TRACE, early_ping(TRACE))
    places = json.loads(re.search(r'id="places">([^<]*)<', page).group(1))
    rows = {one["row"]: one for one in details(page)}
    named = {id for found in re.findall(r'data-events="([^"]*)"', page) for id in json.loads(html.unescape(found))}
    assert named == set(places)
    assert all(dict(map(tuple, rows[row]["fields"]))["id"] == id for id, row in places.items())


@pytest.mark.parametrize("diagnosis", [HEALTHY, THIN])
def test_calm_reports(diagnosis) -> None:
    """No fault and not enough are reports, too; also of nothing."""
    assert report(TRACE, diagnosis).endswith("</html>\n")
    assert report(Trace.of([]), diagnosis).endswith("</html>\n")


def test_every_kind_of_event_and_hostile_texts() -> None:
    """Escaped, bounded: no tag of theirs, no way out of a block."""
    header = Header(
        origin=Origin(kind="file", file=NASTY, target=NASTY),
        epoch=0.0,
        vantages=(Vantage(name=NASTY[:60], origin=Origin(kind="file", file=NASTY)),),
    )
    trace = Trace.of(
        [*ALL, Logged(id='"></script><script>alert(1)</script>', at=1.0, by=NASTY, what=NASTY, text=NASTY)], header
    )
    page = report(trace, HOSTILE, title=NASTY)
    markup = re.sub(r'<script type="module">.*?</script>|<style>.*?</style>', "", page, flags=re.DOTALL)
    assert re.findall(r"<script[^>]*>", markup) == [
        '<script type="application/octet-stream" id="layout">',
        '<script type="application/octet-stream" id="details">',
        '<script type="application/json" id="places">',
    ]
    assert "<img" not in markup
    assert len(page) < MOST


def test_inputs_say_what_they_cannot_show() -> None:
    """Each vantage point with its clock."""
    origin = Origin(kind="file", format="har", file="/home/ada/a.har")
    views = (
        Vantage(name="a", origin=origin, not_visible=("pings",)),
        Vantage(name="b", origin=Origin(kind="file", format="pcap", file="b.pcap"), offset=-1.5, offset_error=0.004),
    )
    trace = Trace.of([Opened(id="a/0", at=0.0, connection="1")], Header(origin=origin, epoch=0.0, vantages=views))
    page = html.unescape(report(trace, THIN))
    assert "RFC 6455 pings and pongs" in page
    assert "-1.500 s, ± 0.004 s" in page
    assert "+0.000 s, nothing ties it to the others" in page
    assert "<td>a</td>" in page
    assert "<td>a.har</td>" in page
    assert "/home" not in page[page.index("<main>") : page.index('<script type="module">')]


def test_more_sections_stand_between() -> None:
    """Made by other views."""
    page = report(TRACE, HEALTHY, sections=[Section("Survival", "<svg></svg>")], made_at=0.0)
    assert "<h2>Survival</h2><svg></svg>" in page
    assert "report made 1970-01-01 00:00 UTC" in page


def long_trace(count: int, texts: bool) -> Trace:
    """Many frames on few connections, or many different lines of a log."""
    builder, random = TraceBuilder(HEADER), np.random.default_rng(1)
    for n, at in enumerate(np.sort(random.uniform(0, 3600, count)).tolist()):
        common = {"id": str(n), "at": at, "connection": str(n % 20)}
        if texts:
            builder.append(Logged(by="server", what="error", text=random.bytes(40).hex(), **common))
        else:
            body = json.dumps({"type": "notification", "data": {"n": n}})
            builder.append(FrameReceived(size=len(body), text=body, **common))
    return builder.build()


@pytest.mark.parametrize("texts", [False, True])
def test_a_big_report_stays_small(texts: bool) -> None:
    """A hundred thousand events, also where each has words of its own."""
    page = report(long_trace(100_000, texts), THIN)
    assert len(page.encode()) < MOST
    assert "as far as this page holds them" in page
    assert ("drawn as" in page[page.index("<main>") :]) == texts


def test_beyond_its_limit_the_timeline_is_thinned_and_says_so() -> None:
    """What is left out is counted."""
    page = report(long_trace(210_000, texts=False), THIN)
    found = re.search(r"210,020 marks drawn as ([\d,]+): one per \d+ ms and lane", page)
    assert 100_000 < int(found.group(1).replace(",", "")) <= 200_000
    assert len(page.encode()) < MOST
