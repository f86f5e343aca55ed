"""What one life's end shows by itself: each rule fires, stays silent, and knows when it cannot know."""

from __future__ import annotations

import pytest

from chatkit.diagnosis import deaths as rules
from chatkit.diagnosis.facts import Facts
from chatkit.events import (
    CloseSent,
    EndReported,
    FrameReceived,
    FrameSent,
    Logged,
    ProtocolFailed,
    Retransmitted,
    TcpInfoSampled,
)
from tests.diagnosis.seen import death, of
from tests.diagnosis.stories.telling import CAPTURE, HAR, SERVER_LOG, Tale


def quiet_life(until: float = 100.0) -> Tale:
    """Open, with a ping every 20 s."""
    tale = Tale()
    tale.opens(1, "1")
    tale.pings(6, until, 20, "1")
    return tale


@pytest.mark.parametrize(
    ("code", "value"),
    [(1000, "close-1000"), (None, "close-1005"), (4001, "close-auth"), (4009, "close-replaced"), (4429, "close-rate"),
     (4777, "close-4xxx"), (1011, "close-1011")],
)  # fmt: skip
def test_an_end_with_a_close_frame(code, value) -> None:
    """By its code."""
    tale = quiet_life()
    tale.closed(101, "1", code)
    assert of(death(tale))["ending"] == value


@pytest.mark.parametrize(
    ("how", "by", "value", "actor"),
    [
        ("rst", "server", "rst", "server"),
        ("fin", "server", "fin", "server"),
        ("fin", "client", "fin", "client"),
        ("local", "client", "local", "client"),
        ("timeout", None, "silence", "nobody"),
    ],
)
def test_an_end_without_a_close_frame(how, by, value, actor) -> None:
    """By how TCP ended, and who did it."""
    tale = quiet_life()
    tale.ends(101, "1", how, by)
    found = of(death(tale))
    assert (found["ending"], found["by"]) == (value, actor)


def test_an_end_that_is_only_told() -> None:
    """1006 is an abort; no code at all is hidden, and nobody is known to have acted."""
    for code, value in ((1006, "abort"), (None, "hidden")):
        tale = quiet_life()
        tale.put(101, EndReported, "1", code=code, source="browser")
        found = of(death(tale, HAR))
        assert found["ending"] == value
        assert "by" not in found


def test_silence_comes_before_our_own_close() -> None:
    """What we did after nothing was acknowledged is a consequence."""
    tale = quiet_life()
    tale.put(120, Retransmitted, "1", by="client", times=6, seconds=20.0)
    tale.closed(121, "1", 1011, by="client", answered=False)
    assert of(death(tale, CAPTURE))["ending"] == "silence"


@pytest.mark.parametrize(
    ("reason", "value"),
    [("keepalive ping timeout", "keepalive"), ("replaced by another session", "replaced"), ("Idle Timeout", "idle"),
     ("maximum age", "lifetime"), ("rate limit", "rate"), ("token expired", "token"), ("service restart", "restart"),
     ("message too big", "too-big"), ("", "none"), ("whatever", "other")],
)  # fmt: skip
def test_what_the_reason_speaks_of(reason, value) -> None:
    """Its subject."""
    tale = quiet_life()
    tale.closed(101, "1", 1008, reason)
    assert of(death(tale))["reason"] == value


def test_no_close_frame_has_no_reason() -> None:
    """Nothing is said."""
    tale = quiet_life()
    tale.ends(101, "1")
    assert "reason" not in of(death(tale))


@pytest.mark.parametrize(("age", "value"), [(0.5, "instant"), (9, "early"), (600, "minutes"), (9000, "hours")])
def test_its_age(age, value) -> None:
    """In four steps."""
    tale = Tale()
    tale.opens(1, "1")
    tale.ends(1 + age, "1")
    assert of(death(tale))["age"] == value


def what_we_did(tale: Tale, header=CAPTURE) -> str | None:
    """Within the second before the end."""
    facts = Facts(tale.trace(header))
    act = rules.after(facts, facts.lives[0])
    return act[0] if act is not None else None


