"""What two vantages tell differently, and what may not be claimed of those that could not have seen it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.events import (
    BytesMissing,
    CloseReceived,
    CloseSent,
    EndReported,
    FrameReceived,
    FrameSent,
    Noted,
    OpaqueReceived,
    PingReceived,
    PongSent,
    TransportEnded,
    UpgradeRequested,
)
from chatkit.merging import Disagreement, disagreements, merge
from chatkit.trace import Trace
from merging.scenes import EPOCH, Fact, Vantage, browser, capture, conversation, message

FACTS = conversation(turns=4)
RST = (6.02, TransportEnded, "a", {"how": "rst", "by": "server"})
FIN = (6.02, TransportEnded, "a", {"how": "fin", "by": "server"})
LATER = (60.0, Noted, None, {"text": "still recording"})
CLOSE = (6.0, CloseReceived, "a", {"code": 1011, "reason": "boom"})

CLIENT, SERVER = browser(), capture(skew=12.0)


def told(
    near: list[Fact], far: list[Fact], *, client: Vantage = CLIENT, server: Vantage = SERVER
) -> list[Disagreement]:
    return disagreements(merge(client.sees(near), server.sees(far)))


def what(near: list[Fact], far: list[Fact], **vantages: Vantage) -> list[str]:
    return [one.what for one in told(near, far, **vantages)]


@given(st.floats(-500, 500), st.floats(0, 0.2), st.floats(0, 0.2), st.sampled_from([[], [FIN], [CLOSE, FIN], [RST]]))
def test_two_that_saw_the_same(skew: float, up: float, down: float, end: list[Fact]) -> None:
    """Whatever the clocks and the transit: nothing to tell."""
    server = capture(skew=skew, from_client=up, from_server=0.0)
    assert told([*FACTS, *end], [*FACTS, *end], client=browser(from_server=down), server=server) == []


def test_a_close_that_somebody_ate() -> None:
    """The incident's favourite: 1011 on one side, 1006 on the other."""
    found = told([*FACTS, (6.02, EndReported, "a", {"code": 1006, "source": "browser"})], [*FACTS, CLOSE])
    assert [one.what for one in found] == ["close-not-delivered"]
    assert found[0].text == "the server sent close 1011, the client never received it: something between ate it"
    assert (found[0].who, found[0].connection, str(found[0])) == ("proxy", "1", f"connection 1: {found[0].text}")
    assert found[0].events[0].startswith("pcap/")


def test_a_close_of_the_client_that_somebody_ate() -> None:
    """The other way round."""
    near = [*FACTS, (6.0, CloseSent, "a", {"code": 1000})]
    found = told(near, [*FACTS, FIN])
    assert [one.what for one in found] == ["close-not-delivered"]
    assert found[0].text.startswith("the client sent close 1000, the server never received it")


@pytest.mark.parametrize(
    "end",
    [
        pytest.param({"client": browser(not_visible=("close-code",))}, id="a format without close frames"),
        pytest.param({"near": [(6.01, BytesMissing, "a", {"by": "server", "size": 9})]}, id="bytes are missing"),
        pytest.param({"near": [(3.9, EndReported, "a", {"code": 1006})]}, id="its side was long gone"),
        pytest.param({"near": []}, id="its recording had ended"),
    ],
)
def test_no_close_is_missed_where_none_could_be_seen(end: dict[str, Any]) -> None:
    """Evidence or silence."""
    near = [*FACTS, *end.get("near", [FIN])]
    vantages = {"client": end["client"]} if "client" in end else {}
    assert "close-not-delivered" not in what(near, [*FACTS, CLOSE, FIN], **vantages)


def test_unreadable_bytes_deny_nothing() -> None:
    """A capture of TLS without keys."""
    opaque = [(at, OpaqueReceived, "a", {"size": 9}) for at, *_ in FACTS]
    near = [*FACTS, CLOSE, FIN]
    assert what(near, [(0.0, UpgradeRequested, "a", FACTS[0][3]), *opaque, FIN]) == []


