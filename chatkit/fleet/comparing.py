"""Which cohorts drop sooner, or are refused more often, and how sure that is; pure.

A cohort is compared with all other connections of its column. Hazard ratio: Cox's model with one covariate, solved over
lives that were counted by their duration (ties after Breslow 1974); its p is that of the log-rank test, which is the
model's score test. Risk ratio: with Katz's interval on the logarithm, and the test of two proportions. Many tests are
made at once: the p-values are corrected after Holm (1979), which needs no independence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from chatkit.errors import InvalidInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST = 20
"""Lives, or attempts, of a cohort that is compared."""
SIGNIFICANT = 0.05
"""Corrected p-value below which two cohorts differ."""
_STEPS = 50
"""Of Newton's method; a dozen is usual."""
_STEEP = 30.0
"""Logarithm of a hazard ratio beyond which it is without bound."""


class Counts(Struct, frozen=True, kw_only=True, eq=False):
    """Lives of one cohort, counted by their duration; columns of equal length."""

    seconds: NDArray[np.float64]
    """Ascending, each once."""
    deaths: NDArray[np.int64]
    others: NDArray[np.int64]
    """Lives that were watched so long and did not die: they ended well or go on."""

    @property
    def lives(self) -> int:
        """How many."""
        return int(self.deaths.sum() + self.others.sum())

    @property
    def died(self) -> int:
        """How many of them."""
        return int(self.deaths.sum())


class Ratio(NamedTuple):
    """How many times as often, with its interval; from 0 to infinity where nothing is known."""

    value: float
    low: float
    high: float
    p: float


class Cohort(Struct, frozen=True, kw_only=True):
    """One value of one column against all others."""

    by: str
    """The column."""
    value: str
    measure: str
    """``drops`` (hazard ratio) or ``refusals`` (risk ratio)."""
    ratio: Ratio
    n: int
    """Lives, or attempts."""
    events: int
    """Deaths, or refusals, among them."""
    others: int
    """Lives, or attempts, of the others."""
    other_events: int
    p: float
    """Corrected for all comparisons of the analysis."""

    @property
    def differs(self) -> bool:
        """Whether the difference is more than chance makes."""
        return self.p < SIGNIFICANT

    def to_dict(self) -> dict[str, object]:
        """As JSON; a bound that is infinite is null."""
        return {
            "by": self.by,
            "value": self.value,
            "measure": self.measure,
            "ratio": _finite(self.ratio.value),
            "low": _finite(self.ratio.low),
            "high": _finite(self.ratio.high),
            "n": self.n,
            "events": self.events,
            "others": self.others,
            "other_events": self.other_events,
            "p": self.ratio.p,
            "p_corrected": self.p,
            "differs": self.differs,
        }


def compare(
    lives: Mapping[str, Mapping[str, Counts]], attempts: Mapping[str, Mapping[str, tuple[int, int]]]
) -> tuple[Cohort, ...]:
    """All cohorts of all columns, those that differ first, the strongest effect for the worse at the top.

    Args:
        lives: by column and value.
        attempts: by column and value: attempts, and how many of them were refused.
    """
    found = [one for by, cohorts in lives.items() for one in _drops(by, cohorts)]
    found += [one for by, cohorts in attempts.items() for one in _refusals(by, cohorts)]
    corrected = holm([one.ratio.p for one in found])
    found = [replace(one, p=p) for one, p in zip(found, corrected, strict=True)]
    return tuple(
        sorted(found, key=lambda one: (not one.differs, -one.ratio.low if one.differs else one.p, one.by, one.value))
    )


def _drops(by: str, cohorts: Mapping[str, Counts]) -> list[Cohort]:
    big = {value: one for value, one in cohorts.items() if one.lives >= FEWEST}
    if len(big) < 2 or not any(one.died for one in cohorts.values()):
        return []
    seconds = np.unique(np.concatenate([one.seconds for one in cohorts.values()]))
    spread = {value: _on(seconds, one) for value, one in cohorts.items()}
    deaths = np.sum([one[0] for one in spread.values()], axis=0)
    ended = np.sum([one[1] for one in spread.values()], axis=0)
    found = []
    for value, one in big.items():
        mine, gone = spread[value]
        ratio = hazard_ratio(mine, gone, deaths - mine, ended - gone)
        rest, rest_died = int(ended.sum()) - one.lives, int(deaths.sum()) - one.died
        told = {"n": one.lives, "events": one.died, "others": rest, "other_events": rest_died}
        found.append(Cohort(by=by, value=value, measure="drops", ratio=ratio, p=ratio.p, **told))
    return found


