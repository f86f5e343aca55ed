"""``chatkit watch``: canaries for days: a few connections to each target, and the evidence of every death."""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatkit.cli import terminal
from chatkit.errors import AuthError, InvalidInput
from chatkit.plain import one_line

if TYPE_CHECKING:
    from chatkit.canary.keeper import Happening
    from chatkit.canary.targets import Plan
    from chatkit.canary.watch import Watch

SUMMARY = "watch backends for days; every death leaves its evidence"
SCHEMA = "chatkit.watch/1"
_STYLES = {"death": "red", "change": "yellow", "notice": "yellow"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("targets", metavar="TARGETS.toml", help="what to watch; see the README for its keys")
    parser.add_argument("--out", metavar="DIR", help="folder of the evidence (default: the file's own, else canary)")
    parser.add_argument("--for", dest="seconds", type=float, metavar="SECONDS", help="end after that; else on Ctrl-C")
    parser.add_argument(
        "--every",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="between two lines of status (default: %(default)g)",
    )
    parser.add_argument(
        "--json", action="store_true", help="one JSON document a line: ready, what happens, status, the end"
    )


def run(args: argparse.Namespace) -> int:
    """0 at the end of the time or on SIGTERM, 130 on Ctrl-C, 2 when something cannot work."""
    for option, value in (("--for", args.seconds), ("--every", args.every)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise InvalidInput("that is no duration", expected="seconds, more than 0", got=value, where=option)
    from chatkit.canary.running import folder_of
    from chatkit.canary.targets import load

    plan = load(args.targets)
    beside = Path(args.targets).parent
    _check_tokens(plan, beside)
    return asyncio.run(_watch(plan, folder_of(plan, args.out, beside), beside, args))


def _check_tokens(plan: Plan, beside: Path) -> None:
    """What is missing now is told now; what a target refuses later is a fact of that target."""
    from chatkit.canary.post import token_from

    for name, target in plan.targets.items():
        give = token_from(target, beside)
        try:
            if give is not None:
                give()
        except AuthError as error:
            where = f"targets.{name}, {error.where}"
            raise InvalidInput(error.what, got=error.got, where=where, remedy=error.remedy) from None


async def _watch(plan: Plan, out: Path, beside: Path, args: argparse.Namespace) -> int:
    from chatkit.canary.watch import Watch

    ended = terminal.told_to_end()
    if args.seconds is not None:
        asyncio.get_running_loop().call_later(args.seconds, _settle, ended)
    async with Watch(plan, out, beside=beside) as watch:
        _ready(watch, args)
        async with asyncio.TaskGroup() as group:
            telling = [group.create_task(work) for work in (_tell(watch, args), _status_now_and_then(watch, args))]
            code = await _first(ended, telling)
            for task in telling:
                task.cancel()
    _status(watch, args, kind="ended")
    return code


def _settle(ended: asyncio.Future[int]) -> None:
    if not ended.done():
        ended.set_result(0)


async def _first(ended: asyncio.Future[int], telling: list[asyncio.Task[None]]) -> int:
    """The exit code, or the exception of what should never end."""
    waited: list[asyncio.Future[Any]] = [ended, *telling]
    await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
    for task in telling:
        if task.done():
            task.result()
    return await ended


def _ready(watch: Watch, args: argparse.Namespace) -> None:
    metrics = watch.metrics.url if watch.metrics is not None else None
    targets = {post.name: {"url": post.url, "connections": len(post.links)} for post in watch.posts}
    if args.json:
        told = {"targets": targets, "out": str(watch.out), "metrics": metrics, "pid": os.getpid()}
        _print({"kind": "ready", "ready": True, "at": watch.keeper.now(), **told})
        return
    lines = sum(one["connections"] for one in targets.values())  # type: ignore[misc]
    terminal.say(f"{lines} connections to {', '.join(targets)}; evidence in {watch.out}; Ctrl-C ends it")
    if metrics is not None:
        terminal.say(f"Prometheus: {metrics}")


async def _tell(watch: Watch, args: argparse.Namespace) -> None:
    async for one in watch.happenings():
        if args.json:
            _print(_document(one))
        else:
            from chatkit.clock import iso_utc

            terminal.say(f"{iso_utc(one.at)} {one_line(one.text, 400)}", style=_STYLES.get(one.kind))


def _document(one: Happening) -> dict[str, Any]:
    return {"kind": one.kind, "at": one.at, "target": one.target, "text": one.text, one.kind: one.facts}


async def _status_now_and_then(watch: Watch, args: argparse.Namespace) -> None:
    while True:
        await asyncio.sleep(args.every)
        _status(watch, args)


def _status(watch: Watch, args: argparse.Namespace, kind: str = "status") -> None:
    keeper = watch.keeper
    with keeper.lock:
        told = {
            name: {
                "open": len(one.open),
                "opened": one.opened,
                "refused": one.refused,
                "died": one.died,
                "lived_s": round(one.lived, 3),
                "causes": dict(one.causes),
                "round_trip_s": one.last_round_trip,
                "healthy": one.healthy,
                "changes": one.changed,
            }
            for name, one in keeper.state.targets.items()
        }
        notices = dict(keeper.state.counts)
    if args.json:
        facts = {"targets": told, "notices": notices, "trouble": keeper.trouble}
        _print({"kind": kind, "at": keeper.now(), "run": keeper.state.run, **facts})
        return
    parts = [f"{name}: {one['open']} open, {one['died']} died, {one['refused']} refused" for name, one in told.items()]
    terminal.say(("at the end: " if kind == "ended" else "") + "; ".join(parts), style="dim")
    if keeper.trouble is not None:
        terminal.note(f"the folder cannot be written: {keeper.trouble}")


def _print(document: dict[str, Any]) -> None:
    print(json.dumps({"schema": SCHEMA, **document}), flush=True)
