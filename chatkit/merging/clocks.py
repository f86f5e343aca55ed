"""How far apart two vantage points' clocks are, told by what both saw.

A frame is seen first by the vantage point that is nearer to its sender. So what the client sent bounds the difference
of two clocks on one side, and what the server sent bounds it on the other: the truth lies between.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from chatkit.events import CloseReceived, CloseSent, Opened, UpgradeAnswered, UpgradeRequested
from chatkit.merging.aligning import sure
from chatkit.merging.sights import RECEIVED, SENT, Frames, Sight, View

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Times = NDArray[np.float64]

TRANSIT = 0.5
"""Seconds: where one direction alone ties two clocks, its way between them is taken to be no longer."""
_RANKS = {"har": 0, "netlog": 0, "console-log": 0, "live": 0, "cloudflare": 2, "nginx-access": 2, "nginx-error": 2}
_RANKS |= {"uvicorn-log": 3, "gunicorn-log": 3}
_MIDDLE = 1
"""Of a capture, a tap or a proxy, which may stand anywhere between."""


class Tie(NamedTuple):
    """What two vantage points' common sights tell of their clocks."""

    offset: float
    """Seconds to add to the second one's clock to get the first one's."""
    error: float
    nearer: int
    """1 where the second one is nearer to the server, -1 where it is nearer to the client, 0 where that is not told."""
    doubt: str = ""
    """Why the offset is less than an interval that holds the truth."""


def rank(view: View) -> int:
    """Where on the way from client (0) to server (3) a vantage of this format stands."""
    origin, hidden = view.vantage.origin, view.vantage.not_visible
    if origin.format == "websockets-log" and ("server-side" in hidden) != ("client-side" in hidden):
        return 0 if "server-side" in hidden else 3
    return _RANKS.get(origin.format or origin.kind, _MIDDLE)


def tie(pairs: Iterable[tuple[Sight, Sight]]) -> Tie | None:
    """What connections that two vantage points both saw tell of their clocks; ``None`` for nothing."""
    pairs = list(pairs)
    if not pairs:
        return None
    first, second = pairs[0][0].view, pairs[0][1].view
    sides = _differences(pairs, _frames)
    if not all(map(len, sides)):
        shaken = _differences(pairs, _handshake)
        sides = (np.concatenate((sides[0], shaken[0])), np.concatenate((sides[1], shaken[1])))
    order = np.sign(rank(second) - rank(first))
    grain = max(first.grain, second.grain)
    if all(map(len, sides)):
        return _enclosed(*sides, int(order), grain)
    one = sides[SENT] if len(sides[SENT]) else sides[RECEIVED]
    if not len(one):
        return None
    middle = float(np.median(one))
    spread = float(np.abs(one - middle).max())
    return Tie(middle, max(spread, TRANSIT) + grain, int(order), "by the median of what went one way only")


def _enclosed(sent: Times, received: Times, order: int, grain: float) -> Tie:
    """The interval that both directions leave; the order that contradicts itself less, where it is not known."""
    onward = (float(sent.max()), float(received.min()))
    back = (float(received.max()), float(sent.min()))
    if order == 0:
        gain = (onward[1] - onward[0]) - (back[1] - back[0])
        order = 0 if abs(gain) <= 2 * grain else 1 if gain > 0 else -1
        low, high = onward if gain >= 0 else back
    else:
        low, high = onward if order > 0 else back
    if low <= high + 2 * grain:
        low, high = min(low, high), max(low, high)
        return Tie((low + high) / 2, (high - low) / 2 + grain, order)
    middle = (float(np.median(sent)) + float(np.median(received))) / 2
    error = max(low - middle, middle - high, (low - high) / 2) + grain
    return Tie(
        middle, error, order, "by medians, because what went each way contradicts itself: a clock drifts or jumped"
    )


def _differences(pairs: list[tuple[Sight, Sight]], source: object) -> tuple[Times, Times]:
    """First clock minus second, of everything that went to the server, and of everything that came from it."""
    found: tuple[list[Times], list[Times]] = ([np.zeros(0)], [np.zeros(0)])
    for mine, theirs in pairs:
        for side, values in enumerate(source(mine, theirs)):  # type: ignore[operator]
            found[side].append(values)
    return np.concatenate(found[SENT]), np.concatenate(found[RECEIVED])


def _frames(mine: Sight, theirs: Sight) -> tuple[Times, Times]:
    sides: list[Times] = []
    for side, close in ((SENT, CloseSent), (RECEIVED, CloseReceived)):
        a, b = mine.contents[side], theirs.contents[side]
        if not (len(a.token) and len(b.token)):
            a, b = mine.sizes[side], theirs.sizes[side]
        values = [_of_pairs(a, b), _of_pairs(mine.controls[side], theirs.controls[side]), _gap(mine, theirs, close)]
        sides.append(np.concatenate(values))
    return sides[SENT], sides[RECEIVED]


def _handshake(mine: Sight, theirs: Sight) -> tuple[Times, Times]:
    answer = _gap(mine, theirs, UpgradeAnswered)
    return _gap(mine, theirs, UpgradeRequested), answer if len(answer) else _gap(mine, theirs, Opened)


def _of_pairs(a: Frames, b: Frames) -> Times:
    found = sure(a.token, b.token)
    return a.at[found.mine] - b.at[found.theirs]


def _gap(mine: Sight, theirs: Sight, kind: type) -> Times:
    a, b = mine.when(kind), theirs.when(kind)
    return np.zeros(0) if a is None or b is None else np.array([a - b])
