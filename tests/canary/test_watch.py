"""The whole canary against real labs, over loopback."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from chatkit.canary import journal, keeper
from chatkit.canary.targets import Plan, of
from chatkit.canary.watch import Watch
from chatkit.canary.watched import watching
from chatkit.formats import load
from conftest import TICK, until

QUICK = """
[client]
stabilise = 0.1
ping_interval = 0.1
ping_jitter = 0.0
pong_timeout = 0.5
retry_base = 0.05
retry_floor = 0.02
health_interval = 0.2
"""


@pytest.fixture
def plan(tmp_path):
    """``plan(lab, …)``: two connections to a lab, with quick pings and retries."""
    (tmp_path / "quick.toml").write_text(QUICK)

    def make(lab, *, watch: dict | None = None, **target: object) -> Plan:
        told = {"url": lab.url, "bot": "echo", "profile": "quick.toml", **target}
        return of({"watch": {"aftermath": 0.3, **(watch or {})}, "targets": {"t": told}})

    return make


def watch(plan: Plan, lab, folder: Path, **options: object) -> Watch:
    return Watch(plan, folder / "c", beside=folder, tokens={"t": lab.token}, **options)


async def test_connections_are_kept_and_counted(lab, plan, tmp_path) -> None:
    """As many as were asked for; pings, health, and at the end our own goodbye."""
    house = await lab()
    async with watch(plan(house, connections=3, region="eu"), house, tmp_path) as canary:
        target = canary.keeper.state.targets["t"]
        await until(lambda: len(target.open) == 3 and sum(target.round_trips) > 3 and target.health_checks > 1)
        await until(lambda: len(watching(tmp_path / "c").targets["t"].open) == 3)
        began = time.monotonic()
    assert time.monotonic() - began < 60  # it ends; how soon is the command's test
    seen = watching(tmp_path / "c")
    assert (seen.targets["t"].open, seen.targets["t"].left, seen.targets["t"].died) == ({}, 3, 0)
    assert [(row.state, row.ended, row.region, row.who) for row in seen.rows] == [("ended", False, "eu", "echo")] * 3
    assert len({row.connection for row in seen.rows}) == 3
    assert list((tmp_path / "c" / "deaths").iterdir()) == []
    assert "eyJ" not in "".join(path.read_text("latin-1") for path in (tmp_path / "c").rglob("*") if path.is_file())


async def test_a_death_is_frozen_and_diagnosed(lab, plan, tmp_path) -> None:
    """Its recording is one that chatkit reads, with what came before and after; its row has the cause; a span each."""
    exporter = InMemorySpanExporter()
    house = await lab("early-ping-abort:window=3")
    told = plan(house, watch={"aftermath": 2.0})
    async with watch(told, house, tmp_path, exporter=exporter) as canary:
        target = canary.keeper.state.targets["t"]
        await until(lambda: target.causes, patience=20)
    seen = watching(tmp_path / "c")
    death = next(one for one in seen.deaths if one.death.cause is not None)
    trace = load(death.path)
    assert trace.warnings == ()
    assert death.death.words.startswith("RST by server")
    assert death.diagnosis.verdict == "fault"
    assert death.death.cause in {cause.id for cause in death.diagnosis.causes}
    assert len(trace.connections) > 2  # what came after the death as well
    row = next(row for row in seen.rows if row.connection == death.death.connection)
    assert (row.ended, row.transport_how, row.cause) == (True, "rst", death.death.cause)
    assert row.idle_before_end_s == pytest.approx(0.2, abs=0.3)
    assert (tmp_path / "c" / row.source) == death.path
    spans = [span for span in exporter.get_finished_spans() if span.attributes["chatkit.died"]]
    assert death.death.connection in {span.attributes["chatkit.connection"] for span in spans}


async def test_a_fault_that_begins_midway(lab, plan, tmp_path) -> None:
    """A change point, since about then, told at once."""
    house = await lab()
    heard = []
    async with watch(plan(house, connections=8), house, tmp_path) as canary:

        async def listen() -> None:
            async for one in canary.happenings():
                heard.append(one)  # noqa: PERF401, it never ends

        listening = asyncio.get_running_loop().create_task(listen())
        target = canary.keeper.state.targets["t"]
        await until(lambda: target.lived > 60, patience=60)
        began = canary.keeper.now()
        house.set_faults(["max-lifetime:age=0.3,how=rst"])
        house.cut("rst")
        await until(lambda: target.changes, patience=120)
        listening.cancel()
    (change, *_) = target.changes
    assert (change.what, change.direction) == ("survival", "worse")
    assert began - 1 <= change.at <= change.seen_at
    assert change.after.low > change.before.high
    assert {"death", "change"} <= {one.kind for one in heard}
    curves = watching(tmp_path / "c").curves(by="change")
    assert set(curves) <= {"t, before", "t, after"}


async def test_a_target_that_is_down(plan, tmp_path) -> None:
    """Attempts are rows too; nobody died."""

    class Nowhere:
        url, token = "http://127.0.0.1:9", "x.y.z"

    async with watch(plan(Nowhere(), connections=1), Nowhere(), tmp_path) as canary:
        target = canary.keeper.state.targets["t"]
        await until(lambda: target.refused > 1 and target.health_failures)
        assert target.healthy is False
    rows = watching(tmp_path / "c").rows
    assert {(row.state, row.ended, row.opened_at) for row in rows} == {("refused", False, None)}


async def test_the_next_run_goes_on(lab, plan, tmp_path) -> None:
    """Counters and rows add up; keys are never used twice."""
    house = await lab()
    for run in (1, 2):
        async with watch(plan(house), house, tmp_path) as canary:
            target = canary.keeper.state.targets["t"]
            await until(lambda t=target: len(t.open) == 2)
            assert canary.keeper.state.run == run
    seen = watching(tmp_path / "c")
    assert (seen.targets["t"].opened, len(seen.rows)) == (4, 4)
    assert sorted(row.connection for row in seen.rows) == ["t/1-1", "t/1-2", "t/2-1", "t/2-2"]


async def test_the_folder_stays_within_its_bound(lab, plan, tmp_path) -> None:
    """However many die: the oldest recordings go, and it is said."""
    house = await lab("max-lifetime:age=0.1,how=rst")
    told = plan(house, connections=4, watch={"disk_mb": 1, "aftermath": 0, "ring": 1000})
    async with watch(told, house, tmp_path) as canary:
        canary.keeper.folder.limit = 60_000
        state = canary.keeper.state
        await until(lambda: state.counts.get("deaths-deleted", 0) > 3, patience=40)
        evidence = [path for path in (tmp_path / "c" / "deaths").iterdir() if path.suffix == ".jsonl"]
        assert sum(path.stat().st_size for path in evidence) <= 60_000
    assert any("recordings of deaths were deleted" in problem for problem in watching(tmp_path / "c").problems)


async def test_a_full_disk(lab, plan, tmp_path, monkeypatch) -> None:
    """All goes on in memory, is said, and is written as a whole once there is room again."""
    monkeypatch.setattr(keeper, "AGAIN", 4 * TICK)
    house = await lab()
    write, full = os.write, [False]

    def limited(file: int, data: bytes) -> int:
        if full[0] and data[:2] in (b'{"', b""):
            raise OSError(28, "No space left on device")
        return write(file, data)

    monkeypatch.setattr(journal.os, "write", limited)
    async with watch(plan(house), house, tmp_path) as canary:
        target = canary.keeper.state.targets["t"]
        await until(lambda: len(target.open) == 2)
        full[0] = True
        await until(lambda: canary.keeper.trouble is not None)
        assert "No space left" in canary.keeper.trouble
        house.cut("rst")
        await until(lambda: target.died == 2)
        assert watching(tmp_path / "c").targets["t"].died == 0
        full[0] = False
        await until(lambda: canary.keeper.trouble is None)
        await until(lambda: watching(tmp_path / "c").targets["t"].died == 2)
    assert any("could not be written" in problem for problem in watching(tmp_path / "c").problems)


async def test_a_token_that_comes_later(lab, plan, tmp_path, monkeypatch) -> None:
    """A file that is not there yet is asked for again; what it holds is in no file of ours."""
    monkeypatch.setattr("chatkit.canary.watch.ASK_AGAIN", 2 * TICK)
    house = await lab()
    told = plan(house, token_file="token")
    async with Watch(told, tmp_path / "c", beside=tmp_path) as canary:
        target = canary.keeper.state.targets["t"]
        await asyncio.sleep(4 * TICK)
        assert not target.open
        (tmp_path / "token").write_text(house.token + "\n")
        await until(lambda: len(target.open) == 2)
