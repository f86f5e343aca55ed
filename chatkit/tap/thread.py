"""A daemon thread with an event loop of its own, for an owner that opens and closes on that loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future

STOP_TIMEOUT = 10.0
"""Seconds to wait for the thread to end; the lab needs about one at most."""


class LoopThread:
    """Runs ``opening``, waits to be stopped, runs ``closing``: all on one loop of one thread.

    A notebook's kernel keeps its own loop on the main thread; a blocked cell does not block this one.

    Args:
        name: the thread's.
    """

    def __init__(
        self, opening: Callable[[], Awaitable[None]], closing: Callable[[], Awaitable[None]], *, name: str
    ) -> None:
        self._opening, self._closing = opening, closing
        self._opened: Future[None] = Future()
        self._stop = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Returns when ``opening`` is done; raises what it raised."""
        self._thread.start()
        self._opened.result()

    def stop(self) -> None:
        """Returns when ``closing`` is done and the thread has ended; twice is fine."""
        if self._loop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(STOP_TIMEOUT)

    def _run(self) -> None:
        asyncio.run(self._live())

    async def _live(self) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            await self._opening()
        except BaseException as error:
            self._opened.set_exception(error)
            return
        self._opened.set_result(None)
        try:
            await self._stop.wait()
        finally:
            await self._closing()
