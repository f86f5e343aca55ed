"""Survival as a figure: what the curves say, and that labels stay text."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from chatkit.diagnosis.survival import Curve, kaplan_meier
from chatkit.errors import InvalidInput
from chatkit.views.palette import THEMES, Tone
from chatkit.views.survival import LABEL, MOST, POINTS, TICKS, plot, steps

EVIL = "<script>alert(1)</script>"


def curve(*seconds: float, alive: tuple[float, ...] = ()) -> Curve:
    died = [True] * len(seconds) + [False] * len(alive)
    return kaplan_meier([*seconds, *alive], died)


MINUTE, HOURS = curve(59.9, 60.0, 60.1), curve(100, 5000, alive=(9000, 9000))


def texts(figure: Any) -> list[str]:
    """What stands beside the curves."""
    return [note.text for note in figure.layout.annotations]


def lines(figure: Any) -> list[Any]:
    """The curves themselves, the first cohort first."""
    return [data for data in reversed(figure.data) if data.line.dash is not None]


def test_a_curve_steps_down_to_what_is_known() -> None:
    """From all at 0, in per cent; level until the last look."""
    (line,) = lines(plot({"": curve(10, 20, alive=(30, 40))}))
    assert list(line.x) == [0, 10, 20, 40]
    assert list(line.y) == pytest.approx([100, 75, 50, 50])
    assert line.line.shape == "hv"


def test_it_has_a_band_and_ticks_for_lives_that_go_on() -> None:
    """The band holds the curve; a tick stands on it."""
    one = curve(10, 20, alive=(15, 40))
    low, high, ticks, line = plot({"": one}).data
    assert high.fill == "tonexty"
    assert all(a <= b <= c for a, b, c in zip(low.y, line.y, high.y, strict=True))
    assert list(ticks.x) == [15, 40]
    assert list(ticks.y) == [75, 37.5]


def test_cohorts_are_named_where_they_end() -> None:
    """With their number and what became of them; no legend."""
    figure = plot({"old": MINUTE, "new": HOURS}, theme="light")
    assert figure.layout.showlegend is False
    assert "<b>old</b>" in texts(figure)[0]
    assert "n = 3, half gone at 1 min" in texts(figure)[0]
    assert "n = 4, half gone at 83.33 min" in texts(figure)[1]
    assert {(one.line.color, one.line.dash) for one in lines(figure)} == {
        (THEMES["light"][Tone.RECEIVED], "solid"),
        (THEMES["light"][Tone.SENT], "dash"),
    }
    assert "7 connections, 5 deaths, bands of 95 %" in figure.layout.title.text


@pytest.mark.parametrize(
    ("last", "unit"), [(60, "s"), (600, "s"), (3600, "min"), (36_000, "h"), (864_000, "d")], ids=str
)
def test_time_has_the_unit_of_its_length(last: float, unit: str) -> None:
    """Seconds for a minute, days for a week."""
    assert plot({"": curve(last)}).layout.xaxis.title.text == f"time since the connection opened, {unit}"


@pytest.mark.parametrize("n", [1, 2, 3, MOST])
def test_labels_do_not_lie_on_each_other(n: int) -> None:
    """Equal heights move apart and stay inside."""
    for one in (curve(5, 6), curve(alive=(5, 6))):
        figure = plot({str(k): one for k in range(n)})
        room = figure.layout.height - figure.layout.margin.t - figure.layout.margin.b
        levels = sorted(
            note.y / figure.layout.yaxis.range[1] * room + note.yshift for note in figure.layout.annotations
        )
        assert all(b - a >= LABEL - 1e-6 for a, b in pairwise(levels))
        assert levels[0] >= LABEL / 2 - 1e-6
        assert levels[-1] <= room - LABEL / 2 + 1e-6


def test_more_cohorts_than_can_be_told_apart() -> None:
    """The largest are drawn, and it says so."""
    cohorts = {str(n): curve(*range(1, n + 2)) for n in range(MOST + 2)}
    figure = plot(cohorts)
    assert len(lines(figure)) == MOST
    assert "2 smaller cohorts not drawn" in figure.layout.title.text
    assert not any("<b>0</b>" in text for text in texts(figure))


def test_a_crowd_is_thinned() -> None:
    """Its first and its last step stay."""
    rng = np.random.default_rng(1)
    seconds = rng.exponential(50, 20_000)
    many = kaplan_meier(seconds, rng.random(20_000) < 0.5)
    low, high, ticks, line = plot({"": many}).data
    assert max(len(one.x) for one in (low, high, line)) <= POINTS + 1
    assert len(ticks.x) <= TICKS
    assert line.y[-1] == pytest.approx(100 * many.survival[-1])


def test_no_life_and_no_death() -> None:
    """Nothing fails, and nothing is claimed."""
    assert "n = 0<" in texts(plot({"": kaplan_meier([], [])}))[0]
    assert "n = 2, 100 % lived on" in texts(plot({"": curve(alive=(1, 2))}))[0]


def test_labels_of_ones_own_stay_text() -> None:
    """Escaped and bounded wherever they stand."""
    figure = plot({EVIL: MINUTE, "b" * 1000: HOURS})
    assert "<script" not in figure.to_json()
    assert "&lt;script&gt;" in " ".join(texts(figure))
    assert max(len(text) for text in texts(figure)) < 300


@pytest.mark.parametrize("theme", THEMES)
def test_every_theme(theme: str) -> None:
    """The ground stays the page's."""
    assert plot({"": MINUTE}, theme=theme).layout.paper_bgcolor == "rgba(0,0,0,0)"


def test_plotly_waits_for_its_use() -> None:
    """Nor is scipy loaded for a curve."""
    code = (
        "import sys, chatkit.views.survival; from chatkit.diagnosis.survival import *; "
        "kaplan_meier([1.0], [True]); assert not {'plotly', 'scipy', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("curves", "theme", "words"), [({}, "both", "nothing to draw"), ({"": MINUTE}, "sepia", "no such theme")]
)
def test_wrong_options_are_refused(curves: dict[str, Curve], theme: str, words: str) -> None:
    """With what would fit."""
    with pytest.raises(InvalidInput, match=words):
        plot(curves, theme=theme)


def test_a_trace_draws_its_own_survival() -> None:
    """Through the registry; a curve for each cohort."""
    from chatkit.views import __name__ as loaded
    from stories import STORY_OF_A_PING

    assert loaded
    assert len(STORY_OF_A_PING.survival().data) >= 1
    assert "1006" in str(STORY_OF_A_PING.survival(by="code").to_dict())


def test_curves_as_plain_values() -> None:
    """For whoever draws them beside something else; JSON holds them, and long ones are thinned."""
    rng = np.random.default_rng(3)
    many = kaplan_meier(rng.exponential(10, 5_000), np.ones(5_000, bool))
    told = steps({"few": kaplan_meier([1.0, 2.0, 3.0], [True, True, False]), "many": many})
    assert [(one["name"], one["n"]) for one in told] == [("many", 5_000), ("few", 3)]
    assert len(told[0]["time"]) <= POINTS
    assert told[0]["time"][-1] == many.time[-1]
    assert told[1]["time"] == [0.0, 1.0, 2.0]
    assert told[1]["median"] == 2.0
    assert json.loads(json.dumps(told, allow_nan=False)) == told
