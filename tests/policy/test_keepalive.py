"""When the application ping goes out and when the peer is given up: a table, and whole lives in virtual time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.behaviour import Client
from chatkit.policy.keepalive import Pulse, Step, next_ping, step

RULES = Client()
CLOSE = 2.0
"""Seconds that our closing handshake may take before the transport is cut."""
QUIET = Pulse(established_at=100.0)
WAITING = Pulse(established_at=100.0).pinged(105.0, RULES, 0.0)
ANSWERED = WAITING.heard()
FORGIVEN = WAITING.rearmed(130.0, RULES)


@pytest.mark.parametrize(
    ("pulse", "now", "expected"),
    [
        # five seconds of quiet before the first ping: the incident's cure
        (QUIET, 100.0, Step("wait", 105.0)),
        (QUIET, 104.999, Step("wait", 105.0)),
        (QUIET, 105.0, Step("ping", 105.0)),
        (QUIET, 160.0, Step("ping", 160.0)),
        # ten seconds for any sign of life
        (WAITING, 105.0, Step("wait", 115.0)),
        (WAITING, 114.999, Step("wait", 115.0)),
        (WAITING, 115.0, Step("dead", 115.0)),
        (WAITING, 115.25, Step("dead", 115.25)),
        # our own timer fired late: the answer may lie unread
        (WAITING, 115.26, Step("drain", 115.26)),
        (WAITING, 400.0, Step("drain", 400.0)),
        # but that is believed once
        (FORGIVEN, 139.999, Step("wait", 140.0)),
        (FORGIVEN, 140.0, Step("dead", 140.0)),
        (FORGIVEN, 400.0, Step("dead", 400.0)),
        # then thirty seconds from ping to ping
        (ANSWERED, 106.0, Step("wait", 135.0)),
        (ANSWERED, 135.0, Step("ping", 135.0)),
        (ANSWERED, 200.0, Step("ping", 200.0)),
        (FORGIVEN.heard(), 131.0, Step("wait", 135.0)),
    ],
)
def test_the_table(pulse: Pulse, now: float, expected: Step) -> None:
    """What to do, and when to ask again."""
    assert step(pulse, now, RULES) == expected


def test_a_ping_starts_the_count_again() -> None:
    """Unanswered, not forgiven, the deadline ten seconds ahead; what came in before does not answer it."""
    pulse = FORGIVEN.heard().pinged(135.0, RULES, 0.5)
    assert (pulse.pings, pulse.answered, pulse.forgiven, pulse.deadline) == (2, False, False, 145)
    assert pulse.interval == 27.5
    assert pulse.heard().heard() == pulse.heard()


@given(st.floats(0, 1, exclude_max=True), st.floats(0, 60), st.floats(0, 60))
def test_jitter_only_shortens(draw: float, interval: float, jitter: float) -> None:
    """By its share at most, and never below zero."""
    rules = msgspec.structs.replace(RULES, ping_interval=interval, ping_jitter=jitter)
    pulse = QUIET.pinged(105.0, rules, draw).heard()
    assert max(0.0, interval - jitter) <= next_ping(pulse, rules) - 105.0 + 1e-9
    assert next_ping(pulse, rules) <= 105.0 + interval


class Peer:
    """Somebody at the other end who answers pings until he dies."""

    def __init__(self, dies: float = math.inf, rtt: float = 0.1) -> None:
        self.dies, self.rtt = dies, rtt

    def answers(self, ping: float) -> list[float]:
        """When the answer to a ping arrives; a ping that finds him dead has none."""
        return [ping + self.rtt] if ping + self.rtt / 2 < self.dies else []


def live(
    peer: Peer,
    rules: Client = RULES,
    *,
    blocks: Sequence[tuple[float, float]] = (),
    draw: Callable[[], float] = lambda: 0.0,
    heard: Sequence[float] = (),
    end: float = 300.0,
) -> list[tuple[float, str]]:
    """A connection in virtual time: what keepalive did. While our loop is blocked (from, to) nothing happens on our
    side; when it comes back the timer goes first, which is the worst case, and then everything is read."""

    def awake(at: float) -> float:
        return next((to for since, to in blocks if since <= at < to), at)

    pulse, now, inbox = Pulse(established_at=0.0), awake(0.0), sorted(heard)
    did: list[tuple[float, str]] = []
    while now < end:
        decided = step(pulse, now, rules)
        if decided.action != "wait":
            did.append((now, decided.action))
        if decided.action == "dead":
            break
        if decided.action == "ping":
            pulse = pulse.pinged(now, rules, draw())
            inbox = sorted(inbox + peer.answers(now))
        if decided.action == "drain":
            pulse = pulse.rearmed(now, rules)
        while inbox and inbox[0] <= now:
            inbox.pop(0)
            pulse = pulse.heard()
        if decided.action == "wait":
            # What was read may have changed what is due.
            due = step(pulse, now, rules).wake_at
            now = max(now, awake(min([due, *inbox[:1]])))
    return did


def test_a_healthy_life() -> None:
    """The first ping at five seconds, then one every thirty; with jitter sooner."""
    assert live(Peer(), end=100) == [(5, "ping"), (35, "ping"), (65, "ping"), (95, "ping")]
    assert live(Peer(), draw=lambda: 0.8, end=60) == [(5, "ping"), (31, "ping"), (57, "ping")]


def test_silence() -> None:
    """Ten seconds after the first ping that nobody answers."""
    assert live(Peer(dies=0)) == [(5, "ping"), (15, "dead")]
    assert live(Peer(dies=20)) == [(5, "ping"), (35, "ping"), (45, "dead")]


def test_a_late_pong_moves_nothing() -> None:
    """Just in time is in time; the next ping keeps its place."""
    assert live(Peer(rtt=9.9), end=40) == [(5, "ping"), (35, "ping")]


def test_anything_that_comes_in_answers() -> None:
    """A reply shows life as well as a pong; what came before the ping does not."""
    assert live(Peer(dies=0), heard=[3.0, 9.0], end=40) == [(5, "ping"), (35, "ping")]
    assert live(Peer(dies=0), heard=[3.0, 4.9]) == [(5, "ping"), (15, "dead")]


def test_the_incident() -> None:
    """Without quiet time the ping goes out with the connection."""
    assert step(QUIET, 100.0, msgspec.structs.replace(RULES, stabilise=0.0)).action == "ping"


@given(st.floats(0, 250), st.lists(st.floats(0, 1, exclude_max=True), min_size=1))
def test_half_open_is_noticed_within_42_seconds(dies: float, draws: list[float]) -> None:
    """30 s to the next ping, 10 s of silence, 2 s for a close frame that nobody answers: whatever the jitter."""
    did = live(Peer(dies=dies), draw=itertools.cycle(draws).__next__, end=400)
    at, what = did[-1]
    assert what == "dead"
    assert at + CLOSE - dies <= 42 + 1e-9


def test_42_seconds_are_needed() -> None:
    """By a peer who dies right after he answered, when nothing shortens the interval."""
    at, what = live(Peer(dies=5.06))[-1]
    assert what == "dead"
    assert 41.9 < at + CLOSE - 5.06 <= 42


@pytest.mark.parametrize("since", [n / 10 for n in range(460)])
def test_a_blocked_loop_is_no_dead_peer(since: float) -> None:
    """Sixty seconds, whenever they begin: the peer answered long ago, and the answer is read before anybody judges."""
    did = [what for _, what in live(Peer(), blocks=[(since, since + 60)])]
    assert "dead" not in did
    assert did.count("drain") <= 1


def test_what_a_blocked_loop_does() -> None:
    """The ping of second 5 is answered in 5.1, while we sleep until 65: read late, and the next ping goes out at once."""
    assert live(Peer(), blocks=[(5.05, 65)], end=90) == [(5, "ping"), (65, "drain"), (65, "ping")]


def test_a_blocked_loop_hides_no_dead_peer() -> None:
    """Once more ten seconds of silence, then he is given up."""
    assert live(Peer(dies=0), blocks=[(5.05, 65)]) == [(5, "ping"), (65, "drain"), (75, "dead")]
    assert live(Peer(dies=0), blocks=[(5.05, 65), (66, 126)]) == [(5, "ping"), (65, "drain"), (126, "dead")]


def test_the_incident_forgives_nothing() -> None:
    """The front end of the incident takes its own sleep for the peer's death."""
    rules = msgspec.structs.replace(RULES, lag_forgiven=math.inf)
    assert live(Peer(), rules, blocks=[(5.05, 65)]) == [(5, "ping"), (65, "dead")]


