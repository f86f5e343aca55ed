"""What a verb needs of the terminal: harmless text, colour only where it shows, and an orderly Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

from chatkit.plain import harmless

if TYPE_CHECKING:
    import asyncio

INTERRUPTED = 130

_STYLES = {"dim": "2", "green": "32", "yellow": "33", "red": "31"}


def styled(text: str, style: str, stream: TextIO) -> str:
    """``text`` in a style where ``stream`` is a terminal that wants it (https://no-color.org)."""
    plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb" or not stream.isatty()
    return text if plain else f"\x1b[{_STYLES[style]}m{text}\x1b[0m"


def say(text: str, stream: TextIO | None = None, *, style: str | None = None, end: str = "\n") -> None:
    """Prints foreign text so that it can do nothing to the terminal, and at once."""
    stream = stream or sys.stdout
    clean = harmless(text)
    print(styled(clean, style, stream) if style else clean, end=end, file=stream, flush=True)


def note(text: str) -> None:
    """A status line on stderr."""
    say(text, sys.stderr, style="dim")


def run(work: Coroutine[Any, Any, int]) -> int:
    """Runs a verb's work and returns its exit code.

    Ctrl-C and SIGTERM cancel the work, which may still print what it knows; the code is 130 then.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):  # replaced by something that is no text file
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    import asyncio

    try:
        return asyncio.run(_until_interrupted(work))
    except BrokenPipeError:
        # Whoever read our output has gone: `chatkit check … | head`. Python would complain once more at exit.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def told_to_end() -> asyncio.Future[int]:
    """For a verb that serves until it is told to end: the exit code, once Ctrl-C (130) or SIGTERM (0) comes."""
    import asyncio

    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()

    def end(code: int) -> None:
        if not ended.done():
            ended.set_result(code)

    # Handlers of our own: a shell starts background jobs with SIGINT ignored, and then Python has none.
    for number, code in ((signal.SIGINT, INTERRUPTED), (signal.SIGTERM, 0)):
        with suppress(NotImplementedError):  # Windows: Ctrl-C arrives as KeyboardInterrupt
            loop.add_signal_handler(number, end, code)
    return ended


async def _until_interrupted(work: Coroutine[Any, Any, int]) -> int:
    import asyncio

    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    interrupted = False

    def end() -> None:
        nonlocal interrupted
        if not interrupted:
            interrupted = True
            task.cancel()

    # Handlers of our own: a shell starts background jobs with SIGINT ignored, and then Python has none.
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # Windows: Ctrl-C arrives as KeyboardInterrupt
            loop.add_signal_handler(number, end)
    try:
        return await work
    except asyncio.CancelledError:
        if not interrupted:
            raise
        return INTERRUPTED
