"""How long connections live: Kaplan–Meier curves with their bands, hazards, and whether two cohorts differ; pure.

Durations are seconds; a life that ended otherwise than by death (it goes on, or the client said goodbye) is censored:
it counts as long as it was watched. Only the log-rank test needs scipy, and only when it is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from msgspec import Struct

from chatkit.diagnosis.lives import Lives, lives
from chatkit.diagnosis.pattern import Fit, Pattern, pattern
from chatkit.errors import InvalidInput, MissingDependency

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Curve", "Fit", "Hazard", "Lives", "LogRank", "Pattern",
    "curves", "hazard", "kaplan_meier", "lives", "log_rank", "pattern", "rate",
]  # fmt: skip


class Curve(Struct, frozen=True, kw_only=True, eq=False):
    """A step curve: the share that is still alive after each moment of death, from (0, 1)."""

    time: NDArray[np.float64]
    """Seconds: 0, then each duration at which somebody died, ascending."""
    survival: NDArray[np.float64]
    low: NDArray[np.float64]
    """Pointwise band: Greenwood's variance on the log(-log) scale, which stays within 0 and 1."""
    high: NDArray[np.float64]
    at_risk: NDArray[np.int64]
    """Lives watched until just before each moment."""
    deaths: NDArray[np.int64]
    censored: NDArray[np.float64]
    """Seconds, ascending: how long the others were watched; of lives counted together, each duration once."""
    n: int
    events: int
    """Deaths; the other lives are censored."""
    last: float
    """The longest duration watched, seconds: the curve says nothing beyond."""
    confidence: float

    @property
    def median(self) -> float | None:
        """Seconds after which half are gone; ``None`` where more than half were alive at the end."""
        # A product of shares that is one half, but for rounding, is one half.
        gone = np.flatnonzero(self.survival <= 0.5 + 1e-12)
        return float(self.time[gone[0]]) if len(gone) else None

    def at(self, seconds: float) -> float:
        """The share alive after so many seconds."""
        return float(self.survival[max(int(np.searchsorted(self.time, seconds, "right")) - 1, 0)])

    def __str__(self) -> str:
        half = "more than half lived on" if self.median is None else f"median {self.median:.4g} s"
        return f"{self.n:,} lives, {self.events:,} deaths, {half}"


class Hazard(NamedTuple):
    """Deaths per second of watched life, with its interval: all of an exponential survival."""

    per_s: float
    low: float
    high: float
    deaths: int
    exposure: float
    """Seconds lived by all together."""


class LogRank(NamedTuple):
    """Whether cohorts die alike: a small ``p`` says that they do not."""

    statistic: float
    freedom: int
    p: float
    observed: dict[str, int]
    expected: dict[str, float]
    """Deaths by cohort if all died alike."""


def kaplan_meier(
    duration: ArrayLike, died: ArrayLike, *, lives: ArrayLike | None = None, confidence: float = 0.95
) -> Curve:
    """The product-limit estimator (Kaplan and Meier 1958).

    Args:
        duration: seconds, one per life; lives of unknown duration (NaN) are left out.
        died: whether each life ended by death; else it is censored at its duration.
        lives: how many lives each entry stands for, where equal ones were counted together; else one.
        confidence: of the band.

    Raises:
        InvalidInput: the columns differ in length, a duration is negative, or the confidence is no share.
    """
    count = np.ones(np.shape(duration), np.int64) if lives is None else np.asarray(lives, np.int64)
    if count.shape != np.shape(duration):
        raise InvalidInput("counts do not match", expected="one for each duration", got=count.shape)
    count = count[~np.isnan(np.asarray(duration, np.float64))]
    seconds, dead = _columns(duration, died)
    _check_confidence(confidence)
    time, deaths, at_risk = _steps(seconds, dead, count)
    n = int(count.sum())
    alive = (at_risk - deaths) / at_risk
    survival = np.cumprod(alive).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        greenwood = np.cumsum(deaths / (at_risk * (at_risk - deaths.astype(np.float64))))
    low, high = _band(survival, greenwood, confidence)
    return Curve(
        time=np.concatenate(([0.0], time)),
        survival=np.concatenate(([1.0], survival)),
        low=np.concatenate(([1.0], low)),
        high=np.concatenate(([1.0], high)),
        at_risk=np.concatenate(([n], at_risk)),
        deaths=np.concatenate(([0], deaths)),
        censored=np.sort(seconds[~dead]),
        n=n,
        events=int(count[dead].sum()),
        last=float(seconds.max()) if len(seconds) else 0.0,
        confidence=confidence,
    )


def curves(lives: Lives, *, confidence: float = 0.95) -> dict[str, Curve]:
    """A curve for each cohort, in the order of first appearance."""
    parts = {cohort: lives.of(cohort) for cohort in lives.cohorts}
    return {cohort: kaplan_meier(part.age, part.died, confidence=confidence) for cohort, part in parts.items()}


def hazard(duration: ArrayLike, died: ArrayLike, *, confidence: float = 0.95) -> Hazard:
    """Deaths per second under the assumption that it is the same at every age.

    The interval is the exact one of a Poisson count (Garwood 1936); without a death its lower end is 0, and without a
    second of life nothing is known: NaN, from 0 to infinity.
    """
    seconds, dead = _columns(duration, died)
    return rate(int(dead.sum()), float(seconds.sum()), confidence=confidence)


