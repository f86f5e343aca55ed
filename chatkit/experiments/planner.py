"""Which arm next: the one that is expected to tell most per second of waiting.

Each hypothesis (a cause, the mechanism by which it ends lives, a point of its parameters) predicts when an arm would
end. Arms under which hypotheses predict different things part them: the expected gain of information is the entropy of
the outcomes, weighed by the belief (Lindley 1956; MacKay 1992). Arms are chosen one by one, each for what those before
it, and those that run already, will not tell: so parallel bisection of a threshold comes about by itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from chatkit.diagnosis.courses import Course
from chatkit.diagnosis.engine import Standing
from chatkit.diagnosis.mechanisms import MECHANISMS, SIZES, WINDOWS
from chatkit.diagnosis.taxonomy import causes
from chatkit.diagnosis.trials import Trials, counted
from chatkit.experiments.treatments import SILENT, TYPING_ONCE, Treatment, every, fed, first_ping, plain, sized

SETTLED = 0.95
"""Probability of a cause from which on nothing more has to be told apart."""
WORTH = 0.12
"""Bits that an arm must be expected to tell."""
SHOWN = 4.0
"""Seconds that an arm lives at least."""
FINE = 0.08
"""Relative width of the classes into which predicted ages fall."""
LEAST = 1e-3
"""Weight below which a hypothesis plays no part in planning."""
MARGIN = 1.6
"""Seconds after a predicted end for which one waits to see that it does not come."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Belief(Struct, frozen=True, kw_only=True):
    """Hypotheses with weights: one row for each cause, mechanism and point that matters."""

    causes: tuple[str, ...]
    mechanisms: tuple[str, ...]
    places: tuple[int, ...]
    """Of the point in its mechanism's grid."""
    weights: Floats
    """They add up to one."""

    def predict(self, course: Course) -> Floats:
        """Age at which each hypothesis ends the course; infinite for never."""
        known = {id: MECHANISMS[id].predict(course) for id in set(self.mechanisms) if id != "none"}
        return np.array(
            [np.inf if m == "none" else known[m][i] for m, i in zip(self.mechanisms, self.places, strict=True)]
        )


class Proposal(Struct, frozen=True, kw_only=True):
    """An arm worth running."""

    treatment: Treatment
    bits: float
    """Expected gain."""
    seconds: float
    """Until its outcome is known."""


def believe(standing: Standing) -> Belief:
    """The belief behind a standing: causes as ranked, each spread over its mechanisms and their points."""
    rows: list[tuple[str, str, int, float]] = []
    trials = standing.trials
    for hypothesis in standing.hypotheses:
        cause = causes().get(hypothesis.id)
        if cause is None or trials is None:
            rows.append((hypothesis.id, "none", 0, hypothesis.probability))
            continue
        scores = {id: math.log(share) + trials.fits[id].evidence for id, share in cause.courses.items()}
        peak = max(scores.values())
        total = sum(math.exp(score - peak) for score in scores.values())
        for id, score in scores.items():
            share = hypothesis.probability * math.exp(score - peak) / total
            if share < LEAST:
                continue
            points = trials.fits[id].posterior * share
            rows += [(cause.id, id, int(i), float(points[i])) for i in np.flatnonzero(points > LEAST * share / 20)]
    weights = np.array([row[3] for row in rows] or [1.0])
    return Belief(
        causes=tuple(row[0] for row in rows) or ("none",),
        mechanisms=tuple(row[1] for row in rows) or ("none",),
        places=tuple(row[2] for row in rows) or (0,),
        weights=weights / weights.sum(),
    )


def outcomes(belief: Belief, course: Course, age: float = 0.0) -> Ints:
    """The class of outcome that each hypothesis predicts: an age, within :data:`FINE`, or that it lives.

    Args:
        belief: the hypotheses.
        course: what is planned, with the last age that will be watched.
        age: seconds that it has lived already: what should have ended it before counts as living.
    """
    predicted = belief.predict(course)
    ends = np.isfinite(predicted) & (predicted <= course.until) & (predicted >= age)
    return np.where(ends, np.round(np.log(np.maximum(predicted, 0.05)) / FINE), -10_000).astype(np.int64)


