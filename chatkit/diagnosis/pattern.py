"""Which regularity the deaths follow: a timer of age or of quiet, one event for all, the wall clock, or chance; pure.

Every pattern gets the logarithm of its evidence: the density of the moments of death under it, times what its free
parameters cost (Occam's factor: how much of their prior range the data leave). So one death decides nothing: each
timer explains it as well as chance does. Two deaths at the same age do, by as much as the coincidence is unlikely.
Chance is at work beside every pattern: a few deaths of other causes do not spoil a timer. Each life that outlived it
costs, and so does each stretch of its length that ended nothing.

Idle and age coincide in lives without traffic. Then their evidence is the same, and nothing here pretends otherwise.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from chatkit.diagnosis.lives import Gaps, Lives

if TYPE_CHECKING:
    from numpy.typing import NDArray

AGE, IDLE, SIMULTANEOUS, PERIODIC, RANDOM = "age", "idle", "simultaneous", "periodic", "random"

TOGETHER = 0.5
"""Seconds within which deaths are one event (rule of thumb 3 of the taxonomy)."""
SHARE, SECONDS = 0.03, 0.3
"""A spread of 3 % or of 0.3 s is a timer's (rule of thumb 2)."""
RESOLUTION = 0.05
"""Seconds: no timer is taken for sharper, whatever the evidence's own resolution."""
SHORTEST_IDLE = 1.0
"""Seconds: what ends sooner after our action is about the action (rule of thumb 4)."""
APART = 3.0
"""Natural logarithm of the odds (20 : 1) from which two patterns count as told apart."""

_DECADES = math.log(1e7)
"""Prior range of a time constant: from 0.1 s to 10^6 s, evenly in its logarithm."""
_SQRT_2PI = math.sqrt(2 * math.pi)
_PRIOR = {"any": 0.0, "inbound": -1.0, "outbound": -1.0, "data-frames": -1.0, "app-ping": -1.5, "protocol-ping": -1.5}
"""Logarithms: most limits count every byte."""
_WIDTHS = (0.01, SHARE, 0.06)
"""Half widths of the stretches in which a timer is looked for; Cowboy's ticks spread it by 5 %."""
_OFF = np.linspace(-2, 3, 51)
_LOG_SURVIVAL = np.array([math.log(0.5 * math.erfc(off / math.sqrt(2))) for off in _OFF])
"""Of the normal distribution, at so many standard deviations."""
_ROUND = (30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10800, 14400, 21600, 28800, 43200, 86400)
"""Seconds between the deaths that a timetable makes."""
_TIMETABLE = 2.0
"""Logarithm of the odds by which a period of these speaks for a timetable, and another one against."""


class Fit(Struct, frozen=True, kw_only=True):
    """One pattern and how well it explains the deaths."""

    pattern: str
    """``age``, ``idle``, ``simultaneous``, ``periodic`` or ``random``."""
    counts: str | None = None
    """The kind of activity, for ``idle``."""
    seconds: float
    """Age or quiet at death; period; mean life for ``random``; watched time per event for ``simultaneous``."""
    error: float
    """How far off that may be, seconds (two standard errors; a timer's own spread where a single life showed it)."""
    spread: float
    """Standard deviation of those that agree, seconds; 0 for one."""
    n: int
    """Deaths that agree."""
    of: int
    """Deaths in all."""
    outlived: int = 0
    """Lives, or quiet stretches of them, that went on beyond."""
    events: int = 0
    """For ``periodic``: ticks that took somebody. For ``simultaneous``: moments that took several lives which had been
    opened at different times; 0 where they had been opened together, too."""
    log_evidence: float
    """Natural logarithm; only differences mean something."""
    weight: float = 0.0
    """Share of the evidence among all fits: a probability if no other pattern were possible."""

    @property
    def words(self) -> str:
        """What was measured: ``idle (any) for 60.0 ± 0.1 s, 5 of 5 deaths``."""
        measured = f"{_figures(self.seconds, self.error)} s"
        head = {
            AGE: f"age {measured}",
            IDLE: f"idle ({self.counts}) for {measured}",
            SIMULTANEOUS: f"together at {self.events} moment{'s' if self.events != 1 else ''}"
            if self.events
            else "together, as they were opened",
            PERIODIC: f"every {measured} by the wall clock",
            RANDOM: f"at random, mean life {measured}",
        }[self.pattern]
        tail = f", {self.outlived} outlived it" if self.outlived else ""
        return f"{head}, {self.n:,} of {self.of:,} deaths{tail}"

    def __str__(self) -> str:
        return self.words


