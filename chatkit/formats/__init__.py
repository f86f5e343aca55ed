"""One module per file format, bytes ↔ ``Trace``; ``load`` tells by content which one it is, never by name alone."""

from __future__ import annotations

from pathlib import Path

from chatkit.errors import ImportFailed
from chatkit.formats import jsonl
from chatkit.trace import Trace


def load(path: str | Path) -> Trace:
    """A trace from a file.

    Raises:
        ImportFailed: the file cannot be read, or is of no format that chatkit knows; it names file and place.
    """
    source = str(path)
    try:
        with Path(path).open("rb") as file:
            start = file.read(4096)
    except OSError as error:
        raise ImportFailed(
            f"the file cannot be opened: {error.strerror or error}", source=source, remedy="check the path"
        ) from None
    if not start.strip():
        raise ImportFailed("the file is empty", source=source, expected="a chatkit recording (JSON Lines)")
    if jsonl.sniff(start):
        return jsonl.load(path)
    raise ImportFailed(
        "the file is no chatkit recording",
        source=source,
        entry=1,
        expected='a first line {"schema": "chatkit.trace/1", …}',
        got=start[:60],
        remedy="make one with `chatkit record URL --bot B --for 60 --out F.jsonl`",
    )


__all__ = ["load"]
