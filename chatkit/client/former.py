"""What a process that is started again finds of its recordings."""

from __future__ import annotations

from pathlib import Path

from chatkit.errors import ImportFailed
from chatkit.formats.jsonl import load
from chatkit.merging.continuing import continued
from chatkit.recorder import being_written
from chatkit.trace import Trace


def former(path: Path) -> Trace | None:
    """The earlier recordings at ``path`` and at ``name-2``, ``name-3`` … beside it, as one trace; ``None`` without any.

    Reads files: seconds for millions of events. A last line that was cut is left out. A recording that this process
    still writes is left out, and one that cannot be read as well: ``warnings`` name that one.
    """
    traces: list[Trace] = []
    trouble: list[str] = []
    for one in recordings(path):
        try:
            trace = load(one)
        except (ImportFailed, OSError) as error:
            trouble.append(f"{one.name} could not be read and was left out: {error}"[:300])
            continue
        if len(trace):
            traces.append(trace)
    if not traces:
        return None
    whole = continued(traces)
    return _with_warnings(whole, trouble)


def recordings(path: Path) -> list[Path]:
    """The finished files, the oldest first."""
    numbered = [
        (int(number), one)
        for one in path.parent.glob(f"{path.stem}-*{path.suffix}")
        if (number := one.stem.removeprefix(f"{path.stem}-")).isdecimal()
    ]
    found = [path, *(one for _, one in sorted(numbered))]
    running = being_written()
    return [one for one in found if one.is_file() and one.absolute() not in running]


def _with_warnings(trace: Trace, more: list[str]) -> Trace:
    if more:
        columns = (trace.at, trace.kind, trace.connection_code, trace.size, trace.names)
        trace = Trace(trace.header, trace.rows, *columns, (*trace.warnings, *more))
    return trace
