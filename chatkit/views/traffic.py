"""Traffic and savings as small tables. Every text may be hostile: one line, bounded, escaped.

Colours are JupyterLab's own, so both of its themes fit; without JupyterLab the text's own colour remains.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from chatkit.plain import one_line
from chatkit.saving import Saving, saved_cells
from chatkit.traffic import HTTP_HEAD, MOST, ROW_HEAD, Traffic, describe, http_cells, row_cells
from chatkit.views.when import count

_WORDS = "text-align:left;padding:2px 12px 2px 0"
_NUMBER = "text-align:right;padding:2px 12px 2px 0;white-space:nowrap;font-variant-numeric:tabular-nums"
_RULE = ";border-bottom:1px solid var(--jp-border-color2, currentColor)"
_INK = "color:var(--jp-ui-font-color1, inherit)"


def traffic_table(traffic: Traffic) -> str:
    """An HTML table of connections, rows and HTTP exchanges, heaviest types first."""
    parts = [f"<p>in frames: {html.escape(describe(traffic.total()))}</p>"]
    parts += [
        f"<p>connection {html.escape(one_line(c.id or 'unknown', 40))}: {html.escape(str(c.compression))}</p>"
        for c in traffic.connections[:MOST]
    ]
    parts += [_more(len(traffic.connections) - MOST, "connection")]
    parts += [_table(ROW_HEAD, map(row_cells, traffic.rows[:MOST]), words=3), _more(len(traffic.rows) - MOST, "row")]
    if traffic.http:
        parts += [_table(HTTP_HEAD, map(http_cells, traffic.http[:MOST]), words=1)]
        parts += [_more(len(traffic.http) - MOST, "purpose")]
    return _frame(parts)


def saving_table(saving: Saving) -> str:
    """An HTML table of bytes per minute, one way beside the other; the sum is the last line."""
    lines = saving.lines[-MOST:]
    return _frame([_table(saving.head, map(saved_cells, lines), words=1), _more(len(saving.lines) - MOST, "line")])


def _frame(parts: Iterable[str]) -> str:
    return f'<div class="ck-traffic" style="{_INK}">{"".join(parts)}</div>'


def _more(number: int, noun: str) -> str:
    return f"<p>and {count(number, noun)} more</p>" if number > 0 else ""


def _table(head: Sequence[str], lines: Iterable[Sequence[str]], words: int) -> str:
    body = "".join(f"<tr>{_cells(line, 'td', words, '')}</tr>" for line in lines)
    return f"<table><thead><tr>{_cells(head, 'th', words, _RULE)}</tr></thead><tbody>{body}</tbody></table>"


def _cells(texts: Sequence[str], tag: str, words: int, more: str) -> str:
    styles = [_WORDS if n < words else _NUMBER for n in range(len(texts))]
    return "".join(
        f'<{tag} style="{style}{more}">{html.escape(one_line(text, 100))}</{tag}>'
        for text, style in zip(texts, styles, strict=True)
    )
