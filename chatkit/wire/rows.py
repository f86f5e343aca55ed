"""Text messages as rows of a trace, without an event between: most of what a busy connection is made of; pure.

The same bytes as the encoder makes of :class:`chatkit.events.FrameReceived`. A long text is not walked through
letter by letter for what JSON escapes: two replacements run at memory speed. All rows are put together in one piece.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import msgspec
import numpy as np

from chatkit.events import FrameReceived

_encode = msgspec.json.encode
_MANY = 2048
"""Bytes from which on numpy counts faster."""
_NO_CONTROL = bytes(range(0x20, 0x100))
_PLACE = b"\x7f"
"""Stands for what differs from row to row; no number holds it."""


def text_lines(ids: Iterator[int], at: float, connection: str, payloads: list[bytes]) -> bytes | None:
    """Rows of whole text messages from the server, each with a line feed behind it.

    Args:
        ids: where event ids come from; one is taken for each payload, none where the answer is ``None``.
        at: seconds since the trace's epoch.
        connection: id of the connection.
        payloads: one or more, uncompressed, without secrets.

    Returns:
        One line for each; ``None`` where one of them is not UTF-8 or holds a control character.
    """
    count = len(payloads)
    # Nothing but a control character can stand between them, and none is part of a letter.
    whole = b"\n".join(payloads)
    if _controls(whole) != count - 1 or not (whole.isascii() or _is_text(whole)):
        return None
    sample = FrameReceived(id=_PLACE.decode(), at=at, connection=connection, size=0, text=_PLACE.decode())
    # The id stands first and the text last, whatever the connection is called.
    head, _, rest = _encode(sample).partition(_PLACE)
    middle, _, end = rest.rpartition(_PLACE)
    before, after = middle.rsplit(b"0", 1)
    sizes = list(map(len, payloads))
    told = {size: b"%s%d%s" % (before, size, after) for size in set(sizes)}
    parts = [end + b"\n" + head] * (4 * count + 1)
    parts[0], parts[-1] = head, end + b"\n"
    parts[1::4] = "\n".join(map(str, itertools.islice(ids, count))).encode().split(b"\n")
    parts[2::4] = map(told.__getitem__, sizes)
    parts[3::4] = [payload.replace(b"\\", b"\\\\").replace(b'"', b'\\"') for payload in payloads]
    return b"".join(parts)


def _controls(data: bytes) -> int:
    """How many control characters there are."""
    if len(data) < _MANY:
        return len(data.translate(None, _NO_CONTROL))
    return int(np.count_nonzero(np.frombuffer(data, np.uint8) < 0x20))


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
