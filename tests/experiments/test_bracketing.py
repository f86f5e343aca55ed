"""Quiets to try between one that was survived and one that was not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.experiments.bracketing import CLOSE, CLOSE_SHARE, MOST, quiet, quiets


@pytest.mark.parametrize(("survived", "fatal"), [(None, 9.0), (4.0, None), (9.0, 4.0), (0.0, 4.0), (5.8, 6.1)])
def test_nothing_to_try(survived, fatal) -> None:
    """Where there is no bracket, or it is close."""
    assert quiets(survived, fatal, 6) == ()


@given(truth=st.floats(1.0, 400.0), low=st.floats(0.05, 0.95), high=st.floats(1.05, 3.0), room=st.integers(2, 12))
def test_rounds_close_in_on_the_truth(truth, low, high, room) -> None:
    """However wide the first bracket is, it shrinks, holds the truth, and ends close to it."""
    survived, fatal = truth * low, truth * high
    for _ in range(12):
        tried = quiets(survived, fatal, room)
        assert len(tried) <= MOST
        if not tried:
            break
        assert all(survived < one < fatal for one in tried)
        survived = max([survived, *(one for one in tried if one < truth)])
        fatal = min([fatal, *(one for one in tried if one >= truth)])
    assert fatal - survived <= max(CLOSE, CLOSE_SHARE * fatal)
    assert survived <= truth <= fatal


def test_an_arm() -> None:
    """Silent, one ping, and gone when TCP has shown whether it is heard."""
    arm = quiet(5.25)
    assert [(one.what, one.at) for one in arm.doings] == [("protocol-ping", 5.25)]
    assert arm.until is not None
    assert arm.until > 5.25 + 3
