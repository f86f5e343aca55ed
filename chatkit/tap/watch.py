"""Notices an RST on connections that nobody reads.

asyncio learns of an RST by reading or writing. A relay does neither after a FIN, or while the other side is full, and
would keep the other side alive for nothing. A second epoll without interest in input still reports errors
(epoll_ctl(2): EPOLLERR is always reported).
"""

from __future__ import annotations

import asyncio
import select
from contextlib import suppress

from chatkit.tap.side import Side


class Watch:
    """One for all connections of a relay; where the system has no epoll it notices nothing."""

    def __init__(self) -> None:
        self._sides: dict[int, Side] = {}
        self._files: dict[Side, int] = {}
        self._epoll: select.epoll | None = None

    def open(self) -> None:
        """Begins, on the running loop."""
        if hasattr(select, "epoll"):
            self._epoll = select.epoll()
            asyncio.get_running_loop().add_reader(self._epoll.fileno(), self._ready)

    def close(self) -> None:
        """Ends; twice is fine."""
        if self._epoll is not None:
            asyncio.get_running_loop().remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._epoll = None
        self._sides.clear()
        self._files.clear()

    def add(self, side: Side) -> None:
        """Watches a side that is connected."""
        if self._epoll is not None:
            fd = side.sock.fileno()
            self._sides[fd], self._files[side] = side, fd
            self._epoll.register(fd, select.EPOLLET)

    def remove(self, side: Side) -> None:
        """Watches it no more."""
        fd = self._files.pop(side, None)
        if self._epoll is not None and fd is not None and self._sides.get(fd) is side:
            del self._sides[fd]
            # TLS tells of the end after the socket was closed: then the kernel has forgotten it by itself.
            with suppress(OSError):
                self._epoll.unregister(fd)

    def _ready(self) -> None:
        assert self._epoll is not None
        for fd, events in self._epoll.poll(0):
            side = self._sides.get(fd)
            if side is not None and events & select.EPOLLERR and side.deaf and not side.gone:
                side.was_reset()
