"""The rules of the path as transcripts: moments go in, actions come out."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.faults import CATALOGUE
from chatkit.faults.moments import (
    Abort,
    BlackHole,
    CloseWith,
    Delay,
    Drop,
    Duplicate,
    Hold,
    Opened,
    Received,
    Refuse,
    Started,
    Wake,
    Woke,
)
from chatkit.faults.path_kinds import NEEDS_FILTER, READS_FRAMES
from chatkit.faults.path_moments import Answered, Flowed, Linked, Lose, Mangle, Passing, Requested, Rewrite

from .test_plan import play

UPGRADE = Requested(what="upgrade")
OUT, IN = (Flowed(direction=way, size=100) for way in ("outbound", "inbound"))
REPLY = Passing(direction="inbound", kind="data", type="chat_response", size=300)
SAID = Passing(direction="outbound", kind="data", type="typing", size=30)
PING = Passing(direction="outbound", kind="app-ping", type="ping", size=30)
LONG = Passing(direction="inbound", kind="data", size=1 << 25, whole=False)
INDEPENDENT = Rewrite(what="independent")
ALONE = [(0, INDEPENDENT), (0, INDEPENDENT)]
HANDSHAKE = [(0, UPGRADE), (0, Answered()), (0, Opened())]


def control(kind: str, direction: str) -> Passing:
    return Passing(direction=direction, kind=kind, size=4)


@pytest.mark.parametrize(
    ("fault", "script", "expected"),
    [
        # at the door
        ("upgrade-stripped", [(0, UPGRADE), (0, Requested(what="api"))], [(0, Rewrite(what="no-upgrade"))]),
        (
            "upstream-unavailable:status=504",
            [(n, Requested(what=what)) for n, what in enumerate(("health", "api", "upgrade"))],
            [(n, Refuse(status=504)) for n in range(3)],
        ),
        (
            "upstream-unavailable:what=upgrade",
            [(n, Requested(what=what)) for n, what in enumerate(("health", "api", "upgrade"))],
            [(2, Refuse(status=502))],
        ),
        (
            "proxy-connection-limit:limit=2,status=429",
            [(n, Requested(what="upgrade", open=n)) for n in range(4)] + [(9, Requested(what="api", open=9))],
            [(2, Refuse(status=429)), (3, Refuse(status=429))],
        ),
        ("proxy-handshake-invalid", HANDSHAKE, [(0, Rewrite(what="accept"))]),
        ("proxy-handshake-invalid:header=extension", HANDSHAKE, [(0, Rewrite(what="extension"))]),
        ("tls-failure", [(0, Started()), *HANDSHAKE, (1, REPLY)], []),
        ("scheme-mismatch", [(0, Started()), *HANDSHAKE, (1, REPLY)], []),
        # how it ends
        (
            "proxy-max-lifetime:age=5,how=rst",
            [*HANDSHAKE, (3, OUT), (5, Woke(key=0)), (6, Woke(key=0))],
            [(0, Wake(after=5, key=0)), (5, Abort(how="rst"))],
        ),
        ("proxy-max-lifetime:age=5", [(5, Woke(key=0))], []),
        (
            "proxy-idle-timeout:timeout=4",
            [(0, Opened()), (3, IN), (4, Woke(key=0)), (7, Woke(key=0)), (8, Woke(key=0))],
            [(0, Wake(after=4, key=0)), (4, Wake(after=3, key=0)), (7, Abort(how="fin"))],
        ),
        (
            "proxy-idle-timeout:timeout=4,counts=outbound,how=rst",
            [(0, Opened()), (1, OUT), (3, IN), (4, Woke(key=0)), (5, Woke(key=0))],
            [(0, Wake(after=4, key=0)), (4, Wake(after=1, key=0)), (5, Abort(how="rst"))],
        ),
        # bytes of the handshake are no activity of the WebSocket
        ("proxy-idle-timeout:timeout=4", [(0, OUT), (1, IN), (4, Woke(key=0))], []),
        (
            "nat-timeout:timeout=4",
            [(0, Opened()), (4, Woke(key=0)), (5, OUT), (9, Woke(key=0))],
            [(0, Wake(after=4, key=0)), (4, BlackHole(seconds=0))],
        ),
        (
            "peer-unreachable:after=2,duration=3",
            [(0, Started()), (2, Woke(key=0)), (3, Woke(key=0))],
            [(0, Wake(after=2, key=0)), (2, BlackHole(seconds=3))],
        ),
        ("peer-unreachable:after=2", [(0, Opened()), (2, Woke(key=0))], []),
        (
            "peer-unreachable:after=2,scope=one",
            [(0, Started()), (1, Opened()), (3, Woke(key=0))],
            [(1, Wake(after=2, key=0)), (3, BlackHole(seconds=0))],
        ),
        (
            "close-eaten",
            [(0, control("close", "outbound")), (1, control("close", "inbound"))],
            [(1, Drop()), (1, Abort(how="fin"))],
        ),
        (
            "close-injected:after=2",
            [(0, Opened()), (1, REPLY), (2, Woke(key=0)), (3, Woke(key=0))],
            [(0, Wake(after=2, key=0)), (2, CloseWith(code=1008, reason="closed-by-proxy"))],
        ),
        (
            "close-injected:on=typing,code=4000,reason=no",
            [(0, Opened()), (1, REPLY), (2, SAID), (3, SAID)],
            [(2, CloseWith(code=4000, reason="no"))],
        ),
        (
            "proxy-message-too-big:limit=300",
            [(0, REPLY), (1, LONG), (2, SAID)],
            [(1, Drop()), (1, Abort(how="rst"))],
        ),
        (
            "proxy-message-too-big:limit=29,how=close,direction=outbound",
            [(0, REPLY), (1, SAID)],
            [(1, Drop()), (1, CloseWith(code=1009, reason="message too big"))],
        ),
        # messages
        (
            "pongs-muted",
            [(n, control(kind, way)) for n, (kind, way) in enumerate(
                [("protocol-pong", "inbound"), ("protocol-ping", "outbound"), ("protocol-pong", "outbound")]
            )],
            [(2, Drop())],
        ),
        (
            "pongs-muted:kind=both,direction=both",
            [(0, control("protocol-ping", "inbound")), (1, control("protocol-pong", "outbound")), (2, PING)],
            [(0, Drop()), (1, Drop())],
        ),
        (
            "app-pongs-muted",
            [*HANDSHAKE, (1, PING), (2, Passing(direction="inbound", kind="data", type="pong")), (3, REPLY)],
            [*ALONE, (2, Drop())],
        ),
        (
            "compression-broken",
            [*HANDSHAKE, (1, REPLY), *((n, Passing(direction="inbound", kind="data", compressed=True)) for n in (2, 3))],
            [(2, Mangle(how="deflate"))],
        ),
        (
            "compression-broken:how=rsv1,direction=outbound",
            [(n, Passing(direction=way, kind="data", compressed=True)) for n, way in enumerate(("inbound", "outbound"))],
            [(1, Mangle(how="rsv1"))],
        ),
        ("compression-broken:how=header", HANDSHAKE, [(0, Rewrite(what="lose-deflate"))]),
        (
            "compression-broken:how=header,direction=outbound",
            HANDSHAKE,
            [(0, Rewrite(what="uncompressed")), (0, Rewrite(what="claim-deflate"))],
        ),
        ("frame-drop", [*HANDSHAKE, (1, REPLY), (2, SAID), (3, LONG)], [*ALONE, (1, Drop())]),
        ("frame-drop:direction=both", [(1, REPLY), (2, PING), (3, control("close", "inbound"))], [(1, Drop()), (2, Drop())]),
        ("frame-drop:share=0", [(1, REPLY), (2, REPLY)], []),
        ("frame-delay:delay=2", [*HANDSHAKE, (1, REPLY)], [(1, Delay(seconds=2))]),
        ("frame-duplicate", [*HANDSHAKE, (1, REPLY)], [*ALONE, (1, Duplicate())]),
        ("frame-reorder:direction=outbound", [*HANDSHAKE, (1, REPLY), (2, SAID)], [*ALONE, (2, Hold(seconds=0.5))]),
        ("frame-corrupt", [*HANDSHAKE, (1, REPLY)], [(0, Rewrite(what="uncompressed")), (1, Mangle(how="utf8"))]),
        ("frame-malformed", [*HANDSHAKE, (1, REPLY)], [(1, Mangle(how="reserved-bit"))]),
        # noise
        ("packet-loss", [(0, Linked()), (1, OUT)], [(0, Lose(share=0.01, direction="both"))]),
        ("packet-loss:share=1,direction=inbound", [(0, Linked())], [(0, Lose(share=1, direction="inbound"))]),
        (
            "throttle:rate=100",
            [(0, OUT), (0, OUT), (0, IN), (5, OUT)],
            [(0, Delay(seconds=1)), (0, Delay(seconds=2)), (0, Delay(seconds=1)), (5, Delay(seconds=1))],
        ),
        ("latency:delay=2", [(0, OUT), (1, IN), (2, REPLY)], [(0, Delay(seconds=2)), (1, Delay(seconds=2))]),
    ],
)  # fmt: skip
def test_transcripts(fault, script, expected) -> None:
    """Each fault by itself."""
    assert play(fault, *script) == expected


def test_every_fault_of_the_path_has_a_transcript() -> None:
    """And one that is random has its own test below."""
    tried = {row[0].partition(":")[0] for row in test_transcripts.pytestmark[0].args[1]} | {"network-reset"}
    assert tried == {kind.id for kind in CATALOGUE.values() if kind.acts == "path"}


def test_resets_are_exponential() -> None:
    """Mean and median of the times are those of the hazard; each connection has its own, and the seed decides."""

    def after(ordinal: int, seed: int = 1) -> float:
        (_, wake), (_, end) = play(
            "network-reset:hazard=0.1", (0, Opened()), (9, Woke(key=0)), ordinal=ordinal, seed=seed
        )
        assert end == Abort(how="rst")
        return wake.after

    times = sorted(after(n) for n in range(2000))
    assert times == sorted(after(n) for n in range(2000))
    assert after(1) != after(1, seed=2)
    assert sum(times) / len(times) == pytest.approx(10, rel=0.1)
    assert times[1000] == pytest.approx(10 * math.log(2), rel=0.1)


def test_shares_and_jitter_follow_the_seed() -> None:
    """The same messages are lost again."""
    script = [(n, REPLY) for n in range(64)]
    lost = play("frame-drop:share=0.5", *script, seed=7)
    assert lost == play("frame-drop:share=0.5", *script, seed=7) != play("frame-drop:share=0.5", *script, seed=8)
    assert 16 < len(lost) < 48
    delays = [action.seconds for _, action in play("latency:delay=1,jitter=2", *[(n, OUT) for n in range(50)])]
    assert all(1 <= delay < 3 for delay in delays)
    assert len(set(delays)) == 50


def test_what_needs_frames_or_filters_is_in_the_catalogue() -> None:
    """The two lists name faults of the path."""
    path = {kind.id for kind in CATALOGUE.values() if kind.acts == "path"}
    assert path >= READS_FRAMES | NEEDS_FILTER
    assert not READS_FRAMES & NEEDS_FILTER


ways = st.sampled_from(["outbound", "inbound"])
path_moments = st.one_of(
    st.builds(Linked),
    st.builds(Requested, what=st.sampled_from(["health", "api", "upgrade"]), open=st.integers(0, 9)),
    st.builds(Answered),
    st.builds(Flowed, direction=ways, size=st.integers(0, 1 << 20)),
    st.builds(
        Passing,
        direction=ways,
        kind=st.sampled_from(["data", "app-ping", "protocol-ping", "protocol-pong", "close"]),
        type=st.none() | st.sampled_from(["typing", "pong", "x"]),
        size=st.integers(0, 1 << 20),
        compressed=st.booleans(),
        whole=st.booleans(),
    ),
    st.builds(Opened),
    st.builds(Started),
    st.builds(Received, kind=st.just("data")),
    st.builds(Woke, key=st.integers(-1, 5)),
)


@given(
    st.lists(st.sampled_from([kind.id for kind in CATALOGUE.values()]), max_size=4),
    st.lists(st.tuples(st.floats(0, 5), path_moments), max_size=20),
)
def test_plans_are_total(ids, steps) -> None:
    """Any moments in any order, for any faults of both places, and never a time that is past."""
    chosen = []
    for id in ids:
        needed = [f"{p.name}=1" for p in CATALOGUE[id].parameters if p.default is None]
        chosen.append(f"{id}:{','.join(needed)}" if needed else id)
    script, now = [], 0.0
    for gap, moment in steps:
        now += gap
        script.append((now, moment))
    answers = play(chosen, *script)
    assert answers == play(chosen, *script)
    for _, action in answers:
        assert getattr(action, "after", 0) >= 0
        assert getattr(action, "seconds", 0) >= 0
