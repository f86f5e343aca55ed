"""``chatkit diagnose``: experiments against a live backend, and what they prove."""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from chatkit.cli import terminal
from chatkit.cli.inspect import EXIT
from chatkit.cli.options import Target, add_target, read_target
from chatkit.errors import InvalidInput
from chatkit.plain import harmless

if TYPE_CHECKING:
    from chatkit.experiments.result import Investigation
    from chatkit.recorder import Recorder
    from chatkit.trace import Trace

SUMMARY = "find out by experiment why connections to a live backend drop"
BUDGET = 90.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    add_target(parser)
    add_experiments(parser)
    parser.add_argument("--baseline", metavar="F.jsonl", help="a recorded investigation of before, to compare with")
    parser.add_argument("--format", choices=("text", "md"), default="text", help="md: a ticket to paste")


def add_experiments(parser: argparse.ArgumentParser) -> None:
    """What may be tried and where it is recorded: what a terminal and a notebook say alike."""
    parser.add_argument("--budget", type=float, default=BUDGET, metavar="S", help="seconds (default: %(default)g)")
    parser.add_argument("--verify", action="store_true", help="try the recommended change beside a control")
    parser.add_argument("--intrusive", action="store_true", help="permit payloads that grow until something breaks")
    parser.add_argument("--no-chat", action="store_true", help="send no chat message")
    parser.add_argument("--yes", action="store_true", help="permit chat messages and what is intrusive without asking")
    parser.add_argument("--also", metavar="URL", help="a second way in, for example past the proxy")
    parser.add_argument("--other-bot", metavar="ID", help="another bot: is it this one that is refused, or the user?")
    parser.add_argument("--evidence", metavar="FILE", help="a recording of the failing client: an arm does as it did")
    parser.add_argument("--health-path", metavar="P", help="path of the health endpoint")
    parser.add_argument("--health-method", choices=("GET", "HEAD"), help="what the monitor uses")
    parser.add_argument("--out", metavar="F.jsonl", help="record the investigation to this file")
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it exists")


def run(args: argparse.Namespace) -> int:
    """0 no fault, 1 a fault, 3 inconclusive, 2 when nothing could be tried; 130 on Ctrl-C."""
    return terminal.run(_diagnose(read_plan(args), args))


def read_plan(args: argparse.Namespace) -> Target:
    """What is to be investigated, its options checked.

    Raises:
        InvalidInput, ProfileError: as :func:`chatkit.cli.options.read_target`, or the budget is none.
    """
    if not (math.isfinite(args.budget) and args.budget > 0):
        raise InvalidInput("that is no budget", expected="seconds, more than 0", got=args.budget, where="--budget")
    target = read_target(args)
    if args.health_path is not None:
        paths = msgspec.structs.replace(target.profile.paths, health=args.health_path)
        target = msgspec.structs.replace(target, profile=msgspec.structs.replace(target.profile, paths=paths))
    return target


def recording(target: Target, args: argparse.Namespace, base: str) -> Recorder:
    """A recorder that knows the secrets; in memory without ``--out``."""
    from chatkit.recorder import Recorder

    recorder = Recorder(args.out, overwrite=args.overwrite, target=base, types=target.profile.types)
    recorder.redactor.add(target.token)
    recorder.redactor.add(target.password)
    return recorder


def asked(target: Target, args: argparse.Namespace) -> dict[str, Any]:
    """What the options come to, as arguments of :func:`chatkit.investigate`; what is permitted is asked elsewhere."""
    return {
        "bot": target.bot,
        "token": target.token,
        "user": target.user,
        "password": target.password,
        "profile": target.profile,
        "budget": args.budget,
        "verify": args.verify,
        "also": args.also,
        "other_bot": args.other_bot,
        "evidence": args.evidence,
        "health_method": args.health_method,
        "proxy": target.proxy,
    }


async def _diagnose(target: Target, args: argparse.Namespace) -> int:
    from chatkit.client.http import base_url
    from chatkit.client.opening import is_loopback

    base, former = base_url(target.url), _former(args.baseline)
    local = is_loopback(urlsplit(base).hostname)
    chat = not args.no_chat and (local or args.yes or _ask(args, f"May chat messages be sent to {base}?"))
    intrusive = args.intrusive and (local or args.yes or _ask(args, f"May payloads grow until {base} breaks?"))
    with recording(target, args, base) as recorder:
        found = await _investigate(target, args, base, recorder, former, chat=chat, intrusive=intrusive)
    return EXIT[found.diagnosis.verdict]


def _former(file: str | None) -> Trace | None:
    """The recorded investigation to compare with."""
    if file is None:
        return None
    from chatkit.events import KIND_CODE, ArmStarted
    from chatkit.formats import load

    trace = load(file)
    if not (trace.kind == KIND_CODE[ArmStarted]).any():
        raise InvalidInput(
            "this is no recorded investigation",
            expected="a file that chatkit diagnose --out wrote",
            got=trace.origin.format or trace.origin.kind,
            where=f"--baseline {file}",
        )
    return trace


async def _investigate(
    target: Target,
    args: argparse.Namespace,
    base: str,
    recorder: Recorder,
    former: Trace | None,
    *,
    chat: bool,
    intrusive: bool,
) -> Investigation:
    """Runs it; on Ctrl-C what is known is printed first."""
    from chatkit.cli.progress import ProgressDisplay
    from chatkit.client.tasks import Tasks
    from chatkit.investigation import investigate

    stop, display = asyncio.Event(), ProgressDisplay()
    tasks = Tasks(lambda error: None)
    work = tasks.spawn(
        investigate(
            base,
            **asked(target, args),
            chat=chat,
            intrusive=intrusive,
            recorder=recorder,
            on_progress=display.show,
            stop=stop,
        ),
        "diagnose",
    )
    try:
        found: Investigation = await asyncio.shield(work)
    except asyncio.CancelledError:
        stop.set()
        known = await work
        display.finish()
        _conclude(known, args, former)
        raise
    finally:
        display.finish()
        await tasks.close()
    _conclude(found, args, former)
    return found


def _ask(args: argparse.Namespace, question: str) -> bool:
    """Nobody is asked where nobody could answer."""
    if args.json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    terminal.say(f"{question} [y/N] ", sys.stderr, end="")
    try:
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    except OSError:
        return False


def _conclude(found: Investigation, args: argparse.Namespace, former: Trace | None) -> None:
    from chatkit.experiments.since import since

    compared = since(former, found.trace, found.diagnosis) if former is not None else None
    if args.json:
        json.dump(found.to_dict() | ({"since": compared.to_dict()} if compared is not None else {}), sys.stdout)
        print(flush=True)
    elif args.format == "md":
        print(harmless(found.ticket()))
    else:
        terminal.say(str(found))
    if compared is not None and not args.json:
        print(harmless(f"\n{compared}"))
