"""The proof of a cure as a plotly figure: how long connections live with it and without it; and as a paragraph."""

from __future__ import annotations

import html
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from chatkit.experiments.proof import TIMES
from chatkit.views import survival
from chatkit.views.palette import DIM, INK
from chatkit.views.sheet import MAX_WORDS, clip

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from chatkit.experiments.proof import Proof

WITH, WITHOUT = "with the cure", "without it"
LINE = 80
"""Characters of a line of the title: as many as stand beside the buttons of a figure of 700 pixels."""
HIGH = 16
"""Pixels of a line of the title."""


def paragraph(proof: Proof) -> str:
    """The proof in words, as HTML: what is concluded, and what would settle it."""
    needed = f"; needed: {proof.needed}" if proof.needed else ""
    return f'<p class="ck-proof">{html.escape(clip(proof.sentence + needed, MAX_WORDS))}</p>'


def plot(proof: Proof, *, theme: str = "both") -> go.Figure:
    """Both survival curves, with a tick for each life that went on, and what a cured connection had to live.

    Args:
        proof: what the arms say.
        theme: ``"both"`` (readable on light and dark), ``"light"`` or ``"dark"``; the ground is transparent.

    Raises:
        InvalidInput: there is no such theme.
    """
    curves = {WITH: proof.cured.curve, WITHOUT: proof.control.curve}
    figure = survival.plot(curves, theme=theme)
    last = max(curve.last for curve in curves.values())
    lines = [html.escape(line) for line in wrap(clip(proof.sentence, MAX_WORDS), LINE)]
    text = f'<b style="color:{INK[theme]}">{"<br>".join(lines)}</b><br>{figure.layout.title.text}'
    more = HIGH * len(lines)
    figure.update_layout(title_text=text, height=survival.HEIGHT + more, margin_t=survival.TOP + more)
    if proof.must_live_s is not None:
        _mark(figure, proof.must_live_s / survival.unit(last)[0], proof, DIM[theme])
    return figure


def _mark(figure: go.Figure, at: float, proof: Proof, colour: str) -> None:
    """A line where a cured connection has outlived what it had to; in sight, also where none came so far."""
    left, right = figure.layout.xaxis.range[0], max(figure.layout.xaxis.range[1], at * 1.02)
    figure.update_xaxes(range=[left, right])
    figure.add_shape(
        type="line", x0=at, x1=at, xref="x", y0=0, y1=1, yref="paper",
        line={"color": colour, "width": 1, "dash": "dot"},
    )  # fmt: skip
    exposed = f" and {clip(proof.cure.exposed_to, 40)}" if proof.cure.exposed_to else ""
    figure.add_annotation(
        x=at, xref="x", xanchor="right" if 2 * at > right else "left", y=1, yref="paper", yanchor="bottom",
        text=html.escape(f"{TIMES} former lives{exposed}"), showarrow=False, borderpad=2,
        font=_small(figure, colour),
    )  # fmt: skip


def _small(figure: go.Figure, colour: str) -> dict[str, Any]:
    return {"size": figure.layout.font.size, "family": figure.layout.font.family, "color": colour}
