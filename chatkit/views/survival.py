"""How long connections live, as a plotly figure: a step curve with its band for each cohort, named where it ends."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from chatkit.diagnosis.survival import Curve
from chatkit.errors import InvalidInput
from chatkit.views.palette import DIM, GRID, THEMES, Tone, faded
from chatkit.views.sheet import clip
from chatkit.views.when import count

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from numpy.typing import NDArray

POINTS = 1_500
"""Of one curve; more steps than a screen has pixels are thinned evenly."""
TICKS = 300
"""Of one curve: lives that were watched no longer."""
MOST = 6
"""Curves that can be told apart; of more cohorts the largest are drawn."""
FONT = "Inter, system-ui, sans-serif"
LEFT, RIGHT, TOP, BOTTOM, HEIGHT = 64, 184, 56, 52, 400
"""Pixels; the curves' labels stand in the right margin."""
LABEL = 34
"""Pixels of a label of two lines."""
FULL = 104.0
"""Per cent at the top."""
_TONES = (Tone.RECEIVED, Tone.SENT, Tone.OK, Tone.TYPING, Tone.BAD, Tone.REMARK)
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
_UNITS = ((600.0, 1.0, "s"), (10_800.0, 60.0, "min"), (172_800.0, 3600.0, "h"), (float("inf"), 86_400.0, "d"))
"""Up to so many seconds in all: seconds per unit, and its name."""


def plot(curves: Mapping[str, Curve], *, theme: str = "both") -> go.Figure:
    """The survival of one or more cohorts over the age of their connections.

    Args:
        curves: a curve for each cohort, by name; a name may be empty where there is only one.
        theme: ``"both"`` (readable on light and dark), ``"light"`` or ``"dark"``; the ground is transparent.

    Raises:
        InvalidInput: there is no curve, or no such theme.
    """
    import plotly.graph_objects as go

    if not curves:
        raise InvalidInput("nothing to draw", expected="a curve or more", got="none")
    if theme not in THEMES:
        raise InvalidInput("no such theme", expected="one of " + ", ".join(THEMES), got=theme)
    drawing = _Drawing(curves, theme)
    return go.Figure(data=drawing.lines(), layout=drawing.layout())


def steps(curves: Mapping[str, Curve]) -> list[dict[str, Any]]:
    """Curves as plain values, for whoever draws them beside something else: the largest first, evenly thinned.

    Each has ``name``, ``n``, ``events``, ``last`` and ``median`` (seconds, ``None`` when half lived on), and the
    columns ``time`` (seconds), ``survival``, ``low`` and ``high`` (shares).
    """
    told = []
    for name in sorted(curves, key=lambda name: -curves[name].n)[:MOST]:
        curve = curves[name]
        places = np.unique(np.linspace(0, len(curve.time) - 1, min(POINTS, len(curve.time))).round().astype(np.int64))
        columns = {
            column: np.nan_to_num(getattr(curve, column)[places]).tolist()
            for column in ("time", "survival", "low", "high")
        }
        about = {"name": clip(name, 40), "n": curve.n, "events": curve.events, "last": curve.last}
        told.append(about | {"median": curve.median} | columns)
    return told


def unit(last: float) -> tuple[float, str]:
    """In what a figure that reaches to ``last`` seconds counts: seconds per unit, and its name."""
    return next((per, name) for end, per, name in _UNITS if last <= end)


