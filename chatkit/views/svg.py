"""The timeline as an SVG document that stands alone: for a ticket, a page, paper. Drawn from the one layout."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from chatkit.errors import InvalidInput
from chatkit.views.palette import DIM, GRID, INK, THEMES, Shape, Tone
from chatkit.views.placing import Placed, place
from chatkit.views.shaping import aligned, few, headline
from chatkit.views.sheet import Layout, clip
from chatkit.views.when import zoned

LEFT, RIGHT, TOP, BOTTOM, PITCH = 136, 24, 34, 30, 38
ROOM = 1_400
"""Pixels that lanes may take; more lanes stand closer."""
MOST = 40_000
"""Ticks and marks of one document; what is crowded beyond is thinned, and the title says so."""
NARROWEST, WIDEST = 400, 10_000
GROUND = {"light": "#FFFFFF", "dark": "#171B21", "both": "none"}
_STOREY = {0: 0, 1: -9, 2: 9}
_BARS = {Shape.LIFE: (16, 0.16), Shape.ATTEMPT: (2, 0.9), Shape.SEGMENT: (14, 0.22), Shape.BAR: (12, 0.5)}
_BARS |= {Shape.UNDERLINE: (3, 1.0)}
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400)


def svg(
    layout: Layout,
    *,
    align: str | None = None,
    since: float | None = None,
    until: float | None = None,
    width: int = 1_200,
    zone: str | None = None,
    clock: bool = False,
    pinned: Sequence[int] = (),
    theme: str = "light",
) -> str:
    """The layout as an SVG document.

    Args:
        layout: what to draw.
        align: ``"open"`` lays the connections above each other from their opening.
        since: first moment shown, seconds as on the axis; ``None`` from the first event.
        until: last moment shown.
        width: pixels, 400 to 10,000.
        zone: name of the zone of clock times; ``None`` for this machine's own.
        clock: whether the axis shows clock times instead of seconds.
        pinned: codes of lanes that stand on top.
        theme: ``"light"``, ``"dark"`` or, without a ground, ``"both"``.

    Raises:
        InvalidInput: no such alignment, theme or width, or the end is not after the beginning.
    """
    if align not in (None, "open"):
        raise InvalidInput("no such alignment", expected='None or "open"', got=align)
    if theme not in THEMES:
        raise InvalidInput("no such theme", expected="one of " + ", ".join(THEMES), got=theme)
    if not NARROWEST <= width <= WIDEST:
        raise InvalidInput("no such width", expected=f"{NARROWEST} to {WIDEST:,} pixels", got=width, where="width")
    title = headline(layout, zone)
    if align == "open":
        layout, title = aligned(layout), title + ", each connection from its opening"
    begin, end = (layout.first if since is None else since), (layout.last if until is None else until)
    if not begin <= end:
        raise InvalidInput("nothing to show", expected="an end after the beginning", got=f"{begin} to {end} s")
    layout, thinned = few(_cut(layout, begin, end), MOST)
    lanes = sorted(layout.lanes, key=lambda lane: lane.code not in pinned)
    layout = replace(layout, lanes=tuple(lanes))
    drawing = _Drawing(layout, begin, max(end, begin + 1e-3), width, theme, zone, clock and align is None)
    return drawing.document(f"{title}; {thinned}" if thinned else title)


def _cut(layout: Layout, begin: float, end: float) -> Layout:
    """Only what falls into the time that is shown: what is thinned afterwards is what is seen."""
    marks, ticks = layout.marks, layout.ticks
    kept = np.flatnonzero((marks.x0 <= end) & (np.maximum(marks.x1, marks.x0) >= begin))
    seen = (ticks.x >= begin) & (ticks.x <= end)
    new = {int(mark): n for n, mark in enumerate(kept.tolist())}
    return replace(
        layout,
        marks=marks.take(kept),
        ticks=type(ticks)(**{name: column[seen] for name, column in vars(ticks).items()}),
        labels={new[mark]: label for mark, label in layout.labels.items() if mark in new},
    )


class _Drawing:
    """One document in the making."""

    def __init__(
        self, layout: Layout, begin: float, end: float, width: int, theme: str, zone: str | None, clock: bool
    ) -> None:
        self.layout, self.begin, self.end, self.width = layout, begin, end, width
        self.zone, self.clock = zone, clock
        self.colours, self.ink, self.dim, self.grid = THEMES[theme], INK[theme], DIM[theme], GRID[theme]
        self.ground = GROUND[theme]
        self.pitch = min(PITCH, ROOM / max(len(layout.lanes), 1))
        self.scale = min(1.0, self.pitch / PITCH)
        self.order = {lane.code: n for n, lane in enumerate(layout.lanes)}
        self.bottom = TOP + max(len(layout.lanes), 1) * self.pitch

    def document(self, title: str) -> str:
        high = round(self.bottom + BOTTOM)
        inner = (
            f'<clipPath id="lanes"><rect x="{LEFT - 8}" y="{TOP}" width="{self.wide + 16}" height="{high}"/></clipPath>'
        )
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{high}" '
            f'viewBox="0 0 {self.width} {high}" role="img" font-family="Inter, system-ui, sans-serif">',
            f"<title>{_e(title)}</title>{inner}",
            "" if self.ground == "none" else f'<rect width="100%" height="100%" fill="{self.ground}"/>',
            self.text(4, 16, clip(title, self.width // 6), self.dim, 12),
            *self.axis(),
            *self.titles(),
            '<g clip-path="url(#lanes)">',
            *self.bars(),
            *self.area(),
            *self.ticks(),
            *self.symbols(),
            "</g>",
            *self.words(),
            "</svg>",
        ]
        return "\n".join(part for part in parts if part) + "\n"

    @property
    def wide(self) -> float:
        return self.width - LEFT - RIGHT

    def x(self, seconds: float) -> float:
        """Pixels; what lies far outside stays near, so that numbers stay small."""
        at = LEFT + (seconds - self.begin) / (self.end - self.begin) * self.wide
        return round(min(max(at, -self.width), 2.0 * self.width), 2)

    def y(self, lane: int, below: float = 0) -> float:
        return round(TOP + (self.order[lane] + 0.5) * self.pitch + below * self.scale, 2)

    def text(
        self, x: float, y: float, words: str, colour: str, size: int, *, weight: int = 400, anchor: str = ""
    ) -> str:
        anchored = f' text-anchor="{anchor}"' if anchor else ""
        return (
            f'<text x="{x:g}" y="{y:g}" fill="{colour}" font-size="{size}" font-weight="{weight}" '
            f'dominant-baseline="middle"{anchored}>{_e(words)}</text>'
        )

    def axis(self) -> Iterator[str]:
        rough = (self.end - self.begin) * 110 / self.wide
        power = 10.0 ** np.floor(np.log10(rough))
        fine = next(power * n for n in (1, 2, 5, 10) if power * n >= rough * 0.999)
        step = fine if rough < 1 else next((one for one in _STEPS if one >= rough), fine)
        shift = self.layout.epoch % step if self.clock else 0.0
        for n in range(int(np.ceil((self.begin + shift) / step)), int((self.end + shift) / step) + 1):
            seconds = n * step - shift
            x = self.x(seconds)
            yield f'<path d="M{x:g} {TOP}V{self.bottom:g}" stroke="{self.grid}"/>'
            yield self.text(x, self.bottom + 16, self._moment(seconds, step), self.dim, 11, anchor="middle")

    def _moment(self, seconds: float, step: float) -> str:
        if not self.clock:
            return f"{seconds:.{max(0, -int(np.floor(np.log10(step) + 1e-9)))}f} s"
        form = "%H:%M:%S" if step >= 1 else "%H:%M:%S.%f"
        shown = zoned(self.layout.epoch + seconds, self.zone).strftime(form)
        return shown if step >= 1 else shown[:-3]

    def titles(self) -> Iterator[str]:
        step = max(1, int(np.ceil(12 / self.pitch)))
        for n, lane in enumerate(self.layout.lanes):
            strong = lane.kind == "connection"
            if n % step == 0:
                weight, colour = (600, self.ink) if strong else (400, self.dim)
                yield self.text(4, self.y(lane.code), clip(lane.title, 20), colour, 11, weight=weight)
            if self.pitch > 8:
                below = self.y(lane.code) + self.pitch / 2
                yield f'<path d="M{LEFT} {below:g}H{self.width - RIGHT}" stroke="{self.grid}"/>'

    def marks(self, wanted: Callable[[Shape], bool]) -> Iterator[tuple[int, Shape, int, str, float, float, int]]:
        """Number, shape, lane, colour, begin and end in pixels, level."""
        marks = self.layout.marks
        ends = np.minimum(marks.x1, self.layout.last)
        for m, (code, lane) in enumerate(zip(marks.shape.tolist(), marks.lane.tolist(), strict=True)):
            shape = Shape(code)
            if wanted(shape) and lane in self.order and not np.isnan(marks.x0[m]):
                colour = self.colours[Tone(int(marks.tone[m]))]
                yield m, shape, lane, colour, self.x(marks.x0[m]), self.x(ends[m]), int(marks.level[m])

    def bars(self) -> Iterator[str]:
        for _, shape, lane, colour, a, b, level in self.marks(lambda shape: shape in _BARS):
            high, opacity = _BARS[shape]
            below = 9 if shape is Shape.UNDERLINE else (_STOREY.get(level, 0) if shape is Shape.BAR else 0) - high / 2
            yield (
                f'<rect x="{a:g}" y="{self.y(lane, below):g}" width="{max(1.0, b - a):g}" '
                f'height="{max(1.0, high * self.scale):g}" rx="2" fill="{colour}" fill-opacity="{opacity}"/>'
            )

    def area(self) -> Iterator[str]:
        found = list(self.marks(lambda shape: shape is Shape.AREA))
        if not found:
            return
        lane, colour = found[0][2], found[0][3]
        values = self.layout.marks.value[[mark[0] for mark in found]]
        most = max(float(values.max()), 0.1)
        points = [
            f"{mark[4]:g},{self.y(lane, 12 - 24 * value / most):g}" for mark, value in zip(found, values, strict=True)
        ]
        base = self.y(lane, 12)
        yield (
            f'<polygon points="{found[0][4]:g},{base:g} {" ".join(points)} {found[-1][4]:g},{base:g}" '
            f'fill="{colour}" fill-opacity="0.4"/>'
        )

    def ticks(self) -> Iterator[str]:
        ticks = self.layout.ticks
        for tone, up in ((Tone.RECEIVED, 1), (Tone.SENT, -1)):
            places = np.flatnonzero(ticks.up == up)
            lines = {
                f"M{self.x(x):g} {self.y(lane, -8 if up > 0 else 0):g}v{8 * self.scale:g}"
                for x, lane in zip(ticks.x[places].tolist(), ticks.lane[places].tolist(), strict=True)
                if lane in self.order
            }
            if lines:
                colour, line = self.colours[tone], "".join(sorted(lines))
                yield f'<path d="{line}" stroke="{colour}" stroke-width="1.5" fill="none"/>'

    def symbols(self) -> Iterator[str]:
        for _, shape, lane, colour, x, end, level in self.marks(
            lambda shape: shape not in _BARS and shape is not Shape.AREA
        ):
            y, s = self.y(lane), self.scale
            drawn = _symbol(shape, level, colour, (end - x) / s)
            yield f'<g transform="translate({x:g} {y:g}) scale({s:g})" {drawn}</g>'

    def words(self) -> Iterator[str]:
        placed = place(self.layout, lambda seconds: self.x(seconds) - LEFT, self.wide, pitch=self.pitch)
        for item in placed:
            x = self.x(item.x) + item.shift
            if LEFT <= self.x(item.x) <= self.width - RIGHT + 1:
                yield from self._label(item, x)

    def _label(self, item: Placed, x: float) -> Iterator[str]:
        marks, label = self.layout.marks, item.label
        lane, tone = int(marks.lane[item.mark]), self.colours[Tone(int(marks.tone[item.mark]))]
        anchor = ' text-anchor="end"' if item.left else ""
        strong = f'<tspan font-weight="600" fill="{tone}">{_e(label.strong)}</tspan>  ' if label.strong else ""
        size, y = (10, self.y(lane, 18)) if item.low else (11, self.y(lane))
        yield (
            f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{self.dim}" dominant-baseline="middle"{anchor} '
            f'xml:space="preserve">{strong}{_e(label.dim)}</text>'
        )
        if label.below:
            yield self.text(x, y + 13, label.below, self.dim, 10, anchor="end" if item.left else "")


def _symbol(shape: Shape, level: int, colour: str, end: float) -> str:
    """Attributes and content of a group whose origin is the mark's place."""
    stroke = f'stroke="{colour}" fill="none" stroke-width'
    filled = f'fill="{colour}"'
    storey = _STOREY.get(level, 0)
    match shape:
        case Shape.OPEN:
            return f'{stroke}="3"><path d="M0-8V8"/>'
        case Shape.END:
            return f'{stroke}="1.5"><path d="M0-8V8"/>'
        case Shape.CAP:
            return f'{stroke}="1.5"><path d="M0 {storey - 6}V{storey + 6}"/>'
        case Shape.CROSS:
            return f'{stroke}="2.2"><path d="M-5-5L5 5M-5 5L5-5"/>'
        case Shape.PING:
            return f'{filled}><path d="{"M-5 8L0-1L5 8Z" if level < 0 else "M-5-8L0 1L5-8Z"}"/>'
        case Shape.ARC:
            reach = max(end, 12)
            return f'{stroke}="1.2"><path d="M0-2Q{reach / 2:g}-16 {reach:g}-2"/>'
        case Shape.POINT:
            return f'{filled}><circle r="5"/>'
        case Shape.DIAMOND:
            return f'{filled}><path d="M-5 0L0-6L5 0L0 6Z"/>'
        case _:
            return f'{filled} opacity="0.7"><circle r="2" cy="{11 if level < 0 else -11 if level > 0 else 0}"/>'


def _e(text: str) -> str:
    """Text of a document: what XML does not allow at all becomes a replacement character."""
    return html.escape(
        "".join(c if c >= " " and not "\ud800" <= c <= "\udfff" and c not in "\ufffe\uffff" else "�" for c in text)
    )


__all__ = ["svg"]
