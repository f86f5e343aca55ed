"""Where a verb's results may be written, and how."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from chatkit.errors import InvalidInput


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
