"""A fleet in words, as a card, and as a page."""

from __future__ import annotations

import re

import pytest

from chatkit.fleet import analyse_fleet, rows
from chatkit.views import fleet as views
from tests.fleet.crowd import BAD, crowd


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    """The crowd."""
    path = tmp_path_factory.mktemp("views") / "f.parquet"
    rows.write(crowd(2000), path)
    return analyse_fleet(path)


def test_text(fleet) -> None:
    """The sentence first; cohorts, moments, changes and causes below it."""
    told = str(fleet)
    assert told.splitlines()[0] == fleet.headline
    for word in ("Survival", f"▲ version {BAD}", "Many deaths in one moment", "What changed when", "server-error"):
        assert word in told
    assert max(map(len, told.splitlines())) < 240


def test_a_card_with_hostile_names(tmp_path) -> None:
    """Everything is escaped, and bounded."""
    lives = [
        rows.Row(**{name: getattr(one, name) for name in rows.COLUMNS} | {"version": f"<script>x{one.version}"})
        for one in crowd(400)
    ]
    rows.write(lives, tmp_path / "f.parquet")
    hostile = analyse_fleet(tmp_path / "f.parquet")
    for shown in (hostile._repr_html_(), views.page(hostile).partition("<div>")[0]):
        assert "<script>x" not in shown
        assert "&lt;script&gt;x" in shown


def test_a_page_asks_nobody(fleet) -> None:
    """Figures and their library are inside."""
    page = views.page(fleet)
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=.?https?:", page)
    assert page.count("plotly-graph-div") >= 5


@pytest.mark.parametrize(
    ("seconds", "words"), [(41.0, "41 s"), (432.0, "7.2 min"), (11_160.0, "3.1 h"), (400_000.0, "4.63 d")]
)
def test_durations(seconds, words) -> None:
    """As people read them."""
    assert views.seconds(seconds) == words
