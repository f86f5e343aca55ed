"""Several recordings of one incident become one trace: connections are found again, clocks are set, order is one.

Pure. What one vantage point cannot show another may; what two of them tell differently is a finding
(:func:`disagreements`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np
from msgspec.structs import replace

from chatkit.errors import InvalidInput
from chatkit.merging.clocks import Tie, rank, tie
from chatkit.merging.disagreeing import Disagreement, disagreements
from chatkit.merging.joining import NEAR, Groups, join_by_content, join_by_key, join_by_size, join_by_time
from chatkit.merging.rows import MergedRows
from chatkit.merging.sights import View
from chatkit.profile import Types
from chatkit.redact import DEFAULT
from chatkit.trace import Header, Origin, Trace, Vantage
from chatkit.visibility import NOT_VISIBLE

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGE = 100_000
"""Events from which on rows are made when they are asked for."""
_NAME = re.compile(r"[\w.-]{1,64}", re.ASCII)
_OWN = "merge: "
"""How remarks of the merge itself begin; those of the parts begin with the name of a vantage."""


def merge(*traces: Trace, names: Sequence[str | None] | None = None) -> Trace:
    """Several recordings of one incident as one trace, in the order of the first one's clock.

    A connection that several vantage points saw is one connection of the result. It is known by its
    ``Sec-WebSocket-Key``, else by what its frames say, else by their lengths, else by path and time. ``vantages`` in
    the header says what was added to each clock and how far off that may be; an event's id begins with the name of
    its vantage. A merged trace may be merged again: its vantages stand beside the others.

    Args:
        traces: the recordings; the first one's clock is the reference.
        names: what to call each vantage, ``None`` for a name from its format or file; letters, digits, ``._-``.

    Raises:
        InvalidInput: no trace is given, or names that cannot be names.

    >>> import chatkit
    >>> both = chatkit.merge(chatkit.load("client.log"), chatkit.load("server.pcap"), names=["client", "server"])
    >>> both.vantage_names
    ('client', 'server')
    >>> len(both.connections)
    3
    """
    if not traces:
        raise InvalidInput("nothing to merge", expected="at least one trace")
    views, remarks = _views(traces, _names(traces, names))
    if len(traces) == 1 and names is None:
        return traces[0]
    groups = Groups(views)
    join_by_key(groups)
    join_by_content(groups)
    join_by_size(groups)
    ties = _ties(groups)
    offsets = _offsets(views, ties)
    _set(views, offsets)
    join_by_time(groups, lambda a, b: _slack(views, offsets, a, b))
    late = _ties(groups, {pair for pair in _combinations(len(views)) if pair not in ties})
    if late:
        _set(views, offsets, -1)
        ties |= late
        offsets = _offsets(views, ties)
        _set(views, offsets)
    remarks += _remarks(views, groups, ties, offsets)
    return _assemble(views, groups, _placed(views, ties, offsets), remarks)


def _names(traces: Sequence[Trace], names: Sequence[str | None] | None) -> list[list[str]]:
    """Names of the vantages of each trace, all different."""
    given = list(names) if names is not None else [None] * len(traces)
    if len(given) != len(traces):
        raise InvalidInput("names do not fit", expected=f"{len(traces)}, one for each trace", got=given, where="names")
    for name in given:
        if name is not None and not (_NAME.fullmatch(name) and name != _OWN.rstrip(": ")):
            raise InvalidInput(
                "this cannot name a vantage", expected="letters, digits, dot, dash", got=name, where="names"
            )
    taken = [name for name in given if name is not None]
    if len(set(taken)) < len(taken):
        raise InvalidInput("names must differ", got=taken, where="names")
    taken += [name for trace in traces for name in trace.vantage_names]
    kinds = [_kind(trace) for trace in traces]
    used: set[str] = set()
    found = []
    for trace, name, kind in zip(traces, given, kinds, strict=True):
        if trace.vantage_names:
            mine = [_unused(one, used) for one in trace.vantage_names]
        elif name is not None:
            mine = [name]
        elif kinds.count(kind) == 1 and kind not in taken:
            mine = [_unused(kind, used)]
        else:
            mine = [_unused("-".join(filter(None, (kind, _stem(trace)))), used | set(taken))]
        used |= set(mine)
        found.append(mine)
    return found


def _kind(trace: Trace) -> str:
    return _as_name(trace.origin.format or trace.origin.kind) or "trace"


def _stem(trace: Trace) -> str:
    """Name of its file without folder and endings."""
    name = PurePath(DEFAULT.text(trace.origin.file or "")).name
    return _as_name(name.split(".")[0])


def _as_name(text: str) -> str:
    return re.sub(r"[^\w-]+", "-", text, flags=re.ASCII).strip("-")[:40]


def _unused(name: str, used: set[str]) -> str:
    candidates = (name if n == 1 else f"{name}-{n}" for n in range(1, len(used) + 2))
    return next(candidate for candidate in candidates if candidate not in used)


def _views(traces: Sequence[Trace], names: list[list[str]]) -> tuple[list[View], list[str]]:
    """The vantages of all traces, their times counted from the first one's epoch, and what is known against them."""
    views: list[View] = []
    remarks: list[str] = []
    base = traces[0].epoch
    for trace, mine in zip(traces, names, strict=True):
        header = trace.header
        if not header.vantages:
            vantage = Vantage(name=mine[0], origin=header.origin, not_visible=header.not_visible)
            views.append(View(vantage, trace, np.arange(len(trace)), trace.epoch - base))
            remarks += [f"{mine[0]}: {warning}" for warning in trace.warnings]
            continue
        for n, (old, name) in enumerate(zip(header.vantages, mine, strict=True)):
            places = np.flatnonzero(trace.vantage_code == n)
            views.append(View(replace(old, name=name), trace, places, trace.epoch - base - old.offset))
        renamed = dict(zip(trace.vantage_names, mine, strict=True))
        for warning in trace.warnings:
            name, colon, rest = warning.partition(": ")
            if not warning.startswith(_OWN):
                remarks.append(f"{renamed[name]}: {rest}" if colon and name in renamed else warning)
    return views, remarks


