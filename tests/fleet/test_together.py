"""Moments at which many die."""

from __future__ import annotations

import numpy as np

from chatkit.fleet.together import moments


def test_chance_makes_no_moment() -> None:
    """A day of Poisson deaths, at any rate."""
    chance = np.random.default_rng(3)
    for rate in (0.01, 0.5, 5.0):
        deaths = chance.poisson(rate, 172_800)
        steps = np.flatnonzero(deaths)
        assert moments(steps, deaths[steps]) == ()


def test_a_stop_of_a_server_is_one_moment() -> None:
    """Over neighbouring half seconds, with what was usual beside."""
    deaths = np.random.default_rng(4).poisson(0.5, 10_000)
    deaths[5000:5003] += [40, 100, 30]
    steps = np.flatnonzero(deaths)
    (one,) = moments(steps + 1_000_000, deaths[steps])
    assert (one.first, one.last) == (1_005_000, 1_005_002)
    assert one.deaths == deaths[5000:5003].sum()
    assert one.expected < 5
    assert (one.at, one.seconds) == (502_500.0, 1.5)


def test_nobody_died() -> None:
    """No moment."""
    assert moments(np.zeros(0, np.int64), np.zeros(0, np.int64)) == ()
