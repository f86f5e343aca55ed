"""Two clocks, and one for tests."""

from __future__ import annotations

import pytest

from chatkit.clock import Clock, ManualClock, iso_utc


def test_the_machines_clocks_run_forward() -> None:
    """Monotonic never backwards; wall is Unix time."""
    clock = Clock()
    one, other = clock.monotonic(), clock.monotonic()
    assert one <= other
    assert clock.wall() > 1_600_000_000


def test_a_manual_clock_moves_only_when_told() -> None:
    """Both readings, by the same seconds."""
    clock = ManualClock(monotonic=5.0, wall=100.0)
    assert (clock.monotonic(), clock.wall()) == (5.0, 100.0)
    clock.advance(2.5)
    clock.advance(0)
    assert (clock.monotonic(), clock.wall()) == (7.5, 102.5)


def test_a_manual_clock_can_be_set() -> None:
    """As when a machine's time is corrected: in both directions, and intervals do not notice."""
    clock = ManualClock(monotonic=5.0, wall=100.0)
    clock.jump(50)
    clock.jump(-120)
    assert (clock.monotonic(), clock.wall()) == (5.0, 30.0)


def test_a_manual_clock_refuses_to_run_backwards() -> None:
    """It says what it expected and got."""
    with pytest.raises(ValueError, match=r"expected seconds >= 0, got -1"):
        ManualClock().advance(-1)


@pytest.mark.parametrize(
    ("wall", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_764_000_000.4021, "2025-11-24T16:00:00.402Z"),
        (-1, "1969-12-31T23:59:59.000Z"),
    ],
)
def test_iso_utc(wall: float, text: str) -> None:
    """Milliseconds, and Z for UTC."""
    assert iso_utc(wall) == text
