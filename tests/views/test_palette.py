"""Colours that can be read, shapes that can be told apart."""

from __future__ import annotations

import re

import pytest

from chatkit.views.palette import DARK, DIM, GRID, INK, LIGHT, THEMES, Shape, Tone, faded

GROUNDS = {"light": ["#FFFFFF"], "dark": ["#111418"], "both": ["#FFFFFF", "#111418"]}
"""What each theme is drawn on."""
# One colour on both grounds cannot reach 4.5 twice; its best is the even middle.
LEAST = {"light": 4.5, "dark": 4.5, "both": 4.0}


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(a: str, b: str) -> float:
    one, other = sorted((_luminance(a), _luminance(b)))
    return (other + 0.05) / (one + 0.05)


@pytest.mark.parametrize("theme", THEMES)
def test_colours_can_be_read(theme: str) -> None:
    """Every tone and both inks reach the contrast of text on their ground."""
    colours = [*THEMES[theme], INK[theme], DIM[theme]]
    poor = [(c, g) for c in colours for g in GROUNDS[theme] if _contrast(c, g) < LEAST[theme]]
    assert poor == []


@pytest.mark.parametrize("theme", THEMES)
def test_every_theme_has_a_colour_for_every_tone(theme: str) -> None:
    """Of six hexadecimal digits, as plotly and the browser both take them."""
    assert len(THEMES[theme]) == len(Tone)
    assert [colour for colour in THEMES[theme] if not re.fullmatch("#[0-9A-F]{6}", colour)] == []
    assert set(INK) == set(DIM) == set(GRID) == set(THEMES)


@pytest.mark.parametrize("theme", THEMES)
def test_tones_differ(theme: str) -> None:
    """Only lag and remark share a colour: they never share a lane."""
    colours = THEMES[theme]
    assert colours[Tone.LAG] == colours[Tone.REMARK]
    assert len(set(colours)) == len(Tone) - 1


def test_the_colours_are_those_of_the_looks() -> None:
    """Colour-blind safe, as they were chosen."""
    chosen = (Tone.RECEIVED, Tone.SENT, Tone.OK, Tone.BAD, Tone.REMARK, Tone.TYPING)
    assert [LIGHT[tone] for tone in chosen] == ["#0072B2", "#B35900", "#007A5A", "#C43A1E", "#8A6100", "#9C4F86"]
    assert [DARK[tone] for tone in chosen] == ["#56B4E9", "#E69F00", "#35C59A", "#FF7A59", "#F0C34A", "#D995C5"]


def test_the_numbers_that_travel_are_dense_and_distinct() -> None:
    """A browser keeps them as places in a list; no two shapes are one."""
    assert [int(shape) for shape in Shape.__members__.values()] == list(range(len(Shape.__members__)))
    assert [int(tone) for tone in Tone.__members__.values()] == list(range(len(Tone.__members__)))


def test_a_colour_fades() -> None:
    """Into what CSS calls rgba."""
    assert faded("#0072B2", 0.4) == "rgba(0,114,178,0.4)"
