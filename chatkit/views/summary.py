"""A trace as a small table: one line per connection. Every text may be hostile and is escaped."""

from __future__ import annotations

import html

from chatkit.clock import iso_utc
from chatkit.ending import Connection
from chatkit.plain import one_line
from chatkit.trace import Trace
from chatkit.views.when import count

MOST = 200
"""Connections shown; the rest is counted."""
_HEAD = ("connection", "opened (UTC)", "lived", "in", "out", "ending")
_CELL = "text-align:left;padding:2px 12px 2px 0;white-space:nowrap"
_NUMBER = "text-align:right;padding:2px 12px 2px 0;font-variant-numeric:tabular-nums"


def summary(trace: Trace) -> str:
    """An HTML table of the trace's connections: opened, lived, messages in and out, the ending in words."""
    connections = trace.connections
    head = "".join(f'<th style="{_CELL}">{title}</th>' for title in _HEAD)
    rows = "".join(_row(connection) for connection in connections[:MOST])
    more = f"<p>and {len(connections) - MOST:,} more</p>" if len(connections) > MOST else ""
    title = f"{count(len(connections), 'connection')}, {count(len(trace), 'event')}, from {iso_utc(trace.epoch)}"
    notes = "".join(f"<p>note: {html.escape(one_line(warning, 300))}</p>" for warning in trace.warnings)
    return (
        f'<div class="ck-summary"><p>{title}</p><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table>{more}{notes}</div>"
    )


def _row(connection: Connection) -> str:
    cells = [
        (_CELL, one_line(connection.id, 40)),
        (_CELL, connection.opened_wall or "never"),
        (_NUMBER, f"{connection.duration:.1f} s" if connection.opened_at is not None else ""),
        (_NUMBER, f"{connection.frames_in:,}"),
        (_NUMBER, f"{connection.frames_out:,}"),
        (_CELL, one_line(_ending(connection), 200)),
    ]
    return "<tr>" + "".join(f'<td style="{style}">{html.escape(text)}</td>' for style, text in cells) + "</tr>"


def _ending(connection: Connection) -> str:
    if connection.ending is not None:
        return str(connection.ending)
    if connection.state == "refused" and connection.status is not None:
        return f"refused: HTTP {connection.status}"
    return "still open" if connection.state == "open" else connection.state
