"""Sentences about endings: which 1006 it is, and who ended it at which layer."""

from __future__ import annotations

import pytest

from chatkit.events import AttemptFailed, CloseReceived, EndReported, FrameSent, Opened, TransportEnded, UpgradeAnswered
from chatkit.views import wording
from tests.stories import story, text
from tests.views.verdicts import ranked

CAUSE = ranked(id="server-error", confidence=0.9, who="server", connections=("1",))


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        (
            [(5.0, TransportEnded, {"how": "fin", "by": "server"})],
            "This 1006 is an end of TCP (FIN) by the server, without a close frame, age 5.0 s.",
        ),
        ([(5.0, TransportEnded, {"how": "timeout"})], "This 1006 is a TCP time-out: the peer was silent, age 5.0 s."),
        ([(5.0, TransportEnded, {"how": "local"})], "This 1006 is our own cut: we closed TCP ourselves, age 5.0 s."),
        (
            [(5.0, EndReported, {"code": 1006, "source": "browser"})],
            "This 1006 is only told by browser: who ended it, and at which layer, is not visible here, age 5.0 s.",
        ),
        (
            [(5.0, CloseReceived, {"code": 1001, "reason": "bye"})],
            "It ended by a close frame 1001 “bye” from the server, age 5.0 s.",
        ),
        (
            [
                (4.8, FrameSent, text("ping", timestamp="t")),
                (5.0, TransportEnded, {"how": "rst", "by": "server"}),
            ],
            "This 1006 is a TCP reset (RST) by the server, without a close frame, 0.2 s after our ping, age 5.0 s.",
        ),
    ],
)
def test_how_it_ended(facts, told) -> None:
    """Never the close code alone."""
    assert str(wording.ending(story((0.0, Opened), *facts), CAUSE)) == told


def test_a_refusal_never_opened() -> None:
    """And says so."""
    refused = story(
        (0.0, UpgradeAnswered, {"status": 403, "reason": "Forbidden", "headers": []}),
        (0.1, AttemptFailed, {"stage": "upgrade", "error": "HTTP 403", "status": 403}),
    )
    assert str(wording.ending(refused, CAUSE)) == "It never opened: refused: HTTP 403."


def test_nothing_ended_is_nothing_said() -> None:
    """No sentence about an ending that was not seen."""
    assert wording.ending(story((0.0, Opened)), CAUSE) is None
    assert wording.ending(None, CAUSE) is None
    ended = story((0.0, Opened), (5.0, TransportEnded, {"how": "fin", "by": "server"}))
    assert wording.ending(ended, ranked(id="lost-reply", confidence=1.0, who="server")) is None


def test_measured_values_have_units() -> None:
    """Seconds, bytes and rates by the name of the parameter."""
    parameters = {"timeout_s": 60.0, "limit_bytes": 1048576, "hazard_per_s": 0.1, "counts": "inbound", "code": None}
    cause = ranked(id="x", confidence=1.0, who="server", parameters=parameters)
    assert wording.measured(cause) == ["timeout 60 s", "limit 1,048,576 B", "hazard 0.1 per s", "counts inbound"]


def test_events_in_words_name_who_saw_them() -> None:
    """In merged evidence; an id that is not there stays an id."""
    assert wording.seen_by(wording.vantage("proxy/17")) == " (seen by proxy)"
    assert wording.told(story((0.25, Opened)), ["0", "9"]) == ["0.250 s, connection 1, open, no extension", "event 9"]
