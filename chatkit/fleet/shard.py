"""One piece of work in DuckDB: files into connection rows, rows into counts, and rows with their causes out again.

A connection of DuckDB is given; what is made in it are tables by name. The same functions run in this process and on the
workers of a cluster.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from chatkit.diagnosis import diagnose
from chatkit.errors import ChatkitError, ImportFailed, InvalidInput, MissingDependency
from chatkit.fleet import endings, rows
from chatkit.fleet.inputs import Failure, Input, at_hand, file_system, local_path
from chatkit.fleet.tally import DIED, FINENESS, OTHERS, REFUSED, SHORTEST, UNKNOWN, Tally
from chatkit.fleet.verdicts import AGES, Look, verdict
from chatkit.formats import load_all, make_options
from chatkit.redact import DEFAULT

if TYPE_CHECKING:
    from chatkit.fleet.peaks import Peak
    from chatkit.fleet.together import Moment

MEMORY = "320MB"
"""That DuckDB takes before it puts tables aside on disk."""
_STATE = f"ENUM{rows.STATES}"
_SIDE = "ENUM('client', 'server')"
_HOW = "ENUM('fin', 'rst', 'timeout', 'local', 'none')"
_TYPES = rows.COLUMNS | {"state": _STATE, "closed_by": _SIDE, "transport_how": _HOW, "transport_by": _SIDE}
_CLEAN = (1000, 1001, 1005)
_DIED = f"""(ended AND CASE closed_by WHEN 'server' THEN true
  WHEN 'client' THEN coalesce(close_code NOT IN {(*_CLEAN, 1006)}, false)
  ELSE coalesce(close_code NOT IN {_CLEAN}, true) AND transport_how IS DISTINCT FROM 'local' END)"""
"""Whether it ended against the client's will, as ``chatkit.diagnosis.lives`` has it."""
_CLASS = f"""CASE WHEN state = 'refused' THEN {REFUSED} WHEN state NOT IN ('open', 'ended') THEN {UNKNOWN}
  WHEN {_DIED} THEN {DIED} ELSE {OTHERS} END"""
_FULL = (
    "no space left",
    "disk full",
    "could not write",
    "file too large",
    "failed to offload",
    "max_temp_directory_size",
)


class Reading(Struct, frozen=True, kw_only=True):
    """How recordings are read."""

    format: str | None = None
    profile: str | None = None
    pattern: str | None = None


class Made(Struct, frozen=True, kw_only=True):
    """What became of the files of one piece of work."""

    names: tuple[str, ...]
    """Of all its files; the column ``input`` of a row counts from 0."""
    read: int
    rows: int
    events: int
    failed: tuple[Failure, ...]


def connect(path: str = ":memory:", *, threads: int | None = None, memory: str = MEMORY) -> Any:
    """A connection of DuckDB that does not know the network.

    Raises:
        MissingDependency: duckdb is not installed.
    """
    try:
        import duckdb
    except ImportError:
        raise MissingDependency("the analysis of a fleet", package="duckdb", extra="fleet") from None
    base = duckdb.connect(path)
    base.execute("SET autoinstall_known_extensions = false; SET autoload_known_extensions = false")
    base.execute(f"SET preserve_insertion_order = false; SET TimeZone = 'UTC'; SET memory_limit = '{memory}'")
    if threads is not None:
        base.execute(f"SET threads = {int(threads)}")
    return base


def make(base: Any, table: str, inputs: Sequence[Input], reading: Reading) -> Made:
    """Reads files into the table, which is made; a file that cannot be read leaves nothing behind.

    Raises:
        ChatkitError: the disk is full.
    """
    _create(base, table)
    failed, events = list[Failure](), 0
    for number, one in enumerate(inputs):
        try:
            events += (
                _read_table(base, table, number, one)
                if one.table
                else _read_recording(base, table, number, one, reading)
            )
        except Exception as error:  # of DuckDB, of an importer, of a file system: whatever it is, the others are read
            failed.append(Failure(name=one.shown, why=_why(error)))
    return _made(base, table, [one.shown for one in inputs], failed, events)


def fill(base: Any, table: str, inputs: Sequence[Input], found: Iterable[Recorded]) -> Made:
    """As :func:`make`, of recordings that were read elsewhere."""
    _create(base, table)
    failed, events = list[Failure](), 0
    for number, one in enumerate(found):
        if one.failure is not None:
            failed.append(one.failure)
            continue
        _insert(base, table, number, one.rows)
        events += one.events
    return _made(base, table, [one.shown for one in inputs], failed, events)


def _create(base: Any, table: str) -> None:
    columns = ", ".join(f"{name} {kind}" for name, kind in _TYPES.items())
    base.execute(f"CREATE TABLE {table} (input INTEGER, {columns}, class UTINYINT)")


