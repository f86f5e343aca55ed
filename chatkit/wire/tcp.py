"""One TCP connection as seen by somebody beside the path (RFC 9293): segments in, ordered bytes and facts out; pure.

What is told goes to a :class:`Listener`. Sides are 0 (the client where that is known, else whoever) and 1. Offsets
count payload bytes of one direction from 0 without ever wrapping; sequence numbers wrap at 2³².
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from typing import Protocol

from chatkit.wire.ip import ACK, FIN, RST, SYN

MOST_WAITING = 1 << 20
"""Bytes of one direction that wait for earlier ones; beyond it those count as not captured."""
MOST_SEGMENTS = 2048
"""Segments of one direction that wait for earlier ones."""
PATIENCE = 0.05
"""Seconds that packets may be late in a capture although the peer acknowledged them."""
DUPLICATE = 0.001
"""Seconds within which the same segment is one packet captured twice (two interfaces), not a retransmission."""
_REMEMBERED = 256
"""Unacknowledged segments whose time of sending is known."""
_WINDOW = 1 << 30
"""No peer acknowledges further ahead: the largest window of RFC 7323."""
_MASK, _HALF = 0xFFFFFFFF, 0x80000000


class Listener(Protocol):
    """Who is told; ``at`` is whatever clock the segments came with, in seconds."""

    def connected(self, at: float, seconds: float) -> None:
        """The handshake is done, ``seconds`` after the first SYN."""

    def failed(self, at: float, error: str) -> None:
        """There is no connection: refused, or no answer."""

    def data(self, side: int, at: float, data: bytes) -> None:
        """The next bytes of a side."""

    def missing(self, side: int, at: float, size: int) -> None:
        """The next bytes of a side, which the capture lacks."""

    def again(self, side: int, at: float, times: int, seconds: float, acknowledged: bool) -> None:
        """A stretch was sent ``times`` again, the last time at ``at``, ``seconds`` after its first sending."""

    def ended(self, side: int, at: float, how: str) -> None:
        """A side sent its FIN (``fin``) or an RST (``rst``)."""

    def finished(self) -> None:
        """Nothing more will be told."""


class _Run:
    """A stretch that is sent again."""

    __slots__ = ("began", "end", "last", "start", "times")

    def __init__(self, start: int, end: int, began: float, at: float) -> None:
        self.start, self.end, self.began, self.last, self.times = start, end, began, at, 1


class _Side:
    """One direction."""

    __slots__ = (
        "acked",
        "acked_seq",
        "ahead",
        "buffered",
        "fin",
        "fin_at",
        "known",
        "next",
        "position",
        "run",
        "sent",
        "waiting",
    )

    def __init__(self) -> None:
        self.known = False
        self.next = -1
        """Sequence number of the byte at ``position``."""
        self.position = 0
        self.acked = 0
        self.acked_seq = -1
        self.ahead: float | None = None
        """When the peer first acknowledged bytes that are not here."""
        self.waiting: list[tuple[int, float, bytes, int]] = []
        """Offset, time, payload, bytes missing behind it; sorted."""
        self.buffered = 0
        self.sent: deque[tuple[int, float]] = deque(maxlen=_REMEMBERED)
        self.run: _Run | None = None
        self.fin: int | None = None
        self.fin_at = 0.0

    def begin(self, seq: int) -> None:
        """The first byte will have this number."""
        self.next, self.known = seq & _MASK, True

    def offset(self, seq: int) -> int:
        """Of the byte with this number; negative before the beginning."""
        return self.position + ((seq - self.next + _HALF) & _MASK) - _HALF

    def advance(self, size: int) -> None:
        self.position += size
        self.next = (self.next + size) & _MASK


_NOTHING: deque[tuple[int, float]] = deque(maxlen=0)
"""For all that are over: an empty deque takes 600 bytes."""


class Tcp:
    """One connection; :meth:`finish` when nothing more will come."""

    __slots__ = ("_isn", "_sides", "_syn_again", "_syn_at", "_syn_last", "_to", "connected", "done", "moved")

    def __init__(self, to: Listener) -> None:
        self._to = to
        self._sides = (_Side(), _Side())
        self._isn: int | None = None
        self._syn_at = self._syn_last = 0.0
        self._syn_again = 0
        self.connected = False
        self.moved = False
        """Whether any byte went either way."""
        self.done = False
        """Whether nothing of this connection can follow."""

    @property
    def asked(self) -> bool:
        """Whether the client's SYN was seen."""
        return self._isn is not None

    @property
    def syn_at(self) -> float:
        """When the client's first SYN went."""
        return self._syn_at

    def renewed(self, side: int, seq: int) -> bool:
        """Whether a SYN with this number begins another connection between the same ports."""
        if self.done or self._isn is None:
            return self.moved or self.done or side != 0
        if side == 0:
            return seq != self._isn
        return self.moved or (self._sides[1].known and self._sides[1].next != (seq + 1) & _MASK)

    def segment(
        self, side: int, at: float, seq: int, ack: int, flags: int, data: bytes, start: int, stop: int, missing: int
    ) -> None:
        """Takes one segment; ``missing`` bytes of it behind ``data[start:stop]`` were not captured."""
        if self.done:
            return
        if flags & (SYN | RST):
            if flags & RST:
                self._reset(side, at)
                return
            self._syn(side, at, seq, flags)
            seq = (seq + 1) & _MASK
        elif not self.connected:
            self._greeted(side, at, flags)
        mine, other = self._sides[side], self._sides[1 - side]
        if flags & ACK and ack != other.acked_seq:
            if self._acknowledge(1 - side, at, ack):
                return
        if start < stop or missing:
            if seq == mine.next and not missing and not mine.waiting and mine.fin is None:
                size = stop - start
                mine.sent.append((mine.position, at))
                mine.position += size
                mine.next = (seq + size) & _MASK
                self.moved = True
                self._to.data(side, at, data[start:stop])
            else:
                self._late(side, at, seq, data[start:stop], missing)
        if flags & FIN:
            self._fin(side, at, seq, stop - start + missing)
        if mine.waiting or other.waiting:
            self._give_up(side, at)
            self._give_up(1 - side, at)

    def finish(self, at: float) -> None:
        """The evidence of this connection ends at ``at``."""
        if self.done:
            return
        if self._isn is not None and not self.connected and not self.moved and not self._sides[1].known:
            self._unanswered(at)
        else:
            self._flush(at)
        self._leave()

    def ignore(self) -> None:
        """Nobody wants to know: nothing more is told, and little is held."""
        self.done = True
        for side in self._sides:
            side.waiting, side.buffered, side.sent, side.run = [], 0, _NOTHING, None

    def _leave(self) -> None:
        self.ignore()
        self._to.finished()

    # The handshake

    def _syn(self, side: int, at: float, seq: int, flags: int) -> None:
        mine = self._sides[side]
        first = (seq + 1) & _MASK
        if not flags & ACK and side == 0:
            if self._isn is None:
                self._isn, self._syn_at = seq, at
            else:
                self._syn_again += 1
            self._syn_last = at
        elif mine.known and mine.next == first:
            self._again(side, at, -1, 0)
        if not mine.known:
            mine.begin(first)
            mine.sent.append((-1, at))

    def _greeted(self, side: int, at: float, flags: int) -> None:
        """The client's first segment without SYN: the handshake is done."""
        if side != 0 or self._isn is None or not flags & ACK:
            return
        self.connected = True
        if self._syn_again:
            self._to.again(0, self._syn_last, self._syn_again, self._syn_last - self._syn_at, True)
        self._to.connected(at, at - self._syn_at)

    def _unanswered(self, at: float) -> None:
        tries = self._syn_again + 1
        # The one SYN just before the capture's end may have been answered after it.
        if tries > 1 or at - self._syn_at > 1.0:
            self._to.failed(self._syn_last, f"no answer to SYN ({tries} {'try' if tries == 1 else 'tries'})")

    # The end

    def _reset(self, side: int, at: float) -> None:
        if self._isn is not None and not self._sides[1].known and not self.moved:
            if side == 1:
                self._to.failed(at, "connection refused")
                self._leave()
            return
        self._flush(at)
        self._to.ended(side, at, "rst")
        self._leave()

    def _fin(self, side: int, at: float, seq: int, size: int) -> None:
        mine = self._sides[side]
        if not mine.known:
            mine.begin(seq)
        if mine.fin is not None:
            if mine.offset(seq) + size == mine.fin and size == 0:
                self._again(side, at, mine.fin, mine.fin + 1)
            return
        mine.fin, mine.fin_at = mine.offset(seq) + size, at
        if mine.position >= mine.fin:
            self._finished(side)

    def _finished(self, side: int) -> None:
        mine = self._sides[side]
        mine.sent.append((mine.position, mine.fin_at))
        self._to.ended(side, mine.fin_at, "fin")

    def _flush(self, at: float) -> None:
        """What waits comes out, holes and all; what was sent again and never acknowledged is told."""
        for side, mine in enumerate(self._sides):
            while mine.waiting:
                self._skip(side)
            told = mine.fin is not None and mine.position >= mine.fin
            # One byte acknowledged beyond the last may be a FIN that was not captured.
            hole = (mine.fin if mine.fin is not None else mine.acked) - mine.position
            if hole > (mine.fin is None) and mine.known and not told:
                mine.advance(hole)
                self._to.missing(side, at if mine.ahead is None else mine.ahead, hole)
            if mine.fin is not None and not told:
                self._finished(side)
            self._end_run(side)

    # Bytes

    def _late(self, side: int, at: float, seq: int, data: bytes, missing: int) -> None:
        """A segment out of order, seen before, cut, or the first of a side whose SYN was not seen."""
        mine = self._sides[side]
        size = len(data)
        if not mine.known:
            if size == 1 and data == b"\0":
                return  # a keep-alive probe: its byte is no data
            mine.begin(seq)
        offset = mine.offset(seq)
        if offset < mine.position:
            if size <= 1 and not missing and offset == mine.position - 1:
                return  # a keep-alive probe (RFC 9293, section 3.8.4)
            old = min(mine.position - offset, size + missing)
            self._again(side, at, offset, offset + old)
            if old == size + missing:
                return
            missing -= max(0, old - size)
            offset, data = offset + old, data[old:]
        if mine.fin is not None and offset + len(data) + missing > mine.fin:
            return  # nothing comes after a FIN
        if offset > mine.position:
            self._wait(side, at, offset, data, missing)
            return
        self._deliver(side, at, data, missing)
        self._drain(side, at)

    def _deliver(self, side: int, at: float, data: bytes, missing: int) -> None:
        mine = self._sides[side]
        mine.sent.append((mine.position, at))
        self.moved = True
        if data:
            mine.advance(len(data))
            self._to.data(side, at, data)
        if missing:
            mine.advance(missing)
            self._to.missing(side, at, missing)

    def _wait(self, side: int, at: float, offset: int, data: bytes, missing: int) -> None:
        mine = self._sides[side]
        entry = (offset, at, data, missing)
        place = bisect_left(mine.waiting, offset, key=lambda one: one[0])
        if place < len(mine.waiting) and mine.waiting[place][0] == offset:
            held = mine.waiting[place]
            if len(held[2]) >= len(data):
                self._again(side, at, offset, offset + len(data))
                return
            mine.buffered -= len(held[2])
            mine.waiting[place] = entry
        else:
            mine.waiting.insert(place, entry)
        mine.buffered += len(data)
        while mine.buffered > MOST_WAITING or len(mine.waiting) > MOST_SEGMENTS:
            self._skip(side)

    def _drain(self, side: int, at: float) -> None:
        """Hands out what follows without a hole, as of ``at``: nobody could read it earlier."""
        mine = self._sides[side]
        while mine.waiting and mine.waiting[0][0] <= mine.position:
            offset, sent, data, missing = mine.waiting.pop(0)
            mine.buffered -= len(data)
            old = mine.position - offset
            if old >= len(data) + missing:
                continue
            missing -= max(0, old - len(data))
            self._deliver(side, max(at, sent), data[old:], missing)
        if mine.fin is not None and not mine.waiting and mine.position == mine.fin:
            self._finished(side)

    def _skip(self, side: int) -> None:
        """Gives the first hole up."""
        mine = self._sides[side]
        if not mine.waiting:
            return  # who was told of the last bytes wants no more
        offset, sent, _, _ = mine.waiting[0]
        if offset > mine.position:
            hole = offset - mine.position
            mine.advance(hole)
            self._to.missing(side, sent, hole)
            mine.ahead = None
        self._drain(side, sent)

    def _give_up(self, side: int, at: float) -> None:
        """The peer has what lacks here, and it has had its time to come."""
        mine = self._sides[side]
        while mine.waiting and mine.acked >= mine.waiting[0][0] and at - mine.waiting[0][1] > PATIENCE:
            self._skip(side)

    # Acknowledgements and what is sent again

    def _acknowledge(self, side: int, at: float, ack: int) -> bool:
        """The peer has the bytes of ``side`` before ``ack``; whether that was the end of it all."""
        mine = self._sides[side]
        mine.acked_seq = ack
        if not mine.known:
            return False
        acked = mine.offset(ack)
        if (acked <= mine.acked and mine.acked) or acked > mine.position + _WINDOW:
            return False
        mine.acked = max(mine.acked, acked)
        if acked <= mine.position + 1:
            mine.ahead = None
        elif mine.ahead is None:
            mine.ahead = at
        sent = mine.sent
        while sent and sent[0][0] < acked:
            sent.popleft()
        if mine.run is not None and acked >= mine.run.end:
            self._end_run(side)
        other = self._sides[1 - side]
        if mine.fin is not None and acked > mine.fin and other.fin is not None and other.acked > other.fin:
            self._flush(at)
            self._leave()
            return True
        return False

    def _again(self, side: int, at: float, offset: int, end: int) -> None:
        mine = self._sides[side]
        run = mine.run
        if run is not None and run.start <= offset <= run.end:
            if offset > run.start or at - run.last >= DUPLICATE:
                run.times += offset == run.start
                run.end, run.last = max(run.end, end), at
            return
        began = next((sent for place, sent in reversed(mine.sent) if place <= offset), None)
        if began is None:
            began = mine.sent[0][1] if mine.sent else at
        if at - began < DUPLICATE:
            return
        self._end_run(side)
        mine.run = _Run(offset, end, began, at)

    def _end_run(self, side: int) -> None:
        mine = self._sides[side]
        if mine.run is not None:
            run, mine.run = mine.run, None
            self._to.again(side, run.last, run.times, run.last - run.began, mine.acked >= run.end)
