"""``chatkit lab``: the embedded backend until it is interrupted."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys

from chatkit.cli import terminal
from chatkit.errors import InvalidInput
from chatkit.faults.catalogue import CATALOGUE
from chatkit.faults.kinds import FaultKind

SUMMARY = "run the embedded backend, with faults to choose"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="0 takes any free port (default)")
    parser.add_argument(
        "--bot",
        action="append",
        metavar="NAME",
        help="echo, storyteller or slow, or the name of another echo bot; again for more",
    )
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="ID[:key=value,…]",
        help="what goes wrong on purpose; again for more; --list-faults shows them",
    )
    parser.add_argument(
        "--capability",
        action="append",
        default=[],
        metavar="WORD",
        help="what the lab can do beyond the contract: idempotency, resume or mux; again for more",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="decides everything random (default: %(default)s)"
    )
    parser.add_argument("--i-know", action="store_true", help="permit a host that other machines reach")
    parser.add_argument("--list-faults", action="store_true", help="print the catalogue of faults and end")
    parser.add_argument("--json", action="store_true", help="print the catalogue as JSON")


def run(args: argparse.Namespace) -> int:
    """Runs the lab, or prints the catalogue."""
    if args.list_faults:
        print(catalogue_json() if args.json else catalogue_table())
        return 0
    if not 0 <= args.port <= 65_535:
        raise InvalidInput("that is no port", expected="0 to 65535", got=args.port, where="--port")
    return asyncio.run(_serve(args))


def catalogue_json() -> str:
    """All faults as one JSON document: a list."""
    return json.dumps([kind.as_json() for kind in CATALOGUE.values()], indent=2)


def catalogue_table() -> str:
    """All faults for people."""
    return "\n\n".join(_entry(kind) for kind in CATALOGUE.values())


def _entry(kind: FaultKind) -> str:
    lines = [kind.signature(), f"    {kind.summary} (cause: {kind.cause}; acts on the {kind.acts})"]
    for parameter in kind.parameters:
        unit = f" {parameter.unit}" if parameter.unit else ""
        default = "required" if parameter.default is None else f"default {parameter.default}{unit}"
        lines.append(f"      {parameter.name:<11} {parameter.doc} ({default})")
    return "\n".join(lines)


async def _serve(args: argparse.Namespace) -> int:
    # FastAPI and uvicorn take half a second to import: not for --help and --list-faults.
    from chatkit.lab.server import LabServer

    # On a thread of its own: a lab that stalls shall still hear Ctrl-C.
    with LabServer(
        bots=args.bot,
        faults=args.fault,
        capabilities=args.capability,
        seed=args.seed,
        host=args.host,
        port=args.port,
        i_know=args.i_know,
    ) as lab:
        ended = terminal.told_to_end()
        print(json.dumps(lab.ready()), flush=True)
        print("the lab runs until Ctrl-C", file=sys.stderr, flush=True)
        return await ended
