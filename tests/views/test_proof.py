"""The proof of a cure as a figure: both curves, the mark to be outlived, and that words stay text."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from msgspec.structs import replace

from chatkit.errors import InvalidInput
from chatkit.experiments.proof import Cure, Lifetime, Proof, judge
from chatkit.views.palette import INK, THEMES, Tone
from chatkit.views.proof import HIGH, LINE, WITH, WITHOUT, paragraph, plot
from chatkit.views.sheet import MAX_WORDS
from chatkit.views.survival import HEIGHT, TOP
from chatkit.views.when import count

EVIL = "<script>alert(1)</script>"
PINGS = Cure(change="first ping at 30 s", exposure_s=61, exposed_to="two pings")


def lives(*seconds: float, died: bool) -> list[Lifetime]:
    return [Lifetime(seconds=s, died=died, at=3 * n + s) for n, s in enumerate(seconds)]


CONTROL = lives(1, 1.1, 0.9, 1, 1, died=True)
HOLDS = judge(CONTROL, lives(*[62] * 5, died=False), PINGS)
FAILS = judge(CONTROL, CONTROL, PINGS)
OPEN = judge(CONTROL, lives(20, 20, died=False), PINGS)
EMPTY = judge([], [], PINGS)


def notes(figure: Any) -> str:
    return " ".join(note.text for note in figure.layout.annotations)


def test_both_curves_with_their_ticks() -> None:
    """The cured one is drawn last: it is what the figure is about; each life that went on has its tick."""
    figure = plot(HOLDS, theme="light")
    without, with_it = [data for data in figure.data if data.line.dash is not None]
    assert (list(with_it.y), list(without.y)[-1]) == ([100, 100], 0)
    assert with_it.line.color == THEMES["light"][Tone.RECEIVED]
    _, ticks = [data for data in figure.data if data.mode == "markers"]
    assert list(ticks.x) == [62] * 5
    assert f"<b>{WITH}</b>" in notes(figure)
    assert f"<b>{WITHOUT}</b>" in notes(figure)


def test_the_conclusion_is_the_title() -> None:
    """In lines that fit, above what was counted; the curves lose no height to it."""
    for proof, many in ((HOLDS, 1), (FAILS, 2)):
        figure = plot(proof)
        title = figure.layout.title.text
        lines = title[title.index(">") + 1 : title.index("</b>")].split("<br>")
        assert " ".join(lines) == proof.sentence
        assert max(map(len, lines)) <= LINE
        assert len(lines) == many
        assert f"</b><br>10 connections, {count(proof.control.died + proof.cured.died, 'death')}" in title
        assert figure.layout.height - figure.layout.margin.t == HEIGHT - TOP
        assert figure.layout.margin.t == TOP + HIGH * many


@pytest.mark.parametrize(("proof", "at"), [(HOLDS, 61), (OPEN, 61)])
def test_what_had_to_be_outlived_is_marked(proof: Proof, at: float) -> None:
    """Also where nobody came so far."""
    figure = plot(proof)
    (line,) = figure.layout.shapes
    assert line.x0 == line.x1 == at
    assert figure.layout.xaxis.range[1] > at
    assert "3 former lives and two pings" in notes(figure)


def test_the_mark_has_the_unit_of_the_axis() -> None:
    """Minutes where the lives last minutes."""
    control = lives(1200, 1210, 1190, 1200, 1200, died=True)
    figure = plot(judge(control, lives(*[4000] * 5, died=False), Cure(change="")))
    assert figure.layout.xaxis.title.text.endswith(", min")
    assert figure.layout.shapes[0].x0 == 60
    assert "3 former lives" in notes(figure)
    assert " and " not in notes(figure)


def test_nothing_was_watched() -> None:
    """Nothing fails, and no mark is claimed."""
    figure = plot(EMPTY)
    assert figure.layout.shapes == ()
    assert "no control connection was watched" in figure.layout.title.text


def test_words_of_ones_own_stay_text() -> None:
    """Escaped and bounded wherever they stand."""
    proof = judge(CONTROL, lives(*[62] * 5, died=False), Cure(change=EVIL, exposed_to=EVIL + " " + "x" * 5000))
    figure = plot(proof)
    assert "<script" not in figure.to_json() + paragraph(proof)
    assert "&lt;script&gt;" in figure.layout.title.text
    assert len(notes(figure)) + len(paragraph(proof)) < 4 * MAX_WORDS


@pytest.mark.parametrize("theme", THEMES)
def test_every_theme(theme: str) -> None:
    """The ground stays the page's; the conclusion has the colour of ink."""
    figure = plot(HOLDS, theme=theme)
    assert figure.layout.paper_bgcolor == "rgba(0,0,0,0)"
    assert INK[theme] in figure.layout.title.text


def test_a_theme_that_is_none_is_refused() -> None:
    """With those that are."""
    with pytest.raises(InvalidInput, match="no such theme"):
        plot(HOLDS, theme="sepia")


def test_as_a_paragraph() -> None:
    """What is concluded, and what would settle it."""
    assert paragraph(HOLDS) == f'<p class="ck-proof">{HOLDS.sentence}</p>'
    assert paragraph(OPEN).endswith(f"; needed: {OPEN.needed}</p>")


def test_a_proof_shows_itself() -> None:
    """Through the registry."""
    assert HOLDS._repr_html_() == paragraph(HOLDS)
    assert HOLDS.plot(theme="dark") == plot(HOLDS, theme="dark")
    assert replace(HOLDS, sentence="other").plot() != plot(HOLDS)


def test_plotly_waits_for_its_use() -> None:
    """Nor is scipy loaded for a small proof."""
    code = (
        "import sys; from chatkit.experiments.proof import *; "
        "proof = judge([Lifetime(seconds=1, died=True, at=1)], [], Cure(change='')); import chatkit.views.proof; "
        "assert not {'plotly', 'scipy', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
