"""The client's side of a relay, recorded: what came from the client, and what went to it."""

from __future__ import annotations

from chatkit.faults.path_moments import Direction
from chatkit.recorder import Recorder, RelayTap
from chatkit.tap.side import Owner, Side

MOST_BEHIND = 16 << 20
"""Bytes that may wait to become events; beyond it the path is held, so that neither memory nor evidence is lost."""


class RecordedSide(Side):
    """A connection to a client whose bytes are recorded as the client has them: behind every fault of the path.

    Args:
        owner: who is told.
        direction: of what comes from this side.
        tap: where it is recorded.
    """

    def __init__(self, owner: Owner, direction: Direction, tap: RelayTap) -> None:
        super().__init__(owner, direction)
        self._tap = tap

    def write(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self._tap.received(data)
            self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        self._tap.sent(data)
        super().data_received(data)


def behind(recorder: Recorder, most: int = MOST_BEHIND) -> bool:
    """Whether more than so many bytes wait to become events."""
    return recorder.put - recorder.taken > most
