"""The lives of a trace's connections as columns: how long, how it ended, and how quiet it was before; pure.

Quiet time is counted per kind of activity, because a limit counts one kind: any byte, only the server's, only messages.
A timer of quiet starts with the opening, so a life without activity of a kind was quiet since it opened.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from msgspec import Struct

from chatkit.ending import Connection, Ending
from chatkit.errors import InvalidInput
from chatkit.events import (
    KIND_CODE,
    Event,
    FrameReceived,
    FrameSent,
    OpaqueReceived,
    OpaqueSent,
    PingReceived,
    PingSent,
    PongReceived,
    PongSent,
    message_type,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chatkit.trace import Trace

ACTIVITY: dict[str, tuple[type[Event], ...]] = {
    "any": (
        FrameSent, FrameReceived, PingSent, PingReceived, PongSent, PongReceived, OpaqueSent, OpaqueReceived,
    ),
    "inbound": (FrameReceived, PingReceived, PongReceived, OpaqueReceived),
    "outbound": (FrameSent, PingSent, PongSent, OpaqueSent),
    "data-frames": (FrameSent, FrameReceived),
    "app-ping": (FrameSent,),
    "protocol-ping": (PingSent, PingReceived, PongSent, PongReceived),
}  # fmt: skip
"""Kinds of activity, in the words of ``parameters.counts``, and their events; an app ping is one by its type too."""

_CLEAN = (1000, 1001, 1005)


SHORTEST_GAP = 0.5
"""Seconds; shorter stretches of quiet are traffic, and no timer that anybody would set."""


class Gaps(NamedTuple):
    """Stretches of quiet that ended no life, of half a second or more."""

    life: NDArray[np.int64]
    """Whose: index into the columns of :class:`Lives`."""
    seconds: NDArray[np.float64]


class Lives(Struct, frozen=True, kw_only=True, eq=False):
    """Connections that opened, one entry each in every column."""

    id: tuple[str, ...]
    cohort: tuple[str, ...]
    epoch: float
    """Unix time that ``opened`` and ``end`` count from, seconds."""
    opened: NDArray[np.float64]
    """Seconds since the epoch; NaN where the evidence begins later."""
    end: NDArray[np.float64]
    """Seconds since the epoch: of the end, or of the last look at a life that goes on."""
    age: NDArray[np.float64]
    """Seconds from open to ``end``; NaN where the opening is not known."""
    died: NDArray[np.bool_]
    """Whether it ended against the client's will; the others are censored: they would have lived on."""
    code: NDArray[np.int32]
    """Close code as an API reports it, -1 where there is none or it is not visible."""
    idle: dict[str, NDArray[np.float64]]
    """By kind of activity: seconds from its last one (or the opening) to ``end``. Only kinds that can be told about."""
    survived: dict[str, NDArray[np.float64]]
    """By kind: the longest quiet, in seconds, that did not end the life; 0 for none."""
    gaps: dict[str, Gaps]
    """By kind: all of them, for a limit must have spared each."""

    def __len__(self) -> int:
        return len(self.id)

    @property
    def end_wall(self) -> NDArray[np.float64]:
        """Unix time of each end, seconds."""
        return self.epoch + self.end

    @property
    def cohorts(self) -> tuple[str, ...]:
        """Their names, in the order of first appearance."""
        return tuple(dict.fromkeys(self.cohort))

    def of(self, cohort: str) -> Lives:
        """The lives of one cohort."""
        return self.where(np.array([name == cohort for name in self.cohort], np.bool_))

    def where(self, keep: NDArray[np.bool_]) -> Lives:
        """The lives for which ``keep`` is true."""
        places = np.flatnonzero(keep)
        new = np.cumsum(keep) - 1
        return Lives(
            id=tuple(self.id[i] for i in places),
            cohort=tuple(self.cohort[i] for i in places),
            epoch=self.epoch,
            opened=self.opened[places],
            end=self.end[places],
            age=self.age[places],
            died=self.died[places],
            code=self.code[places],
            idle={kind: column[places] for kind, column in self.idle.items()},
            survived={kind: column[places] for kind, column in self.survived.items()},
            gaps={
                kind: Gaps(new[g.life[kept]], g.seconds[kept])
                for kind, g in self.gaps.items()
                for kept in (keep[g.life],)
            },
        )

    def __str__(self) -> str:
        return f"{len(self):,} lives, {int(self.died.sum()):,} ended against the client's will"


