"""One row per connection, as Parquet holds it: the columns, a row from a connection's own evidence, and the file."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from msgspec import Struct

from chatkit.diagnosis.lives import against_our_will, lives
from chatkit.ending import Connection
from chatkit.errors import MissingDependency
from chatkit.inspection import connection_dict
from chatkit.trace import Trace


class Row(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is to be said of one connection. Times are Unix seconds here and ``timestamp[us, UTC]`` in the file."""

    source: str
    """The recording that holds it, relative to the folder; ``watch`` where only counters were kept."""
    connection: str
    """Unique in the folder: target, number of the run, number of the connection."""
    target: str
    """The redacted URL without its query."""
    opened_at: float | None = None
    ended_at: float | None = None
    lifetime_s: float
    """Of an open connection: so far."""
    ended: bool = False
    """Against our will; else the life is censored."""
    idle_before_end_s: float | None = None
    """Quiet of both directions before the end."""
    state: str
    http_status: int | None = None
    close_code: int | None = None
    closed_by: str | None = None
    transport_how: str | None = None
    transport_by: str | None = None
    who: str | None = None
    """The bot."""
    cause: str | None = None
    probability: float | None = None
    version: str | None = None
    region: str | None = None
    proxy: str | None = None
    user_agent: str | None = None


_TIMES = ("opened_at", "ended_at")
_TYPES = {
    "lifetime_s": "float64",
    "idle_before_end_s": "float64",
    "probability": "float64",
    "ended": "bool_",
    "http_status": "int32",
    "close_code": "int32",
}
"""Of the columns that hold neither text nor a time."""


def row_of(trace: Trace, one: Connection, **told: Any) -> Row:
    """The row of a connection that its trace shows; ``told`` is what the trace does not know: source, who, cohorts."""
    facts = connection_dict(trace, one)
    transport = facts["transport_end"] or {}
    ending = one.ending
    return Row(
        **{"connection": one.id, **told},
        target=without_query(one.url or ""),
        opened_at=None if one.opened_at is None else round(trace.epoch + one.opened_at, 6),
        ended_at=None if ending is None else round(trace.epoch + ending.at, 6),
        lifetime_s=round(one.duration, 6) if one.opened_at is not None else 0.0,
        ended=ending is not None and ending.opened and against_our_will(ending),
        idle_before_end_s=_idle(trace, one),
        state=one.state,
        http_status=one.status,
        close_code=facts["close_code"],
        closed_by=facts["closed_by"],
        transport_how=transport.get("how"),
        transport_by=transport.get("by"),
        user_agent=None,
    )


def without_query(url: str) -> str:
    """A URL without query and fragment: what names a target."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))


def _idle(trace: Trace, one: Connection) -> float | None:
    """Quiet before the end; ``None`` of one that never opened or lives."""
    if one.opened_at is None or one.ending is None:
        return None
    seen = lives(trace)
    return round(float(seen.idle["any"][seen.id.index(one.id)]), 6) if one.id in seen.id else None


def to_arrow(rows: Sequence[Row]) -> Any:
    """A ``pyarrow.Table`` with the columns of :class:`Row`.

    Raises:
        MissingDependency: pyarrow is not installed.
    """
    pa = arrow()
    columns = {name: [getattr(row, name) for row in rows] for name in Row.__struct_fields__}
    for name in _TIMES:
        columns[name] = [None if at is None else datetime.fromtimestamp(at, UTC) for at in columns[name]]
    fields = [pa.field(name, _type(pa, name)) for name in Row.__struct_fields__]
    return pa.table(columns, schema=pa.schema(fields))


def write(rows: Sequence[Row], path: Path) -> None:
    """A Parquet file of these rows, whole or not at all. Raises ``OSError`` and as :func:`to_arrow`."""
    from pyarrow import parquet

    part = path.with_name(path.name + ".part")
    try:
        parquet.write_table(to_arrow(rows), part)
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def read(path: Path) -> list[Row]:
    """The rows of a file. Raises ``OSError`` or ``ValueError`` where it is damaged."""
    arrow()
    from pyarrow import parquet

    found = parquet.read_table(path, columns=list(Row.__struct_fields__)).to_pylist()
    return [
        Row(**one | {name: None if one[name] is None else one[name].timestamp() for name in _TIMES}) for one in found
    ]


def warm() -> None:
    """Loads what writing needs, so that the first file takes no longer than the others."""
    from pyarrow import parquet

    parquet.write_table(to_arrow([]), io.BytesIO())


def arrow() -> Any:
    """The module ``pyarrow``, or the error that says how to get it."""
    try:
        import pyarrow
    except ImportError:
        raise MissingDependency("watching for days", package="pyarrow", extra="watch") from None
    return pyarrow


def _type(pa: Any, name: str) -> Any:
    if name in _TIMES:
        return pa.timestamp("us", tz="UTC")
    return getattr(pa, _TYPES.get(name, "string"))()