_LENGTHS = st.floats(0, 9) | st.floats(10.3, 60)
# In between a block may end within the lateness that is nobody's fault.


@given(st.lists(st.tuples(st.floats(0.5, 30), _LENGTHS), max_size=6), st.floats(0.01, 0.9), st.floats(0, 0.99))
def test_a_healthy_peer_survives_any_blocks(blocks: list[tuple[float, float]], rtt: float, draw: float) -> None:
    """However often our loop sleeps, and however long."""
    spans, at = [], 0.0
    for gap, length in blocks:
        spans.append((at + gap, at + gap + length))
        at += gap + length
    assert "dead" not in [what for _, what in live(Peer(rtt=rtt), blocks=spans, draw=lambda: draw, end=at + 100)]


@given(
    st.floats(0, 60),
    st.floats(0.1, 60),
    st.floats(0.1, 60),
    st.lists(st.floats(0, 300, allow_subnormal=False), max_size=30),
)
def test_no_ping_before_its_time(stabilise: float, interval: float, timeout: float, inbound: list[float]) -> None:
    """Whatever comes in: quiet first, then an interval between pings, and given up only in silence."""
    rules = msgspec.structs.replace(RULES, stabilise=stabilise, ping_interval=interval, pong_timeout=timeout)
    did = live(Peer(dies=0), rules, heard=inbound)
    pings = [at for at, what in did if what == "ping"]
    assert all(at >= stabilise for at in pings)
    assert all(later - earlier >= interval - 1e-9 for earlier, later in itertools.pairwise(pings))
    for at, what in did:
        if what == "dead":
            assert not any(pings[-1] < came < at for came in inbound)


@given(st.floats(0, 1000), st.floats(0, 1000), st.booleans(), st.floats(0, 1000))
def test_a_wait_is_never_for_the_past(since: float, ping: float, answered: bool, now: float) -> None:
    """Otherwise the loop would spin."""
    pulse = Pulse(established_at=since)
    assert next_ping(pulse, RULES) == since + 5
    pinged = pulse.pinged(ping, RULES, 0.5)
    for one in (pulse, pinged.heard() if answered else pinged):
        assert step(one, now, RULES).wake_at >= now
