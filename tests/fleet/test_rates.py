"""Hazards per watched second."""

from __future__ import annotations

import numpy as np
import pytest

from chatkit.fleet.comparing import Counts
from chatkit.fleet.rates import Course, over_age, over_day


def test_a_constant_hazard_is_the_same_at_every_age() -> None:
    """Each interval holds it, and nothing of the watched time is lost."""
    life = np.sort(np.random.default_rng(1).exponential(100.0, 20_000))
    counts = Counts(seconds=life, deaths=np.ones(20_000, np.int64), others=np.zeros(20_000, np.int64))
    spans = over_age(counts)
    busy = [one for one in spans if one.hazard.deaths > 500]
    assert len(busy) > 4
    assert all(one.hazard.per_s == pytest.approx(0.01, rel=0.15) for one in busy)
    assert sum(one.hazard.exposure for one in spans) == pytest.approx(life.sum())
    assert sum(one.hazard.deaths for one in spans) == 20_000
    assert [one.end for one in spans[:-1]] == [one.start for one in spans[1:]]


def test_nobody() -> None:
    """No span."""
    none = np.zeros(0, np.int64)
    assert over_age(Counts(seconds=np.zeros(0), deaths=none, others=none)) == ()


def course(opened, opened_after, ended, ended_after, died) -> Course:
    """Steps of 1800 s from an hour on."""
    columns = [np.array(one) for one in (opened, opened_after, ended, ended_after, died)]
    return Course(3600.0, 1800.0, *columns)


def test_hours_count_what_was_watched_in_them() -> None:
    """Two lives from the middle of 01:00-01:30; one dies at 02:15."""
    made = course([2, 0, 0], [1800.0, 0.0, 0.0], [0, 0, 2], [0.0, 0.0, 1800.0], [0, 0, 1])
    assert made.alive.tolist() == [0, 2, 2]
    assert made.watched.tolist() == [1800.0, 3600.0, 1800.0]
    first, second = over_day(made)
    assert (first.start, first.hazard.deaths, first.hazard.exposure) == (3600.0, 0, 5400.0)
    assert (second.start, second.hazard.deaths, second.hazard.exposure) == (7200.0, 1, 1800.0)
