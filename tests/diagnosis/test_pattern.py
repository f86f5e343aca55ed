"""Which regularity deaths follow: what is planted is found, and what cannot be told apart is not told apart."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatkit.diagnosis.lives import Gaps, Lives, lives
from chatkit.diagnosis.pattern import AGE, IDLE, PERIODIC, RANDOM, SIMULTANEOUS, Pattern, pattern
from chatkit.events import Opened, PingReceived, PongSent, TransportEnded
from tests.builders import Script, incident_trace

SEEDS = st.integers(0, 10_000)
"""Of samples: odds of 20 : 1 fail now and then, so these examples are the same on every run."""


def make(
    opened: Any,
    end: Any,
    died: Any = None,
    idle: dict[str, Any] | None = None,
    survived: dict[str, Any] | None = None,
    gaps: dict[str, Gaps] | None = None,
) -> Lives:
    """Silent lives unless their quiet is given."""
    begin, ends = np.asarray(opened, np.float64), np.asarray(end, np.float64)
    n, age = len(begin), ends - begin
    dead = np.ones(n, np.bool_) if died is None else np.asarray(died, np.bool_)
    quiet: dict[str, Any] = dict.fromkeys(("any", "inbound", "outbound"), age) if idle is None else idle
    spared: dict[str, Any] = survived or {kind: np.where(dead, 0.0, column) for kind, column in quiet.items()}
    return Lives(
        id=tuple(map(str, range(n))),
        cohort=("",) * n,
        epoch=0.0,
        opened=begin,
        end=ends,
        age=age,
        died=dead,
        code=np.full(n, 1006, np.int32),
        idle=quiet,
        survived=spared,
        gaps=gaps or {kind: Gaps(np.arange(n), np.asarray(column)) for kind, column in spared.items()},
    )


def busy(opened: Any, end: Any, rng: np.random.Generator, died: Any = None) -> Lives:
    """Traffic after up to three seconds, again and again until the end."""
    n, kinds = len(opened), ("any", "inbound", "outbound")
    count = 1 + (np.subtract(end, opened) / 1.5).astype(np.int64)
    life = np.repeat(np.arange(n), count)
    gaps = {kind: Gaps(life, rng.uniform(0.5, 3, len(life))) for kind in kinds}
    survived = {kind: np.zeros(n) for kind in kinds}
    for kind in kinds:
        np.maximum.at(survived[kind], life, gaps[kind].seconds)
    return make(opened, end, died, {kind: rng.uniform(0, 3, n) for kind in kinds}, survived, gaps)


def found(value: Pattern) -> tuple[str, str | None]:
    assert value.best is not None
    return value.best.pattern, value.best.counts


@given(SEEDS, st.integers(4, 60), st.floats(5, 5000))
@settings(max_examples=30, derandomize=True)
def test_a_constant_age_under_traffic_is_found(seed: int, n: int, age: float) -> None:
    """With its length, whenever the lives opened."""
    rng = np.random.default_rng(seed)
    opened = np.cumsum(rng.uniform(1, age, n))
    value = pattern(busy(opened, opened + age + rng.normal(0, 0.02, n), rng))
    assert found(value) == (AGE, None)
    assert value.told_apart
    assert value.best.seconds == pytest.approx(age, abs=0.1)  # type: ignore[union-attr]
    assert value.best.n == n  # type: ignore[union-attr]


@given(SEEDS, st.integers(4, 60), st.floats(5, 5000))
@settings(max_examples=30, derandomize=True)
def test_a_constant_quiet_is_found(seed: int, n: int, quiet: float) -> None:
    """Lives of any age that end so long after the last byte of the kind that counts."""
    rng = np.random.default_rng(seed)
    opened = np.cumsum(rng.uniform(1, quiet, n))
    age = quiet * rng.uniform(1.5, 20, n)
    idle = quiet + rng.normal(0, 0.02, n)
    columns = {"any": rng.uniform(0, 2, n), "inbound": rng.uniform(0, 2, n), "outbound": idle}
    survived = {"any": np.full(n, 2.0), "inbound": np.full(n, 2.0), "outbound": quiet * rng.uniform(0.1, 0.8, n)}
    value = pattern(make(opened, opened + age, None, columns, survived))
    assert found(value) == (IDLE, "outbound")
    assert value.told_apart
    assert value.timer is value.best
    assert value.best.seconds == pytest.approx(quiet, abs=0.1)  # type: ignore[union-attr]


@given(SEEDS, st.integers(10, 200), st.floats(5, 500))
@settings(max_examples=30, derandomize=True)
def test_chance_is_no_timer(seed: int, n: int, mean: float) -> None:
    """Exponential lives: nothing that stands alone is a timer, and the mean life is what was lived per death."""
    rng = np.random.default_rng(seed)
    opened = rng.uniform(0, 100 * mean, n)
    ages = rng.exponential(mean, n)
    value = pattern(busy(opened, opened + ages, rng))
    chance = value.find(RANDOM)
    assert chance is not None
    assert value.timer is None
    assert chance.seconds == pytest.approx(ages.mean())


def test_the_mean_life_is_recovered() -> None:
    """Within its error, also where most lives were watched no longer."""
    rng = np.random.default_rng(6)
    opened, ages, watched = rng.uniform(0, 1e5, 5000), rng.exponential(200, 5000), rng.uniform(0, 300, 5000)
    value = pattern(make(opened, opened + np.minimum(ages, watched), ages < watched))
    assert found(value) == (RANDOM, None)
    assert value.told_apart
    assert value.best is not None
    assert value.best.seconds == pytest.approx(200, abs=1.5 * value.best.error)


def test_without_traffic_idle_and_age_are_not_told_apart() -> None:
    """Rule of thumb 2: a timer, of which kind nobody can say."""
    rng = np.random.default_rng(1)
    opened = np.array([0, 1.7, 10, 33, 50.0])
    value = pattern(make(opened, opened + 60 + rng.normal(0, 0.01, 5)))
    assert not value.told_apart
    assert value.timer is not None
    assert {fit.pattern for fit in (value.best, *value.rivals) if fit} == {AGE, IDLE}
    assert str(value) == "timer of 60.002 ± 0.045 s: idle or age, not told apart here"


def test_one_arm_with_traffic_separates_them() -> None:
    """Two silent twins die at 60, two with traffic live on: it is the quiet."""
    opened, end = [0.0, 2.0, 4.0, 6.0], [60.0, 62.02, 300.0, 300.0]
    died = [True, True, False, False]
    columns = {"any": np.array([60.0, 60.02, 5, 5])}
    survived = {"any": np.array([0.0, 0.0, 15, 15])}
    value = pattern(make(opened, end, died, columns, survived))
    assert found(value) == (IDLE, "any")
    assert value.told_apart
    age = value.find(AGE)
    assert age is not None
    assert age.outlived == 2


def test_heartbeats_of_the_timers_own_length_are_no_idle_limit() -> None:
    """Pings each 20 s, the end at 60: 20 s of quiet were survived twice before."""
    opened = np.arange(6) * 7.0
    columns = {"any": np.full(6, 20.0), "inbound": np.full(6, 60.0)}
    value = pattern(make(opened, opened + 60, None, columns, {"any": np.full(6, 20.0), "inbound": np.zeros(6)}))
    assert value.find(IDLE, "any") not in (value.best, *value.rivals)


def test_a_few_other_deaths_do_not_spoil_a_timer() -> None:
    """They are counted out."""
    rng = np.random.default_rng(2)
    opened = np.sort(rng.uniform(0, 3000, 40))
    age = 60 + rng.normal(0, 0.05, 40)
    age[:12] = rng.exponential(25, 12)
    value = pattern(busy(opened, opened + age, rng))
    assert found(value) == (AGE, None)
    assert value.best is not None
    assert 26 <= value.best.n <= 30
    assert value.best.of == 40


def test_ticks_spread_a_timer() -> None:
    """Cowboy fires anywhere from 60 to 66 s."""
    rng = np.random.default_rng(3)
    opened = np.sort(rng.uniform(0, 3000, 30))
    value = pattern(busy(opened, opened + 60 + 6 * rng.random(30), rng))
    assert found(value) == (AGE, None)
    assert value.best is not None
    assert value.best.spread == pytest.approx(6 / math.sqrt(12), rel=0.3)


@given(SEEDS, st.integers(4, 40))
@settings(max_examples=30, derandomize=True)
def test_one_event_for_all(seed: int, n: int) -> None:
    """Rule of thumb 3: opened whenever, gone within half a second."""
    rng = np.random.default_rng(seed)
    opened = rng.uniform(0, 900, n)
    value = pattern(busy(opened, 1000 + rng.uniform(0, 0.2, n), rng))
    assert found(value) == (SIMULTANEOUS, None)
    assert value.best is not None
    assert value.best.events == 1
    assert "together at 1 moment" in str(value)


def test_opened_together_and_gone_together() -> None:
    """A timer, or one event: nothing tells them apart."""
    rng = np.random.default_rng(4)
    value = pattern(make(rng.uniform(0, 0.1, 8), 60 + rng.uniform(0, 0.1, 8)))
    assert not value.told_apart
    assert {fit.pattern for fit in (value.best, *value.rivals) if fit} == {AGE, IDLE, SIMULTANEOUS}
    together = value.find(SIMULTANEOUS)
    assert together is not None
    assert together.events == 0
    assert value.timer is None


def test_a_timetable() -> None:
    """Everybody goes at each full five minutes."""
    rng = np.random.default_rng(5)
    opened = np.sort(rng.uniform(0, 3000, 40))
    value = pattern(busy(opened, np.ceil(opened / 300) * 300 + rng.normal(0, 0.02, 40), rng))
    assert found(value) == (PERIODIC, None)
    assert value.best is not None
    assert value.best.seconds == pytest.approx(300, abs=0.1)
    assert value.best.events >= 8


def test_a_lone_client_cannot_tell_a_timetable_from_an_age() -> None:
    """Each life begins a second after the last one's end, and ends with the clock."""
    opened = np.arange(10) * 300.0 + 1
    value = pattern(make(opened, np.arange(1, 11) * 300.0))
    assert {PERIODIC, AGE} <= {fit.pattern for fit in (value.best, *value.rivals) if fit}


