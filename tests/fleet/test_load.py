"""A crowd against a real lab: held, counted, said goodbye to; whose limit it was is found for real."""

from __future__ import annotations

import asyncio
import time

import pytest

from chatkit.errors import InvalidInput
from chatkit.fleet.load import Plan, begin, check, hold
from chatkit.fleet.load_result import Load
from chatkit.formats import load as read
from chatkit.lab import LabServer
from chatkit.profile import DEFAULT


def plan(lab: LabServer, connections: int, seconds: float, **changes: object) -> Plan:
    url = f"{lab.url.replace('http', 'ws')}/api/ws/chat/echo?token={lab.token}"
    options = {"headers": [], "rate": 200.0, "profile": DEFAULT, "secrets": [lab.token], "out": None} | changes
    return Plan(url=url, connections=connections, seconds=seconds, **options)


async def test_all_are_held_and_let_go(tmp_path) -> None:
    """Every connection lives until the end, is recorded, and none is left at the backend."""
    path = tmp_path / "load.jsonl"
    async with LabServer() as lab:
        one = plan(lab, 20, 1.0, out=str(path))
        share = begin(one)
        await hold(one, share)
        assert (share.peak, len(share.lives)) == (20, 20)
        assert all(life.opened and not life.died for life in share.lives)
    trace = read(path)
    assert len(trace.connections) == 20
    assert {connection.state for connection in trace.connections} == {"ended"}
    assert b"eyJ" not in path.read_bytes()


async def test_the_limit_of_the_backend() -> None:
    """It turns away who comes when it is full; after a few in a row nobody tries on."""
    async with LabServer(faults=["connection-limit:limit=12,status=503"]) as lab:
        one = plan(lab, 60, 1.5)
        share = begin(one)
        await hold(one, share)
    assert share.peak == 12
    assert share.stopped
    assert len(share.lives) < 60
    (limit,) = Load(target="", rate=1, shares=[share], interrupted=False, elapsed=1).limits
    assert (limit.whose, limit.connections) == ("backend", 12)
    assert "HTTP 503" in limit.because


async def test_deaths_are_deaths() -> None:
    """A server that cuts connections is seen, by how and by whom."""
    async with LabServer(faults=["max-lifetime:age=0.3,how=rst"]) as lab:
        one = plan(lab, 5, 1.5)
        share = begin(one)
        await hold(one, share)
    assert [life.died for life in share.lives] == [True] * 5
    assert {life.ending for life in share.lives} == {"rst by server"}


async def test_cancelled_it_says_goodbye_and_keeps_what_it_knows() -> None:
    """Lives until then are censored, not dead."""
    async with LabServer() as lab:
        one = plan(lab, 10, 600.0)
        share = begin(one)
        task = asyncio.get_running_loop().create_task(hold(one, share))
        while share.peak < 10:
            await asyncio.sleep(0.02)
        task.cancel()
        began = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - began < 5.0, "it hangs"
        assert [(life.opened, life.died) for life in share.lives] == [(True, False)] * 10
        while lab.stats.peers:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("url", "connections", "own", "allowed"),
    [
        ("http://127.0.0.1:8000", 5000, False, True),
        ("http://localhost", 51, False, True),
        ("https://chat.example", 50, False, True),
        ("https://chat.example", 51, False, False),
        ("https://127.0.0.1.example.com", 51, False, False),
        ("https://chat.example", 5000, True, True),
    ],
)
def test_load_is_for_systems_of_ones_own(url: str, connections: int, own: bool, allowed: bool) -> None:
    """Fifty are polite anywhere; more want a loopback address or the user's word."""
    if allowed:
        check(url, connections, 1.0, 20.0, own=own)
        return
    with pytest.raises(InvalidInput, match="--i-own-this"):
        check(url, connections, 1.0, 20.0, own=own)


@pytest.mark.parametrize(
    ("connections", "seconds", "rate"),
    [
        (0, 1.0, 20.0),
        (-1, 1.0, 20.0),
        (1, 0.0, 20.0),
        (1, float("nan"), 20.0),
        (1, float("inf"), 20.0),
        (1, 1.0, 0.0),
        (1, 1.0, 5000.0),
    ],
)
def test_no_load_at_all(connections: int, seconds: float, rate: float) -> None:
    """Numbers that make no sense are named."""
    with pytest.raises(InvalidInput, match=r"\(--(connections|for|rate)\)"):
        check("http://127.0.0.1", connections, seconds, rate, own=False)


def test_a_plan_shows_no_token() -> None:
    """Neither in a traceback nor on a dashboard."""
    one = Plan(
        url="ws://h/p?token=hush-hush", headers=[("Authorization", "hush-hush")], connections=3, seconds=1.0, rate=1.0,
        profile=DEFAULT, secrets=["hush-hush"], out=None,
    )  # fmt: skip
    assert "hush" not in repr(one)