class Pattern(Struct, frozen=True, kw_only=True):
    """What the deaths follow, the best explanation first."""

    fits: tuple[Fit, ...]
    lives: int
    """Lives whose opening is known."""
    deaths: int
    left_out: int = 0
    """Lives that had begun before the evidence did."""

    @property
    def best(self) -> Fit | None:
        """The best explanation; ``None`` where fewer than two lives died, for one death follows everything."""
        return self.fits[0] if self.deaths >= 2 else None

    @property
    def rivals(self) -> tuple[Fit, ...]:
        """Other explanations that the evidence does not tell from the best one."""
        best = self.best
        return () if best is None else tuple(f for f in self.fits[1:] if best.log_evidence - f.log_evidence < APART)

    @property
    def told_apart(self) -> bool:
        """Whether one explanation stands alone."""
        return self.best is not None and not self.rivals

    @property
    def timer(self) -> Fit | None:
        """The best explanation if it is a timer of age or of quiet, and every rival is one, too."""
        best = self.best
        return best if best is not None and all(f.pattern in (AGE, IDLE) for f in (best, *self.rivals)) else None

    def find(self, pattern: str, counts: str | None = None) -> Fit | None:
        """The best fit of a pattern, of ``idle`` for one kind of activity where it is named."""
        return next((f for f in self.fits if f.pattern == pattern and counts in (None, f.counts)), None)

    def __str__(self) -> str:
        if self.deaths < 2:
            return "no life ended" if not self.deaths else "one death: it follows every pattern"
        best, rivals = self.fits[0], self.rivals
        few = " (two deaths only)" if self.deaths == 2 else ""
        if self.timer is not None and rivals:
            return f"timer of {_figures(best.seconds, best.error)} s: {self._undecided()}, not told apart here{few}"
        others = f"; not told apart from {'; '.join(fit.words for fit in rivals)}" if rivals else ""
        return best.words + others + few

    def _undecided(self) -> str:
        """Between what a timer may be."""
        fits = (self.fits[0], *self.rivals)
        kinds = [fit.counts for fit in fits if fit.counts is not None]
        if len(kinds) == len(fits):
            return "idle (" + " or ".join(kinds) + ")"
        return "idle or age"


def pattern(lives: Lives) -> Pattern:
    """Weighs the patterns against each other for the lives whose opening is known."""
    known = lives.where(~np.isnan(lives.age))
    deaths = int(known.died.sum())
    fits: list[Fit] = []
    if deaths:
        base = _Base.of(known)
        fits = [_random(base), *_timers(known, base), *_events(known, base)]
        fits = _weighed(sorted(fits, key=lambda fit: -fit.log_evidence))
    return Pattern(fits=tuple(fits), lives=len(known), deaths=deaths, left_out=len(lives) - len(known))


class _Base(NamedTuple):
    """Chance, which is at work beside every other pattern: its are the deaths that are not the pattern's."""

    deaths: int
    exposure: float
    """Seconds lived by all."""

    @classmethod
    def of(cls, lives: Lives) -> _Base:
        return cls(int(lives.died.sum()), max(float(lives.age.sum()), RESOLUTION))

    def evidence(self, deaths: int) -> float:
        """Of so many deaths at any moment, in all the time that was lived."""
        if not deaths:
            return 0.0
        return deaths * math.log(deaths / self.exposure) - deaths - _rate_cost(deaths)


def _random(base: _Base) -> Fit:
    mean, d = base.exposure / base.deaths, base.deaths
    error = 2 * mean / math.sqrt(d)
    return Fit(pattern=RANDOM, seconds=mean, error=error, spread=mean, n=d, of=d, log_evidence=base.evidence(d))


