"""A cluster of worker processes over TCP, and a worker that dies."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from distributed import LocalCluster

from chatkit.errors import ConnectFailed
from chatkit.fleet import analyse_fleet, rows, working
from chatkit.fleet.inputs import expand, shares
from chatkit.fleet.shard import Reading
from chatkit.formats import jsonl
from tests.diagnosis.stories import stories
from tests.fleet.crowd import crowd

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]  # of distributed, on its way down


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """Two workers with a process each."""
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as made:
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Any:
    """Twenty tables and a recording."""
    path = tmp_path_factory.mktemp("cluster")
    lives = crowd(2000)
    for n in range(20):
        rows.write(lives[100 * n : 100 * n + 100], path / f"{n:02d}.parquet")
    jsonl.dump(next(one for one in stories() if one.name == "the incident").trace(), path / "incident.jsonl")
    return path


def numbers(fleet) -> tuple[Any, ...]:
    """What must not depend on who did the work."""
    told = fleet.to_dict()
    told["causes"] = sorted((one["id"], one["n"]) for one in told["causes"])
    return tuple(
        told[key] for key in ("connections", "deaths", "refused", "events", "cohorts", "survival", "causes", "timers")
    )


def test_a_cluster_counts_what_this_machine_counts(cluster, folder, tmp_path) -> None:
    """Every number, and the rows."""
    import pyarrow.parquet as pq

    here = analyse_fleet(folder)
    there = analyse_fleet(folder, scheduler=cluster.scheduler_address, out=tmp_path / "out")
    assert numbers(there) == numbers(here)
    assert pq.read_table(tmp_path / "out" / "connections").num_rows == here.connections


def test_a_file_that_cannot_be_read_there(cluster, folder, tmp_path) -> None:
    """Is named, the others count."""
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and no more")
    fleet = analyse_fleet(folder, tmp_path / "bad.parquet", scheduler=cluster.scheduler_address)
    assert [one.name for one in fleet.failed] == [str(tmp_path / "bad.parquet")]
    assert fleet.files == 21


def test_a_worker_that_dies_takes_nothing_along(cluster, folder) -> None:
    """Its rows are made again by another, and nothing counts twice."""
    crew = working.Cluster(cluster.scheduler_address)
    inputs, _ = expand([str(folder)])
    made = list(crew.make(shares(inputs, crew.workers), Reading()))
    before = {info["pid"] for info in crew._client.run(lambda dask_worker: {"pid": os.getpid()}).values()}
    os.kill(next(iter(before)), signal.SIGKILL)
    found = list(crew.tallies([handle for handle, _ in made], ("version",)))
    here = analyse_fleet(folder)
    assert sum(one.rows for one in found) == here.connections
    assert sum(int(one.ended[2].sum()) for one in found) == here.deaths
    deadline = time.monotonic() + 30
    while len(now := {i["pid"] for i in crew._client.run(lambda dask_worker: {"pid": os.getpid()}).values()}) < 2:
        assert time.monotonic() < deadline
    assert now != before
    crew.close()


def test_no_scheduler(monkeypatch, folder) -> None:
    """Is said, with the address."""
    monkeypatch.setattr(working, "PATIENCE", 0.5)
    with pytest.raises(ConnectFailed, match="no scheduler answers"):
        analyse_fleet(folder, scheduler="tcp://127.0.0.1:9")
