"""The report: one HTML file that opens anywhere, asks the network nothing and needs no kernel.

The verdict comes first; below it the explorer's own timeline, fed with the one layout out of the page itself. A claim
that is clicked selects its events there. The content security policy lets in nothing but the page's own script and
style, which are named by their digests. Every text may be hostile: bounded, escaped.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from msgspec import Struct

from chatkit.errors import InvalidInput
from chatkit.events import KIND_CODE, FrameReceived, FrameSent
from chatkit.views import packet, wording
from chatkit.views.detail import describe
from chatkit.views.script import explorer_script
from chatkit.views.shaping import few
from chatkit.views.ticket import ticket
from chatkit.views.timeline import lay_out
from chatkit.views.verdict import card, stylesheet
from chatkit.views.when import count, stretch, zoned
from chatkit.views.wording import say

if TYPE_CHECKING:
    from chatkit.diagnosis.result import Diagnosis
    from chatkit.ending import Connection
    from chatkit.inspection import Input
    from chatkit.trace import Trace

MOST_ROWS = 200
"""Connections in the table; the rest is counted."""
MOST_TICKS = 200_000
"""Events drawn; of more, the crowded ones are thinned and the page says so."""
LAYOUT_BYTES = 1_450_000
"""Of the packed layout in the page."""
GRAIN = 2.0**20
"""Parts of a second to which the times of frames are rounded (about a microsecond): the rest does not pack."""
DETAIL_BYTES = 450_000
"""Of the packed events that a click can show in full; what claims name comes first."""
PAYLOAD = 2_000
"""Characters of one message that such an event shows."""
_STATIC = Path(__file__).parent / "static"
_EXPLORER = Path(__file__).parents[1] / "widgets" / "static"
_FRAMES = (KIND_CODE[FrameSent], KIND_CODE[FrameReceived])

REDACTION = (
    "Access tokens, passwords, cookies and other known secrets were replaced before anything was stored, and again on "
    "the way into this page; of a token only its times stay. What people and bots wrote is in here: treat the file "
    "as you would treat the chat."
)


class Section(Struct, frozen=True):
    """Something more to show, made by another view: a survival curve, limits that fit."""

    title: str
    html: str
    """Ready HTML without style attributes and scripts."""


def report(
    trace: Trace,
    diagnosis: Diagnosis,
    *,
    title: str | None = None,
    inputs: Sequence[Input] = (),
    sections: Sequence[Section] = (),
    made_at: float | None = None,
) -> str:
    """The whole file.

    Args:
        trace: the evidence; several pieces are merged before.
        diagnosis: what was found in it.
        title: of the page; what was talked to otherwise.
        inputs: the files as they were read; what the trace itself tells of them otherwise.
        sections: what else is to be shown, between the connections and the inputs.
        made_at: Unix time at which the report is made, if it shall say so.
    """
    script, style = _script(), _style()
    policy = f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}; base-uri 'none'"
    name = say(title or trace.origin.target or _base(trace.origin.file) or "recording", 160)
    shown = [card(diagnosis, trace, style=False), _timeline(trace, diagnosis), _connections(trace)]
    shown += [_panel(say(one.title, 80), one.html) for one in sections]
    shown += [_inputs(trace, inputs), _panel("Secrets", f"<p>{_e(REDACTION)}</p>"), _ticket(diagnosis, trace)]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_e(wording.headline(diagnosis))}</title><style>{style}</style></head><body><main>"
        f"<header><h1>chatkit report</h1><p>{_e(_about(trace, name, made_at))}</p>"
        '<span class="ckr-dim" id="copied" role="status"></span>'
        '<button class="ckr-button" type="button" id="copy">Copy as ticket</button></header>'
        f'{"".join(shown)}</main><script type="module">{script}</script></body></html>\n'
    )


@cache
def _script() -> str:
    return explorer_script() + (_STATIC / "report.js").read_text("utf-8")


@cache
def _style() -> str:
    parts = [(_STATIC / "report.css").read_text("utf-8"), stylesheet(), (_EXPLORER / "explorer.css").read_text("utf-8")]
    return "".join(parts)


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _about(trace: Trace, name: str, made_at: float | None) -> str:
    begin = trace.epoch + (float(trace.at.min()) if len(trace) else 0.0)
    end = begin + trace.duration
    day = f"{zoned(begin, UTC):%Y-%m-%d} " if zoned(begin, UTC).date() == zoned(end, UTC).date() else ""
    parts = [name, day + stretch(begin, end, UTC)]
    return " · ".join(
        parts + ([f"report made {zoned(made_at, UTC):%Y-%m-%d %H:%M} UTC"] if made_at is not None else [])
    )


def _timeline(trace: Trace, diagnosis: Diagnosis) -> str:
    block, said = _layout(trace)
    claimed = _claimed(trace, diagnosis)
    details, whole = _details(trace, list(claimed.values()))
    notes = [said] if said else []
    if not whole:
        notes.append("a click shows events in full as far as this page holds them; the recording holds all")
    note = f"<p class='ckr-note'>{_e('; '.join(notes))}.</p>" if notes else ""
    places = json.dumps(claimed).replace("<", "\\u003c")
    return (
        '<section class="ckr-panel ckr-timeline" id="timeline-panel" aria-label="Timeline"><div id="timeline"></div>'
        '<div class="ckr-chosen" id="chosen" hidden aria-live="polite"><div class="ckr-chosen-head">'
        '<b id="chosen-count"></b><button class="ckr-button" type="button" id="chosen-show">Zoom to them</button>'
        '<button class="ckr-button" type="button" id="chosen-clear">Clear</button></div>'
        '<ol id="chosen-list"></ol></div>'
        f"{note}<noscript><p>The timeline needs the page's own script, which is switched off here.</p></noscript>"
        f'<script type="application/octet-stream" id="layout">{block}</script>'
        f'<script type="application/octet-stream" id="details">{details}</script>'
        f'<script type="application/json" id="places">{places}</script></section>'
    )


def _layout(trace: Trace) -> tuple[str, str]:
    """The layout, packed into base64, and what was left out of it."""
    whole = lay_out(trace)
    whole = replace(whole, ticks=replace(whole.ticks, x=np.round(whole.ticks.x * GRAIN) / GRAIN))
    most = MOST_TICKS
    while True:
        layout, said = few(whole, most)
        packed = zlib.compress(packet.encode(layout), 9)
        if len(packed) <= LAYOUT_BYTES or most < 1000:
            return base64.b64encode(packed).decode(), said
        most = min(most, len(layout.ticks) + len(layout.marks)) * 3 // 4


def _claimed(trace: Trace, diagnosis: Diagnosis) -> dict[str, int]:
    """Place of every event that a claim or an ending names, by id."""
    ids: list[str] = []
    for cause in diagnosis.causes:
        ids += [id for one in cause.evidence for id in one.events]
    ids += [id for remark in diagnosis.remarks for id in remark.events]
    ids += [id for c in trace.connections[:MOST_ROWS] if c.ending is not None for id in c.ending.events]
    places: dict[str, int] = {}
    for id in dict.fromkeys(ids):
        with suppress(InvalidInput):  # an id of another recording selects nothing
            places[id] = trace.index(id)
    return places


def _details(trace: Trace, first: Sequence[int]) -> tuple[str, bool]:
    """Events in full, one JSON document per line, packed into base64; and whether all are there."""
    packer, size, written = zlib.compressobj(9), 0, 0
    parts: list[bytes] = []
    for row in _by_weight(trace, first):
        told = describe(trace, row)
        payload = told["payload"]
        if payload is not None and len(payload) > PAYLOAD:
            told["payload"] = payload[:PAYLOAD] + "\n…"
        event = trace[row]
        where = f"connection {say(event.connection, 40)}, " if event.connection is not None else ""
        told["line"] += wording.seen_by(wording.vantage(event.id))
        parts.append(packer.compress(msgspec.json.encode({"row": row, "where": where} | told) + b"\n"))
        size, written = size + len(parts[-1]), written + 1
        if size > DETAIL_BYTES:
            break
    parts.append(packer.flush())
    return base64.b64encode(b"".join(parts)).decode(), written == len(trace)


def _by_weight(trace: Trace, first: Sequence[int]) -> Iterable[int]:
    """Places of all events: those that claims name, then those that are no data frames, then the frames."""
    yield from first
    done = set(first)
    frames = [int(kind) in _FRAMES for kind in trace.kind]
    for wanted in (False, True):
        yield from (i for i, frame in enumerate(frames) if frame is wanted and i not in done)


def _connections(trace: Trace) -> str:
    connections = trace.connections
    merged = bool(trace.vantage_names)
    head = ["connection", "opened (UTC)", "lived", "messages in", "out", "pings in", "out", "ending"]
    head += ["seen by"] if merged else []
    numbers = {2, 3, 4, 5, 6}
    titles = "".join(f"<th{_number(n in numbers)}>{title}</th>" for n, title in enumerate(head))
    rows = "".join(_connection(c, merged) for c in connections[:MOST_ROWS])
    more = len(connections) - MOST_ROWS
    rest = f"<p class='ckr-note'>and {count(more, 'more connection')}</p>" if more > 0 else ""
    return _panel(f"Connections ({len(connections):,})", _table(titles, rows) + rest)


def _connection(c: Connection, merged: bool) -> str:
    lived = f"{c.duration:.1f} s" if c.opened_at is not None or c.state in ("open", "ended") else "never opened"
    pings = ["not visible" if n is None else f"{n:,}" for n in (c.pings_in, c.pings_out)]
    cells = [("", say(c.id, 40)), (" class='ckr-time'", _opened(c))]
    cells += [(_number(True), text) for text in (lived, f"{c.frames_in:,}", f"{c.frames_out:,}", *pings)]
    shown = "".join(f"<td{attribute}>{_e(text)}</td>" for attribute, text in cells)
    seen = f"<td>{_e(', '.join(say(name, 40) for name in c.vantages))}</td>" if merged else ""
    return f"<tr>{shown}<td class='ckr-wide'>{_ending(c)}</td>{seen}</tr>"


def _opened(c: Connection) -> str:
    if c.opened_wall is not None:
        return c.opened_wall
    return "not visible" if c.state in ("open", "ended") else "never"


def _ending(c: Connection) -> str:
    if c.ending is None:
        refused = c.state == "refused" and c.status is not None
        return _e(f"refused: HTTP {c.status}" if refused else {"open": "still open"}.get(c.state, c.state))
    ids = _e(json.dumps(list(c.ending.events)))
    return f'<button type="button" class="ckr-claim" data-events="{ids}">{_e(say(c.ending, 200))}</button>'


def _inputs(trace: Trace, inputs: Sequence[Input]) -> str:
    """What the page was made from, and what each of it cannot show."""
    views = trace.header.vantages
    if views or not inputs:
        found = [(one.origin, one.not_visible) for one in views or [trace.header]]
        told = [(_base(one.file) or one.target or one.kind, one.format or one.kind, unseen) for one, unseen in found]
    else:
        told = [(_base(one.file), one.format, one.not_visible) for one in inputs]
    rows = ""
    for n, (source, form, unseen) in enumerate(told):
        words = "; ".join(wording.hidden_words(unseen)) or "everything that chatkit looks at is visible"
        cells = [*([views[n].name] if views else []), source, form]
        cells += [_clock(views[n].offset, views[n].offset_error)] if views else []
        rows += (
            "<tr>"
            + "".join(f"<td>{_e(say(cell, 200))}</td>" for cell in cells)
            + f"<td class='ckr-wide'>{_e(words)}</td></tr>"
        )
    head = [*(["seen by"] if views else []), "input", "format", *(["clock"] if views else []), "not visible in it"]
    titles = "".join(f"<th>{title}</th>" for title in head)
    notes = "".join(f"<p class='ckr-note'>Note: {_e(say(note, 300))}</p>" for note in trace.warnings[:20])
    return _panel("Inputs", _table(titles, rows) + notes)


def _base(file: str | None) -> str:
    """A file's name without its folders, which are nobody's business but its owner's."""
    return re.split(r"[/\\]", file or "")[-1]


def _clock(offset: float, error: float | None) -> str:
    within = "nothing ties it to the others" if error is None else f"± {error:.3f} s"
    return f"{offset:+.3f} s, {within}"


def _ticket(diagnosis: Diagnosis, trace: Trace) -> str:
    text = _e(ticket(diagnosis, trace))
    return _panel(
        "Ticket",
        '<details id="ticket-box"><summary>The verdict as Markdown, to paste into Jira or GitHub</summary>'
        f'<textarea id="ticket" readonly aria-label="Ticket in Markdown">\n{text}</textarea></details>',
        "ckr-ticket",
    )


def _panel(title: str, content: str, name: str = "") -> str:
    return f'<section class="ckr-panel {name}" aria-label="{_e(title)}"><h2>{_e(title)}</h2>{content}</section>'


def _table(titles: str, rows: str) -> str:
    head = f"<thead><tr>{titles}</tr></thead>"
    return f"<div class='ckr-scroll'><table class='ckr-table'>{head}<tbody>{rows}</tbody></table></div>"


def _number(yes: bool) -> str:
    return " class='ckr-number'" if yes else ""


def _e(text: str) -> str:
    return html.escape(text, quote=True)