def _made(base: Any, table: str, names: Sequence[str], failed: list[Failure], events: int) -> Made:
    (count,) = base.execute(f"SELECT count(*) FROM {table}").fetchone()
    return Made(names=tuple(names), read=len(names) - len(failed), rows=count, events=events, failed=tuple(failed))


def _read_table(base: Any, table: str, number: int, one: Input) -> int:
    """A Parquet table of events or of connections; how many events."""
    file = _known(base, one)
    told = {
        name: kind
        for name, kind, *_ in base.execute("DESCRIBE SELECT * FROM read_parquet($file)", {"file": file}).fetchall()
    }
    cohorts = rows.cohorts_of(one.name)
    if set(rows.NEEDED) <= told.keys():
        listed = ", ".join(f"{_cast(name, told, cohorts)} AS {name}" for name in rows.COLUMNS)
        given = {name: value for name, value in cohorts.items() if name not in told}
        _insert_query(base, table, f"SELECT {listed} FROM read_parquet($file)", number, {"file": file} | given)
        return 0
    if not set(endings.NEEDED) <= told.keys():
        raise _no_such_table(one, list(told))
    return _read_events(base, table, number, file, list(told), cohorts)


def _read_events(base: Any, table: str, number: int, file: str, columns: list[str], cohorts: Mapping[str, str]) -> int:
    count, first, last = base.execute(
        "SELECT count(*), min(epoch_us(time)), max(epoch_us(time)) FROM read_parquet($file)", {"file": file}
    ).fetchone()
    if not count or first is None:
        return 0
    given: dict[str, Any] = {"file": file, "source": None, "base": first, "last": last}
    given |= {name: cohorts.get(name) for name in rows.COHORTS}
    _insert_query(base, table, endings.query(columns), number, given)
    return int(count)


def _cast(name: str, told: Mapping[str, str], cohorts: Mapping[str, str]) -> str:
    if name not in told:
        return f"${name}::VARCHAR" if name in cohorts else f"NULL::{rows.COLUMNS[name]}"
    cast = f"try_cast({name} AS {rows.COLUMNS[name]})"
    return f"left({cast}, {rows.LONGEST})" if rows.COLUMNS[name] == "VARCHAR" else cast


def _no_such_table(one: Input, columns: list[str]) -> ImportFailed:
    return ImportFailed(
        "the table is neither of events nor of connections",
        source=one.shown,
        expected=f"columns {', '.join(endings.NEEDED)} (events), or {', '.join(rows.NEEDED)} (connections)",
        got=", ".join(columns[:20]),
    )


def _known(base: Any, one: Input) -> str:
    """What DuckDB calls the file; it must not take a name for a pattern."""
    local = local_path(one.name)
    name = str(local) if local is not None else one.name
    if local is None:
        base.register_filesystem(file_system(one.name)[0])
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _insert_query(base: Any, table: str, query: str, number: int, given: Mapping[str, Any]) -> None:
    listed = ", ".join(
        f"try_cast({name} AS {_TYPES[name]}) AS {name}" if _TYPES[name] != rows.COLUMNS[name] else name
        for name in _TYPES
    )
    checked = "* REPLACE (CASE WHEN isfinite(lifetime_s) AND lifetime_s >= 0 THEN lifetime_s END AS lifetime_s)"
    statement = f"INSERT INTO {table} SELECT {number}, *, {_CLASS} FROM (SELECT {checked} FROM (SELECT {listed} FROM ({query})))"
    base.execute(statement, dict(given))


def _insert(base: Any, table: str, number: int, arrow: Any) -> None:
    base.register("incoming", arrow)
    try:
        _insert_query(base, table, f"SELECT {', '.join(rows.COLUMNS)} FROM incoming", number, {})
    finally:
        base.unregister("incoming")


class Recorded(Struct, frozen=True, kw_only=True):
    """What a recording came to."""

    rows: Any = None
    """A ``pyarrow.Table``."""
    events: int = 0
    failure: Failure | None = None


def recorded(one: Input, reading: Reading) -> Recorded:
    """Reads and diagnoses a recording, a log or a capture, whatever it may be."""
    try:
        with at_hand(one) as path:
            traces = load_all(
                path, make_options(profile=reading.profile, pattern=reading.pattern), format=reading.format
            )
        cohorts = rows.cohorts_of(one.name)
        found = [row for trace in traces for row in rows.of_trace(trace, one.shown, diagnose(trace), cohorts)]
        return Recorded(rows=rows.table(found), events=sum(map(len, traces)))
    except Exception as error:
        return Recorded(failure=Failure(name=one.shown, why=_why(error)))


