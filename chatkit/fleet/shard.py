"""One piece of work in DuckDB: files of any kind into a table of connection rows.

A connection of DuckDB is given; what is made in it is a table by name, which :mod:`chatkit.fleet.counting` reads. The
same functions run in this process and on the workers of a cluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from msgspec import Struct

from chatkit.diagnosis import diagnose
from chatkit.errors import ChatkitError, ImportFailed, MissingDependency
from chatkit.fleet import endings, rows
from chatkit.fleet.inputs import Failure, Input, at_hand, file_system, local_path
from chatkit.fleet.tally import DIED, OTHERS, REFUSED, UNKNOWN
from chatkit.formats import load_all, make_options
from chatkit.redact import DEFAULT

MEMORY = "400MB"
"""That DuckDB takes before it puts tables aside on disk."""
_TYPES = rows.COLUMNS | endings.WORDS
_CLEAN = (1000, 1001, 1005)
_DIED = f"""(ended AND CASE closed_by WHEN 'server' THEN true
  WHEN 'client' THEN coalesce(close_code NOT IN {(*_CLEAN, 1006)}, false)
  ELSE coalesce(close_code NOT IN {_CLEAN}, true) AND transport_how IS DISTINCT FROM 'local' END)"""
"""Whether it ended against the client's will, as ``chatkit.diagnosis.lives`` has it."""
_CLASS = f"""CASE WHEN state = 'refused' THEN {REFUSED} WHEN state NOT IN ('open', 'ended') THEN {UNKNOWN}
  WHEN {_DIED} THEN {DIED} ELSE {OTHERS} END"""
_CHECKED = ", ".join(
    f"coalesce(try_cast(state AS {kind}), 'unknown') AS state"
    if name == "state"
    else f"try_cast({name} AS {kind}) AS {name}"
    if kind.startswith("ENUM")
    else f"CASE WHEN isfinite({name}) AND {name} >= 0 THEN {name} END AS {name}"
    if kind == "DOUBLE"
    else name
    for name, kind in _TYPES.items()
)
"""What stands in somebody's table may be anything."""
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
    cohorts: tuple[str, ...] = ()
    """Columns of ``rows.COHORTS`` in which something stands."""


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


@contextmanager
def in_words() -> Iterator[None]:
    """What DuckDB raises inside comes out as an error for people: a full disk, too little memory.

    Raises:
        ChatkitError: it could not go on.
    """
    try:
        yield
    except Exception as error:
        if type(error).__module__.split(".")[0] not in ("duckdb", "_duckdb"):
            raise
        words = _why(error).removeprefix("the table is damaged: ")
        raise ChatkitError(f"the analysis cannot go on: {words}", remedy="more memory or disk") from None


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
    counted = ", ".join(f"count({name})" for name in rows.COHORTS)
    ((count, *told),) = base.execute(f"SELECT count(*), {counted} FROM {table}").fetchall()
    cohorts = tuple(name for name, n in zip(rows.COHORTS, told, strict=True) if n)
    read = len(names) - len(failed)
    return Made(names=tuple(names), read=read, rows=count, events=events, failed=tuple(failed), cohorts=cohorts)


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
    ((count, first, last),) = base.execute(
        "SELECT count(*), epoch_us(min(time)), epoch_us(max(time)) FROM read_parquet($file)", {"file": file}
    ).fetchall()
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
    base.execute(
        f"INSERT INTO {table} SELECT {number}, *, {_CLASS} FROM (SELECT {_CHECKED} FROM ({query}))", dict(given)
    )


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
