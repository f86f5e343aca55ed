"""``chatkit fleet analyse``: many recordings in, cohorts, moments and causes out."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from chatkit.cli import terminal, writing
from chatkit.errors import InvalidInput
from chatkit.plain import one_line

if TYPE_CHECKING:
    from chatkit.fleet import Fleet
    from chatkit.fleet.inputs import Failure

SUMMARY = "compare many recordings: who drops sooner, when, and since when"
UNREADABLE = 2
LONGEST = 600
"""Characters of what is told of a file that cannot be read."""
EVERY = 200
"""Files between two notes on how far it is."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="recordings, logs, Parquet tables; folders, patterns, URLs of fsspec"
    )
    parser.add_argument("--scheduler", metavar="tcp://HOST:PORT", help="a dask scheduler whose workers do the work")
    parser.add_argument("--by", metavar="COLUMN,…", help="of version, region, proxy, user_agent (default: all told)")
    parser.add_argument(
        "--out", metavar="DIR", help="folder for the rows (Parquet), the result (JSON), and a page (HTML)"
    )
    parser.add_argument(
        "--input-format", metavar="FORMAT", help="format of the recordings, where content should not decide"
    )
    parser.add_argument("--profile", metavar="P.toml", help="the backend's contract, if it is not the built-in one")
    parser.add_argument("--pattern", metavar="FILE", help="patterns of an application's own console lines (TOML)")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of text")


def run(args: argparse.Namespace) -> int:
    """0, or 2 when a file could not be read: the numbers speak of the others then."""
    from chatkit.fleet import analyse_fleet
    from chatkit.fleet.rows import COHORTS

    by = None if args.by is None else [name.strip() for name in args.by.split(",") if name.strip()]
    if by is not None and (not by or not set(by) <= set(COHORTS)):
        raise InvalidInput("no such column", expected=f"of {', '.join(COHORTS)}", got=args.by, where="--by")
    fleet = analyse_fleet(
        *args.files,
        by=by,
        scheduler=args.scheduler,
        out=args.out,
        format=args.input_format,
        profile=args.profile,
        pattern=args.pattern,
        progress=_told,
    )
    if args.out is not None:
        _write(Path(args.out), fleet)
    if args.json:
        json.dump(fleet.to_dict(), sys.stdout, allow_nan=False)
        print(flush=True)
    else:
        terminal.say(str(fleet))
    if fleet.failed:
        terminal.note(f"{len(fleet.failed):,} of {fleet.files + len(fleet.failed):,} files could not be read")
    return UNREADABLE if fleet.failed else 0


def _told(done: int, total: int, failed: Failure | None) -> None:
    if failed is not None:
        terminal.say(f"chatkit: {one_line(_words(failed), LONGEST)}", sys.stderr)
    elif done % EVERY == 0 and done < total:
        terminal.note(f"{done:,} of {total:,} files")


def _words(failed: Failure) -> str:
    return failed.why if failed.name in failed.why else f"{failed.name}: {failed.why}"


def _write(folder: Path, fleet: Fleet) -> None:
    from chatkit.views.fleet import page

    writing.write(folder / "fleet.json", json.dumps(fleet.to_dict(), allow_nan=False).encode())
    writing.write(folder / "fleet.html", page(fleet).encode())
