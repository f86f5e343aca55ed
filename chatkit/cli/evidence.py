"""Files of evidence as the verbs that read some take them: options, reading all that can be read, merging."""

from __future__ import annotations

import argparse
import gc
import sys
from typing import TYPE_CHECKING

from chatkit.errors import ChatkitError
from chatkit.plain import harmless
from chatkit.redact import DEFAULT

if TYPE_CHECKING:
    from chatkit.inspection import Input
    from chatkit.trace import Trace


def add_evidence(parser: argparse.ArgumentParser) -> None:
    """The files and how to read them."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="evidence; several files of one incident are merged")
    add_reading(parser)


def add_reading(parser: argparse.ArgumentParser) -> None:
    """How to read files."""
    parser.add_argument(
        "--input-format", metavar="FORMAT", help="format of the files, where the content should not decide"
    )
    parser.add_argument("--profile", metavar="P.toml", help="the backend's contract, if it is not the built-in one")
    parser.add_argument("--keylog", metavar="FILE", help="TLS keys for a capture (SSLKEYLOGFILE)")
    parser.add_argument("--pattern", metavar="FILE", help="patterns of an application's own console lines (TOML)")


def read(args: argparse.Namespace, files: list[str]) -> tuple[Trace | None, list[Input], bool]:
    """One trace of all files that can be read, what is to be said of each, and whether one could not be read.

    Each failure is told on standard error; the trace is ``None`` when nothing could be read.
    """
    from chatkit.formats import load_all, make_options
    from chatkit.inspection import input_of

    options = make_options(profile=args.profile, keylog=args.keylog, pattern=args.pattern)
    traces, inputs, failed = [], [], False
    gc.disable()  # millions of small objects that all stay: looking through them again and again costs a fifth
    for file in files:
        try:
            found = load_all(file, options, format=args.input_format)
        except ChatkitError as error:
            failed = True
            print(f"chatkit: {harmless(DEFAULT.text(str(error)))}", file=sys.stderr)
            continue
        traces += found
        inputs += [input_of(trace, file if len(found) == 1 else trace.origin.file or file) for trace in found]
    gc.enable()
    if not traces:
        return None, inputs, failed
    if len(traces) == 1:
        return traces[0], inputs, failed
    from chatkit.merging import merge

    return merge(*traces), inputs, failed
