"""What a failure on the way means for the message that was carried; pure.

A message goes out once. It is sent again only where it certainly was not processed, or where the backend recognises
its id; a message that may have arrived and must not be repeated is UNKNOWN.
"""

from __future__ import annotations

from typing import Literal

HANDLER_FAILED = 500
"""The HTTP status that blames the message itself: those above it speak of hops and load."""

Fate = Literal["wait", "again", "unknown", "reject"]
"""``wait``: it was not processed, its turn comes again. ``again``: it may have been, and may be repeated. ``unknown``:
it may have been, and may not. ``reject``: the backend will not have it."""

NOT_PROCESSED = (408, 425, 429, 503)
"""HTTP statuses that say: not now (RFC 9110, sections 15.5.9 and 15.6.4; RFC 8470; RFC 6585)."""


def fate(*, status: int | None, began: bool, idempotent: bool) -> Fate:
    """What becomes of a message.

    Args:
        status: the HTTP status that answered it; ``None`` for no answer.
        began: whether any of it may have been written.
        idempotent: whether the backend recognises what is sent again.
    """
    doubtful: Fate = "again" if idempotent else "unknown"
    if status is None:
        return doubtful if began else "wait"
    # What failed before any of the message was written was something else, such as beginning a session.
    if status in NOT_PROCESSED or (status >= 500 and not began):
        return "wait"
    if status >= 500:
        return doubtful
    # A success that cannot be read was one all the same.
    return "unknown" if 200 <= status < 300 else "reject"
