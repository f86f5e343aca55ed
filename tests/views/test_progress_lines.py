"""The panel of a terminal: bars, lifelines, few lines, none too wide."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace

from chatkit.experiments.progress import ArmLine, Bar, ProbeLine, Progress
from chatkit.views.progress_lines import LEAST_WIDTH, MOST_LINES, blocks, columns_of, fit, lines, probe_line
from tests.views.standings import HOSTILE, RUNNING

WIDE = Progress(
    stage="調査中" * 30,
    elapsed=1.0,
    budget=9.0,
    bars=(Bar(id="原因" * 20, title="e\u0301" * 90, probability=0.5),),
    arms=(ArmLine(id="腕" * 40, connection="1", what="", state="ended", opened=0.1, age=0.5, ending="終" * 90),),
    notes=("記" * 300,),
)


def columns(line: str) -> int:
    """What a line takes on a terminal."""
    return sum(map(columns_of, re.sub(r"\x1b\[\d+m", "", line)))


def test_what_it_looks_like() -> None:
    """At 80 columns."""
    assert [line.rstrip() for line in lines(RUNNING, 80)] == [
        "first round: 8 arms  12 s of 90 s",
        "  early-ping-abort     █████████████████████▋     0.83 A ping soon after openi…",
        "  idle-timeout         ██▍                        0.09 A hop closes connection…",
        "  max-lifetime         █                          0.04 Connections may live on…",
        "  unknown              ▌                          0.02 Something that is not m…",
        "  none                 ▎                          0.01 No fault",
        "  alone                  ────|                       2.0 s, closed by us",
        "  silent                     ─────────────────▸      8.6 s, alive",
        "  ping-at-0s                 ┴✕                      0.2 s, aborted: RST by se…",
        "  ping-every-2s              ──────────┴───┴──▸      8.4 s, alive",
        "  garbage              ✕                             refused: HTTP 403",
        "  chat                 ·                             waits",
        "  probes: 4 ✓, 1 !, 1 ✗, 1 –",
        "  ✗ chat-http: POST: 500 to an empty message",
        "  ! health-head: HEAD /health: 405, GET works",
        "  one connection alone lived for 2 s",
        "  added ping-at-1s: it would tell the window",
    ]


@pytest.mark.parametrize("width", [1, LEAST_WIDTH, 41, 57, 80, 132, 400])
@pytest.mark.parametrize("progress", [RUNNING, HOSTILE, WIDE], ids=["running", "hostile", "wide"])
@pytest.mark.parametrize("colour", [False, True])
def test_no_line_is_too_wide_and_none_too_many(progress: Progress, width: int, colour: bool) -> None:
    """Otherwise the terminal could not be drawn again in its place; no character of the text moves its cursor."""
    shown = lines(progress, width, colour=colour)
    assert len(shown) <= MOST_LINES
    assert max(map(columns, shown)) <= max(width, LEAST_WIDTH)
    bare = "".join(re.sub(r"\x1b\[\d+m", "", line) for line in shown)
    assert not re.search("[\x00-\x1f\x7f-\x9f\u202e]", bare)
    assert colour or bare == "".join(shown)


def test_colours_repeat_what_is_said() -> None:
    """Without them the text is the same."""
    coloured = lines(RUNNING, 80, colour=True)
    assert [re.sub(r"\x1b\[\d+m", "", line) for line in coloured] == lines(RUNNING, 80)
    assert "\x1b[31m0.2 s, aborted" in "".join(coloured)


@pytest.mark.parametrize("most", [1, 2, 7, 12])
def test_a_low_terminal(most: int) -> None:
    """The stage first, then hypotheses, then what lives."""
    shown = lines(RUNNING, 80, most=most)
    assert len(shown) == most
    assert shown[0].startswith("first round")
    assert most < 12 or any("silent" in line for line in shown)


def test_many_arms_leave_room() -> None:
    """The living and the latest; the rest is counted."""
    arms = tuple(
        ArmLine(id=f"arm-{n}", connection="1", what="", state="alive" if n == 2 else "ended", opened=1.0, age=1.0)
        for n in range(40)
    )
    shown = "\n".join(lines(replace(RUNNING, arms=arms), 80))
    assert "arm-2 " in shown
    assert "arm-39 " in shown
    drawn = len(re.findall(r"arm-\d+ ", shown))
    assert f"and {40 - drawn} more arms" in shown


def test_bars_are_exact_to_an_eighth() -> None:
    """Of a column."""
    assert [blocks(share, 4) for share in (0, 0.125, 0.5, 0.78125, 1, 7)] == [
        "    ", "▌   ", "██  ", "███▏", "████", "████"
    ]  # fmt: skip


def test_fitting() -> None:
    """Wide characters take two columns, combining ones none; what is cut says so."""
    assert fit("abc", 5) == "abc  "
    assert fit("abcdef", 4) == "abc…"
    assert fit("調査中", 4) == "調… "
    assert fit("e\u0301e\u0301", 2) == "e\u0301e\u0301"
    assert fit("abc", 0) == ""


def test_probes_for_a_log() -> None:
    """A mark, a name, what it showed."""
    assert probe_line(ProbeLine(id="tcp", status="pass", summary="1 ms\x1b[2J")) == "✓ tcp: 1 ms␛[2J"
    assert probe_line(ProbeLine(id="tcp", status="odd", summary="x")).startswith("– ")
