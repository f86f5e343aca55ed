"""What is on the screen as files: one of four kinds, in a folder, readable by their owner only."""

from __future__ import annotations

import io
import tempfile
import zipfile
from datetime import datetime
from pathlib import Path

import msgspec

from chatkit.cli.writing import write
from chatkit.diagnosis import Diagnosis
from chatkit.errors import InvalidInput
from chatkit.formats import har_out
from chatkit.trace import Trace
from chatkit.views.bundle import bundle
from chatkit.views.report import report

KINDS = {"report": "html", "bundle": "zip", "har": "har", "jsonl": "jsonl"}
"""Ending of the file, by kind."""


def export(kind: str, trace: Trace, diagnosis: Diagnosis, folder: Path, now: float) -> tuple[Path, bytes]:
    """Writes ``trace`` as ``kind`` into ``folder``; the file and its content.

    Args:
        kind: a key of ``KINDS``.
        trace: holds no secrets: a recording and an import are redacted when they are made.
        diagnosis: what was found in it.
        folder: made where it is not there.
        now: Unix time, for the name and for the report.

    Raises:
        InvalidInput: there is no such kind, or it cannot be written.
    """
    if kind not in KINDS:
        raise InvalidInput("no such export", expected="one of " + ", ".join(KINDS), got=kind[:40])
    content = _content(kind, trace, diagnosis, now)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"the folder cannot be made: {error.strerror}", where=str(folder)) from None
    path = folder / f"chatkit-{kind}-{datetime.fromtimestamp(now):%Y%m%d-%H%M%S}.{KINDS[kind]}"
    write(path, content)
    return path, content


def _content(kind: str, trace: Trace, diagnosis: Diagnosis, now: float) -> bytes:
    if kind == "report":
        return report(trace, diagnosis, made_at=now).encode("utf-8", "replace")
    if kind == "jsonl":
        return msgspec.json.encode(trace.header) + b"\n" + b"".join(row + b"\n" for row in trace.rows)
    if kind == "har":
        with tempfile.TemporaryDirectory(prefix="chatkit-") as place:
            path = Path(place) / "trace.har"
            har_out.dump(trace, path)
            return path.read_bytes()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in bundle(trace, diagnosis).items():
            archive.writestr(name, content)
    return packed.getvalue()
