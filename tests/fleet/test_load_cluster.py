"""The same load from the workers of a real Dask cluster, processes on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from chatkit.errors import InvalidInput
from chatkit.fleet.load_cluster import hold_on_cluster, split
from chatkit.fleet.load_result import Load
from chatkit.lab import LabServer

from .test_load import plan

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a scheduler with two workers, each a process."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
    ) as made:
        yield made.scheduler_address


@pytest.mark.filterwarnings("ignore")
async def test_two_workers_take_a_share_each(cluster: str) -> None:
    """Connections and rate are divided; the backend's limit is that of both together."""
    async with LabServer(faults=["connection-limit:limit=20,status=503"]) as lab:
        shares: list = []
        await hold_on_cluster(plan(lab, 60, 3.0, rate=40.0), cluster, shares)
    assert [share.asked for share in shares] == [30, 30]
    assert sum(share.peak for share in shares) == 20
    limits = Load(target="", rate=1, shares=shares, interrupted=False, elapsed=1).limits
    assert [limit.whose for limit in limits] == ["backend"]


@pytest.mark.filterwarnings("ignore")
async def test_cancelled_the_workers_tell_what_they_know(cluster: str) -> None:
    """They stop, say goodbye, and hand over."""
    async with LabServer() as lab:
        shares: list = []
        work = hold_on_cluster(plan(lab, 10, 600.0), cluster, shares)
        task = asyncio.get_running_loop().create_task(work)
        while len(lab.stats.peers) < 10:
            await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert sum(len(share.lives) for share in shares) == 10


async def test_nobody_is_there() -> None:
    """The address is named, and what one looks like."""
    async with LabServer() as lab:
        with pytest.raises(InvalidInput, match="--scheduler nonsense"):
            await hold_on_cluster(plan(lab, 1, 1.0), "nonsense", [])


async def test_shares_are_whole() -> None:
    """Nothing is lost in the division; each has a file of its own."""
    async with LabServer() as lab:
        parts = split(plan(lab, 7, 1.0, out="d/load.jsonl"), 3)
    assert [part.connections for part in parts] == [3, 2, 2]
    assert sum(part.rate for part in parts) == pytest.approx(200.0)
    assert [part.out for part in parts] == ["d/load-0.jsonl", "d/load-1.jsonl", "d/load-2.jsonl"]
    assert len(split(parts[1], 5)) == 2
