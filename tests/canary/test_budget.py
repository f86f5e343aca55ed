"""What goes first, and how many are permitted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chatkit.canary.budget import Allowance, File, evict

FILES = st.lists(
    st.builds(File, path=st.text(max_size=5), size=st.integers(0, 1000), at=st.floats(0, 1e9)), max_size=20
)


@given(FILES, st.integers(-10, 5000))
def test_the_rest_is_within_the_bound_and_nothing_goes_for_nothing(files: list[File], limit: int) -> None:
    """The oldest go, as few as must."""
    gone = evict(files, limit)
    rest = sorted(files, key=lambda file: (file.at, file.path))[len(gone) :]
    assert sum(file.size for file in rest) <= max(limit, 0) or not rest
    assert gone == sorted(files, key=lambda file: (file.at, file.path))[: len(gone)]
    if gone:
        assert sum(file.size for file in [gone[-1], *rest]) > limit


def test_a_quarter_at_once_then_at_the_rate() -> None:
    """Twenty a minute: five at once, then one every three seconds."""
    allowance = Allowance(20)
    assert [allowance.take(100.0) for _ in range(6)] == [True] * 5 + [False]
    assert not allowance.take(102.0)
    assert allowance.take(103.1)
    assert not allowance.take(103.2)


def test_nothing_is_permitted() -> None:
    """Zero is none."""
    assert not Allowance(0).take(1e9)
