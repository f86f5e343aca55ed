"""Notes of whoever reads the evidence: they become events of the trace and travel with it."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np

from chatkit.errors import InvalidInput
from chatkit.events import KIND_CODE, Noted, RecordingEnded
from chatkit.redact import Redactor
from chatkit.trace import Trace

MOST_TEXT = 2_000
"""Characters of a note."""
MOST_AUTHOR = 80
_NOTED = KIND_CODE[Noted]


def checked(text: str, author: str = "") -> dict[str, Any]:
    """The words of a note as fields of a ``Noted``: one line each, bounded, secrets taken out.

    Raises:
        InvalidInput: there is no text.
    """
    clean = Redactor().text
    words = clean(" ".join(text[: MOST_TEXT * 2].split()))[:MOST_TEXT]
    if not words:
        raise InvalidInput("a note says nothing", expected="some text", got=text[:40])
    return {"text": words, "author": clean(" ".join(author[: MOST_AUTHOR * 2].split()))[:MOST_AUTHOR]}


def note(
    trace: Trace,
    text: str,
    *,
    at: float,
    connection: str | None = None,
    about: str | None = None,
    author: str = "reader",
) -> Noted:
    """A note for a trace that is complete; :func:`annotated` puts it in.

    Args:
        trace: what it speaks of.
        text: one line, at most 2,000 characters; more is cut, and secrets are taken out.
        at: when what it speaks of happened, seconds since the trace's epoch.
        connection: id of the connection it speaks of; ``None`` for the whole.
        about: id of the event it speaks of.
        author: who says so.

    Raises:
        InvalidInput: there is no text, no such time, connection or event.
    """
    if not math.isfinite(at):
        raise InvalidInput("a note needs a time", expected="seconds since the trace's epoch", got=at)
    if connection is not None and connection not in trace.names:
        raise InvalidInput(
            "no such connection", expected="one of " + (", ".join(trace.names) or "none"), got=connection
        )
    if about is not None:
        trace.index(about)
    # Ids grow in the order of recording, notes excepted: the last event and the notes know the highest.
    ids = [event.id for event in (*trace.select(kinds={"Noted"}), *([trace[-1]] if len(trace) else []))]
    id = max([len(trace) - 1, *(int(one) for one in ids if one.isdigit())]) + 1
    return Noted(id=str(id), at=round(at, 6), connection=connection, about=about, **checked(text, author))


def annotated(trace: Trace, notes: list[Noted]) -> Trace:
    """The trace with these notes, each in its place in time; nothing else changes, ids stay.

    A note stands before the end of the recording, which stays the last event.
    """
    rows, at = list(trace.rows), trace.at.tolist()
    kind, connection, size = trace.kind.tolist(), trace.connection_code.tolist(), trace.size.tolist()
    for one in sorted(notes, key=lambda one: one.at):
        place = int(np.searchsorted(np.maximum.accumulate(np.array(at)), one.at, side="right")) if at else 0
        if place and place == len(at) and kind[-1] == KIND_CODE[RecordingEnded]:
            place -= 1
        code = trace.names.index(one.connection) if one.connection is not None else -1
        values = (msgspec.json.encode(one), one.at, _NOTED, code, -1)
        for column, value in zip((rows, at, kind, connection, size), values, strict=True):
            column.insert(place, value)
    columns = (np.array(at, np.float64), np.array(kind, np.uint8), np.array(connection, np.int32))
    return Trace(trace.header, rows, *columns, np.array(size, np.int64), trace.names, trace.warnings)
