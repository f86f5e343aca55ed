"""The card: reading order, every claim with its events, calm where nothing is wrong, safe whatever a text says."""

from __future__ import annotations

import html
import json
import re
from html.parser import HTMLParser

import pytest

from chatkit.trace import Header, Origin, Trace
from chatkit.views import verdict
from tests.builders import incident_trace
from tests.views.verdicts import HEALTHY, HOSTILE, THIN, Diagnosis, early_ping, ranked

TRACE = incident_trace()
CONTRAST = 4.5


class Outline(HTMLParser):
    """Tags, attributes and texts, and whether tags are balanced."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag, attributes) -> None:
        self.tags.append(tag)
        self.attributes += attributes
        self.open.append(tag)

    def handle_startendtag(self, tag, attributes) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag


def plain(markup: str) -> str:
    return " ".join(html.unescape(re.sub(r"<style>.*?</style>|<[^>]+>", " ", markup, flags=re.DOTALL)).split())


def test_the_reading_order_of_a_fault() -> None:
    """Sentence, which 1006, who and what was measured, probabilities, why, cure, what else, ruled out, not known."""
    words = plain(verdict.card(early_ping(TRACE), TRACE))
    order = [
        "The server aborts any connection that pings within 3.0 s of opening.",
        "This 1006 is a TCP reset (RST) by the server, without a close frame",
        "0.2 s after our ping, age 0.3 s; 3 of 3 connections ended like this.",
        "who acts: the server",
        "window 3 s",
        "early-ping-abort 0.97",
        "server-error 0.02",
        "Why",
        "3 of 3 that pinged at once",
        "What speaks against it",
        "What stops it",
        "chatkit: keepalive.stabilise = 5.0",
        "Ruled out",
        "Remarks, no faults",
        "Not known",
        "To try next",
    ]
    places = [words.index(part) for part in order]
    assert places == sorted(places)


def test_every_claim_names_its_events_and_opens_to_them() -> None:
    """As data for a timeline and as words for a reader, by time."""
    shown = verdict.card(early_ping(TRACE), TRACE)
    claims = [json.loads(html.unescape(found)) for found in re.findall(r'data-events="([^"]*)"', shown)]
    assert claims == [["9", "26", "47", "10", "27", "48"], ["84"], ["36"]]
    assert plain(shown).index("0.654 s, connection 1, sent text") < plain(shown).index(
        "0.854 s, connection 1, transport"
    )


@pytest.mark.parametrize(("diagnosis", "tone"), [(HEALTHY, "ok"), (THIN, "open"), (early_ping(TRACE), "bad")])
def test_tones(diagnosis, tone) -> None:
    """Said in words as well."""
    shown = verdict.card(diagnosis, TRACE)
    assert f'data-tone="{tone}"' in shown
    word = {"ok": "No fault found.", "open": "Not enough evidence", "bad": "Verdict: fault"}[tone]
    assert word in plain(shown)


def test_not_enough_says_what_would_settle_it() -> None:
    """And what this evidence cannot show."""
    header = Header(origin=Origin(kind="file"), epoch=0.0, not_visible=("close-code",))
    words = plain(verdict.card(THIN, Trace.of([], header)))
    assert "What would settle it record a NetLog in the browser" in words
    assert "Not visible in this evidence close frames and their codes." in words


def test_a_second_cause_of_other_connections_is_told_in_full() -> None:
    """Not as a second guess."""
    (first,) = early_ping(TRACE).causes
    other = ranked(id="idle-timeout", confidence=0.9, who="proxy", connections=("4",), summary="Idle too long.")
    words = plain(verdict.card(Diagnosis(verdict="fault", causes=(first, other)), TRACE))
    assert "And: Idle too long." in words
    assert "What else it could be" not in words


@pytest.mark.parametrize("trace", [TRACE, None])
def test_hostile_texts_stay_texts(trace) -> None:
    """Escaped, bounded, without control characters; no tag and no attribute is theirs."""
    shown = verdict.card(HOSTILE, trace, style=False)
    outline = Outline(shown)
    assert outline.open == []
    assert not {"script", "img", "a", "style"} & set(outline.tags)
    assert {name for name, _ in outline.attributes} <= {
        "class", "data-tone", "aria-label", "data-events", "viewbox", "preserveaspectratio", "aria-hidden", "width", "height",
    }  # fmt: skip
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert len(shown) < 400_000


def test_no_style_attribute() -> None:
    """A strict content security policy lets the card through."""
    assert "style=" not in verdict.card(early_ping(TRACE), TRACE)


def test_without_trace_it_still_says_what_it_knows() -> None:
    """Events are named by their ids then."""
    assert "event 84" in plain(verdict.card(early_ping(TRACE)))


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", ["ink", "dim", "link"])
@pytest.mark.parametrize("ground", ["ground", "soft"])
def test_contrast(dark, name, ground) -> None:
    """At least 4.5 for text, on both grounds of both themes."""
    sheet = verdict.stylesheet()
    sheet = sheet[sheet.index("prefers-color-scheme: dark") :] if dark else sheet
    colours = [re.search(rf"--ckv-{part}:[^#;]*(#\w+)", sheet).group(1) for part in (name, ground)]
    full = ["#" + "".join(c * 2 for c in colour[1:]) if len(colour) == 4 else colour for colour in colours]
    high, low = sorted((luminance(colour) for colour in full), reverse=True)
    assert (high + 0.05) / (low + 0.05) >= CONTRAST
