"""A running investigation as HTML: where it stands, hypotheses as bars, arms as lifelines, probes, what was decided.

Each part is HTML of its own, so that a window can exchange the parts that changed. There are no style attributes and
no scripts. Every text may be hostile: bounded, one line, escaped.
"""

from __future__ import annotations

import html as markup
import math
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from chatkit.experiments.progress import ArmLine, Bar, ProbeLine, Progress
from chatkit.views import arms as lifelines
from chatkit.views import verdict
from chatkit.views.when import count
from chatkit.views.wording import say

MOST_BARS = 6
MOST_PROBES = 40
MOST_NOTES = 8
"""The latest ones."""
_STATIC = Path(__file__).parent / "static"

MARKS = {"pass": "✓", "warning": "!", "fail": "✗", "not-tried": "–", "running": "…"}
"""Of a probe; a word stands beside it for those who do not see it."""


class Parts(NamedTuple):
    """The panel in pieces."""

    head: str
    bars: str
    arms: str
    probes: str
    notes: str


@cache
def stylesheet() -> str:
    """The panel's own style sheet; it builds on the verdict card's."""
    return verdict.stylesheet() + (_STATIC / "progress.css").read_text("utf-8")


def html(progress: Progress, *, style: bool = True) -> str:
    """How an investigation stands, as HTML that fits its cell.

    Args:
        progress: one look at it.
        style: whether the style sheet comes along, light and dark.
    """
    sheet = f"<style>{stylesheet()}</style>" if style else ""
    tone = "done" if progress.done else "busy"
    shown = "".join(parts(progress))
    return f'{sheet}<section class="ckv cki" data-tone="{tone}" aria-label="Investigation">{shown}</section>'


def parts(progress: Progress) -> Parts:
    """The panel in pieces, each complete in itself; those without content are empty."""
    return Parts(
        head=_head(progress),
        bars=_bars(progress.bars),
        arms=_arms(progress),
        probes=_probes(progress.probes),
        notes=_notes(progress.notes),
    )


def _head(progress: Progress) -> str:
    elapsed, budget = lifelines.seconds(progress.elapsed), lifelines.seconds(progress.budget)
    used = f"{elapsed:.0f} s of {budget:.0f} s used" if budget else f"{elapsed:.0f} s"
    state = "finished" if progress.done else "running"
    bar = (
        f'<svg class="cki-used" role="progressbar" aria-label="Time used" aria-valuemin="0" '
        f'aria-valuemax="{budget:.0f}" aria-valuenow="{min(elapsed, budget):.0f}" viewBox="0 0 100 4" '
        f'preserveAspectRatio="none"><rect class="ckv-track" width="100" height="4"/>'
        f'<rect class="cki-time" width="{_share(elapsed / budget) * 100:.1f}" height="4"/></svg>'
        if budget
        else ""
    )
    return f"<p class='ckv-kicker'><b>Investigation: {state}</b> {used}</p><h2>{_e(say(progress.stage, 160))}</h2>{bar}"


def _bars(bars: Sequence[Bar]) -> str:
    rows = "".join(_bar(bar, first=not n) for n, bar in enumerate(bars[:MOST_BARS]))
    rest = len(bars) - MOST_BARS
    more = f"<p class='ckv-dim'>and {rest:,} less likely</p>" if rest > 0 else ""
    head = "<thead><tr><th>hypothesis</th><th>probability</th><td></td></tr></thead>"
    return f"<table class='ckv-bars cki-bars'>{head}<tbody>{rows}</tbody></table>{more}" if rows else ""


def _bar(bar: Bar, *, first: bool) -> str:
    share, rank = _share(bar.probability), "first" if first else "other"
    drawn = (
        "<svg viewBox='0 0 100 8' preserveAspectRatio='none' aria-hidden='true'>"
        "<rect class='ckv-track' width='100' height='8'/>"
        f"<rect class='ckv-{rank}' width='{share * 100:.1f}' height='8'/></svg>"
    )
    name = f"<code>{_e(say(bar.id, 60))}</code> <span class='cki-title'>{_e(say(bar.title, 90))}</span>"
    return f"<tr class='ckv-{rank}-row'><td>{name}</td><td>{drawn}</td><td>{share:.2f}</td></tr>"


def _arms(progress: Progress) -> str:
    shown, rest = lifelines.chosen(progress.arms)
    if not shown:
        return ""
    end = lifelines.horizon(progress)
    rows = "".join(_arm(arm, end) for arm in shown)
    more = f"<p class='ckv-dim'>{count(rest, 'earlier arm')} not drawn</p>" if rest else ""
    head = "<thead><tr><th>arm</th><th>seconds since the start</th><th>lived</th></tr></thead>"
    foot = f"<tfoot><tr><td></td><td>{axis(end)}</td><td></td></tr></tfoot>"
    table = f"<table class='cki-arms'>{head}<tbody>{rows}</tbody>{foot}</table>"
    return f"<h3>Arms</h3>{table}{more}{legend(live=True)}"


def legend(*, live: bool) -> str:
    """What the marks of lifelines mean."""
    lives = f"{_sample('alive')} lives " if live else ""
    return (
        f"<p class='ckv-dim cki-legend'>{_sample('act')} it did something {lives}"
        f"{_sample('bad')} ended, not by us {_sample('closed')} closed by us</p>"
    )


