"""Figures of a fleet: hazard over age and day, ranked cohorts with their intervals, deaths over wall time."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from chatkit.errors import InvalidInput
from chatkit.views.palette import DIM, GRID, THEMES, Tone, faded
from chatkit.views.sheet import clip
from chatkit.views.when import count

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from chatkit.fleet.comparing import Cohort
    from chatkit.fleet.rates import Span
    from chatkit.fleet.result import Fleet

FONT = "Inter, system-ui, sans-serif"
HEIGHT, TOP, BOTTOM, LEFT, RIGHT = 320, 48, 52, 72, 32
"""Pixels."""
ROW = 30
"""Pixels of a cohort."""
MOST_COHORTS = 16
WIDE = 1000.0
"""Times: a ratio beyond is drawn at the edge."""
TICKS = (0.001, 0.01, 0.1, 0.2, 0.5, 1, 2, 5, 10, 100, 1000)
"""Of an axis of ratios."""
_HOUR = 3600.0


def hazard_plot(spans: Sequence[Span], *, over: str = "age", theme: str = "both") -> go.Figure:
    """Deaths per hour of watched life.

    Args:
        spans: stretches of ages, or hours of the day.
        over: ``"age"`` or ``"day"``.
        theme: ``"both"``, ``"light"`` or ``"dark"``.

    Raises:
        InvalidInput: there is nothing to draw, or no such theme.
    """
    base = _Base(theme, f"{count(sum(one.hazard.deaths for one in spans), 'death')}, intervals of 95 %")
    if not spans:
        raise InvalidInput("nothing to draw", expected="a stretch or more", got="none")
    rates = [one.hazard.per_s * _HOUR for one in spans]
    top = 1.15 * max(max(one.hazard.high for one in spans if one.hazard.deaths) * _HOUR, 1e-9) if any(rates) else 1.0
    # Where hardly anybody was watched, an interval may reach to the sky: it must not flatten the rest.
    top = min(top, 8 * max(*rates, 1e-9)) if any(rates) else top
    names = [_span(one, over) for one in spans]
    bars = {
        "type": "bar",
        "x": names,
        "y": rates,
        "marker": {"color": faded(base.colour(Tone.RECEIVED), 0.75)},
        "error_y": {
            "type": "data",
            "symmetric": False,
            # Without a death there is only an upper bound, which may reach to the sky.
            "array": [
                max(one.hazard.high * _HOUR - rate, 0.0) if rate else 0.0
                for one, rate in zip(spans, rates, strict=True)
            ],
            "arrayminus": [max(rate - one.hazard.low * _HOUR, 0.0) for one, rate in zip(spans, rates, strict=True)],
            "color": base.dim,
            "thickness": 1,
            "width": 3,
        },
        "customdata": [[one.hazard.deaths, one.hazard.exposure / _HOUR] for one in spans],
        "hovertemplate": "%{x}: %{y:.3g} per hour<br>%{customdata[0]:,} deaths in %{customdata[1]:,.3g} h"
        "<extra></extra>",
    }
    axis = "age of the connection" if over == "age" else "hour of the day, UTC"
    return base.figure([bars], axis, "deaths per hour of life", y={"range": [0, top]}, x={"type": "category"})


def _span(one: Span, over: str) -> str:
    if over == "day":
        return f"{int(one.start // _HOUR):02d}"
    return f"≤ {_short(one.end)}"


def _short(value: float) -> str:
    for per, unit, most in ((0.001, "ms", 1.0), (1.0, "s", 120.0), (60.0, "min", 7200.0), (_HOUR, "h", 172_800.0)):
        if value < most:
            return f"{value / per:.3g} {unit}"
    return f"{value / 86_400:.3g} d"


def cohort_plot(cohorts: Sequence[Cohort], *, theme: str = "both") -> go.Figure:
    """How many times as fast each cohort drops (or as often it is refused) as all others, with its interval.

    Raises:
        InvalidInput: there is nothing to draw, or no such theme.
    """
    shown = [one for one in cohorts if not math.isnan(one.ratio.value)][:MOST_COHORTS]
    base = _Base(theme, "each cohort against all others, intervals of 95 %; hollow: no more than chance makes")
    if not shown:
        raise InvalidInput("nothing to draw", expected="a cohort or more that was compared", got="none")
    shown = list(reversed(shown))
    places = list(range(len(shown)))
    points = [_within(one.ratio.value) for one in shown]
    colours = [base.colour(_tone(one)) for one in shown]
    dots = {
        "type": "scatter",
        "mode": "markers",
        "x": points,
        "y": places,
        "marker": {
            "size": 10,
            "color": colours,
            "symbol": ["diamond" if one.differs else "diamond-open" for one in shown],
        },
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [_within(one.ratio.high) - at for one, at in zip(shown, points, strict=True)],
            "arrayminus": [at - _within(one.ratio.low) for one, at in zip(shown, points, strict=True)],
            "color": base.dim,
            "thickness": 1.2,
            "width": 4,
        },
        "customdata": [[one.events, one.n, one.p] for one in shown],
        "hovertemplate": "%{x:.3g} ×, %{customdata[0]:,} of %{customdata[1]:,}, p = %{customdata[2]:.2g}"
        "<extra></extra>",
    }
    names = [
        html.escape(f"{one.by} {clip(one.value, 26)}" + (" (refused)" if one.measure == "refusals" else ""))
        for one in shown
    ]
    y = {
        "tickmode": "array",
        "tickvals": places,
        "ticktext": names,
        "range": [-0.7, len(shown) - 0.3],
        "automargin": True,
    }
    ticks = {"type": "log", "tickmode": "array", "tickvals": TICKS, "ticktext": [f"{tick:g} ×" for tick in TICKS]}
    line = {"type": "line", "xref": "x", "yref": "paper", "x0": 1, "x1": 1, "y0": 0, "y1": 1}
    line["line"] = {"color": base.dim, "width": 1, "dash": "dot"}
    height = TOP + BOTTOM + ROW * max(len(shown), 3)
    return base.figure([dots], "times as often as the others", "", x=ticks, y=y, shapes=[line], height=height)


def _within(value: float) -> float:
    return min(max(value, 1 / WIDE), WIDE)


def _tone(one: Cohort) -> Tone:
    if not one.differs:
        return Tone.QUIET
    return Tone.BAD if one.ratio.low > 1 else Tone.OK


def moments_plot(fleet: Fleet, *, theme: str = "both") -> go.Figure:
    """Deaths over wall time in steps, the moments at which many died, and when the hazard changed.

    Raises:
        InvalidInput: no source tells when connections opened and ended, or there is no such theme.
    """
    base = _Base(theme, _title(fleet))
    course = fleet.course
    if course is None:
        raise InvalidInput(
            "nothing to draw", expected="connections with the times of their opening and end", got="none"
        )
    times = [_wall(course.start + course.width * (n + 0.5)) for n in range(len(course.died))]
    died = course.died.tolist()
    bars = {
        "type": "bar",
        "x": times,
        "y": died,
        "marker": {"color": faded(base.colour(Tone.RECEIVED), 0.75), "line": {"width": 0}},
        "hovertemplate": "%{x|%H:%M:%S}: %{y:,} deaths<extra></extra>",
    }
    marks = {
        "type": "scatter",
        "mode": "markers",
        "x": [_wall(one.moment.at) for one in fleet.together],
        "y": [one.moment.deaths for one in fleet.together],
        "marker": {"symbol": "x", "size": 9, "color": base.colour(Tone.BAD)},
        "hovertemplate": "%{x|%H:%M:%S}: %{y:,} died together<extra></extra>",
    }
    shapes, notes = [], []
    for one in fleet.changes:
        at = _wall(one.at)
        shapes.append(
            {"type": "line", "xref": "x", "yref": "paper", "x0": at, "x1": at, "y0": 0, "y1": 1}
            | {"line": {"color": base.colour(Tone.SENT), "width": 1.4, "dash": "dash"}}
        )
        beside = (
            f"<br>{html.escape(f'{one.beside[0].by} {clip(one.beside[0].value, 20)} {one.beside[0].how}')}"
            if one.beside
            else ""
        )
        factor = "∞" if math.isinf(one.factor) else f"{one.factor:.3g}"
        notes.append(
            {"x": at, "y": 1, "xref": "x", "yref": "paper", "xanchor": "left", "yanchor": "top", "align": "left"}
            | {"showarrow": False, "text": f"<b>hazard × {factor}</b>{beside}", "font": base.font(11)}
        )
    return base.figure(
        [bars, marks],
        "UTC",
        f"deaths per {_short(course.width)}",
        shapes=shapes,
        notes=notes,
        y={"rangemode": "tozero"},
    )


def _title(fleet: Fleet) -> str:
    return f"{count(fleet.deaths, 'death')}, {count(len(fleet.together), 'moment')} with many at once (×)"


def _wall(unix: float) -> datetime:
    return datetime.fromtimestamp(unix, UTC).replace(tzinfo=None)


class _Base:
    """What all figures share: a transparent ground, quiet axes, a title that says how much was counted."""

    def __init__(self, theme: str, title: str) -> None:
        if theme not in THEMES:
            raise InvalidInput("no such theme", expected="one of " + ", ".join(THEMES), got=theme)
        self._theme, self._title_text = theme, title
        self.dim = DIM[theme]

    def colour(self, tone: Tone) -> str:
        """Of the theme."""
        return THEMES[self._theme][tone]

    def font(self, size: int) -> dict[str, Any]:
        """Of a label."""
        return {"size": size, "family": FONT, "color": self.dim}

    def figure(
        self,
        data: list[dict[str, Any]],
        x_title: str,
        y_title: str,
        *,
        x: dict[str, Any] | None = None,
        y: dict[str, Any] | None = None,
        shapes: list[dict[str, Any]] | None = None,
        notes: list[dict[str, Any]] | None = None,
        height: int = HEIGHT,
    ) -> go.Figure:
        """The figure of these traces."""
        import plotly.graph_objects as go

        axis = {"gridcolor": GRID[self._theme], "zeroline": False, "showline": False, "tickfont": self.font(11)}
        place = {"x": 0, "xref": "container", "xanchor": "left", "y": 1, "yref": "container", "yanchor": "top"}
        layout = {
            "height": height,
            "margin": {"l": LEFT, "r": RIGHT, "t": TOP, "b": BOTTOM},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "template": "none",
            "showlegend": False,
            "bargap": 0.15,
            "font": self.font(11),
            "title": {"text": self._title_text, "font": self.font(12), "pad": {"t": 12, "l": 4}, **place},
            "xaxis": axis | self._titled(x_title) | (x or {}),
            "yaxis": axis | self._titled(y_title) | (y or {}),
            "shapes": shapes or [],
            "annotations": notes or [],
        }
        return go.Figure(data=data, layout=layout)

    def _titled(self, text: str) -> dict[str, Any]:
        return {"title": {"text": text, "font": self.font(11), "standoff": 8}}
