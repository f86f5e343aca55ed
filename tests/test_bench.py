"""The benchmarks can be run: each is a module that does nothing when it is imported; and what they find is written down."""

from __future__ import annotations

import importlib
from pathlib import Path

import msgspec
import pytest

from tests.bench.__main__ import BENCHES, about, measure
from tests.bench.results import Measure, measured, merge, section, table

NOT_A_BENCH = {"results"}
MODULES = sorted({path.stem for path in (Path(__file__).parent / "bench").glob("[a-z]*.py")} - NOT_A_BENCH)


@pytest.mark.parametrize("name", MODULES)
def test_a_benchmark_keeps_the_contract(name: str) -> None:
    """Importing starts nothing; ``main`` runs it alone, ``rows`` is what ``make bench`` asks for; it says what it claims."""
    module = importlib.import_module(f"tests.bench.{name}")
    assert callable(module.main)
    assert callable(module.rows)
    assert about(name)


def test_every_benchmark_is_listed() -> None:
    """One that nobody runs measures nothing."""
    assert sorted(BENCHES) == MODULES


def test_frames_of_the_sender_are_as_long_as_they_say() -> None:
    """The message sizes in the table are those on the wire."""
    from tests.bench.recording import SIZES, frame, message

    for size in SIZES:
        assert len(message(size)) == size
        assert len(frame(message(size))) == size + (2 if size < 126 else 4)


@pytest.mark.parametrize(
    ("values", "bounds", "met", "target"),
    [
        ([0.6, 0.7, 0.9], {"least": 0.7}, True, "≥ 0.70 ×"),
        ([0.6, 0.69, 0.9], {"least": 0.7}, False, "≥ 0.70 ×"),
        ([1.2, 1.3], {"most": 1.25}, True, "≤ 1.25 ×"),
        ([1.26], {"most": 1.25}, False, "≤ 1.25 ×"),
        ([0.5], {"least": 0.7, "most": 1.0}, False, "≥ 0.70 ×, ≤ 1.00 ×"),
        ([0.9], {}, None, ""),
    ],
)
def test_the_median_meets_its_target_or_misses_it(
    values: list[float], bounds: dict[str, float], met: bool | None, target: str
) -> None:
    """A control has no target."""
    one = measured("a thing", values, **bounds)
    assert one.met is met
    assert one.target == target


def test_a_line_shows_median_spread_and_verdict() -> None:
    """As Markdown."""
    lines = table([measured("speed", [0.5, 0.9, 0.6], against="bare", least=0.7)]).splitlines()
    assert [cell.strip() for cell in lines[2].strip("|").split("|")] == [
        "speed", "bare", "0.60 ×", "0.50 – 0.90", "≥ 0.70 ×", "**missed**",
    ]  # fmt: skip


def test_a_section_replaces_its_older_self_only() -> None:
    """Benchmarks that did not run now keep what they found; the order is the list's; what is not listed goes."""
    parts = {name: section(name, f"About {name}.", "nothing") for name in ("b", "a", "gone")}
    before = merge("", parts, ["a", "b", "gone"])
    after = merge(before, {"b": section("b", "About b.", "something", "a log", "today")}, ["a", "b"])
    assert [line for line in after.splitlines() if line.startswith("## ")] == ["## a", "## b"]
    assert "nothing" in after.split("## b")[0]
    assert "something" in after.split("## b")[1]
    assert "nothing" not in after.split("## b")[1]
    assert merge(after, {}, ["a", "b"]) == after


def _bench(monkeypatch: pytest.MonkeyPatch, folder: Path, body: str) -> None:
    """A benchmark called ``made``, which a child process finds before the others."""
    (folder / "sitecustomize.py").write_text(
        "import sys, types\nfrom tests.bench.results import CannotRun, measured\n"
        f"made = types.ModuleType('made')\n{body}\nmade.rows = rows\nsys.modules['tests.bench.made'] = made\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{Path(__file__).parents[1]}")


def test_a_benchmark_runs_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its measures and what it printed come back."""
    _bench(monkeypatch, tmp_path, "def rows():\n    print('meanwhile')\n    return [measured('x', [1.0, 3.0])]")
    found, log, broke = measure("made", 30)
    assert found == [measured("x", [1.0, 3.0])]
    assert msgspec.json.decode(msgspec.json.encode(found), type=list[Measure]) == found
    assert (log, broke) == ("meanwhile\n", False)


@pytest.mark.parametrize(
    ("body", "limit", "said", "broken"),
    [
        (
            "def rows():\n    raise CannotRun('tshark is not installed')",
            30,
            "Did not run: tshark is not installed.",
            False,
        ),
        ("def rows():\n    raise ValueError('no such thing')", 30, "Broke: ValueError: no such thing", True),
        ("def rows():\n    import time\n    time.sleep(600)", 1, "Broke: it was not done within 1 s.", True),
    ],
)
def test_a_benchmark_that_gives_no_figures_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, body: str, limit: float, said: str, broken: bool
) -> None:
    """Something is missing, something failed, or the time was over."""
    _bench(monkeypatch, tmp_path, body)
    found, _, broke = measure("made", limit)
    assert (found, broke) == (said, broken)


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
