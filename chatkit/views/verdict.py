"""The verdict card: what it is in one sentence, why, what stops it, what it is not and what nobody knows yet.

Each claim opens to the events behind it, without any script; ``data-events`` names them, a JSON list of ids, for a
timeline beside it. The card is HTML without style attributes, so that a page with a strict content security policy
can hold it. Every text may be hostile: bounded, one line, escaped.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from chatkit.views import wording
from chatkit.views.ticket import text, ticket
from chatkit.views.wording import say

if TYPE_CHECKING:
    from chatkit.diagnosis.result import Diagnosis, Evidence, RankedCause
    from chatkit.trace import Trace

MOST_BARS = 6
MOST_SELECTED = 500
"""Events of one claim that a timeline is asked to select."""
_STATIC = Path(__file__).parent / "static"


@cache
def stylesheet() -> str:
    """The card's own style sheet; everything below one class."""
    return (_STATIC / "verdict.css").read_text("utf-8")


def card(diagnosis: Diagnosis, trace: Trace | None = None, *, style: bool = True) -> str:
    """The verdict as HTML.

    Args:
        diagnosis: what was found.
        trace: the evidence, which tells how connections ended and what stands behind each claim.
        style: whether the style sheet comes along; a page with many cards holds it once.
    """
    own, guesses = wording.split(diagnosis)
    fault = diagnosis.verdict == "fault" and bool(own)
    body = _fault(diagnosis, trace, own, guesses) if fault else _calm(diagnosis, trace, guesses)
    sheet = f"<style>{stylesheet()}</style>" if style else ""
    tone = {"fault": "bad", "no-fault": "ok"}.get(diagnosis.verdict, "open")
    return f'{sheet}<section class="ckv" data-tone="{tone}" aria-label="Verdict">{body}</section>'


def _fault(
    diagnosis: Diagnosis, trace: Trace | None, own: Sequence[RankedCause], guesses: Sequence[RankedCause]
) -> str:
    first, *others = own
    told = wording.ending(trace, first)
    how = f"<p class='ckv-how'>{_e(told.before)}<strong>{_e(told.strong)}</strong>{_e(told.after)}</p>" if told else ""
    parts = [
        _kicker("fault", wording.looked_at(trace, diagnosis)),
        f"<h2>{_e(wording.headline(diagnosis))}</h2>",
        how,
        _acts(first),
    ]
    parts += [_bars(wording.probabilities(diagnosis)), _columns(first, trace)]
    parts += [_another(cause, trace) for cause in others]
    parts += [_rest(diagnosis, trace, guesses)]
    return "".join(parts)


def _calm(diagnosis: Diagnosis, trace: Trace | None, guesses: Sequence[RankedCause]) -> str:
    good = diagnosis.verdict == "no-fault"
    lead = wording.looked_at(trace, diagnosis)
    words = "several explanations remain" if len(guesses) > 1 else "nothing in it shows what happened"
    words = "nothing in it speaks of a fault" if good else words
    parts = [_kicker("no fault" if good else "inconclusive", ""), f"<h2>{_e(wording.headline(diagnosis))}</h2>"]
    parts += [f"<p class='ckv-how'>{_e(f'{lead}: {words}.')}</p>" if lead else ""]
    parts += [_bars(wording.probabilities(diagnosis))]
    for cause in guesses[:3]:
        parts.append(_list(f"What speaks for {say(cause.id, 60)}", [_claim(one, trace) for one in cause.evidence]))
    return "".join(parts) + _rest(diagnosis, trace, guesses)


def _rest(diagnosis: Diagnosis, trace: Trace | None, guesses: Sequence[RankedCause]) -> str:
    ruled = [f"<code>{_e(say(one.id, 60))}</code> {_e(say(one.because))}" for one in diagnosis.ruled_out]
    other = [f"<code>{_e(say(c.id, 60))}</code> {c.confidence:.2f}: {_e(say(c.summary))}" for c in guesses]
    remarks = [_open(say(one.finding), one.events, trace) for one in diagnosis.remarks]
    left = _list("What else it could be" if diagnosis.verdict == "fault" else "What it could be", other) + _list(
        "Ruled out", ruled
    )
    right = _list("Remarks, no faults", remarks)
    right += _list("Not known", [_e(item) for item in wording.items(diagnosis.unknown)])
    settle = "What would settle it" if diagnosis.verdict == "inconclusive" else "To try next"
    right += _list(settle, [_e(item) for item in wording.to_try(diagnosis)])
    unseen = wording.hidden(trace, diagnosis)
    if unseen:
        right += f"<h3>Not visible in this evidence</h3><p class='ckv-dim'>{_e('; '.join(unseen))}.</p>"
    return f"<div class='ckv-columns ckv-rest'><div>{left}</div><div>{right}</div></div>" if left or right else ""


