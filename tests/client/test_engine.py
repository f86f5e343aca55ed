"""The background engine: cells may block, be interrupted and end; the connection goes on."""

from __future__ import annotations

import _thread
import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

import chatkit
from chatkit.client.background import connect
from chatkit.client.engine import Engine, engine
from conftest import TICK, until_sync

from .conftest import profile


@pytest.fixture
def own() -> Iterator[Engine]:
    """An engine for this test."""
    made = Engine()
    yield made
    made.close()


@pytest.fixture
def house() -> Iterator[chatkit.LabServer]:
    """A lab on a thread of its own, and the process's engine closed afterwards."""
    with chatkit.LabServer() as lab:
        yield lab
        engine().close()


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "chatkit engine"]


def test_one_thread_started_by_the_first_use(own: Engine) -> None:
    """And ended by close; a later use starts another one."""
    engine().close()  # of whoever used the process's before
    assert threads() == []
    assert own.do(lambda: threading.current_thread().name) == "chatkit engine"
    assert own.do(lambda: 1) == 1
    assert len(threads()) == 1
    own.close()
    own.close()
    assert threads() == []
    assert own.do(lambda: 2) == 2


def test_what_a_call_raises_comes_through(own: Engine) -> None:
    """The exception itself."""

    async def fail() -> None:
        raise ValueError("a defect")

    with pytest.raises(ValueError, match="a defect"):
        own.call(fail())


def test_a_call_may_time_out(own: Engine) -> None:
    """Then its work is cancelled."""
    ended = threading.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    with pytest.raises(TimeoutError):
        own.call(work(), timeout=2 * TICK)
    assert ended.wait(5)


def test_a_call_from_the_engine_itself(own: Engine) -> None:
    """Would wait for itself: says so."""
    with pytest.raises(RuntimeError, match="wait for itself"):
        own.do(lambda: own.do(lambda: 1))


def test_starting_without_waiting(own: Engine) -> None:
    """A thread future comes back."""

    async def work() -> int:
        return 3

    assert own.start(work()).result(5) == 3


def test_what_is_owned_is_closed(own: Engine) -> None:
    """By release, by close; not any more once it is disowned."""
    closed: list[str] = []

    def closer(name: str) -> Callable[[], object]:
        async def close() -> None:
            closed.append(name)

        return close

    one, two, three = closer("one"), closer("two"), closer("three")
    own.own("a", one)
    own.release("a")
    own.release("a")
    assert closed == ["one"]
    own.own("a", two)
    own.disown("a", one)
    own.own("b", three)
    own.disown("b", three)
    own.do(lambda: None)
    own.close()
    assert closed == ["one", "two"]


def test_closing_while_somebody_waits(own: Engine) -> None:
    """The waiter is told."""
    failures: list[str] = []

    def wait() -> None:
        try:
            own.call(asyncio.sleep(3600))
        except RuntimeError as error:
            failures.append(str(error))

    waiter = threading.Thread(target=wait)
    waiter.start()
    until_sync(lambda: own.do(lambda: len(asyncio.all_tasks())) > 1)
    own.close()
    waiter.join(5)
    assert failures == ["the engine was closed"]


INTERRUPTS: dict[str, Callable[[], None]] = {
    "signal to the process": lambda: os.kill(os.getpid(), signal.SIGINT),
    "raised on another thread": lambda: signal.raise_signal(signal.SIGINT),
    "interrupt_main": _thread.interrupt_main,
}


@pytest.mark.parametrize("how", INTERRUPTS)
def test_interrupting_a_cell_leaves_the_connection_alone(house, how: str) -> None:
    """Only what the cell itself waited for is cancelled, and long before its time."""
    chat = connect(house.url, "echo", token=house.token, profile=profile())
    threading.Timer(4 * TICK, INTERRUPTS[how]).start()
    with pytest.raises(KeyboardInterrupt):
        chat.wait_until(lambda status: False, timeout=3600)
    assert chat.status.live
    assert chat.send("still there?").wait(10).text == "still there?"
    assert chat.ended == ()
    chat.close()


def test_a_cell_that_computes_costs_no_connection(house) -> None:
    """Against a server that closes after a few silent ticks: our pings go on from the engine's thread."""
    house.set_faults([f"idle-timeout:timeout={20 * TICK},counts=app-ping"])
    chat = connect(house.url, "echo", token=house.token, profile=profile(ping_interval=4 * TICK))
    deadline = time.monotonic() + 60 * TICK
    while time.monotonic() < deadline:
        sum(range(10_000))
    assert chat.status.live
    assert chat.ended == ()
    chat.close()


@pytest.mark.slow
def test_a_cell_that_sleeps_for_a_minute_keeps_its_connection() -> None:
    """In real time: the contract's own timings, the lab's early-ping-abort, and sixty blocked seconds."""
    with chatkit.LabServer(faults=["early-ping-abort:window=3"]) as lab:
        try:
            chat = connect(lab.url, "echo", token=lab.token, policy="incident")
            time.sleep(60)
            assert chat.status.live
            assert chat.ended == ()
            (connection,) = chat.trace.connections
            assert connection.duration > 59
            pings = chat.trace.message_types.count("ping")
            assert pings == 2  # at 5 s and at 35 s
            assert chat.trace.message_types.count("pong") == 2
            chat.close()
            assert chat.trace.connections[0].ending.words == "closed by us: 1000"
        finally:
            engine().close()


_LEFT_OPEN = """
from chatkit.client.engine import engine
engine().start(__import__("asyncio").sleep(3600))
engine().do(lambda: None)
print("done", flush=True)
"""


def test_the_interpreter_ends_with_work_under_way() -> None:
    """Quietly and promptly."""
    done = subprocess.run([sys.executable, "-c", _LEFT_OPEN], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
