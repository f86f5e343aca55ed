"""The benchmarks can be run: each is a module with a ``main`` and does nothing when it is imported."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

BENCHES = sorted(path.stem for path in (Path(__file__).parent / "bench").glob("[a-z]*.py"))


@pytest.mark.parametrize("name", BENCHES)
def test_a_benchmark_has_a_main(name: str) -> None:
    """Importing starts nothing; ``main`` is what the command runs."""
    assert callable(importlib.import_module(f"tests.bench.{name}").main)


def test_frames_of_the_sender_are_as_long_as_they_say() -> None:
    """The message sizes in the table are those on the wire."""
    from tests.bench.recording import SIZES, frame, message

    for size in SIZES:
        assert len(message(size)) == size
        assert len(frame(message(size))) == size + (2 if size < 126 else 4)


def test_a_latency_ends_with_the_first_picture_that_reaches_the_event() -> None:
    """What no picture reached has none."""
    from tests.bench.ui import latencies

    pictures = [[10.10, 10.0], [10.30, 10.2]]
    assert latencies([9.9, 10.0, 10.1, 10.2, 10.3], pictures) == pytest.approx([200, 100, 200, 100])
    assert latencies([1.0], []) == []


@pytest.mark.parametrize(("share", "value"), [(0.0, 1), (0.5, 3), (0.95, 5), (1.0, 5)])
def test_a_quantile_is_one_of_the_values(share: float, value: int) -> None:
    """Of five, the 95th percentile is the largest."""
    from tests.bench.ui import quantile

    assert quantile([5, 3, 1, 4, 2], share) == value
    assert quantile([7], share) == 7


def test_what_was_missed_is_said_with_its_cap() -> None:
    """Beside what finished, and without a ratio where one side has no number."""
    from tests.bench.ui import Missed, line, told

    assert told([Missed(120)], "s") == "did not finish in 120 s"
    assert told([1.0, Missed(60), 3.0], "s", 1) == "2.0 s [1.0 - 3.0], 1 of 3 did not finish in 60 s"
    assert line("paint", [2.0], [9.0], "s").endswith("4.5 x")
    assert line("paint", [2.0], [Missed(60)], "s").endswith("-")


def test_only_what_is_late_counts_as_missed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A benchmark that is broken ends; a cell that failed is told."""
    from unittest.mock import MagicMock

    from playwright.sync_api import Error

    from tests.bench import ui

    page = MagicMock(errors=MagicMock(return_value=[]))
    monkeypatch.setattr(ui, "start_jupyter", lambda *arguments: 1)
    monkeypatch.setattr(ui, "open_page", lambda *arguments: page)

    def turn(error: Exception) -> object:
        return ui.Bench(MagicMock(), tmp_path).turn([], MagicMock(side_effect=error))

    assert [turn(error).cap for error in (ui.Late("60 s"), ui.Missed(120))] == [ui.CAP, 120]  # type: ignore[attr-defined]
    with pytest.raises(Error, match="crashed"):
        turn(Error("the page crashed"))
    page.errors.return_value = ["NameError: trace"]
    with pytest.raises(RuntimeError, match="NameError"):
        turn(ui.Missed(60))