def _read_recording(base: Any, table: str, number: int, one: Input, reading: Reading) -> int:
    found = recorded(one, reading)
    if found.failure is not None:
        raise ImportFailed(found.failure.why, source=one.shown)
    _insert(base, table, number, found.rows)
    return found.events


def _why(error: Exception) -> str:
    """In words for whoever gave the file; raises what is no fault of the file."""
    words = DEFAULT.text(str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__)
    if any(word in str(error).lower() for word in _FULL):
        raise ChatkitError(f"the disk is full: {words}", remedy="another disk, by TMPDIR or --out") from None
    if isinstance(error, MissingDependency):
        raise error
    return DEFAULT.text(str(error)) if isinstance(error, ChatkitError) else f"the table is damaged: {words}"


def tally(base: Any, table: str, by: Sequence[str]) -> Tally:
    """The counts of the table's connections, for each of these columns."""
    half = "CASE WHEN ended_at IS NOT NULL THEN epoch_us(ended_at) WHEN state = 'open' THEN epoch_us(opened_at) + (lifetime_s * 1e6)::BIGINT END // 500000"
    gone = f"SELECT {half} AS step, count(*) AS n, count(*) FILTER (class = {DIED}) AS died FROM {table} WHERE class <= {DIED} AND opened_at IS NOT NULL GROUP BY ALL HAVING step IS NOT NULL"
    quiet = f"SELECT {_step('idle_before_end_s')} AS step, count(*) AS n FROM {table} WHERE class = {DIED} AND idle_before_end_s >= 0 GROUP BY ALL"
    born = f"SELECT epoch_us(opened_at) // 500000 AS step, count(*) AS n FROM {table} WHERE class <= {DIED} AND opened_at IS NOT NULL AND (ended_at IS NOT NULL OR state = 'open') GROUP BY ALL"
    cohorts = {
        name: _columns(
            base,
            f"""
        SELECT {name or "''"} AS value, class, CASE WHEN lifetime_s IS NULL THEN -1 ELSE {_step("lifetime_s")} END AS step, count(*) AS n,
          min(epoch_us(opened_at)) / 1e6 AS first, max(epoch_us(opened_at)) / 1e6 AS last FROM {table} GROUP BY ALL""",
        )
        for name in by or ("",)
    }
    for columns in cohorts.values():
        columns["value"] = columns["value"].astype(object)
    (count,) = base.execute(f"SELECT count(*) FROM {table}").fetchone()
    return Tally(
        rows=count,
        cohorts=cohorts,
        quiet=_sorted(base, quiet),  # type: ignore[arg-type]
        opened=_sorted(base, born),  # type: ignore[arg-type]
        ended=_sorted(base, gone),  # type: ignore[arg-type]
    )


def _step(seconds: str) -> str:
    return f"floor(ln(greatest({seconds}, {SHORTEST}) / {SHORTEST}) * {FINENESS})::INTEGER"


def _columns(base: Any, query: str) -> dict[str, Any]:
    table = base.execute(query).to_arrow_table()
    return {name: table.column(name).to_numpy() for name in table.column_names}


def _sorted(base: Any, query: str) -> tuple[Any, ...]:
    columns = _columns(base, query)
    order = np.argsort(columns["step"])
    return tuple(column[order].astype(np.int64) for column in columns.values())


def looks(
    base: Any, table: str, by: str, moments: Sequence[Moment], peaks: Sequence[Peak]
) -> list[tuple[str | None, str, int, float, int]]:
    """By value of a column (``""``: of all) and cause: connections, the sum of their probabilities, and how many died.

    Args:
        moments: at which many died.
        peaks: timers.
    """
    found: dict[tuple[str | None, str], list[float]] = {}
    query = f"SELECT {by or chr(39) * 2} AS value, cause, class, {_look(moments, peaks)}, count(*) AS n, sum(probability) AS p FROM {table} WHERE {_SPOKEN} GROUP BY ALL"
    for value, cause, kind, *look, n, p in base.execute(query).fetchall():
        id, probability = verdict(Look(*look)) if cause is None else (cause, (p or 0.0) / n)
        entry = found.setdefault((value, id), [0, 0.0, 0])
        entry[0] += n
        entry[1] += n * probability
        entry[2] += n if kind == DIED else 0
    return [(value, id, int(n), p, int(died)) for (value, id), (n, p, died) in found.items()]


_SPOKEN = "state IN ('ended', 'refused')"
_LOOK = Look._fields


