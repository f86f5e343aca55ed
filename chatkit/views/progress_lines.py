"""A running investigation as lines for a terminal: few enough to be drawn again and again in the same place; pure."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence

from chatkit.experiments.progress import ArmLine, Bar, ProbeLine, Progress
from chatkit.views import arms as lifelines
from chatkit.views.progress import MARKS
from chatkit.views.wording import say

MOST_LINES = 25
MOST_BARS = 5
MOST_PROBES = 4
"""Of those that are not in order; the others are counted."""
MOST_NOTES = 3
LEAST_WIDTH = 40
_STYLES = {"ok": "32", "bad": "31", "remark": "33", "dim": "2", "strong": "1"}
_TONES = {"pass": "ok", "warning": "remark", "fail": "bad"}
_EIGHTHS = " ▏▎▍▌▋▊▉"


def lines(progress: Progress, width: int = 80, *, colour: bool = False, most: int = MOST_LINES) -> list[str]:
    """How an investigation stands.

    Args:
        progress: one look at it.
        width: columns of the terminal; no line is wider (at least ``LEAST_WIDTH``).
        colour: whether lines hold ANSI colours; shapes and words say the same.
        most: lines at most; what matters least goes first.
    """
    sheet = _Sheet(max(width, LEAST_WIDTH), colour)
    head = [sheet.head(progress)]
    bars = [sheet.bar(bar, first=not n) for n, bar in enumerate(progress.bars[:MOST_BARS])]
    probes = sheet.probes(progress.probes)
    notes = [sheet.plain(f"  {note}", "dim") for note in progress.notes[-MOST_NOTES:]]
    room = most - len(head) - len(bars)
    arms = sheet.arms(progress, max(0, room - len(notes)))
    room -= len(arms)
    notes = notes[-room:] if room > 0 else []
    probes = probes[: max(0, room - len(notes))]
    return [*head, *bars, *arms, *probes, *notes][:most]


def probe_line(probe: ProbeLine) -> str:
    """One probe for a log."""
    return f"{MARKS.get(probe.status, MARKS['not-tried'])} {say(probe.id, 40)}: {say(probe.summary, 200)}"


class _Sheet:
    """Lines of one width, coloured or not."""

    def __init__(self, width: int, colour: bool) -> None:
        self.width, self._colour = width, colour
        self._name = min(24, width // 4)

    def plain(self, text: str, tone: str = "") -> str:
        """A line that fits."""
        return self._paint(fit(say_flat(text), self.width).rstrip(), tone)

    def head(self, progress: Progress) -> str:
        elapsed, budget = lifelines.seconds(progress.elapsed), lifelines.seconds(progress.budget)
        used = f"{elapsed:.0f} s of {budget:.0f} s" if budget else f"{elapsed:.0f} s"
        stage = fit(say(progress.stage, 160), self.width - len(used) - 2).rstrip()
        return f"{self._paint(stage, 'strong')}  {self._paint(used, 'dim')}"

    def bar(self, bar: Bar, *, first: bool) -> str:
        share = max(0.0, min(1.0, bar.probability)) if math.isfinite(bar.probability) else 0.0
        room = max(8, min(30, self.width // 3))
        name = fit(say(bar.id, 60), self._name)
        title = fit(say(bar.title, 120), max(0, self.width - self._name - room - 10)).rstrip()
        drawn = self._paint(blocks(share, room), "strong" if first else "dim")
        return f"  {name} {drawn} {share:.2f}" + (f" {self._paint(title, 'dim')}" if title else "")

    def arms(self, progress: Progress, most: int) -> list[str]:
        """One line each: those that live, then the latest of the others; the rest is counted."""
        shown, rest = lifelines.chosen(progress.arms)
        if len(shown) > most or rest:
            keep = sorted(range(len(shown)), key=lambda n: (shown[n].state in ("alive", "opening"), n), reverse=True)[
                : max(0, most - 1)
            ]
            rest += len(shown) - len(keep)
            shown = [shown[n] for n in sorted(keep)]
        end = lifelines.horizon(progress)
        found = [self._arm(arm, end) for arm in shown]
        return found + ([self.plain(f"  and {rest:,} more arms", "dim")] if rest and most > 0 else [])

    def _arm(self, arm: ArmLine, end: float) -> str:
        told = lifelines.fate(arm)
        words = min(34, self.width // 3)
        room = self.width - self._name - words - 5
        name, track = fit(say(arm.id, 60), self._name), _track(arm, end, room, told.mark)
        return f"  {name} {self._paint(track, told.tone)} {self._paint(fit(told.words, words).rstrip(), told.tone)}"

    def probes(self, probes: Sequence[ProbeLine]) -> list[str]:
        """How many of each kind, then those that are not in order."""
        if not probes:
            return []
        counted = [(sum(one.status == status for one in probes), mark) for status, mark in MARKS.items()]
        found = [self.plain("  probes: " + ", ".join(f"{n} {mark}" for n, mark in counted if n))]
        odd = sorted((one for one in probes if one.status in ("fail", "warning")), key=lambda one: one.status)
        return found + [self.plain(f"  {probe_line(one)}", _TONES[one.status]) for one in odd[:MOST_PROBES]]

    def _paint(self, text: str, tone: str) -> str:
        return f"\x1b[{_STYLES[tone]}m{text}\x1b[0m" if self._colour and tone and text else text


def _track(arm: ArmLine, end: float, room: int, mark: str) -> str:
    """A lifeline in characters: ``  ──┼──┼──▸``."""
    place = lifelines.life(arm, end)
    cells = [" "] * room
    if place is None:
        cells[0] = mark
        return "".join(cells)
    first, last = (min(room - 1, int(share * room)) for share in place)
    cells[first:last] = "─" * (last - first)
    for act in lifelines.acts(arm, end):
        at = int(act * room)
        if first <= at < last:
            cells[at] = "┴"
    cells[last] = mark
    return "".join(cells)


def blocks(share: float, room: int) -> str:
    """A bar of ``room`` columns, to an eighth of one."""
    eighths = round(max(0.0, min(1.0, share)) * room * 8)
    whole, rest = divmod(eighths, 8)
    drawn = "█" * whole + (_EIGHTHS[rest] if rest else "")
    return drawn + " " * (room - len(drawn))


def fit(text: str, columns: int) -> str:
    """Text in exactly so many columns; wide characters take two, marks that combine none."""
    if columns <= 0:
        return ""
    used = 0
    kept: list[str] = []
    for letter in text:
        wide = columns_of(letter)
        if used + wide > columns:
            while kept and used > columns - 1:
                used -= columns_of(kept.pop())
            kept.append("…")
            used += 1
            break
        kept.append(letter)
        used += wide
    return "".join(kept) + " " * (columns - used)


def columns_of(letter: str) -> int:
    """Columns of a terminal that a character takes."""
    if unicodedata.combining(letter) or unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in ("W", "F") else 1


def say_flat(text: str) -> str:
    """Foreign text as one harmless line whose indent stays."""
    indent = len(text) - len(text.lstrip(" "))
    return " " * indent + say(text)
