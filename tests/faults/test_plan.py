"""Plans as transcripts: moments go in, actions come out."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.faults import FaultPlan
from chatkit.faults.moments import (
    Abort,
    Asked,
    BlackHole,
    CloseWith,
    Crash,
    Crossing,
    Delay,
    Drop,
    Duplicate,
    Inject,
    Joined,
    Knocked,
    Left,
    Opened,
    Received,
    Refuse,
    Replying,
    Saying,
    Sending,
    Sent,
    Stall,
    Started,
    Wake,
    Woke,
)

from .test_parse import faults

APP_PING = Received(kind="app-ping", type="ping")
PING = Received(kind="protocol-ping")
TYPING = Received(kind="data", type="typing")
RESPONSE = Sending(type="chat_response")


def play(fault: str | list[str], *script, ordinal: int = 1, seed: int = 0):
    """Feeds (time, moment) pairs and returns the answers that are not empty, with their times."""
    plan = FaultPlan([fault] if isinstance(fault, str) else fault, seed)
    state, answers = plan.begin(ordinal), []
    for now, moment in script:
        state, actions = plan.decide(state, moment, now)
        answers += [(now, action) for action in actions]
    return answers


@pytest.mark.parametrize(
    ("fault", "script", "expected"),
    [
        # early-ping-abort: both kinds of ping, only inside the window, only once
        (
            "early-ping-abort",
            [(10, Opened()), (12.9, APP_PING)],
            [(12.9, Abort(how="rst", after=0.2))],
        ),
        (
            "early-ping-abort:how=fin,delay=0",
            [(10, Opened()), (10, PING)],
            [(10, Abort(how="fin", after=0))],
        ),
        ("early-ping-abort", [(10, Opened()), (13, APP_PING), (14, PING)], []),
        ("early-ping-abort", [(10, Opened()), (11, TYPING), (14, APP_PING)], []),
        ("early-ping-abort", [(10, APP_PING)], []),
        (
            "early-ping-abort",
            [(0, Opened()), (1, PING), (1.1, PING)],
            [(1, Abort(how="rst", after=0.2))],
        ),
        ("early-ping-abort:ping=app", [(0, Opened()), (1, PING)], []),
        ("early-ping-abort:ping=protocol", [(0, Opened()), (1, APP_PING)], []),
        (
            "early-ping-abort:ping=protocol",
            [(0, Opened()), (1, APP_PING), (2, PING)],
            [(2, Abort(how="rst", after=0.2))],
        ),
        # idle-timeout: one wake-up, renewed by what counts
        (
            "idle-timeout:timeout=60",
            [(0, Opened()), (60, Woke(key=0))],
            [(0, Wake(after=60, key=0)), (60, Abort(how="fin"))],
        ),
        (
            "idle-timeout:timeout=60",
            [(0, Opened()), (50, PING), (60, Woke(key=0)), (110, Woke(key=0))],
            [(0, Wake(after=60, key=0)), (60, Wake(after=50, key=0)), (110, Abort(how="fin"))],
        ),
        (
            "idle-timeout:timeout=60,how=close",
            [(0, Opened()), (60, Woke(key=0)), (61, Woke(key=0))],
            [(0, Wake(after=60, key=0)), (60, CloseWith(code=1001, reason="idle timeout"))],
        ),
        (
            "idle-timeout:timeout=60,how=close,code=1000",
            [(0, Opened()), (60, Woke(key=0))],
            [(0, Wake(after=60, key=0)), (60, CloseWith(code=1000, reason="idle timeout"))],
        ),
        # max-lifetime: traffic does not matter
        (
            "max-lifetime:age=9,how=rst",
            [(0, Opened()), (8, APP_PING), (9, Woke(key=0))],
            [(0, Wake(after=9, key=0)), (9, Abort(how="rst"))],
        ),
        # server-crash: once
        (
            "server-crash:after=5,gap=1",
            [(0, Started()), (5, Woke(key=0)), (6, Woke(key=0)), (7, Started())],
            [(0, Wake(after=5, key=0)), (5, Crash(gap=1))],
        ),
        # refusals
        ("auth-rejected", [(0, Asked(what="upgrade"))], [(0, Refuse(status=403))]),
        (
            "auth-rejected:when=after",
            [(0, Asked(what="upgrade"))],
            [(0, CloseWith(code=4001, reason="token rejected"))],
        ),
        ("auth-rejected:status=401", [(0, Asked(what="upgrade"))], [(0, Refuse(status=401))]),
        (
            "auth-rejected:when=after,code=1008",
            [(0, Asked(what="upgrade"))],
            [(0, CloseWith(code=1008, reason="token rejected"))],
        ),
        ("auth-rejected", [(0, Asked(what="api")), (1, Asked(what="health"))], [(0, Refuse(status=401))]),
        ("health-down", [(0, Asked(what="health")), (1, Asked(what="api"))], [(0, Refuse(status=503))]),
        # token-expired: at the token's end, else at the connection's age
        (
            "token-expired:after=30",
            [(0, Opened(expires_in=12)), (12, Woke(key=0))],
            [(0, Wake(after=12, key=0)), (12, CloseWith(code=4001, reason="token expired"))],
        ),
        ("token-expired:after=30", [(0, Opened())], [(0, Wake(after=30, key=0))]),
        (
            "token-expired:after=30,how=rst",
            [(0, Opened()), (30, Woke(key=0))],
            [(0, Wake(after=30, key=0)), (30, Abort(how="rst"))],
        ),
        # messages
        (
            "no-established-message",
            [(0, Sending(type="connection_established")), (1, RESPONSE)],
            [(0, Drop())],
        ),
        ("slow-reply:delay=2", [(0, Replying()), (1, RESPONSE)], [(0, Delay(seconds=2))]),
        (
            "duplicate-delivery",
            [(0, RESPONSE), (1, Sending(type="chat_response_chunk", seq=0))],
            [(0, Duplicate())],
        ),
        (
            "stuck-typing",
            [(0, Sending(type="typing_indicator", is_typing=flag)) for flag in (True, False)],
            [(0, Drop())],
        ),
        (
            "chunk-gap:seq=1",
            [(n, Sending(type="chat_response_chunk", seq=n)) for n in range(3)],
            [(1, Drop())],
        ),
        ("lost-reply", [(0, RESPONSE), (1, RESPONSE)], [(0, Drop()), (1, Drop())]),
        ("lost-reply:share=0", [(0, RESPONSE)], []),
        (
            "invalid-json:after=1",
            [(0, Opened()), (1, Woke(key=0)), (2, Woke(key=0))],
            [(0, Wake(after=1, key=0)), (1, Inject(what="invalid-json"))],
        ),
        (
            "server-error",
            [(0, APP_PING), (1, TYPING), (2, TYPING)],
            [(1, Drop()), (1, CloseWith(code=1011, reason="internal error"))],
        ),
        (
            "server-error:reason=none,code=4500",
            [(1, TYPING)],
            [(1, Drop()), (1, CloseWith(code=4500, reason=""))],
        ),
        ("server-error:how=fin", [(1, TYPING)], [(1, Drop()), (1, Abort(how="fin"))]),
        ("no-pong", [(0, APP_PING), (1, PING)], [(0, Drop())]),
        ("no-pong:kind=both", [(0, APP_PING), (1, PING)], [(0, Drop()), (1, Drop())]),
        # black-hole: once, whatever goes on; stall: once per start
        (
            "black-hole:after=5,duration=2",
            [(0, Opened()), (4, APP_PING), (5, Woke(key=0)), (6, Woke(key=0))],
            [(0, Wake(after=5, key=0)), (5, BlackHole(seconds=2))],
        ),
        ("black-hole:after=5", [(5, Woke(key=0))], []),
        (
            "stall:after=3,duration=1",
            [(0, Started()), (3, Woke(key=0)), (4, Woke(key=0)), (5, Started())],
            [(0, Wake(after=3, key=0)), (3, Stall(seconds=1))],
        ),
        (
            "stall:after=3,duration=1,period=9",
            [(0, Started()), (3, Woke(key=0)), (13, Woke(key=0))],
            [(0, Wake(after=3, key=0))]
            + [(now, a) for now in (3, 13) for a in (Stall(seconds=1), Wake(after=9, key=0))],
        ),
        # accept-then-close: after the greeting was written, once
        (
            "accept-then-close:code=1013",
            [(0, Opened()), (0, Sent(kind="protocol-pong")), (1, Sent(kind="data")), (2, Sent(kind="data"))],
            [(1, CloseWith(code=1013, reason="internal error"))],
        ),
        ("accept-then-close:share=0", [(0, Opened()), (1, Sent(kind="data")), (2, Sent(kind="data"))], []),
        ("accept-then-close", [(0, Sent(kind="data"))], []),
        # error-on-text: every time
        (
            "error-on-text:text=poison,code=4000",
            [(0, Saying(text="a poisonous one")), (1, Saying(text="Poison")), (2, Saying(text="poison"))],
            [(now, a) for now in (0, 2) for a in (Refuse(status=500), CloseWith(code=4000, reason="internal error"))],
        ),
        # overload: upgrades only
        (
            "overload:retry_after=7",
            [(0, Asked(what="upgrade")), (1, Asked(what="health")), (2, Asked(what="api"))],
            [(0, Refuse(status=503, retry_after=7))],
        ),
        ("overload:share=0", [(0, Asked(what="upgrade"))], []),
    ],
)
def test_transcripts(fault, script, expected) -> None:
    """Each fault by itself."""
    assert play(fault, *script) == expected


@pytest.mark.parametrize(
    ("counts", "moment", "kept_alive"),
    [
        ("any", Sent(kind="protocol-pong"), True),
        ("any", TYPING, True),
        ("inbound", Sent(kind="data"), True),
        ("inbound", APP_PING, False),
        ("outbound", APP_PING, True),
        ("outbound", Sent(kind="data"), False),
        ("data-frames", Sent(kind="data"), True),
        ("data-frames", APP_PING, True),
        ("data-frames", PING, False),
        ("app-ping", APP_PING, True),
        ("app-ping", TYPING, False),
        ("protocol-ping", PING, True),
        ("protocol-ping", Received(kind="protocol-pong"), False),
        ("protocol-ping", APP_PING, False),
    ],
)
def test_what_counts_as_activity(counts, moment, kept_alive) -> None:
    """Directions are seen from the client."""
    fault = f"idle-timeout:timeout=10,counts={counts}"
    answers = play(fault, (0, Opened()), (5, moment), (10, Woke(key=0)))
    assert isinstance(answers[-1][1], Wake) is kept_alive


def test_faults_compose() -> None:
    """Each fault gets its own wake-ups and adds its own actions."""
    answers = play(
        ["max-lifetime:age=2", "stuck-typing", "invalid-json:after=1"],
        (0, Opened()),
        (1, Woke(key=2)),
        (2, Woke(key=0)),
    )
    assert answers == [
        (0, Wake(after=2, key=0)),
        (0, Wake(after=1, key=2)),
        (1, Inject(what="invalid-json")),
        (2, Abort(how="fin")),
    ]


def test_injected_texts() -> None:
    """One is no JSON; the other is JSON of exactly the size that was asked for."""
    with pytest.raises(json.JSONDecodeError):
        json.loads(Inject(what="invalid-json").text())
    big = Inject(what="big-frame", size=1000).text()
    assert len(big.encode()) == 1000
    assert json.loads(big)["type"] == "document_update"


def test_token_lifetime() -> None:
    """The shortest one holds."""
    assert FaultPlan([]).token_lifetime is None
    assert FaultPlan(["token-expired:after=9", "token-expired:after=4"]).token_lifetime == 4


def test_random_decisions_replay_and_differ() -> None:
    """The same seed loses the same replies; another seed or connection loses others."""
    script = [(n, RESPONSE) for n in range(64)]
    lost = play("lost-reply:share=0.5", *script, seed=7)
    assert lost == play("lost-reply:share=0.5", *script, seed=7)
    assert lost != play("lost-reply:share=0.5", *script, seed=8)
    assert lost != play("lost-reply:share=0.5", *script, seed=7, ordinal=2)
    assert 16 < len(lost) < 48


moments = st.one_of(
    st.builds(Started),
    st.builds(
        Asked,
        what=st.sampled_from(["health", "api", "bot", "upgrade"]),
        bot=st.none() | st.just("x"),
        path=st.sampled_from(["", "/x", "/x/"]),
        origin=st.none() | st.text(max_size=9),
        protocols=st.lists(st.just("chat.v2"), max_size=1).map(tuple),
    ),
    st.builds(Knocked, connection=st.integers(1, 5), user=st.none() | st.just("ada")),
    st.builds(
        Joined, connection=st.integers(1, 5), user=st.just("ada"), bot=st.none() | st.just("x"), token=st.just("t")
    ),
    st.builds(Left, connection=st.integers(1, 5)),
    st.builds(Crossing, source=st.integers(1, 5), target=st.integers(1, 5)),
    st.builds(Opened, expires_in=st.none() | st.floats(-10, 10)),
    st.builds(
        Received,
        kind=st.sampled_from(["data", "app-ping", "protocol-ping", "protocol-pong", "close"]),
        type=st.none() | st.sampled_from(["typing", "ping", "x"]),
        size=st.integers(0, 100_000),
    ),
    st.builds(
        Sent, kind=st.sampled_from(["data", "protocol-ping", "protocol-pong", "close"]), buffered=st.integers(0, 9)
    ),
    st.builds(
        Sending,
        type=st.sampled_from(["chat_response", "chat_response_chunk", "typing_indicator"]),
        is_typing=st.none() | st.booleans(),
        seq=st.none() | st.integers(0, 5),
    ),
    st.builds(Saying, text=st.text(max_size=5)),
    st.builds(Replying),
    st.builds(Woke, key=st.integers(-1, 5)),
)


@given(st.lists(faults(), max_size=4), st.lists(st.tuples(st.floats(0, 5), moments), max_size=20), st.integers())
def test_plans_are_total_and_deterministic(chosen, steps, seed) -> None:
    """Any moments in any order give the same answers twice, and wake-ups name a fault of the plan."""
    script, now = [], 0.0
    for gap, moment in steps:
        now += gap
        script.append((now, moment))
    answers = play(chosen, *script, seed=seed)
    assert answers == play(chosen, *script, seed=seed)
    wakes = [action for _, action in answers if isinstance(action, Wake)]
    assert all(0 <= wake.key < len(chosen) and wake.after >= 0 for wake in wakes)
