"""The faults of a life that began well as transcripts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.faults import FaultPlan
from chatkit.faults.moments import (
    Abort,
    CloseWith,
    Crash,
    Crossing,
    Drop,
    Evict,
    Hold,
    Inject,
    Joined,
    Left,
    Malform,
    Opened,
    Received,
    Refuse,
    Restart,
    Saying,
    Sending,
    Sent,
    Started,
    Wake,
    Woke,
)

from .test_plan import APP_PING, PING, RESPONSE, TYPING, play

PONG = Received(kind="protocol-pong")
WOKE = Woke(key=0)


def chunk(seq: int) -> Sending:
    """A piece of a reply."""
    return Sending(type="chat_response_chunk", seq=seq)


@pytest.mark.parametrize(
    ("fault", "script", "expected"),
    [
        # message-rate: messages and pings, not pongs; the window slides; once
        (
            "message-rate:limit=2",
            [(0, APP_PING), (0.5, PING), (0.6, PONG), (0.9, TYPING), (0.95, TYPING)],
            [(0.9, Drop()), (0.9, CloseWith(code=1008, reason="too many messages"))],
        ),
        ("message-rate:limit=2", [(n / 2, TYPING) for n in range(9)], []),
        # policy-violation: by age, by type, by what comes first
        (
            "policy-violation:code=4100",
            [(0, Opened()), (0.5, TYPING), (1, WOKE), (2, WOKE)],
            [(0, Wake(after=1, key=0)), (1, CloseWith(code=4100, reason="content policy"))],
        ),
        (
            "policy-violation:after=0,on=typing,reason=no_typing_here",
            [(0, Opened()), (1, APP_PING), (2, TYPING), (3, TYPING)],
            [(2, Drop()), (2, CloseWith(code=1008, reason="no typing here"))],
        ),
        (
            "policy-violation:after=5,on=typing",
            [(0, Opened()), (2, TYPING), (5, WOKE)],
            [(0, Wake(after=5, key=0)), (2, Drop()), (2, CloseWith(code=1008, reason="content policy"))],
        ),
        ("policy-violation", [(1, WOKE)], []),
        # malformed frames: once per connection
        (
            "protocol-error",
            [(0, Opened()), (1, WOKE), (2, WOKE)],
            [(0, Wake(after=1, key=0)), (1, Malform(what="opcode"))],
        ),
        ("protocol-error:what=rsv", [(0, Opened()), (1, WOKE)], [(0, Wake(after=1, key=0)), (1, Malform(what="rsv"))]),
        (
            "protocol-error:what=fragment,after=0",
            [(0, Opened()), (0, WOKE)],
            [(0, Wake(after=0, key=0)), (0, Malform(what="fragment"))],
        ),
        ("invalid-utf8", [(0, Opened()), (1, WOKE)], [(0, Wake(after=1, key=0)), (1, Malform(what="utf8"))]),
        # message-too-big: the limit itself passes
        (
            "message-too-big:limit=10",
            [(n, Received(kind="data", size=n)) for n in (9, 10, 11, 12)],
            [(11, Drop()), (11, CloseWith(code=1009, reason="message too big"))],
        ),
        (
            "message-too-big:limit=10,how=rst",
            [(0, Received(kind="app-ping", type="ping", size=99))],
            [(0, Drop()), (0, Abort(how="rst"))],
        ),
        # slow-consumer: once
        (
            "slow-consumer:limit=10",
            [(n, Sent(kind="data", buffered=n)) for n in (10, 11, 12)],
            [(11, CloseWith(code=1008, reason="client reads too slowly"))],
        ),
        ("slow-consumer:limit=10,how=fin", [(0, Sent(kind="data", buffered=11))], [(0, Abort(how="fin"))]),
        # server-restart: once, or with a period
        (
            "server-restart:after=5,gap=1",
            [(0, Started()), (5, WOKE), (6, WOKE), (7, Started())],
            [(0, Wake(after=5, key=0)), (5, Restart(code=1012, gap=1))],
        ),
        (
            "server-restart:after=5,code=1001,period=9",
            [(0, Started()), (5, WOKE), (14, WOKE)],
            [(0, Wake(after=5, key=0))]
            + [(now, a) for now in (5, 14) for a in (Restart(code=1001, gap=3), Wake(after=9, key=0))],
        ),
        # crash-on-text: over and over
        (
            "crash-on-text:text=poison,gap=2",
            [(0, Saying(text="some poison")), (1, Saying(text="water")), (2, Saying(text="poison"))],
            [(now, a) for now in (0, 2) for a in (Refuse(status=500), Crash(gap=2))],
        ),
        # wrong-contract: once per connection
        (
            "wrong-contract",
            [(0, Opened()), (1, WOKE), (2, WOKE)],
            [(0, Wake(after=1, key=0)), (1, Inject(what="unknown-type"))],
        ),
        (
            "wrong-contract:what=field,after=0",
            [(0, Opened()), (0, WOKE)],
            [(0, Wake(after=0, key=0)), (0, Inject(what="missing-field"))],
        ),
        # out-of-order
        ("out-of-order:wait=2", [(n, chunk(n)) for n in range(4)] + [(4, RESPONSE)], [(1, Hold(seconds=2))]),
        (
            "out-of-order:what=replies",
            [(0, chunk(1)), (1, RESPONSE), (2, RESPONSE), (3, RESPONSE)],
            [(1, Hold(seconds=5)), (3, Hold(seconds=5))],
        ),
    ],
)
def test_transcripts(fault, script, expected) -> None:
    """Each fault by itself."""
    assert play(fault, *script) == expected


def test_the_workers_die_in_turn() -> None:
    """Each connection of the killed worker, none of another's, none that left; after the last the first again."""
    people = [(0, Joined(connection=n, user="ada", bot="echo", token="t")) for n in range(1, 21)]
    script = [(0, Started()), *people, (1, Left(connection=7)), (5, WOKE), (8, WOKE), (11, WOKE)]
    answers = play("worker-timeout:after=5,workers=2,how=rst,period=3", *script, ordinal=0, seed=1)
    waves = [{a.connection for now, a in answers if now == at and isinstance(a, Evict)} for at in (5, 8, 11)]
    assert waves[0] | waves[1] == set(range(1, 21)) - {7}
    assert waves[0] & waves[1] == set()
    assert 3 < len(waves[0]) < 16
    assert waves[2] == waves[0]
    assert {a.end for _, a in answers if isinstance(a, Evict)} == {Abort(how="rst")}
    assert [now for now, a in answers if isinstance(a, Wake)] == [0, 5, 8, 11]


