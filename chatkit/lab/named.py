"""``start_lab``: a lab for notebook cells, one per name."""

from __future__ import annotations

import threading
from typing import Any

from chatkit.lab.server import LabServer

_labs: dict[str, LabServer] = {}
_lock = threading.Lock()


def start_lab(name: str = "lab", **options: Any) -> LabServer:
    """Starts a lab on a thread of its own and returns it running.

    Args:
        name: a lab of this name that runs already is closed first, so that running a cell again leaks nothing.
        options: as for :class:`LabServer`: ``faults``, ``bots``, ``seed`` …

    Raises:
        LabError, InvalidInput: as :class:`LabServer`.
    """
    with _lock:
        previous = _labs.pop(name, None)
        if previous is not None:
            previous.close()
        lab = _labs[name] = LabServer(**options).start()
        return lab
