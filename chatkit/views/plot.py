"""The timeline as a plotly figure: static, exportable, readable on a light and on a dark ground."""

from __future__ import annotations

import html
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from chatkit.errors import InvalidInput
from chatkit.trace import Trace
from chatkit.views.palette import DIM, GRID, INK, THEMES, Shape, Tone, faded
from chatkit.views.placing import Placed, place
from chatkit.views.shaping import aligned, headline, thin
from chatkit.views.sheet import Layout, Ticks
from chatkit.views.timeline import lay_out

if TYPE_CHECKING:
    from numpy.typing import NDArray

GL_FROM = 5_000
"""Ticks from which they are drawn by WebGL."""
PITCH, LEFT, RIGHT, TOP, BOTTOM, OVERVIEW = 38, 136, 24, 48, 36, 26
NOMINAL = 1_000
"""Pixels of the drawing for which words are placed; a wider one only has more room."""
ROOM = 1_400
"""Pixels of height that lanes may take; more lanes stand closer."""
FONT = "Inter, system-ui, sans-serif"

_BARS = {Shape.LIFE: (16, 0.16), Shape.ATTEMPT: (2, 0.9), Shape.SEGMENT: (14, 0.22), Shape.BAR: (12, 0.5)}
_BARS |= {Shape.UNDERLINE: (3, 1.0)}
_MARKERS = {
    Shape.OPEN: ("line-ns", 11, 3.0),
    Shape.CROSS: ("x-thin", 10, 2.2),
    Shape.END: ("line-ns", 11, 1.5),
    Shape.PING: ("triangle-up", 10, 0.0),
    Shape.CAP: ("line-ns", 8, 1.5),
    Shape.POINT: ("circle", 10, 0.0),
    Shape.DIAMOND: ("diamond", 11, 0.0),
    Shape.DOT: ("circle", 4, 0.0),
}
"""Symbol, size and line width by shape; pixels."""
_STOREY = {0: 0, 1: -9, 2: 9}


def timeline(
    trace: Trace,
    *,
    align: str | None = None,
    zone: tzinfo | str | None = None,
    theme: str = "both",
    stabilise: float | None = None,
) -> go.Figure:
    """The timeline of a trace as a ``plotly.graph_objects.Figure``; x is seconds since the trace's epoch.

    Args:
        trace: what to draw.
        align: ``"open"`` lays the connections above each other: x is seconds since each opened.
        zone: of the title's clock times: a ``tzinfo``, a name, or ``None`` for this machine's own.
        theme: ``"both"`` (readable on light and dark), ``"light"`` or ``"dark"``; the ground is transparent.
        stabilise: the client's known quiet time before the first ping, seconds.
    """
    if align not in (None, "open"):
        raise InvalidInput("no such alignment", expected='None or "open"', got=align)
    if theme not in THEMES:
        raise InvalidInput("no such theme", expected="one of " + ", ".join(THEMES), got=theme)
    layout = lay_out(trace, stabilise=stabilise)
    title = headline(layout, zone)
    if align == "open":
        layout, title = aligned(layout), title + ", each connection from its opening"
    layout, thinned = thin(layout)
    return _Drawing(layout, trace, theme).figure(title + (f"<br>{thinned}" if thinned else ""))


