"""A storm as a plotly figure: attempts per second above, who is connected again below; and as a paragraph."""

from __future__ import annotations

import html
from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from chatkit.errors import InvalidInput
from chatkit.policy.storm import Storm
from chatkit.views.palette import DIM, GRID, INK, THEMES, Tone, faded
from chatkit.views.sheet import clip
from chatkit.views.when import count

if TYPE_CHECKING:
    import plotly.graph_objects as go

CELLS = 1_200
"""Points of a curve; each is the greatest value of its stretch of time."""
FONT = "Inter, system-ui, sans-serif"
LEFT, RIGHT, TOP, BOTTOM, HEIGHT = 64, 184, 56, 52, 440
"""Pixels; the curves' labels stand in the right margin."""
UPPER, LOWER = (0.42, 1.0), (0.0, 0.32)
"""Where the two drawings stand, as shares of the height."""
LABEL = 34
"""Pixels of a label of two lines."""
FULL = 106.0
"""Per cent at the top of the lower drawing."""
_TONES, _DASHES = (Tone.RECEIVED, Tone.SENT), ("solid", "dash")

Curve = tuple[list[float], list[float]]


def paragraph(storm: Storm) -> str:
    """The storm in words, as HTML."""
    return f'<p class="ck-storm">{html.escape(str(storm))}</p>'


def plot(storm: Storm, other: Storm | None = None, *, labels: Sequence[str] = (), theme: str = "both") -> go.Figure:
    """One storm, or two of the same outage beside each other.

    Args:
        storm, other: what to draw.
        labels: names of the curves, in this order; those of the policies when not given.
        theme: ``"both"`` (readable on light and dark), ``"light"`` or ``"dark"``; the ground is transparent.

    Raises:
        InvalidInput: the outages differ, there are more or fewer labels than storms, or there is no such theme.
    """
    import plotly.graph_objects as go

    storms = [storm] if other is None else [storm, other]
    if len({one.outage_s for one in storms}) > 1:
        raise InvalidInput("outages of different lengths", expected="one outage", got=[s.outage_s for s in storms])
    if labels and len(labels) != len(storms):
        raise InvalidInput("a label for each storm is needed", expected=f"{len(storms)}", got=len(labels))
    if theme not in THEMES:
        raise InvalidInput("no such theme", expected="one of " + ", ".join(THEMES), got=theme)
    drawing = _Drawing(storms, labels or [one.policy for one in storms], theme)
    return go.Figure(data=drawing.curves(), layout=drawing.layout())


def per_second(times: Sequence[float], end: float) -> Curve:
    """Attempts within the second before each moment from 0 to ``end``: moments, and the most in each cell."""
    width = end / CELLS
    moments = [cell * width for cell in range(CELLS + 1)]
    most = [bisect_right(times, at) - bisect_right(times, at - 1) for at in moments]
    for n, at in enumerate(times):
        cell = int(at / width)
        most[cell] = max(most[cell], n + 1 - bisect_right(times, at - 1))
    return moments, [float(value) for value in most]


def connected(storm: Storm, end: float) -> Curve:
    """Moments, and the share of clients in per cent that are connected again by then."""
    back = sorted(storm.outage_s + seconds for seconds in storm.recovery if seconds is not None)
    shares = [100 * n / storm.clients for n in range(len(back) + 1)]
    return [0.0, *back, end], [*shares, shares[-1]]


