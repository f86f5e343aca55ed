"""The fold: the same facts give the same state, however often it was written down and read again."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.canary.facts import Answered, AnyFact, Batch, Counted, Diagnosed, Healthy, RowsWritten, RunBegan
from chatkit.canary.state import DEATHS_KEPT, State

from .facts import died, left, opened, refused

BEGAN = RunBegan(targets={"t": "http://h"})


def fold(*batches: tuple[float, list[AnyFact]], state: State | None = None) -> State:
    """The state after these."""
    state = state or State()
    for at, facts in batches:
        state.apply(Batch(at=at, facts=facts))
    return state


def test_a_life_and_a_death() -> None:
    """Counted, told in full, its row waits for a file, and the seconds it lived are exact."""
    state = fold((100.0, [BEGAN]), (101.0, [opened(1, 100.5)]), (105.0, []), (110.0, [died(1, 100.5, 109.0)]))
    target = state.targets["t"]
    assert (target.opened, target.died, target.open) == (1, 1, {})
    assert target.lived == pytest.approx(8.5)
    assert target.deaths.exposure == pytest.approx(8.5)
    assert target.endings == {"rst": 1}
    assert [row.connection for row in state.pending] == ["t/1-1"]
    assert (target.lately[0].words, target.lately[0].file, target.lately[0].verdict) == (
        "RST by server", "deaths/1.jsonl", None,
    )  # fmt: skip


def test_a_life_shorter_than_a_batch() -> None:
    """Opened and ended within one."""
    state = fold((100.0, [BEGAN]), (101.0, [opened(1, 100.2), died(1, 100.2, 100.5)]))
    assert state.targets["t"].lived == pytest.approx(0.3)


def test_what_is_no_death() -> None:
    """A refusal and our own goodbye have rows and counters of their own."""
    state = fold((100.0, [BEGAN]), (101.0, [opened(1, 100.0), refused(2, 100.5)]), (102.0, [left(1, 100.0, 101.5)]))
    target = state.targets["t"]
    assert (target.opened, target.refused, target.left, target.died) == (1, 1, 1, 0)
    assert len(state.pending) == 2


def test_a_verdict_finds_its_death_and_its_row() -> None:
    """Counted by cause."""
    verdict = Diagnosed(
        target="t", connection="t/1-1", verdict="fault", headline="h", cause="idle-timeout", probability=0.9
    )
    state = fold((100.0, [BEGAN]), (101.0, [opened(1, 100.0)]), (102.0, [died(1, 100.0, 101.0)]), (103.0, [verdict]))
    target = state.targets["t"]
    assert target.causes == {"idle-timeout": 1}
    assert (target.lately[0].cause, target.lately[0].headline) == ("idle-timeout", "h")
    assert (state.pending[0].cause, state.pending[0].probability) == ("idle-timeout", 0.9)


def test_rows_that_stand_in_a_file_wait_no_more() -> None:
    """The others do."""
    state = fold((1.0, [BEGAN]), (2.0, [refused(1, 1.5), refused(2, 1.6)]))
    state.apply(Batch(at=3.0, facts=[RowsWritten(file="rows/1", connections=["t/1-1"])]))
    assert ([row.connection for row in state.pending], state.files) == (["t/1-2"], 1)


def test_a_killed_run_leaves_its_open_lives_censored() -> None:
    """Watched until the last batch of that run; between the runs nobody lived."""
    state = fold((100.0, [BEGAN]), (101.0, [opened(1, 100.0)]), (110.0, []), (500.0, [BEGAN]), (510.0, []))
    target = state.targets["t"]
    (row,) = state.pending
    assert (row.connection, row.ended, row.state, row.lifetime_s) == ("t/1-1", False, "open", 10.0)
    assert (target.cut_short, target.open, target.lived) == (1, {}, pytest.approx(10.0))
    assert (state.run, state.counts) == (2, {"restarts": 1})


def test_round_trips_and_health() -> None:
    """In a histogram, and as the last answer."""
    trips = Answered(target="t", samples=[(1.0, 0.004), (2.0, 0.3), (3.0, 60.0)])
    looks = [
        Healthy(target="t", at=1.0, healthy=True, seconds=0.01),
        Healthy(target="t", at=2.0, healthy=False, seconds=5.0),
    ]
    target = fold((1.0, [BEGAN]), (4.0, [trips, *looks])).targets["t"]
    assert (target.round_trips[0], target.round_trips[6], target.round_trips[-1]) == (1, 1, 1)
    assert target.round_trip_s == pytest.approx(60.304)
    assert (target.healthy, target.health_checks, target.health_failures) == (False, 2, 1)
    assert target.health.seconds == [0.01]


def test_a_change_is_told_once_and_kept() -> None:
    """By the batch that shows it."""
    state = fold((0.0, [BEGAN]), (1.0, [opened(0, 0.0)]), (90_000.0, []))
    told = []
    for n in range(1, 10):
        at = 90_000.0 + 30.0 * n
        told += state.apply(Batch(at=at, facts=[died(n, at - 20.0, at)]))
    assert [(name, change.direction) for name, change in told] == [("t", "worse")]
    assert state.targets["t"].changes == [change for _, change in told]


def test_a_change_to_the_better_shows_while_nothing_happens() -> None:
    """Once a minute somebody looks."""
    state = fold((0.0, [BEGAN]), (1.0, [opened(0, 0.0)]))
    for n in range(1, 40):
        state.apply(Batch(at=30.0 * n, facts=[died(n, 30.0 * n - 1, 30.0 * n)]))
    told = [one for n in range(200) for one in state.apply(Batch(at=1200.0 + 60.0 * n))]
    assert [change.direction for _, change in told] == ["better"]


def test_deaths_told_in_full_are_bounded() -> None:
    """All are counted."""
    state = fold((0.0, [BEGAN]), *((float(n), [died(n, n - 0.5, float(n))]) for n in range(1, DEATHS_KEPT + 11)))
    target = state.targets["t"]
    assert (len(target.lately), target.died) == (DEATHS_KEPT, DEATHS_KEPT + 10)


FACTS = st.one_of(
    st.builds(opened, st.integers(0, 5), st.floats(0, 1000)),
    st.builds(died, st.integers(0, 5), st.floats(0, 500), st.floats(500, 1000)),
    st.builds(refused, st.integers(0, 5), st.floats(0, 1000)),
    st.builds(left, st.integers(0, 5), st.floats(0, 500), st.floats(500, 1000)),
    st.just(BEGAN),
    st.builds(Counted, what=st.just("line-torn"), n=st.integers(1, 3)),
    st.builds(Answered, target=st.just("t"), samples=st.lists(st.tuples(st.floats(0, 9), st.floats(0, 9)), max_size=9)),
    st.builds(Healthy, target=st.just("t"), at=st.floats(0, 9), healthy=st.booleans(), seconds=st.floats(0, 9)),
)
BATCHES = st.lists(st.builds(Batch, at=st.floats(0, 5000), facts=st.lists(FACTS, max_size=4)), max_size=30)


@given(BATCHES, st.integers(0, 30))
def test_a_checkpoint_anywhere_changes_nothing(batches: list[Batch], place: int) -> None:
    """Written down and read again in the middle: the end is the same."""
    whole, parts = State(), State()
    for n, batch in enumerate(batches):
        whole.apply(batch)
        parts.apply(batch)
        if n == place:
            parts = msgspec.json.decode(msgspec.json.encode(parts), type=State)
    assert msgspec.json.encode(whole) == msgspec.json.encode(parts)
    assert all(target.lived >= 0 and target.deaths.exposure >= 0 for target in whole.targets.values())
