"""Events as a Parquet table, one row each: what ``Trace.to_arrow`` hands over, what tells an ending, and the event.

Columns: ``id``, ``at`` (s), ``time`` (µs UTC), ``type``, ``connection``, ``size`` (bytes), ``text``; then ``code``
(close code, or HTTP status), ``by``, ``how`` (of the transport's end, or the stage that failed) and ``event``, which is
the event as its line in a recording. The header stands in the file's metadata. Any engine reads the rest.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from chatkit.errors import ImportFailed, MissingDependency
from chatkit.events import (
    AttemptFailed,
    CloseReceived,
    CloseSent,
    EndReported,
    Event,
    TransportEnded,
    UpgradeAnswered,
)
from chatkit.formats.jsonl import append, read_header
from chatkit.formats.source import Options, Source
from chatkit.trace import Trace, TraceBuilder

FORMAT = "parquet"
TITLE = "events as a Parquet table"
NOT_VISIBLE: tuple[str, ...] = ()
"""A recording says it itself, in its header."""
NOT_CARRIED: tuple[str, ...] = ()
KEY = b"chatkit.trace"
"""Under which the file's metadata hold the header."""
MAGIC = b"PAR1"
BATCH = 65_536
"""Rows that are decoded at a time."""


def sniff(start: bytes) -> bool:
    """Whether a file that begins so is a Parquet table."""
    return start.startswith(MAGIC)


def read(source: Source, options: Options) -> Trace:
    """Reads a table that :func:`dump` wrote.

    Raises:
        ImportFailed: the file is damaged, or a table without whole events.
        MissingDependency: pyarrow is not installed.
    """
    pa, pq = _arrow()
    clean = options.redactor.clean
    with source.open() as stream:
        try:
            file = pq.ParquetFile(pa.BufferReader(stream.read()))
            header = (file.schema_arrow.metadata or {}).get(KEY)
            if header is None or "event" not in file.schema_arrow.names:
                raise _without_events(source, file.schema_arrow.names)
            builder, number = TraceBuilder(read_header(clean(header), source.name)), 0
            for batch in file.iter_batches(BATCH, columns=["event"]):
                for line in batch.column(0).to_pylist():
                    number += 1
                    append(builder, clean((line or "").encode()), number, source.name, last=False)
        except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
            raise ImportFailed(f"the table is damaged: {_first_line(error)}", source=source.name) from None
    return builder.build()


def _without_events(source: Source, names: list[str]) -> ImportFailed:
    return ImportFailed(
        "the table does not hold whole events",
        source=source.name,
        expected="a table that chatkit convert wrote",
        got=", ".join(names[:20]),
        remedy="chatkit fleet analyse reads tables of connections, and tables of events without their texts",
    )


def dump(trace: Trace, path: str | Path) -> None:
    """Writes a trace; readable by its owner only, since a chat is private. Replaces the file as a whole.

    Raises:
        MissingDependency: pyarrow is not installed.
    """
    _, pq = _arrow()
    target = Path(path)
    part = target.with_name(target.name + ".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        pq.write_table(table(trace), file, compression="zstd")
    part.replace(target)


def table(trace: Trace) -> Any:
    """The trace as a ``pyarrow.Table`` with the columns named above; ``trace.to_arrow()`` is a part of it.

    Raises:
        MissingDependency: pyarrow is not installed.
    """
    pa, _ = _arrow()
    plain = trace.to_arrow()
    told = [_told(event) for event in trace]
    columns = {name: plain.column(name) for name in plain.column_names}
    columns["type"] = plain.column("type").dictionary_encode()
    columns["code"] = pa.array([code for code, _, _ in told], pa.int32())
    columns["by"] = pa.array([by for _, by, _ in told], pa.string())
    columns["how"] = pa.array([how for _, _, how in told], pa.string())
    columns["event"] = pa.array([bytes(row).decode() for row in trace.rows], pa.string())
    return pa.table(columns).replace_schema_metadata({KEY: msgspec.json.encode(trace.header)})


def _told(event: Event) -> tuple[int | None, str | None, str | None]:
    """Code, by, how."""
    match event:
        case CloseSent() | CloseReceived():
            return event.code, None, None
        case UpgradeAnswered():
            return event.status, None, None
        case AttemptFailed():
            return event.status, None, event.stage
        case TransportEnded():
            return None, event.by, event.how
        case EndReported():
            return event.code, event.by, None
    return None, None, None


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingDependency("a Parquet table", package="pyarrow", extra="tables") from None
    return pa, pq


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
