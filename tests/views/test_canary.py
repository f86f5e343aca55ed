"""The canary's card: escaped, bounded, its changes said."""

from __future__ import annotations

from pathlib import Path

from chatkit.canary.changes import Change, Level
from chatkit.canary.state import State, TargetState
from chatkit.canary.watched import Watched
from chatkit.views.canary import MOST_TARGETS, card, plot_latency


def seen(*names: str) -> Watched:
    """Targets with a change and some round trips each."""
    before, after = Level(value=0.02, low=0.01, high=0.03, n=50), Level(value=0.2, low=0.1, high=0.3, n=30)
    change = Change(what="latency", direction="worse", at=150.0, seen_at=160.0, before=before, after=after, score=1e-9)
    state = State(at=200.0)
    for name in names:
        target = TargetState(since=100.0, opened=2, changes=[change])
        for n in range(20):
            target.latency.add(100.0 + n, 0.02)
        state.targets[name] = target
    return Watched(Path(), state, [], ("<b>a note</b>",))


def test_the_card() -> None:
    """One line a target; nothing of a name is markup."""
    shown = card(seen("<script>", "eu"))
    assert "<script>" not in shown
    assert "<b>a note" not in shown
    assert "latency got worse: median 20" in shown
    assert "data-tone='bad'" in shown


def test_many_targets() -> None:
    """The rest is counted."""
    assert "and 3 targets" in card(seen(*(f"t{n}" for n in range(MOST_TARGETS + 3))))


def test_round_trips() -> None:
    """A trace a target, a line at the change."""
    figure = plot_latency(seen("a", "b"))
    assert [trace.name for trace in figure.data] == ["a", "b"]
    assert len(figure.layout.shapes) == 2
