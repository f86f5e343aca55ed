"""One direction of a relay: bytes in order, at once or after a delay, with back-pressure and FIN at the end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from chatkit.tap.side import Side

MOST_WAITING = 262_144
"""Bytes that may wait in a lane before its source is read no more."""
_TICK = 1e-4
"""Seconds by which the loop's timers may fire early."""


class Lane:
    """From one side to the other; it begins stopped, until :meth:`go`.

    Args:
        source: whose bytes these are; held while too many wait.
        target: whom they go to.
        finished: called when FIN went to the target.
    """

    def __init__(self, source: Side, target: Side, finished: Callable[[], None]) -> None:
        self._source, self._target, self._finished = source, target, finished
        self._done = False
        self._queue: deque[tuple[float, bytes | None]] = deque()
        self._size = 0
        self._due = 0.0
        self._stopped = True
        self._timer: asyncio.TimerHandle | None = None

    @property
    def done(self) -> bool:
        """Whether nothing more can come out of it."""
        return self._done or self._target.gone

    def put(self, data: bytes, delay: float = 0.0) -> None:
        """Bytes for the target, ``delay`` seconds from now or behind those that wait."""
        if not self._queue and delay <= 0 and not self._stopped:
            self._target.write(data)
            return
        self._append(data, delay)
        self._size += len(data)
        if self._size > MOST_WAITING:
            self._source.hold("lane")

    def finish(self) -> None:
        """FIN behind everything."""
        if self._queue or self._stopped:
            self._append(None, 0.0)
        else:
            self._finish()

    def stop(self) -> None:
        """What comes waits."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

    def go(self) -> None:
        """What waits goes on."""
        self._stopped = False
        self._run()

    def clear(self) -> None:
        """Forgets what waits."""
        if self._timer is not None:
            self._timer.cancel()
        self._queue.clear()
        self._size = 0

    def _append(self, data: bytes | None, delay: float) -> None:
        loop = asyncio.get_running_loop()
        self._due = max(self._due, loop.time() + delay)
        self._queue.append((self._due, data))
        if not self._stopped and len(self._queue) == 1:
            self._timer = loop.call_at(self._due, self._run)

    def _finish(self) -> None:
        self._done = True
        self._target.finish()
        self._finished()

    def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._queue and self._queue[0][0] <= loop.time() + _TICK:
            _, data = self._queue.popleft()
            if data is None:
                self._finish()
                continue
            self._size -= len(data)
            self._target.write(data)
        if self._size <= MOST_WAITING // 2:
            self._source.release("lane")
        if self._queue:
            self._timer = loop.call_at(self._queue[0][0], self._run)
