"""``chatkit fleet connect``: opens and holds many recorded connections, politely, and says whose limit was met."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from chatkit.cli import terminal
from chatkit.cli.options import Target, add_target, read_target
from chatkit.errors import ConnectFailed, InvalidInput

if TYPE_CHECKING:
    from chatkit.fleet.load import Plan
    from chatkit.fleet.load_result import Share

SUMMARY = "open and hold many recorded connections to a system of your own"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add_target(parser)
    parser.add_argument("--connections", type=int, required=True, metavar="N", help="how many")
    parser.add_argument("--for", dest="seconds", type=float, required=True, metavar="S", help="seconds in all")
    parser.add_argument(
        "--rate", type=float, default=20.0, metavar="R", help="attempts a second (default: %(default)g)"
    )
    parser.add_argument("--scheduler", metavar="tcp://…", help="spread them over the workers of this Dask cluster")
    parser.add_argument("--out", metavar="DIR", help="keep the recordings in this folder; without, counters only")
    parser.add_argument("--i-own-this", action="store_true", help="allow more than 50 connections to another machine")


def run(args: argparse.Namespace) -> int:
    """0 when connections were held, however they ended; 2 when none ever opened; 130 on Ctrl-C."""
    from chatkit.fleet.load import check

    check(args.url, args.connections, args.seconds, args.rate, own=args.i_own_this)
    return terminal.run(_connect(read_target(args), args))


async def _connect(target: Target, args: argparse.Namespace) -> int:
    from chatkit.fleet.load import begin, hold

    began = time.monotonic()
    shares: list[Share] = []
    plan = await _plan(target, args)
    interrupted = True
    try:
        if args.scheduler is not None:
            from chatkit.fleet.load_cluster import hold_on_cluster

            await hold_on_cluster(plan, args.scheduler, shares)
        else:
            shares.append(begin(plan))
            await hold(plan, shares[0])
        interrupted = False
    finally:
        if shares:
            _conclude(plan, shares, args, interrupted=interrupted, elapsed=time.monotonic() - began)
    if any(life.opened for share in shares for life in share.lives):
        return 0
    raise ConnectFailed(
        "no connection came about", target=args.url, stage="tcp", remedy="chatkit check says what works"
    )


async def _plan(target: Target, args: argparse.Namespace) -> Plan:
    """What to open, with the token where the profile wants it."""
    from chatkit.client.http import HttpApi
    from chatkit.fleet.load import Plan
    from chatkit.recorder import Recorder

    with Recorder() as recorder:
        api = HttpApi(target.url, recorder=recorder, profile=target.profile, token=target.token, proxy=target.proxy)
        async with api:
            if target.user is not None and target.password is not None:
                await api.login(target.user, target.password)
            secrets = [one for one in (api.credentials.token, target.password) if one]
            return Plan(
                url=api.socket_url(target.bot),
                headers=api.socket_headers(),
                connections=args.connections,
                seconds=args.seconds,
                rate=args.rate,
                profile=target.profile,
                secrets=secrets,
                out=None if args.out is None else _file(args.out),
                proxy=target.proxy,
            )


def _file(folder: str) -> str:
    """The recording's file; its folder is made."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"the folder cannot be made: {error.strerror}", where=f"--out {folder}") from None
    return str(Path(folder) / "load.jsonl")


def _conclude(plan: Plan, shares: list[Share], args: argparse.Namespace, *, interrupted: bool, elapsed: float) -> None:
    from chatkit.fleet.load_result import Load, document, told
    from chatkit.redact import Redactor

    shown = Redactor(plan.secrets).text(plan.url)
    load = Load(target=shown, rate=args.rate, shares=shares, interrupted=interrupted, elapsed=elapsed)
    if args.json:
        print(json.dumps(document(load)), flush=True)
    else:
        terminal.say(told(load))
