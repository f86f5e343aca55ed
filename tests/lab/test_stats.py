"""What the lab counts."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields

import pytest

from chatkit.lab.hub import PeerInfo
from chatkit.lab.stats import Counters, LabStats


def test_a_snapshot_has_every_number() -> None:
    """Each counter under its own name, and who is connected."""
    names = [field.name for field in fields(Counters)]
    counters = Counters(**{name: n for n, name in enumerate(names)})
    ada = PeerInfo(connection_id="1", user="ada", bot_id="echo", opened_at=1.0)
    stats = counters.snapshot((ada,))
    assert [getattr(stats, name) for name in names] == list(range(len(names)))
    assert stats.peers == (ada,)
    assert {field.name for field in fields(LabStats)} == {*names, "peers"}


def test_a_snapshot_is_of_its_moment() -> None:
    """Counting on changes none that was taken."""
    counters = Counters()
    before = counters.snapshot(())
    counters.attempts += 1
    assert (before.attempts, counters.snapshot(()).attempts) == (0, 1)
    with pytest.raises(FrozenInstanceError):
        before.attempts = 3  # type: ignore[misc]
