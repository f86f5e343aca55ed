"""``chatkit report``: one self-contained HTML file, and a folder with all that a colleague needs to check it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatkit.cli import evidence, terminal
from chatkit.errors import ChatkitError, InvalidInput
from chatkit.plain import one_line
from chatkit.redact import DEFAULT

if TYPE_CHECKING:
    from chatkit.diagnosis.result import Diagnosis
    from chatkit.trace import Trace

SUMMARY = "write one offline HTML file that tells why, with its evidence"
UNREADABLE = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("files", metavar="FILE", nargs="+", help="evidence; several files of one incident are merged")
    parser.add_argument("--out", metavar="report.html", help="the HTML file")
    parser.add_argument(
        "--bundle", metavar="DIR", help="a folder with recording, HAR, Perfetto trace, report, ticket and notebook"
    )
    parser.add_argument("--baseline", metavar="FILE", help="a healthy recording to compare with")
    parser.add_argument("--overwrite", action="store_true", help="replace what exists")
    evidence.add_reading(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document for machines")


def run(args: argparse.Namespace) -> int:
    """0; 2 when something cannot be read: the rest is reported all the same."""
    out, folder = _places(args)
    traces, failures = evidence.read_all(args.files, args)
    if not traces:
        _complain(failures[:-1])
        raise failures[-1]
    baseline = evidence.read(args.baseline, args) if args.baseline else None
    trace = _merged(traces)
    diagnosis = _diagnose(trace, baseline)
    written = _write(trace, diagnosis, baseline, out, folder)
    _complain(failures)
    if args.json:
        print(json.dumps(_document(traces, diagnosis, written)))
    else:
        from chatkit.views import wording

        terminal.say(wording.headline(diagnosis))
        for name in written:
            terminal.say(f"  {name}")
    return UNREADABLE if failures else 0


def _places(args: argparse.Namespace) -> tuple[Path | None, Path | None]:
    if args.out is None and args.bundle is None:
        raise InvalidInput("nothing says where to write", remedy="--out report.html, or --bundle DIR")
    inputs = [*args.files, *([args.baseline] if args.baseline else [])]
    out = evidence.free(args.out, "--out", overwrite=args.overwrite, inputs=inputs) if args.out else None
    if args.bundle is None:
        return out, None
    folder = Path(args.bundle)
    if folder.exists() and not folder.is_dir():
        raise InvalidInput("this is a file", expected="a folder", where=f"--bundle {args.bundle}")
    if folder.is_dir() and any(folder.iterdir()) and not args.overwrite:
        raise InvalidInput("the folder is not empty", where=f"--bundle {args.bundle}", remedy="--overwrite")
    return out, folder


def _merged(traces: list[Trace]) -> Trace:
    if len(traces) == 1:
        return traces[0]
    from chatkit.merging import merge

    return merge(*traces)


def _diagnose(trace: Trace, baseline: Trace | None) -> Diagnosis:
    from chatkit.diagnosis import diagnose

    found: Diagnosis = diagnose(trace) if baseline is None else diagnose(trace, baseline=baseline)
    return found


def _write(
    trace: Trace, diagnosis: Diagnosis, baseline: Trace | None, out: Path | None, folder: Path | None
) -> list[str]:
    """Names of what was written."""
    from chatkit.views.bundle import bundle
    from chatkit.views.report import report

    page = report(trace, diagnosis, made_at=time.time()).encode("utf-8", "replace")
    written = []
    if out is not None:
        evidence.write(out, page)
        written.append(str(out))
    if folder is not None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, content in bundle(trace, diagnosis, baseline=baseline, page=page).items():
            evidence.write(folder / name, content)
            written.append(str(folder / name))
    return written


def _complain(failures: list[ChatkitError]) -> None:
    for error in failures:
        terminal.say(f"chatkit: {one_line(DEFAULT.text(str(error)), 2000)}", sys.stderr)


def _document(traces: list[Trace], diagnosis: Diagnosis, written: list[str]) -> dict[str, Any]:
    inputs = [
        {"file": one.origin.file, "format": one.origin.format, "not_visible": list(one.not_visible)} for one in traces
    ]
    return {"schema": "chatkit.report/1", "inputs": inputs, "written": written, "diagnosis": diagnosis.to_dict()}
