"""What a fault did, in words."""

from __future__ import annotations

import pytest

from chatkit.faults.moments import Abort, CloseWith, Delay, Drop, Duplicate, Hold, Refuse, Wake, Woke
from chatkit.faults.path_moments import Answered, Flowed, Linked, Lose, Mangle, Passing, Requested, Rewrite
from chatkit.tap.telling import MARK, dead, told

CHUNK = Passing(direction="inbound", kind="data", type="chunk", size=1200)


@pytest.mark.parametrize(
    ("moment", "action", "words"),
    [
        (CHUNK, Drop(), "a message (chunk) of 1,200 B, server to client, dropped"),
        (CHUNK, Delay(seconds=0.25), "a message (chunk) of 1,200 B, server to client, delayed by 0.25 s"),
        (CHUNK, Duplicate(), "a message (chunk) of 1,200 B, server to client, sent twice"),
        (Passing(direction="outbound", kind="protocol-pong"), Drop(), "a pong of 0 B, client to server, dropped"),
        (Woke(key=1), Abort(how="rst"), "the connection ended by an RST on both sides"),
        (Woke(key=1), CloseWith(code=1008, reason="no"), "the WebSocket closed with 1008"),
        (Requested(what="upgrade"), Refuse(status=502), "a request (upgrade) answered with 502 by the tap"),
        (Answered(), Rewrite(what="accept"), "the answer 101 passed on with a wrong Sec-WebSocket-Accept"),
        (Linked(), Lose(share=0.1, direction="inbound"), "0.1 of the packets lost, server to client"),
    ],
)
def test_each_action_is_told(moment, action, words) -> None:
    """With what it was done to."""
    assert told(moment, action) == MARK + words


@pytest.mark.parametrize("how", ["utf8", "reserved-bit", "deflate", "rsv1"])
def test_how_it_was_broken(how) -> None:
    """Each way has its words."""
    assert "passed on with" in str(told(CHUNK, Mangle(how=how)))


def test_what_is_held_back_says_for_how_long() -> None:
    """At most."""
    assert "0.5 s at most" in str(told(CHUNK, Hold(seconds=0.5)))


def test_what_is_no_news() -> None:
    """Delays of every piece, and the plan's own alarm clock."""
    assert told(Flowed(direction="inbound", size=1), Delay(seconds=1)) is None
    assert told(CHUNK, Wake(after=1)) is None


def test_a_dead_path() -> None:
    """For good, or for a time."""
    assert (dead(0), dead(3)) == (f"{MARK}the path is dead", f"{MARK}the path is dead for 3 s")
