"""Endings by SQL are those that the trace itself tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from chatkit.fleet import rows, shard
from chatkit.fleet.inputs import expand
from chatkit.formats import parquet
from chatkit.trace import Trace
from tests.diagnosis.stories import stories

SAME = ("connection", "ended", "state", "http_status", "close_code", "closed_by", "transport_how", "transport_by")


def made(path: Path) -> dict[str, dict[str, Any]]:
    """The rows of a table of events, by connection."""
    base = shard.connect()
    inputs, failed = expand([str(path)])
    assert failed == []
    told = shard.make(base, "found", inputs, shard.Reading())
    assert told.failed == ()
    found = base.sql("FROM found").to_arrow_table().to_pylist()
    base.close()
    return {one["connection"]: one for one in found}


def check(trace: Trace, path: Path) -> None:
    """Row by row."""
    found = made(path)
    told = rows.of_trace(trace, "s", None)
    assert found.keys() == {one.connection for one in told}
    for one in told:
        mine = found[one.connection]
        assert {name: mine[name] for name in SAME} == {name: getattr(one, name) for name in SAME}, one.connection
        if one.lifetime_s is not None and one.opened_at is not None:
            assert mine["lifetime_s"] == pytest.approx(one.lifetime_s, abs=2e-6)
        if one.ended and one.idle_before_end_s is not None and one.opened_at is not None:
            assert mine["idle_before_end_s"] == pytest.approx(one.idle_before_end_s, abs=2e-6)


@pytest.mark.parametrize("story", stories(), ids=lambda one: one.name)
def test_a_table_of_events_tells_what_the_trace_tells(story, tmp_path) -> None:
    """Of every story of the diagnosis: state, codes, who, how, how long, how quiet; by columns and by text alone."""
    trace = story.trace()
    if trace.not_visible or trace.header.vantages or not len(trace):
        return
    parquet.dump(trace, tmp_path / "whole.parquet")
    check(trace, tmp_path / "whole.parquet")
    pq.write_table(trace.to_arrow(), tmp_path / "plain.parquet")
    check(trace, tmp_path / "plain.parquet")
