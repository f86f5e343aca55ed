"""Timers among many deaths."""

from __future__ import annotations

import numpy as np
import pytest

from chatkit.fleet.peaks import peaks


def counted(seconds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Durations, each once, and how many."""
    return np.unique(seconds.round(3), return_counts=True)


def test_a_timer_stands_out_of_chance() -> None:
    """And only it."""
    chance = np.random.default_rng(5)
    lives = np.concatenate((chance.exponential(300, 5000), chance.normal(60.0, 0.05, 400)))
    (one,) = peaks("idle", *counted(np.abs(lives)))
    assert one.kind == "idle"
    assert one.seconds == pytest.approx(60.0, abs=0.3)
    assert 400 <= one.deaths < 600
    assert one.low < 59.9 < 60.1 < one.high


def test_chance_makes_no_timer() -> None:
    """At any mean."""
    for mean in (5.0, 300.0, 20_000.0):
        lives = np.random.default_rng(int(mean)).exponential(mean, 5000)
        assert peaks("age", *counted(lives)) == ()


def test_nothing() -> None:
    """No timer."""
    assert peaks("age", np.zeros(0), np.zeros(0, np.int64)) == ()
