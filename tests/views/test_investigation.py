"""A finished investigation: verdict first, then whether the cure was tried, the arms, the probes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from msgspec.structs import replace

from chatkit.experiments.result import ArmResult, Investigation, Probe
from chatkit.views import investigation
from chatkit.views.progress import stylesheet
from tests.builders import incident_trace
from tests.views.test_proof import EMPTY, FAILS, HOLDS, OPEN
from tests.views.test_verdict import Outline, plain
from tests.views.verdicts import HEALTHY, HOSTILE, NASTY, early_ping

TRACE = incident_trace()


def result(**fields: Any) -> ArmResult:
    """An arm of which the test says only what it is about."""
    given = {"id": "a", "connection": "1", "treatment": "", "role": "arm", "outcome": "survived"}
    return ArmResult(**(given | {"lifetime_s": 2.0, "ending": None} | fields))


FOUND = Investigation(
    target="http://127.0.0.1:8000",
    elapsed_s=14.25,
    diagnosis=early_ping(TRACE),
    probes=(
        Probe(id="tcp", status="pass", summary="connected in 1 ms"),
        Probe(id="health-head", status="warning", summary="HEAD 405", remedy="monitor with GET"),
    ),
    arms=(
        result(
            id="ping-at-0s",
            treatment="one ping at once",
            outcome="ended",
            lifetime_s=0.204,
            ending="RST by server, 0.2 s after our ping",
        ),
        result(id="no-token", connection="2", role="probe", outcome="refused(403)", lifetime_s=None, ending="HTTP 403"),
        result(id="control", connection="4", treatment="as the profile says"),
        result(id="stuck", connection="3", outcome="mute"),
        result(id="late", connection="9", outcome="no-answer(tcp)", lifetime_s=None, ending="nobody answered"),
    ),
    why="settled",
    untried=("no chat message was sent",),
    trace=TRACE,
)


def test_the_reading_order() -> None:
    """The verdict, then how it was found."""
    words = plain(investigation.card(replace(FOUND, verification=HOLDS)))
    order = [
        "The server aborts any connection that pings within 3.0 s of opening.",
        "To try next",
        "Experiments 14.2 s against http://127.0.0.1:8000, until the cause stood",
        "Was the cure tried? the cure holds: 5 of 5",
        "with the cure 5 0 not reached",
        "without it 5 5 1.0 s",
        "4 arms: 1 ended, 1 lived on, 1 open, but mute, 1 no answer (tcp)",
        "ping-at-0s one ping at once",
        "0.2 s ended: RST by server, 0.2 s after our ping",
        "control as the profile says",
        "2.0 s lived on",
        "never no answer (tcp): nobody answered",
        "2 probes: 1 in order, 1 odd",
        "HEAD 405 (try: monitor with GET)",
        "Left out no chat message was sent",
    ]
    places = [words.index(part) for part in order]
    assert places == sorted(places)
    assert "no-token" not in words, "openings unlike the client's are among the probes"


def test_a_refused_arm_says_its_status_once() -> None:
    """What a 403 may mean in general is no help beside the verdict."""
    told = "refused: HTTP 403, the token is missing, wrong or expired, or the path is not known"
    refused = result(id="alone", connection="9", outcome="refused(403)", lifetime_s=None, ending=told)
    words = plain(investigation.card(replace(FOUND, arms=(refused,))))
    assert "never refused with HTTP 403" in words
    assert "the token is missing" not in words


def test_lifelines_come_from_the_recording() -> None:
    """When it opened, what it sent, how it ended."""
    shown = investigation.card(FOUND)
    rows = {plain(row).split()[0]: row for row in re.findall(r"<tr><td><code>.*?</tr>", shown)}
    ping = TRACE.connections[0]
    assert ping.opened_at is not None
    begin = re.search(r'cki-life cki-ended" d="M([0-9.]+) ', rows["ping-at-0s"])
    control = re.search(r'cki-life cki-closed" d="M([0-9.]+) ', rows["control"])
    assert begin is not None
    assert control is not None
    fourth = TRACE.connection("4")
    assert fourth.opened_at is not None
    assert float(begin[1]) / float(control[1]) == pytest.approx(ping.opened_at / fourth.opened_at, rel=0.05)
    assert re.search(r'cki-acts" d="M[0-9.]+ 11v6', rows["ping-at-0s"])
    assert "cki-life" not in rows["late"], "it is not in the recording"


def test_probes_are_folded_and_arms_are_not() -> None:
    """A look at the arms tells more."""
    shown = investigation.card(FOUND)
    assert "<details class='cki-fold' open><summary>4 arms" in shown
    assert "<details class='cki-fold'><summary>2 probes" in shown


@pytest.mark.parametrize(
    ("proof", "tone", "words"),
    [
        (HOLDS, "ok", "the cure holds"),
        (FAILS, "bad", "the cure does not hold"),
        (OPEN, "remark", "needed:"),
        (EMPTY, "remark", "needed:"),
    ],
)
def test_proofs(proof: Any, tone: str, words: str) -> None:
    """In words, as a tone, as two curves that differ in more than colour."""
    shown = investigation.card(replace(FOUND, verification=proof))
    assert re.search(f"<p class='cki-{tone}'><strong>[^<]*{words}", shown)
    assert len(re.findall(r"<path class='cki-curve cki-with(?:out)?' d='M0 4", shown)) == 2
    assert "stroke-dasharray" in stylesheet()
    assert Outline(shown).open == []


def test_survival_curves_are_steps_down_to_what_is_left() -> None:
    """All of five died; five of five lived; the mark stands where a cured one had to live."""
    shown = investigation.card(replace(FOUND, verification=HOLDS))
    with_it = re.search(r"cki-curve cki-with' d='([^']*)'", shown)
    without = re.search(r"cki-curve cki-without' d='([^']*)'", shown)
    assert with_it is not None
    assert without is not None
    assert with_it[1].startswith("M0 4H")
    assert "V" not in with_it[1]
    levels = [float(level) for level in re.findall(r"V([0-9.]+)", without[1])]
    assert levels == sorted(levels)
    assert levels[-1] == 96
    assert "cki-must" in shown
    assert HOLDS.must_live_s is not None
    assert f"had to live {HOLDS.must_live_s:.1f} s" in shown


def test_nothing_was_tried() -> None:
    """Only the verdict, and how long it took."""
    bare = Investigation(target="http://x", elapsed_s=1.0, diagnosis=HEALTHY, why="blocked", trace=TRACE)
    words = plain(investigation.card(bare))
    assert "no connection could be opened" in words
    for absent in ("arm", "probes", "Left out", "cure tried"):
        assert f" {absent} " not in words
    assert "Arms" not in investigation.text(bare)


def test_many_arms_are_counted() -> None:
    """The table ends somewhere."""
    many = replace(FOUND, arms=(result(),) * 100)
    assert "and 60 more arms" in plain(investigation.card(many))
    assert "and 60 more arms" in investigation.text(many)
    assert "60 more arms." in investigation.ticket_text(many)


def test_the_text_for_a_terminal() -> None:
    """Verdict, cure, arms, probes, what was left out."""
    shown = investigation.text(replace(FOUND, verification=HOLDS))
    for line in (
        "  - " + HOLDS.sentence,
        "Arms (1 ended, 1 lived on, 1 open, but mute, 1 no answer (tcp))",
        "  ping-at-0s                  0.2 s  ended: RST by server, 0.2 s after our ping",
        "  ! health-head: HEAD 405",
        "  - no chat message was sent",
        "14.2 s against http://127.0.0.1:8000, until the cause stood.",
    ):
        assert line in shown.splitlines(), shown
    assert shown.startswith(str(FOUND.diagnosis).splitlines()[0])


def test_the_ticket() -> None:
    """Complete, and its last line stays the last."""
    shown = investigation.ticket_text(replace(FOUND, verification=OPEN))
    assert "\n## Was the cure tried?\n" in shown
    assert "| ping-at-0s | one ping at once | ended | 0.2 s | RST by server, 0.2 s after our ping |" in shown
    assert "- health-head: HEAD 405" in shown
    assert "\n## Left out\n\n- no chat message was sent\n" in shown
    assert shown.rstrip().splitlines()[-1].startswith("Made by chatkit.")


def test_the_registry_knows_all_faces() -> None:
    """Which is how a value in a room below shows itself."""
    assert FOUND._repr_html_() == investigation.card(FOUND)
    assert str(FOUND) == investigation.text(FOUND)
    assert FOUND.ticket() == investigation.ticket_text(FOUND)


def test_hostile_texts() -> None:
    """Everywhere text may stand: shown as text, bounded, balanced, nothing from outside."""
    evil = Investigation(
        target=NASTY,
        elapsed_s=1.0,
        diagnosis=HOSTILE,
        probes=(Probe(id=NASTY, status=NASTY, summary=NASTY, remedy=NASTY),) * 90,
        arms=(result(id=NASTY, connection=NASTY, treatment=NASTY, outcome=NASTY, ending=NASTY, lifetime_s=1e300),) * 90,
        verification=replace(OPEN, sentence=NASTY, needed=NASTY),
        why=NASTY,
        untried=(NASTY,) * 90,
        trace=TRACE,
    )
    shown = investigation.card(evil, style=False)
    outline = Outline(shown)
    assert outline.open == []
    assert not set(outline.tags) & {"script", "img", "a", "style"}
    assert not [name for name, _ in outline.attributes if name.startswith(("on", "style", "href", "src"))]
    assert "\x1b" not in shown + investigation.text(evil) + investigation.ticket_text(evil)
    assert "\u202e" not in shown
    assert len(shown) < 400_000
