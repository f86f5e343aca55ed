"""What a run came to, and what many runs say: pure, values in, values out."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from tests.incidents.incident import NONE, Among, Incident

Mark = Literal["right", "wrong", "abstained", "failed"]

FAULT, NO_FAULT = "fault", "no-fault"
STEPS = (0.99, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5)


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter of a cause that was named rightly."""

    name: str
    expected: str
    found: Any
    fits: bool
    measured: bool
    """A time or a number with tolerance; else one of some words."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One run: a line of the results file."""

    key: str
    id: str
    stack: str
    seed: int
    label: str
    minimum_s: float
    verdict: str | None = None
    causes: list[tuple[str, float, str]] = []
    """Id, confidence and who acts, most probable first."""
    rivals: list[tuple[str, float]] = []
    """What else the first of them could be: id and probability, most probable first."""
    who_fits: bool | None = None
    """Of a right verdict ``fault``."""
    parameters: list[Parameter] = []
    elapsed_s: float | None = None
    """As the investigation says."""
    wall_s: float = 0.0
    """Of the whole command, its start included."""
    error: str | None = None
    """Why there is no verdict: the stack did not start, the command failed."""
    skipped: str | None = None
    """The program that is missing on this machine."""

    @property
    def mark(self) -> Mark:
        """Whether the first answer is the label.

        A verdict without a cause where there is one abstains: it helps nobody and misleads nobody. But "no fault"
        where there is one is wrong: somebody would believe it.
        """
        if self.verdict is None:
            return "failed"
        if self.verdict not in (FAULT, NO_FAULT):
            return "abstained"
        said = self.causes[0][0] if self.verdict == FAULT and self.causes else NONE
        return "right" if said == self.label else "wrong"

    @property
    def in_three(self) -> bool:
        """Whether the label is among the first three: the first cause, then others and its rivals by probability."""
        others = sorted([(id, chance) for id, chance, _ in self.causes[1:]] + self.rivals, key=lambda one: -one[1])
        first = [id for id, _, _ in self.causes[:1]] + [id for id, _ in others]
        return self.mark == "right" or self.label in list(dict.fromkeys(first))[:3]

    @property
    def beyond_s(self) -> float | None:
        """Seconds to the verdict, without what no method can undercut."""
        return None if self.elapsed_s is None else max(0.0, self.elapsed_s - self.minimum_s)


def row(incident: Incident, **more: Any) -> Row:
    """A row of that incident."""
    return Row(
        key=incident.key,
        id=incident.id,
        stack=incident.stack,
        seed=incident.seed,
        label=incident.label,
        minimum_s=round(incident.minimum_s, 3),
        **more,
    )


def judge(incident: Incident, document: Mapping[str, Any], wall_s: float) -> Row:
    """What ``chatkit diagnose --json`` said (``interfaces.md``).

    Raises:
        KeyError, TypeError, ValueError: the document is not of that shape.
    """
    diagnosis = document["diagnosis"]
    causes = [(str(c["id"]), float(c["confidence"]), str(c["who"])) for c in diagnosis["causes"]]
    right = diagnosis["verdict"] == FAULT and bool(causes) and causes[0][0] == incident.label
    return row(
        incident,
        verdict=str(diagnosis["verdict"]),
        causes=causes,
        rivals=[(str(c["id"]), float(c["confidence"])) for c in diagnosis["causes"][0]["lookalikes"]] if causes else [],
        who_fits=causes[0][2] in incident.who if right else None,
        parameters=measured(incident, diagnosis["causes"][0]["parameters"]) if right else [],
        elapsed_s=float(document["elapsed_s"]),
        wall_s=round(wall_s, 3),
    )


def measured(incident: Incident, found: Mapping[str, Any]) -> list[Parameter]:
    """The expected parameters beside what was found; ``None`` for what was not."""
    return [
        Parameter(
            name=name,
            expected=str(expected),
            found=found.get(name),
            fits=name in found and expected.fits(found[name]),
            measured=not isinstance(expected, Among),
        )
        for name, expected in incident.expected.items()
    ]


def calibration(found: Sequence[tuple[float, bool]]) -> list[str]:
    """A line for each step of confidence: verdicts, how many are right, and what was promised."""
    lines = []
    for low, high in zip(STEPS, (1.01, *STEPS), strict=False):
        mine = [(confidence, right) for confidence, right in found if low <= confidence < high]
        if mine:
            right = sum(right for _, right in mine)
            promised = sum(confidence for confidence, _ in mine) / len(mine)
            lines.append(f"  {low:.2f} and more: {right:3d} of {len(mine):3d} right, {promised:.2f} promised")
    return lines


