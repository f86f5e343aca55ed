"""Whether to try again, when, and what a loss may mean: every row of the contract."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.policy.reconnect import Decision, Loss, backoff, decide, explain
from chatkit.profile import DEFAULT

RULES = DEFAULT.client


def closed(code: int, **facts: object) -> Loss:
    return Loss(stage="open", code=code, **facts)


def refused(status: int, **facts: object) -> Loss:
    return Loss(stage="upgrade", status=status, **facts)


@pytest.mark.parametrize(
    ("loss", "action", "delay"),
    [
        # closes
        (closed(1000), "stop", 0),
        (closed(1001), "retry", 1),
        (closed(1002), "retry", 1),
        (closed(1005), "retry", 1),
        (closed(1006), "retry", 2),
        (closed(1008), "retry", 1),
        (closed(1009, by_us=True), "retry", 1),
        (closed(1011), "retry", 1),
        (closed(1011, by_us=True), "retry", 1),
        (closed(1012), "retry", 1),
        (closed(1013), "retry", 1),
        (closed(4001), "refresh", 0),
        (closed(4003), "stop", 0),
        (closed(4999), "retry", 1),
        # refused upgrades
        (refused(301), "stop", 0),
        (refused(400), "stop", 0),
        (refused(401), "refresh", 0),
        (refused(403), "refresh", 0),
        (refused(404), "stop", 0),
        (refused(405), "stop", 0),
        (refused(408), "retry", 1),
        (refused(410), "stop", 0),
        (refused(425), "retry", 1),
        (refused(426), "stop", 0),
        (refused(429), "retry", 1),
        (refused(429, retry_after=17.0), "retry", 17),
        (refused(500), "retry", 1),
        (refused(502), "retry", 1),
        (refused(503, retry_after=0.5), "retry", 1),
        (refused(504), "retry", 1),
        # no answer at all
        (Loss(stage="dns"), "retry", 1),
        (Loss(stage="tcp"), "retry", 1),
        (Loss(stage="tls"), "retry", 1),
        (Loss(stage="upgrade"), "retry", 1),
        (Loss(stage="established"), "retry", 1),
    ],
    ids=str,
)
def test_the_table(loss: Loss, action: str, delay: float) -> None:
    """What is done about the first loss of a client that can refresh its token."""
    decision = decide(loss, RULES, attempts=0, may_refresh=True)
    assert (decision.action, decision.delay) == (action, delay)
    assert decision.hint == explain(loss)


@pytest.mark.parametrize("loss", [closed(4001), refused(401), refused(403)])
def test_one_refresh_and_no_more(loss: Loss) -> None:
    """The second time in a row another token is needed."""
    assert decide(loss, RULES, attempts=0, may_refresh=True).action == "refresh"
    assert decide(loss, RULES, attempts=0, may_refresh=False) == Decision(action="stop", auth=True, hint=explain(loss))


def test_4003_is_no_matter_of_tokens() -> None:
    """It stops, and another token is not asked for."""
    assert decide(closed(4003), RULES, attempts=0, may_refresh=True) == Decision(
        action="stop", hint=explain(closed(4003))
    )


def test_backoff_doubles_up_to_its_cap() -> None:
    """1, 2, 4, 8, 16, 30, 30 …"""
    assert [backoff(n, RULES) for n in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    assert [decide(closed(1001), RULES, attempts=n, may_refresh=False).delay for n in range(5)] == [1, 2, 4, 8, 16]
    assert backoff(10_000_000, msgspec.structs.replace(RULES, retry_factor=1.0)) == 1


@pytest.mark.parametrize("attempts", [64, 1024, 100_000])
def test_backoff_after_very_many_attempts(attempts: int) -> None:
    """A profile may allow them; the cap holds."""
    assert backoff(attempts, RULES) == 30


def test_an_abnormal_end_waits_two_seconds_at_least() -> None:
    """1006 only, and not less than the backoff."""
    assert [decide(closed(1006), RULES, attempts=n, may_refresh=False).delay for n in range(4)] == [2, 2, 4, 8]


def test_five_attempts_then_it_stops() -> None:
    """And says after how many."""
    assert decide(closed(1006), RULES, attempts=4, may_refresh=False).action == "retry"
    decision = decide(closed(1006), RULES, attempts=5, may_refresh=False)
    assert decision.action == "stop"
    assert not decision.auth
    assert decision.hint == "gave up after 5 retries: 1006: the connection was cut without a close frame"


def test_the_profile_may_name_its_own_codes() -> None:
    """Stop codes and those that a refresh cures."""
    rules = msgspec.structs.replace(RULES, stop_codes=(4400,), refresh_codes=(4401,))
    assert decide(closed(4400), rules, attempts=0, may_refresh=True).action == "stop"
    assert decide(closed(4401), rules, attempts=0, may_refresh=True).action == "refresh"
    assert decide(closed(4001), rules, attempts=0, may_refresh=True).action == "retry"


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (closed(1006, error="reset by peer"), "1006: the connection was cut without a close frame (reset by peer)"),
        (closed(4711), "4711: a code of the application's own"),
        (closed(1016), "1016: closed"),
        (closed(1009, by_us=True), "the server's message was larger than this client accepts (max_size)"),
        (refused(403), "HTTP 403: the token is missing, wrong or expired, the user may not use this bot"),
        (refused(418), "HTTP 418: the upgrade was refused"),
        (Loss(stage="dns", error="no such host"), "the name does not resolve: no such host"),
        (Loss(stage="established"), "the socket opened but the backend never said that it is ready"),
        (Loss(stage="open"), "lost"),
    ],
)
def test_what_it_may_mean(loss: Loss, words: str) -> None:
    """One sentence for people."""
    assert explain(loss).startswith(words)


_LOSSES = st.builds(
    Loss,
    stage=st.sampled_from(["dns", "tcp", "tls", "upgrade", "established", "open"]),
    code=st.none() | st.integers(0, 5000),
    status=st.none() | st.integers(100, 600),
    error=st.text(max_size=5),
    by_us=st.booleans(),
    retry_after=st.none() | st.floats(0, 300),
)


@given(_LOSSES, st.integers(0, 10), st.booleans())
def test_every_loss_has_a_decision(loss: Loss, attempts: int, may_refresh: bool) -> None:
    """Total, bounded, and never a storm."""
    decision = decide(loss, RULES, attempts=attempts, may_refresh=may_refresh)
    assert decision.hint
    if decision.action == "retry":
        assert attempts < RULES.retry_attempts
        assert decision.delay >= max(1.0, loss.retry_after or 0)
        assert decision.delay <= max(RULES.retry_cap, loss.retry_after or 0)
    if decision.action == "refresh":
        assert may_refresh
