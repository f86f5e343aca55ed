"""Arms on one axis: what became of each, in words, and where it is drawn."""

from __future__ import annotations

import itertools

import pytest

from chatkit.experiments.progress import ArmLine, Progress
from chatkit.views import arms
from tests.views.standings import ARMS, HOSTILE, RUNNING


def arm(**fields) -> ArmLine:
    """One of which the test says only what it is about."""
    return ArmLine(**({"id": "a", "connection": "1", "what": "", "state": "alive"} | fields))


@pytest.mark.parametrize(
    ("one", "told"),
    [
        (arm(state="alive", age=2.04), ("▸", "ok", "2.0 s, alive")),
        (arm(state="ended", age=5.0, ending="FIN by server"), ("✕", "bad", "5.0 s, FIN by server")),
        (arm(state="ended", age=5.0), ("✕", "bad", "5.0 s, ended")),
        (arm(state="closed", age=9.96), ("|", "dim", "10.0 s, closed by us")),
        (arm(state="refused", ending="HTTP 403"), ("✕", "remark", "refused: HTTP 403")),
        (arm(state="refused"), ("✕", "remark", "refused")),
        (arm(state="opening"), ("·", "dim", "opening")),
        (arm(state="waiting"), ("·", "dim", "waits")),
    ],
)
def test_fates(one: ArmLine, told: tuple[str, str, str]) -> None:
    """A shape, a tone, words: each says the same."""
    assert arms.fate(one) == told


def test_the_axis_grows_by_steps() -> None:
    """A lifeline moves by the second, the axis does not; when all is over, the last life decides."""
    assert [arms.horizon(Progress(stage="", elapsed=at, budget=90)) for at in (0, 4, 12, 14.2, 14.9, 100)] == [
        2, 5, 15, 15, 20, 120
    ]  # fmt: skip
    over = Progress(stage="", elapsed=90.0, budget=90, arms=(arm(opened=1.0, age=8.0),), done=True)
    assert arms.horizon(over) == 10


@pytest.mark.parametrize("end", [1.0, 5.0, 17.0, 59.0, 61.0, 600.0, 7000.0, 90_000.0, 1e6])
def test_the_axis_has_a_handful_of_marks(end: float) -> None:
    """Whatever its length."""
    assert 1 <= end / arms.step_of(end) <= 6


def test_places_are_shares_of_the_axis() -> None:
    """Life and acts; nothing for an arm that never opened."""
    ping = arm(opened=2.0, age=6.0, acts=(1.0, 4.0))
    assert arms.life(ping, 10.0) == (0.2, 0.8)
    assert arms.acts(ping, 10.0) == pytest.approx([0.3, 0.6])
    assert arms.life(arm(state="refused"), 10.0) is None


def test_acts_that_lie_close_are_one_mark() -> None:
    """Two hundred pings need no two hundred marks."""
    busy = arm(opened=0.0, age=100.0, acts=tuple(n / 10 for n in range(1000)))
    places = arms.acts(busy, 100.0)
    assert 100 <= len(places) <= 1 / arms.SPACING + 1
    assert min(b - a for a, b in itertools.pairwise(places)) >= arms.SPACING


def test_of_many_arms_the_living_are_drawn() -> None:
    """Then the latest; the order stays; the rest is counted."""
    many = [arm(id=str(n), state="alive" if n < 3 else "ended") for n in range(40)]
    shown, rest = arms.chosen(many)
    assert [one.id for one in shown] == ["0", "1", "2", *map(str, range(23, 40))]
    assert rest == 20
    assert arms.chosen(ARMS) == (list(ARMS), 0)


def test_figures_that_are_none() -> None:
    """Nothing is drawn outside."""
    end = arms.horizon(HOSTILE)
    assert 0 < end < float("inf")
    for one in HOSTILE.arms:
        place = arms.life(one, end)
        assert place is None or 0 <= place[0] <= place[1] <= 1
        assert all(0 <= at <= 1 for at in arms.acts(one, end))
    assert arms.horizon(RUNNING) == 15
