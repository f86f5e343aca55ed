"""Text messages as rows of a trace, without an event between: most of what a busy connection is made of; pure.

The same bytes as the encoder makes of :class:`chatkit.events.FrameReceived`. A long text is not walked through
letter by letter for what JSON escapes: two replacements run at memory speed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec
import numpy as np

from chatkit.events import FrameReceived

_encode = msgspec.json.encode
_CONTROL = re.compile(rb"[\x00-\x1f]")
_MANY = 2048
"""Bytes from which on numpy is faster than a pattern."""
_PLACE = b"\x7f"
"""Stands for what differs from row to row; no number holds it."""


def text_rows(ids: Iterator[int], at: float, connection: str, payloads: list[bytes]) -> list[bytes] | None:
    """Rows of whole text messages from the server.

    Args:
        ids: where event ids come from; one is taken for each payload, none where the answer is ``None``.
        at: seconds since the trace's epoch.
        connection: id of the connection.
        payloads: uncompressed, without secrets.

    Returns:
        One row for each; ``None`` where one of them is not UTF-8 or holds a control character.
    """
    whole = b"".join(payloads)
    if _has_control(whole) or not (whole.isascii() or all(map(_is_text, payloads))):
        return None
    sample = FrameReceived(id=_PLACE.decode(), at=at, connection=connection, size=0, text=_PLACE.decode())
    # The id stands first and the text last, whatever the connection is called.
    head, _, rest = _encode(sample).partition(_PLACE)
    middle, _, end = rest.rpartition(_PLACE)
    before, after = middle.rsplit(b"0", 1)
    join = b"".join
    return [
        join((
            head, b"%d" % next(ids), before, b"%d" % len(payload), after,
            payload.replace(b"\\", b"\\\\").replace(b'"', b'\\"'), end,
        ))
        for payload in payloads
    ]  # fmt: skip


def _has_control(data: bytes) -> bool:
    if len(data) < _MANY:
        return _CONTROL.search(data) is not None
    return bool((np.frombuffer(data, np.uint8) < 0x20).any())


def _is_text(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True
