"""What becomes of a message whose way failed: never sent twice where that could be seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.policy.carrying import fate


@pytest.mark.parametrize(
    ("status", "began", "idempotent", "expected"),
    [
        (None, False, False, "wait"),
        (None, False, True, "wait"),
        (None, True, False, "unknown"),
        (None, True, True, "again"),
        (429, True, False, "wait"),
        (503, True, False, "wait"),
        (408, True, False, "wait"),
        (425, True, False, "wait"),
        (500, False, False, "wait"),
        (502, False, True, "wait"),
        (403, False, False, "reject"),
        (500, True, False, "unknown"),
        (500, True, True, "again"),
        (502, True, False, "unknown"),
        (504, True, True, "again"),
        (400, True, True, "reject"),
        (403, True, False, "reject"),
        (413, True, True, "reject"),
        (302, True, False, "reject"),
        (200, True, False, "unknown"),
        (200, True, True, "unknown"),
    ],
)
def test_the_table(status: int | None, began: bool, idempotent: bool, expected: str) -> None:
    """By what answered, how far it got, and whether the backend knows what is sent again."""
    assert fate(status=status, began=began, idempotent=idempotent) == expected


@given(st.none() | st.integers(100, 599), st.booleans())
def test_a_backend_that_knows_no_ids_never_gets_it_twice(status: int | None, began: bool) -> None:
    """Only what certainly was not processed waits for another turn."""
    found = fate(status=status, began=began, idempotent=False)
    assert found != "again"
    if found == "wait":
        assert status in (408, 425, 429, 503) or not began
