"""The background engine: a daemon thread with its own event loop, on which clients live in a notebook.

A cell that sleeps or computes blocks the kernel's loop; a client there would miss its pings and the debugger would
be the cause. Here it goes on. A cell waits on a thread future, so that interrupting it comes through at once; only
what the cell itself asked for is cancelled then, never the connection.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

CLOSE_TIMEOUT = 5.0
"""Seconds that the end of the interpreter waits for clients to say goodbye."""
SLICE = 0.1
"""Seconds after which a waiting cell hears an interrupt at the latest."""


class Engine:
    """One thread, one loop; started by the first use. Made once per process: see :func:`engine`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closers: dict[object, Callable[[], Coroutine[Any, Any, None]]] = {}

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The engine's loop, running."""
        with self._lock:
            if self._loop is None:
                ready = threading.Event()
                self._loop = asyncio.new_event_loop()
                work = (self._loop, ready)
                self._thread = threading.Thread(target=_run, args=work, name="chatkit engine", daemon=True)
                self._thread.start()
                ready.wait()
                atexit.register(self.close)
            return self._loop

    def call(self, work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Runs ``work`` on the engine and waits for it in this thread.

        Raises:
            TimeoutError: it took longer than ``timeout`` seconds; it is cancelled.
            KeyboardInterrupt: the cell was interrupted; ``work`` is cancelled, everything else goes on.
        """
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("a plain call would wait for itself here: use the async client on the engine's loop")
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            # In slices: a wait for a lock hears an interrupt only at its end where the signal did not reach this very
            # thread (one that another thread raised, or any on Windows).
            while deadline is None or time.monotonic() + SLICE < deadline:
                if concurrent.futures.wait([future], SLICE).done:
                    return future.result()
            return future.result(None if deadline is None else max(0.0, deadline - time.monotonic()))
        except concurrent.futures.CancelledError:
            raise RuntimeError("the engine was closed") from None
        except BaseException:
            future.cancel()
            raise

    def start(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Runs ``work`` on the engine without waiting; whoever needs its result or failure asks the future."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def do(self, work: Callable[[], T]) -> T:
        """Runs a plain function on the engine's loop and waits for its result."""

        async def run() -> T:
            return work()

        return self.call(run())

    def own(self, key: object, close: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Has ``close`` awaited when the interpreter ends, or when :meth:`release` is called for ``key``."""
        self._closers[key] = close

    def release(self, key: object) -> None:
        """Closes what is owned under ``key``, if anything: a cell that is run again makes room first."""
        previous = self._closers.pop(key, None)
        if previous is not None:
            with contextlib.suppress(TimeoutError):
                self.call(previous(), CLOSE_TIMEOUT)

    def disown(self, key: object, close: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Forgets what :meth:`own` was told, once it is closed."""
        if self._closers.get(key) == close:
            del self._closers[key]

    def close(self) -> None:
        """Closes everything that is owned and stops the loop; a later use starts another one."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None:
            return
        closers, self._closers = list(self._closers.values()), {}
        future = asyncio.run_coroutine_threadsafe(_close_all(closers), loop)
        with contextlib.suppress(TimeoutError):
            future.result(CLOSE_TIMEOUT)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(CLOSE_TIMEOUT)


def _run(loop: asyncio.AbstractEventLoop, ready: threading.Event) -> None:
    asyncio.set_event_loop(loop)
    loop.call_soon(ready.set)
    loop.run_forever()
    loop.close()


async def _close_all(closers: list[Callable[[], Coroutine[Any, Any, None]]]) -> None:
    await asyncio.gather(*(close() for close in closers), return_exceptions=True)
    current = asyncio.current_task()
    rest = [task for task in asyncio.all_tasks() if task is not current]
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)


_engine = Engine()


def engine() -> Engine:
    """The process's engine."""
    return _engine
