"""A storm as a figure and as a paragraph: what the curves say, and that labels stay text."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from chatkit.errors import InvalidInput
from chatkit.policy.storm import Storm, busiest, simulate
from chatkit.views.palette import THEMES, Tone
from chatkit.views.storm import CELLS, LABEL, connected, paragraph, per_second, plot

OURS = simulate(20, 200)
TEXTBOOK = simulate(20, 200, policy="textbook")
EVIL = "<script>alert(1)</script>"


def texts(figure: Any) -> list[str]:
    """What stands beside the curves."""
    return [note.text for note in figure.layout.annotations]


def test_a_storm_draws_itself() -> None:
    """Through the registry, as a figure and as a paragraph."""
    import chatkit

    storm = chatkit.simulate(20, 5)
    assert storm._repr_html_() == paragraph(storm)
    assert type(storm.plot()).__name__ == "Figure"
    assert len(storm.plot(storm).data) == 4


def test_the_paragraph_needs_no_plotly() -> None:
    """It waits for its use."""
    code = "import sys, chatkit; chatkit.simulate(1)._repr_html_(); assert 'plotly' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("storm", [OURS, TEXTBOOK, simulate(300, 200), simulate(0), simulate(0, horizon_s=0)])
def test_the_upper_curve_has_the_peak(storm: Storm) -> None:
    """However many cells of time it is drawn in, the greatest rate is the storm's own."""
    moments, most = per_second(storm.attempts, 400.0)
    assert len(moments) == len(most) == CELLS + 1
    assert max(most) == busiest(storm.attempts, 1.0)
    assert (moments[0], moments[-1]) == (0, 400)


def test_the_lower_curve_ends_at_the_share_that_is_back() -> None:
    """From nobody at the loss; nobody before the host is back."""
    moments, share = connected(TEXTBOOK, 60.0)
    assert (moments[0], share[0], moments[-1]) == (0, 0, 60)
    assert share[-1] == pytest.approx(100 * (1 - TEXTBOOK.gave_up))
    assert min(moments[1:]) >= 20
    assert connected(OURS, 60.0)[1][-1] == 100


def test_two_storms_are_told_apart() -> None:
    """By colour and by dash, each named where its curve ends."""
    figure = plot(OURS, TEXTBOOK, theme="light")
    lines = {(data.line.color, data.line.dash) for data in figure.data}
    assert lines == {(THEMES["light"][Tone.RECEIVED], "solid"), (THEMES["light"][Tone.SENT], "dash")}
    said = " ".join(texts(figure))
    assert "<b>default</b>" in said
    assert "<b>textbook</b>" in said
    assert f"{100 * TEXTBOOK.gave_up:.3g} % gave up" in said
    assert f"<b>{OURS.peak_after_s}/s</b> at most" in said
    assert figure.layout.showlegend is False


def test_axes_have_units_and_the_outage_is_shaded() -> None:
    """From the loss to the host's return."""
    figure = plot(OURS)
    titles = [figure.layout[axis].title.text for axis in ("xaxis", "yaxis", "yaxis2")]
    assert titles == ["time since the connections were lost, s", "attempts per second", "connected, %"]
    (shade,) = figure.layout.shapes
    assert (shade.x0, shade.x1) == (0, 20)
    assert "host down for 20 s" in figure.layout.title.text


@pytest.mark.parametrize(
    "storms",
    [(OURS, TEXTBOOK), (OURS, OURS), (simulate(99, 9, policy="textbook"), simulate(99, 9, policy="incident"))],
    ids=["apart", "at the top", "at the bottom"],
)
def test_labels_do_not_lie_on_each_other(storms: tuple[Storm, Storm]) -> None:
    """Equal heights move apart."""
    figure = plot(*storms)
    height = figure.layout.height - figure.layout.margin.t - figure.layout.margin.b
    for axis in ("yaxis", "yaxis2"):
        low, high = figure.layout[axis].domain
        pixels = (high - low) * height / figure.layout[axis].range[1]
        notes = [note for note in figure.layout.annotations if note.yref == axis.replace("axis", "")]
        one, other = (note.y * pixels + note.yshift for note in notes)
        assert abs(one - other) >= LABEL - 1e-6
        assert min(one, other) >= LABEL / 2 - 1e-6


def test_labels_of_ones_own_stay_text() -> None:
    """Escaped and bounded wherever they stand."""
    figure = plot(OURS, TEXTBOOK, labels=[EVIL, "b" * 1000])
    assert "<script" not in figure.to_json()
    assert "&lt;script&gt;" in " ".join(texts(figure))
    assert max(len(text) for text in texts(figure)) < 300


@pytest.mark.parametrize("theme", THEMES)
def test_every_theme(theme: str) -> None:
    """The ground stays the page's."""
    assert plot(OURS, theme=theme).layout.paper_bgcolor == "rgba(0,0,0,0)"


def test_who_waits_and_who_is_alone() -> None:
    """A horizon before the outage's end; one client counts in whole attempts."""
    assert "0 % back" in " ".join(texts(plot(simulate(20, 9, horizon_s=10))))
    assert plot(simulate(20)).layout.yaxis.nticks == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"other": simulate(21)}, "different lengths"),
        ({"labels": ["a", "b"]}, "a label for each"),
        ({"other": OURS, "labels": ["a"]}, "a label for each"),
        ({"theme": "sepia"}, "no such theme"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], words: str) -> None:
    """With what would fit."""
    with pytest.raises(InvalidInput, match=words):
        plot(OURS, **options)
