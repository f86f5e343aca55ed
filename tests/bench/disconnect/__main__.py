"""``python -m tests.bench.disconnect``: see ``--help``."""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from tests.bench.disconnect.run import latest, read, run, short, still_to_do
from tests.bench.disconnect.score import Row, report
from tests.incidents.catalogue import STACKS, incidents, seeds
from tests.incidents.incident import Incident

SHORT_SECONDS = 300.0
"""After this nothing is begun any more in the short form, which may last six minutes."""


BUDGET, SHORT_BUDGET = 60.0, 30.0
"""Seconds for a diagnosis; enough for a time-out of 6 s and a round that brackets it, and for little more."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument(
        "--seeds", type=int, default=2, metavar="N", help="seeds of each incident (default: %(default)s)"
    )
    parser.add_argument("--reserved", action="store_true", help="the seeds that are never used while tuning, only them")
    parser.add_argument("--stack", action="append", choices=list(STACKS), help="only this one; again for more")
    parser.add_argument("--only", action="append", metavar="TEXT", help="ids or labels that hold this; again for more")
    parser.add_argument("--short", action="store_true", help="one incident of each cause, at most six minutes")
    parser.add_argument("--jobs", type=int, default=3, metavar="N", help="side by side (default: %(default)s)")
    parser.add_argument("--budget", type=float, metavar="S", help="of each diagnosis (default: 60, or 30 with --short)")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="append to this file, leave out what it holds")
    parser.add_argument("--list", action="store_true", help="print the incidents and end")


def chosen(args: argparse.Namespace) -> list[Incident]:
    """The incidents that the options name."""
    count = 1 if args.short else args.seeds
    found = incidents(seeds(count, reserved=args.reserved), args.stack or STACKS)
    if args.only:
        found = [one for one in found if any(text in one.id or text == one.label for text in args.only)]
    return short(found) if args.short else found


async def measure(args: argparse.Namespace) -> None:
    """Runs what is still to do, prints the figures."""
    wanted = chosen(args)
    if args.list:
        for one in wanted:
            print(f"{one.key:<44}{one.label:<26}{one.minimum_s:5.1f} s  {' '.join(one.options)}")
        print(f"{len(wanted)} incidents")
        return
    before = read(args.resume) if args.resume else []
    to_do = still_to_do(wanted, before)
    print(f"DisconnectBench: {len(to_do)} of {len(wanted)} incidents to run, {args.jobs} side by side", flush=True)
    lasting = SHORT_SECONDS if args.short else float("inf")
    budget = args.budget or (SHORT_BUDGET if args.short else BUDGET)
    rows = await run(to_do, jobs=args.jobs, budget=budget, path=args.resume, lasting=lasting, told=tell)
    print()
    print(report(latest([*before, *rows], wanted)))
    if left := len(to_do) - len(rows):
        print(f"left out, because the time was over: {left}")


def tell(row: Row) -> None:
    """One line for each run."""
    said = ", ".join(f"{id} {confidence:.2f}" for id, confidence, _ in row.causes[:2])
    what = row.skipped or row.error or f"{row.verdict} {said}"
    print(f"{row.mark:<10}{row.key:<44}{row.label:<24}{row.wall_s:6.1f} s  {what}", flush=True)


async def _until_a_signal(work: Coroutine[Any, Any, None]) -> None:
    """SIGTERM as Ctrl-C: the stacks run in process groups of their own and would outlive us."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await work


def main(words: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="How often chatkit diagnose is right on incidents of known cause.")
    add_arguments(parser)
    try:
        asyncio.run(_until_a_signal(measure(parser.parse_args(words))))
    except (KeyboardInterrupt, asyncio.CancelledError):
        # Every row is in the file already; --resume goes on from there.
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
