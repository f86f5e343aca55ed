"""``chatkit report``: one self-contained HTML file, and a folder with all that a colleague needs to check it."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatkit.cli import evidence, terminal, writing
from chatkit.errors import InvalidInput

if TYPE_CHECKING:
    from chatkit.diagnosis.result import Diagnosis
    from chatkit.inspection import Input
    from chatkit.trace import Trace

SUMMARY = "write one offline HTML file that tells why, with its evidence"
UNREADABLE = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    evidence.add_evidence(parser)
    parser.add_argument("--out", metavar="report.html", help="the HTML file")
    parser.add_argument(
        "--bundle", metavar="DIR", help="a folder with recording, HAR, Perfetto trace, report, ticket and notebook"
    )
    parser.add_argument("--baseline", metavar="FILE", help="a healthy recording to compare with")
    parser.add_argument("--health-method", choices=("GET", "HEAD"), help="what the monitor uses")
    parser.add_argument("--overwrite", action="store_true", help="replace what exists")
    parser.add_argument("--json", action="store_true", help="print one JSON document for machines")


def run(args: argparse.Namespace) -> int:
    """0; 2 when something cannot be read: the rest is reported all the same."""
    out, folder = _places(args)
    trace, inputs, failed = evidence.read(args, args.files)
    if trace is None:
        return UNREADABLE
    baseline, lost = None, False
    if args.baseline is not None:
        baseline, _, lost = evidence.read(args, [args.baseline])
    from chatkit.diagnosis import diagnose

    diagnosis = diagnose(trace, baseline=baseline, health_method=args.health_method)
    page = _page(trace, diagnosis, inputs)
    written = _write(trace, diagnosis, baseline, page, out, folder)
    if args.json:
        print(json.dumps(_document(inputs, diagnosis, written)))
    else:
        from chatkit.views import wording

        terminal.say(wording.headline(diagnosis))
        for name in written:
            terminal.say(f"  {name}")
    return UNREADABLE if failed or lost else 0


def _places(args: argparse.Namespace) -> tuple[Path | None, Path | None]:
    if args.out is None and args.bundle is None:
        raise InvalidInput("nothing says where to write", remedy="--out report.html, or --bundle DIR")
    inputs = [*args.files, *([args.baseline] if args.baseline else [])]
    out = writing.free(args.out, "--out", overwrite=args.overwrite, inputs=inputs) if args.out else None
    if args.bundle is None:
        return out, None
    folder = Path(args.bundle)
    if folder.exists() and not folder.is_dir():
        raise InvalidInput("this is a file", expected="a folder", where=f"--bundle {args.bundle}")
    if folder.is_dir() and any(folder.iterdir()) and not args.overwrite:
        raise InvalidInput("the folder is not empty", where=f"--bundle {args.bundle}", remedy="--overwrite")
    return out, folder


def _page(trace: Trace, diagnosis: Diagnosis, inputs: list[Input]) -> bytes:
    """The HTML file, made now."""
    from chatkit.views.report import report

    return report(trace, diagnosis, inputs=inputs, made_at=time.time()).encode("utf-8", "replace")


def _write(
    trace: Trace, diagnosis: Diagnosis, baseline: Trace | None, page: bytes, out: Path | None, folder: Path | None
) -> list[str]:
    """Names of what was written."""
    from chatkit.views.bundle import bundle

    written = []
    if out is not None:
        writing.write(out, page)
        written.append(str(out))
    if folder is not None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, content in bundle(trace, diagnosis, baseline=baseline, page=page).items():
            writing.write(folder / name, content)
            written.append(str(folder / name))
    return written


def _document(inputs: list[Input], diagnosis: Diagnosis, written: list[str]) -> dict[str, Any]:
    told = [{"file": one.file, "format": one.format, "not_visible": list(one.not_visible)} for one in inputs]
    return {"schema": "chatkit.report/1", "inputs": told, "written": written, "diagnosis": diagnosis.to_dict()}
