"""The registry through which values find their faces."""

from __future__ import annotations

import pytest

from chatkit import display
from chatkit.errors import InvalidInput
from chatkit.trace import Trace


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty registry without a loader, for this test only."""
    monkeypatch.setattr(display, "_faces", {})
    monkeypatch.setattr(display, "_loader", None)


def test_nobody_registered_anything() -> None:
    """No face, no error; drawing says what to import."""
    assert display.find("trace", "html") is None
    assert Trace.of([])._repr_html_() is None
    with pytest.raises(InvalidInput, match="import chatkit"):
        Trace.of([]).timeline()


def test_the_loader_runs_on_first_use_only() -> None:
    """The views fill the registry when somebody asks."""
    loads = []

    def load_views() -> None:
        loads.append(1)
        display.register("trace", "html", lambda trace: f"<b>{len(trace)}</b>")

    display.provide(load_views)
    assert loads == []
    assert [Trace.of([])._repr_html_() for _ in range(3)] == ["<b>0</b>"] * 3
    assert loads == [1]


def test_options_reach_the_renderer() -> None:
    """``trace.timeline(align="open")`` is the views' business."""
    display.register("trace", "timeline", lambda trace, **options: options)
    assert Trace.of([]).timeline(align="open") == {"align": "open"}
