"""Memory for much data that is kept: large pages, filled one after the other.

Fresh memory costs a fault for each 4 KiB, which on a virtual machine takes longer than copying them; where the system
has large pages, 2 MiB cost one.
"""

from __future__ import annotations

import mmap
import sys
import threading
from collections import deque

LARGE = 1 << 15
"""Bytes from which on data is worth a place here."""
_PAGE = 1 << 22


class Pages:
    """Copies data into large pages. A page lives as long as something that lies in it, or the next piece may."""

    __slots__ = ("_lock", "_page", "_used")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._page = memoryview(bytearray())
        self._used = 0

    def keep(self, data: bytes) -> memoryview:
        """A copy of ``data``; may be called from any thread."""
        size = len(data)
        with self._lock:
            if self._used + size > len(self._page):
                self._page, self._used = _fresh(max(size, _PAGE)), 0
            place = self._page[self._used : self._used + size]
            self._used += size
        place[:] = data
        return place


class Lines:
    """Encoded rows in order. Those that come as lines are taken apart when somebody asks for rows."""

    __slots__ = ("_late", "_pages", "_rows")

    def __init__(self) -> None:
        self._rows: list[bytes] = []
        # Rows with a line feed between them, which came since somebody asked.
        self._late: deque[bytes | memoryview] = deque()
        self._pages = Pages()

    def add(self, rows: list[bytes]) -> None:
        """Adds rows."""
        if self._late:
            self._late.append(b"\n".join(rows))
        else:
            self._rows += rows

    def add_lines(self, lines: bytes) -> None:
        """Adds rows, each with a line feed behind it."""
        self._late.append(self._pages.keep(lines)[:-1] if len(lines) >= LARGE else lines[:-1])

    @property
    def rows(self) -> list[bytes]:
        """All of them; who takes some out of this list has forgotten them."""
        while self._late:
            self._rows += bytes(self._late.popleft()).split(b"\n")
        return self._rows


def _fresh(size: int) -> memoryview:
    if sys.platform == "win32":
        return memoryview(bytearray(size))
    page = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if sys.platform == "linux":
        try:
            page.madvise(mmap.MADV_HUGEPAGE)
        except OSError:
            pass  # a kernel without large pages
    return memoryview(page)
