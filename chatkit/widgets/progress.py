"""A long call's progress in the cell that made it: drawn in its place, and gone when the result stands there."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from IPython.display import HTML, display

from chatkit.experiments.progress import Progress
from chatkit.views import progress as views

INTERVAL = 0.25
"""Least seconds between two drawings."""


class CellProgress:
    """Shows what :func:`chatkit.investigate` tells of its progress. Used on the cell's own thread.

    Args:
        clock: monotonic seconds.

    The stored notebook keeps nothing of it: the result that follows says how it was found.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._handle: Any = None
        self._drawn_at = 0.0

    def show(self, progress: Progress) -> None:
        """One look; at most one every ``INTERVAL`` seconds is drawn."""
        if self._handle is None:
            self._handle = display(_drawn(progress), display_id=True)  # type: ignore[no-untyped-call]
        elif progress.done or self._clock() - self._drawn_at >= INTERVAL:
            self._handle.update(_drawn(progress))
        else:
            return
        self._drawn_at = self._clock()

    def finish(self) -> None:
        """Takes it away. Twice is fine."""
        if self._handle is not None:
            self._handle.update({"text/plain": "", "text/html": ""}, raw=True)
            self._handle = None


def _drawn(progress: Progress) -> HTML:
    return HTML(views.html(progress))  # type: ignore[no-untyped-call]
