"""What a file of evidence says, as text beside it: ``python -m tests.formats.golden`` writes it anew, for a reader.

``tests/data/FORMAT/NAME.EXT`` is the file, ``NAME.golden.txt`` what chatkit reads in it. Files that begin with a dot or
end with ``.md``, ``.py``, ``.keys`` or ``.toml`` belong to others; so do tables of connections.
"""

from __future__ import annotations

from pathlib import Path

from chatkit.formats import load
from chatkit.trace import Trace

DATA = Path(__file__).parents[1] / "data"
BESIDE = {".md", ".py", ".keys", ".toml", ".txt.part"}
TABLES = {"fleet.parquet"}
"""One row a connection: for ``chatkit fleet analyse``, which tests them."""


def evidence() -> list[Path]:
    """All files of evidence, sorted."""
    return [
        path
        for path in sorted(DATA.glob("*/*"))
        if path.is_file()
        and not path.name.startswith(".")
        and not path.name.endswith(".golden.txt")
        and not path.name.endswith(".attached.json")
        and path.suffix not in BESIDE
        and path.name not in TABLES
    ]


def golden_of(path: Path) -> Path:
    return path.with_name(path.name.split(".")[0] + ".golden.txt")


def read(path: Path) -> Trace:
    """The file with what lies beside it: keys of a capture, patterns of a console log."""
    stem = path.name.split(".")[0]
    keys, pattern = path.with_name(stem + ".keys"), path.with_name(stem + ".toml")
    return load(path, keylog=keys if keys.exists() else None, pattern=pattern if pattern.exists() else None)


def transcript(trace: Trace) -> str:
    """Origin, what is not visible, warnings, one line per event, one per connection."""
    lines = [f"format {trace.origin.format}", f"not visible: {', '.join(trace.not_visible) or '-'}"]
    lines += [f"warning: {warning}" for warning in trace.warnings]
    lines += [f"{event.at:12.6f}  {event.connection or '-':>3}  {event}" for event in trace]
    for connection in trace.connections:
        code = connection.ending.close_code if connection.ending else None
        lines.append(f"{connection} [{connection.state}, code {code}, {connection.url}]")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for path in evidence():
        golden_of(path).write_text(transcript(read(path)), "utf-8")
