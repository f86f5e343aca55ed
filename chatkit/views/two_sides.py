"""An ending as its two ends recorded it, side by side; and many of them in a table that is read by the code."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from chatkit.events import (
    CloseReceived,
    CloseSent,
    FrameReceived,
    FrameSent,
    Opened,
    PingReceived,
    PingSent,
    TransportEnded,
)
from chatkit.plain import one_line
from chatkit.trace import Trace

if TYPE_CHECKING:
    from chatkit.lessons.endings import TwoSides

MOST = 8
"""Events of one side, the last ones."""
_SHOWN = (Opened, FrameSent, FrameReceived, PingSent, PingReceived, CloseSent, CloseReceived, TransportEnded)
_TURNED = {"sent ": "received ", "received ": "sent "}
_DIM = "color:var(--jp-ui-font-color2,#5b6675)"
_LINE = "border:1px solid var(--jp-border-color2,#d5dbe1)"
_CELL = "text-align:left;vertical-align:top;padding:2px 16px 2px 0"
_NUMBER = "font-variant-numeric:tabular-nums;white-space:nowrap"
_STYLE = "font:13px/1.5 var(--jp-ui-font-family,system-ui,sans-serif);color:var(--jp-ui-font-color1,#1b2330)"


def told(two: TwoSides) -> str:
    """What an API makes of it: ``1006, no reason, not clean``."""
    ending = two.connection.ending
    if ending is None:
        return "nothing yet: it is still open"
    reason = f"“{one_line(ending.close_reason, 60)}”" if ending.close_reason else "no reason"
    return f"{ending.close_code}, {reason}, {'not clean' if ending.abort else 'clean'}"


def words(two: TwoSides) -> str:
    """The ending in words, as our side tells it."""
    return one_line(str(two.connection.ending), 160) if two.connection.ending is not None else "still open"


def lines(trace: Trace, *, server: bool) -> list[tuple[str, str]]:
    """Seconds since the opening and what happened, from one end; a server's ``sent`` is what it sent."""
    events = [event for event in trace if isinstance(event, _SHOWN)]
    opened = next((event.at for event in events if isinstance(event, Opened)), 0.0)
    return [(f"{event.at - opened:.2f} s", one_line(_turn(str(event), server), 72)) for event in events[-MOST:]]


def _turn(text: str, server: bool) -> str:
    """The events are named from the client's side; the server's column is read from the server's."""
    if not server:
        return text
    return next((other + text.removeprefix(word) for word, other in _TURNED.items() if text.startswith(word)), text)


def knows(trace: Trace) -> str:
    """What the server's end makes of the ending."""
    ending = trace.connections[0].ending if trace.connections else None
    if ending is None:
        return "still open, as far as it knows"
    return one_line(
        ending.words.replace(" by us", " by the client").replace(" by server", " by the server itself"), 120
    )


def text(two: TwoSides) -> str:
    """As plain text."""
    said = [
        f"{two.way.label}: {two.way.point}",
        f"an API shows   {told(two)}",
        f"our side       {words(two)}",
        *(f"  {at:>7}  {what}" for at, what in lines(two.client, server=False)),
        f"the server     {knows(two.server)}",
        *(f"  {at:>7}  {what}" for at, what in lines(two.server, server=True)),
    ]
    return "\n".join(said)


def card(two: TwoSides) -> str:
    """As HTML: what an API shows, what happened, and both ends' events."""
    return (
        f'<div style="{_STYLE}"><p style="margin:4px 0"><b>{html.escape(words(two))}</b></p>'
        f'<p style="margin:4px 0;{_DIM}">An API shows: {html.escape(told(two))}. {html.escape(two.way.point)}</p>'
        f'<div style="display:grid;grid-template-columns:repeat(auto-fit,minmax(320px,1fr));gap:8px">'
        f"{_column('What our side saw', words(two), lines(two.client, server=False))}"
        f"{_column('What the server saw', knows(two.server), lines(two.server, server=True))}</div></div>"
    )


def _column(title: str, verdict: str, rows: Iterable[tuple[str, str]]) -> str:
    cells = "".join(
        f'<tr><td style="{_CELL};{_NUMBER};{_DIM}">{at}</td>'
        f'<td style="{_CELL};overflow-wrap:anywhere">{html.escape(what)}</td></tr>'
        for at, what in rows
    )
    return (
        f'<div style="{_LINE};padding:8px 12px;min-width:0"><b>{title}</b>'
        f'<div style="{_DIM}">{html.escape(verdict)}</div>'
        f'<table style="margin:4px 0 0;border-collapse:collapse">{cells}</table></div>'
    )


def table(endings: Sequence[TwoSides]) -> str:
    """Many of them as HTML, by the code that an API shows: what one number hides."""
    rows = "".join(
        f'<tr><td style="{_CELL};{_NUMBER}"><b>{code}</b></td><td style="{_CELL}">{html.escape(two.way.label)}</td>'
        f'<td style="{_CELL}">{html.escape(words(two))}</td>'
        f'<td style="{_CELL}">{html.escape(knows(two.server))}</td></tr>'
        for code, two in sorted(((_code(two), two) for two in endings), key=lambda one: one[0])
    )
    head = "".join(
        f'<th scope="col" style="{_CELL};{_DIM}">{title}</th>'
        for title in ("an API shows", "you chose", "our side saw", "the server saw")
    )
    return (
        f'<table style="{_STYLE};border-collapse:collapse"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    )


def _code(two: TwoSides) -> str:
    ending = two.connection.ending
    return str(ending.close_code) if ending is not None else "open"
