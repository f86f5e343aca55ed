"""Progress in a cell: drawn in place, not too often, gone at the end."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from chatkit.widgets import progress as module
from chatkit.widgets.progress import CellProgress
from tests.views.standings import RUNNING


class Cell:
    """What a cell shows: one output, and how often it was drawn."""

    def __init__(self) -> None:
        self.shown: list[dict[str, str]] = []

    def display(self, value: Any, *, raw: bool, display_id: bool) -> Cell:
        assert display_id
        self.update(value, raw)
        return self

    def update(self, value: Any, raw: bool = False) -> None:
        self.shown.append(value if raw else {"text/html": value.data})


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> Cell:
    cell = Cell()
    monkeypatch.setattr(module, "display", cell.display)
    return cell


def test_it_is_drawn_in_place_and_goes(cell: Cell) -> None:
    """At most once in an interval, the last look always; nothing of it stays."""
    now = 0.0
    progress = CellProgress(clock=lambda: now)
    progress.show(RUNNING)
    progress.show(RUNNING)
    assert len(cell.shown) == 2
    assert cell.shown[0] == {}
    now = module.INTERVAL
    progress.show(RUNNING)
    progress.show(replace(RUNNING, done=True))
    assert len(cell.shown) == 4
    assert "finished" in cell.shown[-1]["text/html"]
    progress.finish()
    progress.finish()
    assert cell.shown[4:] == [{}]


def test_outside_a_kernel_there_is_no_cell() -> None:
    """A script and a terminal get nothing that they did not ask for."""
    assert module.of_cell() is None
