"""When the application ping goes out and when its answer is overdue: a table in virtual time."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.behaviour import Client
from chatkit.policy.keepalive import Pulse, Step, next_ping, step
from chatkit.profile import DEFAULT

RULES = DEFAULT.client
QUIET = Pulse(established_at=100.0)
WAITING = Pulse(established_at=100.0, pings=1, last_ping_at=105.0, answered=False)
ANSWERED = Pulse(established_at=100.0, pings=1, last_ping_at=105.0, answered=True)


@pytest.mark.parametrize(
    ("pulse", "now", "expected"),
    [
        # five seconds of quiet before the first ping: the incident's cure
        (QUIET, 100.0, Step("wait", 105.0)),
        (QUIET, 104.999, Step("wait", 105.0)),
        (QUIET, 105.0, Step("ping", 105.0)),
        (QUIET, 160.0, Step("ping", 160.0)),
        # ten seconds for the pong
        (WAITING, 105.0, Step("wait", 115.0)),
        (WAITING, 114.999, Step("wait", 115.0)),
        (WAITING, 115.0, Step("dead", 115.0)),
        (WAITING, 400.0, Step("dead", 400.0)),
        # then thirty seconds from ping to ping
        (ANSWERED, 106.0, Step("wait", 135.0)),
        (ANSWERED, 135.0, Step("ping", 135.0)),
        (ANSWERED, 200.0, Step("ping", 200.0)),
    ],
)
def test_the_table(pulse: Pulse, now: float, expected: Step) -> None:
    """What to do, and when to ask again."""
    assert step(pulse, now, RULES) == expected


def live(rules: Client, inbound: list[float], end: float) -> list[tuple[float, str]]:
    """A connection in virtual time: what keepalive did, given when anything came in."""
    pulse, now, did = Pulse(established_at=0.0), 0.0, []
    coming = sorted(inbound)
    while now < end:
        decided = step(pulse, now, rules)
        if decided.action == "ping":
            did.append((now, "ping"))
            pulse = msgspec.structs.replace(pulse, pings=pulse.pings + 1, last_ping_at=now, answered=False)
            continue
        if decided.action == "dead":
            return [*did, (now, "dead")]
        now = min(decided.wake_at, coming[0]) if coming else decided.wake_at
        if coming and now == coming[0]:
            coming.pop(0)
            pulse = msgspec.structs.replace(pulse, answered=True)
    return did


def test_a_healthy_life() -> None:
    """The first ping at five seconds, then one every thirty."""
    pongs = [5.1 + 30 * n for n in range(4)]
    assert live(RULES, pongs, 100) == [(5, "ping"), (35, "ping"), (65, "ping"), (95, "ping")]


def test_silence() -> None:
    """Ten seconds after the first ping that nobody answers."""
    assert live(RULES, [], 100) == [(5, "ping"), (15, "dead")]
    assert live(RULES, [5.1], 100) == [(5, "ping"), (35, "ping"), (45, "dead")]


def test_a_late_pong_moves_nothing() -> None:
    """Just in time is in time; the next ping keeps its place."""
    assert live(RULES, [14.9], 40) == [(5, "ping"), (35, "ping")]


def test_anything_that_comes_in_answers() -> None:
    """A reply shows life as well as a pong; what came before the ping does not."""
    assert live(RULES, [3.0, 9.0], 40) == [(5, "ping"), (35, "ping")]
    assert live(RULES, [3.0, 4.9], 40) == [(5, "ping"), (15, "dead")]


def test_the_incident() -> None:
    """Without quiet time the ping goes out with the connection."""
    assert step(QUIET, 100.0, msgspec.structs.replace(RULES, stabilise=0.0)).action == "ping"


@given(
    st.floats(0, 60),
    st.floats(0.1, 60),
    st.floats(0.1, 60),
    st.lists(st.floats(0, 300, allow_subnormal=False), max_size=30),
)
def test_no_ping_before_its_time(stabilise: float, interval: float, timeout: float, inbound: list[float]) -> None:
    """Whatever comes in: quiet first, then at least an interval between pings, never two unanswered."""
    rules = msgspec.structs.replace(RULES, stabilise=stabilise, ping_interval=interval, pong_timeout=timeout)
    did = live(rules, inbound, 300)
    pings = [at for at, what in did if what == "ping"]
    assert all(at >= stabilise for at in pings)
    assert all(later - earlier >= interval - 1e-9 for earlier, later in itertools.pairwise(pings))
    for at, what in did:
        if what == "dead":
            assert not any(pings[-1] < came < at for came in inbound)


@given(st.floats(0, 1000), st.floats(0, 1000))
def test_a_wait_is_never_for_the_past(since: float, now: float) -> None:
    """Otherwise the loop would spin."""
    pulse = Pulse(established_at=since)
    decided = step(pulse, now, RULES)
    assert decided.wake_at >= now
    assert next_ping(pulse, RULES) == since + 5
