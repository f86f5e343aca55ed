"""``chatkit convert``: evidence into another format; what the other format cannot carry is said."""

from __future__ import annotations

import argparse
import importlib
import json
from importlib.util import find_spec
from typing import Any

from chatkit.cli import evidence, terminal, writing
from chatkit.errors import InvalidInput
from chatkit.plain import one_line

SUMMARY = "turn evidence into another format"

UNREADABLE = 2
WRITERS = {
    ".perfetto.json": "perfetto",
    ".trace.json": "perfetto",
    ".jsonl": "jsonl",
    ".har": "har_out",
    ".parquet": "parquet",
}
"""By the end of the name: the module of ``chatkit.formats`` whose ``dump(trace, path)`` writes it.

What a format cannot carry is its ``NOT_CARRIED``, or what ``dump`` returns of this trace."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("input", metavar="IN", help="a file of evidence, of any format that chatkit reads")
    parser.add_argument("output", metavar="OUT", help=f"where to; its name decides the format: {', '.join(WRITERS)}")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    evidence.add_reading(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document for machines")


def run(args: argparse.Namespace) -> int:
    """0, or 2 with a message."""
    module = writer(args.output)
    target = writing.free(args.output, "OUT", overwrite=args.overwrite, inputs=[args.input])
    trace, _, _ = evidence.read(args, [args.input])
    if trace is None:
        return UNREADABLE
    for warning in trace.warnings:
        terminal.note(f"note: {one_line(warning, 500)}")
    try:
        told = module.dump(trace, target)
    except OSError as error:
        raise InvalidInput(f"the file cannot be written: {error.strerror}", where=args.output) from None
    lost = list(getattr(module, "NOT_CARRIED", told or ()))
    for words in lost:
        terminal.note(f"not carried: {words}")
    if args.json:
        print(json.dumps(_document(args, trace, lost)))
    else:
        terminal.say(f"{len(trace):,} events of {len(trace.names):,} connections in {args.output}")
    return 0


def writer(output: str) -> Any:
    """The module that writes a file of this name.

    Raises:
        InvalidInput: there is none.
    """
    lower = output.lower()
    if lower.endswith((".html", ".htm")):
        raise InvalidInput(
            "a page is no format of evidence", where=output, remedy="chatkit report FILE --out report.html"
        )
    known = {end: name for end, name in WRITERS.items() if find_spec(f"chatkit.formats.{name}") is not None}
    found = next((name for end, name in known.items() if lower.endswith(end)), None)
    if found is None:
        expected = f"a name that ends in {', '.join(known)}"
        raise InvalidInput("no format is known by this name", expected=expected, got=output, where="OUT")
    return importlib.import_module(f"chatkit.formats.{found}")


def _document(args: argparse.Namespace, trace: Any, lost: list[str]) -> dict[str, Any]:
    return {
        "schema": "chatkit.conversion/1",
        "input": args.input,
        "format": trace.origin.format,
        "not_visible": list(trace.not_visible),
        "output": args.output,
        "events": len(trace),
        "connections": len(trace.names),
        "not_carried": lost,
    }
