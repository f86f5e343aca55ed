"""A trace laid out for the rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.diagnosis.facts import Facts, body_of, ended, median
from chatkit.events import AttemptStarted, OpaqueReceived, OpaqueSent, TcpConnected, TokenChanged
from tests.builders import EPOCH
from tests.diagnosis.stories.telling import CAPTURE, ENCRYPTED, HAR, URL, Tale


def facts(tale: Tale, header=CAPTURE) -> Facts:
    """Of a tale."""
    return Facts(tale.trace(header))


def test_lives_in_the_order_of_their_beginning() -> None:
    """Each with its own events only."""
    tale = Tale()
    tale.opens(5, "b")
    tale.opens(1, "a")
    tale.ends(9, "a")
    found = facts(tale).lives
    assert [life.id for life in found] == ["a", "b"]
    assert {event.connection for event in (found[0].trace[int(i)] for i in found[0].places)} == {"a"}
    assert [ended(life) for life in found] == [True, False]


@pytest.mark.parametrize(
    ("what", "quiet"),
    [("any", 10.0), ("inbound", 10.0), ("outbound", 15.0), ("data-frames", 15.996), ("app-ping", 16.0)],
)
def test_quiet_before_the_end(what, quiet) -> None:
    """By kind of activity; a pong that answers a server's ping is ours."""
    tale = Tale()
    tale.opens(0.5, "1")
    tale.ping(14, "1")
    tale.protocol_ping(14.995, "1", by="server")
    tale.protocol_ping(20, "1", by="server", answered=False)
    tale.ends(30, "1", "fin")
    assert facts(tale).lives[0].idle(what) == pytest.approx(quiet, abs=1e-3)


def test_quiet_since_the_opening_where_nothing_was_said() -> None:
    """And not known where the opening was not seen."""
    tale = Tale()
    tale.opens(1, "1", greets=False)
    tale.ends(31, "1", "fin")
    assert facts(tale).lives[0].idle("any") == pytest.approx(30.0)
    tale = Tale()
    tale.put(1, OpaqueSent, "1", size=100)
    tale.ends(31, "1", "fin")
    assert facts(tale, ENCRYPTED).lives[0].idle("app-ping") is None


def test_no_quiet_before_an_end_that_did_not_come() -> None:
    """A connection that lives has none."""
    tale = Tale()
    tale.opens(1, "1")
    assert facts(tale).lives[0].idle("any") is None


def test_tls_s_own_goodbye_is_no_activity() -> None:
    """A few unreadable bytes just before the FIN are a close_notify."""
    tale = Tale()
    tale.put(0, TcpConnected, "1", local="127.0.0.1:1", peer="127.0.0.1:443", seconds=0.001)
    tale.put(1, OpaqueSent, "1", size=500)
    tale.put(60.99, OpaqueReceived, "1", size=31)
    tale.ends(61, "1", "fin")
    assert facts(tale, ENCRYPTED).lives[0].idle("any") == pytest.approx(60.0)


def test_the_longest_quiet_that_it_outlived() -> None:
    """Between two activities, or before the first."""
    tale = Tale()
    tale.opens(1, "1", greets=False)
    tale.ping(13, "1")
    tale.ping(20, "1")
    tale.ends(60, "1", "fin")
    life = facts(tale).lives[0]
    assert life.longest_quiet("app-ping") == pytest.approx(12.0)
    assert life.longest_quiet("protocol-ping") == 0.0


def test_times_of_a_token() -> None:
    """From the handshake, else from the token that the client had then."""
    tale = Tale()
    tale.opens(1, "1", url=URL.replace("***", "[jwt exp=1795450000 iat=1795449000]"))
    tale.put(9, TokenChanged, how="refresh", expires=EPOCH + 99)
    tale.opens(10, "2")
    found = facts(tale)
    assert (found.lives[0].expires, found.lives[0].issued) == (1795450000.0, 1795449000.0)
    assert found.expires(found.lives[1]) == EPOCH + 99


def test_no_token_no_times() -> None:
    """Where the evidence has none."""
    tale = Tale()
    tale.put(1, AttemptStarted, "1", url="ws://h/x")
    found = facts(tale)
    assert found.expires(found.lives[0]) is None


def test_the_attempt_that_followed() -> None:
    """The next to begin, if it came soon."""
    tale = Tale()
    tale.opens(1, "1")
    tale.ends(10, "1")
    tale.failed(12, "2", "tcp", "refused")
    tale.opens(14, "3")
    tale.ends(20, "3")
    tale.opens(200, "4")
    found = facts(tale)
    after = [found.next_attempt(life) for life in found.lives]
    assert [life.id if life is not None else None for life in after] == ["2", "3", None, None]


def test_who_was_open_at_a_moment() -> None:
    """Not those that were to come, not those that had ended."""
    tale = Tale()
    tale.opens(1, "1")
    tale.ends(10, "1")
    tale.opens(5, "2")
    tale.opens(30, "3")
    found = facts(tale)
    assert [[life.id for life in found.open_at(at)] for at in (3, 7, 20)] == [["1"], ["1", "2"], ["2"]]


def test_what_a_browser_cannot_show() -> None:
    """A HAR shows neither close frames nor TCP."""
    assert facts(Tale(), HAR).browser_only
    assert not facts(Tale()).browser_only


@pytest.mark.parametrize("text", ["", None, "{", "[" * 100_000, '{"a":' * 50_000, "\ud800", "NaN,"])
def test_a_body_that_is_no_json_is_nothing(text) -> None:
    """Whatever it is."""
    assert body_of(text) is None


@given(st.lists(st.floats(-1e9, 1e9), min_size=1))
def test_median_is_in_the_middle(values) -> None:
    """As many values below as above."""
    middle = median(values)
    assert sum(value < middle for value in values) <= len(values) / 2
    assert sum(value > middle for value in values) <= len(values) / 2
