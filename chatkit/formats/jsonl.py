"""Our own format, JSON Lines: a header line, then one event per line. Lossless; what people open and grep.

Readers accept older schema versions and refuse newer ones. A last line that was cut by a killed process is reported
in ``Trace.warnings`` and left out; damage anywhere else is an error, because order and completeness are evidence.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from chatkit.errors import ImportFailed
from chatkit.events import KIND_BY_NAME, KIND_CODE, SCHEMA, RecordingEnded
from chatkit.formats.source import LONGEST_LINE, Options, Source, open_sources
from chatkit.trace import EVENT_DECODER, Header, Trace, TraceBuilder

FORMAT = "chatkit"
TITLE = "recording of chatkit (JSON Lines)"
NOT_VISIBLE: tuple[str, ...] = ()
"""A recording says it itself, in its header."""
_VERSION = re.compile(r"chatkit\.trace/(\d+)$")
_NEWEST = int(SCHEMA.rpartition("/")[2])


class _Kind(Struct):
    """Of a line that is no event, what it says that it is."""

    type: str


_kind = msgspec.json.Decoder(_Kind).decode
_BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_FARTHEST = 1e11
"""Seconds: the calendar ends before."""
_header = msgspec.json.Decoder(Header).decode


def sniff(start: bytes) -> bool:
    """Whether a file that begins so is ours, whatever its version."""
    line = start.lstrip().split(b"\n", 1)[0]
    return line.startswith(b"{") and b'"schema"' in line and b"chatkit.trace/" in line


def load(path: str | Path) -> Trace:
    """Reads a recording.

    Raises:
        ImportFailed: not ours, of a newer version, or damaged before its last line.
    """
    return read(open_sources(path)[0], Options())


def read(source: Source, options: Options) -> Trace:
    """Reads a recording; errors as for :func:`load`.

    A secret that somebody wrote into the file goes, as from any other evidence.
    """
    clean, name = options.redactor.clean, source.name
    with source.open() as file:
        header = read_header(clean(file.readline(LONGEST_LINE)), name)
        builder = TraceBuilder(header)
        number, cut = 1, False
        while line := file.readline(LONGEST_LINE):
            number += 1
            if not line.endswith(b"\n"):
                cut = not append(builder, clean(line), number, name, last=True)
            elif line != b"\n":
                append(builder, clean(line[:-1]), number, name, last=False)
    if cut:
        builder.warnings.append(f"line {number} is cut off and was left out: the recording process was killed")
    trace = builder.build()
    recorded = header.origin.kind not in ("file", "merged")  # what was imported never had an end of that kind
    if recorded and (not len(trace) or trace.kind[-1] != KIND_CODE[RecordingEnded]):
        builder.warnings.append("the recording has no end: it is still running or was cut short")
        trace = builder.build()
    return trace


def read_header(line: bytes, source: str) -> Header:
    """The first line of a recording."""
    try:
        plain = msgspec.json.decode(line, type=dict[str, Any])
    except _BROKEN as error:
        raise ImportFailed(f"the first line is not JSON: {_why(error)}", source=source, entry=1) from None
    schema = plain.get("schema")
    match = _VERSION.match(schema) if isinstance(schema, str) else None
    if match is None:
        raise ImportFailed(
            "the first line is not a header", source=source, entry=1, field="schema", expected=SCHEMA, got=schema
        )
    if int(match.group(1)) > _NEWEST:
        raise ImportFailed(
            "the recording was made by a newer chatkit",
            source=source,
            entry=1,
            field="schema",
            expected=f"{SCHEMA} or older",
            got=schema,
            remedy="update chatkit to the version that recorded it",
        )
    try:
        header = _header(line)
    except _BROKEN as error:
        raise ImportFailed(f"the header does not fit: {_why(error)}", source=source, entry=1) from None
    if not abs(header.epoch) < _FARTHEST:
        raise ImportFailed("the epoch is no time", source=source, entry=1, field="epoch", got=header.epoch)
    return header


def append(builder: TraceBuilder, line: bytes, number: int, source: str, *, last: bool) -> bool:
    """Adds the event of a line; ``False`` for a last line that is cut.

    Raises:
        ImportFailed: the line is no event.
    """
    try:
        event = EVENT_DECODER.decode(line)
        size = getattr(event, "size", -1)
        if not (abs(event.at) < _FARTHEST and -1 <= size < 1 << 62):
            raise msgspec.ValidationError("its time or its size is beyond all measure")
    except _BROKEN as error:
        if last:
            # A cut may leave valid JSON only by accident of a missing newline; then the event is whole.
            return False
        raise ImportFailed(
            f"the line is no event: {_of_unknown_kind(line) or _why(error)}",
            source=source,
            entry=number,
            got=line[:80],
            remedy="the file was changed after it was recorded; use the original",
        ) from None
    builder.append_row(line, event.at, KIND_CODE[type(event)], event.connection, size)
    return True


def _why(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


def _of_unknown_kind(line: bytes) -> str | None:
    try:
        kind = _kind(line).type
    except _BROKEN:
        return None
    return None if kind in KIND_BY_NAME else f"unknown event type {kind[:60]!r}"


def dump(trace: Trace, path: str | Path) -> None:
    """Writes a trace; readable by its owner only, since a chat is private. Replaces the file as a whole."""
    target = Path(path)
    part = target.with_name(target.name + ".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(trace.header) + b"\n")
        file.writelines(row + b"\n" for row in trace.rows)
    part.replace(target)