def _combinations(count: int) -> list[tuple[int, int]]:
    return [(a, b) for a in range(count) for b in range(a + 1, count)]


def _ties(groups: Groups, among: set[tuple[int, int]] | None = None) -> dict[tuple[int, int], Tie]:
    """What ties each pair of views."""
    found = {}
    for first, second in _combinations(len(groups.views)):
        if (among is None or (first, second) in among) and (one := tie(groups.pairs(first, second))) is not None:
            found[first, second] = one
    return found


def _offsets(views: list[View], ties: dict[tuple[int, int], Tie]) -> list[tuple[float, float | None]]:
    """What to add to each view's clock, and how far off that may be: over the surest ties to the first view."""
    known: dict[int, tuple[float, float]] = {_reference(views): (0.0, 0.0)}
    steps = [(a, b, tie.offset, tie.error) for (a, b), tie in ties.items()]
    steps += [(b, a, -offset, error) for a, b, offset, error in steps]
    while reachable := [
        (known[a][1] + error, b, known[a][0] + offset) for a, b, offset, error in steps if a in known and b not in known
    ]:
        error, view, offset = min(reachable)
        known[view] = (offset, error)
    found: list[tuple[float, float | None]] = [known.get(n, (_unknown(views, n), None)) for n in range(len(views))]
    return [
        (offset, error if view.sees("timing") else None) for view, (offset, error) in zip(views, found, strict=True)
    ]


def _reference(views: list[View]) -> int:
    """The first view that tells times."""
    return next((n for n, view in enumerate(views) if view.sees("timing")), 0)


def _unknown(views: list[View], n: int) -> float:
    """Clocks that nothing ties are taken as equal; one that tells no time begins with the reference."""
    here, reference = views[n], views[_reference(views)]
    if here.sees("timing") or not len(here) or not len(reference):
        return 0.0
    return float(reference.at[0] - here.at[0])


def _set(views: list[View], offsets: list[tuple[float, float | None]], sign: int = 1) -> None:
    for view, (offset, _) in zip(views, offsets, strict=True):
        view.move(sign * offset)


def _slack(views: list[View], offsets: list[tuple[float, float | None]], a: int, b: int) -> float:
    """Seconds by which one opening may differ between two views."""
    if not (views[a].sees("timing") and views[b].sees("timing")):
        return float("inf")
    errors = [offsets[n][1] for n in (a, b)]
    tied = [error for error in errors if error is not None]
    return max(views[a].grain, views[b].grain) + (NEAR if len(tied) < 2 else 0.5 + sum(tied))


