"""How often the engine is right, and what its confidences are worth: the labelled set, case by case.

Right is a first cause that is the label. Wrong is another one, or a cause where nothing is wrong. Abstained is a
verdict without a cause where there is one: it helps nobody, and misleads nobody. Calibration is over the verdicts
``fault``: of those given at 0.9 and more, nine in ten should be right.
"""

from __future__ import annotations

import asyncio
import sys
import time

from tests.diagnosis.labelled import Labelled, files, first, live, told
from tests.diagnosis.stories import NO_FAULT, OPEN

STEPS = (0.99, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5)


def judge(label: str, said: str) -> str:
    """``right``, ``wrong`` or ``abstained``."""
    if said == label:
        return "right"
    return "abstained" if said == OPEN or (said == NO_FAULT and label == OPEN) else "wrong"


def calibration(found: list[tuple[float, bool]]) -> list[str]:
    """A line for each step of confidence: verdicts, how many are right, and what was promised."""
    lines = []
    for low, high in zip(STEPS, (1.01, *STEPS), strict=False):
        mine = [(confidence, right) for confidence, right in found if low <= confidence < high]
        if mine:
            right = sum(right for _, right in mine)
            promised = sum(confidence for confidence, _ in mine) / len(mine)
            lines.append(f"  {low:.2f} and more: {right:3d} of {len(mine):3d} right, {promised:.2f} promised")
    return lines


def main() -> None:
    """Records, diagnoses, prints; ``--no-lab`` leaves the recordings out."""
    began = time.monotonic()
    found: list[Labelled] = [*told(), *files()]
    if "--no-lab" not in sys.argv:
        found += asyncio.run(live())
    print(f"{len(found)} labelled traces, ready after {time.monotonic() - began:.0f} s\n")
    print(f"{'label':<24}{'source':<7}{'verdict':<13}{'first cause':<24}{'confidence':<11}{'':<10}what")
    verdicts, marks = [], []
    for one in found:
        diagnosis = one.diagnose()
        said = first(diagnosis)
        mark = judge(one.label, said)
        confidence = diagnosis.causes[0].confidence if diagnosis.causes else None
        if confidence is not None:
            verdicts.append((confidence, mark == "right"))
        marks.append((one.source, mark))
        shown = f"{confidence:.2f}" if confidence is not None else "-"
        print(f"{one.label:<24}{one.source:<7}{diagnosis.verdict:<13}{said:<24}{shown:<11}{mark:<10}{one.name}")
    for source in dict.fromkeys(source for source, _ in marks):
        mine = [mark for other, mark in marks if other == source]
        counts = {mark: mine.count(mark) for mark in ("right", "wrong", "abstained")}
        print(
            f"\n{source}: {len(mine)} traces, " + ", ".join(f"{count} {mark}" for mark, count in counts.items()), end=""
        )
    print("\n\nverdicts with a cause:")
    print("\n".join(calibration(verdicts)))
    brier = sum((confidence - right) ** 2 for confidence, right in verdicts) / max(1, len(verdicts))
    print(f"  Brier score {brier:.3f}")


if __name__ == "__main__":
    main()