class _Drawing:
    """One figure in the making."""

    def __init__(self, layout: Layout, trace: Trace, theme: str) -> None:
        self.layout, self.trace = layout, trace
        self.colours = THEMES[theme]
        self.ink, self.dim, self.grid = INK[theme], DIM[theme], GRID[theme]
        self.pitch = min(PITCH, ROOM / max(len(layout.lanes), 1))
        self.size = min(1.0, self.pitch / PITCH)
        lanes = layout.lanes
        self.y = np.full(max((lane.code for lane in lanes), default=0) + 1, np.nan)
        for n, lane in enumerate(lanes):
            self.y[lane.code] = -n
        pad = max(layout.last - layout.first, 1e-3) * 0.012
        self.begin, self.end = layout.first - pad, layout.last + pad
        self.hover = self._hover()

    def figure(self, title: str) -> go.Figure:
        figure = go.Figure()
        for data in (*self._bars(), *self._area(), *self._ticks(), *self._markers(), *self._overview()):
            figure.add_trace(data)
        annotations = [*self._titles(), *self._words()]
        figure.update_layout(annotations=annotations, shapes=self._arcs(), **self._frame(title))
        return figure

    def _hover(self) -> NDArray[Any]:
        marks, words = self.layout.marks, self.layout.words
        safe = [html.escape(word) for word in words]
        texts = [f"{x:.3f} s  {safe[w]}" for x, w in zip(marks.x0.tolist(), marks.word.tolist(), strict=True)]
        return np.array(texts, dtype=object)

    def _at(self, lanes: NDArray[Any], pixels: Any = 0.0) -> NDArray[Any]:
        """Centre lines of lanes, or so many pixels below."""
        y: NDArray[Any] = self.y[lanes] - np.asarray(pixels) * self.size / self.pitch
        return y

    def _places(self, shape: Shape, tone: Tone | None = None) -> NDArray[np.intp]:
        marks = self.layout.marks
        fit = (marks.shape == shape) & ~np.isnan(self.y[marks.lane]) & ~np.isnan(marks.x0)
        return np.flatnonzero(fit if tone is None else fit & (marks.tone == tone))

    def _bars(self) -> list[go.Bar]:
        marks, bars = self.layout.marks, []
        for shape, (height, opacity) in _BARS.items():
            for tone in Tone:
                places = self._places(shape, tone)
                if not len(places):
                    continue
                below: Any = 11 if shape is Shape.UNDERLINE else 0
                if shape is Shape.BAR:
                    below = np.array([_STOREY.get(int(level), 0) for level in marks.level[places]])
                end = np.minimum(marks.x1[places], self.layout.last)
                bars.append(
                    go.Bar(
                        orientation="h",
                        base=marks.x0[places],
                        x=np.maximum(end - marks.x0[places], 0),
                        y=self._at(marks.lane[places], below),
                        width=height * self.size / self.pitch,
                        marker={"color": self.colours[tone], "opacity": opacity, "line": {"width": 0}},
                        customdata=self.hover[places],
                        hovertemplate="%{customdata}<extra></extra>",
                    )
                )
        return bars

    def _markers(self) -> list[go.Scatter]:
        marks, drawn = self.layout.marks, []
        for shape, (symbol, size, line) in _MARKERS.items():
            for tone in Tone:
                places = self._places(shape, tone)
                if not len(places):
                    continue
                below = {Shape.PING: 4.0, Shape.DOT: 0.0}.get(shape, 0.0) * -marks.level[places]
                colour = self.colours[tone]
                drawn.append(
                    go.Scatter(
                        mode="markers",
                        x=marks.x0[places],
                        y=self._at(marks.lane[places], below),
                        marker={
                            "symbol": symbol,
                            "size": size * self.size,
                            "color": colour,
                            "line": {"width": line, "color": colour},
                            "opacity": 1 if shape is not Shape.DOT else 0.75,
                        },
                        customdata=self.hover[places],
                        hovertemplate="%{customdata}<extra></extra>",
                    )
                )
        return drawn

    def _ticks(self) -> list[Any]:
        ticks = self.layout.ticks
        kind = go.Scattergl if len(ticks) > GL_FROM else go.Scatter
        drawn = []
        for tone, up in ((Tone.RECEIVED, 1), (Tone.SENT, -1)):
            places = np.flatnonzero(ticks.up == up)
            if not len(places):
                continue
            line = {"width": 1.6, "color": self.colours[tone]}
            drawn.append(
                kind(
                    mode="markers",
                    x=ticks.x[places],
                    y=self._at(ticks.lane[places], -4 * up),
                    marker={"symbol": "line-ns-open", "size": 6 * self.size, "line": line, "color": line["color"]},
                    customdata=self._frames(ticks, places),
                    hovertemplate="%{x:.3f} s  %{customdata}<extra></extra>",
                )
            )
        return drawn

    def _frames(self, ticks: Ticks, places: NDArray[np.intp]) -> list[str]:
        """Whole events where they are few; else what they are and their size, which costs no decoding."""
        if len(ticks) <= GL_FROM:
            return [html.escape(str(self.trace[row])) for row in ticks.row[places].tolist()]
        words = [html.escape(word) for word in self.layout.words]
        pairs = zip(ticks.word[places].tolist(), ticks.size[places].tolist(), strict=True)
        return [f"{words[word]}, {size:,} B" for word, size in pairs]

    def _area(self) -> list[go.Scatter]:
        places = self._places(Shape.AREA)
        if not len(places):
            return []
        marks = self.layout.marks
        value = marks.value[places] / max(float(marks.value[places].max()), 0.1)
        y = self._at(marks.lane[places], 12 - 24 * value)
        x, colour = marks.x0[places], self.colours[Tone.LAG]
        base = self._at(marks.lane[places[:1]], 12)[0]
        outline = go.Scatter(
            x=[x[0], *x, x[-1]], y=[base, *y, base], mode="lines", line={"width": 0}, fill="toself",
            fillcolor=faded(colour, 0.4), hoverinfo="skip",
        )  # fmt: skip
        points = go.Scatter(
            x=x, y=y, mode="markers", marker={"size": 6, "color": colour, "opacity": 0},
            customdata=self.hover[places], hovertemplate="%{customdata}<extra></extra>",
        )  # fmt: skip
        return [outline, points]

    def _overview(self) -> list[go.Bar]:
        x = np.concatenate([self.layout.ticks.x, self.layout.marks.x0])
        x = x[~np.isnan(x)]
        if not len(x):
            return []
        height, edges = np.histogram(x, bins=210, range=(self.layout.first, max(self.layout.last, x.max() + 1e-3)))
        return [
            go.Bar(
                x=(edges[:-1] + edges[1:]) / 2,
                y=np.sqrt(height),
                yaxis="y2",
                width=(edges[1] - edges[0]) * 0.8,
                marker={"color": self.colours[Tone.RECEIVED], "opacity": 0.55, "line": {"width": 0}},
                customdata=height,
                hovertemplate="%{customdata} events<extra></extra>",
            )
        ]

    def _titles(self) -> list[dict[str, Any]]:
        step = max(1, int(np.ceil(12 / self.pitch)))
        notes = [
            self._note(0, -n, html.escape(lane.title), self.ink if lane.kind == "connection" else self.dim, -LEFT + 4)
            | {"xref": "paper", "font": self._font(11, lane.kind == "connection")}
            for n, lane in enumerate(self.layout.lanes)
            if n % step == 0
        ]
        over = {"xref": "paper", "yref": "y2", "font": self._font(11)}
        return [*notes, self._note(0, 0, "overview", self.dim, -LEFT + 4) | over | {"yanchor": "bottom"}]

    def _words(self) -> list[dict[str, Any]]:
        width = self.end - self.begin
        placed = place(self.layout, lambda x: (x - self.begin) / width * NOMINAL, NOMINAL, pitch=self.pitch)
        return [note for item in placed for note in self._label(item)]

    def _label(self, item: Placed) -> list[dict[str, Any]]:
        marks = self.layout.marks
        tone = self.colours[int(marks.tone[item.mark])]
        y = float(self._at(marks.lane[item.mark], 19 if item.low else 0))
        strong, dim = html.escape(item.label.strong), html.escape(item.label.dim)
        text = f'<b><span style="color:{tone}">{strong}</span></b>  {dim}' if strong else dim
        anchor = {"xanchor": "right" if item.left else "left"}
        size = {"font": self._font(10 if item.low else 11)}
        notes = [self._note(item.x, y, text, self.dim, item.shift) | anchor | size]
        if item.label.below:
            below = self._note(item.x, y - 12 / self.pitch, html.escape(item.label.below), self.dim, item.shift)
            notes.append(below | anchor | {"font": self._font(10)})
        return notes

    def _note(self, x: float, y: float, text: str, colour: str, shift: float) -> dict[str, Any]:
        return {
            "x": x, "y": y, "text": text, "xshift": shift, "showarrow": False, "xanchor": "left",
            "yanchor": "middle", "align": "left", "borderpad": 0,
        } | {"font": {"color": colour}}  # fmt: skip

    def _font(self, size: int, strong: bool = False) -> dict[str, Any]:
        return {
            "size": size,
            "family": FONT,
            "color": self.ink if strong else self.dim,
            "weight": 600 if strong else 400,
        }

    def _arcs(self) -> list[dict[str, Any]]:
        """Arcs of a fixed width in pixels: a round trip of 4 ms would have none on this scale."""
        marks = self.layout.marks
        return [
            {
                "type": "path",
                "xsizemode": "pixel",
                "ysizemode": "pixel",
                "path": "M0,4Q6,16 12,4",
                "xanchor": float(marks.x0[m]),
                "yanchor": float(self._at(marks.lane[m])),
                "layer": "above",
                "line": {"color": self.colours[Tone.RECEIVED], "width": 1},
            }
            for m in self._places(Shape.ARC)[:200]
        ]

    def _frame(self, title: str) -> dict[str, Any]:
        lanes = max(len(self.layout.lanes), 1)
        drawing = lanes * self.pitch
        whole = drawing + OVERVIEW + 10
        axis: dict[str, Any] = {"gridcolor": self.grid, "zeroline": False, "showline": False, "fixedrange": False}
        return {
            "title": {"text": title, "font": self._font(12), "x": 0, "xref": "container", "xanchor": "left",
                      "y": 1, "yref": "container", "yanchor": "top", "pad": {"t": 12, "l": 4}},
            "height": round(TOP + whole + BOTTOM),
            "margin": {"l": LEFT, "r": RIGHT, "t": TOP, "b": BOTTOM},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "barmode": "overlay",
            "showlegend": False,
            "hovermode": "closest",
            "dragmode": "pan",
            "template": "none",
            "font": self._font(11),
            "hoverlabel": {"font": {"family": FONT, "size": 12}, "align": "left", "namelength": 0},
            "xaxis": axis | {"range": [self.begin, self.end], "ticksuffix": " s", "nticks": 9, "showticksuffix": "all",
                             "anchor": "y", "tickfont": self._font(11), "ticks": ""},
            "yaxis": axis | {"range": [-lanes + 0.5, 0.5], "showticklabels": False, "fixedrange": True,
                             "tickvals": [-n - 0.5 for n in range(lanes)], "domain": [0, drawing / whole]},
            "yaxis2": {"domain": [1 - OVERVIEW / whole, 1], "visible": False, "fixedrange": True, "anchor": "x"},
        }  # fmt: skip


__all__ = ["timeline"]
