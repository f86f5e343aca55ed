"""``chatkit check``: what works right now, line by line."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from typing import TYPE_CHECKING

from chatkit.cli import terminal
from chatkit.cli.options import Target, add_target, read_target

if TYPE_CHECKING:
    from chatkit.preflight import Check, CheckReport

SUMMARY = "check what works right now on the way to a chat"

_STYLES = {"pass": "green", "warning": "yellow", "fail": "red", "not-tried": "dim"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    add_target(parser)
    parser.add_argument("--pings", action="store_true", help="wait for the first ping too: about 5 s more")


def run(args: argparse.Namespace) -> int:
    """0, 1 when a line failed."""
    return terminal.run(_check(read_target(args), pings=args.pings, as_json=args.json))


class Printer:
    """Prints lines as they finish, in the order of the plan: a line waits for those above it."""

    def __init__(self, plan: tuple[str, ...]) -> None:
        self._waiting = list(plan)
        self.done: dict[str, Check] = {}

    def add(self, check: Check) -> None:
        """A line is finished."""
        self.done[check.id] = check
        while self._waiting and self._waiting[0] in self.done:
            print_line(self.done[self._waiting.pop(0)])

    def rest(self) -> None:
        """Prints what still waits for lines that will not come."""
        for id in self._waiting:
            if id in self.done:
                print_line(self.done[id])


def print_line(check: Check) -> None:
    """One line, its first word in colour."""
    word, rest = str(check)[: len(check.status)], str(check)[len(check.status) :]
    terminal.say(word, style=_STYLES[check.status], end="")
    terminal.say(rest)


async def _check(target: Target, *, pings: bool, as_json: bool) -> int:
    from chatkit.preflight import check, plan
    from chatkit.preflight.sheet import clean
    from chatkit.recorder import Recorder

    recorder = Recorder()
    recorder.redactor.add(target.token)
    recorder.redactor.add(target.password)
    printer = Printer(() if as_json else plan(target.url, login=target.user is not None))
    began = time.monotonic()
    if not as_json:
        terminal.say(clean(f"check of {target.url}, bot {target.bot}", recorder.redactor))
    try:
        report = await check(
            target.url,
            bot=target.bot,
            token=target.token,
            user=target.user,
            password=target.password,
            profile=target.profile,
            pings=pings,
            proxy=target.proxy,
            recorder=recorder,
            on_check=printer.add,
        )
    except asyncio.CancelledError:
        # What is known is worth printing; the lines that did not finish are simply absent.
        printer.rest()
        _conclude(_partial(clean(target.url, recorder.redactor), printer, time.monotonic() - began), as_json)
        raise
    _conclude(report, as_json)
    return 0 if report.ok else 1


def _partial(target: str, printer: Printer, elapsed: float) -> CheckReport:
    from chatkit.preflight import CheckReport
    from chatkit.preflight.report import TITLES

    checks = tuple(printer.done[id] for id in TITLES if id in printer.done)
    return CheckReport(target=target, elapsed_s=elapsed, checks=checks)


def _conclude(report: CheckReport, as_json: bool) -> None:
    if as_json:
        json.dump(report.to_dict(), sys.stdout)
        print(flush=True)
    else:
        terminal.say(report.conclusion, style="dim")
