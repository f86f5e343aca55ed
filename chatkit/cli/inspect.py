"""``chatkit inspect``: evidence in, connections and verdict out."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from chatkit.cli import terminal
from chatkit.cli.evidence import add_evidence, read
from chatkit.plain import harmless
from chatkit.redact import DEFAULT

if TYPE_CHECKING:
    from chatkit.inspection import Inspection
    from chatkit.trace import Trace

SUMMARY = "read evidence: connections, and the cause with its evidence"

EXIT = {"no-fault": 0, "fault": 1, "inconclusive": 3}
UNREADABLE = 2
MOST_SHOWN = 40


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    add_evidence(parser)
    parser.add_argument("--baseline", metavar="FILE", help="a healthy recording to compare with")
    parser.add_argument("--health-method", choices=("GET", "HEAD"), help="what the monitor uses")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of text")
    parser.add_argument("--format", choices=("text", "md"), default="text", help="md: a ticket to paste")


def run(args: argparse.Namespace) -> int:
    """0 no fault, 1 a fault, 3 inconclusive, 2 when an input cannot be read."""
    trace, inputs, failed = read(args, args.files)
    if trace is None:
        return UNREADABLE
    from chatkit.diagnosis import diagnose
    from chatkit.inspection import Inspection

    baseline = None
    if args.baseline is not None:
        baseline, _, lost = read(args, [args.baseline])
        failed |= lost
    diagnosis = diagnose(trace, baseline=baseline, health_method=args.health_method)
    inspection = Inspection(inputs=tuple(inputs), trace=trace, diagnosis=diagnosis)
    if args.json:
        json.dump(inspection.to_dict(), sys.stdout)
        print(flush=True)
    elif args.format == "md":
        print(harmless(DEFAULT.text(diagnosis.ticket())))
    else:
        _say(inspection)
    return UNREADABLE if failed else EXIT[diagnosis.verdict]


def _say(inspection: Inspection) -> None:
    for one in inspection.inputs:
        terminal.say(f"{one.file}: {one.format}", style="dim")
        for warning in one.warnings:
            terminal.say(f"  note: {warning}", style="dim")
    _connections(inspection.trace)
    terminal.say("")
    terminal.say(str(inspection.diagnosis))


def _connections(trace: Trace) -> None:
    for connection in trace.connections[:MOST_SHOWN]:
        terminal.say(f"  {connection}")
    if len(trace.connections) > MOST_SHOWN:
        terminal.say(f"  and {len(trace.connections) - MOST_SHOWN:,} more connections")