def _rate_cost(deaths: int) -> float:
    """Occam's factor of a rate that so many deaths tell."""
    return math.log(_DECADES * math.sqrt(deaths) / _SQRT_2PI)


def _place_cost(width: float, n: int, spread: float) -> float:
    """Occam's factor of a place within ``width`` that ``n`` values with this spread tell."""
    return math.log(max(width * math.sqrt(n) / (spread * _SQRT_2PI), 1.0))


def _spread(values: NDArray[np.float64]) -> float:
    return max(float(values.std(ddof=1)) if len(values) > 1 else 0.0, RESOLUTION)


def _timers(lives: Lives, base: _Base) -> list[Fit]:
    """Constant age, and constant quiet for each kind of activity that can be told about."""
    alive = np.flatnonzero(~lives.died)
    fits = [_timer(AGE, None, lives, base, lives.age, np.zeros(len(lives)), Gaps(alive, lives.age[alive]))]
    for kind, idle in lives.idle.items():
        fits.append(_timer(IDLE, kind, lives, base, idle, lives.survived[kind], lives.gaps[kind]))
    return [fit for fit in fits if fit is not None]


def _timer(
    name: str,
    kind: str | None,
    lives: Lives,
    base: _Base,
    values: NDArray[np.float64],
    survived: NDArray[np.float64],
    gaps: Gaps,
) -> Fit | None:
    """The best constant for these values of age or quiet; ``survived`` is how far each life went unharmed before."""
    beyond = np.fmax(survived, values)
    tried = [_constant(values, beyond, gaps, lives.died, base, width) for width in _WIDTHS]
    best = max(tried, key=lambda one: one.evidence)
    if name == IDLE and best.centre < SHORTEST_IDLE:
        return None
    if not best.n:
        return None
    error = 2 * best.spread / math.sqrt(best.n) if best.n > 1 else max(SHARE * best.centre, SECONDS)
    return Fit(
        pattern=name,
        counts=kind,
        seconds=best.centre,
        error=error,
        spread=best.own_spread,
        n=best.n,
        of=base.deaths,
        outlived=best.outlived,
        log_evidence=best.evidence + _PRIOR.get(kind or "any", 0.0),
    )


class _Constant(NamedTuple):
    centre: float
    spread: float
    own_spread: float
    n: int
    outlived: int
    evidence: float


def _constant(
    values: NDArray[np.float64],
    beyond: NDArray[np.float64],
    gaps: Gaps,
    died: NDArray[np.bool_],
    base: _Base,
    width: float,
) -> _Constant:
    """A normal density around the densest stretch; other deaths are chance's, and some lives the timer leaves alone.

    A life whose longest stretch (``beyond``) is longer than the timer is one of the latter, whatever it died of.
    """
    dense = died.copy()
    dense[died] = _densest(values[died], width)
    centre, spread = float(values[dense].mean()), _spread(values[dense])
    outlived = beyond > centre + max(3 * spread, SHARE * centre, SECONDS)
    member = dense & ~outlived
    n = int(member.sum())
    evidence = -float(((values[member] - centre) ** 2).sum()) / (2 * spread**2) - n * math.log(spread * _SQRT_2PI)
    evidence += base.evidence(base.deaths - n) + _mixture(n, int(outlived.sum()))
    evidence += _endured(gaps.seconds[~outlived[gaps.life]], centre, spread)
    evidence -= _place_cost(_DECADES * max(centre, RESOLUTION), n, spread) + (1.6 if spread > RESOLUTION else 0.0)
    own = float(values[dense].std(ddof=1)) if dense.sum() > 1 else 0.0
    return _Constant(centre, spread, own, n, int(outlived.sum()), evidence)


def _mixture(subject: int, exempt: int) -> float:
    """So many lives obeyed the timer and so many did not; the share of the latter is not known, but small."""
    usual, few = 3.0, 0.5
    return _log_beta(few + exempt, usual + subject) - _log_beta(few, usual)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _endured(quiet: NDArray[np.float64], centre: float, spread: float) -> float:
    """Quiet of about the timer's length that killed nobody: heartbeats at T after which a life of age 2 T ends."""
    off = np.clip((quiet[quiet > centre - 2 * spread] - centre) / spread, -2.0, 3.0)
    return float(np.interp(off, _OFF, _LOG_SURVIVAL).sum())


