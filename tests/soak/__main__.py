"""``python -m tests.soak``: chatkit under chaos for some minutes, and the same chaos for others."""

from __future__ import annotations

import argparse
import asyncio
import sys

from tests.soak.harness import Result, soak
from tests.soak.verdict import Tally

COLUMNS = ("contestant", "offered", "lost", "duplicated", "out of order", "reconnects", "peak attempts/s")


def row(name: str, found: Tally, reconnects: int, peak: int) -> str:
    """One line of the table."""
    cells = (found.offered, found.lost, found.duplicated, found.disordered, reconnects, peak)
    return f"{name:<28}" + "".join(f"{cell:>{len(head) + 2}}" for cell, head in zip(cells, COLUMNS[1:], strict=True))


def describe(result: Result, bots: int) -> list[str]:
    """The details of chatkit's run."""
    lines = [
        f"deeds {result.deeds}, kills {result.kills}, attempts {result.attempts}, connections {result.connects}",
        f"live at the end {result.live} of {bots}, unsent {result.unsent}, unanswered {result.unanswered}, "
        f"shown twice {result.twice}, tasks at most {result.tasks}",
        f"orphan tasks {len(result.orphans)}: {', '.join(result.orphans[:5]) or '-'}",
        f"memory {result.memory}",
        f"EXPIRED, REJECTED or UNKNOWN: {len(result.bad)}",
        *(f"  {line}" for line in result.bad[:10]),
        f"gave up: {len(result.failed)}",
        *(f"  {line}" for line in sorted(set(result.failed))[:10]),
    ]
    return lines + (["standard error of the clients:", *result.problems] if result.problems else [])


def sound(result: Result) -> bool:
    """Whether chatkit kept its promises."""
    found = result.tally
    harm = found.lost or found.duplicated or found.disordered or result.orphans or result.bad or result.unsent
    return bool(found.offered) and not harm and result.memory.flat


def main() -> None:
    """Prints one table; the exit status says whether chatkit kept its promises."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bots", type=int, default=20)
    parser.add_argument("--no-comparison", action="store_true")
    given = parser.parse_args()
    result = asyncio.run(soak(given.seconds, given.seed, given.bots, lambda line: print(line, flush=True)))
    print("\n".join(describe(result, given.bots)), flush=True)
    rows = [row("chatkit", result.tally, max(0, result.connects - given.bots), result.peak)]
    if not given.no_comparison:
        from tests.soak.comparison import compare

        shorter = max(20.0, given.seconds / 5)
        print(f"the others: {shorter:g} s each, without kills and expiry", flush=True)
        for name, found, reconnects, peak in asyncio.run(compare(shorter, given.seed, given.bots)):
            rows.append(row(name, found, reconnects, peak))
    print(f"\n{COLUMNS[0]:<28}" + "".join(f"  {head}" for head in COLUMNS[1:]))
    print("\n".join(rows))
    sys.exit(not sound(result))


if __name__ == "__main__":
    main()
