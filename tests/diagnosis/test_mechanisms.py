"""Each mechanism predicts when a course ends, and likelihood peaks there; true parameters are found again."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from chatkit.diagnosis.courses import Course
from chatkit.diagnosis.facts import ACTIVITY
from chatkit.diagnosis.mechanisms import (
    COUNTED,
    HAZARDS,
    MECHANISMS,
    SHORTEST,
    Mechanism,
    fit,
    fits,
    log_likelihood,
)
from chatkit.diagnosis.taxonomy import causes
from chatkit.experiments.treatments import Treatment, every, fed
from tests.diagnosis import rounds
from tests.diagnosis.rounds import ROUND, Rule, course

NEVER = math.inf
KERNELS = sorted({one.kernel for one in MECHANISMS.values()} - {"hazard"})


def quiet(kind: str, *ages: float) -> Course:
    """Activity of one kind."""
    return course(activity={one: ages if one == kind else () for one in ACTIVITY})


def predicted(id: str, what: Course, **point: Any) -> float:
    """By the point of the grid that is nearest to these parameters."""
    mechanism = MECHANISMS[id]
    points = mechanism.grid().points

    def distance(one: dict[str, Any]) -> float:
        words = any(one[key] != value for key, value in point.items() if isinstance(value, str))
        return words * 1e9 + sum(abs(one[key] - value) for key, value in point.items() if not isinstance(value, str))

    ages = mechanism.predict(what)
    assert len(ages) == len(points)
    return float(ages[min(range(len(points)), key=lambda place: distance(points[place]))])


def near(age: float) -> Any:
    """The grid of times has steps of one per cent."""
    return pytest.approx(age, rel=0.006)


# Predictions


@pytest.mark.parametrize("kind", ACTIVITY)
def test_a_time_out_counts_one_kind_of_activity(kind) -> None:
    """Activity of other kinds does not keep it alive."""
    for other in ACTIVITY:
        ends = predicted("idle", quiet(other, 5.0, 14.0), timeout_s=10.0, counts=kind)
        assert ends == near(24.0 if other == kind else 10.0)


@pytest.mark.parametrize(
    ("ages", "ends"),
    [
        ((), 10.0),
        ((0.0,), 10.0),
        ((9.5, 19.0), 29.0),
        ((9.5, 30.0, 31.0), 19.5),  # the earliest quiet that is long enough
        ((11.0,), 10.0),
        ((2.0, 4.0, 6.0, 8.0, 30.0, 80.0), 18.0),
        ((80.0, 2.0), 12.0),  # in whatever order
    ],
)
def test_the_first_quiet_that_is_long_enough_counts(ages, ends) -> None:
    """Later activity cannot bring it back."""
    assert predicted("idle", quiet("any", *ages), timeout_s=10.0, counts="any") == near(ends)


@settings(max_examples=60, deadline=None)
@given(
    ages=st.lists(st.floats(0.0, 60.0), max_size=8),
    timeout=st.floats(SHORTEST * 1.1, 200.0),
    kind=st.sampled_from(ACTIVITY),
)
def test_quiet_as_a_backend_counts_it(ages, timeout, kind) -> None:
    """Step by step, for the time-outs of the grid."""
    what = quiet(kind, *ages)
    points = MECHANISMS["idle"].grid().points
    at = min((n for n, one in enumerate(points) if one["counts"] == kind),
             key=lambda n: abs(points[n]["timeout_s"] - timeout))  # fmt: skip
    expected = rounds.idle(points[at]["timeout_s"], kind)(what)
    assert MECHANISMS["idle"].predict(what)[at] == pytest.approx(expected, abs=1e-9)


def test_an_age_comes_whatever_is_done() -> None:
    """Busy or silent."""
    for what in (course(), course((3.0, "app-ping"), (6.0, "typing"))):
        assert predicted("age", what, age_s=30.0) == near(30.0)


PING, RFC = (1.0, "app-ping"), (2.5, "protocol-ping")


@pytest.mark.parametrize(
    ("acts", "ping", "ends"),
    [
        ((PING,), "app-ping", 1.0),
        ((PING,), "protocol-ping", NEVER),
        ((PING,), "both", 1.0),
        ((RFC,), "app-ping", NEVER),
        ((RFC,), "protocol-ping", 2.5),
        ((RFC,), "both", 2.5),
        ((PING, RFC), "protocol-ping", 2.5),
        ((PING, RFC), "both", 1.0),
        (((4.0, "app-ping"),), "both", NEVER),
        (((4.0, "app-ping"), (9.0, "app-ping")), "app-ping", NEVER),
        (((1.0, "typing"), (2.0, "message")), "both", NEVER),
        ((), "both", NEVER),
    ],
)
def test_only_the_first_ping_may_be_too_early(acts, ping, ends) -> None:
    """A window of 3 s."""
    assert predicted("early", course(*acts), window_s=3.0, ping=ping) == ends


MIXED = ((1.0, "app-ping 70"), (2.0, "typing 50"), (3.0, "message 3000"), (3.5, "message 9000"), (4.0, "chat"))


@pytest.mark.parametrize(
    ("id", "point", "what", "ends"),
    [
        ("trigger", {"trigger": "typing"}, course(*MIXED), 2.0),
        ("trigger", {"trigger": "message"}, course(*MIXED), 3.0),
        ("trigger", {"trigger": "chat"}, course(*MIXED), 4.0),
        ("trigger", {"trigger": "app-ping"}, course(*MIXED), 1.0),
        ("trigger", {"trigger": "protocol-ping"}, course(*MIXED), NEVER),
        ("size", {"limit_bytes": 4096.0}, course(*MIXED), 3.5),
        ("size", {"limit_bytes": 2048.0}, course(*MIXED), 3.0),
        ("size", {"limit_bytes": 16384.0}, course(*MIXED), NEVER),
        ("size", {"limit_bytes": 4096.0}, course((1.0, "message 4096")), NEVER),  # the limit itself is permitted
        ("compressed", {"direction": "outbound"}, course(compressed=1.5), 1.5),
        ("compressed", {"direction": "inbound"}, course(compressed=1.5, inflated=2.5), 2.5),
        ("compressed", {"direction": "outbound"}, course(), NEVER),
        ("deflated", {}, course(deflated=True), 0.0),
        ("deflated", {}, course(), NEVER),
        ("rival", {}, course(rivals=(2.0, 5.0)), 2.0),
        ("rival", {}, course(), NEVER),
        ("crowded", {"limit_connections": 4}, course(beside=4), 0.0),
        ("crowded", {"limit_connections": 4}, course(beside=3), NEVER),
        ("expiry", {}, course(expires=30.0), 30.0),
        ("expiry", {}, course(expires=-2.0), NEVER),  # it had expired when it was let in
        ("expiry", {}, course(), NEVER),
        ("instant", {}, course(), 0.0),
        ("moment", {}, course(moment=17.0), 7.0),
        ("moment", {}, course(), NEVER),
        ("share", {}, course(moment=17.0), 7.0),
        ("free", {"hazard_per_s": 0.1}, course(), NEVER),
    ],
)
def test_when_a_course_ends(id, point, what, ends) -> None:
    """By one rule of each kind."""
    assert predicted(id, what, **point) == ends


@pytest.mark.parametrize(
    ("ages", "rate", "ends"),
    [
        ((1.0, 1.2, 1.4, 1.6), 2, 1.4),
        ((1.0, 1.2, 1.4, 1.6), 3, 1.6),
        ((1.0, 1.2, 1.4, 1.6), 4, NEVER),
        ((1.0, 2.0, 3.0, 4.0), 1, NEVER),
        ((1.0, 2.0, 2.5, 4.0), 1, 2.5),
        ((), 1, NEVER),
    ],
)
def test_a_rate_is_what_comes_within_a_second(ages, rate, ends) -> None:
    """One more than is permitted."""
    assert predicted("rate", course(*((age, "typing 50") for age in ages)), rate=rate) == ends


# Grids


@pytest.mark.parametrize("mechanism", MECHANISMS.values(), ids=lambda one: one.id)
def test_a_grid_is_a_prior(mechanism) -> None:
    """One prediction for each point; the shares add up to one."""
    grid = mechanism.grid()
    assert len(mechanism.predict(course((1.0, "app-ping")))) == len(grid.points) == len(grid.weights)
    assert np.exp(grid.weights).sum() == pytest.approx(1.0)


def test_defaults_of_products_are_likelier_than_their_neighbours() -> None:
    """60 s of quiet is nginx, five minutes of age Cloud Run; nobody ships 52 s, or 260."""
    for id, key, default, neighbour in (("idle", "timeout_s", 60.0, 52.0), ("age", "age_s", 300.0, 260.0)):
        grid = MECHANISMS[id].grid()
        share = {point[key]: weight for point, weight in zip(grid.points, grid.weights, strict=True)
                 if point.get("counts", "any") == "any"}  # fmt: skip
        known, odd = (min(share, key=lambda one: abs(one - wanted)) for wanted in (default, neighbour))
        assert share[known] > share[odd] + 1


def test_bytes_are_what_counts_most_often() -> None:
    """Shares of the kinds, over all times."""
    assert sum(COUNTED.values()) == pytest.approx(1.0)
    assert max(COUNTED, key=COUNTED.__getitem__) == "any"
    assert set(COUNTED) == set(ACTIVITY)


def test_causes_name_mechanisms() -> None:
    """Shares of each cause are a distribution, and every mechanism serves one."""
    used = set()
    for cause in causes().values():
        assert sum(cause.courses.values()) == pytest.approx(1.0), cause.id
        used |= set(cause.courses)
    assert used == set(MECHANISMS)


# Likelihoods


def of_kernel(kernel: str, age: float) -> Mechanism:
    """A mechanism with one point, which predicts this age."""
    one = next(one for one in MECHANISMS.values() if one.kernel == kernel)
    return Mechanism(id=one.id, grid=MECHANISMS["instant"].grid, predict=lambda c: np.array([age]), kernel=kernel)


def likelihood(mechanism: Mechanism, until: float, *, died: bool) -> float:
    """Density (per second) of an end at that age, or probability of an end after it."""
    what = course(until=until, died=died)
    return float(np.exp(log_likelihood(mechanism, what, mechanism.predict(what)))[0])


@pytest.mark.parametrize("kernel", KERNELS)
@settings(max_examples=12, deadline=None)
@given(age=st.floats(12.0, 300.0), share=st.floats(0.05, 4.0))
@example(age=60.0, share=1.0)
@example(age=60.0, share=1.01)
@example(age=12.0, share=4.0)
def test_survival_is_what_the_density_leaves(kernel, age, share) -> None:
    """The integral of the density up to an age and the survival of it add up to one."""
    mechanism, until = of_kernel(kernel, age), share * age
    # Finer around the prediction, where the density is steep, and on both sides of its steps.
    fine = np.geomspace(1e-4, 20, 160)
    steps = [at + side for at in (age, age + 1.2, age + 1.5, 2 * age, age - 0.005) for side in (-1e-6, 1e-6)]
    ages = np.concatenate(([0.0], np.geomspace(0.01, until, 200), age - fine, age + fine, steps))
    ages = np.unique(np.clip(ages, 0, until))
    density = np.array([likelihood(mechanism, float(one), died=True) for one in ages])
    gone = float((np.diff(ages) * (density[1:] + density[:-1]) / 2).sum())
    # What reacts 5 ms too early by our clock is let in without being taken off elsewhere.
    slack = 0.02 if kernel == "reaction" else 0.01
    assert gone + likelihood(mechanism, until, died=False) == pytest.approx(1.0, abs=slack)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_hit_is_likelier_than_a_miss(kernel) -> None:
    """An end as predicted, against ends elsewhere, which are not impossible."""
    mechanism = of_kernel(kernel, 30.0)
    hit = likelihood(mechanism, 30.01, died=True)
    early, late = (likelihood(mechanism, until, died=True) for until in (12.0, 95.0))
    assert hit > 25 * early > 0
    assert hit > 25 * late > 0


@pytest.mark.parametrize("kernel", KERNELS)
def test_who_outlives_the_prediction_speaks_against_it(kernel) -> None:
    """Of a share, only half as likely; before the prediction it says nothing."""
    mechanism = of_kernel(kernel, 30.0)
    assert likelihood(mechanism, 15.0, died=False) > 0.98
    outlived = likelihood(mechanism, 95.0, died=False)
    assert outlived == pytest.approx(0.5, abs=0.02) if kernel == "share" else outlived < 0.02


@pytest.mark.parametrize("kernel", KERNELS)
def test_what_predicts_no_end_is_surprised_by_one(kernel) -> None:
    """And is sure of a life."""
    mechanism = of_kernel(kernel, NEVER)
    assert likelihood(mechanism, 40.0, died=False) > 0.98
    assert likelihood(mechanism, 40.0, died=True) < 1e-3


def test_ends_at_random_have_a_rate() -> None:
    """Exponential survival: the density of an end at an age, and the probability of none."""
    free = MECHANISMS["free"]
    for until in (3.0, 40.0):
        died, lived = (log_likelihood(free, course(until=until, died=d), free.predict(course())) for d in (True, False))
        assert np.exp(lived) == pytest.approx(np.exp(-HAZARDS * until))
        assert np.exp(died) == pytest.approx(HAZARDS * np.exp(-HAZARDS * until))


# Fits


def watched(rule: Rule, arms: tuple[Treatment, ...] = ROUND, *, seconds: float = 40.0, seed: int = 1) -> list[Course]:
    """What becomes of arms, some milliseconds after the rule says so; ends that come too late are not seen."""
    rng = np.random.default_rng(seed)
    found = []
    for plan in rounds.planned(arms, seconds, 0.2, alone=True):
        over = rule(plan) + float(rng.uniform(0.0, 0.02))
        until = min(over, plan.until)
        seen = {kind: tuple(age for age in ages if age < until) for kind, ages in plan.activity.items()}
        acts = tuple(act for act in plan.acts if act.age < until)
        rivals = tuple(age for age in plan.rivals if age < until)
        found.append(replace(plan, until=until, died=over <= plan.until, activity=seen, acts=acts, rivals=rivals))
    return found


APART = (*ROUND, fed(2.0))
"""With answers that come in to all, so that silence in one direction is no silence in the other."""


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("kind", ACTIVITY)
@pytest.mark.parametrize("timeout", [4.3, 15.0, 30.0])
def test_the_time_out_and_what_it_counts_are_found(timeout, kind, seed) -> None:
    """To three per cent, from one round in which each kind of activity has its arm."""
    # What any activity keeps alive dies only where nobody is fed.
    arms = ROUND if kind in ("any", "inbound", "data-frames") else APART
    found = fit(MECHANISMS["idle"], watched(rounds.idle(timeout, kind), arms, seed=seed))
    assert found.best["timeout_s"] == pytest.approx(timeout, rel=0.03)
    assert found.best["counts"] == kind
    assert found.posterior.sum() == pytest.approx(1.0)
    assert found.points[int(found.posterior.argmax())] == found.best


@pytest.mark.parametrize("age", [2.0, 7.7, 30.0])
def test_the_greatest_age_is_found(age) -> None:
    """And is a better reason than quiet, whatever the arms did."""
    found = fits(watched(rounds.age(age)))
    assert found["age"].best["age_s"] == pytest.approx(age, rel=0.03)
    assert found["age"].evidence > max(one.evidence for id, one in found.items() if id != "age") + 5


@pytest.mark.parametrize(
    ("kinds", "ping"),
    [(("app-ping",), "app-ping"), (("protocol-ping",), "protocol-ping"), (("app-ping", "protocol-ping"), "both")],
)
def test_the_window_of_early_pings_is_bracketed(kinds, ping) -> None:
    """Between the latest fatal ping (1 s) and the earliest harmless one (2 s)."""
    later = tuple(every(2.0, what) for what in ("app-ping", "protocol-ping"))
    found = fit(MECHANISMS["early"], watched(rounds.early(1.4, kinds), (*ROUND, *later), seconds=12.0))
    assert found.best["ping"] == ping
    assert 0.95 < found.best["window_s"] < 2.05
    inside = sum(
        share for point, share in zip(found.points, found.posterior, strict=True) if 0.9 < point["window_s"] < 2.1
    )
    assert inside > 0.95


@pytest.mark.parametrize(
    ("rule", "id"),
    [
        (rounds.idle(6.0), "idle"),
        (rounds.age(6.0), "age"),
        (rounds.early(3.0, ("app-ping", "protocol-ping")), "early"),
        (rounds.trigger("typing"), "trigger"),
        (rounds.rival, "rival"),
    ],
)
def test_the_right_mechanism_explains_best(rule, id) -> None:
    """By a factor of at least three, against each other one."""
    found = fits(watched(rule, seconds=12.0))
    others = {one: fit.evidence for one, fit in found.items() if one != id}
    assert found[id].evidence > max(others.values()) + math.log(3), others


def test_each_course_has_its_say() -> None:
    """An arm that lived against the rule is what speaks against it."""
    courses = [course(until=6.0, died=True), course(until=6.01, died=True), course(until=50.0)]
    found = fit(MECHANISMS["age"], courses)
    assert found.best["age_s"] == near(6.0)
    assert int(found.each.argmin()) == 2
    assert found.each[2] < -3 < 0 < found.each[0]


# What coincides


def together(count: int, at: float = 40.0, apart: float = 2.0, **fields: Any) -> list[Course]:
    """Connections that opened one after the other and ended in one moment."""
    return [course(opened=n * apart, until=at - n * apart, died=True, moment=at, **fields) for n in range(count)]


def test_a_moment_costs_its_coincidence() -> None:
    """That all end at that very moment is one surprise among the seconds watched, however many they are."""
    for count in (2, 5):
        courses = together(count)
        found = fit(MECHANISMS["moment"], courses)
        assert found.evidence == pytest.approx(float(found.each.sum()) - math.log(40.0))
    twice = [*together(3), *(replace(one, opened=one.opened + 50, moment=90.0) for one in together(3))]
    found = fit(MECHANISMS["moment"], twice)
    assert found.evidence == pytest.approx(float(found.each.sum()) - 2 * math.log(90.0))


def test_all_or_a_share() -> None:
    """Where all end, the moment explains more; where some live on, the share."""
    every_one, some = together(6), together(3) + [course(opened=1.0, until=60.0, moment=40.0)] * 3
    for courses, better, worse in ((every_one, "moment", "share"), (some, "share", "moment")):
        assert fit(MECHANISMS[better], courses).evidence > fit(MECHANISMS[worse], courses).evidence + 1


def test_what_ends_with_one_token_is_counted_once() -> None:
    """How far the backend's clock is off is one fact: five that end 0.7 s late do not make it a better reason."""

    def expiring(count: int, late: float) -> list[Course]:
        return [replace(one, expires=one.until - late) for one in together(count)]

    def gain(late: float) -> float:
        """Of five beside two, against a moment without a reason, by each course more."""
        weights = [
            fit(MECHANISMS["expiry"], expiring(n, late)).evidence
            - fit(MECHANISMS["moment"], expiring(n, late)).evidence
            for n in (2, 5)
        ]
        return (weights[1] - weights[0]) / 3

    assert gain(0.7) == pytest.approx(0.0, abs=0.05)
    # What expires elsewhere was no matter of the token, and each of them says so.
    assert gain(25.0) < -1
