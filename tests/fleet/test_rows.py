"""One row for each connection."""

from __future__ import annotations

import pytest

from chatkit.diagnosis import diagnose
from chatkit.errors import InvalidInput
from chatkit.fleet import rows
from tests.diagnosis.stories import stories


def story(name: str):
    """The trace of that name."""
    return next(one for one in stories() if one.name == name).trace()


def test_the_incident() -> None:
    """Every field that the recording tells, with the cause of its connections."""
    trace = story("the incident")
    found = rows.of_trace(trace, "incident.jsonl", diagnose(trace), {"region": "eu"})
    assert len(found) == len(trace.connections)
    first = found[0]
    assert (first.source, first.state, first.ended, first.close_code) == ("incident.jsonl", "ended", True, 1006)
    assert first.cause == "early-ping-abort"
    assert 0.5 < (first.probability or 0) < 1
    assert first.region == "eu"
    assert first.opened_at is not None
    assert first.ended_at is not None
    assert first.lifetime_s == pytest.approx((first.ended_at - first.opened_at).total_seconds(), abs=1e-5)
    assert "?" not in (first.target or "")


def test_a_chat_without_a_fault() -> None:
    """Is no cause at all."""
    trace = story("an hour of chat")
    assert {one.cause for one in rows.of_trace(trace, "s", diagnose(trace)) if one.ended} <= {"none"}


def test_the_table_has_the_columns_that_others_rely_on(tmp_path) -> None:
    """Names, order and types; times in microseconds UTC."""
    import pyarrow.parquet as pq

    rows.write(rows.of_trace(story("the incident"), "s", None), tmp_path / "rows.parquet")
    schema = pq.read_schema(tmp_path / "rows.parquet")
    assert schema.names == list(rows.COLUMNS) == list(rows.Row.__struct_fields__)
    assert str(schema.field("opened_at").type) == "timestamp[us, tz=UTC]"
    assert [str(schema.field(name).type) for name in ("lifetime_s", "ended", "close_code", "cause")] == [
        "double",
        "bool",
        "int32",
        "string",
    ]


def test_what_cannot_be_written(tmp_path) -> None:
    """Is said, and leaves nothing behind."""
    with pytest.raises(InvalidInput, match="cannot be written"):
        rows.write([], tmp_path / "no folder" / "rows.parquet")


@pytest.mark.parametrize(
    ("name", "cohorts"),
    [
        ("logs/version=2.4.1/region=eu/day.parquet", {"version": "2.4.1", "region": "eu"}),
        ("s3://bucket/version=a%2Fb/x.jsonl", {"version": "a/b"}),
        ("logs/region=eu", {}),
        ("logs/shard=3/x", {}),
    ],
)
def test_a_path_tells_cohorts(name, cohorts) -> None:
    """By its folders, never by the file's own name."""
    assert rows.cohorts_of(name) == cohorts