def brier(found: Sequence[tuple[float, bool]]) -> float:
    """Of the first causes, abstentions apart: 0 is perfect."""
    return sum((confidence - right) ** 2 for confidence, right in found) / max(1, len(found))


def verdicts(rows: Iterable[Row]) -> list[tuple[float, bool]]:
    """Confidence and rightness of each verdict ``fault``."""
    return [(one.causes[0][1], one.mark == "right") for one in rows if one.verdict == FAULT and one.causes]


def report(rows: Sequence[Row]) -> str:
    """All figures of many runs, for people."""
    skipped = [one for one in rows if one.skipped]
    ran = [one for one in rows if not one.skipped]
    faults = [one for one in ran if one.label != NONE]
    healthy = [one for one in ran if one.label == NONE]
    lines = [f"{'stack':<10}{'runs':>6}{'right':>7}{'wrong':>7}{'abstained':>11}{'failed':>8}"]
    for stack in dict.fromkeys(one.stack for one in ran):
        mine = [one.mark for one in ran if one.stack == stack]
        counts = [mine.count(mark) for mark in ("right", "wrong", "abstained", "failed")]
        lines.append(f"{stack:<10}{len(mine):>6}{counts[0]:>7}{counts[1]:>7}{counts[2]:>11}{counts[3]:>8}")
    lines += ["", f"incidents with a fault: {len(faults)}"]
    if faults:
        lines += [
            f"  top-1 {_share(sum(one.mark == 'right' for one in faults), len(faults))}",
            f"  top-3 {_share(sum(one.in_three for one in faults), len(faults))}",
            f"  abstained {_share(sum(one.mark == 'abstained' for one in faults), len(faults))}",
        ]
    lines.append(f"healthy runs: {len(healthy)}")
    if healthy:
        lines += [
            f"  false alarms {_share(sum(one.verdict == FAULT for one in healthy), len(healthy))}",
            f"  abstained {_share(sum(one.mark == 'abstained' for one in healthy), len(healthy))}",
        ]
    lines += [*_who(ran), *_parameters(ran), *_times("with a fault", faults), *_times("healthy", healthy)]
    found = verdicts(ran)
    lines += ["verdicts with a cause:", *calibration(found), f"  Brier score {brier(found):.3f}"]
    if skipped:
        missing = ", ".join(sorted({one.skipped for one in skipped if one.skipped}))
        lines.append(f"not run, because a program is missing: {len(skipped)} ({missing})")
    return "\n".join([*lines, *_not_right(ran)])


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} % ({part} of {whole})"


def _who(rows: Iterable[Row]) -> list[str]:
    told = [one.who_fits for one in rows if one.who_fits is not None]
    return [f"who acts, of the right verdicts: {_share(sum(told), len(told))}"] if told else []


def _parameters(rows: Sequence[Row]) -> list[str]:
    lines = []
    for measured, what in ((True, "times and numbers within 3 % or 0.3"), (False, "words and counts")):
        mine = [one for row in rows for one in row.parameters if one.measured is measured]
        if mine:
            lines.append(f"parameters, {what}: {_share(sum(one.fits for one in mine), len(mine))}")
    off = [(row, one) for row in rows for one in row.parameters if not one.fits]
    return [*lines, *(f"  {row.key}: {one.name} {one.expected}, found {one.found}" for row, one in off)]


def _times(what: str, rows: Iterable[Row]) -> list[str]:
    beyond = sorted(one.beyond_s for one in rows if one.beyond_s is not None and one.mark == "right")
    if not beyond:
        return []
    ninth = beyond[min(len(beyond) - 1, int(0.9 * len(beyond)))]
    median = statistics.median(beyond)
    return [f"seconds to a right verdict beyond the minimum, {what}: median {median:.1f}, p90 {ninth:.1f}"]


def _not_right(rows: Iterable[Row]) -> list[str]:
    lines = []
    for one in rows:
        if one.mark != "right":
            said = ", ".join(f"{id} {confidence:.2f}" for id, confidence, _ in one.causes[:3])
            lines.append(f"  {one.mark:<10}{one.key:<44}{one.label:<24}{one.error or f'{one.verdict}: {said}'}")
    return ["", "not right:", *lines] if lines else ["", "all right"]
