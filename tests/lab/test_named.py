"""A lab per name."""

from __future__ import annotations

import httpx

from chatkit.lab import start_lab
from chatkit.lab.server import LabState


def test_a_lab_of_the_same_name_replaces_the_one_before_it() -> None:
    """A cell that is run again closes the old lab first; another name lives beside it."""
    first = start_lab()
    other = start_lab("other", faults=["slow-reply:delay=1"])
    second = start_lab()
    try:
        assert first.state is LabState.CLOSED
        for lab in (second, other):
            assert httpx.get(f"{lab.url}/health", trust_env=False).json() == {"status": "healthy"}
        assert str(other.faults[0]) == "slow-reply:delay=1"
    finally:
        second.close()
        other.close()
