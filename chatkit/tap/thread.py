"""A daemon thread with an event loop of its own, for an owner that opens and closes on that loop."""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Self

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


class Threaded:
    """What listens either on the caller's loop (``async with``) or on a thread of its own (``with``, :meth:`start`)."""

    _thread_name = "chatkit"

    _thread: LoopThread | None = None

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._shut()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> Self:
        """Runs on a thread of its own and returns when it listens; again is fine.

        Raises:
            InvalidInput: the address cannot be listened on, or a file cannot be written.
            MissingDependency: a certificate is to be made and ``cryptography`` is not installed.
        """
        if self._thread is None:
            thread = LoopThread(self._open, self._shut, name=self._thread_name)
            thread.start()
            self._thread = thread
            atexit.register(self.close)
        return self

    def close(self) -> None:
        """Ends what :meth:`start` started, and all that is open; twice is fine."""
        if self._thread is not None:
            self._thread.stop()
            self._thread = None
            atexit.unregister(self.close)

    async def _open(self) -> None:
        raise NotImplementedError

    async def _shut(self) -> None:
        raise NotImplementedError
