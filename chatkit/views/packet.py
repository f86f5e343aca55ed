"""A delta of the layout as one block of bytes: a small JSON header, then the columns as they are.

The same block travels over the widget's comm, stands in a widget's state and goes into an offline report::

    "CKT1" · header length (uint32) · header (JSON) · columns, each at a multiple of 8

All numbers are little-endian. The header says which columns follow, with type and length; a column of whole numbers
may come in a smaller type than it is held in.
"""

from __future__ import annotations

import struct
from typing import Any

import msgspec
import numpy as np

from chatkit.events import KINDS
from chatkit.views.sheet import MARK_COLUMNS, TICK_COLUMNS, Delta

MAGIC = b"CKT1"
_encode = msgspec.json.Encoder().encode


def encode(delta: Delta, *, live: bool = False) -> bytes:
    """The delta as bytes.

    Args:
        delta: what the receiver lacks.
        live: whether more is to come.
    """
    columns = [("changed", "index", "<i4", delta.changed)]
    ticks = ((name, code, getattr(delta.ticks, name)) for name, code in TICK_COLUMNS.items())
    columns += [("ticks", name, _narrow(code, values), values) for name, code, values in ticks]
    for table, marks in (("marks", delta.marks), ("changes", delta.changes)):
        columns += [(table, name, code, getattr(marks, name)) for name, code in MARK_COLUMNS.items()]
    header: dict[str, Any] = {
        "since": delta.since,
        "until": delta.until,
        "columns": [(table, name, code, len(values)) for table, name, code, values in columns],
        "labels": {str(mark): label for mark, label in delta.labels.items()},
        "words": delta.words,
        "lanes": delta.lanes,
        "first": delta.first,
        "last": delta.last,
        "epoch": delta.epoch,
        "events": delta.events,
        "live": live,
    }
    if delta.since.marks == 0:
        header["kinds"] = [kind.__name__ for kind in KINDS]
    text = _encode(header)
    parts = [MAGIC, struct.pack("<I", len(text)), text]
    parts.append(bytes(-(8 + len(text)) % 8))
    for _, _, code, values in columns:
        data = np.ascontiguousarray(values, dtype=code).tobytes()
        parts += [data, bytes(-len(data) % 8)]
    return b"".join(parts)


def _narrow(code: str, values: np.ndarray[Any, Any]) -> str:
    """The smallest type that holds whole numbers; of a million ticks it saves a third of what travels."""
    if code != "<i4" or not len(values) or values.min() < 0:
        return code
    most = int(values.max())
    return "<u1" if most < 2**8 else "<u2" if most < 2**16 else code


def decode(data: bytes) -> tuple[dict[str, Any], dict[str, dict[str, np.ndarray[Any, Any]]]]:
    """Header and columns by table and name: what the browser does, for tests and other readers."""
    if data[:4] != MAGIC:
        raise ValueError(f"not a timeline block: expected {MAGIC!r}, got {data[:4]!r}")
    (length,) = struct.unpack_from("<I", data, 4)
    header = msgspec.json.decode(data[8 : 8 + length])
    tables: dict[str, dict[str, np.ndarray[Any, Any]]] = {}
    place = 8 + length + (-(8 + length) % 8)
    for table, name, code, count in header["columns"]:
        values = np.frombuffer(data, dtype=code, count=count, offset=place)
        tables.setdefault(table, {})[name] = values
        place += values.nbytes + (-values.nbytes % 8)
    return header, tables