def test_different_codes() -> None:
    """A proxy that speaks for itself."""
    near = [*FACTS, (6.0, CloseReceived, "a", {"code": 1001})]
    found = told(near, [*FACTS, CLOSE])
    assert [(one.what, one.who) for one in found] == [("different-code", "proxy")]
    assert found[0].text == "the server sent close 1011, the client's side got 1001"
    assert len(found[0].events) == 2


def test_a_close_that_nobody_sent() -> None:
    """The proxy made it."""
    found = told([*FACTS, CLOSE, LATER], [*FACTS, LATER])
    assert [one.what for one in found] == ["extra-frames"]
    assert "got close 1011 that pcap never saw" in found[0].text


def without(index: int) -> list[Fact]:
    frames = [fact for fact in FACTS if fact[1] in (FrameSent, FrameReceived)]
    return [fact for fact in FACTS if fact is not frames[index]]


@given(st.integers(1, 11))
def test_one_frame_is_lost_or_made(index: int) -> None:
    """Whichever it is: one claim, one event, the right direction."""
    facts = [*FACTS, LATER]
    frames = [fact for fact in FACTS if fact[1] in (FrameSent, FrameReceived)]
    upward = frames[index][1] is FrameSent
    less = [*without(index), LATER]
    for near, far, lost in ((facts, less, upward), (less, facts, not upward)):
        found = told(near, far)
        assert [one.what for one in found] == ["frame-lost" if lost else "extra-frames"]
        assert len(found[0].events) == 1
        sender, receiver = ("client", "server") if upward else ("server", "client")
        expected = f"1 message that the {sender} sent never" if lost else f"the {receiver}'s side got 1 message"
        assert found[0].text.startswith(expected)


def test_a_frame_that_changed() -> None:
    """Neither lost nor made."""
    other = [
        (at, k, c, message(type="ping", n=99) if f.get("text") == FACTS[7][3]["text"] else f) for at, k, c, f in FACTS
    ]
    assert what([*FACTS, LATER], [*other, LATER]) == ["frame-altered"]


def test_a_secret_that_was_taken_out_is_no_change() -> None:
    """One redactor knew more than the other."""
    secret = (2.9, FrameSent, "a", message(say="hunter22"))
    hidden = (2.9, FrameSent, "a", message(say="[redacted]"))
    assert what([*FACTS, secret, LATER], [*FACTS, hidden, LATER]) == []


@pytest.mark.parametrize("cut", range(1, 14))
def test_what_came_before_a_capture_began_is_not_lost(cut: int) -> None:
    """Nor what came after it ended."""
    assert what(FACTS, FACTS[-cut:]) == []
    assert what(FACTS, FACTS[:cut]) == []
    assert what(FACTS[-cut:], FACTS) == []
    assert what(FACTS[:cut], FACTS) == []


def test_frames_of_formats_without_payloads_are_not_compared_by_content() -> None:
    """A HAR's lengths are not those on the wire."""
    bare = [(at, k, c, {n: v for n, v in f.items() if n != "text"}) for at, k, c, f in without(3)]
    netlog = browser(not_visible=("payloads", "compression"))
    assert what([*bare, LATER], [*FACTS, LATER], client=netlog) == []


def test_pings_that_a_proxy_answers() -> None:
    """The server asks, the proxy answers, the client knows nothing."""
    pings = [
        f
        for n in range(3)
        for f in (
            (1.3 + n, PingReceived, "a", {"payload": f"{n:02x}"}),
            (1.31 + n, PongSent, "a", {"payload": f"{n:02x}"}),
        )
    ]
    found = told([*FACTS, LATER], [*FACTS, *pings, LATER])
    assert [(one.what, one.who) for one in found] == [("extra-pings", "proxy"), ("ping-lost", "proxy")]
    assert what([*FACTS, LATER], [*FACTS, *pings, LATER], client=browser(not_visible=("pings",))) == []


def test_cut_in_between() -> None:
    """Each side saw the other one end it."""
    found = told([*FACTS, RST], [*FACTS, (6.03, TransportEnded, "a", {"how": "fin", "by": "client"})])
    assert [(one.what, one.who) for one in found] == [("different-end", "proxy")]
    assert found[0].text == (
        "har saw a RST from the server's side, pcap a FIN from the client's: something between ended both"
    )


