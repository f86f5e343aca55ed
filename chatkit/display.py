"""How low rooms get a face without looking up.

A ``Trace`` holds data only. Its ``_repr_html_`` and ``timeline()`` ask this registry; the views fill it when they
load, and the front door says how to load them. This is the one arrow of the package that is a name, not an import.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

_faces: dict[tuple[str, str], Callable[..., Any]] = {}
_loader: Callable[[], object] | None = None
_progress: Callable[[], Any] | None = None


def provide(loader: Callable[[], object], progress: Callable[[], Any] | None = None) -> None:
    """Says how the views are loaded, and what shows progress in a notebook; called once, by the front door."""
    global _loader, _progress
    _loader, _progress = loader, progress


def progress() -> Any:
    """What shows a long call's progress in the cell that made it (``show``, ``finish``); ``None`` outside a kernel."""
    # Asked first: outside a notebook the windows stay unloaded.
    return None if _progress is None or "ipykernel" not in sys.modules else _progress()


def register(kind: str, face: str, render: Callable[..., Any]) -> None:
    """Makes ``render(value, …)`` the ``face`` (``html``, ``timeline``, …) of values of ``kind``."""
    _faces[kind, face] = render


def find(kind: str, face: str) -> Callable[..., Any] | None:
    """The renderer of a face, loading the views on first use; ``None`` where nobody registered one."""
    if (kind, face) not in _faces and _loader is not None:
        _loader()
    return _faces.get((kind, face))


def face(kind: str) -> Callable[[Any], str | None]:
    """The method ``_repr_html_`` of values whose face of ``kind`` a view registers."""

    def shown(value: Any) -> str | None:
        render = find(kind, "html")
        return None if render is None else str(render(value))

    return shown


def in_words(value: object, printer: Any, cycle: bool) -> None:
    """The method ``_repr_pretty_`` of values whose ``str()`` is what a reader wants and whose ``repr()`` is all."""
    printer.text(str(value))


def glance(kind: str, sentence: str, facts: Sequence[tuple[str, ...]] = (), tone: str = "remark") -> str | None:
    """A small value as static HTML, see :func:`chatkit.views.glance.glance`; ``None`` where no view is loaded."""
    render = find("glance", "html")
    return None if render is None else str(render(kind, sentence, facts, tone))
