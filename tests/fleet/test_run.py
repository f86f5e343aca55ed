"""Whole analyses on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import chatkit
from chatkit.diagnosis.survival import kaplan_meier
from chatkit.errors import ImportFailed, InvalidInput
from chatkit.fleet import analyse_fleet, rows
from chatkit.formats import jsonl, parquet
from tests.diagnosis.stories import stories
from tests.fleet.crowd import BAD, MOMENT, START, crowd


@pytest.fixture(scope="module")
def edge(tmp_path_factory) -> Path:
    """The crowd as a table of connections."""
    path = tmp_path_factory.mktemp("fleet") / "edge.parquet"
    rows.write(crowd(), path)
    return path


def test_a_bad_version_is_found(edge) -> None:
    """Which, how much, of what, since when; and the moment at which a server stopped."""
    fleet = analyse_fleet(edge)
    worst = fleet.worst
    assert worst is not None
    assert (worst.by, worst.value, worst.measure) == ("version", BAD, "drops")
    assert worst.ratio.low > 2
    assert fleet.headline.startswith(f"version {BAD} drops ")
    assert fleet.main_cause("version", BAD).id == "server-error"
    assert not any(one.differs for one in fleet.cohorts if one.by == "region")
    (event,) = fleet.together
    assert event.moment.at == pytest.approx(START.timestamp() + MOMENT, abs=1)
    assert event.codes["1001"] > 100
    assert event.moment.deaths <= event.alive
    change = fleet.changes[0]
    assert any((one.value, one.how) == (BAD, "appeared") for one in change.beside)
    assert change.factor > 1.3
    assert fleet.diagnosis.verdict == "fault"
    assert json.loads(json.dumps(fleet.to_dict(), allow_nan=False))["schema"] == "chatkit.fleet/1"


def test_survival_is_that_of_the_lives(edge) -> None:
    """Counting by thousandths moves no point of the curve by more than that."""
    fleet, told = analyse_fleet(edge), crowd()
    died = [one.ended and one.closed_by == "server" for one in told]
    exact = kaplan_meier([one.lifetime_s for one in told], died)
    assert (fleet.overall.n, fleet.overall.events) == (exact.n, exact.events)
    assert fleet.deaths == sum(died)
    for second in (10, 100, 1000, 5000):
        assert fleet.overall.at(second) == pytest.approx(exact.at(second), abs=2e-3)
    assert fleet.overall.median == pytest.approx(exact.median, rel=2e-3)


def test_every_kind_of_file_together(tmp_path, edge) -> None:
    """A recording, the same as a table of events, a table of connections, a log: each connection once."""
    trace = next(one for one in stories() if one.name == "the incident").trace()
    (tmp_path / "version=9").mkdir()
    jsonl.dump(trace, tmp_path / "version=9" / "a.jsonl")
    parquet.dump(trace, tmp_path / "b.parquet")
    fleet = analyse_fleet(tmp_path, edge, out=tmp_path / "out")
    mine = len(trace.connections)
    assert fleet.connections == len(crowd()) + 2 * mine
    assert (fleet.files, fleet.failed, fleet.events) == (3, (), 2 * len(trace))
    written = pq.read_table(tmp_path / "out" / "connections")
    assert written.column_names == list(rows.COLUMNS)
    assert written.num_rows == fleet.connections
    told = {(row["source"], row["connection"]): row for row in written.to_pylist()}
    assert len(told) == fleet.connections
    recorded = told[str(tmp_path / "version=9" / "a.jsonl"), trace.names[0]]
    assert (recorded["cause"], recorded["version"]) == ("early-ping-abort", "9")
    assert told[str(tmp_path / "b.parquet"), trace.names[0]]["close_code"] == 1006
    assert {row["cause"] for row in told.values() if row["version"] == BAD and row["ended"]} == {"server-error"}


def test_what_was_written_is_read_again(tmp_path, edge) -> None:
    """The rows of one analysis are the input of the next, with the same numbers."""
    first = analyse_fleet(edge, out=tmp_path / "out")
    again = analyse_fleet(tmp_path / "out" / "connections")
    assert (again.deaths, again.headline) == (first.deaths, first.headline)
    assert [one.to_dict() for one in again.cohorts] == [one.to_dict() for one in first.cohorts]
    with pytest.raises(InvalidInput, match="rows already"):
        analyse_fleet(edge, out=tmp_path / "out")


def test_one_corrupt_file_among_many(tmp_path) -> None:
    """It is named and counted, and nothing of it is in the numbers."""
    good = crowd(300)
    for n in range(60):
        rows.write(good[5 * n : 5 * n + 5], tmp_path / f"{n:03d}.parquet")
    whole = (tmp_path / "007.parquet").read_bytes()
    (tmp_path / "007.parquet").write_bytes(whole[:40] + b"\0" * 60 + whole[100:])
    (tmp_path / "031.parquet").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.jsonl").write_bytes(b"")
    pq.write_table(pa.table({"who": ["x"]}), tmp_path / "other.parquet")
    fleet = analyse_fleet(tmp_path)
    names = {Path(one.name).name: one.why for one in fleet.failed}
    assert set(names) == {"007.parquet", "031.parquet", "empty.jsonl", "other.parquet"}
    assert "damaged" in names["031.parquet"]
    assert "connections" in names["other.parquet"]
    assert "who" in names["other.parquet"]
    assert (fleet.files, fleet.connections) == (58, 290)


def test_nothing_can_be_read(tmp_path) -> None:
    """An error that names the file; no column and no file likewise."""
    (tmp_path / "x.parquet").write_bytes(b"PAR1 is not enough")
    with pytest.raises(ImportFailed, match=r"x\.parquet"):
        analyse_fleet(tmp_path / "x.parquet")
    with pytest.raises(InvalidInput, match="nothing to analyse"):
        analyse_fleet()
    with pytest.raises(InvalidInput, match="no such column"):
        analyse_fleet(tmp_path, by=["colour"])


def test_a_fleet_of_nobody(tmp_path) -> None:
    """A table without rows is read, and says so."""
    rows.write([], tmp_path / "none.parquet")
    fleet = analyse_fleet(tmp_path / "none.parquet")
    assert (fleet.connections, fleet.headline) == (0, "the files hold no connection")
    assert fleet.diagnosis.verdict == "inconclusive"
    json.dumps(fleet.to_dict(), allow_nan=False)


def test_a_url(edge) -> None:
    """A table in another file system is read where it is."""
    fsspec.filesystem("memory").pipe_file("/fleet-run/edge.parquet", edge.read_bytes())
    assert analyse_fleet("memory://fleet-run/edge.parquet").deaths == analyse_fleet(f"file://{edge}").deaths
    fsspec.filesystem("memory").rm("/fleet-run", recursive=True)


def test_values_that_no_table_should_hold(tmp_path) -> None:
    """Unknown words, infinite durations and long texts become nulls or are cut; the row counts."""
    table = rows.table(crowd(50)).to_pylist()
    for row in table:
        row |= {"state": "zombie", "closed_by": "martian", "lifetime_s": float("inf"), "version": "v" * 10_000}
    pq.write_table(pa.Table.from_pylist(table), tmp_path / "odd.parquet")
    fleet = analyse_fleet(tmp_path / "odd.parquet")
    assert (fleet.connections, fleet.lives) == (50, 0)


_FULL = """
import resource, signal, sys
from chatkit.fleet import analyse_fleet
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    analyse_fleet(sys.argv[1], out=sys.argv[2])
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_full_disk(tmp_path, edge) -> None:
    """Is said; nothing half written stays."""
    done = subprocess.run(
        [sys.executable, "-c", _FULL, str(edge), str(tmp_path / "out")], capture_output=True, text=True, timeout=60
    )
    assert "ChatkitError the disk is full" in done.stdout, done.stderr
    assert [path.name for path in (tmp_path / "out").rglob("*")] == ["connections"]


def test_it_stands_at_the_front_door() -> None:
    """As ``chatkit.analyse_fleet``."""
    assert chatkit.analyse_fleet is analyse_fleet
