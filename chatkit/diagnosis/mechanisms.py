"""How causes end lives: mechanisms with parameters, each of which says of any course when it would end.

A mechanism is a rule in time (an idle time-out of T seconds that counts only pings; an abort after a ping within W
seconds of the opening). Its parameters lie on a grid: times on a logarithmic one, with extra mass on the defaults of
known infrastructure. For each point it predicts the end of each course; a kernel around that age gives the likelihood
of what was seen, and a small share is kept for ends that have another reason. The same predictions tell what an arm
would show before it is run.

A cause spreads over mechanisms (``courses`` in ``causes.toml``): a time-out is one rule, an error of a handler may
follow an action, an age or nothing at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from chatkit.diagnosis.courses import Course
from chatkit.diagnosis.facts import ACTIVITY
from chatkit.diagnosis.limits import limits

Floats = NDArray[np.float64]

SHORTEST, LONGEST, STEP = 0.5, 4000.0, 0.01
"""Seconds between which time-outs lie, and the relative step of their grid."""
USUAL = 3.0
"""Seconds below which a timer of an infrastructure is a rarity."""
KNOWN_WEIGHT = 4.0
"""How much likelier the default of a known product is than its neighbours."""
ODD = 0.02
"""Share of ends that have another reason than the one that explains the rest."""
WINDOWS = np.exp(np.linspace(math.log(0.08), math.log(16.0), 54))
"""Seconds after the opening within which a ping may be too early: a tenth apart."""
SIZES = np.array([2.0 ** (n / 8) for n in range(7 * 8, 25 * 8)])
"""Bytes: limits of messages, a twelfth apart."""
RATES = np.array([1.0, 2, 3, 4, 5, 8, 10, 20])
"""Frames a second."""
CROWDS = np.arange(1.0, 13.0)
"""Connections at once."""
HAZARDS = np.array([10.0**n for n in np.linspace(-4, 0, 17)])
"""Ends per second of life."""
CUT = 1.5
"""Seconds by which ``exp``, in whole seconds, may be before the end that it means."""
PINGS = ("app-ping", "protocol-ping")
TRIGGERS = ("typing", "sync", "message", "chat", "app-ping", "protocol-ping", "any-ping")
NEVER = np.inf


class Grid(Struct, frozen=True, kw_only=True):
    """The parameters of a mechanism: one point each, with its share of the prior."""

    points: tuple[dict[str, Any], ...]
    weights: Floats
    """Logarithms; they add up to one."""


class Mechanism(Struct, frozen=True, kw_only=True):
    """One rule of ending."""

    id: str
    grid: Callable[[], Grid]
    predict: Callable[[Course], Floats]
    """Age at which the course ends, for each point of the grid; infinite for never."""
    kernel: str
    """How exactly an end follows its prediction: ``timer``, ``reaction``, ``expiry``, ``moment`` (all that are open),
    ``share`` (each of them or not), ``hazard`` (no prediction, a rate)."""


# Grids


def _grid(points: Sequence[dict[str, Any]], weights: Sequence[float] | Floats | None = None) -> Grid:
    share = np.ones(len(points)) if weights is None else np.asarray(weights, dtype=float)
    return Grid(points=tuple(points), weights=np.log(share / share.sum()))


@cache
def times() -> Floats:
    """Seconds, evenly on a logarithmic scale."""
    return np.asarray(np.exp(np.arange(math.log(SHORTEST), math.log(LONGEST), STEP)))


@cache
def _time_weights(kind: str) -> Floats:
    found = np.where(times() < USUAL, 0.3, 1.0)
    for limit in limits():
        if limit.kind == kind and limit.unit == "s" and SHORTEST < limit.default < LONGEST:
            nearest = int(np.argmin(np.abs(np.log(times() / limit.default))))
            found[max(0, nearest - 1) : nearest + 2] = KNOWN_WEIGHT
    return found


COUNTED = {"any": 0.5, "inbound": 0.12, "outbound": 0.08, "data-frames": 0.15, "app-ping": 0.08, "protocol-ping": 0.07}
"""What an idle time-out counts, how often: proxies count bytes."""


@cache
def _idle_grid() -> Grid:
    points = [{"timeout_s": float(t), "counts": kind} for kind in ACTIVITY for t in times()]
    return _grid(points, np.concatenate([COUNTED[kind] * _time_weights("idle") for kind in ACTIVITY]))


@cache
def _age_grid() -> Grid:
    return _grid([{"age_s": float(t)} for t in times()], _time_weights("age"))


@cache
def _early_grid() -> Grid:
    points = [{"window_s": float(w), "ping": kind} for kind in (*PINGS, "both") for w in WINDOWS]
    return _grid(points, [share for share in (0.4, 0.15, 0.45) for _ in WINDOWS])


@cache
def _trigger_grid() -> Grid:
    return _grid([{"trigger": what} for what in TRIGGERS], [0.25, 0.1, 0.18, 0.22, 0.1, 0.05, 0.1])


@cache
def _size_grid() -> Grid:
    # Powers of two, and ten thousands, are what people set.
    round_ = np.abs(np.log2(SIZES) - np.round(np.log2(SIZES))) < 1e-6
    return _grid([{"limit_bytes": float(size)} for size in SIZES], np.where(round_, KNOWN_WEIGHT, 1.0))


@cache
def _rate_grid() -> Grid:
    return _grid([{"rate": float(rate)} for rate in RATES])


@cache
def _crowd_grid() -> Grid:
    return _grid([{"limit_connections": int(n)} for n in CROWDS])


@cache
def _hazard_grid() -> Grid:
    return _grid([{"hazard_per_s": float(h)} for h in HAZARDS])


@cache
def _directions() -> Grid:
    return _grid([{"direction": "outbound"}, {"direction": "inbound"}])


@cache
def _one_point() -> Grid:
    return _grid([{}])


# Predictions


def _idle(course: Course) -> Floats:
    return np.concatenate([_quiet(course.activity.get(kind, ())) for kind in ACTIVITY])


def _quiet(ages: Sequence[float]) -> Floats:
    """The first age at which a quiet of each length is complete."""
    begins = np.concatenate(([0.0], np.sort(np.asarray(ages, dtype=float))))
    gaps = np.append(np.diff(begins), np.inf)
    longest = np.maximum.accumulate(gaps)
    return np.asarray(begins[np.searchsorted(longest, times(), side="right").clip(max=len(begins) - 1)] + times())


def _age(course: Course) -> Floats:
    return times()


def _early(course: Course) -> Floats:
    first = {kind: next((act.age for act in course.acts if act.what == kind), NEVER) for kind in PINGS}
    first["both"] = min(first.values())
    return np.concatenate([np.where(first[kind] < WINDOWS, first[kind], NEVER) for kind in (*PINGS, "both")])


def _trigger(course: Course) -> Floats:
    first = {what: next((act.age for act in course.acts if act.what == what), NEVER) for what in TRIGGERS}
    first["any-ping"] = min(first[kind] for kind in PINGS)
    return np.array([first[what] for what in TRIGGERS])


def _size(course: Course) -> Floats:
    found = np.full(len(SIZES), NEVER)
    for act in reversed(course.acts):
        found[act.size > SIZES] = act.age
    return found


def _rate(course: Course) -> Floats:
    ages = np.array([act.age for act in course.acts])
    found = np.full(len(RATES), NEVER)
    for place, rate in enumerate(RATES):
        step = int(rate)
        if len(ages) > step:
            hits = np.flatnonzero(ages[step:] - ages[:-step] < 1.0)
            found[place] = ages[step:][hits[0]] if len(hits) else NEVER
    return found


def _crowd(course: Course) -> Floats:
    return np.where(course.beside >= CROWDS, 0.0, NEVER)


def _at(age: float | None) -> Floats:
    return np.array([NEVER if age is None or age < 0 else age])


def _packed(course: Course) -> Floats:
    return np.concatenate([_at(course.compressed), _at(course.inflated)])


def _expiry(course: Course) -> Floats:
    # ``exp`` is cut to the second: one that was opened a moment after it ends at once.
    just = course.expires is not None and -CUT < course.expires < 0
    return _at(0.0 if just else course.expires)


def _moment(course: Course) -> Floats:
    return _at(course.moment - course.opened if course.moment is not None else None)


MECHANISMS: dict[str, Mechanism] = {
    one.id: one
    for one in (
        Mechanism(id="idle", grid=_idle_grid, predict=_idle, kernel="timer"),
        Mechanism(id="age", grid=_age_grid, predict=_age, kernel="timer"),
        Mechanism(id="early", grid=_early_grid, predict=_early, kernel="reaction"),
        Mechanism(id="trigger", grid=_trigger_grid, predict=_trigger, kernel="reaction"),
        Mechanism(id="size", grid=_size_grid, predict=_size, kernel="reaction"),
        Mechanism(id="rate", grid=_rate_grid, predict=_rate, kernel="reaction"),
        Mechanism(id="compressed", grid=_directions, predict=_packed, kernel="reaction"),
        Mechanism(
            id="deflated",
            grid=_one_point,
            predict=lambda c: _at(0.0 if c.deflated else None),
            kernel="reaction",
        ),
        Mechanism(
            id="rival", grid=_one_point, predict=lambda c: _at(c.rivals[0] if c.rivals else None), kernel="reaction"
        ),
        Mechanism(id="crowded", grid=_crowd_grid, predict=_crowd, kernel="reaction"),
        Mechanism(id="expiry", grid=_one_point, predict=_expiry, kernel="expiry"),
        Mechanism(id="instant", grid=_one_point, predict=lambda c: np.zeros(1), kernel="reaction"),
        Mechanism(id="moment", grid=_one_point, predict=_moment, kernel="moment"),
        Mechanism(id="share", grid=_one_point, predict=_moment, kernel="share"),
        Mechanism(
            id="free", grid=_hazard_grid, predict=lambda c: np.full(len(HAZARDS), NEVER), kernel="hazard"
        ),
    )
}  # fmt: skip


# Likelihoods

_WIDTHS = {"expiry": 1.2, "moment": 0.15, "share": 0.15}
"""Seconds: ``exp`` counts whole seconds and clocks differ; what ends together ends within the same few ticks."""
_SPREAD = math.log((LONGEST + 0.3) / 0.3)


def _odd_density(age: float) -> float:
    """Of an end that has another reason: any age, evenly on a logarithmic scale."""
    return 1.0 / ((age + 0.3) * _SPREAD)


def _odd_survival(age: float) -> float:
    return max(0.05, 1.0 - math.log((age + 0.3) / 0.3) / _SPREAD)


def log_likelihood(mechanism: Mechanism, course: Course, predicted: Floats) -> Floats:
    """Of what became of one course, for each point of the grid. Densities are per second."""
    if mechanism.kernel == "hazard":
        return np.asarray(np.log(HAZARDS) * course.died - HAZARDS * max(course.until, 0.01))
    late = course.until - predicted
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        if course.died:
            hit = _density(mechanism.kernel, late, predicted)
            hit = np.where(np.isfinite(predicted), hit, 0.0)
            return np.asarray(np.log((1 - ODD) * hit + ODD * _odd_density(course.until)))
        left = _survival(mechanism.kernel, late, predicted)
        left = np.where(np.isfinite(predicted), left, 1.0)
        return np.asarray(np.log((1 - ODD) * left + ODD * _odd_survival(course.until)))


def _density(kernel: str, late: Floats, predicted: Floats) -> Floats:
    if kernel == "timer":
        width = 0.03 + 0.005 * predicted
        sharp = np.exp(-np.abs(late) / width) / (2 * width)
        polled = np.where((late >= 0) & (late <= 1.2), 1 / 1.2, 0.0)
        swept = np.where((late >= 0) & (late <= predicted), 1 / np.maximum(predicted, 0.1), 0.0)
        return np.asarray(0.72 * sharp + 0.2 * polled + 0.08 * swept)
    if kernel == "reaction":
        quick = np.where(late >= -0.005, np.exp(-np.maximum(late, 0) / 0.2) / 0.2, 0.0)
        slow = np.where((late >= -0.005) & (late <= 1.5), 1 / 1.5, 0.0)
        return np.asarray(0.7 * quick + 0.3 * slow)
    about = _WIDTHS[kernel]
    certain = 0.5 if kernel == "share" else 1.0
    return np.asarray(certain * np.exp(-np.abs(late) / about) / (2 * about))


def _survival(kernel: str, late: Floats, predicted: Floats) -> Floats:
    """Probability of an end later than what was watched."""
    if kernel == "timer":
        width = 0.03 + 0.005 * predicted
        polled = 1 - np.clip(late / 1.2, 0, 1)
        swept = 1 - np.clip(late / np.maximum(predicted, 0.1), 0, 1)
        return np.asarray(0.72 * _laplace(late, width) + 0.2 * polled + 0.08 * swept)
    if kernel == "reaction":
        return np.asarray(0.7 * np.exp(-np.maximum(late, 0) / 0.2) + 0.3 * (1 - np.clip(late / 1.5, 0, 1)))
    left = _laplace(late, np.asarray(_WIDTHS[kernel]))
    return 0.5 + 0.5 * left if kernel == "share" else left


def _laplace(late: Floats, width: Floats) -> Floats:
    half = 0.5 * np.exp(-np.abs(late) / width)
    return np.where(late < 0, 1 - half, half)


class Fit(Struct, frozen=True, kw_only=True):
    """How well a mechanism explains courses."""

    mechanism: str
    evidence: float
    """Logarithm of the probability (density) of all courses, over the whole grid."""
    posterior: Floats
    """Of each point of the grid; they add up to one."""
    each: Floats
    """Logarithms by course, at the best point."""
    best: dict[str, Any]
    """Parameters of the best point."""

    @property
    def points(self) -> tuple[dict[str, Any], ...]:
        """Of the grid."""
        return MECHANISMS[self.mechanism].grid().points


def fit(mechanism: Mechanism, courses: Sequence[Course]) -> Fit:
    """Weighs every point of the mechanism's grid by what became of the courses."""
    grid = mechanism.grid()
    each: Floats = np.stack([log_likelihood(mechanism, course, mechanism.predict(course)) for course in courses])
    score: Floats = np.asarray(grid.weights + each.sum(axis=0))
    if mechanism.kernel in ("moment", "share"):
        score = np.asarray(score + _coincidence(courses))
    if mechanism.kernel == "expiry":
        score = np.asarray(score + _counted_once(mechanism, courses, each))
    peak = float(score.max())
    total = float(np.exp(score - peak).sum())
    best = int(score.argmax())
    return Fit(
        mechanism=mechanism.id,
        evidence=peak + math.log(total),
        posterior=np.exp(score - peak) / total,
        each=each[:, best],
        best=dict(grid.points[best]),
    )


def _coincidence(courses: Sequence[Course]) -> float:
    """That it happened at that moment and no other of the time that was watched: each moment is one surprise."""
    moments = {round(course.moment, 3) for course in courses if course.died and course.moment is not None}
    watched = max((c.opened + c.until for c in courses), default=1.0) - min((c.opened for c in courses), default=0.0)
    return -len(moments) * math.log(max(watched, 1.0))


def _counted_once(mechanism: Mechanism, courses: Sequence[Course], each: Floats) -> float:
    """Several that end with one token at one moment: how far that is off ``exp`` is one fact and not many."""
    extra, seen = 0.0, set()
    for course, score in zip(courses, each[:, 0], strict=True):
        if not course.died or course.moment is None:
            continue
        if course.moment in seen and score > math.log(ODD):
            sharp = _density("moment", np.array([course.opened + course.until - course.moment]), np.zeros(1))
            extra += max(0.0, math.log(max(float(sharp[0]), 1e-9)) - float(score))
        seen.add(course.moment)
    return extra


def fits(courses: Sequence[Course]) -> dict[str, Fit]:
    """Of every mechanism."""
    return {id: fit(mechanism, courses) for id, mechanism in MECHANISMS.items()}
