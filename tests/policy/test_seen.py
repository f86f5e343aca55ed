"""A bounded memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chatkit.policy.seen import Seen


def test_the_least_recently_used_goes_first() -> None:
    """Looking at an entry is using it."""
    seen: Seen[str, int] = Seen(most=2)
    seen.put("a", 1, 0)
    seen.put("b", 2, 1)
    assert seen.get("a", 2) == 1
    seen.put("c", 3, 3)
    assert [seen.get(key, 4) for key in "abc"] == [1, None, 3]


def test_entries_grow_old() -> None:
    """Where an age is set."""
    seen: Seen[str, int] = Seen(age=10)
    seen.put("a", 1, 0)
    assert (seen.get("a", 10), seen.get("a", 10.1), len(seen)) == (1, None, 0)


@given(st.lists(st.integers(0, 50)), st.integers(1, 10))
def test_it_never_grows_beyond_its_bound(keys: list[int], most: int) -> None:
    """And what was put last is there."""
    seen: Seen[int, int] = Seen(most=most)
    for at, key in enumerate(keys):
        seen.put(key, at, at)
        assert len(seen) <= most
        assert seen.get(key, at) == at
