"""The health monitor at a real lab."""

from __future__ import annotations

import asyncio

from chatkit.client.health import HealthMonitor
from chatkit.client.http import HttpApi
from chatkit.events import HealthChecked
from chatkit.policy.health import HealthState
from conftest import until

from .conftest import RULES


async def test_a_healthy_backend(lab, recorder) -> None:
    """Asked by GET at once and again and again; told after every check."""
    house, told = await lab(), []
    async with HttpApi(house.url, recorder=recorder) as api:
        monitor = HealthMonitor(api, RULES, lambda: told.append(monitor.status.state))
        run = asyncio.get_running_loop().create_task(monitor.run())
        await until(lambda: len(told) >= 2)
        run.cancel()
    assert set(told) == {HealthState.HEALTHY}
    assert {event.method for event in recorder.snapshot() if isinstance(event, HealthChecked)} == {"GET"}


async def test_a_backend_that_says_it_is_down(lab, recorder) -> None:
    """Unhealthy after three failures in a row, healthy after one success."""
    house = await lab("health-down")
    async with HttpApi(house.url, recorder=recorder) as api:
        monitor = HealthMonitor(api, RULES)
        states = [(await monitor.check()).state for _ in range(3)]
        house.set_faults([])
        states.append((await monitor.check()).state)
    assert states == ["failing", "failing", "unhealthy", "healthy"]
    assert [event.status for event in recorder.snapshot()] == [503, 503, 503, 200]


async def test_nobody_there(recorder, unused_tcp_port) -> None:
    """A failure with a reason, never an exception."""
    async with HttpApi(f"http://127.0.0.1:{unused_tcp_port}", recorder=recorder) as api:
        status = await HealthMonitor(api, RULES).check()
    assert (status.state, status.last.status, status.last.healthy) == ("failing", None, False)
    assert status.last.error


async def test_head_and_get_compared(lab, recorder) -> None:
    """The contract's HEAD is a 405; the state is moved by neither."""
    house = await lab()
    async with HttpApi(house.url, recorder=recorder) as api:
        monitor = HealthMonitor(api, RULES)
        status = await monitor.compare()
    assert (status.head_status, status.get_status, status.differs) == (405, 200, True)
    assert status.state is HealthState.UNKNOWN