def entropy(classes: Ints, weights: Floats) -> float:
    """Of the outcome, in bits."""
    _, inverse = np.unique(classes, return_inverse=True)
    shares = np.bincount(inverse.ravel(), weights=weights)
    shares = shares[shares > 0]
    return float(-(shares * np.log2(shares)).sum())


def _joined(one: Ints, other: Ints) -> Ints:
    """Classes of two outcomes together."""
    _, first = np.unique(one, return_inverse=True)
    _, second = np.unique(other, return_inverse=True)
    return np.asarray(first.ravel() * (int(second.max()) + 1) + second.ravel(), dtype=np.int64)


def candidates(
    trials: Trials | None, *, chat: bool, intrusive: bool = False, period: float = 2.0
) -> tuple[Treatment, ...]:
    """Arms that could be run now, within the permitted politeness."""
    found = [SILENT, *(every(p, what) for p in (period, 5.0) for what in ("app-ping", "protocol-ping", "typing"))]
    found += [every(0.5, what) for what in ("app-ping", "protocol-ping")]
    found += [plain(), TYPING_ONCE]
    offsets = _offsets(trials)
    found += [first_ping(at, what) for at in offsets for what in ("app-ping", "protocol-ping")]
    found += [sized(size) for size in _sizes(trials)]
    found += [fed(max(2.0, round(_timeout(trials) / 3, 1)))]
    permitted = {"read-only", *(["chatty"] if chat else []), *(["intrusive"] if intrusive else [])}
    return tuple(one for one in found if one.politeness in permitted)


def _offsets(trials: Trials | None) -> list[float]:
    """Ages at which a first ping would part the windows that are still possible."""
    if trials is None:
        return [0.0, 1.0, 2.0, 4.0]
    shares: dict[float, float] = {}
    for point, share in zip(trials.fits["early"].points, trials.fits["early"].posterior.tolist(), strict=True):
        shares[point["window_s"]] = shares.get(point["window_s"], 0.0) + share
    below = np.cumsum([shares[window] for window in WINDOWS.tolist()])
    return sorted({round(float(WINDOWS[int(np.searchsorted(below, q).clip(max=len(WINDOWS) - 1))]), 2)
                   for q in (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875)})  # fmt: skip


def _sizes(trials: Trials | None) -> list[int]:
    """Sizes that would part the limits that are still possible."""
    if trials is None:
        return []
    below = np.cumsum(trials.fits["size"].posterior)
    places = [int(np.searchsorted(below, q).clip(max=len(SIZES) - 1)) for q in (0.2, 0.35, 0.5, 0.65, 0.8)]
    # Just above a limit of the grid, so that it tells this limit from the next.
    return sorted({int(SIZES[place]) + 1 for place in places})


def _timeout(trials: Trials | None) -> float:
    """The idle time-out that is likeliest now, seconds."""
    return float(trials.fits["idle"].best["timeout_s"]) if trials is not None else 6.0


