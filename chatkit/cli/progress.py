"""How an investigation stands, on stderr: drawn in place on a terminal, line by line into a log."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TextIO

from chatkit.plain import harmless

if TYPE_CHECKING:
    from chatkit.experiments.progress import Progress

INTERVAL = 0.1
"""Least seconds between two drawings."""


class ProgressDisplay:
    """Shows what :func:`chatkit.investigate` tells of its progress; :meth:`finish` draws the last look and stays.

    Args:
        stream: standard error unless given.
        clock: monotonic seconds.

    A terminal is drawn anew in its place. Anything else (a file, a pipe, ``TERM=dumb``) gets each finished probe
    and each note once, as a line.
    """

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._live = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._latest: Progress | None = None
        self._shown: list[str] = []
        self._drawn_at: float | None = None
        self._probes: set[tuple[str, str]] = set()
        self._notes: tuple[str, ...] = ()

    def show(self, progress: Progress) -> None:
        """One look; on a terminal at most one every ``INTERVAL`` seconds is drawn."""
        self._latest = progress
        if not self._live:
            self._log(progress)
        elif self._drawn_at is None or progress.done or self._clock() - self._drawn_at >= INTERVAL:
            self._draw(progress)

    def finish(self) -> None:
        """The last look; what is printed next stands below it. Twice is fine."""
        if self._live and self._latest is not None:
            self._draw(self._latest)
            self._latest, self._shown = None, []

    def _draw(self, progress: Progress) -> None:
        from chatkit.views.progress_lines import MOST_LINES, lines

        size = shutil.get_terminal_size()
        # One column less: a full line would wrap on some terminals. One line less: the cursor stands below.
        most = max(1, min(MOST_LINES, size.lines - 1))
        new = lines(progress, size.columns - 1, colour="NO_COLOR" not in os.environ, most=most)
        self._drawn_at = self._clock()
        if new != self._shown:
            back = f"\x1b[{len(self._shown)}F" if self._shown else ""
            self._stream.write(f"{back}\x1b[J" + "".join(f"{line}\n" for line in new))
            self._stream.flush()
            self._shown = new

    def _log(self, progress: Progress) -> None:
        from chatkit.views.progress_lines import probe_line

        news = []
        for probe in progress.probes:
            if probe.status != "running" and (probe.id, probe.status) not in self._probes:
                self._probes.add((probe.id, probe.status))
                news.append(probe_line(probe))
        news += added(self._notes, progress.notes)
        self._notes = progress.notes
        if news:
            self._stream.write("".join(f"{harmless(line)}\n" for line in news))
            self._stream.flush()


def added(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """What came at the end of a list that may have lost some at its beginning."""
    for kept in range(min(len(before), len(after)), 0, -1):
        if list(before[-kept:]) == list(after[:kept]):
            return list(after[kept:])
    return list(after)
