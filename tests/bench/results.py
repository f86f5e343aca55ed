"""What a benchmark found, and the file in which ``make bench`` writes it down.

A benchmark is a module of this folder with two functions. ``rows()`` measures and returns a :class:`Measure` for each
thing that is claimed; what it prints meanwhile is kept below its table. ``main()`` is for running it alone, and ends with
``show(rows())``. One that lacks something raises :class:`CannotRun` with the reason and the remedy.

``tests/bench/__main__.py`` lists them with the seconds that each may take.
"""

from __future__ import annotations

import importlib
import statistics
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

RESULTS = Path(__file__).with_name("RESULTS.md")
HEAD = """# What is measured, and how it stands

Written by `make bench`; one section for each file of this folder, and each section is replaced when its benchmark runs
again. Contestants take turns within one run; a figure is the median over the rounds, with the least and the greatest
behind it. Ratios are what to trust: absolute figures are those of one machine. A control measures the yardstick against
itself, and shows how much of a ratio is noise.
"""
COLUMNS = ("measure", "against", "median", "spread", "target", "")


class CannotRun(Exception):
    """Something that the benchmark needs is not here; the text says what, and how to get it."""


class Measure(Struct, frozen=True, kw_only=True):
    """One line of the table; make it with :func:`measured`."""

    name: str
    """What was measured, with its conditions: ``receive 100 B, redacted and persisted``."""
    against: str
    """The yardstick of the same run that the figure is divided by; empty for a figure that stands alone."""
    median: float
    spread: tuple[float, float]
    """Least and greatest of the rounds."""
    unit: str
    """``×`` for a ratio, else the unit of the figure."""
    least: float | None
    """The target: so much or more."""
    most: float | None
    """The target: so much or less."""
    rounds: int

    @property
    def met(self) -> bool | None:
        """Whether the median reaches the target; ``None`` where there is none."""
        if self.least is None and self.most is None:
            return None
        return (self.least is None or self.median >= self.least) and (self.most is None or self.median <= self.most)

    @property
    def target(self) -> str:
        """The target in words; empty where there is none."""
        bounds = [(sign, bound) for sign, bound in (("≥", self.least), ("≤", self.most)) if bound is not None]
        return ", ".join(f"{sign} {_figure(bound)} {self.unit}" for sign, bound in bounds)

    @property
    def cells(self) -> tuple[str, ...]:
        """The line of the table."""
        low, high = self.spread
        spread = f"{_figure(low)} – {_figure(high)}" if self.rounds > 1 else "one round"
        said = {None: "", True: "met", False: "**missed**"}[self.met]
        return (self.name, self.against, f"{_figure(self.median)} {self.unit}", spread, self.target, said)


def measured(
    name: str,
    values: Sequence[float],
    *,
    against: str = "",
    unit: str = "×",
    least: float | None = None,
    most: float | None = None,
) -> Measure:
    """A measure from the figures of its rounds.

    Args:
        name: what was measured, with its conditions.
        values: one figure for each round; for a ratio, each against the same round's yardstick.
        against: the yardstick; empty for a figure that stands alone.
        unit: ``×`` for a ratio.
        least, most: the target, in ``unit``.
    """
    return Measure(
        name=name,
        against=against,
        median=statistics.median(values),
        spread=(min(values), max(values)),
        unit=unit,
        least=least,
        most=most,
        rounds=len(values),
    )


def table(measures: Sequence[Measure]) -> str:
    """Markdown, readable as it stands."""
    lines = [COLUMNS, *(measure.cells for measure in measures)]
    widths = [max(3, *(len(line[n]) for line in lines)) for n in range(len(COLUMNS))]
    text = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    return "\n".join([text[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *text[1:]])


def show(measures: Sequence[Measure]) -> None:
    """Prints the table, for a benchmark that is run alone."""
    print(table(measures))


def section(name: str, about: str, found: Sequence[Measure] | str, log: str = "", when: str = "") -> str:
    """One benchmark's part of the file.

    Args:
        name: its module.
        about: first line of the module's docstring.
        found: its measures, or why there are none.
        log: what it printed.
        when: date and machine.
    """
    body = found if isinstance(found, str) else table(found)
    parts = [f"## {name}", about, body]
    if log.strip():
        parts.append(f"```text\n{log.strip()}\n```")
    return "\n\n".join([*parts, when] if when else parts) + "\n"


def merge(document: str, sections: dict[str, str], order: Sequence[str]) -> str:
    """The file with these sections in place of the older ones of the same names, in order; others go."""
    kept = {part.partition("\n")[0]: f"## {part}" for part in document.split("\n## ")[1:]}
    kept = {name: part.rstrip() + "\n" for name, part in kept.items()} | sections
    return "\n".join([HEAD, *(kept[name] for name in order if name in kept)])


def _figure(value: float) -> str:
    return f"{value:,.2f}" if abs(value) < 100 else f"{value:,.0f}"


def run(name: str, target: str) -> None:
    """Runs one benchmark in this process and writes what it found: measures, or one sentence."""
    module = importlib.import_module(f"tests.bench.{name}")
    try:
        found: list[Measure] | str = module.rows()
    except CannotRun as why:
        found = f"Did not run: {why}."
    Path(target).write_bytes(msgspec.json.encode(found))
