"""What became of a fleet, as values; ``to_dict`` is the JSON that scripts rely on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from chatkit import display
from chatkit.clock import iso_utc
from chatkit.diagnosis.result import Diagnosis, Evidence, RankedCause, Remark
from chatkit.diagnosis.survival import Curve
from chatkit.diagnosis.taxonomy import NONE, UNKNOWN, causes
from chatkit.errors import InvalidInput
from chatkit.fleet.changes import Change
from chatkit.fleet.comparing import Cohort
from chatkit.fleet.inputs import Failure
from chatkit.fleet.peaks import Peak
from chatkit.fleet.rates import Course, Span
from chatkit.fleet.together import Moment

SCHEMA = "chatkit.fleet/1"
HARMLESS = (NONE, UNKNOWN, "client-going-away")
"""No causes that anybody could mend."""
MOST_COHORTS, MOST_CAUSES, MOST_MOMENTS = 60, 40, 20
"""Entries of the lists in the JSON."""
STEPS = 200
"""Of a curve in the JSON."""
LEAST_SHARE = 0.02
"""Of all deaths and refusals: a rarer cause is no cause of what a fleet suffers."""


class Died(Struct, frozen=True, kw_only=True):
    """What connections died of, or were refused for."""

    id: str
    """Of the taxonomy, ``none`` or ``unknown``."""
    n: int
    """Connections."""
    probability: float
    """Mean over them."""


class Event(Struct, frozen=True, kw_only=True):
    """Many deaths in one moment, and whom they took."""

    moment: Moment
    alive: int
    """Connections just before."""
    codes: dict[str, int]
    """Deaths by close code."""
    cohorts: tuple[tuple[str, str, int, int], ...]
    """Column, value, deaths, alive before: values that lost the largest shares."""


class Fleet(Struct, frozen=True, kw_only=True, eq=False):
    """Many connections of many sources, compared.

    Shows itself in a notebook; ``survival()``, ``hazard()``, ``moments()`` and ``cohort_plot()`` draw figures.
    """

    files: int
    """That were read."""
    failed: tuple[Failure, ...]
    """That could not be read; the numbers speak of the others."""
    events: int
    """Of recordings and of tables of events."""
    connections: int
    lives: int
    """That opened."""
    deaths: int
    """Lives that ended against the client's will."""
    refused: int
    """Attempts that never opened."""
    start: float | None
    """Unix time of the first opening, seconds; ``None`` where no source tells."""
    end: float | None
    """Of the last end."""
    by: tuple[str, ...]
    """Columns by which cohorts were compared."""
    overall: Curve
    curves: dict[str, dict[str, Curve]]
    """By column and value."""
    cohorts: tuple[Cohort, ...]
    """All comparisons, those that differ first, the worst at the top."""
    ages: tuple[Span, ...]
    """Hazard over the age of connections, seconds."""
    hours: tuple[Span, ...]
    """Hazard over the time of the day, seconds since midnight UTC."""
    together: tuple[Event, ...]
    """Moments at which many died."""
    timers: tuple[Peak, ...]
    changes: tuple[Change, ...]
    """When the hazard changed."""
    causes: tuple[Died, ...]
    """Most frequent first."""
    causes_of: dict[str, dict[str, tuple[Died, ...]]]
    """By column and value; of columns in which a cohort differs."""
    course: Course | None
    """Openings, ends and deaths over wall time."""

    @property
    def worst(self) -> Cohort | None:
        """The cohort that stands out for the worse, where one does."""
        return next((one for one in self.cohorts if one.differs and one.ratio.low > 1), None)

    def main_cause(self, by: str = "", value: str = "") -> Died | None:
        """What most connections of a cohort, or of all, died of, where a cause is known."""
        found = self.causes_of.get(by, {}).get(value, ()) if by else self.causes
        return next((one for one in found if one.id not in HARMLESS), None)

    @property
    def headline(self) -> str:
        """What stands out, in one sentence."""
        if not self.connections:
            return "the files hold no connection"
        worst = self.worst
        if worst is not None:
            cause = self.main_cause(worst.by, worst.value)
            tail = f", most often of {cause.id}" if cause is not None else ""
            return f"{worst.by} {worst.value} {verb(worst)}{tail}"
        if self.together:
            one = max(self.together, key=lambda event: event.moment.deaths)
            return f"{one.moment.deaths:,} connections died together at {iso_utc(one.moment.at)}"
        if self.timers:
            timer = self.timers[0]
            kind = "of age" if timer.kind == "age" else "of quiet"
            return f"{timer.deaths:,} of {self.deaths:,} deaths came after {timer.seconds:.4g} s {kind}: a timer"
        if self.changes:
            change = self.changes[-1]
            return f"since {iso_utc(change.at)} connections die {_times(change.factor)} as fast as before"
        if not self.deaths and not self.refused:
            return f"none of {self.lives:,} connections died"
        return "no cohort, no moment and no timer stands out"

    @property
    def diagnosis(self) -> Diagnosis:
        """The same as a verdict: the causes that most died of, with what speaks of them."""
        named = [one for one in self.causes if one.id in causes() and one.id not in HARMLESS]
        total = sum(one.n for one in self.causes if one.id != NONE)
        named = [one for one in named if one.n >= LEAST_SHARE * total]
        bad = self.deaths + self.refused
        verdict = "fault" if named else "no-fault" if self.connections and not bad else "inconclusive"
        return Diagnosis(
            verdict=verdict,  # type: ignore[arg-type]
            causes=tuple(self._ranked(one) for one in named),
            remarks=tuple(Remark(finding=finding) for finding in self._findings()),
            unknown=tuple(f"{one.n:,} ends carry no cause" for one in self.causes if one.id == UNKNOWN),
            headline=self.headline,
            lives=self.summary,
        )

    @property
    def summary(self) -> str:
        """What was read, in a line."""
        words = f"{self.connections:,} connections of {self.files:,} file{'s' if self.files != 1 else ''}"
        return f"{words}: {self.lives:,} opened, {self.deaths:,} died, {self.refused:,} refused"

    def _ranked(self, one: Died) -> RankedCause:
        cause = causes()[one.id]
        share = one.n / max(self.deaths + self.refused, 1)
        parameters: dict[str, Any] = {"share": round(share, 4)}
        timer = next((peak for peak in self.timers if _FITS.get(one.id) == peak.kind), None)
        if timer is not None:
            parameters["timeout_s" if timer.kind == "idle" else "age_s"] = round(timer.seconds, 3)
        return RankedCause(
            id=one.id,
            title=cause.title,
            confidence=one.probability,
            who=cause.who[0],
            connections=(),
            summary=f"{one.n:,} connections, {100 * share:.0f} % of those that died or were refused",
            parameters=parameters,
            evidence=tuple(Evidence(finding=finding) for finding in self._findings()),
            fix=cause.fix,
        )

    def _findings(self) -> list[str]:
        found = [f"{one.by} {one.value} {verb(one)}" for one in self.cohorts if one.differs and one.ratio.low > 1]
        found += [f"{one.moment.deaths:,} died together at {iso_utc(one.moment.at)}" for one in self.together]
        found += [f"{one.deaths:,} deaths after {one.seconds:.4g} s of {_OF[one.kind]}" for one in self.timers]
        found += [f"since {iso_utc(one.at)} the hazard is {_times(one.factor)} that before" for one in self.changes]
        return found[:MOST_MOMENTS]

    def survival(self, by: str | None = None, **options: Any) -> Any:
        """Kaplan–Meier curves as a plotly figure, one for each value of a column; the column of the worst cohort."""
        name = by if by is not None else self.worst.by if self.worst is not None else next(iter(self.by), "")
        if name and name not in self.curves:
            raise InvalidInput("it was not compared by that", expected=", ".join(self.by) or "nothing", got=name)
        return self._drawn("survival", self.curves[name] if name else {"": self.overall}, **options)

    def hazard(self, over: str = "age", **options: Any) -> Any:
        """Deaths per hour of watched life as a plotly figure, over ``"age"`` or over the time of the ``"day"``."""
        spans = {"age": self.ages, "day": self.hours}
        if over not in spans:
            raise InvalidInput("no such axis", expected="age or day", got=over)
        return self._drawn("hazard", spans[over], over=over, **options)

    def cohort_plot(self, **options: Any) -> Any:
        """Effects with their intervals as a plotly figure, the worst at the top."""
        return self._drawn("cohorts", self.cohorts, **options)

    def moments(self, **options: Any) -> Any:
        """Deaths over wall time as a plotly figure, with the moments at which many died and the changes."""
        return self._drawn("moments", self, **options)

    def _drawn(self, name: str, value: Any, **options: Any) -> Any:
        render = display.find("fleet", name)
        if render is None:
            raise InvalidInput("no view is loaded that draws a fleet", remedy="import chatkit, not chatkit.fleet")
        return render(value, **options)

    def _repr_html_(self) -> str | None:
        render = display.find("fleet", "html")
        return None if render is None else str(render(self))

    def __str__(self) -> str:
        render = display.find("fleet", "text")
        return self.headline if render is None else str(render(self))

    _repr_pretty_ = display.in_words

    def to_dict(self) -> dict[str, Any]:
        """As JSON; seconds and Unix times as ISO-8601 UTC, ``null`` where something is not known or unbounded."""
        return {
            "schema": SCHEMA,
            "headline": self.headline,
            "files": self.files,
            "failed": [{"file": one.name, "why": one.why} for one in self.failed],
            "events": self.events,
            "connections": self.connections,
            "lives": self.lives,
            "deaths": self.deaths,
            "refused": self.refused,
            "start": _iso(self.start),
            "end": _iso(self.end),
            "by": list(self.by),
            "survival": {
                "": curve_dict(self.overall),
                **{by: {value: curve_dict(one) for value, one in mine.items()} for by, mine in self.curves.items()},
            },
            "cohorts": [one.to_dict() for one in self.cohorts[:MOST_COHORTS]],
            "hazard_over_age": [_span(one) for one in self.ages],
            "hazard_over_day": [_span(one) for one in self.hours],
            "together": [_event(one) for one in self.together[:MOST_MOMENTS]],
            "timers": [
                {"kind": one.kind, "seconds": one.seconds, "deaths": one.deaths, "expected": one.expected}
                for one in self.timers
            ],
            "changes": [_change(one) for one in self.changes],
            "causes": [_died(one) for one in self.causes[:MOST_CAUSES]],
            "causes_by_cohort": {
                by: {value: [_died(one) for one in found] for value, found in mine.items()}
                for by, mine in self.causes_of.items()
            },
            "diagnosis": self.diagnosis.to_dict(),
        }


