"""The least distance between attempts to one host, whoever makes them."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from chatkit.policy.limiter import Limiter

ROUNDING = 1e-9


def test_one_after_the_other() -> None:
    """Whoever asks at the same moment gets the next free place."""
    limiter = Limiter(1.0)
    assert [limiter.book(10.0, 10.0) for _ in range(4)] == [10, 11, 12, 13]


def test_a_gap_is_used() -> None:
    """A late booking does not hold up an early one that has room before it; one without room comes after."""
    limiter = Limiter(1.0)
    assert limiter.book(0.0, 5.0) == 5
    assert limiter.book(0.0, 1.0) == 1
    assert limiter.book(0.0, 4.5) == 6
    assert limiter.book(0.0, 0.5) == 2


def test_nobody_starts_in_the_past() -> None:
    """What should have been earlier is now."""
    assert Limiter(1.0).book(7.0, 3.0) == 7


def test_a_start_without_a_booking_counts() -> None:
    """The next one keeps its distance from it; clocks that go back change nothing."""
    limiter = Limiter(2.0)
    limiter.started(10.0)
    limiter.started(9.0)
    assert limiter.book(10.5, 10.5) == 12


def test_a_place_that_is_given_back_is_free() -> None:
    """For the next who asks; giving back what was never booked is ignored."""
    limiter = Limiter(1.0)
    first, second = limiter.book(0.0, 0.0), limiter.book(0.0, 0.0)
    limiter.release(second)
    limiter.release(99.0)
    assert limiter.book(0.0, 0.0) == second
    assert first == 0


def test_a_booking_whose_time_came_is_a_start() -> None:
    """Also when nobody said so."""
    limiter = Limiter(1.0)
    limiter.book(0.0, 3.0)
    assert limiter.book(3.2, 3.2) == 4


def test_busy_while_somebody_waits() -> None:
    """Until the last booked time came, or was given back."""
    limiter = Limiter(1.0)
    assert not limiter.busy(0.0)
    limiter.book(0.0, 5.0)
    assert limiter.busy(4.9)
    assert not limiter.busy(5.0)
    place = limiter.book(5.0, 9.0)
    limiter.release(place)
    assert not limiter.busy(5.0)


@given(st.lists(st.floats(0, 100), max_size=20))
def test_without_a_floor_everybody_goes_at_once(wishes: list[float]) -> None:
    """0 lets everything pass."""
    limiter = Limiter(0.0)
    assert [limiter.book(0.0, at) for at in wishes] == wishes


@pytest.mark.parametrize("floor", [0.1, 1.0, 7.0])
@given(st.lists(st.floats(0, 100), max_size=30))
def test_nobody_starves(floor: float, wishes: list[float]) -> None:
    """Each place before one's own costs at most two floors: one for itself, one for a gap too small to use."""
    limiter = Limiter(floor)
    for before, wish in enumerate(wishes):
        assert wish <= limiter.book(0.0, wish) <= wish + 2 * floor * before + ROUNDING


class Interleaving(RuleBasedStateMachine):
    """Any order of booking, giving back, starting, and time that passes."""

    def __init__(self) -> None:
        super().__init__()
        self.limiter, self.now = Limiter(1.0), 0.0
        self.waiting: list[float] = []
        self.starts: list[float] = []

    @rule(delay=st.floats(0, 20))
    def book(self, delay: float) -> None:
        """Somebody wants to start after a delay."""
        at = self.limiter.book(self.now, self.now + delay)
        assert at >= self.now + delay
        self.waiting.append(at)

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        """Somebody closes instead."""
        if self.waiting:
            place = data.draw(st.sampled_from(self.waiting))
            self.waiting.remove(place)
            self.limiter.release(place)

    @rule(step=st.floats(0, 10))
    def time_passes(self, step: float) -> None:
        """Whoever's time came starts."""
        self.now += step
        due = sorted(at for at in self.waiting if at <= self.now)
        for at in due:
            self.limiter.started(at)
        self.starts += due
        self.waiting = [at for at in self.waiting if at > self.now]

    @invariant()
    def starts_are_apart(self) -> None:
        """What happened and what is booked, all together."""
        every = sorted(self.starts + self.waiting)
        assert all(later - earlier >= 1.0 - ROUNDING for earlier, later in itertools.pairwise(every))


TestInterleaving = Interleaving.TestCase
