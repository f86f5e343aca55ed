"""What a vantage saw of a connection, read out of encoded rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.events import (
    AttemptStarted,
    FrameReceived,
    FrameSent,
    OpaqueReceived,
    Opened,
    PingSent,
    PongReceived,
    UpgradeRequested,
)
from chatkit.merging.sights import RECEIVED, SENT, Sight, View
from chatkit.trace import Trace, Vantage
from stories import events, header, story, text


def view(trace: Trace, **changes: object) -> View:
    vantage = Vantage(**({"name": "v", "origin": trace.origin} | changes))
    return View(vantage, trace, np.arange(len(trace)), 0.0)


def sight(*facts: object) -> Sight:
    return view(story(*facts)).sights[0]  # type: ignore[arg-type]


@given(st.lists(st.text(max_size=20), min_size=2, max_size=8))
def test_the_same_content_is_the_same_token(texts: list[str]) -> None:
    """Whatever a text holds: quotes, backslashes, keys of our own rows; compressed or in fragments."""
    plain = sight(*[(n, FrameSent, {"size": len(t.encode()), "text": t}) for n, t in enumerate(texts)])
    packed = sight(
        *[
            fact
            for n, t in enumerate(texts)
            for fact in (
                (n, FrameSent, {"size": 1, "fin": False, "compressed": True}),
                (n, FrameSent, {"size": 2, "opcode": "continuation", "compressed": True, "length": 99, "text": t}),
            )
        ]
    )
    mine, theirs = plain.contents[SENT].token.tolist(), packed.contents[SENT].token.tolist()
    assert mine == theirs
    said = [t for t in texts if t]
    assert [[a == b for a in mine] for b in mine] == [[a == b for a in said] for b in said]
    other_way = sight(*[(n, FrameReceived, {"size": 1, "text": t}) for n, t in enumerate(texts)])
    assert not set(other_way.contents[RECEIVED].token.tolist()) & set(mine)


@pytest.mark.parametrize("hidden", [{"size": 3}, {"size": 3, "fin": False, "text": None}])
def test_a_message_that_says_nothing_has_no_token(hidden: dict[str, object]) -> None:
    """A length is no content."""
    one = sight((0, FrameSent, hidden))
    assert len(one.contents[SENT].token) == 0
    assert len(one.sizes[SENT].token) == 1


def test_text_that_looks_like_a_key_is_text() -> None:
    """An escaped quotation mark ends nothing."""
    one = sight(
        (0, FrameSent, {"size": 1, "text": '","digest":"x\\'}), (1, FrameSent, {"size": 1, "text": '","digest":"x'})
    )
    assert len(set(one.contents[SENT].token.tolist())) == 2


def test_landmarks() -> None:
    """Key, path, begin and end; the first of each."""
    one = sight(
        (0.0, AttemptStarted, {"url": "wss://h:1/a/b?token=[redacted]"}),
        (1.0, UpgradeRequested, {"target": "/a/b?x=1", "headers": [], "key": "k"}),
        (2.0, Opened),
        (3.0, PingSent, {"payload": "01"}),
        (3.5, PongReceived, {"payload": "01"}),
    )
    assert (one.key, one.path, one.began, one.ended, one.opaque) == ("k", "/a/b", 2.0, None, False)
    assert [len(frames.token) for frames in one.controls] == [1, 1]
    assert sight((0.0, AttemptStarted, {"url": "wss://h:1/a/b?token=x"})).path == "/a/b"
    assert sight((0.0, Opened)).path is None


def test_bytes_that_could_not_be_read_hide_frames() -> None:
    """Whatever the format can show."""
    one = sight((0.0, OpaqueReceived, {"size": 9}))
    assert one.opaque
    assert not one.sees("frames")
    assert one.sees("transport-end")


def test_setting_a_clock_moves_all_that_was_read() -> None:
    """Also what was looked at before."""
    seen = view(story((0.0, Opened), (1.0, FrameSent, text("ping"))))
    one = seen.sights[0]
    assert (one.began, one.contents[SENT].at.tolist()) == (0.0, [1.0])
    seen.move(10.0)
    assert (one.began, one.contents[SENT].at.tolist(), one.sizes[SENT].at.tolist()) == (10.0, [11.0], [11.0])


@pytest.mark.parametrize(("step", "grain"), [(1.0, 1.0), (0.25, 0.001), (0.001, 0.001), (0.0001234, 1e-6)])
def test_how_fine_a_clock_reads(step: float, grain: float) -> None:
    """Told by the times, except where the format rounds and then computes."""
    facts = events(*[(round(n * step, 7), PingSent) for n in range(20)])
    assert view(Trace.of(facts, header())).grain == grain
    log = header().origin.__class__(kind="file", format="nginx-access")
    assert view(Trace.of(facts, header()), origin=log).grain == 1.0
