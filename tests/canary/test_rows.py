"""Rows: the columns that others read, and the file."""

from __future__ import annotations

import pytest

from builders import incident_trace
from chatkit.canary.rows import Row, read, row_of, to_arrow, without_query, write
from chatkit.fleet import rows as fleet

from .facts import row

COLUMNS = {
    "source": "string",
    "connection": "string",
    "target": "string",
    "opened_at": "timestamp[us, tz=UTC]",
    "ended_at": "timestamp[us, tz=UTC]",
    "lifetime_s": "double",
    "ended": "bool",
    "idle_before_end_s": "double",
    "state": "string",
    "http_status": "int32",
    "close_code": "int32",
    "closed_by": "string",
    "transport_how": "string",
    "transport_by": "string",
    "who": "string",
    "cause": "string",
    "probability": "double",
    "version": "string",
    "region": "string",
    "proxy": "string",
    "user_agent": "string",
}


def test_the_columns() -> None:
    """Names, order and types, also of a table without rows."""
    assert {field.name: str(field.type) for field in to_arrow([]).schema} == COLUMNS
    assert {field.name: str(field.type) for field in to_arrow([row(1, 5.0)]).schema} == COLUMNS


def test_there_and_back(tmp_path) -> None:
    """Through a file, to the microsecond; nulls stay nulls."""
    rows = [
        row(1, 1_795_449_725.123456, 1_795_449_730.5, state="ended", ended=True, close_code=1006, probability=0.5),
        row(2, None, 1_795_449_726.0, state="refused", http_status=503),
    ]
    write(rows, tmp_path / "r.parquet")
    assert read(tmp_path / "r.parquet") == rows
    assert [path.name for path in tmp_path.iterdir()] == ["r.parquet"]


def test_a_damaged_file(tmp_path) -> None:
    """Is an error that the reader can catch."""
    (tmp_path / "r.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises((OSError, ValueError)):
        read(tmp_path / "r.parquet")


def test_a_connection_as_a_row() -> None:
    """All that its trace shows; the source says the rest."""
    trace = incident_trace()
    dead = row_of(trace, trace.connections[0], source="f", who="echo", connection="t/1-1")
    assert (dead.connection, dead.who, dead.state, dead.ended) == ("t/1-1", "echo", "ended", True)
    assert (dead.close_code, dead.transport_how, dead.transport_by, dead.closed_by) == (1006, "rst", "server", "server")
    assert dead.ended_at - dead.opened_at == pytest.approx(dead.lifetime_s, abs=1e-5)
    assert dead.idle_before_end_s <= dead.lifetime_s
    alive = row_of(trace, trace.connections[-1], source="f")
    assert (alive.state, alive.ended, alive.ended_at, alive.idle_before_end_s) == ("open", False, None, None)
    assert isinstance(alive, Row)


def test_a_target_has_no_query() -> None:
    """Where tokens stand."""
    assert without_query("wss://h:1/p/ws?token=[jwt]#x") == "wss://h:1/p/ws"


def test_the_fleet_reads_the_same_columns() -> None:
    """Name by name, in order."""
    assert Row.__struct_fields__ == tuple(fleet.COLUMNS)
