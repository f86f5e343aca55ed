"""How a connection ended: close frames both ways, the transport, who came first; never the code alone."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from chatkit.ending import AFTERMATH, Connection, Ending
from chatkit.events import (
    AttemptFailed,
    AttemptStarted,
    CloseReceived,
    CloseSent,
    EndReported,
    Established,
    FrameReceived,
    FrameSent,
    LoopLagged,
    OpaqueReceived,
    Opened,
    PingReceived,
    PingSent,
    PongReceived,
    PongSent,
    ProtocolFailed,
    RetryScheduled,
    TransportEnded,
    UpgradeAnswered,
)
from chatkit.profile import Types
from chatkit.trace import Header, Origin, Trace, Vantage
from stories import events, header, story, text

Fact = tuple[float, type, dict[str, Any]]


def sent(at: float, code: int | None = 1000, reason: str = "") -> Fact:
    return (at, CloseSent, {"code": code, "reason": reason})


def received(at: float, code: int | None = 1000, reason: str = "") -> Fact:
    return (at, CloseReceived, {"code": code, "reason": reason})


def transport(at: float, how: str, by: str | None) -> Fact:
    return (at, TransportEnded, {"how": how, "by": by})


FIN, RST, TIMEOUT, LOCAL = ("fin", "server"), ("rst", "server"), ("timeout", None), ("local", "client")


def ended(*facts: Fact) -> Ending:
    """The ending of a connection that was opened at 1 s."""
    connection = story((0.0, AttemptStarted, {"url": "ws://h/p"}), (1.0, Opened), *facts).connections[0]
    assert connection.state == "ended"
    assert connection.ending is not None
    return connection.ending


@pytest.mark.parametrize(
    ("facts", "words", "first", "code", "clean", "abort"),
    [
        # no close frame: what an API reports as 1006
        ([transport(9, *FIN)], "FIN by server, no close frame", "server", 1006, False, True),
        ([transport(9, *RST)], "RST by server", "server", 1006, False, True),
        ([transport(9, "rst", "client")], "RST by us", "client", 1006, False, True),
        ([transport(9, "fin", "client")], "FIN by us, no close frame", "client", 1006, False, True),
        ([transport(9, "fin", None)], "FIN by nobody seen, no close frame", None, 1006, False, True),
        ([transport(9, *TIMEOUT)], "TCP time-out, peer silent", None, 1006, False, True),
        ([transport(9, *LOCAL)], "cut by us", "client", 1006, False, True),
        ([transport(9, "odd", None)], "end not visible", None, 1006, False, True),
        # a close frame of the server
        ([received(8), sent(8), transport(9, *FIN)], "closed by server: 1000", "server", 1000, True, False),
        ([received(8, 1001), transport(9, *FIN)], "closed by server: 1001", "server", 1001, True, False),
        ([received(8, None)], "closed by server: without code", "server", 1005, True, False),
        ([received(8, 1011, "boom"), transport(9, *RST)], "closed by server: 1011 “boom”", "server", 1011, False, False),
        ([received(8, 4001, "expired")], "closed by server: 4001 “expired”", "server", 4001, False, False),
        ([received(8), transport(8, *TIMEOUT)], "closed by server: 1000", "server", 1000, True, False),
        # a close frame of ours
        ([sent(8), received(9), transport(9, *FIN)], "closed by us: 1000", "client", 1000, True, False),
        ([sent(8), transport(9, *RST)], "closed by us: 1000", "client", 1000, True, False),
        ([sent(8), transport(9, *LOCAL)], "closed by us: 1000", "client", 1000, True, False),
        ([sent(8, 1009, "too big")], "closed by us: 1009 “too big”", "client", 1009, False, False),
        ([sent(8, 1011, "keepalive ping timeout")], "closed by us: 1011 “keepalive ping timeout”", "client", 1011, False, False),
        ([sent(8, None), transport(9, *FIN)], "closed by us: without code", "client", 1005, True, False),
        # both at the same instant: the earlier number came first
        ([sent(8), received(8, 1011)], "closed by us: 1000", "client", 1000, True, False),
        ([received(8, 1011), sent(8)], "closed by server: 1011", "server", 1011, False, False),
        # only the first of each counts
        ([received(8, 1011), received(9, 1000)], "closed by server: 1011", "server", 1011, False, False),
    ],
)  # fmt: skip
def test_the_table(facts: list[Fact], words: str, first: str | None, code: int, clean: bool, abort: bool) -> None:
    """Close frames both ways, one way, none; every transport end; every order."""
    ending = ended(*facts)
    assert (ending.words, ending.first, ending.close_code) == (words, first, code)
    assert (ending.clean, ending.abort) == (clean, abort)
    assert ending.at == facts[0][0]
    assert ending.age == facts[0][0] - 1.0
    assert len(ending.events) == len({kind for _, kind, _ in facts})


def test_an_ending_cites_its_events() -> None:
    """Ids that a reader can look up in the trace."""
    trace = story((0, Opened), received(8, 1011), sent(8.1, 1011), transport(8.2, *FIN))
    ending = trace.connections[0].ending
    assert [type(trace.event(id)) for id in ending.events] == [CloseSent, CloseReceived, TransportEnded]


@pytest.mark.parametrize(
    ("facts", "words", "detail", "state"),
    [
        (
            [(1, UpgradeAnswered, {"status": 403, "reason": "Forbidden", "headers": []}), (1, AttemptFailed, {"stage": "upgrade", "error": "no", "status": 403})],
            "refused: HTTP 403", "no", "refused",
        ),
        ([(1, AttemptFailed, {"stage": "dns", "error": "no such name"})], "failed at dns", "no such name", "refused"),
        ([(1, AttemptFailed, {"stage": "tls", "error": "expired"})], "failed at tls", "expired", "refused"),
        ([transport(1, *RST)], "ended before it opened", "", "refused"),
        (
            [(1, UpgradeAnswered, {"status": 101, "reason": "", "headers": []}), transport(1, *RST)],
            "ended before it opened", "", "refused",
        ),
    ],
)  # fmt: skip
def test_an_attempt_that_never_opened(facts: list[Fact], words: str, detail: str, state: str) -> None:
    """No close code, no age, no abort."""
    connection = story((0.0, AttemptStarted, {"url": "ws://h/p"}), *facts).connections[0]
    ending = connection.ending
    assert (ending.words, ending.detail, connection.state) == (words, detail, state)
    assert (ending.opened, ending.age, ending.close_code, ending.abort) == (False, None, None, False)


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        ([], "unknown"),
        ([(1, UpgradeAnswered, {"status": 101, "reason": "", "headers": []})], "unknown"),
        ([(1, UpgradeAnswered, {"status": 404, "reason": "", "headers": []})], "refused"),
        ([(1, Opened)], "open"),
        ([(1, Opened), (2, ProtocolFailed, {"by": "server", "detail": "x"})], "open"),
    ],
)
def test_a_connection_without_an_end(facts: list[Fact], state: str) -> None:
    """Nothing is made up."""
    connection = story((0.0, AttemptStarted, {"url": "ws://h/p"}), *facts).connections[0]
    assert (connection.state, connection.ending) == (state, None)


PING = (FrameSent, text("ping", timestamp="t"))


@pytest.mark.parametrize(
    ("before", "end", "after", "seconds"),
    [
        ((8.8, *PING), transport(9, *RST), "our ping", 0.2),
        ((8.8, *PING), transport(9, *FIN), "our ping", 0.2),
        ((8.8, *PING), transport(9, *TIMEOUT), "our ping", 0.2),
        ((8.8, *PING), received(9, 1011), "our ping", 0.2),
        ((8.0, *PING), transport(9, *RST), "our ping", AFTERMATH),
        ((9.0, *PING), transport(9, *RST), "our ping", 0.0),
        ((7.9, *PING), transport(9, *RST), None, None),
        ((9.1, *PING), transport(9, *RST), None, None),
        ((8.8, PingSent, {}), transport(9, *RST), "our ping (RFC 6455)", 0.2),
        ((8.8, FrameSent, text("typing")), transport(9, *RST), "our typing message", 0.2),
        ((8.8, FrameSent, {"size": 3, "text": "hey"}), transport(9, *RST), "our message", 0.2),
        # not ours, or our own doing
        ((8.8, FrameReceived, text("ping")), transport(9, *RST), None, None),
        ((8.8, PongSent, {}), transport(9, *RST), None, None),
        ((8.8, *PING), sent(9), None, None),
        ((8.8, *PING), transport(9, *LOCAL), None, None),
    ],
)
def test_the_aftermath_of_what_we_did(before: Any, end: Fact, after: str | None, seconds: float | None) -> None:
    """Our last frame counts if the end came within a second of it and was not ours."""
    ending = ended(before, end)
    assert ending.after == after
    assert ending.after_seconds == (None if seconds is None else pytest.approx(seconds))


def test_only_the_last_action_counts() -> None:
    """And only on the same connection."""
    assert ended((8.5, *PING), (8.8, FrameSent, text("typing")), transport(9, *RST)).after == "our typing message"
    other = events((8.9, FrameSent, text("ping")), connection="2")
    mine = events((1.0, Opened), transport(9, *RST))
    trace = Trace.of([mine[0], *other, mine[1]], header())
    assert trace.connection("1").ending.after is None


def test_the_ping_is_what_the_profile_calls_a_ping() -> None:
    """Its name stands in the header."""
    facts = events((1.0, Opened), (8.8, FrameSent, text("heartbeat")), transport(9, *RST))
    trace = Trace.of(facts, header(types=Types(send_ping="heartbeat")))
    assert trace.connections[0].ending.after == "our ping"


def test_the_sentence() -> None:
    """Words, then what makes them precise."""
    assert str(ended((8.8, *PING), transport(9, *RST))) == "RST by server, 0.2 s after our ping, age 8.0 s"
    assert str(ended(received(9, 1011))) == "closed by server: 1011, age 8.0 s"


def test_a_whole_life() -> None:
    """What is counted, when it began, what was planned after it."""
    opened = {"extensions": "permessage-deflate"}
    connection = story(
        (0.5, AttemptStarted, {"url": "ws://h/p?token=[redacted]"}),
        (0.9, UpgradeAnswered, {"status": 101, "reason": "", "headers": []}),
        (1.0, Opened, opened),
        (1.1, FrameReceived, text("connection_established")),
        (1.1, Established, {"seconds": 0.6}),
        (2.0, FrameSent, {"size": 3, "fin": False}),
        (2.0, FrameSent, {"size": 3, "opcode": "continuation", "text": "abc"}),
        (3.0, PingSent),
        (3.1, PongReceived),
        (4.0, PingReceived),
        (4.0, PongSent),
        (5.0, LoopLagged, {"lag": 0.0, "connection": None}),
        transport(6.0, *FIN),
        (6.0, RetryScheduled, {"attempt": 1, "delay": 2.0}),
    ).connections[0]
    assert (connection.url, connection.status, connection.extensions) == (
        "ws://h/p?token=[redacted]",
        101,
        "permessage-deflate",
    )
    assert (connection.started_at, connection.opened_at, connection.established_at, connection.last_at) == (
        0.5,
        1.0,
        1.1,
        6.0,
    )
    assert connection.opened_wall == "2023-11-14T22:13:21.000Z"
    assert (connection.frames_in, connection.frames_out) == (1, 1)
    assert (connection.pings_in, connection.pings_out, connection.pongs_in, connection.pongs_out) == (1, 1, 1, 1)
    assert (connection.duration, connection.retry.delay) == (5.0, 2.0)
    assert str(connection) == "connection 1: FIN by server, no close frame, age 5.0 s"


def test_a_connection_that_lives() -> None:
    """Its duration is up to its last event."""
    connection = story((1.0, Opened), (4.0, FrameReceived, text("pong"))).connections[0]
    assert isinstance(connection, Connection)
    assert str(connection) == "connection 1: open for 3.0 s"


def test_connections_stand_in_the_order_of_their_first_events() -> None:
    """Whatever their ids are, and after a merge too."""
    late, early = (
        events((5.0, Opened), connection="1"),
        events((1.0, Opened), transport(2, *RST), connection="laptop/7"),
    )
    trace = Trace.of([*early, *late], header())
    assert [connection.id for connection in trace.connections] == ["laptop/7", "1"]


def test_an_end_that_is_only_told() -> None:
    """It was open once, though the evidence has no opening; a refusal and a failed attempt were not."""
    (connection,) = story((1.0, EndReported, {"code": 1006, "source": "browser"})).connections
    assert (connection.state, connection.opened_at) == ("ended", None)
    assert str(connection.ending) == "ended without a close frame: 1006 (browser)"
    answer = (0.5, UpgradeAnswered, {"status": 403, "reason": "", "headers": []})
    assert story(answer, (1.0, EndReported, {"code": 1006})).connections[0].state == "refused"
    failed = (0.5, AttemptFailed, {"stage": "tcp", "error": "x"})
    assert story(failed, (1.0, EndReported, {"code": 1006})).connections[0].state == "refused"


def test_evidence_without_times_tells_no_age() -> None:
    """Everything in it stands at one moment; nothing is said to have followed at once."""
    facts = events((0.0, Opened), (0.0, FrameSent, text("ping")), (0.0, EndReported, {"code": 1006}))
    ending = Trace.of(facts, Header(origin=header().origin, epoch=0.0, not_visible=("timing",))).connections[0].ending
    assert (ending.age, ending.after, str(ending)) == (None, None, "ended without a close frame: 1006")


@pytest.mark.parametrize("prefix", ["", "laptop/"])
def test_ids_are_compared_as_numbers(prefix: str) -> None:
    """Event 10 comes after event 9."""
    made = [
        Opened(id=f"{prefix}8", at=1, connection="1"),
        CloseReceived(id=f"{prefix}9", at=2, connection="1", code=1011),
        CloseSent(id=f"{prefix}10", at=2, connection="1", code=1000),
    ]
    ending = Trace.of(made, header()).connections[0].ending
    assert (ending.close_code, ending.first) == (1011, "server")


# Merged evidence


def merged(*views: tuple[list[Fact], dict[str, Any]]) -> Connection:
    """One connection as several vantages saw it; each ``(facts, fields of its Vantage)``."""
    vantages, made = [], []
    for n, (facts, fields) in enumerate(views):
        vantages.append(Vantage(**({"name": f"v{n}", "origin": Origin(kind="file"), "place": n} | fields)))
        made += [(at, kind(id=f"v{n}/{i}", at=at, connection="1", **f)) for i, (at, kind, f) in enumerate(facts)]
    made.sort(key=lambda one: one[0])
    hidden = set.intersection(*(set(vantage.not_visible) for vantage in vantages))
    head = header(vantages=tuple(vantages), not_visible=tuple(sorted(hidden)))
    return Trace.of([event for _, event in made], head).connections[0]


OPENED: Fact = (1.0, Opened, {})
BLIND = {"not_visible": ("pings", "close-code", "transport-end")}


def test_vantages_are_counted_by_the_one_that_saw_most() -> None:
    """Not added up; pings by those that can see them."""
    frames: list[Fact] = [(2.0 + n, FrameSent, text("ping")) for n in range(3)]
    pings: list[Fact] = [(2.0, PingReceived, {}), (2.1, PongSent, {})]
    connection = merged(([OPENED, *frames], BLIND), ([OPENED, *frames[:2], *pings], {}))
    assert (connection.frames_out, connection.pings_in, connection.pongs_out, connection.pings_out) == (3, 1, 1, 0)
    assert connection.vantages == ("v0", "v1")


def test_what_only_an_absent_vantage_could_show_is_not_visible() -> None:
    """Some other file of the merge shows close frames and pings; it did not see this connection."""
    vantages = [
        Vantage(name="har", origin=Origin(kind="file"), not_visible=("pings", "close-code")),
        Vantage(name="pcap", origin=Origin(kind="file")),
    ]
    made = [
        Opened(id="har/0", at=1.0, connection="1"),
        EndReported(id="har/1", at=9.0, connection="1"),
        Opened(id="pcap/0", at=1.0, connection="2"),
        TransportEnded(id="pcap/1", at=9.0, connection="2", how="rst", by="server"),
    ]
    one, two = Trace.of(made, header(vantages=tuple(vantages))).connections
    assert (one.pings_in, one.ending.close_code, one.ending.hidden) == (None, None, True)
    assert (two.pings_in, two.ending.close_code, two.ending.hidden) == (0, 1006, False)


def test_unreadable_bytes_of_one_vantage_hide_nothing_of_another() -> None:
    """A capture of TLS beside a recording of the client."""
    opaque: list[Fact] = [(1.5, OpaqueReceived, {"size": 9}), transport(9.2, *RST)]
    seen = merged(([OPENED, transport(9.0, *RST)], {}), (opaque, {}))
    assert (seen.ending.close_code, seen.pings_in, seen.opaque) == (1006, 0, False)
    hidden = merged(([OPENED], BLIND), (opaque, {}))
    assert (hidden.ending.close_code, hidden.pings_in) == (None, None)


def test_an_ending_is_the_union_of_what_the_vantages_show() -> None:
    """The browser tells 1006, the server's side shows the frame; the first actor by the corrected clock."""
    told: Fact = (9.1, EndReported, {"code": 1006, "source": "browser"})
    ending = merged(([OPENED, told], BLIND), ([OPENED, received(9.0, 1011), transport(9.05, *FIN)], {})).ending
    assert (ending.close_code, ending.first, ending.reported.code, ending.transport.how) == (
        1011,
        "server",
        1006,
        "fin",
    )
    assert ending.events == ("v1/1", "v1/2", "v0/1")