_OF = {"age": "age", "idle": "quiet"}
_FITS = {"idle-timeout": "idle", "nat-timeout": "idle", "max-lifetime": "age", "token-expired": "age"}
"""Causes that a timer's length is a parameter of."""


def verb(one: Cohort) -> str:
    """What a cohort does, with its numbers, without a full stop."""
    act = "drops" if one.measure == "drops" else "is refused"
    how = "as fast as the others" if one.measure == "drops" else "as often as the others"
    interval = f"{_figure(one.ratio.low)}–{_figure(one.ratio.high)}"
    return f"{act} {_times(one.ratio.value)} {how} ({interval}, {p_words(one.p)})"


def p_words(p: float) -> str:
    """A p-value as people write it."""
    return "p < 1e-9" if p < 1e-9 else f"p = {p:.2g}"


def _times(factor: float) -> str:
    return f"{_figure(factor)} ×"


def _figure(value: float) -> str:
    return "∞" if math.isinf(value) else f"{value:.3g}"


def curve_dict(curve: Curve) -> dict[str, Any]:
    """A curve as JSON, evenly thinned to ``STEPS`` steps."""
    last = len(curve.time) - 1
    places = sorted({round(n * last / (STEPS - 1)) for n in range(STEPS)})
    columns = {
        name: [_plain(float(value)) for value in getattr(curve, name)[places]]
        for name in ("time", "survival", "low", "high")
    }
    return {"n": curve.n, "deaths": curve.events, "median_s": curve.median, "last_s": curve.last} | columns