def _on(seconds: NDArray[np.float64], one: Counts) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Deaths, and all lives that ended, at each of these durations."""
    places = np.searchsorted(seconds, one.seconds)
    deaths, ended = np.zeros(len(seconds), np.int64), np.zeros(len(seconds), np.int64)
    deaths[places], ended[places] = one.deaths, one.deaths + one.others
    return deaths, ended


def _refusals(by: str, cohorts: Mapping[str, tuple[int, int]]) -> list[Cohort]:
    big = {value: one for value, one in cohorts.items() if one[0] >= FEWEST}
    n, refused = sum(one[0] for one in cohorts.values()), sum(one[1] for one in cohorts.values())
    if len(big) < 2 or not refused:
        return []
    found = []
    for value, (mine, bad) in big.items():
        ratio = risk_ratio(bad, mine, refused - bad, n - mine)
        told = {"n": mine, "events": bad, "others": n - mine, "other_events": refused - bad}
        found.append(Cohort(by=by, value=value, measure="refusals", ratio=ratio, p=ratio.p, **told))
    return found


def hazard_ratio(
    deaths: NDArray[np.int64],
    ended: NDArray[np.int64],
    other_deaths: NDArray[np.int64],
    other_ended: NDArray[np.int64],
    *,
    confidence: float = 0.95,
) -> Ratio:
    """How many times as fast one group dies as another.

    Args:
        deaths: of the group, by duration, ascending.
        ended: all of its lives whose watch ended at each duration, the deaths among them.
        other_deaths, other_ended: the same of the other group, at the same durations.
        confidence: of the interval.
    """
    at_risk, other_risk = _at_risk(ended), _at_risk(other_ended)
    dead = (deaths + other_deaths).astype(np.float64)
    keep = (dead > 0) & (at_risk > 0) & (other_risk > 0)
    dead, at_risk, other_risk = dead[keep], at_risk[keep], other_risk[keep]
    mine = float(deaths[keep].sum())
    if not len(dead):
        return Ratio(math.nan, 0.0, math.inf, 1.0)
    p = _log_rank(mine, dead, at_risk, other_risk)
    if mine == 0:
        return Ratio(0.0, 0.0, _bound(dead, at_risk, other_risk, mine, confidence), p)
    if mine == dead.sum():
        return Ratio(math.inf, 1 / _bound(dead, other_risk, at_risk, 0.0, confidence), math.inf, p)
    beta, information = _newton(mine, dead, at_risk, other_risk)
    width = NormalDist().inv_cdf(0.5 + confidence / 2) / math.sqrt(information)
    return Ratio(math.exp(beta), math.exp(beta - width), math.exp(beta + width), p)


def _at_risk(ended: NDArray[np.int64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = (ended.sum() - np.cumsum(ended) + ended).astype(np.float64)
    return found


def _newton(
    mine: float, dead: NDArray[np.float64], at_risk: NDArray[np.float64], other_risk: NDArray[np.float64]
) -> tuple[float, float]:
    """The logarithm of the ratio, and the information about it."""
    beta, information = 0.0, 0.0
    for _ in range(_STEPS):
        share = at_risk * math.exp(beta) / (at_risk * math.exp(beta) + other_risk)
        information = float((dead * share * (1 - share)).sum())
        step = (mine - float((dead * share).sum())) / max(information, 1e-12)
        step = max(-1.0, min(1.0, step))  # far from the answer the slope misleads
        beta = max(-_STEEP, min(_STEEP, beta + step))
        if abs(step) < 1e-10:
            break
    return beta, max(information, 1e-12)


def _log_rank(
    mine: float, dead: NDArray[np.float64], at_risk: NDArray[np.float64], other_risk: NDArray[np.float64]
) -> float:
    risk = at_risk + other_risk
    share = at_risk / risk
    spread = np.divide(dead * (risk - dead), risk - 1, out=np.zeros_like(risk), where=risk > 1)
    variance = float((share * (1 - share) * spread).sum())
    if variance <= 0:
        return 1.0
    return math.erfc(abs(mine - float((dead * share).sum())) / math.sqrt(2 * variance))


def _bound(
    dead: NDArray[np.float64],
    at_risk: NDArray[np.float64],
    other_risk: NDArray[np.float64],
    mine: float,
    confidence: float,
) -> float:
    """The ratio at which not one death of so many expected ones becomes improbable."""
    expected = float((dead * at_risk / (at_risk + other_risk)).sum())
    return -math.log((1 - confidence) / 2) / expected if expected > 0 else math.inf


def risk_ratio(bad: int, n: int, other_bad: int, other_n: int, *, confidence: float = 0.95) -> Ratio:
    """How many times as large a share one group has as another. Half an event is added where a group has none."""
    if not n or not other_n or not (bad or other_bad):
        return Ratio(math.nan, 0.0, math.inf, 1.0)
    pooled = (bad + other_bad) / (n + other_n)
    spread = pooled * (1 - pooled) * (1 / n + 1 / other_n)
    p = 1.0 if spread <= 0 else math.erfc(abs(bad / n - other_bad / other_n) / math.sqrt(2 * spread))
    a, b = (float(bad), float(other_bad)) if bad and other_bad else (bad + 0.5, other_bad + 0.5)
    value = (a / n) / (b / other_n)
    width = NormalDist().inv_cdf(0.5 + confidence / 2) * math.sqrt(max(1 / a - 1 / n + 1 / b - 1 / other_n, 0.0))
    return Ratio(value, value * math.exp(-width), value * math.exp(width), p)


def holm(p: Sequence[float]) -> list[float]:
    """The p-values corrected for their number, each in its place.

    Raises:
        InvalidInput: one is no probability.
    """
    if not all(0 <= one <= 1 for one in p):
        raise InvalidInput("no such p-value", expected="0 to 1", got=list(p))
    corrected, most = [0.0] * len(p), 0.0
    for rank, place in enumerate(sorted(range(len(p)), key=lambda place: p[place])):
        most = max(most, min(1.0, (len(p) - rank) * p[place]))
        corrected[place] = most
    return corrected


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