@pytest.mark.parametrize(("deaths", "words"), [(0, "no life ended"), (1, "one death: it follows every pattern")])
def test_too_few_for_any_pattern(deaths: int, words: str) -> None:
    """One death fits everything; its evidence is that of chance."""
    value = pattern(make([0.0, 1.0], [60.0, 80.0], [deaths > 0, False]))
    assert (value.best, value.rivals, value.told_apart, value.timer) == (None, (), False, None)
    assert str(value) == words
    assert (value.deaths, value.lives) == (deaths, 2)


def test_one_death_weighs_nothing() -> None:
    """A timer and chance within one unit of each other."""
    value = pattern(make([0.0], [60.0]))
    age, chance = value.find(AGE), value.find(RANDOM)
    assert age is not None
    assert chance is not None
    assert abs(age.log_evidence - chance.log_evidence) < 1
    assert age.error == pytest.approx(1.8)


def test_two_deaths_weigh_as_much_as_their_coincidence() -> None:
    """Within 50 ms of a minute: hardly chance; a third apart: no timer."""
    near, far = pattern(make([0.0, 3.0], [60.0, 63.05])), pattern(make([0.0, 3.0], [60.0, 83.0]))
    assert near.timer is not None
    assert "two deaths only" in str(near)
    assert far.timer is None
    assert found(far)[0] == RANDOM or far.rivals


