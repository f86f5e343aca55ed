"""Searches that never hold the kernel up: on a thread of their own, regular expressions in a process of their own.

Python's ``re`` holds the interpreter for the whole of one match, and some expressions take longer than the universe
on thirty characters; no look at the pattern tells them all apart from good ones. So another process matches: it is
given texts in small chunks and ended when one chunk takes longer than ``LIMIT``.
"""

from __future__ import annotations

import marshal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from chatkit.errors import InvalidInput
from chatkit.views.query import Node, found_in

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from chatkit.views.query import Finder

LIMIT = 5.0
"""Seconds that a chunk of texts may take a regular expression."""
START = 20.0
"""Seconds that the process may take to start, on a busy machine too."""
_WORKER = """
import marshal, re, struct, sys
def blocks():
    while head := sys.stdin.buffer.read(4):
        yield marshal.loads(sys.stdin.buffer.read(struct.unpack("<I", head)[0]))
given = blocks()
search = re.compile(next(given), re.IGNORECASE).search
for texts in given:
    sys.stdout.buffer.write(bytes(search(text) is not None for text in texts))
    sys.stdout.buffer.flush()
"""


class Cancelled(Exception):
    """Nobody waits for this search any more."""


class Matcher:
    """One regular expression in a process of its own; close it. Texts go in by chunks.

    Args:
        pattern: of ``re``; matched without regard to case.
    """

    def __init__(self, pattern: str) -> None:
        command = [sys.executable, "-I", "-S", "-c", _WORKER]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        try:
            self._put(pattern)
            self._ask([""], START)
        except BaseException:
            self.close()
            raise

    def fits(self, texts: list[str]) -> list[bool]:
        """Which of the texts the expression is found in.

        Raises:
            InvalidInput: it takes longer than ``LIMIT`` seconds.
        """
        return [bool(byte) for byte in self._ask(texts, LIMIT)]

    def close(self) -> None:
        """Ends the process; twice is fine."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(OSError):  # what is left in the buffer goes nowhere
                pipe.close()

    def _put(self, block: str | list[str]) -> None:
        assert self._process.stdin is not None
        data = marshal.dumps(block)
        self._process.stdin.write(struct.pack("<I", len(data)) + data)
        self._process.stdin.flush()

    def _ask(self, texts: list[str], limit: float) -> bytes:
        assert self._process.stdout is not None
        # A pipe has no time-out that every system knows; a process that is ended closes its pipes.
        timer = threading.Timer(limit, self._process.kill)
        timer.daemon = True
        timer.start()
        try:
            self._put(texts)
            told = self._process.stdout.read(len(texts))
        except OSError:
            told = b""
        finally:
            timer.cancel()
        if len(told) < len(texts):
            raise InvalidInput(
                "the regular expression takes too long",
                expected=f"at most {limit:g} s for {len(texts):,} texts",
                got="no answer",
                remedy="avoid repetition within repetition, such as (a+)+, or look for a word",
            )
        return told


def guarded(go_on: Callable[[], bool] = lambda: True) -> Finder:
    """How to look for one part of a query: between chunks it is asked whether to go on.

    Args:
        go_on: false when nobody waits for the answer any more; then ``Cancelled`` is raised.
    """

    def find(leaf: Node, chunks: Iterator[list[str]]) -> Iterator[list[bool]]:
        if leaf[0] != "regex":
            yield from found_in(leaf, watched(chunks))
            return
        matcher = Matcher(leaf[1])
        try:
            yield from map(matcher.fits, watched(chunks))
        finally:
            matcher.close()

    def watched(chunks: Iterator[list[str]]) -> Iterator[list[str]]:
        for chunk in chunks:
            if not go_on():
                raise Cancelled
            yield chunk

    return find


class Searches:
    """The latest search of each browser, on a thread; an older one of the same browser ends at its next chunk.

    Args:
        matches: gives the mask of a query from a row on, as ``Feed.matches``.
        answer: takes the browser, the text, the first row, and the mask or why there is none; called on the thread.
    """

    def __init__(
        self,
        matches: Callable[[str, int, Finder], NDArray[np.bool_]],
        answer: Callable[[str, str, int, NDArray[np.bool_] | str], None],
    ) -> None:
        self._matches, self._answer = matches, answer
        self._lock = threading.Lock()
        self._latest: dict[str, threading.Thread] = {}

    def ask(self, browser: str, text: str, since: int) -> None:
        """Begins a search; the answer comes unless another one is asked for meanwhile."""
        thread = threading.Thread(target=self._run, args=(browser, text, since), name="chatkit search", daemon=True)
        with self._lock:
            self._latest[browser] = thread
        thread.start()

    def forget(self, browser: str) -> None:
        """The browser wants no answer any more."""
        with self._lock:
            self._latest.pop(browser, None)

    def close(self) -> None:
        """Nobody wants an answer any more; twice is fine."""
        with self._lock:
            self._latest.clear()

    def wait(self, seconds: float) -> None:
        """Until what is asked for now was answered, or for so long."""
        with self._lock:
            threads = list(self._latest.values())
        for thread in threads:
            thread.join(seconds)

    def _run(self, browser: str, text: str, since: int) -> None:
        me = threading.current_thread()

        def wanted() -> bool:
            return self._latest.get(browser) is me

        told: NDArray[np.bool_] | str
        try:
            told = self._matches(text, since, guarded(wanted))
        except Cancelled:
            return
        except (InvalidInput, OSError) as error:
            told = str(error)
        if wanted():
            self._answer(browser, text, since, told)
        with self._lock:
            if self._latest.get(browser) is me:
                del self._latest[browser]
