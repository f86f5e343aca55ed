"""The verdict as plain text for a terminal, and as a Markdown ticket to paste; values in, text out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from chatkit.clock import iso_utc
from chatkit.views import wording
from chatkit.views.wording import say

if TYPE_CHECKING:
    from chatkit.diagnosis.result import Diagnosis, Evidence, RankedCause
    from chatkit.trace import Trace

BAR = 24
"""Characters of a full bar."""
MOST_CONNECTIONS = 20
"""Connections in a ticket's table."""
# What Markdown would read as markup; marks of a word like "_" stay, they do nothing inside of one.
_MARKUP = re.compile(r"[\\`*\[\]<>|~]")


def text(diagnosis: Diagnosis, trace: Trace | None = None) -> str:
    """The verdict for a terminal."""
    own, guesses = wording.split(diagnosis)
    lines = [wording.headline(diagnosis)]
    told = wording.ending(trace, own[0]) if own else None
    lines += [str(told)] if told else []
    lines += (
        [""] + [_bar(*one) for one in wording.probabilities(diagnosis)[: wording.MOST_ITEMS]]
        if diagnosis.causes
        else []
    )
    for cause in own:
        lines += _cause(cause, several=len(own) > 1)
    if diagnosis.verdict == "no-fault":
        lines += _section("Looked at", [wording.looked_at(trace, diagnosis)])
    lines += _section("What else it could be", [_guess(cause) for cause in guesses])
    lines += _section("Ruled out", [f"{say(one.id, 60)}: {say(one.because)}" for one in diagnosis.ruled_out])
    lines += _section("Remarks, no faults", wording.items(diagnosis.remarks))
    lines += _section("Not known", wording.items(diagnosis.unknown))
    lines += _section("To try next", wording.to_try(diagnosis))
    lines += _section("Not visible in this evidence", wording.hidden(trace, diagnosis))
    return "\n".join(lines)


def ticket(diagnosis: Diagnosis, trace: Trace | None = None, more: Sequence[str] = ()) -> str:
    """The verdict as Markdown, ready for Jira or GitHub: what, since when, evidence, fix, ruled out, not known.

    ``more``: ready lines of Markdown from whoever knows more, which go before the last one.
    """
    own, guesses = wording.split(diagnosis)
    lines = [f"# {mark(wording.headline(diagnosis))}", "", *_facts(diagnosis, trace, own)]
    for cause in own:
        lines += _ticket_cause(cause, trace, several=len(own) > 1)
    lines += _table(trace, own)
    lines += _chapter("What else it could be", [mark(_guess(cause)) for cause in guesses])
    lines += _chapter("Ruled out", [f"`{_code(one.id)}`: {mark(say(one.because))}" for one in diagnosis.ruled_out])
    lines += _chapter("Remarks (no faults)", [mark(item) for item in wording.items(diagnosis.remarks)])
    lines += _chapter("Not known", [mark(item) for item in wording.items(diagnosis.unknown)])
    lines += _chapter("To try next", [mark(item) for item in wording.to_try(diagnosis)])
    lines += _chapter("Not visible in this evidence", [mark(item) for item in wording.hidden(trace, diagnosis)])
    lines += [*more, "", "Made by chatkit. Tokens and passwords were removed before anything was stored."]
    return "\n".join(lines) + "\n"


def mark(text: str) -> str:
    """Text that Markdown shows as it is, and that calls nobody."""
    return _MARKUP.sub(lambda found: "\\" + found.group(), text).replace("@", "@\u200b")


def _cause(cause: RankedCause, *, several: bool) -> list[str]:
    name = f"{say(cause.id, 60)}, {wording.which(cause.connections)}" if several else ""
    lines = ["", f"{name}: {say(cause.summary)}"] if several else _section("Who acts", [wording.acts(cause)])
    lines += _section("Measured", wording.measured(cause))
    lines += _section("Why", [_finding(one) for one in cause.evidence if one.supports])
    lines += _section("What speaks against it", [_finding(one) for one in cause.evidence if not one.supports])
    where = f" (where: {say(cause.fix.where, 80)})" if cause.fix.where else ""
    lines += _section("What stops it", [say(cause.fix.summary) + where])
    lines += [f"      {line}" for line in wording.settings(cause)]
    return lines + _section("Likely", [say(one) for one in cause.likely])