def test_our_last_action() -> None:
    """A first ping, a later one, an RFC 6455 one, typing, a message, a big one, a call of the API."""
    for value, act in (
        ("ping", lambda tale: tale.ping(100.5, "1", answered=False)),
        ("protocol-ping", lambda tale: tale.protocol_ping(100.5, "1", answered=False)),
        ("typing", lambda tale: tale.sent(100.5, "1", "typing")),
        ("message", lambda tale: tale.says(100.5, "1")),
        ("big-message", lambda tale: tale.says(100.5, "1", size=50_000)),
        ("message", lambda tale: tale.api(100.5, purpose="chat")),
        ("nothing", lambda tale: tale.says(90, "1")),
    ):
        tale = quiet_life(95)
        act(tale)
        tale.ends(101, "1")
        assert what_we_did(tale) == value


def test_a_first_ping_that_is_early() -> None:
    """Is told apart, answered or not; a late one that was answered is not what killed it."""
    for at, answered, value in ((0.3, False, "first-ping"), (0.3, True, "first-ping"), (6, True, "nothing")):
        tale = Tale()
        tale.opens(1, "1")
        tale.ping(1 + at, "1", answered=answered)
        tale.ends(1 + at + 0.6, "1")
        assert what_we_did(tale) == value


def test_our_action_is_not_known() -> None:
    """Where we ended it, and where what we sent is not visible."""
    tale = quiet_life(95)
    tale.says(100.5, "1")
    tale.closed(101, "1", 1000, by="client")
    assert what_we_did(tale) is None
    tale = quiet_life(95)
    tale.ends(101, "1")
    assert what_we_did(tale, SERVER_LOG) is None


@pytest.mark.parametrize(
    ("by", "value"), [("client", "ours-unanswered"), ("server", "theirs-unanswered"), (None, "answered")]
)
def test_pings_that_wait(by, value) -> None:
    """Ours, or theirs, longer than a round trip."""
    tale = quiet_life()
    if by is not None:
        tale.protocol_ping(105, "1", by=by, answered=False)
    tale.ends(115, "1")
    assert of(death(tale, CAPTURE))["pong"] == value


def test_a_ping_that_waits_for_a_moment_only() -> None:
    """Is no unanswered one."""
    tale = quiet_life()
    tale.ping(114.5, "1", answered=False)
    tale.ends(115, "1")
    assert of(death(tale))["pong"] == "answered"


@pytest.mark.parametrize(("seconds", "value"), [(12.0, "blocked"), (0.2, "fine")])
def test_our_own_loop(seconds, value) -> None:
    """Away for long just before the end, in a live recording."""
    tale = quiet_life()
    tale.lag(100, seconds)
    tale.ends(101, "1")
    assert of(death(tale))["lag"] == value
    assert "lag" not in of(death(tale, CAPTURE))


@pytest.mark.parametrize(
    ("code", "end", "value"), [(1011, 100.1, "blocked"), (1011, 110, "fine"), (1000, 100.1, "fine")]
)
def test_a_short_absence_that_a_heartbeat_did_not_wait_for(code, end, value) -> None:
    """Two seconds are enough where the server gave up meanwhile, and we read of it on waking."""
    tale = quiet_life()
    tale.lag(100, 2.0)
    tale.closed(end, "1", code, "keepalive ping timeout" if code == 1011 else "")
    assert of(death(tale))["lag"] == value


def test_what_tcp_had_to_repeat() -> None:
    """Never acknowledged, acknowledged, nothing; not known without a capture."""
    tale = quiet_life()
    tale.ends(101, "1")
    assert of(death(tale, CAPTURE))["path"] == "clean"
    assert "path" not in of(death(tale, HAR))
    for given, value in ((False, "unacknowledged"), (True, "repeated")):
        tale = quiet_life()
        tale.put(99, Retransmitted, "1", by="client", times=5, seconds=9.0, acknowledged=given)
        tale.ends(101, "1")
        assert of(death(tale, CAPTURE))["path"] == value


def test_what_the_kernel_says_of_the_path() -> None:
    """Unacknowledged segments that were sent again and again."""
    tale = quiet_life()
    for at, unacked, again in ((50, 0, 0), (100, 1, 6)):
        figures = {"rtt": 0.01, "rtt_variance": 0.0, "retransmits": again, "unacked": unacked}
        tale.put(
            at, TcpInfoSampled, "1", **figures, last_data_received=20.0, last_ack_received=20.0 if unacked else 0.1
        )
    tale.ends(101, "1", "local", "client")
    assert of(death(tale))["path"] == "unacknowledged"