def test_a_rst_on_one_side_only() -> None:
    """The server closed in order, the client was reset."""
    assert what([*FACTS, RST], [*FACTS, FIN]) == ["rst-only-one-side"]
    blind = browser(not_visible=("transport-end",))
    assert what([*FACTS, RST], [*FACTS, FIN], client=blind) == []


def test_an_end_that_only_one_side_saw() -> None:
    """A dead path: one side is gone, the other waits."""
    found = told([*FACTS, LATER], [*FACTS, RST])
    assert [one.what for one in found] == ["end-not-seen"]
    assert "on the server's side it ended by a RST; har saw no end in the 5" in found[0].text
    assert what(FACTS, [*FACTS, RST]) == []


def test_an_end_much_later() -> None:
    """The same end, told ten seconds apart."""
    found = told([*FACTS, (16.0, TransportEnded, "a", {"how": "fin", "by": "server"})], [*FACTS, FIN])
    assert [one.what for one in found] == ["different-end"]
    assert "pcap saw the end 10.0 s before har" in found[0].text


def changed(facts: list[Fact], place: int, **fields: Any) -> list[Fact]:
    return [(at, k, c, f | fields if n == place else f) for n, (at, k, c, f) in enumerate(facts)]


@pytest.mark.parametrize(
    ("far", "kinds", "says"),
    [
        (changed(FACTS, 0, key="other"), ["key-differs"], "show different keys"),
        (changed(FACTS, 0, headers=[("Host", "h")]), ["handshake-altered"], "sec-websocket-extensions (permessage-deflate became none)"),
        (changed(FACTS, 0, target="/other"), ["handshake-altered"], "path (/api/ws/chat/b became /other)"),
        (changed(FACTS, 1, headers=[("X", "y")]), ["handshake-altered"], "the answer was changed on its way: sec-websocket-extensions (none became permessage-deflate)"),
        (changed(FACTS, 1, status=403), ["handshake-altered"], "pcap shows the upgrade answered 403, har 101"),
        (changed(FACTS, 0, headers=[]), [], ""),
        (changed(FACTS, 0, headers=[("sec-websocket-extensions", "Permessage-Deflate"), ("Host", "other"), ("Via", "x")]), [], ""),
    ],
)  # fmt: skip
def test_handshakes(far: list[Fact], kinds: list[str], says: str) -> None:
    """What a proxy changed of it; names and blanks do not matter, hop-by-hop fields are a proxy's business."""
    found = told(FACTS, far)
    assert [one.what for one in found] == kinds
    assert says in (found[0].text if found else "")


def test_other_traces_have_none() -> None:
    """Neither one vantage nor connections that stand beside."""
    assert disagreements(CLIENT.sees(FACTS)) == []
    assert disagreements(Trace.of([])) == []
    assert disagreements(merge(CLIENT.sees(FACTS), SERVER.sees(conversation(500.0, connection="b")))) == []


def test_events_are_bounded() -> None:
    """A thousand lost frames are one claim with twenty witnesses."""
    many = [(1.05 + n / 1000, FrameSent, "a", message(n=n)) for n in range(1000)]
    found = told([*FACTS, *many, LATER], [*FACTS, LATER])
    assert [one.what for one in found] == ["frame-lost"]
    assert len(found[0].events) == 20
    assert found[0].text.startswith("1,000 messages that the client sent")


PARTS: list[Callable[[list[Fact]], list[Fact]]] = [lambda f: f, lambda f: f[2:], lambda f: f[:-2]]


@given(st.sampled_from(PARTS), st.sampled_from(PARTS), st.sampled_from(PARTS))
def test_three_vantages_that_saw_parts_of_the_same(one: Any, two: Any, three: Any) -> None:
    """Nothing is made out of what a recording did not cover."""
    facts = [*FACTS, CLOSE, FIN]
    middle = capture("mid.pcap", from_client=0.02, from_server=0.03, skew=-7.0)
    merged = merge(CLIENT.sees(one(facts)), middle.sees(two(facts)), SERVER.sees(three(facts)))
    assert disagreements(merged) == []
    assert merged.epoch == pytest.approx(EPOCH, abs=2)
