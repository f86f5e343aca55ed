"""Files of evidence as arguments: how they are read, and where results may be written."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from chatkit.errors import ChatkitError, InvalidInput

if TYPE_CHECKING:
    from chatkit.trace import Trace


def add_reading(parser: argparse.ArgumentParser) -> None:
    """How evidence is read."""
    parser.add_argument("--input-format", metavar="F", help="name of the format, where the content should not decide")
    parser.add_argument("--profile", metavar="F", help="TOML file with what differs in your backend's contract")
    parser.add_argument("--keylog", metavar="F", help="TLS keys of a capture (what SSLKEYLOGFILE names)")
    parser.add_argument("--pattern", metavar="F", help="TOML file with the patterns of a console log's own lines")


def read(path: str, args: argparse.Namespace) -> Trace:
    """One trace of a file.

    Raises:
        ImportFailed: it cannot be read; the error names file, place and remedy.
    """
    from chatkit.formats import load

    return load(path, format=args.input_format, profile=args.profile, keylog=args.keylog, pattern=args.pattern)


def read_all(paths: Sequence[str], args: argparse.Namespace) -> tuple[list[Trace], list[ChatkitError]]:
    """Traces of the files that can be read, and why the others cannot."""
    traces: list[Trace] = []
    failures: list[ChatkitError] = []
    for path in paths:
        try:
            traces.append(read(path, args))
        except ChatkitError as error:
            failures.append(error)
    return traces, failures


def free(path: str, option: str, *, overwrite: bool, inputs: Sequence[str] = ()) -> Path:
    """A place for a result.

    Raises:
        InvalidInput: something is there already, there is no such folder, or it is one of the inputs.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise InvalidInput("there is no such folder", where=f"{option} {path}", got=str(target.parent))
    if any(_same(target, Path(one)) for one in inputs):
        raise InvalidInput("the result would replace its own evidence", where=f"{option} {path}", remedy="another name")
    if target.is_dir():
        raise InvalidInput("this is a folder", expected="a file", where=f"{option} {path}")
    if target.exists() and not overwrite:
        raise InvalidInput("the file is there already", where=f"{option} {path}", remedy="--overwrite, or another name")
    return target


def write(target: Path, content: bytes) -> None:
    """Writes a file as a whole; readable by its owner only, since a chat is private.

    Raises:
        InvalidInput: it cannot be written.
    """
    part = target.with_name(target.name + ".part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
        part.replace(target)
    except OSError as error:
        raise InvalidInput(f"the file cannot be written: {error.strerror}", where=str(target)) from None


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False
