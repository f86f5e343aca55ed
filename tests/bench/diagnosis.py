"""How often a diagnosis is right, and what its confidences are worth: from evidence, then live.

The first section is the labelled set, case by case; the second is DisconnectBench (``tests.bench.disconnect``), which
points ``chatkit diagnose`` at incidents. Options that are not of this file are the bench's.

Right is a first cause that is the label. Wrong is another one, or a cause where nothing is wrong. Abstained is a
verdict without a cause where there is one: it helps nobody, and misleads nobody. Calibration is over the verdicts
``fault``: of those given at 0.9 and more, nine in ten should be right.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence

from tests.bench.disconnect.__main__ import main as live_bench
from tests.bench.disconnect.score import brier, calibration
from tests.bench.results import Measure, measured, show
from tests.diagnosis.labelled import Labelled, files, first, live, told
from tests.diagnosis.stories import NO_FAULT, OPEN


def judge(label: str, said: str) -> str:
    """``right``, ``wrong`` or ``abstained``."""
    if said == label:
        return "right"
    return "abstained" if said == OPEN or (said == NO_FAULT and label == OPEN) else "wrong"


def main(words: Sequence[str] | None = None) -> None:
    """Both sections, or one."""
    parser = argparse.ArgumentParser(description="How often a diagnosis is right.", add_help=False)
    parser.add_argument("--no-lab", action="store_true", help="leave out the recordings of the lab")
    parser.add_argument("--no-live", action="store_true", help="only from evidence")
    parser.add_argument("--only-live", action="store_true", help="only DisconnectBench")
    args, rest = parser.parse_known_args(words)
    if not args.only_live:
        show(from_evidence(lab=not args.no_lab))
    if not args.no_live:
        live_bench(rest)


def rows() -> list[Measure]:
    """The labelled set; the incidents have a command of their own (``make bench-diagnosis``): they take half an hour."""
    return from_evidence(lab=True)


def from_evidence(*, lab: bool) -> list[Measure]:
    """Records (if ``lab``), diagnoses, prints."""
    began = time.monotonic()
    found: list[Labelled] = [*told(), *files()]
    if lab:
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
    print("\nverdicts with a cause:")
    print("\n".join(calibration(verdicts)))
    print(f"  Brier score {brier(verdicts):.3f}\n")
    measures = []
    for source in dict.fromkeys(source for source, _ in marks):
        mine = [mark for other, mark in marks if other == source]
        for mark in ("right", "wrong", "abstained"):
            share = 100 * mine.count(mark) / len(mine)
            measures.append(measured(f"{source}, {len(mine)} traces, {mark}", [share], unit="%"))
    sure = [100.0 * right for confidence, right in verdicts if confidence >= 0.9]
    if sure:
        said = f"right of the {len(sure)} verdicts given at 0.9 and more"
        measures.append(measured(said, [sum(sure) / len(sure)], unit="%", least=90))
    return measures


if __name__ == "__main__":
    main()