def test_lives_of_unknown_age_are_left_out() -> None:
    """And counted."""
    value = pattern(make([0.0, math.nan, 5.0], [60.0, 70.0, 65.0]))
    assert (value.left_out, value.lives, value.deaths) == (1, 2, 2)


def test_what_follows_our_action_is_no_idle_limit() -> None:
    """The incident: 0.2 s after the first ping, at an age of a quarter second."""
    value = pattern(lives(incident_trace()))
    assert value.find(IDLE, "app-ping") is None
    assert found(value) == (AGE, None)


def test_out_of_a_trace() -> None:
    """Server pings every 20 s do not keep these alive: the age it is, or what the client never sends."""
    script = Script()
    for n in range(4):
        opened = n * 11.3
        script.put(opened, Opened, str(n))
        for ping in (20, 40):
            script.put(opened + ping + 0.1 * n, PingReceived, str(n))
            script.put(opened + ping + 0.1 * n + 0.01, PongSent, str(n))
        script.put(opened + 55, TransportEnded, str(n), how="fin", by="server")
    value = pattern(lives(script.trace()))
    assert found(value) == (AGE, None)
    assert value.best is not None
    assert value.best.seconds == pytest.approx(55)


@given(
    st.lists(st.tuples(st.floats(0, 1e5), st.floats(0, 1e5), st.booleans()), max_size=30),
    st.randoms(use_true_random=False),
)
def test_whatever_lived(rows: list[tuple[float, float, bool]], random: Any) -> None:
    """Weights add up to 1, the best first; the order of the lives does not matter."""
    values = []
    for order in (rows, random.sample(rows, len(rows))):
        opened, ages, died = (list(column) for column in zip(*order, strict=True)) if order else ([], [], [])
        values.append(pattern(make(opened, np.add(opened, ages), died)))
    one, other = values
    assert sum(fit.weight for fit in one.fits) == pytest.approx(1 if one.deaths else 0)
    logs = [fit.log_evidence for fit in one.fits]
    assert logs == sorted(logs, reverse=True)
    assert all(math.isfinite(log) for log in logs)
    assert all(fit.n <= fit.of == one.deaths for fit in one.fits)
    assert sorted(logs) == pytest.approx(sorted(fit.log_evidence for fit in other.fits), rel=1e-6, abs=1e-6)
    assert str(one)


@pytest.mark.parametrize("n", [2, 3, 5, 10, 30])
def test_chance_is_rarely_taken_for_a_timer_and_a_timer_never_for_chance(n: int) -> None:
    """Told apart means odds of 20 : 1; sixty draws of each."""
    rng = np.random.default_rng(n)
    timers, misses = 0, 0
    for _ in range(60):
        opened, mean = np.sort(rng.uniform(0, 30 * n, n)), float(10 ** rng.uniform(0.7, 3))
        timers += pattern(make(opened, opened + rng.exponential(mean, n))).timer is not None
        misses += pattern(make(opened, opened + mean + rng.normal(0, 0.02, n))).timer is None
    assert timers <= 3
    assert misses == 0 or (n == 2 and misses <= 6)  # five seconds of age and half a second between: not told apart