def test_a_worker_dies_once_without_a_period() -> None:
    """And nobody else ever."""
    joined = Joined(connection=1, user="ada", bot=None, token="t")
    script = [(0, Started()), (0, joined), (5, WOKE), (6, WOKE), (7, Started())]
    answers = play("worker-timeout:after=5,workers=1", *script, ordinal=0)
    assert answers == [(0, Wake(after=5, key=0)), (5, Evict(connection=1, end=Abort(how="fin")))]


numbers = st.integers(1, 1000)


@given(numbers, numbers, numbers, st.integers(1, 5), st.integers())
def test_workers_are_a_partition(a, b, c, workers, seed) -> None:
    """What crosses is symmetric and transitive, and everything crosses to itself: that is what a worker is."""
    plan = FaultPlan([f"multi-worker-split:workers={workers}"], seed)
    state = plan.begin(0)

    def together(one: int, other: int) -> bool:
        return plan.decide(state, Crossing(source=one, target=other), 0)[1] == ()

    assert together(a, a)
    assert together(a, b) == together(b, a)
    assert together(a, c) or not (together(a, b) and together(b, c))
    assert workers > 1 or together(a, b)


@pytest.mark.parametrize("workers", [2, 4])
def test_the_share_that_is_lost(workers) -> None:
    """(k-1)/k of all pairs, within what 2000 draws allow."""
    plan = FaultPlan([f"multi-worker-split:workers={workers}"], 3)
    state = plan.begin(0)
    lost = sum(plan.decide(state, Crossing(source=n, target=n + 5000), 0)[1] == (Drop(),) for n in range(2000))
    assert abs(lost / 2000 - (workers - 1) / workers) < 0.05


@given(st.lists(st.floats(0, 1), max_size=40), st.integers(1, 5))
def test_the_message_rate_is_exact(gaps, limit) -> None:
    """The close comes at the first message that is the limit's next within a second, and never again."""
    now, times, script = 0.0, [], []
    for gap in gaps:
        now += gap
        times.append(now)
        script.append((now, TYPING))
    over = [t for n, t in enumerate(times) if n >= limit and t - times[n - limit] < 1]
    closes = [now for now, a in play(f"message-rate:limit={limit}", *script) if isinstance(a, CloseWith)]
    assert closes == over[:1]


def test_the_buffer_limit_of_a_plan() -> None:
    """The smallest one holds."""
    assert FaultPlan([]).buffer_limit is None
    assert FaultPlan(["slow-consumer:limit=9", "slow-consumer:limit=5"]).buffer_limit == 5


def test_malformed_frames() -> None:
    """Unmasked frames of the length they say, each with the one thing that is wrong."""
    frames = {what: Malform(what=what).frame() for what in ("opcode", "rsv", "fragment", "utf8")}
    for frame in frames.values():
        assert frame[1] == len(frame) - 2
    assert frames["opcode"][0] & 0x0F not in (0, 1, 2, 8, 9, 10)
    assert frames["rsv"][0] & 0x30
    assert (frames["fragment"][0] & 0x80, frames["fragment"][0] & 0x0F) == (0, 9)
    assert frames["utf8"][0] == 0x81
    with pytest.raises(UnicodeDecodeError):
        frames["utf8"][2:].decode()
