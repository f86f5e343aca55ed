"""Events as a Parquet table."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from chatkit.errors import ImportFailed
from chatkit.formats import jsonl, load, parquet
from tests.diagnosis.stories import stories


@pytest.mark.parametrize("story", stories()[:12], ids=lambda one: one.name)
def test_there_and_back(story, tmp_path) -> None:
    """Every event, the header, the connections."""
    jsonl.dump(story.trace(), tmp_path / "t.jsonl")
    trace = jsonl.load(tmp_path / "t.jsonl")
    parquet.dump(trace, tmp_path / "t.parquet")
    again = load(tmp_path / "t.parquet")
    assert list(again) == list(trace)
    assert again.header == trace.header
    assert again.connections == trace.connections


def test_columns_for_any_engine(tmp_path) -> None:
    """Those of ``to_arrow``, then what tells an ending."""
    trace = next(one for one in stories() if one.name == "the incident").trace()
    parquet.dump(trace, tmp_path / "t.parquet")
    table = pq.read_table(tmp_path / "t.parquet")
    assert table.column_names == [*trace.to_arrow().column_names, "code", "by", "how", "event"]
    ends = [row for row in table.to_pylist() if row["type"] == "TransportEnded"]
    assert {(row["by"], row["how"]) for row in ends} == {("server", "rst")}
    assert (tmp_path / "t.parquet").stat().st_mode & 0o077 == 0


def test_what_is_no_recording(tmp_path) -> None:
    """A table of something else, a cut one, and a row that is no event; each with what to do."""
    trace = next(one for one in stories() if one.name == "the incident").trace()
    pq.write_table(trace.to_arrow(), tmp_path / "plain.parquet")
    with pytest.raises(ImportFailed, match="does not hold whole events"):
        load(tmp_path / "plain.parquet")
    parquet.dump(trace, tmp_path / "t.parquet")
    whole = (tmp_path / "t.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[:-20])
    with pytest.raises(ImportFailed, match="damaged"):
        load(tmp_path / "cut.parquet")
    table = parquet.table(trace)
    column = ["{}", *table.column("event").to_pylist()[1:]]
    changed = table.set_column(table.column_names.index("event"), "event", [column])
    pq.write_table(changed, tmp_path / "odd.parquet")
    with pytest.raises(ImportFailed, match="is no event"):
        load(tmp_path / "odd.parquet")