def _finding(evidence: Evidence) -> str:
    events = ", ".join(say(id, 40) for id in evidence.events[: wording.MOST_EVENTS])
    more = ", …" if len(evidence.events) > wording.MOST_EVENTS else ""
    noun = "event" if len(evidence.events) == 1 else "events"
    return say(evidence.finding) + (f" ({noun} {events}{more})" if events else "")


def _guess(cause: RankedCause) -> str:
    return f"{say(cause.id, 60)} ({cause.confidence:.2f}): {say(cause.summary)}"


def _bar(id: str, share: float) -> str:
    full = round(share * BAR)
    return f"  {id:<24} {'█' * full}{'·' * (BAR - full)} {share:.2f}"


def _section(title: str, items: Sequence[str]) -> list[str]:
    shown = [item for item in wording.few(items, "item") if item]
    return ["", title, *(f"  - {item}" for item in shown)] if shown else []


def _chapter(title: str, items: Sequence[str]) -> list[str]:
    shown = [item for item in wording.few(items, "item") if item]
    return ["", f"## {title}", "", *(f"- {item}" for item in shown)] if shown else []


def _facts(diagnosis: Diagnosis, trace: Trace | None, own: Sequence[RankedCause]) -> list[str]:
    ids = own[0].connections if own else ()
    told = wording.ending(trace, own[0]) if own else None
    moment = wording.since(trace, ids) if own else None
    facts: list[tuple[str, str]] = [("Verdict", diagnosis.verdict)]
    facts += [("Cause", f"`{_code(own[0].id)}`, confidence {own[0].confidence:.2f}")] if own else []
    facts += [("Who acts", wording.acts(own[0]))] if own else []
    facts += [("How it ends", mark(str(told)))] if told else []
    facts += [("Since", f"{iso_utc(moment)} (first such ending in the evidence)")] if moment is not None else []
    facts += [("Backend", f"`{_code(trace.origin.target)}`")] if trace is not None and trace.origin.target else []
    seen = wording.looked_at(trace, diagnosis)
    facts += [("Looked at", mark(seen))] if seen else []
    return [f"- **{name}:** {value}" for name, value in facts]


def _ticket_cause(cause: RankedCause, trace: Trace | None, *, several: bool) -> list[str]:
    lines = ["", f"## `{_code(cause.id)}`: {mark(say(cause.summary))}"] if several else []
    lines += _chapter("Measured", [mark(item) for item in wording.measured(cause)])
    lines += _evidence("Evidence", [one for one in cause.evidence if one.supports], trace)
    lines += _evidence("What speaks against it", [one for one in cause.evidence if not one.supports], trace)
    where = f" (where: {mark(say(cause.fix.where, 80))})" if cause.fix.where else ""
    lines += ["", "## What stops it", "", mark(say(cause.fix.summary)) + where]
    lines += _fenced(wording.settings(cause))
    return lines + _chapter("Likely", [mark(say(one)) for one in cause.likely])


def _evidence(title: str, found: Sequence[Evidence], trace: Trace | None) -> list[str]:
    lines = ["", f"## {title}", ""] if found else []
    for one in found[: wording.MOST_ITEMS]:
        lines.append(f"- {mark(_finding(one))}")
        events = [f"  - {mark(line)}" for line in (wording.told(trace, one.events, 4) if trace is not None else [])]
        lines += [line for line in events if line not in lines]  # what shows two things is told once
    return lines


def _table(trace: Trace | None, own: Sequence[RankedCause]) -> list[str]:
    ids = {id for cause in own for id in cause.connections}
    mine = [c for c in trace.connections if c.id in ids] if trace is not None else []
    if not mine:
        return []
    rows = [
        f"| {mark(say(c.id, 40))} | {c.opened_wall or 'never'} | {c.duration:.1f} s | "
        f"{mark(say(c.ending, 160)) if c.ending is not None else 'still open'} |"
        for c in mine[:MOST_CONNECTIONS]
    ]
    more = [f"\n{len(mine) - MOST_CONNECTIONS:,} more connections ended."] if len(mine) > MOST_CONNECTIONS else []
    return [
        "",
        "## Connections",
        "",
        "| connection | opened (UTC) | lived | ending |",
        "|---|---|---|---|",
        *rows,
        *more,
    ]


def _fenced(lines: Sequence[str]) -> list[str]:
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return ["", fence, *lines, fence] if lines else []


def _code(text: object) -> str:
    """Text for a code span, where nothing can be escaped."""
    return say(text, 200).translate(str.maketrans("`<>", "'‹›")).replace("@", "@\u200b")
