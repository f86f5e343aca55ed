"""A table of connection rows in DuckDB into counts, and the rows with their causes out again.

The table is one that :mod:`chatkit.fleet.shard` made; nothing here depends on how many rows it has.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from chatkit.fleet import rows
from chatkit.fleet.tally import DIED, FINENESS, SHORTEST, Tally
from chatkit.fleet.verdicts import AGES, Look, verdict

if TYPE_CHECKING:
    from chatkit.fleet.peaks import Peak
    from chatkit.fleet.together import Moment

STEP = 500_000
"""Microseconds: the half seconds in which moments are counted."""
_HALF = (
    "(CASE WHEN ended_at IS NOT NULL THEN epoch_us(ended_at)"
    f" WHEN state = 'open' THEN epoch_us(opened_at) + (lifetime_s * 1e6)::BIGINT END // {STEP})"
)
"""In which one a life was last watched."""
_SPOKEN = "state IN ('ended', 'refused')"
_PLAIN = {"http_status": "INTEGER", "close_code": "INTEGER"}
Found = tuple[str | None, str, int, float, int]
"""Value of a column, cause, connections, the sum of their probabilities, and how many of them died."""
Victims = tuple[int, str, str | None, int, int]
"""Number of a moment, a column, a value, deaths, and connections alive just before."""


def tally(base: Any, table: str, by: Sequence[str]) -> Tally:
    """The counts of the table's connections, for each of these columns."""
    lived = f"FROM {table} WHERE class <= {DIED} AND opened_at IS NOT NULL"
    born = f"SELECT epoch_us(opened_at) // {STEP} AS step, count(*) AS n {lived} AND {_HALF} IS NOT NULL GROUP BY ALL"
    gone = f"SELECT {_HALF} AS step, count(*) AS n, count(*) FILTER (class = {DIED}) AS died {lived} GROUP BY ALL"
    quiet = (
        f"SELECT {_step('idle_before_end_s')} AS step, count(*) AS n"
        f" FROM {table} WHERE class = {DIED} AND idle_before_end_s >= 0 GROUP BY ALL"
    )
    ((count,),) = base.execute(f"SELECT count(*) FROM {table}").fetchall()
    return Tally(
        rows=count,
        cohorts={name: _cohorts(base, table, name) for name in by or ("",)},
        quiet=_sorted(base, quiet),
        opened=_sorted(base, born),
        ended=_sorted(base, f"FROM ({gone}) WHERE step IS NOT NULL"),
    )


def _cohorts(base: Any, table: str, name: str) -> dict[str, Any]:
    value = name or "''"
    columns = _columns(
        base,
        f"SELECT {value} AS value, class, coalesce({_step('lifetime_s')}, -1) AS step, count(*) AS n,"
        " min(epoch_us(opened_at)) / 1e6 AS first, max(epoch_us(opened_at)) / 1e6 AS last"
        f" FROM {table} GROUP BY ALL",
    )
    return columns | {"value": columns["value"].astype(object)}


def _step(seconds: str) -> str:
    """A duration's step in a tally; null of null."""
    return f"floor(ln(greatest({seconds} / {SHORTEST}, 1 + 0 * {seconds})) * {FINENESS})::INTEGER"


def _columns(base: Any, query: str) -> dict[str, Any]:
    table = base.sql(query).to_arrow_table()
    return {name: table.column(name).to_numpy() for name in table.column_names}


def _sorted(base: Any, query: str) -> tuple[Any, ...]:
    columns = _columns(base, query)
    order = np.argsort(columns["step"])
    return tuple(column[order].astype(np.int64) for column in columns.values())


def looks(base: Any, table: str, by: str, moments: Sequence[Moment], peaks: Sequence[Peak]) -> list[Found]:
    """What connections died of, by value of a column (``""``: all together) and cause.

    Args:
        moments: at which many died.
        peaks: timers.
    """
    found: dict[tuple[str | None, str], list[float]] = {}
    look = ", ".join(f"{told} AS look_{name}" for name, told in _look(moments, peaks).items())
    value = by or "''"
    query = (
        f"SELECT {value} AS value, cause, class, {look}, count(*) AS n, sum(probability) AS p"
        f" FROM {table} WHERE {_SPOKEN} GROUP BY ALL"
    )
    for value, cause, kind, *seen, n, p in base.execute(query).fetchall():
        id, probability = verdict(Look(*seen)) if cause is None else (cause, (p or 0.0) / n)
        entry = found.setdefault((value, id), [0, 0.0, 0])
        entry[0] += n
        entry[1] += n * probability
        entry[2] += n if kind == DIED else 0
    return [(value, id, int(n), p, int(died)) for (value, id), (n, p, died) in found.items()]


