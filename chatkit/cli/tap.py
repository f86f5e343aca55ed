"""``chatkit tap``: a recording proxy in front of a backend, until it is interrupted.

The first line on stdout says where it listens, as JSON: ``{"ready": true, "url", "ws_url", "to", "out", "faults",
"ca"}``. Ctrl-C ends every connection through it in order and completes the recording; the exit code is 130, after
SIGTERM 0. What was recorded is printed then; with ``--json`` as a second line of JSON, ``chatkit.recording/1``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from chatkit.cli import terminal
from chatkit.cli.record import conclude
from chatkit.errors import InvalidInput
from chatkit.plain import one_line

if TYPE_CHECKING:
    from chatkit.tap import Tap
    from chatkit.trace import Trace

SUMMARY = "pass everything on to a backend, and record it"
KEEP = 200_000
"""Events that memory holds; the file has all of them."""
LOOK = 1.0
"""Seconds between two looks at what there is to tell."""
MOST_LINES = 20
"""Lines that one look tells at most."""
_TOLD = {"Opened", "AttemptFailed", "ProtocolFailed", "TransportEnded"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument(
        "--listen", default="127.0.0.1:0", metavar="HOST:PORT", help="where clients connect; port 0 takes any free one"
    )
    parser.add_argument(
        "--to", required=True, metavar="URL", help="the server: http, https, ws or wss, with host and port, no path"
    )
    parser.add_argument("--out", required=True, metavar="F.jsonl", help="record to this file")
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    parser.add_argument(
        "--tls", action="store_true", help="speak TLS to clients; the CA to trust is written beside the recording"
    )
    parser.add_argument("--ca", metavar="F.pem", help="trust these authorities as well for the server's certificate")
    parser.add_argument(
        "--rename", action="store_true", help="let requests name the server in Host, not the tap as the client did"
    )
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="ID[:key=value,…]",
        help="what goes wrong on the path on purpose; again for more; chatkit lab --list-faults shows them",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="decides everything random (default: %(default)s)"
    )
    parser.add_argument("--profile", metavar="P.toml", help="the backend's contract, if it is not the built-in one")
    parser.add_argument("--json", action="store_true", help="print what was recorded as JSON")


def run(args: argparse.Namespace) -> int:
    """130 after Ctrl-C, 0 after SIGTERM; 2 when it cannot listen or write, or the disk became full."""
    return terminal.run(_serve(args))


async def _serve(args: argparse.Namespace) -> int:
    from chatkit.tap import Tap

    loop = asyncio.get_running_loop()
    tap = Tap(
        args.to,
        listen=args.listen,
        out=args.out,
        overwrite=args.overwrite,
        faults=args.fault,
        seed=args.seed,
        tls=args.tls,
        ca=args.ca,
        rename=args.rename,
        profile=args.profile,
        keep=KEEP,
    )
    began = loop.time()
    async with tap:
        ended = terminal.told_to_end()
        print(json.dumps(_ready(tap, args.out)), flush=True)
        terminal.note(f"every client that goes to {tap.url} reaches {tap.to} and is recorded; Ctrl-C ends it")
        code = await _watch(tap, ended)
    recorder = tap.recorder
    conclude(recorder.snapshot(), args.out, loop.time() - began, as_json=args.json, events=len(recorder))
    if recorder.failure is not None:
        raise InvalidInput("the recording is not complete", got=recorder.failure, where=args.out, remedy="more room")
    return code


def _ready(tap: Tap, out: str) -> dict[str, object]:
    ca = None
    if tap.ca_pem:
        ca = str(Path(out).with_suffix(".ca.pem"))
        try:
            Path(ca).write_text(tap.ca_pem)
        except OSError as error:
            raise InvalidInput(f"the CA's certificate cannot be written: {error.strerror}", where=ca) from None
    return {
        "ready": True,
        "url": tap.url,
        "ws_url": tap.ws_url,
        "to": tap.recorder.redactor.text(tap.to),
        "out": out,
        "faults": [str(fault) for fault in tap.faults],
        "ca": ca,
    }


async def _watch(tap: Tap, ended: asyncio.Future[int]) -> int:
    """Tells on stderr what begins and ends, until the verb is told to end."""
    seen, complained = 0, False
    while not (await asyncio.wait({ended}, timeout=LOOK))[0]:
        new = tap.recorder.snapshot(seen)
        if len(new):
            seen = int(new[-1].id) + 1
        _tell(new)
        if tap.recorder.failure is not None and not complained:
            complained = True
            print(f"chatkit: {tap.recorder.failure}; what comes now is in memory only", file=sys.stderr, flush=True)
    return ended.result()


def _tell(trace: Trace) -> None:
    events = list(trace.select(kinds=_TOLD))
    for event in events[:MOST_LINES]:
        terminal.note(one_line(f"connection {event.connection}: {event}", 200))
    if len(events) > MOST_LINES:
        terminal.note(f"and {len(events) - MOST_LINES:,} more")
