"""Bytes in, whole messages and control frames out, and not a byte more or less."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from chatkit.wire import cutting
from chatkit.wire.cutting import Cutter
from chatkit.wire.frames import CLOSE, PING, TEXT, Violation


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, mask: bool = False) -> bytes:
    return Frame(Opcode(opcode), payload, fin).serialize(mask=mask)


def cutter(*, masked: bool = False, deflate: bool = False) -> Cutter:
    return Cutter(65_536, deflate=deflate, takeover=True, masked=masked)


SIZES = st.sampled_from([0, 1, 125, 126, 127, 65_535, 65_536, 65_537, 200_000]) | st.integers(0, 2000)


@given(st.lists(SIZES, max_size=12), st.lists(st.integers(1, 70_000), min_size=1, max_size=10), st.booleans())
def test_each_cut_is_one_frame(sizes, steps, masked) -> None:
    """However the bytes come."""
    frames = [frame(TEXT, b"x" * size, mask=masked) for size in sizes]
    data, reader, cuts, position, turn = b"".join(frames), cutter(masked=masked), [], 0, 0
    while position < len(data):
        step = steps[turn % len(steps)]
        cuts += reader.feed(data[position : position + step])
        position, turn = position + step, turn + 1
    assert [cut.raw for cut in cuts] == frames
    assert [cut.size for cut in cuts] == sizes
    assert [cut.message.length for cut in cuts] == sizes
    assert all(len(cut.raw) - cut.head == cut.size for cut in cuts)
    assert reader.rest() == b""


def test_a_message_in_frames_is_one_cut_and_control_frames_overtake_it() -> None:
    """As they may (RFC 6455, section 5.4)."""
    parts = [frame(TEXT, b"one ", fin=False), frame(PING, b"p"), frame(0, b"two", fin=True), frame(CLOSE)]
    cuts = list(cutter().feed(b"".join(parts)))
    assert [(cut.opcode, cut.raw) for cut in cuts] == [
        (PING, parts[1]),
        (0, parts[0] + parts[2]),
        (CLOSE, parts[3]),
    ]
    assert cuts[1].size == 7
    assert cuts[1].message.payload == b"one two"
    assert cuts[1].head == 2


def test_compressed_messages_are_read() -> None:
    """With context takeover, so the second one looks back."""
    codec = PerMessageDeflate(False, False, 15, 15)
    raws = [
        Frame(Opcode.TEXT, b'{"type": "pong"}').serialize(mask=False, extensions=[codec]),
        Frame(Opcode.TEXT, b'{"type": "pong"}').serialize(mask=False, extensions=[codec]),
    ]
    cuts = list(cutter(deflate=True).feed(b"".join(raws)))
    assert [cut.message.payload for cut in cuts] == [b'{"type": "pong"}'] * 2
    assert all(cut.compressed for cut in cuts)
    assert cuts[1].size < cuts[0].size


def test_a_long_message_is_not_held(monkeypatch) -> None:
    """It comes in pieces, and what follows is cut again."""
    monkeypatch.setattr(cutting, "HOLD", 1000)
    long, short = frame(TEXT, b"x" * 5000), frame(TEXT, b"short")
    reader, cuts, waiting = cutter(), [], True
    for start in range(0, len(long + short), 700):
        cuts += reader.feed((long + short)[start : start + 700])
        waiting = waiting and not cuts
        assert waiting or start >= 700
    assert b"".join(cut.raw for cut in cuts) == long + short
    assert (cuts[0].begins, cuts[0].ends) == (True, False)
    assert [(cut.begins, cut.ends) for cut in cuts][-2:] == [(False, True), (True, True)]
    assert reader.between
    assert max(len(cut.raw) for cut in cuts) <= 1700


def test_a_long_message_in_frames_is_not_held(monkeypatch) -> None:
    """Control frames may come between its pieces."""
    monkeypatch.setattr(cutting, "HOLD", 1000)
    parts = [frame(TEXT, b"x" * 800, fin=False), frame(0, b"x" * 800, fin=False), frame(PING), frame(0, b"end")]
    reader = cutter()
    cuts = [cut for part in parts for cut in reader.feed(part)]
    assert b"".join(cut.raw for cut in cuts) == b"".join(parts)
    assert [cut.opcode for cut in cuts if cut.begins] == [0, PING]
    assert not cuts[0].ends
    assert cuts[-1].ends


@pytest.mark.parametrize("bad", [b"\xff\xff junk", b"\x81\x82abcdxx"])
def test_what_breaks_the_protocol_is_all_given_back(bad) -> None:
    """Reserved bits; a mask where none may be."""
    reader = cutter()
    good = frame(TEXT, b"good")
    cuts = []
    with pytest.raises(Violation):
        cuts.extend(reader.feed(good + bad + b" and what follows"))
    assert reader.rest() == bad + b" and what follows"
