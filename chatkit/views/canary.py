"""What a canary has seen: its targets as a table with change points and notes, survival and latency as figures."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from chatkit.errors import InvalidInput
from chatkit.views import survival, verdict
from chatkit.views.palette import DIM, GRID, THEMES, Tone
from chatkit.views.sheet import clip
from chatkit.views.when import count, stretch, zone_name, zoned
from chatkit.views.wording import say

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from chatkit.canary.watched import SeenChange, SeenDeath, Watched

MOST_TARGETS, MOST_CHANGES = 50, 10
"""Lines that the card shows; the rest is counted."""
_CELL = "text-align:right;padding:2px 14px 2px 0;border:0;background:none;font:inherit;white-space:nowrap"
_FIRST = _CELL.replace("right", "left")
_TONES = (Tone.RECEIVED, Tone.SENT, Tone.OK, Tone.TYPING, Tone.REMARK, Tone.QUIET)
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x")
MOST_DRAWN = len(_TONES)
"""Targets that can be told apart in one figure."""


def card(seen: Watched) -> str:
    """Static HTML in the verdict card's look."""
    lines = seen.lines()
    died = sum(one.died for one in seen.targets.values())
    worse = any(one.change.direction == "worse" for one in seen.changes)
    head = "".join(f"<th style='{_FIRST if not n else _CELL}'>{_e(cell)}</th>" for n, cell in enumerate(seen.head))
    body = "".join(
        "<tr>"
        + "".join(f"<td style='{_FIRST if not n else _CELL}'>{_e(cell)}</td>" for n, cell in enumerate(line))
        + "</tr>"
        for line in lines[:MOST_TARGETS]
    )
    more = _more(len(lines) - MOST_TARGETS, "target")
    changes = "".join(f"<li>{_change(one)}</li>" for one in seen.changes[-MOST_CHANGES:])
    notes = "".join(f"<p class='ckv-dim'>{_e(problem)}</p>" for problem in seen.problems[:MOST_CHANGES])
    since = min((one.since for one in seen.targets.values()), default=seen.at)
    return (
        f"<style>{verdict.stylesheet()}</style><section class='ckv' data-tone='{'bad' if worse else 'ok'}' "
        f"aria-label='canary'><p class='ckv-kicker'><b>canary</b> · {_e(stretch(since, seen.at))}</p>"
        f"<p>{_e(count(len(lines), 'target'))}, {_e(count(len(seen.rows), 'connection'))}, {_e(count(died, 'death'))}, "
        f"{_e(count(len(seen.changes), 'change point'))}</p>"
        f"<div style='overflow-x:auto'><table style='border-collapse:collapse;margin:0'><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>{more}"
        + (f"<p><b>Since when</b></p><ul>{changes}</ul>" if changes else "")
        + f"{notes}</section>"
    )


def death(seen: SeenDeath) -> str:
    """A death at a glance."""
    from chatkit.views.glance import glance

    one = seen.death
    facts = [
        ("target", one.target),
        ("connection", one.connection),
        ("lived", f"{one.lifetime_s:.1f} s"),
        ("recording", one.file or "none"),
        ("verdict", one.headline or one.verdict or "not yet"),
    ]
    return glance("death", str(seen), facts, "bad")


def plot_survival(seen: Watched, by: str = "target", **options: Any) -> go.Figure:
    """A curve for each cohort; raises as :func:`chatkit.views.survival.plot`."""
    return survival.plot(seen.curves(by), **options)


def plot_latency(seen: Watched, *, theme: str = "both") -> go.Figure:
    """Round trips over time, with a line where a change of latency is.

    Args:
        theme: ``"both"`` (readable on light and dark), ``"light"`` or ``"dark"``; the ground is transparent.

    Raises:
        InvalidInput: no round trip was measured yet, or no such theme.
    """
    import plotly.graph_objects as go

    if theme not in THEMES:
        raise InvalidInput("no such theme", expected="one of " + ", ".join(THEMES), got=theme)
    told = {name: one.latency for name, one in seen.targets.items() if one.latency.at}
    if not told:
        raise InvalidInput("nothing to draw", expected="a round trip or more", got="none", remedy="wait for a ping")
    drawn = sorted(told, key=lambda name: -len(told[name].at))[:MOST_DRAWN]
    colours = [THEMES[theme][tone] for tone in _TONES]
    end = max(at for name in drawn for at in told[name].at)
    per, unit = survival.unit(end - min(at for name in drawn for at in told[name].at))
    figure = go.Figure(layout=_layout(theme, unit, f"before {zoned(end):%H:%M:%S} {zone_name(zoned(end))}"))
    for n, name in enumerate(drawn):
        figure.add_scatter(
            x=[(at - end) / per for at in told[name].at],
            y=[1000 * seconds for seconds in told[name].seconds],
            mode="markers",
            name=html.escape(clip(name, 24)),
            marker={"color": colours[n], "symbol": _SYMBOLS[n], "size": 6},
            hovertemplate=f"{html.escape(clip(name, 24))}: %{{y:.3~g}} ms<extra></extra>",
        )
    for one in seen.changes:
        if one.target in drawn and one.change.what == "latency":
            text = f"{html.escape(clip(one.target, 24))} {one.change.direction}"
            figure.add_vline(
                x=(one.change.at - end) / per,
                line={"color": THEMES[theme][Tone.BAD], "width": 1, "dash": "dot"},
                annotation={"text": text, "font": {"size": 11, "color": DIM[theme]}},
            )
    return figure


def _layout(theme: str, unit: str, end: str) -> dict[str, Any]:
    font = {"size": 11, "family": survival.FONT, "color": DIM[theme]}
    axis = {"gridcolor": GRID[theme], "zeroline": False, "tickfont": font}
    return {
        "height": 320,
        "margin": {"l": 64, "r": 24, "t": 40, "b": 52},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "template": "none",
        "font": font,
        "showlegend": True,
        "legend": {"orientation": "h", "y": 1.12, "x": 0},
        "xaxis": axis | {"title": {"text": f"{unit} {end}", "font": font}},
        "yaxis": axis | {"title": {"text": "round trip, ms", "font": font}, "rangemode": "tozero"},
    }


def _change(one: SeenChange) -> str:
    at = zoned(one.change.at)
    return f"<b>{_e(one.target)}</b>, {at:%Y-%m-%d %H:%M:%S} {_e(zone_name(at))}: {_e(str(one.change))}"


def _more(number: int, noun: str) -> str:
    return f"<p class='ckv-dim'>and {_e(count(number, noun))} more</p>" if number > 0 else ""


def _e(text: str) -> str:
    return html.escape(say(text, 300), quote=True)
