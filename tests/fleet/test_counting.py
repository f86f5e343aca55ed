"""Tables of rows into counts."""

from __future__ import annotations

import io

import pyarrow.parquet as pq
import pytest

from chatkit.fleet import counting, rows, shard
from chatkit.fleet.peaks import Peak
from chatkit.fleet.tally import DIED
from chatkit.fleet.together import moments
from tests.fleet.crowd import BAD, crowd


@pytest.fixture
def base():
    """The crowd as a table."""
    made = shard.connect(threads=1)
    shard._create(made, "t")
    shard._insert(made, "t", 0, rows.table(crowd(1500)))
    yield made
    made.close()


def test_looks_count_each_end_once(base) -> None:
    """By value and in all; a timer and a moment change the cause of those that fit."""
    plain = counting.looks(base, "t", "", [], [])
    ended = sum(one.ended for one in crowd(1500))
    assert sum(n for _, _, n, _, _ in plain) == ended
    by = counting.looks(base, "t", "version", [], [])
    assert sum(n for _, _, n, _, _ in by) == ended
    assert {cause for value, cause, *_ in by if value == BAD} == {"server-error"}
    timed = {cause: n for _, cause, n, _, _ in counting.looks(base, "t", "", [], [Peak("idle", 5.0, 0.0, 1e9, 9, 1.0)])}
    assert timed.get("idle-timeout", 0) > {cause: n for _, cause, n, _, _ in plain}.get("idle-timeout", 0)


def test_victims(base) -> None:
    """Deaths of the moment, and who was alive just before."""
    tally = counting.tally(base, "t", ())
    (moment,) = moments(tally.ended[0][tally.ended[2] > 0], tally.ended[2][tally.ended[2] > 0])
    found = counting.victims(base, "t", ("region",), [moment])
    by_code = {value: (died, alive) for _, name, value, died, alive in found if name == "close_code"}
    assert sum(died for died, _ in by_code.values()) == moment.deaths
    assert sum(died for _, name, _, died, _ in found if name == "region") == moment.deaths
    assert all(alive >= died for died, alive in by_code.values())


def test_export(base) -> None:
    """The same connections, with a cause for all that ended, in the columns of the contract."""
    table = pq.read_table(io.BytesIO(counting.export(base, "t", ["file"], [], [])))
    assert table.schema.names == list(rows.COLUMNS)
    told = table.to_pylist()
    assert len(told) == 1500
    assert all((row["cause"] is not None) == row["ended"] for row in told)
    assert {row["source"] for row in told} == {"edge"}
    given = {one.connection: one for one in crowd(1500)}
    assert all(row["opened_at"] == given[row["connection"]].opened_at for row in told)
    ((died,),) = base.sql(f"SELECT count(*) FROM t WHERE class = {DIED}").fetchall()
    assert 0 < died < 1500
