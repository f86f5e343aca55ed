"""Two sequences beside each other: nothing is paired that differs, order holds, what is missing stays alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from chatkit.merging.aligning import align, sure


def numbers(values: list[int]) -> np.ndarray:
    return np.array(values, np.int64)


SEQUENCE = st.lists(st.integers(0, 6), max_size=40)


@given(SEQUENCE, SEQUENCE)
def test_what_holds_of_any_two_sequences(mine: list[int], theirs: list[int]) -> None:
    """Pairs are equal, ascend on both sides, and swap with the arguments' sides in number only where order allows."""
    for found in (align(numbers(mine), numbers(theirs)), sure(numbers(mine), numbers(theirs))):
        assert [mine[i] for i in found.mine] == [theirs[j] for j in found.theirs]
        assert (np.diff(found.mine) > 0).all()
        assert (np.diff(found.theirs) > 0).all()


@given(st.lists(st.integers(-(2**63), 2**63 - 1), unique=True, max_size=60), st.data())
def test_a_part_is_found_whole(whole: list[int], data: st.DataObject) -> None:
    """Of different frames every one that is there is paired, whatever is missing between."""
    keep = [value for value in whole if data.draw(st.booleans())]
    found = align(numbers(whole), numbers(keep))
    assert [whole[i] for i in found.mine] == keep
    assert len(sure(numbers(whole), numbers(keep))) == len(keep)


@given(st.integers(0, 30), st.integers(0, 30))
def test_frames_that_look_alike(a: int, b: int) -> None:
    """As many pairs as there can be; sure ones only if both have all."""
    assert len(align(numbers([7] * a), numbers([7] * b))) == min(a, b)
    assert len(sure(numbers([7] * a), numbers([7] * b))) == (a if a == b else 0)


def test_alike_frames_around_a_different_one() -> None:
    """The different one holds its neighbours in place: the pair before it is lost, not the one after."""
    found = align(numbers([7, 7, 1, 7, 7]), numbers([7, 1, 7, 7]))
    assert list(zip(found.mine.tolist(), found.theirs.tolist(), strict=True)) == [(0, 0), (2, 1), (3, 2), (4, 3)]
