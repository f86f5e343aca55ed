"""A small value at a glance: what it is, its one sentence, and facts in lines; static HTML in the verdict card's look.

Every text may be hostile: one line, bounded, escaped.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

from chatkit.ending import Connection, Ending
from chatkit.views import verdict
from chatkit.views.when import count
from chatkit.views.wording import say

MOST = 40
"""Lines shown; the rest is counted."""
_MARKS = {"pass": "✓", "warning": "!", "fail": "✗", "not-tried": "–"}
_TONES = {"pass": "ok", "warning": "remark", "fail": "bad", "not-tried": "dim"}
_CELL = "text-align:left;vertical-align:top;padding:2px 12px 2px 0;border:0;background:none;font:inherit"


def glance(kind: str, sentence: str, facts: Sequence[tuple[str, ...]] = (), tone: str = "remark") -> str:
    """One value.

    Args:
        kind: what it is: ``connection``, ``message`` …
        sentence: what matters of it.
        facts: a name and a text each; a third item is a status (``pass``, ``warning``, ``fail``, ``not-tried``),
            which is shown as a mark and a word.
        tone: ``ok``, ``bad`` or ``remark``: the colour of the edge.
    """
    rows = "".join(map(_row, facts[:MOST]))
    more = f"<p class='ckv-dim'>and {count(len(facts) - MOST, 'line')} more</p>" if len(facts) > MOST else ""
    table = f"<table style='border-collapse:collapse;margin:0'><tbody>{rows}</tbody></table>" if rows else ""
    return (
        f"<style>{verdict.stylesheet()}</style><section class='ckv' data-tone='{html.escape(tone)}' "
        f"aria-label='{_e(kind, 60)}'><p class='ckv-kicker'><b>{_e(kind, 60)}</b></p>"
        f"<p style='white-space:pre-wrap'>{html.escape(_lines(sentence))}</p>{table}{more}</section>"
    )


def ending(value: Ending) -> str:
    """How a connection ended."""
    return glance("ending", str(value), tone="ok" if value.clean else "bad")


def connection(value: Connection) -> str:
    """One life of one WebSocket."""
    ended = value.ending
    facts = [
        ("url", value.url or "not visible"),
        ("opened", value.opened_wall or "never"),
        ("lived", f"{value.duration:.1f} s"),
        ("messages", f"{value.frames_in:,} in, {value.frames_out:,} out"),
    ]
    bad = value.state == "refused" or (ended is not None and ended.abort)
    return glance("connection", str(value), facts, "bad" if bad else "ok")


def _row(fact: tuple[str, ...]) -> str:
    name, text, *status = fact
    told = ""
    if status:
        known = status[0] if status[0] in _MARKS else "not-tried"
        colour = f"color:var(--ckv-{_TONES[known]});white-space:nowrap"
        told = f"<td style='{_CELL};{colour}'>{_MARKS[known]} <b>{known}</b></td>"
    return (
        f"<tr>{told}<td style='{_CELL};white-space:nowrap' class='ckv-dim'>{_e(name, 60)}</td>"
        f"<td style='{_CELL}'>{_e(text, 400)}</td></tr>"
    )


def _lines(text: str) -> str:
    """Foreign text keeps its lines, so many of them."""
    return "\n".join(say(line, 2_000) for line in text.splitlines()[:MOST])


def _e(text: str, most: int) -> str:
    return html.escape(say(text, most), quote=True)