def _look(moments: Sequence[Moment], peaks: Sequence[Peak]) -> str:
    """The columns of :class:`Look`, in its order."""
    age = (
        "CASE WHEN lifetime_s IS NULL OR state = 'refused' THEN NULL "
        + " ".join(f"WHEN lifetime_s < {limit} THEN '{name}'" for name, limit in AGES)
        + " ELSE 'hours' END"
    )
    aged = _within("lifetime_s", [one for one in peaks if one.kind == "age"])
    quiet = _within("idle_before_end_s", [one for one in peaks if one.kind == "idle"])
    timer = f"CASE WHEN state = 'refused' THEN 'single' WHEN {aged} AND {quiet} THEN 'either' WHEN {aged} THEN 'age' WHEN {quiet} THEN 'idle' ELSE 'irregular' END"
    inside = (
        " OR ".join(f"epoch_us(ended_at) // 500000 BETWEEN {one.first} AND {one.last}" for one in moments) or "false"
    )
    together = (
        f"CASE WHEN state = 'refused' THEN 'single' WHEN class = {DIED} AND ({inside}) THEN 'all' ELSE 'alone' END"
    )
    plain = ", ".join(
        f"{name}::VARCHAR AS {name}" if name in ("state", "closed_by", "transport_how", "transport_by") else name
        for name in _LOOK[:6]
    )
    return f"{plain}, {age} AS age, {timer} AS timer, {together} AS together"


def _within(column: str, peaks: Sequence[Peak]) -> str:
    return (
        "("
        + (" OR ".join(f"coalesce({column} BETWEEN {one.low!r} AND {one.high!r}, false)" for one in peaks) or "false")
        + ")"
    )


def victims(
    base: Any, table: str, by: Sequence[str], moments: Sequence[Moment]
) -> list[tuple[int, str, str | None, int, int]]:
    """Of each moment: number of the moment, column (``close_code`` or one of ``by``), value, deaths, and alive before."""
    found = []
    for number, one in enumerate(moments):
        start, end = one.first * 500_000, (one.last + 1) * 500_000
        dead = f"class = {DIED} AND epoch_us(ended_at) >= {start} AND epoch_us(ended_at) < {end}"
        alive = f"class <= {DIED} AND epoch_us(opened_at) < {start} AND coalesce(epoch_us(ended_at), {end}) >= {start}"
        for name in ("close_code", *by):
            query = f"SELECT {name}::VARCHAR, count(*) FILTER ({dead}), count(*) FILTER ({alive}) FROM {table} WHERE ({dead}) OR ({alive}) GROUP BY ALL"
            found += [(number, name, value, died, lived) for value, died, lived in base.execute(query).fetchall()]
    return found


def export(base: Any, table: str, names: Sequence[str], moments: Sequence[Moment], peaks: Sequence[Peak]) -> bytes:
    """The rows with their causes, as a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    look = _look(moments, peaks)
    distinct = base.execute(f"SELECT DISTINCT {look} FROM {table} WHERE cause IS NULL AND {_SPOKEN}").fetchall()
    told = [(*one, *verdict(Look(*one))) for one in distinct]
    columns = [*_LOOK, "verdict", "sure"]
    kinds = [
        pa.int32() if name in ("http_status", "close_code") else pa.float64() if name == "sure" else pa.string()
        for name in columns
    ]
    base.register(
        "verdicts",
        pa.table(
            {
                name: pa.array([one[n] for one in told], kind)
                for n, (name, kind) in enumerate(zip(columns, kinds, strict=True))
            }
        ),
    )
    base.register(
        "inputs",
        pa.table({"number": pa.array(range(len(names)), pa.int32()), "name": pa.array(list(names), pa.string())}),
    )
    join = " AND ".join(f"l.look_{name} IS NOT DISTINCT FROM v.{name}" for name in _LOOK)
    looked = f"SELECT r.*, {', '.join(f'k.{name} AS look_{name}' for name in _LOOK)} FROM {table} r, LATERAL (SELECT {look}) k"
    special = {
        "source": "coalesce(l.source, i.name) AS source",
        "cause": f"CASE WHEN {_SPOKEN} THEN coalesce(l.cause, v.verdict) END AS cause",
        "probability": "CASE WHEN l.cause IS NULL THEN v.sure ELSE l.probability END AS probability",
    }
    listed = ", ".join(special.get(name, f"l.{name}::{kind} AS {name}") for name, kind in rows.COLUMNS.items())
    try:
        query = (
            f"SELECT {listed} FROM ({looked}) l LEFT JOIN verdicts v ON {join} LEFT JOIN inputs i ON l.input = i.number"
        )
        found = base.execute(query.replace("l.look_state", "l.look_state")).to_arrow_table()
    finally:
        base.unregister("verdicts")
        base.unregister("inputs")
    sink = io.BytesIO()
    pq.write_table(found.cast(rows.schema()), sink, compression="zstd")
    return sink.getvalue()


__all__ = [
    "Failure",
    "InvalidInput",
    "Made",
    "Reading",
    "Recorded",
    "connect",
    "export",
    "fill",
    "looks",
    "make",
    "recorded",
    "tally",
    "victims",
]
