"""The verdict as text and as a ticket."""

from __future__ import annotations

import re

import pytest

from chatkit.views.ticket import text, ticket
from tests.builders import incident_trace
from tests.views.verdicts import HEALTHY, HOSTILE, THIN, early_ping

TRACE = incident_trace()


def test_a_ticket_has_what_an_engineer_needs() -> None:
    """What, since when, how, evidence with its events, the fix with its settings, ruled out, not known."""
    told = ticket(early_ping(TRACE), TRACE)
    for line in (
        "# The server aborts any connection that pings within 3.0 s of opening.",
        "- **Cause:** `early-ping-abort`, confidence 0.97",
        "- **Since:** 2026-11-23T16:02:05.854Z (first such ending in the evidence)",
        "- 3 of 3 that pinged at once died 0.2 s after the ping (events 9, 26, 47, 10, 27, 48)",
        "  - 0.854 s, connection 1, transport ended: RST by server",
        "chatkit: keepalive.stabilise = 5.0",
        "| 1 | 2026-11-23T16:02:05.600Z | 0.3 s | RST by server, 0.2 s after our ping, age 0.3 s |",
        "- `idle-timeout`: they died 0.2 s after traffic, not after silence",
    ):
        assert line in told.splitlines()


@pytest.mark.parametrize("trace", [TRACE, None])
def test_hostile_texts_call_nobody_and_break_nothing(trace) -> None:
    """No HTML, no mention, no heading, no way out of a code block."""
    told = re.sub(r"^(`{3,})$.*?^\1$", "", ticket(HOSTILE, trace), flags=re.DOTALL | re.MULTILINE)
    assert "<script" not in told.replace("\\<", "")
    assert "@everyone" not in told
    assert [line for line in told.splitlines() if line.startswith("# ")] == [told.splitlines()[0]]
    assert "\x1b" not in told + text(HOSTILE, trace)
    assert len(told) < 200_000


@pytest.mark.parametrize(
    ("diagnosis", "first"),
    [(HEALTHY, "No fault found."), (THIN, "Not enough evidence to name a cause."), (early_ping(TRACE), "The server")],
)
def test_text_begins_with_the_verdict(diagnosis, first) -> None:
    """One sentence, then the rest."""
    assert text(diagnosis, TRACE).startswith(first)
    assert text(diagnosis).startswith(first)
    assert ticket(diagnosis).startswith(f"# {first}")


def test_a_bar_has_its_number_beside_it() -> None:
    """Words first."""
    assert "early-ping-abort         ███████████████████████· 0.97" in text(early_ping(TRACE), TRACE)
