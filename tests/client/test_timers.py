"""One timer of the loop serves everybody: in order, never early, and one that fails stops nobody."""

from __future__ import annotations

import asyncio
import random

from chatkit.client.timers import SLOT, Timers, timers


class Counting:
    """A loop that counts the timers set on it."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.set = 0

    def __getattr__(self, name: str):
        self.set += name == "call_at"
        return getattr(self.loop, name)


async def test_calls_come_in_order_and_never_early() -> None:
    """Whatever the order in which they were asked for."""
    loop, called = asyncio.get_running_loop(), []
    moments = [loop.time() + n * SLOT / 3 for n in range(30)]
    for moment in random.Random(1).sample(moments, len(moments)):
        timers().at(moment, lambda moment=moment: called.append((moment, loop.time())))
    while len(called) < len(moments):
        await asyncio.sleep(SLOT)
    slots = [round(moment / SLOT + 0.5) for moment, _ in called]
    assert slots == sorted(slots)
    assert [(moment, now) for moment, now in called if now < moment - 1e-4] == []


async def test_many_share_one_timer_of_the_loop() -> None:
    """A thousand in one slot wake the loop once; each further slot once more."""
    counting = Counting()
    mine, called = Timers(counting), []
    slot = (int(counting.loop.time() / SLOT) + 3) * SLOT
    for n in range(1000):
        mine.at(slot - SLOT / 2, lambda n=n: called.append(n))
    assert counting.set == 1
    while len(called) < 1000:
        await asyncio.sleep(SLOT)
    assert called == list(range(1000))
    assert counting.set == 1


async def test_a_cancelled_call_does_not_come() -> None:
    """Cancelling twice is fine, and afterwards too."""
    called = []
    gone, other = (
        timers().after(SLOT, lambda: called.append("gone")),
        timers().after(SLOT, lambda: called.append("other")),
    )
    gone.cancel()
    gone.cancel()
    while not called:
        await asyncio.sleep(SLOT)
    other.cancel()
    assert called == ["other"]


async def test_one_that_fails_stops_nobody() -> None:
    """The loop hears of it, the others are called."""
    heard, called = [], []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: heard.append(context["exception"]))
    moment = asyncio.get_running_loop().time() + SLOT
    timers().at(moment, lambda: 1 / 0)
    timers().at(moment, lambda: called.append(1))
    while not called:
        await asyncio.sleep(SLOT)
    assert [type(error) for error in heard] == [ZeroDivisionError]


async def test_what_is_called_may_ask_again() -> None:
    """As a heartbeat does; a moment that is over comes in the loop's next turn, not from within."""
    beats = []

    def beat() -> None:
        beats.append(len(beats))
        if len(beats) < 5:
            timers().at(0.0, beat)
            assert len(beats) == beats[-1] + 1

    timers().at(0.0, beat)
    assert beats == []
    while len(beats) < 5:
        await asyncio.sleep(0)
    assert timers() is timers()