def _kicker(word: str, seen: str) -> str:
    return f"<p class='ckv-kicker'><b>Verdict: {word}</b> {_e(seen)}</p>"


def _acts(cause: RankedCause) -> str:
    chips = [f"who acts: {wording.acts(cause)}", *wording.measured(cause)]
    chips += [wording.which(cause.connections)] if cause.connections else []
    return "<p class='ckv-chips'>" + "".join(f"<span>{_e(chip)}</span> " for chip in chips) + "</p>"


def _bars(found: Sequence[tuple[str, float]]) -> str:
    """Causes as probabilities; the number stands beside each bar."""
    rows = "".join(_bar(*one, "other" if n else "first") for n, one in enumerate(found[:MOST_BARS]))
    rest = len(found) - MOST_BARS
    more = f"<p class='ckv-dim'>and {rest} less likely</p>" if rest > 0 else ""
    head = "<thead><tr><th>cause</th><th>probability</th><td></td></tr></thead>"
    return f"<table class='ckv-bars'>{head}<tbody>{rows}</tbody></table>{more}" if rows else ""


def _bar(id: str, share: float, rank: str) -> str:
    bar = (
        "<svg viewBox='0 0 100 8' preserveAspectRatio='none' aria-hidden='true'>"
        "<rect class='ckv-track' width='100' height='8'/>"
        f"<rect class='ckv-{rank}' width='{share * 100:.1f}' height='8'/></svg>"
    )
    return f"<tr class='ckv-{rank}-row'><td><code>{_e(id)}</code></td><td>{bar}</td><td>{share:.2f}</td></tr>"


def _columns(cause: RankedCause, trace: Trace | None) -> str:
    why = _list("Why", [_claim(one, trace) for one in cause.evidence if one.supports])
    against = _list("What speaks against it", [_claim(one, trace) for one in cause.evidence if not one.supports])
    return f"<div class='ckv-columns'><div>{why}{against}</div><div>{_fix(cause)}</div></div>"


def _fix(cause: RankedCause) -> str:
    where = f" <span class='ckv-dim'>({_e(say(cause.fix.where, 80))})</span>" if cause.fix.where else ""
    lines = wording.settings(cause)
    block = f"<pre>{_e(chr(10).join(lines))}</pre>" if lines else ""
    likely = _list("Likely behind it", [_e(say(one)) for one in cause.likely])
    return f"<h3>What stops it</h3><p>{_e(say(cause.fix.summary))}{where}</p>{block}{likely}"


def _another(cause: RankedCause, trace: Trace | None) -> str:
    """Another cause in the same evidence."""
    told = wording.ending(trace, cause)
    how = f"<p class='ckv-how'>{_e(str(told))}</p>" if told else ""
    title = f"<h2 class='ckv-second'>And: {_e(say(cause.summary))}</h2>"
    return f"<div class='ckv-another'>{title}{how}{_acts(cause)}{_columns(cause, trace)}</div>"


def _claim(evidence: Evidence, trace: Trace | None) -> str:
    return _open(say(evidence.finding), evidence.events, trace)


def _open(claim: str, events: Sequence[str], trace: Trace | None) -> str:
    """A claim that opens to its events."""
    if not events:
        return _e(claim)
    ids = _e(json.dumps(list(events[:MOST_SELECTED])))
    lines = "".join(f"<li>{_e(line)}</li>" for line in wording.told(trace, events))
    return f'<details data-events="{ids}"><summary>{_e(claim)}</summary><ol class="ckv-events">{lines}</ol></details>'


def _list(title: str, items: Iterable[str]) -> str:
    """A list of ready HTML under a title; nothing where there is none."""
    shown = wording.few([item for item in items if item], "item")
    return f"<h3>{_e(title)}</h3><ul>{''.join(f'<li>{item}</li>' for item in shown)}</ul>" if shown else ""


def _e(text: str) -> str:
    return html.escape(text, quote=True)


__all__ = ["card", "stylesheet", "text", "ticket"]