def _look(moments: Sequence[Moment], peaks: Sequence[Peak]) -> dict[str, str]:
    """The columns of :class:`Look` in SQL."""
    ages = " ".join(f"WHEN lifetime_s < {limit} THEN '{name}'" for name, limit in AGES)
    aged = _within("lifetime_s", [one for one in peaks if one.kind == "age"])
    quiet = _within("idle_before_end_s", [one for one in peaks if one.kind == "idle"])
    inside = " OR ".join(f"{_HALF} BETWEEN {one.first} AND {one.last}" for one in moments) or "false"
    return {
        **{name: name for name in Look._fields[:6]},
        "age": f"CASE WHEN lifetime_s IS NULL OR state = 'refused' THEN NULL {ages} ELSE 'hours' END",
        "timer": f"CASE WHEN state = 'refused' THEN 'single' WHEN {aged} AND {quiet} THEN 'either'"
        f" WHEN {aged} THEN 'age' WHEN {quiet} THEN 'idle' ELSE 'irregular' END",
        "together": "CASE WHEN state = 'refused' THEN 'single'"
        f" WHEN class = {DIED} AND ({inside}) THEN 'all' ELSE 'alone' END",
    }


def _within(column: str, peaks: Sequence[Peak]) -> str:
    """Where there is no duration there is no timer."""
    spans = [f"coalesce({column} BETWEEN {one.low!r} AND {one.high!r}, false)" for one in peaks]
    return f"({' OR '.join(spans) or 'false'})"


def victims(base: Any, table: str, by: Sequence[str], moments: Sequence[Moment]) -> list[Victims]:
    """Whom each moment took: by close code, and by each of these columns."""
    found = []
    for number, one in enumerate(moments):
        start, end = one.first * STEP, (one.last + 1) * STEP
        ended = f"coalesce(epoch_us(ended_at), {end})"
        dead = f"class = {DIED} AND {ended} >= {start} AND {ended} < {end}"
        alive = f"class <= {DIED} AND epoch_us(opened_at) < {start} AND {ended} >= {start}"
        for name in ("close_code", *by):
            query = (
                f"SELECT {name}::VARCHAR, count(*) FILTER ({dead}), count(*) FILTER ({alive})"
                f" FROM {table} WHERE ({dead}) OR ({alive}) GROUP BY ALL"
            )
            found += [(number, name, *counted) for counted in base.execute(query).fetchall()]
    return found


def export(base: Any, table: str, names: Sequence[str], moments: Sequence[Moment], peaks: Sequence[Peak]) -> bytes:
    """The rows with their causes, as a Parquet file.

    Args:
        names: of the files, by the column ``input``.
        moments, peaks: as for :func:`looks`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    look = _look(moments, peaks)
    seen = ", ".join(f"{told} AS look_{name}" for name, told in look.items())
    distinct = base.execute(f"SELECT DISTINCT {seen} FROM {table} WHERE cause IS NULL AND {_SPOKEN}").fetchall()
    told = [(*one, *verdict(Look(*one))) for one in distinct]
    number = {"http_status": pa.int32(), "close_code": pa.int32(), "sure": pa.float64()}
    columns = [*look, "verdict", "sure"]
    verdicts = {
        name: pa.array([one[n] for one in told], number.get(name, pa.string())) for n, name in enumerate(columns)
    }
    inputs = {"number": pa.array(range(len(names)), pa.int32()), "name": pa.array(list(names), pa.string())}
    join = " AND ".join(f"l.look_{name}::{_PLAIN.get(name, 'VARCHAR')} IS NOT DISTINCT FROM v.{name}" for name in look)
    special = {
        "source": "coalesce(l.source, i.name)",
        "cause": "CASE WHEN l.spoken THEN coalesce(l.cause, v.verdict) END",
        "probability": "CASE WHEN l.cause IS NULL THEN v.sure ELSE l.probability END",
    }
    listed = ", ".join(f"{special.get(name, f'l.{name}')}::{kind} AS {name}" for name, kind in rows.COLUMNS.items())
    base.register("verdicts", pa.table(verdicts))
    base.register("inputs", pa.table(inputs))
    try:
        found = base.sql(
            f"SELECT {listed} FROM (SELECT *, {_SPOKEN} AS spoken, {seen} FROM {table}) l"
            f" LEFT JOIN verdicts v ON {join} LEFT JOIN inputs i ON l.input = i.number"
        ).to_arrow_table()
    finally:
        base.unregister("verdicts")
        base.unregister("inputs")
    sink = io.BytesIO()
    pq.write_table(found.cast(rows.schema()), sink, compression="zstd")
    return sink.getvalue()