def _arm(arm: ArmLine, end: float) -> str:
    told = lifelines.fate(arm)
    words = f"<td class='cki-{told.tone}'>{_e(told.words)}</td>"
    return f"<tr><td>{named(arm.id, arm.what)}</td><td>{lifeline(arm, end)}</td>{words}</tr>"


def named(id: str, what: str) -> str:
    """An arm's name above what it does; what is cut off shows when it is pointed at."""
    told = _e(say(what, 120))
    return f"<code>{_e(say(id, 40))}</code><span class='cki-what' title=\"{told}\">{told}</span>"


def lifeline(arm: ArmLine, end: float) -> str:
    """One arm on the axis, as a drawing as wide as its place: lines are stretched, marks are not."""
    grid = "".join(f"M{_x(at / end)} 0V20" for at in _ticks(end))
    drawn = f'<path class="cki-grid" d="{grid}"/>'
    place = lifelines.life(arm, end)
    mark = ""
    if place is not None:
        begin, last = place
        drawn += (
            f'<path class="cki-life cki-{arm.state if arm.state in _LIVES else "closed"}" d="{_line(begin, last)}"/>'
        )
        drawn += f'<path class="cki-acts" d="{"".join(f"M{_x(at)} 11v6" for at in lifelines.acts(arm, end))}"/>'
        mark = f'<svg class="cki-mark" x="{last * 100:.2f}%" y="10">{_MARKS[_ENDS.get(arm.state, "closed")]}</svg>'
    elif arm.state == "refused":
        mark = f'<svg class="cki-mark" x="6" y="10">{_MARKS["refused"]}</svg>'
    return (
        '<svg class="cki-lane" aria-hidden="true"><svg class="cki-lines" viewBox="0 0 1000 20" '
        f'preserveAspectRatio="none">{drawn}</svg>{mark}</svg>'
    )


_LIVES = ("alive", "ended", "closed")
_ENDS = {"alive": "alive", "ended": "bad"}
_MARKS = {
    "act": '<path class="cki-acts" d="M0 -3v6"/>',
    "alive": '<path class="cki-tip" d="M0 -4L6 0L0 4Z"/>',
    "bad": '<path class="cki-cross" d="M-4 -4L4 4M4 -4L-4 4"/>',
    "refused": '<path class="cki-cross cki-refused" d="M-4 -4L4 4M4 -4L-4 4"/>',
    "closed": '<path class="cki-stop" d="M0 -5V5"/>',
}


def _sample(name: str) -> str:
    return f'<svg class="cki-sample" aria-hidden="true"><svg class="cki-mark" x="6" y="7">{_MARKS[name]}</svg></svg>'


def axis(end: float) -> str:
    """The numbers below the lifelines, seconds."""
    at = [(at, at / end) for at in _ticks(end)]
    words = "".join(
        f'<text x="{share * 100:.2f}%" y="12" text-anchor="{_anchor(share)}">{moment:g}</text>' for moment, share in at
    )
    return f'<svg class="cki-axis" aria-hidden="true">{words}</svg>'


def _anchor(share: float) -> str:
    return "start" if share <= 0 else ("end" if share >= 0.999 else "middle")


def _ticks(end: float) -> list[float]:
    step = lifelines.step_of(end)
    return [step * n for n in range(math.floor(end / step + 1e-9) + 1)]


def _line(begin: float, last: float) -> str:
    """At least a pixel or so: a life of some milliseconds was one."""
    return f"M{_x(begin)} 10H{_x(max(last, begin + 0.002))}"


def _x(share: float) -> str:
    return f"{share * 1000:.1f}".rstrip("0").rstrip(".")


def _probes(probes: Sequence[ProbeLine]) -> str:
    items = probe_items(probes)
    return f"<h3>Probes</h3>{items}" if items else ""


def probe_items(probes: Sequence[ProbeLine]) -> str:
    """Probes as a list; nothing where there is none."""
    items = [
        f"<li data-status='{_status(one)}'><span class='cki-sign' role='img' aria-label='{_status(one)}'>"
        f"{MARKS[_status(one)]}</span><span><code>{_e(say(one.id, 40))}</code> {_e(say(one.summary, 160))}</span></li>"
        for one in probes[:MOST_PROBES]
    ]
    rest = len(probes) - MOST_PROBES
    items += [f"<li><span></span><span>and {count(rest, 'more probe')}</span></li>"] if rest > 0 else []
    return f"<ul class='cki-probes'>{''.join(items)}</ul>" if items else ""


def _status(probe: ProbeLine) -> str:
    return probe.status if probe.status in MARKS else "not-tried"


def _notes(notes: Iterable[str]) -> str:
    items = [f"<li>{_e(say(note, 240))}</li>" for note in list(notes)[-MOST_NOTES:]]
    return f"<h3>What was decided</h3><ul>{''.join(items)}</ul>" if items else ""


def _share(value: float) -> float:
    return max(0.0, min(1.0, value)) if math.isfinite(value) else 0.0


def _e(text: str) -> str:
    return markup.escape(text, quote=True)
