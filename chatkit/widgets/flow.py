"""Flow control towards one browser: the next delta goes out when the last one was painted; pure.

Acknowledgements are handled on the kernel's main thread, so none arrive while a cell blocks. Then a delta goes out
all the same, at most one a second and at most ``PACE`` bytes a second, always counted from what was last
acknowledged: a message that got lost is contained in the next. After ``MOST_BYTES`` or ``MOST_SENDS`` without any
word the browser counts as gone; nothing is sent until it asks.
"""

from __future__ import annotations

from chatkit.views.sheet import Cursor

PATIENCE = 1.0
"""Seconds without acknowledgement after which a delta goes out all the same."""
PACE = 4_000_000
"""Bytes a second of unacknowledged deltas."""
MOST_BYTES = 64_000_000
MOST_SENDS = 600


class Flow:
    """What one receiver holds and what is on its way to it."""

    def __init__(self, held: Cursor) -> None:
        self.held = held
        """Acknowledged: where the next delta begins."""
        self._sent: Cursor | None = None
        self._again_at = 0.0
        self._bytes = 0
        self._sends = 0

    @property
    def gone(self) -> bool:
        """Whether nobody seems to listen any more."""
        return self._bytes > MOST_BYTES or self._sends >= MOST_SENDS

    def wait(self, now: float, newest: Cursor) -> float | None:
        """Seconds until a delta is due; 0 for now, ``None`` while there is nothing to send."""
        if newest == (self._sent or self.held) or self.gone:
            return None
        return 0.0 if self._sent is None else max(0.0, self._again_at - now)

    def sent(self, now: float, until: Cursor, size: int) -> None:
        """A delta up to ``until`` went out, ``size`` bytes."""
        self._sent = until
        self._again_at = now + max(PATIENCE, size / PACE)
        self._bytes += size
        self._sends += 1

    def painted(self, held: Cursor) -> bool:
        """The receiver holds this much; whether that is what was sent.

        After a mismatch the next delta is the whole layout.
        """
        if self._sent is None and _within(self.held, held, held):
            self.held = held  # it painted what had been sent to everybody
            return True
        fits = held == self._sent
        # A late word about an earlier one of several unacknowledged deltas is no mismatch, only late.
        late = not fits and self._sent is not None and self._sends > 1 and _within(self.held, held, self._sent)
        if late:
            self.held = held
            return True
        self.held = held if fits else Cursor()
        self._sent, self._bytes, self._sends = None, 0, 0
        return fits


def _within(low: Cursor, middle: Cursor, high: Cursor) -> bool:
    names = low.__struct_fields__
    return all(getattr(low, name) <= getattr(middle, name) <= getattr(high, name) for name in names)