class _Drawing:
    """One figure in the making."""

    def __init__(self, storms: Sequence[Storm], labels: Sequence[str], theme: str) -> None:
        self.storms, self.labels = storms, [html.escape(clip(label, 24)) for label in labels]
        self.colours = [THEMES[theme][tone] for tone in _TONES]
        self.shade = THEMES[theme][Tone.BAD]
        self.ink, self.dim, self.grid = INK[theme], DIM[theme], GRID[theme]
        self.outage = storms[0].outage_s
        last = max([storm.attempts[-1] for storm in storms if len(storm.attempts)], default=0.0)
        self.end = max(last + 1, self.outage * 1.1, 1.0)
        self.rates = [per_second(storm.attempts, self.end) for storm in storms]
        self.highest = 1.06 * max(1.0, *(max(most) for _, most in self.rates))

    def curves(self) -> list[dict[str, Any]]:
        """The second storm is drawn first: the first one is what the figure is about."""
        drawn = []
        for n in reversed(range(len(self.storms))):
            drawn.append(self._curve(n, self.rates[n], "y", "%{y} attempts/s"))
            drawn.append(self._curve(n, connected(self.storms[n], self.end), "y2", "%{y:.1f} % connected"))
        return drawn

    def _curve(self, n: int, curve: Curve, axis: str, hover: str) -> dict[str, Any]:
        line = {"color": self.colours[n], "width": 1.8, "shape": "hv", "dash": _DASHES[n]}
        fill = {"fill": "tozeroy", "fillcolor": faded(self.colours[n], 0.1)} if axis == "y" else {}
        return {
            "type": "scatter",
            "mode": "lines",
            "x": curve[0],
            "y": curve[1],
            "yaxis": axis,
            "line": line,
            "hovertemplate": f"{self.labels[n]}: {hover} at %{{x:.1f}} s<extra></extra>",
            **fill,
        }

    def layout(self) -> dict[str, Any]:
        """Axes with units, the outage as a shade, labels where the curves end."""
        shade = {"type": "rect", "xref": "x", "yref": "paper", "x0": 0, "x1": self.outage, "y0": 0, "y1": 1}
        shade |= {"fillcolor": faded(self.shade, 0.1), "line": {"width": 0}, "layer": "below"}
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
            "shapes": [shade],
            "annotations": [self._down(), *self._peaks(), *self._names()],
            "xaxis": axis | self._titled("time since the connections were lost, s") | {"range": [0, self.end]}
            | {"anchor": "y2"},
            "yaxis": axis | self._titled("attempts per second") | {"domain": UPPER, "range": [0, self.highest]}
            | {"nticks": min(6, int(self.highest) + 1), "tickformat": ","},
            "yaxis2": axis | self._titled("connected, %") | {"domain": LOWER, "range": [0, FULL], "nticks": 4},
        }  # fmt: skip

    def _title(self) -> dict[str, Any]:
        who = " and ".join(dict.fromkeys(count(storm.clients, "client") for storm in self.storms))
        text = f"{who}, all connections lost at once, host down for {self.outage:g} s"
        place = {"x": 0, "xref": "container", "xanchor": "left", "y": 1, "yref": "container", "yanchor": "top"}
        return {"text": text, "font": self._font(12), "pad": {"t": 12, "l": 4}, **place}

    def _titled(self, text: str) -> dict[str, Any]:
        return {"title": {"text": text, "font": self._font(11), "standoff": 8}}

    def _down(self) -> dict[str, Any]:
        return self._note(0, 1, "host down", self.dim) | {"yref": "paper", "yanchor": "bottom"}

    def _peaks(self) -> list[dict[str, Any]]:
        """Level with each storm's greatest rate once the host is back."""
        said = [f"<b>{storm.peak_after_s:,}/s</b> at most" for storm in self.storms]
        heights = [float(storm.peak_after_s) for storm in self.storms]
        texts = [f"{text}<br>{self._quiet('once the host is back')}" for text in said]
        return self._beside("y", heights, texts, self.highest, UPPER)

    def _names(self) -> list[dict[str, Any]]:
        """Where the lower curves end."""
        shares = [self._share(n) for n in range(len(self.storms))]
        return self._beside("y2", shares, [self._name(n) for n in range(len(self.storms))], FULL, LOWER)

    def _beside(
        self, axis: str, values: list[float], texts: list[str], top: float, domain: tuple[float, float]
    ) -> list[dict[str, Any]]:
        """Labels in the right margin, level with values of an axis; apart where they would meet."""
        pixels = (domain[1] - domain[0]) * (HEIGHT - TOP - BOTTOM)
        notes, room = [], float("inf")
        for below, n in reversed(list(enumerate(sorted(range(len(values)), key=lambda n: (values[n], -n))))):
            level = values[n] / top * pixels
            at = max(min(level, room), LABEL * (below + 0.5))
            note = self._note(1, values[n], texts[n], self.colours[n])
            notes.append(note | {"xref": "paper", "yref": axis, "xshift": 8, "yshift": at - level, "yanchor": "middle"})
            room = at - LABEL
        return notes

    def _share(self, n: int) -> float:
        storm = self.storms[n]
        return 100 * sum(seconds is not None for seconds in storm.recovery) / storm.clients

    def _name(self, n: int) -> str:
        storm = self.storms[n]
        end = "all back" if self._share(n) == 100 else f"{self._share(n):.3g} % back"
        if storm.given_up:
            end = f"{100 * storm.gave_up:.3g} % gave up"
        return f"<b>{self.labels[n]}</b><br>{self._quiet(end)}"

    def _quiet(self, text: str) -> str:
        return f'<span style="color:{self.dim}">{text}</span>'

    def _note(self, x: float, y: float, text: str, colour: str) -> dict[str, Any]:
        note = {"x": x, "y": y, "text": text, "showarrow": False, "xanchor": "left", "align": "left", "borderpad": 2}
        return note | {"font": self._font(11) | {"color": colour}}

    def _font(self, size: int) -> dict[str, Any]:
        return {"size": size, "family": FONT, "color": self.dim}
