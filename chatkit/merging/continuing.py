"""Recordings made one after the other, by a process that was started again, become one trace; pure.

Nothing is joined here but time: what one recording saw, no other did. Several vantages of one incident are ``merge``'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from chatkit.ending import Connection
from chatkit.errors import InvalidInput
from chatkit.events import EndReported, Event, RecordingEnded
from chatkit.trace import Trace, TraceBuilder

JOINED = "recordings made one after the other are joined by the wall clock"
TOLD_BY = "the recording's end"


def continued(traces: Sequence[Trace]) -> Trace:
    """The recordings as one, the oldest first; it may go on (``Recorder(before=…)``).

    The epoch is the oldest one's. Times between two recordings are as good as the wall clock and never run backwards.
    Events and connections get new, dense numbers. A connection whose end a killed process could not record ended with
    that process at the latest: the result says so, by an ``EndReported`` that tells no time.

    Raises:
        InvalidInput: no trace is given.
    """
    if not traces:
        raise InvalidInput("nothing to continue", expected="at least one trace")
    ordered = sorted(traces, key=lambda trace: trace.epoch + (float(trace.at[0]) if len(trace) else 0.0))
    builder = TraceBuilder(ordered[0].header)
    last, connections = float("-inf"), 0
    for trace in ordered:
        shift = trace.epoch - builder.header.epoch
        if len(trace):
            shift += max(0.0, last - (float(trace.at.min()) + shift))
        names = {name: str(connections + n) for n, name in enumerate(trace.names, 1)}
        connections += len(names)
        last = max(last, _add(builder, trace, shift, names))
        builder.warnings += [one for one in trace.warnings if one not in builder.warnings]
    if len(ordered) > 1 and JOINED not in builder.warnings:
        builder.warnings.append(JOINED)
    return builder.build()


def _add(builder: TraceBuilder, trace: Trace, shift: float, connections: dict[str, str]) -> float:
    """One recording behind the others; the time of its last event."""
    base = len(builder)
    ids: dict[str, str] = {}
    at = float("-inf")
    for event in trace:
        if isinstance(event, RecordingEnded):
            continue
        ids[event.id] = str(base + len(ids))
        at = round(event.at + shift, 6)
        builder.append(_renamed(event, at, base, shift, ids, connections))
    for one in trace.connections:
        if _lives(one):
            id, connection = str(len(builder)), connections[one.id]
            end = EndReported(id=id, at=at, connection=connection, by="client", source=TOLD_BY, timed=False)
            builder.append(end)
    return at


def _renamed(
    event: Event, at: float, base: int, shift: float, ids: dict[str, str], connections: dict[str, str]
) -> Event:
    changes: dict[str, Any] = {"id": ids[event.id], "at": at}
    if event.connection is not None:
        changes["connection"] = connections[event.connection]
    if (exchange := getattr(event, "exchange", None)) is not None and base:
        changes["exchange"] = f"{base}.{exchange}"
    if (about := getattr(event, "about", None)) is not None:
        changes["about"] = ids.get(about)
    if (moment := getattr(event, "moment", None)) is not None:
        changes["moment"] = moment + shift
    return msgspec.structs.replace(event, **changes)


def _lives(connection: Connection) -> bool:
    return connection.state not in ("ended", "failed")