def test_a_cut_on_the_way_was_nobody_of_the_two() -> None:
    """The client saw the server end it, the server saw the client end it."""
    ending = merged(([OPENED, transport(9.0, *RST)], {}), ([OPENED, transport(9.02, "fin", "client")], {})).ending
    assert (ending.first, ending.between, ending.close_code, ending.abort) == (None, True, 1006, True)
    assert ending.words == "cut on the way, no close frame: each side saw the other end it"


@pytest.mark.parametrize(
    "views",
    [
        # both saw the server end it
        ([transport(9.0, *RST)], [transport(8.9, *FIN)]),
        # each saw its own side end it: two that hung up at once
        ([transport(9.0, "fin", "client")], [transport(9.0, *FIN)]),
        # the server's close frame came first, the rest follows from it
        ([transport(9.0, *RST)], [received(8.9, 1011), transport(9.0, "fin", "client")]),
        # nobody is blamed
        ([transport(9.0, *TIMEOUT)], [transport(9.0, "rst", "client")]),
    ],
)
def test_no_cut_on_the_way(views: tuple[list[Fact], list[Fact]]) -> None:
    """Only what contradicts itself from both sides."""
    assert not merged(*(([OPENED, *facts], {}) for facts in views)).ending.between


def test_a_cut_on_the_way_needs_the_order_of_the_vantages() -> None:
    """Without it, the two may as well stand the other way round."""
    views = (
        ([OPENED, transport(9.0, *RST)], {"place": None}),
        ([OPENED, transport(9.0, "fin", "client")], {"place": None}),
    )
    assert not merged(*views).ending.between


