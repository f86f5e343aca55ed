"""The chat itself: each rule fires, stays silent, and knows when the evidence cannot show it."""

from __future__ import annotations

import pytest

from chatkit.diagnosis import chat
from chatkit.diagnosis.facts import Facts
from chatkit.events import BadMessageReceived, DeliveryChanged, DuplicateSuppressed, FrameReceived, GapDetected
from tests.diagnosis.seen import of
from tests.diagnosis.stories.chat import living
from tests.diagnosis.stories.telling import CAPTURE, ENCRYPTED, Tale


def facts(tale: Tale, header=CAPTURE) -> Facts:
    """Of a tale."""
    return Facts(tale.trace(header))


def test_a_good_chat_has_no_case() -> None:
    """Questions, answers, typing on and off, health."""
    tale = living()
    for n in range(4):
        at = 10.0 + 20 * n
        tale.api(at, purpose="chat", took=1.0)
        tale.received(at + 0.1, "1", "typing_indicator", data={"user_id": "bot", "is_typing": True})
        tale.received(at + 1.0, "1", "typing_indicator", data={"user_id": "bot", "is_typing": False})
        tale.hears(at + 1.1, "1", f"m{n}", f"answer {n}")
        tale.health(at + 2)
    assert list(chat.cases(facts(tale))) == []


@pytest.mark.parametrize("rule", [chat.copies, chat.replies, chat.typing, chat.order])
def test_what_is_not_readable_has_no_case(rule) -> None:
    """Inside TLS there are no messages."""
    tale = living()
    tale.api(10, purpose="chat")
    assert rule(facts(tale, ENCRYPTED)) is None


def test_copies() -> None:
    """By id on one socket or on two; equal answers with different ids are two answers."""
    tale = living()
    tale.hears(10, "1", "m1", "same")
    tale.hears(10.1, "1", "m2", "same")
    assert chat.copies(facts(tale)) is None
    tale.hears(10.2, "1", "m1", "same")
    assert of(chat.copies(facts(tale))) == {"copies": "same-socket"}
    tale = living()
    tale.opens(2, "2")
    tale.hears(10, "1", "m1")
    tale.hears(10.1, "2", "m1")
    assert of(chat.copies(facts(tale))) == {"copies": "two-sockets"}


def test_copies_are_counted_on_one_socket() -> None:
    """Two sockets that get the answer twice each: it came twice, not four times."""
    tale = living()
    tale.opens(2, "2")
    for at in (10.0, 10.2):
        tale.hears(at, "1", "m1")
        tale.hears(at + 0.1, "2", "m1")
    case = chat.copies(facts(tale))
    assert case is not None
    assert of(case) == {"copies": "same-socket"}
    assert case.facts["copies"] == 2


def test_the_same_again_after_a_while_is_history() -> None:
    """Not a copy."""
    tale = living()
    tale.hears(10, "1", "m1")
    tale.hears(60, "1", "m1")
    assert chat.copies(facts(tale)) is None


def test_both_transports() -> None:
    """Shown by HTTP though the WebSocket brought it; not where one copy was suppressed."""
    tale = living()
    tale.put(11, DeliveryChanged, "1", delivery="d", state="replied", via="http")
    tale.hears(11.1, "1")
    case = chat.copies(facts(tale))
    assert of(case) == {"copies": "both-transports"}
    assert case.facts["who"] == "client"
    tale.put(11.2, DuplicateSuppressed, "1", key="message_id", via="websocket")
    assert chat.copies(facts(tale)) is None


@pytest.mark.parametrize(("status", "value"), [(500, "server"), (502, "gateway"), (404, None), (200, None)])
def test_requests_that_fail(status, value) -> None:
    """5xx while a connection is open; not while none is."""
    tale = living()
    tale.api(30, status, purpose="chat")
    case = chat.errors(facts(tale))
    assert (of(case)["errors"] if case is not None else None) == value
    tale = Tale()
    tale.api(30, status, purpose="chat")
    assert chat.errors(facts(tale)) is None


@pytest.mark.parametrize(("took", "slow"), [([12], True), ([6], False), ([6, 7], True), ([1, 30, 1], False)])
def test_latency(took, slow) -> None:
    """One very slow answer, or several slow ones; a single outlier is not the rule."""
    tale = living()
    for n, seconds in enumerate(took):
        tale.api(10 + 31 * n, purpose="chat", took=seconds)
    assert (chat.latency(facts(tale)) is not None) == slow


