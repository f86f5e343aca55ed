"""What evidence says, as one value: inputs, connections, diagnosis; ``to_dict`` is the JSON that scripts rely on."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from chatkit.diagnosis import Diagnosis
from chatkit.ending import Connection, Ending
from chatkit.trace import Trace

SCHEMA = "chatkit.inspection/1"


class Input(Struct, frozen=True, kw_only=True):
    """One file of evidence."""

    file: str
    format: str
    not_visible: tuple[str, ...]
    warnings: tuple[str, ...] = ()


class Inspection(Struct, frozen=True, kw_only=True):
    """Inputs, the trace they became, and its diagnosis."""

    inputs: tuple[Input, ...]
    trace: Trace
    diagnosis: Diagnosis

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "schema": SCHEMA,
            "inputs": [
                {
                    "file": one.file,
                    "format": one.format,
                    "not_visible": list(one.not_visible),
                    "warnings": list(one.warnings),
                }
                for one in self.inputs
            ],
            "connections": [connection_dict(self.trace, one) for one in self.trace.connections],
            "diagnosis": self.diagnosis.to_dict(),
        }


def input_of(trace: Trace, file: str) -> Input:
    """What is to be said of a file that was read as ``trace``."""
    origin = trace.origin
    form = origin.format or ("chatkit" if origin.kind in ("live", "tap") else "unknown")
    return Input(file=file, format=form, not_visible=trace.not_visible, warnings=trace.warnings)


def connection_dict(trace: Trace, one: Connection) -> dict[str, Any]:
    """One connection; ``None`` where the evidence cannot show something."""
    ending = one.ending
    frames = not one.opaque and "frames" not in trace.not_visible
    return {
        "id": one.id,
        "url": one.url,
        "opened_at": one.opened_wall if "timing" not in trace.not_visible else None,
        "duration_s": round(one.duration, 6) if "timing" not in trace.not_visible else None,
        "http_status": one.status,
        "frames_in": one.frames_in if frames and "received" not in trace.not_visible else None,
        "frames_out": one.frames_out if frames and "sent" not in trace.not_visible else None,
        "pings_in": one.pings_in,
        "pings_out": one.pings_out,
        "pongs_in": one.pongs_in,
        "pongs_out": one.pongs_out,
        "close_code": ending.close_code if ending is not None else None,
        "close_reason": ending.close_reason if ending is not None else None,
        "closed_by": _closed_by(ending),
        "transport_end": _transport_end(trace, ending),
        "state": one.state,
        "vantages": list(one.vantages),
    }


def _closed_by(ending: Ending | None) -> str | None:
    """Who sent the first close frame, else the first FIN or RST."""
    if ending is None:
        return None
    if ending.close is not None:
        return "client" if ending.close is ending.close_sent else "server"
    return ending.first


def _transport_end(trace: Trace, ending: Ending | None) -> dict[str, Any] | None:
    if ending is not None and ending.transport is not None:
        return {"how": ending.transport.how, "by": ending.transport.by}
    if "transport-end" in trace.not_visible or (ending is not None and ending.reported is not None):
        return None
    return {"how": "none", "by": None} if ending is None else None