def test_our_last_action_is_that_of_the_vantage_that_saw_the_end() -> None:
    """The other one's clock is not as sure; if it alone shows what we sent, it must do."""
    near: list[Fact] = [OPENED, (8.8, *PING), transport(9.0, *RST)]
    far: list[Fact] = [OPENED, (8.85, *PING), (8.9, FrameSent, text("typing"))]
    assert merged((near, {}), (far, {})).ending.after == "our ping"
    assert merged(([OPENED, transport(9.0, *RST)], {}), (far, {})).ending.after == "our typing message"


def test_events_of_one_moment_keep_their_order() -> None:
    """Numbers of different vantages say nothing about who was first."""
    ending = merged(
        ([OPENED, (2.0, PingSent, {}), (3.0, PingSent, {}), received(9.0, 1001)], {}),
        ([OPENED, transport(9.0, "fin", "client")], {}),
    ).ending
    assert (ending.first, ending.close_code) == ("server", 1001)


def told(at: float, by: str | None, code: int | None = None) -> Fact:
    return (at, EndReported, {"by": by, "code": code, "source": "NetLog"})


@pytest.mark.parametrize(
    ("facts", "words", "first"),
    [
        ([told(3.0, "client"), transport(3.1, *FIN)], "closed by us, code not visible", "client"),
        ([told(3.0, "server"), transport(3.0, *LOCAL)], "closed by server, code not visible", "server"),
        ([told(3.0, "server", 1006), transport(3.1, *FIN)], "FIN by server, no close frame", "server"),
        ([transport(3.0, *FIN), told(3.0, "server", 1006)], "FIN by server, no close frame", "server"),
        ([transport(3.0, *RST), told(3.1, None)], "RST by server", "server"),
        ([told(3.0, None), transport(3.1, *FIN)], "FIN by server", "server"),
        ([told(3.0, "server")], "ended; how is not visible (NetLog)", "server"),
    ],
)
def test_who_closed_when_somebody_tells_it(facts: list[Fact], words: str, first: str) -> None:
    """A report that comes before the transport's end says who began; close frames are not visible in such evidence."""
    hidden = msgspec.structs.replace(header(), not_visible=("close-code",))
    rows = events((0.0, AttemptStarted, {"url": "ws://h/p"}), (1.0, Opened), *facts)
    ending = Trace.of(rows, hidden).connections[0].ending
    assert ending is not None
    assert (ending.words, ending.first) == (words, first)


def test_a_close_that_we_began_is_not_after_our_message() -> None:
    """Also where it is only told."""
    facts = [(2.9, FrameSent, text("{}")), told(3.0, "client"), transport(3.1, *FIN)]
    assert ended(*facts).after is None
