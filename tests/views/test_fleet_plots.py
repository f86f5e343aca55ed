"""Figures of a fleet."""

from __future__ import annotations

import pytest

from chatkit.errors import InvalidInput
from chatkit.fleet import analyse_fleet, rows
from chatkit.views.fleet_plots import MOST_COHORTS, cohort_plot, hazard_plot, moments_plot
from tests.fleet.crowd import BAD, crowd


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    """The crowd."""
    path = tmp_path_factory.mktemp("plots") / "f.parquet"
    rows.write(crowd(2000), path)
    return analyse_fleet(path)


def test_hazard(fleet) -> None:
    """A bar for each stretch of ages, or each hour, with the deaths behind it."""
    for over, spans in (("age", fleet.ages), ("day", fleet.hours)):
        figure = fleet.hazard(over)
        assert len(figure.data[0].y) == len(spans)
        assert sum(one[0] for one in figure.data[0].customdata) == sum(one.hazard.deaths for one in spans)
        assert figure.layout.yaxis.range[1] > max(figure.data[0].y)


def test_cohorts(fleet) -> None:
    """The worst at the top, full where it differs."""
    figure = fleet.cohort_plot()
    assert len(figure.data[0].x) <= MOST_COHORTS
    assert BAD in figure.layout.yaxis.ticktext[-1]
    assert figure.data[0].marker.symbol[-1] == "diamond"


def test_moments(fleet) -> None:
    """Every death once, a mark for each moment, a line for each change."""
    figure = fleet.moments()
    assert sum(figure.data[0].y) == fleet.deaths
    assert len(figure.data[1].x) == len(fleet.together) > 0
    assert len(figure.layout.shapes) == len(fleet.changes) > 0
    assert any(BAD in note.text for note in figure.layout.annotations)


def test_survival(fleet) -> None:
    """By the column of the worst cohort, or by another."""
    assert any(BAD in note.text for note in fleet.survival().layout.annotations)
    assert fleet.survival(by="region") != fleet.survival()
    with pytest.raises(InvalidInput, match="not compared"):
        fleet.survival(by="proxy")


def test_nothing_to_draw() -> None:
    """Is said."""
    with pytest.raises(InvalidInput, match="nothing to draw"):
        hazard_plot([])
    with pytest.raises(InvalidInput, match="nothing to draw"):
        cohort_plot([])


def test_themes(fleet) -> None:
    """Three, and no fourth."""
    with pytest.raises(InvalidInput, match="no such theme"):
        moments_plot(fleet, theme="pink")