class _Drawing:
    """One figure in the making."""

    def __init__(self, curves: Mapping[str, Curve], theme: str) -> None:
        largest = sorted(curves, key=lambda name: -curves[name].n)[:MOST]
        self.names = [name for name in curves if name in largest]
        self.left_out = len(curves) - len(self.names)
        self.curves = [curves[name] for name in self.names]
        self.colours = [THEMES[theme][tone] for tone in _TONES]
        self.dim, self.grid = DIM[theme], GRID[theme]
        last = max(curve.last for curve in self.curves)
        self.per, self.unit = unit(last)
        self.end = max(last / self.per, 1e-3) * 1.02

    def lines(self) -> list[dict[str, Any]]:
        """Bands lie below all curves; the first cohort is drawn last: it is what the figure is about."""
        order = list(reversed(range(len(self.curves))))
        bands = [line for n in order for line in self._band(n)]
        return bands + [line for n in order for line in (self._ticks(n), self._curve(n))]

    def _steps(self, curve: Curve, share: NDArray[np.float64]) -> tuple[list[float], list[float]]:
        """Moments and per cent, to the end of what was watched."""
        keep = np.arange(len(share))
        if len(keep) > POINTS:
            keep = np.unique(np.linspace(0, len(share) - 1, POINTS).round().astype(np.int64))
        moments, shares = curve.time[keep] / self.per, 100 * share[keep]
        return [*moments.tolist(), curve.last / self.per], [*shares.tolist(), float(shares[-1])]

    def _band(self, n: int) -> list[dict[str, Any]]:
        curve, silent = self.curves[n], {"type": "scatter", "mode": "lines", "hoverinfo": "skip"}
        line = {"width": 0, "shape": "hv"}
        low, high = self._steps(curve, curve.low), self._steps(curve, curve.high)
        fill = {"fill": "tonexty", "fillcolor": faded(self.colours[n], 0.13)}
        return [
            {**silent, "x": low[0], "y": low[1], "line": line},
            {**silent, "x": high[0], "y": high[1], "line": line, **fill},
        ]

    def _curve(self, n: int) -> dict[str, Any]:
        moments, shares = self._steps(self.curves[n], self.curves[n].survival)
        name = f"{self._label(n)}: " if self.names[n] else ""
        return {
            "type": "scatter",
            "mode": "lines",
            "x": moments,
            "y": shares,
            "line": {"color": self.colours[n], "width": 1.8, "shape": "hv", "dash": _DASHES[n]},
            "hovertemplate": f"{name}%{{y:.1f}} % alive at %{{x:.4~g}} {self.unit}<extra></extra>",
        }

    def _ticks(self, n: int) -> dict[str, Any]:
        """Lives that were watched no longer, on the curve: they ended well or go on."""
        curve = self.curves[n]
        seconds = curve.censored
        if len(seconds) > TICKS:
            seconds = seconds[np.linspace(0, len(seconds) - 1, TICKS).round().astype(np.int64)]
        return {
            "type": "scatter",
            "mode": "markers",
            "x": (seconds / self.per).tolist(),
            "y": [100 * curve.at(second) for second in seconds.tolist()],
            "marker": {
                "symbol": "line-ns", "size": 7, "color": self.colours[n],
                "line": {"width": 1.2, "color": self.colours[n]},
            },
            "hovertemplate": f"alive when last seen, at %{{x:.4~g}} {self.unit}<extra></extra>",
        }  # fmt: skip

    def layout(self) -> dict[str, Any]:
        """Axes with units, no legend: labels where the curves end."""
        axis = {"gridcolor": self.grid, "zeroline": False, "showline": False, "tickfont": self._font(11)}
        return {
            "height": HEIGHT,
            "margin": {"l": LEFT, "r": RIGHT, "t": TOP, "b": BOTTOM},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "template": "none",
            "showlegend": False,
            "hovermode": "closest",
            "font": self._font(11),
            "title": self._title(),
            "annotations": self._notes(),
            "xaxis": axis | self._titled(f"time since the connection opened, {self.unit}") | {"range": [0, self.end]},
            "yaxis": axis | self._titled("still alive, %") | {"range": [0, FULL], "nticks": 6},
        }

    def _title(self) -> dict[str, Any]:
        lives, deaths = sum(curve.n for curve in self.curves), sum(curve.events for curve in self.curves)
        text = f"{count(lives, 'connection')}, {count(deaths, 'death')}, bands of {self._confidence}"
        if self.left_out:
            text += f"; {count(self.left_out, 'smaller cohort')} not drawn"
        place = {"x": 0, "xref": "container", "xanchor": "left", "y": 1, "yref": "container", "yanchor": "top"}
        return {"text": text, "font": self._font(12), "pad": {"t": 12, "l": 4}, **place}

    @property
    def _confidence(self) -> str:
        return " and ".join(f"{100 * one:.3g} %" for one in sorted({curve.confidence for curve in self.curves}))

    def _titled(self, text: str) -> dict[str, Any]:
        return {"title": {"text": text, "font": self._font(11), "standoff": 8}}

    def _notes(self) -> list[dict[str, Any]]:
        """Labels in the right margin, level with the curves' ends; apart where they would meet."""
        ends = [100 * float(curve.survival[-1]) for curve in self.curves]
        pixels = HEIGHT - TOP - BOTTOM
        order = sorted(range(len(ends)), key=lambda n: (ends[n], -self.curves[n].last))
        levels = _apart([end / FULL * pixels for end in ends], order, pixels)
        return [self._note(n, ends[n], levels[n] - ends[n] / FULL * pixels) for n in range(len(ends))]

    def _note(self, n: int, share: float, shift: float) -> dict[str, Any]:
        curve = self.curves[n]
        name = f"<b>{self._label(n)}</b><br>" if self.names[n] else ""
        half = f", half gone at {_figure(curve.median / self.per)} {self.unit}" if curve.median is not None else ""
        if not half and curve.n:
            half = f", {share:.3g} % lived on"
        text = f'{name}<span style="color:{self.dim}">n = {curve.n:,}{half}</span>'
        note = {"x": 1, "xref": "paper", "xanchor": "left", "xshift": 8, "y": share, "yref": "y", "yshift": shift}
        note |= {"yanchor": "middle", "text": text, "showarrow": False, "align": "left", "borderpad": 2}
        return note | {"font": self._font(11) | {"color": self.colours[n]}}

    def _label(self, n: int) -> str:
        return html.escape(clip(self.names[n], 24))

    def _font(self, size: int) -> dict[str, Any]:
        return {"size": size, "family": FONT, "color": self.dim}


def _apart(levels: list[float], order: list[int], pixels: float) -> list[float]:
    """Heights of labels, ``LABEL`` apart and inside: pushed up from below, then down from the top."""
    placed, floor = list(levels), LABEL / 2
    for n in order:
        placed[n] = max(placed[n], floor)
        floor = placed[n] + LABEL
    ceiling = pixels - LABEL / 2
    for n in reversed(order):
        placed[n] = min(placed[n], ceiling)
        ceiling = placed[n] - LABEL
    return placed


def _figure(value: float) -> str:
    return f"{value:,.4g}" if value < 10_000 else f"{value:,.0f}"