def lives(trace: Trace, by: str | Callable[[Connection], str] | None = None) -> Lives:
    """The connections of a trace that opened.

    Args:
        trace: where they are.
        by: what makes a cohort: ``url``, ``code`` (close code), ``vantage``, ``extensions``, or a function of the
            connection; ``None``: all are one.

    Raises:
        InvalidInput: there is no such way of making cohorts.
    """
    name = _cohorts(by)
    found = [one for one in trace.connections if one.state in ("open", "ended")]
    opened = np.array([_opened(one) for one in found], np.float64)
    end = np.array([one.ending.at if one.ending is not None else one.last_at for one in found], np.float64)
    died = np.array([one.ending is not None and against_our_will(one.ending) for one in found], np.bool_)
    codes = [one.ending.close_code if one.ending is not None else None for one in found]
    quiet = _quiet(trace, tuple(one.id for one in found), opened, end, died)
    return Lives(
        id=tuple(one.id for one in found),
        cohort=tuple(name(one) for one in found),
        epoch=trace.epoch,
        opened=opened,
        end=end,
        age=end - opened,
        died=died,
        code=np.array([-1 if code is None else code for code in codes], np.int32),
        idle={kind: one.idle for kind, one in quiet.items()},
        survived={kind: one.survived for kind, one in quiet.items()},
        gaps={kind: one.gaps for kind, one in quiet.items()},
    )


def _cohorts(by: str | Callable[[Connection], str] | None) -> Callable[[Connection], str]:
    ways: dict[str | None, Callable[[Connection], str]] = {
        None: lambda one: "",
        "url": lambda one: one.url or "",
        "code": lambda one: str(one.ending.close_code) if one.ending is not None else "open",
        "vantage": lambda one: " ".join(one.vantages),
        "extensions": lambda one: one.extensions or "no extension",
    }
    if callable(by):
        return by
    if by not in ways:
        raise InvalidInput("no such cohorts", expected="url, code, vantage, extensions or a function", got=by)
    return ways[by]


def _opened(one: Connection) -> float:
    if one.opened_at is not None:
        return one.opened_at
    # Of an opaque connection TCP's own opening is known.
    return one.ending.at - one.ending.age if one.ending is not None and one.ending.age is not None else np.nan


def against_our_will(ending: Ending) -> bool:
    """A clean close that nobody is known to have begun is taken for a goodbye."""
    if ending.first == "server":
        return True
    cut = ending.transport is not None and ending.transport.how == "local"
    if ending.first == "client":
        # A client that sends 1009 or 1011 gives up on something; cutting the wire is its own wish.
        return ending.close is not None and ending.close_code not in _CLEAN
    return not ending.clean and not cut


class _Quiet(NamedTuple):
    """The columns of one kind of activity."""

    idle: NDArray[np.float64]
    survived: NDArray[np.float64]
    gaps: Gaps


def _quiet(
    trace: Trace,
    ids: tuple[str, ...],
    opened: NDArray[np.float64],
    end: NDArray[np.float64],
    died: NDArray[np.bool_],
) -> dict[str, _Quiet]:
    """By kind of activity. All activity is sorted once, by life and time; each kind is a part of it."""
    numbers = {name: n for n, name in enumerate(ids)}
    # One place more: code -1 is the last one.
    life_of = np.array([*(numbers.get(name, -1) for name in trace.names), -1], np.int64)
    life = life_of[trace.connection_code]
    place = np.flatnonzero(np.isin(trace.kind, _codes("any")) & (life >= 0))
    place = place[trace.at[place] <= end[life[place]]]
    place = place[np.lexsort((trace.at[place], life[place]))]
    found = {}
    for kind in ACTIVITY:
        mine = place[np.isin(trace.kind[place], _codes(kind))]
        if kind == "app-ping":
            mine = mine[_app_pings(trace, mine)]
        if len(mine) or kind in ("any", "inbound", "outbound"):  # what never came tells of no timer for it
            found[kind] = _spans(life[mine], trace.at[mine], opened, end, died)
    return found


def _codes(kind: str) -> list[int]:
    return [KIND_CODE[one] for one in ACTIVITY[kind]]


def _app_pings(trace: Trace, places: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of these rows are the client's application pings; few rows contain the word, so few are looked at."""
    ping = trace.header.types.send_ping
    word = ping.encode()
    rows = map(trace.rows.__getitem__, places.tolist())
    return np.array([word in row and message_type(row) == ping for row in rows], np.bool_)


def _spans(
    life: NDArray[np.int64],
    at: NDArray[np.float64],
    opened: NDArray[np.float64],
    end: NDArray[np.float64],
    died: NDArray[np.bool_],
) -> _Quiet:
    """Of activity sorted by life and time: the last quiet stretch, and those that were survived."""
    before = np.concatenate((at[:1], at[:-1]))
    first = np.ones(len(life), np.bool_)
    first[1:] = life[1:] != life[:-1]
    before[first] = opened[life[first]]
    last = opened.copy()
    np.fmax.at(last, life, at)
    idle = np.maximum(end - last, 0.0)
    seconds = np.concatenate((at - before, idle[~died]))
    owner = np.concatenate((life, np.flatnonzero(~died)))
    survived = np.zeros(len(opened))
    np.fmax.at(survived, owner, seconds)
    long = seconds >= SHORTEST_GAP
    return _Quiet(idle, survived, Gaps(owner[long], seconds[long]))