def test_a_mute_server_is_no_slow_bot() -> None:
    """What everything waited for did not come from the model behind the bot."""
    tale = Tale()
    tale.opens(1, "1")
    tale.api(41, purpose="chat", took=18)
    tale.health(60, took=20)
    assert chat.latency(facts(tale)) is None
    assert of(chat.mute(facts(tale))) == {"mute": "yes"}


@pytest.mark.parametrize(("off", "stuck"), [(None, True), (24.0, False)])
def test_typing(off, stuck) -> None:
    """On, answered, and never off."""
    tale = living()
    tale.received(20, "1", "typing_indicator", data={"user_id": "bot", "is_typing": True})
    tale.hears(23, "1")
    if off is not None:
        tale.received(off, "1", "typing_indicator", data={"user_id": "bot", "is_typing": False})
    assert (chat.typing(facts(tale)) is not None) == stuck


def test_typing_at_the_end_of_a_recording() -> None:
    """May still end."""
    tale = living(40)
    tale.received(38, "1", "typing_indicator", data={"user_id": "bot", "is_typing": True})
    assert chat.typing(facts(tale)) is None


@pytest.mark.parametrize(
    ("seqs", "broken"), [([0, 1, 2], False), ([1, 2, 3], False), ([0, 2], True), ([0, 2, 1], True)]
)
def test_order(seqs, broken) -> None:
    """By the chunks' numbers, from 0 or from 1."""
    tale = living()
    for n, seq in enumerate(seqs):
        data = {"message_id": "m", "seq": seq, "delta": "x"}
        tale.received(20 + 0.1 * n, "1", "chat_response_chunk", data=data)
    assert (chat.order(facts(tale)) is not None) == broken


def test_a_gap_that_the_client_saw() -> None:
    """Needs no chunks."""
    tale = living()
    tale.put(20, GapDetected, "1", message_id="m", expected=3, got=5)
    case = chat.order(facts(tale))
    assert (of(case), case.facts["expected"]) == ({"order": "broken"}, 3)


def test_contract() -> None:
    """What the client complained of; in evidence of others a text that is no JSON among many that are."""
    tale = living()
    assert chat.contract(facts(tale)) is None
    tale.put(20, FrameReceived, "1", size=3, text="<!d")
    assert of(chat.contract(facts(tale))) == {"contract": "broken"}
    tale = living()
    tale.put(20, BadMessageReceived, "1", detail="no type")
    assert chat.contract(facts(tale)).facts["unexpected"] == "no type"


@pytest.mark.parametrize(
    ("pauses", "storm"),
    [([0.05] * 9, True), ([0.05, 0.1, 0.2, 0.4, 0.8, 0.95], False), ([5.0] * 9, False), ([0.05] * 3, False)],
)
def test_storm(pauses, storm) -> None:
    """Many, soon, without growing pauses."""
    tale = Tale()
    at = 1.0
    for n, pause in enumerate([*pauses, 0.0]):
        tale.failed(at, str(n), "tcp", "refused", after=0.01)
        at += 0.01 + pause
    assert (chat.storm(facts(tale)) is not None) == storm


@pytest.mark.parametrize(
    ("heads", "gets", "method", "value"),
    [
        ([405], [200], None, None),
        ([405, 405], [200], None, "head-only-fails"),
        ([405], [200], "HEAD", "head-only-fails"),
        ([405, 200], [200], None, None),
        ([200, 200], [200], "HEAD", None),
    ],
)
def test_monitor(heads, gets, method, value) -> None:
    """HEAD again and again, or known to be what the monitor uses; one look is a comparison."""
    tale = living()
    for n, status in enumerate(heads):
        tale.health(10 + n, status, method="HEAD")
    for n, status in enumerate(gets):
        tale.health(20 + n, status)
    found = [of(case).get("monitor") for case in chat.cases(facts(tale), method) if case.kind == "monitor"]
    assert (found[0] if found else None) == value


def test_health_that_lies() -> None:
    """503 while messages are answered; not while nothing works, not once in a while."""
    tale = living()
    for n in range(3):
        tale.health(20 + 20 * n, 503)
    tale.api(30, purpose="chat")
    tale.hears(31, "1")
    assert of(chat.monitor(facts(tale), 2)) == {"monitor": "bad", "chat": "works"}
    tale = Tale()
    tale.health(20, 503)
    tale.refused(21, "1", 503)
    assert chat.monitor(facts(tale), 2) is None
    tale = living()
    for n in range(6):
        tale.health(20 + 10 * n, 503 if n == 3 else 200)
    tale.api(30, purpose="chat")
    assert chat.monitor(facts(tale), 2) is None
