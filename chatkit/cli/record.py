"""``chatkit record``: connects as the client would and writes down what happens."""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sys
import time
from typing import TYPE_CHECKING, Any

from chatkit.cli import terminal
from chatkit.cli.chat import opened
from chatkit.cli.options import Target, add_target, read_target
from chatkit.cli.refusal import explain
from chatkit.errors import ChatkitError, ConnectFailed, InvalidInput
from chatkit.plain import one_line

if TYPE_CHECKING:
    from chatkit.client import ChatClient
    from chatkit.ending import Connection
    from chatkit.trace import Trace

SUMMARY = "connect as the client would, and record"
PROGRESS_INTERVAL = 3.0
"""Seconds between two lines of progress on a terminal."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    add_target(parser)
    parser.add_argument("--for", dest="seconds", type=float, required=True, metavar="SECONDS", help="how long")
    parser.add_argument("--out", required=True, metavar="F.jsonl", help="record to this file")
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it exists")


def run(args: argparse.Namespace) -> int:
    """0 when a connection was recorded, however it ended; 2 when none ever opened."""
    if not (math.isfinite(args.seconds) and args.seconds > 0):
        raise InvalidInput("that is no duration", expected="seconds, more than 0", got=args.seconds, where="--for")
    return terminal.run(_record(read_target(args), args))


async def _record(target: Target, args: argparse.Namespace) -> int:
    began = time.monotonic()
    try:
        async with opened(target, args.out, overwrite=args.overwrite) as client:
            await client.start()
            await _watch(client, args.seconds)
            error = client.error
            if not _recorded(client.trace):
                error = await explain(client, target, error)
    except asyncio.CancelledError:
        conclude(client.trace, args.out, time.monotonic() - began, as_json=args.json)
        raise
    trace = client.trace
    conclude(trace, args.out, time.monotonic() - began, as_json=args.json)
    if _recorded(trace):
        return 0
    raise _nothing(error, args.out)


def _recorded(trace: Trace) -> bool:
    return any(connection.opened_at is not None for connection in trace.connections)


async def _watch(client: ChatClient, seconds: float) -> None:
    """Waits for so long, or until the client tries nothing more."""
    from chatkit.policy.status import RESTING

    waiting = asyncio.get_running_loop().time() + seconds
    while (left := waiting - asyncio.get_running_loop().time()) > 0:
        try:
            async with asyncio.timeout(min(left, PROGRESS_INTERVAL)):
                await client.wait(lambda status: status.state in RESTING)
        except TimeoutError:
            if sys.stderr.isatty():
                terminal.note(
                    f"{client.status.word}, {max(0.0, left - PROGRESS_INTERVAL):.0f} s left. {client.explain()}"
                )
        else:
            return


def _nothing(error: BaseException | None, out: str) -> ChatkitError:
    """Why not one connection opened, as an error to raise."""
    if isinstance(error, ChatkitError):
        return error
    return ConnectFailed("no connection came about in that time", target=out, stage="tcp", remedy="record for longer")


def conclude(trace: Trace, out: str, elapsed: float, *, as_json: bool, events: int | None = None) -> None:
    """Prints what was recorded, on stdout.

    Args:
        trace: as far as memory holds it.
        out: the file.
        elapsed: seconds.
        as_json: whether for machines, as one document.
        events: how many there are in all, where memory does not hold them.
    """
    total = len(trace) if events is None else events
    if as_json:
        document = {
            "schema": "chatkit.recording/1",
            "file": out,
            "target": trace.origin.target,
            "elapsed_s": round(elapsed, 6),
            "events": total,
            "connections": [_facts(connection) for connection in trace.connections],
        }
        print(json.dumps(document), flush=True)
        return
    for connection in trace.connections:
        terminal.say(one_line(str(connection), 500))
    terminal.say(f"{total:,} events of {elapsed:.1f} s in {out}")


def _facts(connection: Connection) -> dict[str, Any]:
    close = connection.ending.close if connection.ending is not None else None
    return {
        "id": connection.id,
        "opened_at": connection.opened_wall,
        "duration_s": round(connection.duration, 6),
        "state": connection.state,
        "http_status": connection.status,
        "frames_in": connection.frames_in,
        "frames_out": connection.frames_out,
        "close_code": close.code if close is not None else None,
        "ending": str(connection.ending) if connection.ending is not None else None,
    }