def _densest(values: NDArray[np.float64], width: float) -> NDArray[np.bool_]:
    """Which values lie in the stretch of this relative half width (0.3 s at least) that holds most of them."""
    ordered = np.sort(values)
    top = np.maximum(ordered * (1 + width) / (1 - width), ordered + 2 * SECONDS)
    count = np.searchsorted(ordered, top, "right") - np.arange(len(ordered))
    start = int(np.argmax(count))
    member: NDArray[np.bool_] = (values >= ordered[start]) & (values <= ordered[start + int(count[start]) - 1])
    return member


class _Moments(NamedTuple):
    """Deaths by moment: those within half a second of its first one belong to it."""

    of: NDArray[np.int64]
    """Each death's moment."""
    centre: NDArray[np.float64]
    size: NDArray[np.int64]
    """Deaths of each."""
    apart: NDArray[np.bool_]
    """Whether it took several lives that had been opened at different times."""


def _moments(end: NDArray[np.float64], opened: NDArray[np.float64]) -> _Moments:
    """Of ends in ascending order."""
    starts, at = [], 0
    while at < len(end):
        starts.append(at)
        at = int(np.searchsorted(end, end[at] + TOGETHER, "right"))
    first = np.array(starts, np.int64)
    count = np.diff(np.append(first, len(end)))
    openings = np.maximum.reduceat(opened, first) - np.minimum.reduceat(opened, first)
    return _Moments(
        of=np.repeat(np.arange(len(first)), count),
        centre=np.add.reduceat(end, first) / count,
        size=count,
        apart=(count > 1) & (openings > TOGETHER),
    )


def _events(lives: Lives, base: _Base) -> list[Fit]:
    """Patterns of the wall clock: one event for several lives, and events at a period."""
    order = np.argsort(lives.end[lives.died], kind="stable")
    end, opened = lives.end[lives.died][order], lives.opened[lives.died][order]
    moments = _moments(end, opened)
    watch = _Watch(np.sort(lives.opened), np.sort(lives.end))
    fits = []
    if (moments.size > 1).any():
        fits.append(_simultaneous(end, moments, watch, base))
    if len(moments.centre) >= 3:
        fits += [_periodic(period, end, moments, watch, base) for period in _periods(moments, watch)]
    together = [fit for fit in fits if fit.pattern == SIMULTANEOUS]
    regular = [fit for fit in fits if fit.pattern == PERIODIC]
    return together + sorted((f for f in regular if f.events >= 3), key=lambda fit: -fit.log_evidence)[:1]


class _Watch(NamedTuple):
    """When anybody was alive."""

    opened: NDArray[np.float64]
    end: NDArray[np.float64]

    @property
    def span(self) -> float:
        return max(float(self.end[-1] - self.opened[0]), RESOLUTION)

    def alive(self, at: NDArray[np.float64]) -> NDArray[np.int64]:
        """Lives at each moment, those that end within it included."""
        begun = np.searchsorted(self.opened, at, "right")
        gone = np.searchsorted(self.end, at - TOGETHER, "left")
        alive: NDArray[np.int64] = np.maximum(begun - gone, 0)
        return alive


def _takes(taken: NDArray[np.int64], alive: NDArray[np.int64]) -> float:
    """Logarithm of the probability that events take just those of the lives there are, each with the same chance."""
    alive = np.maximum(alive, taken)
    share = (taken.sum() + 0.5) / (alive.sum() + 1)
    return float(taken.sum() * math.log(share) + (alive - taken).sum() * math.log(1 - share))


