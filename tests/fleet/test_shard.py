"""Files into rows, in DuckDB."""

from __future__ import annotations

import pytest

from chatkit.errors import ChatkitError
from chatkit.fleet import rows, shard
from chatkit.fleet.inputs import expand
from tests.fleet.crowd import crowd


def test_a_file_that_fails_leaves_nothing(tmp_path) -> None:
    """The others of its share are there."""
    for n in range(3):
        rows.write(crowd(10, source=str(n)), tmp_path / f"{n}.parquet")
    whole = (tmp_path / "1.parquet").read_bytes()
    (tmp_path / "1.parquet").write_bytes(whole[:30] + b"\xff" * 200 + whole[230:])
    inputs, _ = expand([str(tmp_path)])
    base = shard.connect()
    made = shard.make(base, "t", inputs, shard.Reading())
    assert (made.read, made.rows, len(made.failed)) == (2, 20, 1)
    assert sorted(base.sql("SELECT DISTINCT source FROM t").fetchall()) == [("0",), ("2",)]
    assert made.cohorts == ("version", "region")
    base.close()


def test_a_name_is_no_pattern(tmp_path) -> None:
    """Whatever a file is called, it alone is read."""
    for name in ("a*.parquet", "ab.parquet", "it's [x].parquet"):
        rows.write(crowd(10, source=name), tmp_path / name)
    for name in ("a*.parquet", "it's [x].parquet"):
        inputs, failed = expand([str(tmp_path / name)])
        base = shard.connect()
        assert (len(inputs), failed) == (1, [])
        assert shard.make(base, "t", inputs, shard.Reading()).rows == 10
        base.close()


def test_a_full_disk_is_no_fault_of_a_file() -> None:
    """It ends the analysis."""
    with pytest.raises(ChatkitError, match="the disk is full"):
        shard._why(OSError(28, "No space left on device"))
    assert shard._why(ValueError("thrift")) == "the table is damaged: thrift"


def test_who_dies_against_their_will(tmp_path) -> None:
    """The server's closing, an abort, the client's giving up; not a goodbye, not what goes on."""
    cases = {
        "server says goodbye": ({"close_code": 1000, "closed_by": "server"}, 1),
        "client says goodbye": ({"close_code": 1000, "closed_by": "client"}, 0),
        "client gives up": ({"close_code": 1011, "closed_by": "client"}, 1),
        "client cuts": ({"close_code": 1006, "closed_by": "client", "transport_how": "local"}, 0),
        "nobody says a word": ({"close_code": 1006, "transport_how": "timeout"}, 1),
        "a clean end of nobody": ({"close_code": 1001}, 0),
        "goes on": ({"state": "open", "ended": False}, 0),
        "refused": ({"state": "refused", "ended": False, "http_status": 503}, 2),
    }
    told = [
        rows.Row(**{"source": "s", "connection": name, "state": "ended", "ended": True, "lifetime_s": 5.0} | given)
        for name, (given, _) in cases.items()
    ]
    rows.write(told, tmp_path / "t.parquet")
    base = shard.connect()
    shard.make(base, "t", expand([str(tmp_path / "t.parquet")])[0], shard.Reading())
    found = dict(base.sql("SELECT connection, class FROM t").fetchall())
    base.close()
    assert found == {name: kind for name, (_, kind) in cases.items()}
