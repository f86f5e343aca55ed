"""The panel of a running investigation: what it says, in which order, and that no text gets out of its place."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace

from chatkit.experiments.progress import ArmLine, ProbeLine, Progress
from chatkit.views import progress
from tests.views.standings import BARS, HOSTILE, RUNNING
from tests.views.test_verdict import Outline, plain


def test_the_reading_order() -> None:
    """Where it stands, hypotheses, arms, probes, what was decided."""
    words = plain(progress.html(RUNNING))
    order = [
        "Investigation: running 12 s of 90 s used",
        "first round: 8 arms",
        "early-ping-abort A ping soon after opening kills the connection 0.83",
        "none No fault 0.01",
        "silent says nothing 8.6 s, alive",
        "ping-at-0s one application ping right after opening, then silence 0.2 s, aborted: RST by server",
        "garbage a garbage token refused: HTTP 403",
        "dns chat.example is 192.0.2.7",
        "added ping-at-1s: it would tell the window",
    ]
    places = [words.index(part) for part in order]
    assert places == sorted(places)


def test_bars_are_as_long_as_they_say() -> None:
    """Of a hundred; the first is drawn stronger."""
    shown = progress.parts(RUNNING).bars
    assert re.findall(r"ckv-(first|other)' width='([0-9.]+)'", shown) == [
        ("first", "83.0"), ("other", "9.0"), ("other", "4.0"), ("other", "2.0"), ("other", "1.0")
    ]  # fmt: skip


def test_lifelines_lie_on_one_axis() -> None:
    """From the opening to the end, with what the arm did and how it ended, as shapes."""
    shown = progress.parts(RUNNING).arms
    rows = {plain(row).split()[0]: row for row in re.findall(r"<tr><td>.*?</tr>", shown)[: len(RUNNING.arms)]}
    assert 'class="cki-life cki-alive" d="M240 10H822.2"' not in rows["silent"]
    assert 'class="cki-life cki-alive" d="M226.7 10H800"' in rows["silent"]
    assert 'class="cki-acts" d="M573.3 11v6M706.7 11v6"' in rows["ping-every-2s"]
    assert 'class="cki-life cki-ended" d="M233.3 10H246.7"' in rows["ping-at-0s"]
    assert "cki-cross" in rows["ping-at-0s"]
    assert "cki-stop" in rows["alone"]
    assert "cki-life" not in rows["garbage"] + rows["chat"]
    assert re.findall(r"<text [^>]*>([^<]*)</text>", shown) == ["0", "5", "10", "15"]


def test_a_life_grows_while_the_axis_stands() -> None:
    """The same arm half a second later is longer."""
    later = replace(RUNNING, elapsed=12.5, arms=tuple(replace(arm, age=arm.age + 0.5) for arm in RUNNING.arms))
    ends = [re.search(r"cki-alive\" d=\"M226.7 10H([0-9.]+)", progress.parts(one).arms) for one in (RUNNING, later)]
    assert [float(found[1]) for found in ends if found] == [800.0, 833.3]


@pytest.mark.parametrize(("status", "mark"), [*progress.MARKS.items(), ("nonsense", "–")])
def test_marks_of_probes_are_words_as_well(status: str, mark: str) -> None:
    """For those who do not see them."""
    shown = progress.parts(replace(RUNNING, probes=(ProbeLine(id="tcp", status=status, summary="1 ms"),))).probes
    said = status if status in progress.MARKS else "not-tried"
    assert f"role='img' aria-label='{said}'>{mark}</span>" in shown


def test_a_part_changes_with_its_values_only() -> None:
    """A window exchanges what differs."""
    before, after = progress.parts(RUNNING), progress.parts(replace(RUNNING, elapsed=13.0, notes=("x",)))
    assert [name for name in before._fields if getattr(before, name) != getattr(after, name)] == ["head", "notes"]


def test_nothing_yet() -> None:
    """The head alone."""
    parts = progress.parts(Progress(stage="probes", elapsed=0.0, budget=0.0))
    assert "probes" in parts.head
    assert parts[1:] == ("", "", "", "")


def test_time_used_is_a_progress_bar() -> None:
    """With its values, for assistive technology."""
    head = progress.parts(RUNNING).head
    assert 'role="progressbar" aria-label="Time used" aria-valuemin="0" aria-valuemax="90" aria-valuenow="12"' in head
    assert "Investigation: finished" in progress.parts(replace(RUNNING, done=True)).head


def test_the_rest_is_counted() -> None:
    """Bars, arms, probes."""
    arm = ArmLine(id="a", connection="1", what="", state="ended", opened=1.0, age=1.0)
    many = Progress(stage="x", elapsed=1.0, budget=90.0, bars=BARS * 3, arms=(arm,) * 30, probes=RUNNING.probes * 10)
    words = plain(progress.html(many))
    assert "and 9 less likely" in words
    assert "10 earlier arms not drawn" in words
    assert "and 30 more probes" in words


def test_hostile_texts_and_figures() -> None:
    """Shown as text; bounded; tags balanced; no handler, no script, no style attribute, nothing from outside."""
    shown = progress.html(HOSTILE, style=False)
    outline = Outline(shown)
    assert outline.open == []
    assert set(outline.tags) <= {
        "section", "p", "b", "h2", "h3", "svg", "rect", "path", "text", "table", "thead", "tbody", "tfoot", "tr",
        "th", "td", "code", "span", "ul", "li",
    }  # fmt: skip
    assert {name for name, _ in outline.attributes if name.startswith(("on", "style", "href", "src"))} == set()
    assert "nan" not in shown.replace("AAA", "")
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert len(shown) < 80_000


def test_the_style_sheet_is_complete_and_asks_for_nothing() -> None:
    """Every class that is used is styled; no address."""
    sheet = progress.stylesheet()
    used = set(re.findall(r"\b(cki-[a-z]+)", progress.html(RUNNING, style=False)))
    styled = set(re.findall(r"\.(cki-[a-z]+)", sheet))
    assert used - styled == {"cki-closed"}, "the plain lifeline is the closed one's"
    assert "url(" not in sheet
    assert progress.html(RUNNING).count("<style>") == 1