def rate(deaths: int, exposure: float, *, confidence: float = 0.95) -> Hazard:
    """As :func:`hazard`, of deaths that were counted and the seconds that all lived together."""
    _check_confidence(confidence)
    if exposure == 0:
        return Hazard(math.nan, 0.0, math.inf, deaths, exposure)
    tail = (1 - confidence) / 2
    low = _poisson_mean(deaths - 1, 1 - tail) if deaths else 0.0
    return Hazard(deaths / exposure, low / exposure, _poisson_mean(deaths, tail) / exposure, deaths, exposure)


def log_rank(cohorts: Mapping[str, tuple[ArrayLike, ArrayLike]]) -> LogRank:
    """The log-rank test (Mantel 1966) of two or more cohorts: names, and each one's durations and deaths.

    Raises:
        InvalidInput: there are fewer than two cohorts with lives, or nobody died.
        MissingDependency: scipy is not installed.
    """
    try:
        from scipy.special import chdtrc
    except ImportError:
        raise MissingDependency("the log-rank test", package="scipy", extra="statistics") from None
    columns = {name: _columns(*pair) for name, pair in cohorts.items()}
    columns = {name: pair for name, pair in columns.items() if len(pair[0])}
    if len(columns) < 2:
        raise InvalidInput("nothing to compare", expected="two or more cohorts with lives", got=list(columns))
    if not any(dead.any() for _, dead in columns.values()):
        raise InvalidInput("nothing to compare", expected="a death in some cohort", got="none")
    observed, expected, variance = _compare(list(columns.values()))
    off = (observed - expected)[:-1]
    statistic = float(off @ np.linalg.pinv(variance[:-1, :-1], hermitian=True) @ off)
    freedom = len(columns) - 1
    return LogRank(
        statistic,
        freedom,
        float(chdtrc(freedom, statistic)),
        dict(zip(columns, observed.astype(int).tolist(), strict=True)),
        dict(zip(columns, expected.tolist(), strict=True)),
    )


def _columns(duration: ArrayLike, died: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    seconds, dead = np.asarray(duration, np.float64), np.asarray(died, np.bool_)
    if seconds.ndim != 1 or seconds.shape != dead.shape:
        raise InvalidInput(
            "durations and deaths do not match", expected="two columns of equal length", got=[seconds.shape, dead.shape]
        )
    known = ~np.isnan(seconds)
    if (seconds[known] < 0).any() or np.isinf(seconds).any():
        raise InvalidInput("no such duration", expected="seconds >= 0", got=seconds[known].min())
    return seconds[known], dead[known]


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise InvalidInput("no such confidence", expected="a share between 0 and 1, as 0.95", got=confidence)


def _steps(
    seconds: NDArray[np.float64], dead: NDArray[np.bool_], count: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Durations at which somebody died, how many did, and how many were watched until then."""
    order = np.argsort(seconds, kind="stable")
    seconds, dead, count = seconds[order], dead[order], count[order]
    time, first = np.unique(seconds[dead], return_index=True)
    fallen = np.concatenate(([0], np.cumsum(count[dead])))
    deaths = np.diff(fallen[np.concatenate((first, [len(fallen) - 1]))])
    gone = np.concatenate(([0], np.cumsum(count)))
    at_risk = gone[-1] - gone[np.searchsorted(seconds, time, "left")]
    return time, deaths.astype(np.int64), at_risk.astype(np.int64)


def _band(
    survival: NDArray[np.float64], greenwood: NDArray[np.float64], confidence: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where all are gone the variance is not defined: from 0 to the last upper end that was."""
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        width = np.exp(z * np.sqrt(greenwood) / -np.log(survival))
        low, high = survival**width, survival ** (1 / width)
    gone = survival <= 0
    if gone.any():
        low[gone], high[gone] = 0.0, (high[~gone][-1] if (~gone).any() else 1.0)
    return low, high


def _poisson_mean(count: int, tail: float) -> float:
    """The mean for which a Poisson number is at most ``count`` with the probability ``tail``.

    Above a thousand the cube-root approximation of Wilson and Hilferty (1931) is right to six digits.
    """
    if count >= 1000:
        k = count + 1
        return float(k * (1 - 1 / (9 * k) + NormalDist().inv_cdf(1 - tail) / (3 * math.sqrt(k))) ** 3)
    terms = np.array([math.lgamma(k + 1) for k in range(count + 1)])
    numbers = np.arange(count + 1)
    low, high = 0.0, count + 10 * math.sqrt(count + 1) + 20 + 2 * math.log(1 / tail)
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        below = float(np.exp(numbers * math.log(middle) - middle - terms).sum())
        low, high = (middle, high) if below > tail else (low, middle)
    return (low + high) / 2


def _compare(
    columns: list[tuple[NDArray[np.float64], NDArray[np.bool_]]],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """By cohort: deaths, deaths expected if all died alike, and the covariance of the difference."""
    time = np.unique(np.concatenate([seconds[dead] for seconds, dead in columns]))
    risk = np.array([len(s) - np.searchsorted(np.sort(s), time, "left") for s, _ in columns], np.float64)
    deaths = np.array([_at(time, seconds[dead]) for seconds, dead in columns], np.float64)
    risks, all_deaths = risk.sum(axis=0), deaths.sum(axis=0)
    share = risk / risks
    spread = np.divide(all_deaths * (risks - all_deaths), risks - 1, out=np.zeros_like(risks), where=risks > 1)
    variance = np.diag((share * spread).sum(axis=1)) - (share * spread) @ share.T
    return deaths.sum(axis=1), (share * all_deaths).sum(axis=1), variance


def _at(time: NDArray[np.float64], deaths: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.bincount(np.searchsorted(time, deaths), minlength=len(time))
