"""The soak's parts, and a short soak: chaos costs no message, no order, no task and no memory."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from itertools import pairwise

import pytest

from tests.soak.__main__ import describe
from tests.soak.harness import soak
from tests.soak.hop import Hop
from tests.soak.schedule import KINDS, plan, tail
from tests.soak.verdict import Tally, peak, slope, tally


@pytest.mark.parametrize("seed", range(20))
def test_a_plan_is_its_seed(seed: int) -> None:
    """The same seed gives the same chaos, another one another."""
    assert plan(60, seed) == plan(60, seed)
    assert plan(60, seed) != plan(60, seed + 1)


@pytest.mark.parametrize("seconds", [60.0, 600.0])
def test_a_plan_holds_every_kind_and_leaves_a_tail(seconds: float) -> None:
    """Something goes wrong every second, deeds do not overlap, and the end is quiet."""
    for seed in range(20):
        deeds = plan(seconds, seed)
        assert {deed.what for deed in deeds} == set(KINDS)
        for deed, after in pairwise(deeds):
            assert 0 < after.at - (deed.at + deed.seconds) <= 1.01
        assert max(deed.at + deed.seconds for deed in deeds) <= seconds - tail(seconds) + 0.01


def test_a_tally_counts_what_is_wrong() -> None:
    """Lost, twice, too late; one that its sender could not write down is none of them."""
    assert tally([1, 2, 3], [1, 2, 3]) == Tally(3, 0, 0, 0)
    assert tally([1, 2, 3], [1, 3]) == Tally(3, 1, 0, 0)
    assert tally([1, 2, 3], [1, 2, 2, 3]) == Tally(3, 0, 1, 0)
    assert tally([1, 2, 3], [1, 3, 2]) == Tally(3, 0, 0, 1)
    assert tally([1, 2], [1, 2, 3]) == Tally(2, 0, 0, 0)


def test_a_peak_is_the_fullest_second() -> None:
    """A window that ends is open."""
    assert peak([]) == 0
    assert peak([0.0, 0.5, 0.9, 1.0, 5.0]) == 3


def test_a_slope_tells_growth_from_noise() -> None:
    """The longest life counts, its first third does not."""
    flat = [(float(n), 100.0 + n % 3) for n in range(200)]
    grows = [(float(n), 100.0 + n / 10) for n in range(240)]
    assert slope({1: flat}).flat
    assert not slope({1: flat, 2: grows}).flat
    assert slope({2: grows}).per_minute == pytest.approx(6.0)
    assert not slope({1: flat[:20]}).judged


@pytest.mark.slow
async def test_a_hop_forwards_ends_and_refuses() -> None:
    """Bytes go both ways; a reset ends connections; a port that refuses comes back as the same one."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(100):
                writer.write(data)
                await writer.drain()
        writer.close()

    async with asyncio.timeout(20), await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        async with Hop(server.sockets[0].getsockname()[1]) as hop:
            reader, writer = await asyncio.open_connection("127.0.0.1", hop.port)
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            hop.reset()
            with pytest.raises(ConnectionResetError):
                await reader.readexactly(1)
            writer.close()
            async with asyncio.TaskGroup() as group:
                refusing = group.create_task(hop.refuse(0.3))
                await asyncio.sleep(0.1)
                with pytest.raises(ConnectionRefusedError):
                    await asyncio.open_connection("127.0.0.1", hop.port)
                await refusing
            reader, writer = await asyncio.open_connection("127.0.0.1", hop.port)
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            hop.fin()
            assert await reader.read() == b""
            writer.close()


@pytest.mark.slow
async def test_a_soak_loses_nothing() -> None:
    """20 bots under chaos: every message arrives once and in order, and nothing is left behind."""
    result = await soak(60.0 if os.environ.get("CI") else 15.0, seed=1, bots=20)
    story = "\n".join(describe(result, 20))
    found = result.tally
    assert found.offered > 100, story
    assert (found.lost, found.duplicated, found.disordered) == (0, 0, 0), story
    assert (result.bad, result.unsent, result.orphans) == ([], 0, []), story
    assert result.memory.flat, story
