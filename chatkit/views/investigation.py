"""A finished investigation: the verdict, whether the cure was tried, the arms beside each other, the probes; pure.

HTML without style attributes and scripts; every text may be hostile: bounded, one line, escaped.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from chatkit.experiments.progress import ArmLine, ProbeLine, Progress
from chatkit.views import arms as lifelines
from chatkit.views import progress, ticket, verdict
from chatkit.views.when import count
from chatkit.views.wording import few, say

if TYPE_CHECKING:
    import numpy as np

    from chatkit.diagnosis.survival import Curve
    from chatkit.experiments.proof import Group, Proof
    from chatkit.experiments.result import ArmResult, Investigation
    from chatkit.trace import Trace

MOST_ROWS = 40
"""Arms in a table; the rest is counted."""
ACTS = {"FrameSent", "PingSent"}
_STOPPED = {
    "settled": "the cause stood",
    "budget": "the budget was used up",
    "unchangeable": "nothing that was left could have changed the answer",
    "interrupted": "it was stopped",
    "blocked": "no connection could be opened",
}
_OUTCOMES = {"survived": "lived on", "ended": "ended", "mute": "open, but mute"}
_OUR_GOODBYE = "closed by us"


def card(investigation: Investigation, *, style: bool = True) -> str:
    """The investigation as HTML.

    Args:
        investigation: what was found.
        style: whether the style sheet comes along; a page with many cards holds it once.
    """
    sheet = f"<style>{progress.stylesheet()}</style>" if style else ""
    first = verdict.card(investigation.diagnosis, investigation.trace, style=False)
    parts = [_kicker(investigation), _proof(investigation.verification), _arms(investigation)]
    parts += [_probes(investigation), _untried(investigation.untried)]
    return f'{sheet}{first}<section class="ckv cki cki-found" aria-label="Experiments">{"".join(parts)}</section>'


def text(investigation: Investigation) -> str:
    """The investigation for a terminal: the verdict, then what was tried."""
    lines = [ticket.text(investigation.diagnosis, investigation.trace)]
    proof = investigation.verification
    lines += ["", "Was the cure tried?", f"  - {_conclusion(proof)}"] if proof is not None else []
    own = [arm for arm in investigation.arms if arm.role != "probe"]
    if own:
        lines += ["", f"Arms ({_tally(own)})"]
        lines += [f"  {say(arm.id, 24):<24} {_lived(arm):>8}  {_fate(arm)}" for arm in own[:MOST_ROWS]]
        lines += [f"  and {len(own) - MOST_ROWS:,} more arms"] if len(own) > MOST_ROWS else []
    if investigation.probes:
        lines += ["", "Probes"]
        lines += [f"  {progress.MARKS.get(one.status, '–')} {say(one.id, 24)}: {say(one.summary, 160)}"
                  for one in investigation.probes[:MOST_ROWS]]  # fmt: skip
    lines += ["", "Left out", *(f"  - {one}" for one in _left_out(investigation))] if investigation.untried else []
    return "\n".join([*lines, "", f"{_when(investigation)}."])


def ticket_text(investigation: Investigation) -> str:
    """The investigation as Markdown, ready for Jira or GitHub."""
    lines = [*_ticket_proof(investigation.verification), *_ticket_arms(investigation)]
    odd = [one for one in investigation.probes if one.status in ("fail", "warning")]
    lines += _chapter("Probes that were not in order", [f"{say(one.id, 40)}: {say(one.summary)}" for one in odd])
    lines += _chapter("Left out", _left_out(investigation))
    return ticket.ticket(investigation.diagnosis, investigation.trace, lines)


def _ticket_proof(proof: Proof | None) -> list[str]:
    return ["", "## Was the cure tried?", "", ticket.mark(_conclusion(proof))] if proof is not None else []


def _ticket_arms(investigation: Investigation) -> list[str]:
    lines = ["", "## Experiments", "", f"{ticket.mark(_when(investigation))}."]
    lines += (
        ["", "| arm | treatment | outcome | lived | ending |", "|---|---|---|---|---|"] if investigation.arms else []
    )
    for arm in investigation.arms[:MOST_ROWS]:
        cells = [say(arm.id, 40), say(arm.treatment, 120), _outcome(arm), _lived(arm), _ending(arm)]
        lines.append("| " + " | ".join(ticket.mark(cell) for cell in cells) + " |")
    rest = len(investigation.arms) - MOST_ROWS
    return lines + (["", f"{count(rest, 'more arm')}."] if rest > 0 else [])


def _chapter(title: str, items: Sequence[str]) -> list[str]:
    shown = few(items, "item")
    return ["", f"## {title}", "", *(f"- {ticket.mark(item)}" for item in shown)] if shown else []


# Words


def _when(investigation: Investigation) -> str:
    stopped = _STOPPED.get(investigation.why, say(investigation.why, 60))
    return f"{investigation.elapsed_s:.1f} s against {say(investigation.target, 120)}" + (
        f", until {stopped}" if stopped else ""
    )


def _tally(arms: Sequence[ArmResult]) -> str:
    words: dict[str, int] = {}
    for arm in arms:
        words[_outcome(arm)] = words.get(_outcome(arm), 0) + 1
    return ", ".join(f"{number:,} {word}" for word, number in words.items())


def _outcome(arm: ArmResult) -> str:
    name, _, detail = say(arm.outcome, 60).rstrip(")").partition("(")
    if name == "refused":
        return f"refused with HTTP {detail}" if detail else "refused"
    if name == "no-answer":
        return f"no answer ({detail})"
    return _OUTCOMES.get(name, name)


def _lived(arm: ArmResult) -> str:
    return "never" if arm.lifetime_s is None else f"{lifelines.seconds(arm.lifetime_s):.1f} s"


def _ending(arm: ArmResult) -> str:
    if arm.ending is not None:
        return say(arm.ending, 120)
    return _OUR_GOODBYE if arm.lifetime_s is not None else ""


def _fate(arm: ArmResult) -> str:
    ending = _ending(arm)
    return _outcome(arm) + (f": {ending}" if ending and arm.outcome == "ended" else "")


def _conclusion(proof: Proof) -> str:
    needed = say(proof.needed) if proof.needed else ""
    return say(proof.sentence) + (f"; needed: {needed}" if needed else "")


def _left_out(investigation: Investigation) -> list[str]:
    return few([say(one) for one in investigation.untried], "item")


# HTML


def _kicker(investigation: Investigation) -> str:
    return f"<p class='ckv-kicker'><b>Experiments</b> {_e(_when(investigation))}</p>"


def _proof(proof: Proof | None) -> str:
    """Both survival curves, and who lived how long."""
    if proof is None:
        return ""
    groups = (("with the cure", "with", proof.cured), ("without it", "without", proof.control))
    last = max(lifelines.seconds(group.curve.last) for _, _, group in groups) or 1.0
    step = lifelines.step_of(last)
    end = step * -(-last // step)
    lines = "".join(f"<path class='cki-curve cki-{kind}' d='{_steps(group.curve, end)}'/>" for _, kind, group in groups)
    needed = lifelines.seconds(proof.must_live_s)
    if 0 < needed <= end:
        lines += f"<path class='cki-must' d='M{1000 * needed / end:.1f} 0V100'/>"
    drawn = f"<svg class='cki-proof' viewBox='0 0 1000 100' preserveAspectRatio='none' aria-hidden='true'>{lines}</svg>"
    rows = "".join(
        f"<tr><td>{_key(kind)} {name}</td><td>{group.arms:,}</td><td>{group.died:,}</td><td>{_half(group)}</td></tr>"
        for name, kind, group in groups
    )
    head = "<tr><th>connections</th><th>tried</th><th>ended</th><th>half gone after</th></tr>"
    had = f"; a cured connection had to live {needed:.1f} s" if needed else ""
    tone = {"holds": "ok", "fails": "bad"}.get(str(proof.outcome), "remark")
    return (
        f"<h3>Was the cure tried?</h3><p class='cki-{tone}'><strong>{_e(_conclusion(proof))}</strong></p>"
        f"<div class='ckv-columns'><div>{drawn}{progress.axis(end)}"
        f"<p class='ckv-dim cki-legend'>share still alive over seconds since opening{_e(had)}</p></div>"
        f"<div><table class='cki-table'><thead>{head}</thead><tbody>{rows}</tbody></table></div></div>"
    )


def _steps(curve: Curve, end: float) -> str:
    times: np.ndarray[Any, Any] = curve.time[:500]
    path = "M0 4"
    for moment, share in zip(times.tolist()[1:], curve.survival.tolist()[1:], strict=False):
        path += f"H{1000 * moment / end:.1f}V{_height(share)}"
    return path + f"H{1000 * min(1.0, lifelines.seconds(curve.last) / end):.1f}"


def _height(share: float) -> str:
    """All alive at 4 of 100, none at 96: a line at the edge would be cut."""
    return f"{96 - 92 * share:.1f}"


def _key(kind: str) -> str:
    return (
        "<svg class='cki-sample' viewBox='0 0 14 14' aria-hidden='true'>"
        f"<path class='cki-curve cki-{kind}' d='M0 7H14'/></svg>"
    )


def _half(group: Group) -> str:
    return "not reached" if group.median_s is None else f"{group.median_s:.1f} s"


def _arms(investigation: Investigation) -> str:
    own = [arm for arm in investigation.arms if arm.role != "probe"]
    if not own:
        return ""
    lines = [_line(arm, investigation.trace) for arm in own[:MOST_ROWS]]
    end = lifelines.horizon(Progress(stage="", elapsed=0.0, budget=0.0, arms=tuple(lines), done=True))
    rows = "".join(_row(arm, line, end) for arm, line in zip(own, lines, strict=False))
    head = "<tr><th>arm</th><th>seconds since the start</th><th>lived</th><th>outcome</th></tr>"
    foot = f"<tfoot><tr><td></td><td>{progress.axis(end)}</td><td></td><td></td></tr></tfoot>"
    rest = f"<p class='ckv-dim'>and {count(len(own) - MOST_ROWS, 'more arm')}</p>" if len(own) > MOST_ROWS else ""
    table = f"<table class='cki-arms cki-results'><thead>{head}</thead><tbody>{rows}</tbody>{foot}</table>"
    title = f"{count(len(own), 'arm')}: {_tally(own)}"
    return _fold(title, table + rest + progress.legend(live=False), opened=True)


def _row(arm: ArmResult, line: ArmLine, end: float) -> str:
    tone = {"ended": "bad", "mute": "bad", "survived": "ok"}.get(arm.outcome, "remark")
    ending = _ending(arm)
    # A refusal's ending repeats its status, and guesses what the verdict knows.
    brief = arm.ending is None or arm.outcome.startswith("refused(")
    told = _outcome(arm) if brief else f"{_outcome(arm)}: {ending}"
    return (
        f"<tr><td>{progress.named(arm.id, arm.treatment)}</td>"
        f"<td>{progress.lifeline(line, end)}</td><td>{_e(_lived(arm))}</td>"
        f"<td class='cki-{tone}'>{_e(say(told, 200))}</td></tr>"
    )


def _line(arm: ArmResult, trace: Trace) -> ArmLine:
    """An arm as its lifeline shows it: when it opened, what it sent, how it ended."""
    connection = next((one for one in trace.connections if one.id == arm.connection), None)
    opened = connection.opened_at if connection is not None else None
    acts: tuple[float, ...] = ()
    if opened is not None:
        sent = trace.select(connection=arm.connection, kinds=ACTS)
        acts = tuple(at - opened for at in sent.at[:200].tolist())
    state = "closed" if arm.outcome in ("survived", "mute") else "ended"
    return ArmLine(
        id=arm.id,
        connection=arm.connection,
        what=arm.treatment,
        state=state if opened is not None else "refused",
        opened=opened,
        age=arm.lifetime_s or 0.0,
        acts=acts,
    )


def _probes(investigation: Investigation) -> str:
    probes = [ProbeLine(id=one.id, status=one.status, summary=_advised(one)) for one in investigation.probes]
    if not probes:
        return ""
    counted = {
        "in order": sum(one.status == "pass" for one in probes),
        "odd": sum(one.status == "warning" for one in probes),
        "failed": sum(one.status == "fail" for one in probes),
    }
    tally = ", ".join(f"{number} {word}" for word, number in counted.items() if number)
    return _fold(f"{count(len(probes), 'probe')}: {tally}", progress.probe_items(probes), opened=False)


def _advised(probe: Any) -> str:
    advice = f" (try: {say(probe.remedy, 80)})" if probe.remedy and probe.status in ("fail", "warning") else ""
    return say(probe.summary, 160 - len(advice)) + advice


def _untried(untried: Sequence[str]) -> str:
    items = "".join(f"<li>{_e(one)}</li>" for one in few([say(one) for one in untried], "item"))
    return f"<h3>Left out</h3><ul>{items}</ul>" if items else ""


def _fold(title: str, content: str, *, opened: bool) -> str:
    return f"<details class='cki-fold'{' open' if opened else ''}><summary>{_e(title)}</summary>{content}</details>"


def _e(text: str) -> str:
    return html.escape(text, quote=True)