def _span(one: Span) -> dict[str, Any]:
    return {
        "from_s": one.start,
        "to_s": one.end,
        "per_s": _plain(one.hazard.per_s),
        "low": one.hazard.low,
        "high": _plain(one.hazard.high),
        "deaths": one.hazard.deaths,
        "watched_s": one.hazard.exposure,
    }


def _event(one: Event) -> dict[str, Any]:
    return {
        "at": iso_utc(one.moment.at),
        "seconds": one.moment.seconds,
        "deaths": one.moment.deaths,
        "expected": one.moment.expected,
        "alive": one.alive,
        "close_codes": one.codes,
        "cohorts": [
            {"by": by, "value": value, "deaths": deaths, "alive": alive} for by, value, deaths, alive in one.cohorts
        ],
    }


def _change(one: Change) -> dict[str, Any]:
    return {
        "at": iso_utc(one.at),
        "error_s": one.error,
        "before_per_s": one.before,
        "after_per_s": one.after,
        "factor": _plain(one.factor),
        "beside": [
            {"by": it.by, "value": it.value, "at": iso_utc(it.at), "how": it.how, "lives": it.lives}
            for it in one.beside
        ],
    }


def _died(one: Died) -> Mapping[str, Any]:
    return {"id": one.id, "n": one.n, "probability": round(one.probability, 3)}


def _iso(at: float | None) -> str | None:
    return None if at is None else iso_utc(at)


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
