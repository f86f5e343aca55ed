"""When the hazard changed."""

from __future__ import annotations

import numpy as np
import pytest

from chatkit.fleet.changes import appearances, changes
from chatkit.fleet.rates import Course


def course(rates: list[float], alive: int = 1000) -> Course:
    """Steps of a minute, with so many alive all the time and these hazards."""
    died = np.random.default_rng(9).poisson(np.array(rates) * alive * 60)
    opened = died.copy()
    opened[0] += alive
    middle = 30.0
    return Course(60_000.0, 60.0, opened, opened * middle, died, died * middle, died.copy())


def test_a_deploy() -> None:
    """Found within a step or two, with its factor and what appeared then."""
    seen = [("old", 60_000.0, 70_000.0, 900), ("new", 66_050.0, 72_000.0, 300)]
    beside = appearances("version", seen, 60_000.0, 72_000.0)
    assert [(one.value, one.how) for one in beside] == [("old", "disappeared"), ("new", "appeared")]
    (one,) = changes(course([1e-4] * 100 + [4e-4] * 100), beside)
    assert one.at == pytest.approx(66_000.0, abs=120)
    assert one.factor == pytest.approx(4, rel=0.15)
    assert [it.value for it in one.beside] == ["new"]


def test_a_steady_fleet_does_not_change() -> None:
    """Chance is no change."""
    assert changes(course([2e-4] * 300)) == ()


def test_a_moment_that_is_left_out_is_no_change() -> None:
    """It is told as a moment."""
    steady = course([2e-4] * 200)
    steady.died[100] += 500
    busy = np.zeros(200, bool)
    busy[100] = True
    assert changes(steady) != ()
    assert changes(steady, (), busy) == ()


def test_too_short_to_change() -> None:
    """Three steps."""
    assert changes(course([1e-3] * 3)) == ()