def propose(
    standing: Standing,
    running: Iterable[tuple[Treatment, float]],
    *,
    left: float,
    room: int,
    chat: bool,
    intrusive: bool = False,
) -> list[Proposal]:
    """The arms to start now, most telling first.

    Args:
        standing: what is known.
        running: treatment and age of each arm that lives.
        left: seconds of the budget that are left.
        room: arms that may be started.
        chat: whether chat messages are permitted.
        intrusive: whether large messages are.
    """
    belief = believe(standing)
    known = np.zeros(len(belief.weights), dtype=np.int64)
    for treatment, age in running:
        known = _joined(known, outcomes(belief, treatment.course(age + left), age))
    pool = [
        (one, outcomes(belief, one.course(left))) for one in candidates(standing.trials, chat=chat, intrusive=intrusive)
    ]
    waits = {treatment.id: _wait(belief, treatment, left) for treatment, _ in pool}
    chosen: list[Proposal] = []
    while len(chosen) < room and pool:
        base = entropy(known, belief.weights)
        rated = [
            (entropy(_joined(known, classes), belief.weights) - base, treatment, classes) for treatment, classes in pool
        ]
        bits, best, classes = max(rated, key=lambda one: one[0] / (waits[one[1].id] + 2.0))
        if bits < WORTH:
            break
        chosen.append(Proposal(treatment=best, bits=round(bits, 3), seconds=round(waits[best.id], 2)))
        known = _joined(known, classes)
        pool = [one for one in pool if one[0].id != best.id]
    return chosen


def spare(standing: Standing, running: Sequence[tuple[Treatment, float]], *, left: float) -> list[int]:
    """Places of arms that have shown what they could: whatever is true, nothing is expected of them any more."""
    belief = believe(standing)
    rated = [
        (entropy(outcomes(belief, treatment.course(age + left), age), belief.weights), place)
        for place, (treatment, age) in enumerate(running)
        if age >= SHOWN
    ]
    return [place for bits, place in sorted(rated) if bits < WORTH / 2]


def _wait(belief: Belief, treatment: Treatment, left: float) -> float:
    """Seconds until the outcome of an arm is known: the latest end that is worth waiting for."""
    predicted = belief.predict(treatment.course(left))
    seen = np.isfinite(predicted) & (predicted <= left)
    if not seen.any():
        return left
    order = np.argsort(predicted[seen])
    shares = np.cumsum(belief.weights[seen][order])
    place = int(np.searchsorted(shares, 0.95 * shares[-1]))
    return min(left, float(predicted[seen][order][min(place, len(order) - 1)]) + MARGIN)


def settled(standing: Standing) -> bool:
    """Whether one cause stands above all others."""
    if standing.diagnosis.verdict != "fault" or not standing.diagnosis.causes:
        return False
    return standing.diagnosis.causes[0].confidence >= SETTLED


def measured_well(
    standing: Standing,
    running: Sequence[tuple[Treatment, float]],
    *,
    left: float,
    chat: bool,
    intrusive: bool = False,
) -> bool:
    """Whether no arm that could still be run, or runs, would tell more of the parameters."""
    trials = standing.trials
    if trials is None or not standing.hypotheses:
        return True
    cause = causes().get(standing.hypotheses[0].id)
    if cause is None:
        return False
    belief = believe(standing)
    mine = np.array([one == cause.id for one in belief.causes])
    if not mine.any():
        return True
    sure = Belief(
        causes=tuple(np.array(belief.causes)[mine].tolist()),
        mechanisms=tuple(np.array(belief.mechanisms)[mine].tolist()),
        places=tuple(np.array(belief.places)[mine].tolist()),
        weights=belief.weights[mine] / belief.weights[mine].sum(),
    )
    arms = [(outcomes(sure, treatment.course(age + left), age)) for treatment, age in running]
    arms += [outcomes(sure, treatment.course(left)) for treatment in candidates(trials, chat=chat, intrusive=intrusive)]
    return all(entropy(classes, sure.weights) < WORTH for classes in arms)


def open_question(standing: Standing) -> str:
    """What is being parted, in words."""
    first = [one for one in standing.hypotheses if one.probability >= 0.05][:3]
    if standing.trials is not None and first and first[0].id == "idle-timeout" and first[0].probability >= SETTLED:
        kinds = [kind for kind, share in counted(standing.trials.fits["idle"]).items() if share > 0.05]
        return f"which activity counts: {', '.join(kinds)}"
    return " or ".join(one.id for one in first) or "whether anything ends a connection"
