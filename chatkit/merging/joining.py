"""Which connections of several vantage points are one: by key, by what the frames say, by how long they are, by time.

Two connections of one vantage point are never one, whatever they have in common.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from chatkit.merging.sights import Sight, View

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

SHARE = 0.5
"""Part of what is peculiar to a connection, at the vantage that saw less of it, that must be found at the other."""
GRAM = 4
"""Consecutive frames whose lengths together are peculiar enough to be compared."""
NEAR = 2.0
"""Seconds between two openings that may be one, where nothing ties the clocks."""


class Groups:
    """Sights that are one connection; grows by joining."""

    def __init__(self, views: list[View]) -> None:
        self.views = views
        self.sights = [sight for view in views for sight in view.sights]
        self._view_of = {id(view): n for n, view in enumerate(views)}
        self._members: dict[int, dict[int, Sight]] = {}
        self._group: dict[int, int] = {}
        for n, sight in enumerate(self.sights):
            self._members[n] = {self._view_of[id(sight.view)]: sight}
            self._group[id(sight)] = n

    def of(self, sight: Sight) -> dict[int, Sight]:
        """Sights of the same connection, by number of their view."""
        return self._members[self._group[id(sight)]]

    def number(self, sight: Sight) -> int:
        """A number that all sights of a connection share."""
        return self._group[id(sight)]

    def join(self, one: Sight, other: Sight) -> bool:
        """Makes them one; false where a vantage would have two of it."""
        a, b = self.number(one), self.number(other)
        if a == b:
            return True
        if self._members[a].keys() & self._members[b].keys():
            return False
        for view, sight in self._members.pop(b).items():
            self._members[a][view] = sight
            self._group[id(sight)] = a
        return True

    def pairs(self, first: int, second: int) -> list[tuple[Sight, Sight]]:
        """What two views both saw."""
        return [(group[first], group[second]) for group in self._members.values() if {first, second} <= group.keys()]


def join_by_key(groups: Groups) -> None:
    """A key is a nonce; one that a vantage point saw twice tells nothing there."""
    known: dict[str, Sight] = {}
    for view in groups.views:
        keys = Counter(sight.key for sight in view.sights)
        for sight in view.sights:
            if sight.key and keys[sight.key] == 1:
                groups.join(known.setdefault(sight.key, sight), sight)


def join_by_content(groups: Groups) -> None:
    """Messages that one connection alone carried, at each vantage point, vote for the pair."""
    _vote(groups, lambda sight: np.concatenate([frames.token for frames in sight.contents]), least=1)


def join_by_size(groups: Groups) -> None:
    """As by content, with runs of lengths, where a vantage point shows no more."""
    _vote(groups, _grams, least=2, hidden=True)


def join_by_time(groups: Groups, slack: Callable[[int, int], float]) -> None:
    """Connections that opened together on the same path, where nothing else fits either of them.

    Args:
        groups: what is joined so far.
        slack: seconds that two views' clocks may be apart.
    """
    timed = sorted((at, n, group) for n, group in groups._members.items() if (at := _moment(group)) is not None)
    fits: list[tuple[int, int]] = []
    widest = max((slack(a, b) for a in range(len(groups.views)) for b in range(a)), default=0.0)
    for place, (at, n, group) in enumerate(timed):
        for later, m, other in timed[place + 1 :]:
            if later - at > widest:
                break
            if _compatible(group, other, later - at, slack):
                fits.append((n, m))
    # Only a pair of which neither has another one to go with.
    counts = Counter(n for pair in fits for n in pair)
    for n, m in fits:
        if counts[n] == counts[m] == 1:
            groups.join(next(iter(groups._members[n].values())), next(iter(groups._members[m].values())))


def _moment(group: dict[int, Sight]) -> float | None:
    opened = [sight.began for sight in group.values() if sight.began is not None]
    ended = [sight.ended for sight in group.values() if sight.ended is not None]
    return min(opened or ended, default=None)


def _compatible(
    one: dict[int, Sight], other: dict[int, Sight], apart: float, slack: Callable[[int, int], float]
) -> bool:
    if one.keys() & other.keys() or apart > max(slack(a, b) for a in one for b in other):
        return False
    if any(sight.began is None for sight in one.values()) != any(sight.began is None for sight in other.values()):
        return False
    return all(_may_be_one(a, b) for a in one.values() for b in other.values())


def _may_be_one(one: Sight, other: Sight) -> bool:
    if one.path and other.path and one.path != other.path:
        return False
    if one.key and other.key and one.key != other.key:
        return False
    for mine, theirs in zip(one.contents, other.contents, strict=True):
        if len(mine.token) and len(theirs.token) and not np.isin(mine.token, theirs.token).any():
            return False
    return True


def _grams(sight: Sight) -> Numbers:
    """Runs of opcodes and lengths, of each direction."""
    found = [np.zeros(0, np.int64)]
    for frames in sight.sizes:
        tokens = frames.token.tolist()
        runs = [hash(tuple(tokens[i : i + GRAM])) for i in range(len(tokens) - GRAM + 1)]
        found.append(np.array(runs, np.int64))
    return np.concatenate(found)


def _vote(groups: Groups, tokens_of: Callable[[Sight], Numbers], *, least: int, hidden: bool = False) -> None:
    told = [_peculiar(view.sights, tokens_of) for view in groups.views]
    for first in range(len(groups.views)):
        for second in range(first + 1, len(groups.views)):
            a, b = groups.views[first], groups.views[second]
            if hidden and a.sees("payloads") and b.sees("payloads"):
                continue
            _elect(groups, (a, told[first]), (b, told[second]), least)


def _peculiar(sights: list[Sight], tokens_of: Callable[[Sight], Numbers]) -> tuple[Numbers, Numbers]:
    """Tokens that one connection of a view alone carries, sorted, and the number of that connection."""
    per_sight = [np.unique(tokens_of(sight)) for sight in sights]
    if not per_sight:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    owner = np.repeat(np.arange(len(sights)), [len(tokens) for tokens in per_sight])
    values, first, counts = np.unique(np.concatenate(per_sight), return_index=True, return_counts=True)
    return values[counts == 1], owner[first[counts == 1]].astype(np.int64)


def _elect(
    groups: Groups, one: tuple[View, tuple[Numbers, Numbers]], other: tuple[View, tuple[Numbers, Numbers]], least: int
) -> None:
    (a, (tokens_a, owner_a)), (b, (tokens_b, owner_b)) = one, other
    _, i, j = np.intersect1d(tokens_a, tokens_b, assume_unique=True, return_indices=True)
    votes = Counter(zip(owner_a[i].tolist(), owner_b[j].tolist(), strict=True))
    have_a, have_b = np.bincount(owner_a, minlength=len(a.sights)), np.bincount(owner_b, minlength=len(b.sights))
    best: dict[tuple[int, int], list[int]] = {}
    for (m, n), count in votes.items():
        for one_side in ((0, m), (1, n)):
            best.setdefault(one_side, []).append(count)
    for (m, n), count in votes.most_common():
        # The runner-up of each of the two, if it has one, must stay far behind.
        second = max(sorted(best[0, m])[-2:-1] + sorted(best[1, n])[-2:-1], default=0)
        if count >= max(least, SHARE * min(have_a[m], have_b[n]), 2 * second):
            groups.join(a.sights[m], b.sights[n])
