"""A long call's progress in the cell that made it: drawn in its place, and gone when the result stands there."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from IPython.core.getipython import get_ipython
from IPython.display import HTML, display

from chatkit.experiments.progress import Progress
from chatkit.views import progress as views

INTERVAL = 0.25
"""Least seconds between two drawings."""


def of_cell() -> CellProgress | None:
    """For the cell that runs; ``None`` where no kernel does."""
    return CellProgress() if hasattr(get_ipython(), "kernel") else None


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
            # Empty at first, as it will be at the end: what compares outputs may not see what happens to it between.
            self._handle = display({}, raw=True, display_id=True)  # type: ignore[no-untyped-call]
            self._handle.update(_drawn(progress))
        elif progress.done or self._clock() - self._drawn_at >= INTERVAL:
            self._handle.update(_drawn(progress))
        else:
            return
        self._drawn_at = self._clock()

    def finish(self) -> None:
        """Takes it away. Twice is fine."""
        if self._handle is not None:
            self._handle.update({}, raw=True)
            self._handle = None


def _drawn(progress: Progress) -> HTML:
    return HTML(views.html(progress))  # type: ignore[no-untyped-call]
