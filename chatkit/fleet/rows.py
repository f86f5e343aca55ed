"""Connection rows: one row for each connection, the table that ``fleet analyse`` reads and writes, and ``watch`` too.

``COLUMNS`` is the whole contract. A row says what is known; null says that it is not, never that it did not happen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from chatkit.ending import Connection
from chatkit.errors import InvalidInput, MissingDependency
from chatkit.events import AttemptStarted, UpgradeAnswered, UpgradeRequested
from chatkit.redact import DEFAULT

if TYPE_CHECKING:
    from datetime import datetime

    from chatkit.diagnosis.result import Diagnosis
    from chatkit.trace import Trace

COLUMNS: dict[str, str] = {
    "source": "VARCHAR",
    "connection": "VARCHAR",
    "target": "VARCHAR",
    "opened_at": "TIMESTAMPTZ",
    "ended_at": "TIMESTAMPTZ",
    "lifetime_s": "DOUBLE",
    "ended": "BOOLEAN",
    "idle_before_end_s": "DOUBLE",
    "state": "VARCHAR",
    "http_status": "INTEGER",
    "close_code": "INTEGER",
    "closed_by": "VARCHAR",
    "transport_how": "VARCHAR",
    "transport_by": "VARCHAR",
    "who": "VARCHAR",
    "cause": "VARCHAR",
    "probability": "DOUBLE",
    "version": "VARCHAR",
    "region": "VARCHAR",
    "proxy": "VARCHAR",
    "user_agent": "VARCHAR",
}
"""Name of each column and its type in SQL, in order."""
COHORTS = ("version", "region", "proxy", "user_agent")
"""Columns by which connections are compared."""
NEEDED = ("connection", "ended_at", "lifetime_s", "ended", "state")
"""Without these a table is none of connections; of the others each may be missing."""
STATES = ("refused", "open", "ended", "unknown")
SIDES = ("client", "server")
HOWS = ("fin", "rst", "timeout", "local", "none")
LONGEST = 200
"""Characters of a text in a row."""

_PARTITION = re.compile(r"(?:^|/)(version|region|proxy|user_agent)=([^/]+)(?=/)")
_BOT = re.compile(r"/ws/chat/([^/?#]+)/?$")
_HEADERS = {
    "version": ("x-app-version", "x-version", "x-release", "x-build"),
    "region": ("x-region", "fly-region", "x-amz-cf-pop"),
    "proxy": ("via", "server"),
}
"""Headers of the answer to the upgrade that tell a cohort; the first that is there."""


class Row(Struct, frozen=True, kw_only=True):
    """One connection."""

    source: str
    """File or recording that it stands in."""
    connection: str
    """Id within the source."""
    target: str | None = None
    """URL without its query, redacted."""
    opened_at: datetime | None = None
    """UTC; ``None`` when it never opened."""
    ended_at: datetime | None = None
    """UTC; ``None`` while it is open."""
    lifetime_s: float | None = None
    """Seconds from open to end; of an open connection so far."""
    ended: bool = False
    """``False``: censored, it goes on as far as the source tells."""
    idle_before_end_s: float | None = None
    """Seconds without traffic before the end."""
    state: str = "unknown"
    """``refused``, ``open``, ``ended`` or ``unknown``."""
    http_status: int | None = None
    close_code: int | None = None
    """1006: it ended without a close frame."""
    closed_by: str | None = None
    """``client`` or ``server``."""
    transport_how: str | None = None
    """``fin``, ``rst``, ``timeout``, ``local`` or ``none``."""
    transport_by: str | None = None
    who: str | None = None
    """User or bot."""
    cause: str | None = None
    """Id of the taxonomy."""
    probability: float | None = None
    """Of the cause."""
    version: str | None = None
    region: str | None = None
    proxy: str | None = None
    user_agent: str | None = None


def of_trace(trace: Trace, source: str, diagnosis: Diagnosis | None, cohorts: Mapping[str, str] = {}) -> list[Row]:
    """A row for each connection of a trace.

    Args:
        trace: the recording or import.
        source: what the rows call it.
        diagnosis: of the whole trace; its causes go to the connections that they speak of.
        cohorts: values for columns of ``COHORTS`` that are known of the whole source; they win over headers.
    """
    from chatkit.diagnosis.lives import lives

    found = _causes(diagnosis)
    told = lives(trace)
    quiet = told.idle.get("any")
    visible = {"frames"}.isdisjoint(trace.not_visible)
    idle = dict(zip(told.id, quiet.tolist(), strict=True)) if quiet is not None and visible else {}
    headers = _headers(trace)
    return [
        _row(
            trace, one, source, found.get(one.id), diagnosis, idle.get(one.id), headers.get(one.id, {}) | dict(cohorts)
        )
        for one in trace.connections
    ]


def _row(
    trace: Trace,
    one: Connection,
    source: str,
    cause: tuple[str, float] | None,
    diagnosis: Diagnosis | None,
    idle: float | None,
    cohorts: Mapping[str, str],
) -> Row:
    ending, timed = one.ending, "timing" not in trace.not_visible
    target = _bare(one.url)
    bot = _BOT.search(target or "")
    id, probability = cause or (_otherwise(one, diagnosis), None)
    close = ending.close if ending is not None else None
    first = ending.first if ending is not None else None
    lived = one.state in ("open", "ended")
    return Row(
        source=source,
        connection=one.id,
        target=target,
        opened_at=_wall(trace, one.opened_at) if timed else None,
        ended_at=_wall(trace, ending.at) if ending is not None and timed else None,
        lifetime_s=_lifetime(one) if lived and timed else None,
        ended=one.state == "ended",
        idle_before_end_s=idle if one.state == "ended" else None,
        state=one.state,
        http_status=one.status,
        close_code=ending.close_code if ending is not None else None,
        closed_by=first if close is None or ending is None else "client" if close is ending.close_sent else "server",
        transport_how=_how(trace, one),
        transport_by=ending.transport.by if ending is not None and ending.transport is not None else None,
        who=unquote(bot.group(1))[:LONGEST] if bot else None,
        cause=id,
        probability=probability,
        **{name: DEFAULT.text(cohorts[name])[:LONGEST] for name in COHORTS if name in cohorts},
    )


def _lifetime(one: Connection) -> float | None:
    if one.ending is not None:
        return None if one.ending.age is None else max(one.ending.age, 0.0)
    return max(one.last_at - one.opened_at, 0.0) if one.opened_at is not None else None


def _how(trace: Trace, one: Connection) -> str | None:
    if one.ending is None:
        return None
    if one.ending.transport is not None:
        return one.ending.transport.how
    hidden = "transport-end" in trace.not_visible or one.ending.reported is not None
    return None if hidden or one.state != "ended" else "none"


def _otherwise(one: Connection, diagnosis: Diagnosis | None) -> str | None:
    """What is to be said of a connection that no cause speaks of."""
    if diagnosis is None or one.ending is None:
        return None
    return "none" if diagnosis.verdict != "inconclusive" and one.state == "ended" else "unknown"


def _causes(diagnosis: Diagnosis | None) -> dict[str, tuple[str, float]]:
    """By connection: the surest cause that speaks of it."""
    found: dict[str, tuple[str, float]] = {}
    for cause in diagnosis.causes if diagnosis is not None else ():
        for id in cause.connections:
            if id not in found or found[id][1] < cause.confidence:
                found[id] = (cause.id, cause.confidence)
    return found


def _headers(trace: Trace) -> dict[str, dict[str, str]]:
    """By connection: what the opening tells of its cohorts."""
    found: dict[str, dict[str, str]] = {}
    wanted = {"AttemptStarted", "UpgradeRequested", "UpgradeAnswered"}
    for event in trace.select(kinds=wanted):
        mine = found.setdefault(event.connection or "", {})
        if isinstance(event, AttemptStarted) and event.proxy:
            mine["proxy"] = event.proxy
        elif isinstance(event, UpgradeRequested):
            agent = _header(event.headers, ("user-agent",))
            mine |= {"user_agent": agent} if agent else {}
        elif isinstance(event, UpgradeAnswered):
            told = {name: _header(event.headers, names) for name, names in _HEADERS.items()}
            mine |= {name: value for name, value in told.items() if value and name not in mine}
    return found


def _header(headers: Iterable[Sequence[str]], names: Sequence[str]) -> str | None:
    known = {name.lower(): value for name, value in headers}
    return next((known[name] for name in names if known.get(name)), None)


def _bare(url: str | None) -> str | None:
    if not url:
        return None
    return DEFAULT.text(url.partition("?")[0].partition("#")[0])[:LONGEST]


def _wall(trace: Trace, at: float | None) -> datetime | None:
    from datetime import UTC, datetime, timedelta

    if at is None:
        return None
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=round((trace.epoch + at) * 1e6))
    except OverflowError:
        return None


def cohorts_of(name: str) -> dict[str, str]:
    """What the folders of a path tell of all connections in it: ``…/version=2.4.1/region=eu/day.parquet``."""
    path = urlsplit(name).path if "://" in name else name
    return {key: unquote(value)[:LONGEST] for key, value in _PARTITION.findall(path)}


def schema() -> Any:
    """``COLUMNS`` as a ``pyarrow.Schema``: times in microseconds UTC.

    Raises:
        MissingDependency: pyarrow is not installed.
    """
    pa, _ = _arrow()
    kinds = {
        "VARCHAR": pa.string(),
        "TIMESTAMPTZ": pa.timestamp("us", tz="UTC"),
        "DOUBLE": pa.float64(),
        "BOOLEAN": pa.bool_(),
        "INTEGER": pa.int32(),
    }
    return pa.schema([(name, kinds[kind]) for name, kind in COLUMNS.items()])


def table(rows: Iterable[Row]) -> Any:
    """Rows as a ``pyarrow.Table`` of :func:`schema`.

    Raises:
        MissingDependency: pyarrow is not installed.
    """
    pa, _ = _arrow()
    listed = list(rows)
    return pa.table({name: [getattr(one, name) for one in listed] for name in COLUMNS}, schema=schema())


def write(rows: Iterable[Row], path: str | Path) -> None:
    """Writes rows as a Parquet file, as a whole.

    Raises:
        InvalidInput: it cannot be written.
        MissingDependency: pyarrow is not installed.
    """
    _, pq = _arrow()
    target = Path(path)
    part = target.with_name(target.name + ".part")
    try:
        pq.write_table(table(rows), part, compression="zstd")
        part.replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InvalidInput(f"the file cannot be written: {error.strerror or error}", where=str(path)) from None


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingDependency("a table of connections", package="pyarrow", extra="fleet") from None
    return pa, pq
