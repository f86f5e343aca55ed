"""What a relay with faults did, in words for the recording; pure."""

from __future__ import annotations

from chatkit.faults.moments import (
    Abort,
    Action,
    CloseWith,
    Delay,
    Drop,
    Duplicate,
    Hold,
    Moment,
    Refuse,
)
from chatkit.faults.path_moments import Answered, Flowed, Lose, Mangle, Passing, Requested, Rewrite

MARK = "fault of the tap: "
"""How every remark about a fault begins."""
_KINDS = {
    "data": "a message",
    "app-ping": "an application ping",
    "protocol-ping": "a ping",
    "protocol-pong": "a pong",
    "close": "a close frame",
}
_TO = {"outbound": "client to server", "inbound": "server to client"}
_HOW = {"fin": "a FIN", "rst": "an RST"}
_MANGLED = {
    "utf8": "its last byte changed to one that UTF-8 does not know",
    "reserved-bit": "a reserved bit set",
    "deflate": "its compressed data broken",
    "rsv1": "its mark of compression cleared",
}
_HEADS = {
    "no-upgrade": "without Upgrade and Connection",
    "uncompressed": "without the offer of compression",
    "independent": "with compression that keeps no context",
    "accept": "with a wrong Sec-WebSocket-Accept",
    "extension": "with an extension that was not offered",
    "lose-deflate": "without the compression that was agreed",
    "claim-deflate": "with a compression that was not agreed",
}


def dead(seconds: float) -> str:
    """The path lets nothing through for so long, or with 0 for good."""
    return f"{MARK}the path is dead" + (f" for {seconds:.3g} s" if seconds > 0 else "")


def told(moment: Moment, action: Action) -> str | None:
    """One line about what was done at that moment; ``None`` where there is nothing to tell.

    A delay of every piece of bytes (throttle, latency) is told by the list of faults at the beginning, not here; a dead
    path by whoever kills it.
    """
    if isinstance(moment, Flowed):
        return None
    what = _said(moment, action)
    return None if what is None else MARK + what


def _said(moment: Moment, action: Action) -> str | None:
    subject = _subject(moment)
    match action:
        case Drop():
            return f"{subject} dropped"
        case Delay(seconds=seconds):
            return f"{subject} delayed by {seconds:.3g} s"
        case Duplicate():
            return f"{subject} sent twice"
        case Hold(seconds=seconds):
            return f"{subject} held back until the next one, {seconds:.3g} s at most"
        case Mangle(how=how):
            return f"{subject} passed on with {_MANGLED[how]}"
        case Rewrite(what=what):
            return f"{subject} passed on {_HEADS[what]}"
        case Refuse(status=status):
            return f"{subject} answered with {status} by the tap"
        case Lose(share=share, direction=direction):
            return f"{share:.3g} of the packets lost, {_TO.get(direction, 'both ways')}"
        case Abort(how=how):
            return f"the connection ended by {_HOW[how]} on both sides"
        case CloseWith(code=code):
            return f"the WebSocket closed with {code}"
    return None


def _subject(moment: Moment) -> str:
    match moment:
        case Passing(direction=direction, kind=kind, type=type, size=size):
            named = f" ({type[:40]})" if type else ""
            return f"{_KINDS[kind]}{named} of {size:,} B, {_TO[direction]},"
        case Requested(what=what):
            return f"a request ({what})"
        case Answered():
            return "the answer 101"
    return "what passed"
