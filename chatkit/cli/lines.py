"""Lines of standard input without blocking the loop, whatever it is: a terminal, a pipe, a file."""

from __future__ import annotations

import asyncio
import codecs
import os
import sys
import threading
from contextlib import suppress

LONGEST = 1 << 20
"""Characters of a line at most; a longer one is cut there and goes on as the next."""


class Lines:
    """``async for line in Lines()`` until the end of the input. Use one at a time."""

    def __init__(self, descriptor: int | None = None) -> None:
        self._descriptor = sys.stdin.fileno() if descriptor is None else descriptor
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        # A daemon that reads the descriptor itself: nobody can interrupt a read, and a thread that holds the lock of
        # sys.stdin would stop the interpreter from ending.
        threading.Thread(target=self._read, name="chatkit stdin", daemon=True).start()

    def __aiter__(self) -> Lines:
        return self

    async def __anext__(self) -> str:
        line = await self._lines.get()
        if line is None:
            raise StopAsyncIteration
        return line

    def _read(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        rest = ""
        with suppress(RuntimeError):  # the loop is closed: nobody reads any more
            while data := self._chunk():
                *whole, rest = (rest + decoder.decode(data)).split("\n")
                if len(rest) > LONGEST:
                    # Something stays, else the line end that is still to come would be an empty line of its own.
                    cut = (len(rest) - 1) // LONGEST * LONGEST
                    whole, rest = [*whole, rest[:cut]], rest[cut:]
                for line in whole:
                    self._hand(line)
            rest += decoder.decode(b"", final=True)
            if rest:
                self._hand(rest)
            self._put(None)

    def _chunk(self) -> bytes:
        try:
            return os.read(self._descriptor, 65_536)
        except OSError:
            return b""  # the terminal has gone: as good as the end

    def _hand(self, line: str) -> None:
        for start in range(0, max(1, len(line)), LONGEST):
            self._put(line[start : start + LONGEST])

    def _put(self, line: str | None) -> None:
        self._loop.call_soon_threadsafe(self._lines.put_nowait, line)