def test_a_line_of_a_log() -> None:
    """At that moment, of this connection or of none; the most telling one."""
    tale = quiet_life()
    tale.put(100, Logged, by="server", what="stop", text="stopping")
    tale.put(100.5, Logged, by="server", what="worker-timeout", text="WORKER TIMEOUT")
    tale.ends(101, "1")
    assert of(death(tale))["log"] == "worker-timeout"
    tale = quiet_life()
    tale.put(50, Logged, by="server", what="stop", text="stopping")
    tale.put(101, Logged, "2", by="server", what="exception", text="of another")
    tale.ends(101, "1")
    assert all("log" not in of(case) for case in [death(tale)])


def test_a_backend_that_never_spoke() -> None:
    """Never, at last, or not visible."""
    for greets, header, value in ((False, CAPTURE, "never"), (True, CAPTURE, "yes"), (False, SERVER_LOG, None)):
        tale = Tale()
        tale.opens(1, "1", greets=greets)
        tale.ends(20, "1")
        assert of(death(tale, header)).get("hello") == value


def test_a_big_message_that_was_coming_in() -> None:
    """Whole or unfinished; a usual one says nothing."""
    for size, unfinished, value in ((900_000, 0, "big"), (100, 900_000, "big"), (100, 0, None)):
        tale = quiet_life()
        tale.comes(100.8, "1", size)
        tale.ends(101, "1", unfinished=unfinished)
        assert of(death(tale)).get("inbound") == value


def test_the_first_compressed_message() -> None:
    """Fatal, harmless, or none because no compression was agreed on."""
    for extensions, code, value in (
        ("permessage-deflate", 1002, "first"),
        ("permessage-deflate", 1000, None),
        (None, 1002, "no"),
    ):
        tale = Tale()
        tale.opens(1, "1", extensions=extensions)
        packed = extensions is not None
        tale.put(5.9, FrameReceived, "1", size=10, compressed=packed, text='{"type":"x"}')
        if code == 1000:
            tale.put(6, FrameReceived, "1", size=10, compressed=packed, text='{"type":"x"}')
        tale.closed(6.2, "1", code, by="client")
        assert of(death(tale, CAPTURE)).get("compressed") == value


def test_a_first_message_alone_is_not_about_compression() -> None:
    """An abort after the very first message may be about anything in it."""
    tale = Tale()
    tale.opens(1, "1", extensions="permessage-deflate")
    tale.put(1.1, FrameSent, "1", size=40, compressed=True, text='{"type":"ping"}')
    tale.ends(1.3, "1")
    assert "compressed" not in of(death(tale, CAPTURE))


def test_what_cannot_be_decompressed() -> None:
    """The capture says so itself."""
    tale = Tale()
    tale.opens(1, "1", extensions="permessage-deflate")
    tale.put(5, ProtocolFailed, "1", by="server", detail="cannot be decompressed")
    tale.closed(5.1, "1", 1002, by="client")
    assert of(death(tale, CAPTURE))["compressed"] == "first"


def test_a_hole_in_what_we_did() -> None:
    """Our pings stopped while theirs went on; with few pings nothing is said of evidence that is not our own."""
    tale = quiet_life(100)
    tale.protocol_ping(200, "1", by="server", answered=False)
    tale.ends(600, "1")
    assert of(death(tale, CAPTURE))["sleep"] == "yes"
    tale = quiet_life(100)
    tale.ends(101, "1")
    assert "sleep" not in of(death(tale, CAPTURE))


@pytest.mark.parametrize(("other", "value"), [(20.0, "short"), (5.5, "longest"), (None, "longest")])
def test_the_quiet_before_a_silence(other, value) -> None:
    """Another connection survived a longer one, or none did; a NAT would have forgotten that one first."""
    tale = Tale()
    tale.opens(1, "1")
    tale.sent(2, "1", "ping")
    tale.received(2.1, "1", "pong")
    tale.sent(10, "1", "ping")
    tale.put(30, CloseSent, "1", code=1011, reason="keepalive ping timeout")
    if other is not None:
        tale.opens(1, "2")
        tale.received(1.5 + other, "2", "notification")
    facts = Facts(tale.trace())
    found = list(rules.of_quiet(facts, facts.lives[:1]))
    assert [one.value for one in found] == [value]
