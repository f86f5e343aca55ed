"""One event in full, as plain text: what a click on the timeline shows."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from chatkit.clock import iso_utc
from chatkit.trace import Trace
from chatkit.views.sheet import clip

MAX_PAYLOAD = 20_000
"""Characters of a payload that are shown."""
MAX_VALUE = 500


def describe(trace: Trace, index: int) -> dict[str, Any]:
    """An event's line, its fields as pairs of texts, and its payload, indented where it is JSON."""
    event = trace[index]
    values = msgspec.to_builtins(event)
    payload = values.pop("text", None)
    kind = values.pop("type")
    at = values.pop("at")
    head = [("type", kind), ("id", values.pop("id")), ("at", f"{at:.6f} s"), ("time", iso_utc(trace.epoch + at))]
    fields = [*head, *((name, clip(_text(value), MAX_VALUE)) for name, value in values.items())]
    return {"line": clip(str(event), 300), "at": at, "fields": fields, "payload": _pretty(payload)}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _pretty(payload: str | None) -> str | None:
    if payload is None:
        return None
    try:
        text = json.dumps(json.loads(payload), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        text = payload
    if len(text) <= MAX_PAYLOAD:
        return text
    return text[:MAX_PAYLOAD] + f"\n… {len(text) - MAX_PAYLOAD:,} more characters"
