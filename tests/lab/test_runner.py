"""A plan on the clock of a real loop."""

from __future__ import annotations

import asyncio

from chatkit.faults import FaultPlan
from chatkit.faults.moments import Abort, Asked, CloseWith, Drop, Opened, Received, Refuse
from chatkit.lab.runner import Deed, FaultRunner, delay, refusal

PING = Received(kind="app-ping", type="ping")


async def test_deeds_come_later_and_the_rest_at_once() -> None:
    """Never from within tell()."""
    done: list[Deed] = []
    runner = FaultRunner(FaultPlan(["early-ping-abort:delay=0.02", "no-pong"]), 1, done.append)
    runner.tell(Opened())
    assert Drop() in runner.tell(PING)
    assert done == []
    await asyncio.sleep(0.05)
    assert done == [Abort(how="rst", after=0.02)]


async def test_wake_ups_go_back_to_the_plan() -> None:
    """An idle timeout is renewed by activity and strikes once."""
    done: list[Deed] = []
    runner = FaultRunner(FaultPlan(["idle-timeout:timeout=0.05,how=close"]), 1, done.append)
    runner.tell(Opened())
    await asyncio.sleep(0.03)
    runner.tell(PING)
    await asyncio.sleep(0.15)
    assert done == [CloseWith(code=1001, reason="idle timeout")]


async def test_a_closed_runner_does_nothing_more() -> None:
    """Neither pending deeds nor new ones."""
    done: list[Deed] = []
    runner = FaultRunner(FaultPlan(["max-lifetime:age=0.01", "server-error:on=ping"]), 1, done.append)
    runner.tell(Opened())
    runner.tell(PING)
    runner.close()
    runner.close()
    assert runner.tell(PING) == ()
    await asyncio.sleep(0.03)
    assert done == []


async def test_asking_performs_nothing() -> None:
    """The answer is for the caller."""
    done: list[Deed] = []
    runner = FaultRunner(FaultPlan(["auth-rejected:when=after"]), 1, done.append)
    assert runner.ask(Asked(what="upgrade")) == (CloseWith(code=4001, reason="token rejected"),)
    await asyncio.sleep(0.01)
    assert done == []


def test_reading_answers() -> None:
    """The first refusal counts; delays add up."""
    assert refusal((Drop(), Refuse(status=401), Refuse(status=403))) == Refuse(status=401)
    assert refusal(()) is None
    assert delay(()) == 0
