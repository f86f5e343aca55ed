"""Two sequences of one direction's frames laid beside each other: which frame of one is which of the other."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]


class Pairs(NamedTuple):
    """Places in one sequence and in the other that belong together, ascending in both."""

    mine: Numbers
    theirs: Numbers

    def __len__(self) -> int:
        return len(self.mine)


def sure(mine: Numbers, theirs: Numbers) -> Pairs:
    """Pairs that cannot be mistaken: tokens that stand once in each sequence; all, where the sequences are equal."""
    if len(mine) == len(theirs) and (mine == theirs).all():
        every = np.arange(len(mine))
        return Pairs(every, every)
    found = _once_in_both(mine, theirs)
    order = np.argsort(found.mine)
    keep = _rising(found.theirs[order])
    return Pairs(found.mine[order][keep], found.theirs[order][keep])


def align(mine: Numbers, theirs: Numbers) -> Pairs:
    """The longest agreement in order that is found in about linear time.

    Equal stretches grow from both ends and around tokens that stand once in each sequence; what lies between two of
    them is taken in order as it comes.
    """
    anchors = sure(mine, theirs)
    left: list[int] = []
    right: list[int] = []
    a = b = 0
    for stop_a, stop_b in [*zip(anchors.mine.tolist(), anchors.theirs.tolist(), strict=True), (len(mine), len(theirs))]:
        for i, j in _between(mine, theirs, a, stop_a, b, stop_b):
            left.append(i)
            right.append(j)
        if stop_a < len(mine) and stop_b < len(theirs):
            left.append(stop_a)
            right.append(stop_b)
        a, b = stop_a + 1, stop_b + 1
    return Pairs(np.array(left, np.int64), np.array(right, np.int64))


def _once_in_both(mine: Numbers, theirs: Numbers) -> Pairs:
    tokens = []
    for sequence in (mine, theirs):
        values, first, counts = np.unique(sequence, return_index=True, return_counts=True)
        tokens.append((values[counts == 1], first[counts == 1]))
    _, i, j = np.intersect1d(tokens[0][0], tokens[1][0], assume_unique=True, return_indices=True)
    return Pairs(tokens[0][1][i].astype(np.int64), tokens[1][1][j].astype(np.int64))


def _rising(values: Numbers) -> Numbers:
    """Places of a longest rising subsequence."""
    tops: list[int] = []
    ends: list[int] = []
    before: list[int] = []
    for place, value in enumerate(values.tolist()):
        n = bisect_left(tops, value)
        if n == len(tops):
            tops.append(value)
            ends.append(place)
        else:
            tops[n], ends[n] = value, place
        before.append(ends[n - 1] if n else -1)
    found, place = [], ends[-1] if ends else -1
    while place >= 0:
        found.append(place)
        place = before[place]
    return np.array(found[::-1], np.int64)


def _between(mine: Numbers, theirs: Numbers, a: int, stop_a: int, b: int, stop_b: int) -> list[tuple[int, int]]:
    """Pairs of two stretches without a sure one: from the front, from the back, then what is left, in order."""
    front = []
    while a < stop_a and b < stop_b and mine[a] == theirs[b]:
        front.append((a, b))
        a, b = a + 1, b + 1
    back = []
    while a < stop_a and b < stop_b and mine[stop_a - 1] == theirs[stop_b - 1]:
        stop_a, stop_b = stop_a - 1, stop_b - 1
        back.append((stop_a, stop_b))
    places: dict[int, list[int]] = {}
    for j in range(stop_b - 1, b - 1, -1):
        places.setdefault(int(theirs[j]), []).append(j)
    reached = b
    for i in range(a, stop_a):
        waiting = places.get(int(mine[i]), [])
        while waiting and waiting[-1] < reached:
            waiting.pop()
        if waiting:
            front.append((i, waiting[-1]))
            reached = waiting.pop() + 1
    return front + back[::-1]
