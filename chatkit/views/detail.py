"""One event in full, and many in a line each, as plain text: what a click and a selection on the timeline show."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from chatkit.clock import iso_utc
from chatkit.events import message_type
from chatkit.trace import Trace
from chatkit.views.sheet import clip, span

MAX_PAYLOAD = 20_000
"""Characters of a payload that are shown."""
MAX_BYTES = 4_096
"""Bytes of a payload that are dumped."""
MAX_VALUE = 500
MAX_LINE = 300


def describe(trace: Trace, index: int, since: Mapping[str, float] | None = None) -> dict[str, Any]:
    """An event's line, its fields as pairs of texts, and its payload: JSON indented, bytes as a dump.

    Args:
        trace: where the event is.
        index: its place.
        since: moments it is measured from, seconds since the trace's epoch, by what they are.
    """
    event = trace[index]
    values = msgspec.to_builtins(event)
    kind = values.pop("type")
    at = values.pop("at")
    form, payload = _payload(values, trace.rows[index])
    head = [("type", kind), ("id", values.pop("id")), ("at", f"{at:.6f} s"), ("time", iso_utc(trace.epoch + at))]
    head += [(f"since {name}", signed(at - moment)) for name, moment in (since or {}).items()]
    fields = [*head, *((name, clip(_text(value), MAX_VALUE)) for name, value in values.items())]
    return {"line": clip(str(event), MAX_LINE), "at": at, "fields": fields, "form": form, "payload": payload}


def listing(trace: Trace, rows: Iterable[int], before: float | None = None) -> list[tuple[int, float, str, str, str]]:
    """Lines of a table: row, seconds since the epoch, time since the line above, connection, what happened.

    Args:
        trace: the events of the table, in order.
        rows: each one's number for whoever reads the table.
        before: when the event above the first line happened, seconds.
    """
    lines = []
    for row, event in zip(rows, trace, strict=True):
        delta = "" if before is None else signed(event.at - before)
        lines.append((row, event.at, delta, clip(event.connection or "", 40), clip(str(event), MAX_LINE)))
        before = event.at
    return lines


def signed(seconds: float) -> str:
    """A duration with its sign: ``+1.24 s``, ``−3 ms``."""
    return f"{'−' if seconds < 0 else '+'}{span(abs(seconds))}"


def dump(data: bytes) -> str:
    """Bytes as people read them: place, sixteen bytes in hexadecimal, the same as ASCII."""
    lines = []
    for place in range(0, len(data), 16):
        part = data[place : place + 16]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        lines.append(f"{place:08x}  {part[:8].hex(' '):<23}  {part[8:].hex(' '):<23}  {shown}")
    return "\n".join(lines)


def _payload(values: dict[str, Any], row: bytes) -> tuple[str, str | None]:
    """What the payload is, and the payload as text; takes it out of the values."""
    text, data = values.pop("text", None), values.pop("data", None)
    if text is not None and values.get("size") is not None:
        kind = message_type(row)
        shown, is_json = _pretty(text)
        return (f"chat message {kind}" if kind else "JSON" if is_json else "text"), shown
    if text is not None:
        return "text", _pretty(text)[0]
    if data is not None:
        read = _decoded(data)
        return ("text", _pretty(data)[0]) if read is None else _dumped(read, values.get("length") or values.get("size"))
    if (payload := values.get("payload")) and isinstance(payload, str):
        try:
            return _dumped(bytes.fromhex(payload), None)
        except ValueError:
            return "", None
    return "", None


def _decoded(data: str) -> bytes | None:
    # What somebody else wrote into a file may be a cut base64, or none, or a secret's place: that is shown as it is.
    try:
        return base64.b64decode(data[: len(data) // 4 * 4], validate=True)
    except ValueError:
        return None


def _dumped(data: bytes, whole: int | None) -> tuple[str, str]:
    shown = dump(data[:MAX_BYTES])
    more = max(whole or 0, len(data)) - min(len(data), MAX_BYTES)
    return "bytes", shown + (f"\n… {more:,} more bytes" if more > 0 else "")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _pretty(payload: str) -> tuple[str, bool]:
    try:
        text, is_json = json.dumps(json.loads(payload), indent=2, ensure_ascii=False), True
    except (ValueError, RecursionError):
        text, is_json = payload, False
    if len(text) <= MAX_PAYLOAD:
        return text, is_json
    return text[:MAX_PAYLOAD] + f"\n… {len(text) - MAX_PAYLOAD:,} more characters", is_json