def _simultaneous(end: NDArray[np.float64], moments: _Moments, watch: _Watch, base: _Base) -> Fit:
    """Events at unknown moments that take several lives at once, above deaths by chance."""
    shared = moments.size > 1
    count, centre = moments.size[shared], moments.centre[shared]
    member = shared[moments.of]
    off = end[member] - moments.centre[moments.of[member]]
    n, events, singles = int(count.sum()), len(count), int((~member).sum())
    spread = max(math.sqrt(float((off**2).sum()) / max(n - events, 1)), RESOLUTION)
    evidence = -float((off**2).sum()) / (2 * spread**2) - (n - events) * math.log(spread * _SQRT_2PI)
    evidence -= 0.5 * float(np.log(count).sum()) + (1.6 if spread > RESOLUTION else 0.0)
    evidence += events * math.log(events / watch.span) - events - _rate_cost(events)
    evidence += _takes(count, watch.alive(centre))
    evidence += base.evidence(singles)
    return Fit(
        pattern=SIMULTANEOUS,
        seconds=watch.span / events,
        error=TOGETHER,
        spread=spread,
        n=n,
        of=len(end),
        events=int(moments.apart.sum()),
        log_evidence=evidence,
    )


def _periods(moments: _Moments, watch: _Watch) -> list[float]:
    """Periods worth trying: what lies between neighbours, and what timetables use."""
    between = np.diff(moments.centre)
    found = {float(np.median(between)), float(between.min()), *map(float, _ROUND)}
    return [period for period in sorted(found) if 2 * SECONDS < period <= watch.span / 2 and watch.span < 1e5 * period]


def _periodic(period: float, end: NDArray[np.float64], moments: _Moments, watch: _Watch, base: _Base) -> Fit:
    """Events at every tick of a clock; a tick that takes nobody of those alive costs."""
    centre = moments.centre
    turn = np.exp(2j * np.pi * centre / period)
    phase = float(np.angle((turn * moments.size).sum())) / (2 * np.pi) * period
    tick = np.round((centre - phase) / period)
    if len(np.unique(tick)) > 2:  # the moments themselves tell the period better
        period, phase = (float(v) for v in np.polyfit(tick, centre, 1, w=np.sqrt(moments.size)))
        tick = np.round((centre - phase) / period)
    off = (centre - phase - period * tick)[moments.of] + end - centre[moments.of]
    room = max(SECONDS, min(SHARE * period, 2.0))
    member = np.abs(off) <= room
    n = int(member.sum())
    spread = _spread(off[member])
    evidence = -float((off[member] ** 2).sum()) / (2 * spread**2) - n * math.log(spread * _SQRT_2PI)
    evidence += base.evidence(len(end) - n)
    ticks = np.arange(
        np.ceil((watch.opened[0] - phase) / period), np.floor((watch.end[-1] - phase) / period + 0.01) + 1
    )
    hits = np.isin(moments.of, np.unique(moments.of[member])) & member
    taken = np.zeros(len(ticks), np.int64)
    np.add.at(taken, np.clip(tick[moments.of[hits]] - ticks[0], 0, len(ticks) - 1).astype(np.int64), 1)
    evidence += _takes(taken, watch.alive(phase + period * ticks))
    evidence -= _timetable_cost(period, n, spread)
    return Fit(
        pattern=PERIODIC,
        seconds=period,
        error=2 * spread / math.sqrt(max(n, 1)),
        spread=spread,
        n=n,
        of=len(end),
        events=len(np.unique(tick[np.unique(moments.of[member])])),
        log_evidence=evidence,
    )


def _timetable_cost(period: float, n: int, spread: float) -> float:
    """What period and phase cost; a round period is no coincidence, another one is rarely anybody's timetable."""
    phase = _place_cost(period, max(n, 1), spread)
    if any(abs(period - usual) <= max(0.002 * usual, RESOLUTION) for usual in _ROUND):
        return math.log(len(_ROUND)) + phase - _TIMETABLE
    return _place_cost(_DECADES * period, max(n, 1), spread) + phase + _TIMETABLE


def _weighed(fits: list[Fit]) -> list[Fit]:
    logs = np.array([fit.log_evidence for fit in fits])
    shares = np.exp(logs - logs.max())
    shares /= shares.sum()
    return [replace(fit, weight=float(share)) for fit, share in zip(fits, shares, strict=True)]


def _figures(seconds: float, error: float) -> str:
    """As many digits as the error leaves."""
    digits = max(0, min(3, 1 - math.floor(math.log10(error)))) if error > 0 else 3
    return f"{seconds:,.{digits}f} ± {error:,.{digits}f}"