def _placed(
    views: list[View], ties: dict[tuple[int, int], Tie], offsets: list[tuple[float, float | None]]
) -> list[Vantage]:
    """Vantages with their clocks and their places on the way from client to server."""
    nearer = {pair: one.nearer for pair, one in ties.items()}
    before = [
        [
            nearer.get((b, a), -nearer.get((a, b), 0)) or int(np.sign(rank(views[a]) - rank(views[b])))
            for b in range(len(views))
        ]
        for a in range(len(views))
    ]
    vantages = []
    for n, (view, (offset, error)) in enumerate(zip(views, offsets, strict=True)):
        told = [sign for m, sign in enumerate(before[n]) if m != n]
        place = sum(sign > 0 for sign in told) if told and all(told) else None
        vantages.append(replace(view.vantage, offset=round(offset, 6), offset_error=error, place=place))
    return vantages


def _remarks(
    views: list[View], groups: Groups, ties: dict[tuple[int, int], Tie], offsets: list[tuple[float, float | None]]
) -> list[str]:
    remarks = []
    for (a, b), one in ties.items():
        if one.doubt:
            remarks.append(f"{_OWN}the clocks of {views[a].name} and {views[b].name} are compared {one.doubt}")
    reference = _reference(views)
    for n, view in enumerate(views):
        if n == reference:
            continue
        shared = any(groups.pairs(min(n, m), max(n, m)) for m in range(len(views)) if m != n)
        if not shared:
            remarks.append(f"{_OWN}{view.name} shares no connection with the others; it stands beside them")
        if not view.sees("timing"):
            remarks.append(f"{_OWN}{view.name} tells no times; the places of its events are not evidence")
        elif offsets[n][1] is None:
            remarks.append(
                f"{_OWN}nothing ties the clock of {view.name} to that of {views[reference].name}: taken as equal"
            )
    return remarks


def _assemble(views: list[View], groups: Groups, vantages: list[Vantage], remarks: list[str]) -> Trace:
    offset = vantages[0].offset
    wall = np.concatenate([view.at for view in views])
    order = np.argsort(wall, kind="stable")
    source = np.repeat(np.arange(len(views), dtype=np.int16), [len(view) for view in views])[order]
    place = np.concatenate([view.places for view in views])[order]
    kind = np.concatenate([view.trace.kind[view.places] for view in views])[order]
    size = np.concatenate([view.trace.size[view.places] for view in views])[order]
    code, names = _connections(views, groups, order)
    start = float(wall[order[0]]) if len(order) else 0.0
    first = views[0]
    epoch = round(first.trace.epoch - first.vantage.offset - first.shift + offset + start, 6)
    at = np.round(wall[order] - start, 6)
    rows: Sequence[bytes] = MergedRows(views, source, place, at, kind, [name.encode() for name in names], code)
    if len(rows) < LARGE:
        rows = list(rows)
    return Trace(_header(views, vantages, epoch), rows, at, kind, code, size, names, tuple(remarks))


def _connections(
    views: list[View], groups: Groups, order: NDArray[np.int64]
) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """New code of each event's connection, in the order in which they appear, and the ids."""
    parts = []
    for view in views:
        group_of = np.full(len(view.trace.names) + 1, -1, np.int64)  # the last place is code -1: no connection
        for sight in view.sights:
            group_of[sight.code] = groups.number(sight)
        parts.append(group_of[view.trace.connection_code[view.places]])
    group = np.concatenate(parts)[order]
    present, first = np.unique(group, return_index=True)
    appearing = [int(present[i]) for i in np.argsort(first) if present[i] >= 0]
    new = np.full(len(groups.sights) + 1, -1, np.int32)
    new[appearing] = np.arange(len(appearing))
    return new[group], tuple(str(n + 1) for n in range(len(appearing)))


def _header(views: list[View], vantages: list[Vantage], epoch: float) -> Header:
    hidden = set.intersection(*(set(vantage.not_visible) for vantage in vantages))
    targets = [vantage.origin.target for vantage in vantages]
    types = [view.trace.header.types for view in views]
    return Header(
        origin=Origin(kind="merged", target=next((target for target in targets if target), None)),
        epoch=epoch,
        clock="wall",
        not_visible=tuple(word for word in NOT_VISIBLE if word in hidden),
        types=next((one for one in types if one != Types()), types[0]),
        vantages=tuple(vantages),
    )


__all__ = ["Disagreement", "disagreements", "merge"]
