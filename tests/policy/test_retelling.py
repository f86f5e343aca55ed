"""A recording is retold as the conversation that was shown: each message once, in order, as far as it got."""

from __future__ import annotations

import msgspec

from builders import Script
from chatkit.events import AttemptStarted, DeliveryChanged, Established, TransportEnded
from chatkit.policy.ledger import Ledger
from chatkit.policy.retelling import author_of, messages, retell, take
from chatkit.profile import DEFAULT, Incoming
from chatkit.trace import Header, Origin, Trace

HEADER = Header(origin=Origin(kind="live"), epoch=1000.0)


class Tale(Script):
    """What a client with one connection to ``echo`` records."""

    def __init__(self) -> None:
        super().__init__()
        self.attempt(0.0, "1")

    def attempt(self, at: float, connection: str, bot: str = "echo") -> None:
        self.put(at, AttemptStarted, connection, url=f"ws://127.0.0.1:8000/api/ws/chat/{bot}?token=***")
        self.put(at, Established, connection, seconds=0.1)

    def said(self, at: float, key: str, text: str, client_id: str, bot: str = "echo", state: str = "queued") -> None:
        self.put(at, DeliveryChanged, delivery=key, state=state, text=text, bot=bot, client_id=client_id)

    def moved(self, at: float, key: str, state: str, **more: str) -> None:
        self.put(at, DeliveryChanged, delivery=key, state=state, **more)

    def replied(self, at: float, text: str, id: str, connection: str = "1") -> None:
        self.received(at, connection, DEFAULT.types.reply, data={"message_id": id, "content": text})

    def chunk(self, at: float, id: str, seq: int, delta: str) -> None:
        self.received(at, "1", DEFAULT.types.chunk, data={"message_id": id, "seq": seq, "delta": delta})

    def told(self, bot: str = "echo") -> list[tuple[str, str, str]]:
        shown = messages(Trace.of(self.events(), HEADER), DEFAULT, bot)
        return [(one.via, one.text, str(one.state)) for one in shown]


def test_a_message_and_its_reply() -> None:
    tale = Tale()
    tale.said(1.0, "m1", "hello", "c1")
    tale.moved(1.1, "m1", "written")
    tale.moved(1.2, "m1", "acked")
    tale.replied(1.3, "hello yourself", "s1")
    tale.moved(1.4, "m1", "replied", via="websocket")
    assert tale.told() == [("local", "hello", "replied"), ("websocket", "hello yourself", "complete")]


def test_a_reply_that_came_over_http_only() -> None:
    tale = Tale()
    tale.said(1.0, "m1", "hello", "c1")
    tale.moved(1.1, "m1", "replied", via="http", reply="by HTTP")
    assert tale.told() == [("local", "hello", "replied"), ("http", "by HTTP", "complete")]


def test_its_late_second_copy_is_the_same() -> None:
    tale = Tale()
    tale.said(1.0, "m1", "hello", "c1")
    tale.moved(1.1, "m1", "replied", via="http", reply="by both")
    tale.replied(2.0, "by both", "s1")
    assert [text for _, text, _ in tale.told()] == ["hello", "by both"]


def test_streams_whole_and_cut_off() -> None:
    tale = Tale()
    tale.chunk(1.0, "s1", 0, "once ")
    tale.chunk(1.1, "s1", 1, "upon")
    tale.replied(1.2, "once upon", "s1")
    tale.chunk(2.0, "s2", 0, "a ti")
    tale.put(2.1, TransportEnded, "1", how="rst", by="server")
    assert tale.told() == [("websocket", "once upon", "complete"), ("websocket", "a ti", "interrupted")]


def test_a_stream_in_a_recording_that_was_cut_is_interrupted() -> None:
    tale = Tale()
    tale.chunk(1.0, "s1", 0, "once ")
    assert tale.told() == [("websocket", "once ", "interrupted")]


def test_a_message_replayed_on_the_next_connection_is_shown_once() -> None:
    tale = Tale()
    tale.replied(1.0, "news", "s1")
    tale.attempt(2.0, "2")
    tale.replied(2.5, "news", "s1", "2")
    assert len(tale.told()) == 1


def test_a_queued_message_that_the_next_process_found_is_one_message() -> None:
    """The key begins anew, the id stays; what becomes of it is told under the new key."""
    tale = Tale()
    tale.said(1.0, "m1", "first", "c1")
    tale.moved(1.1, "m1", "replied", via="websocket")
    tale.said(2.0, "m2", "waits", "c2")
    tale.said(60.0, "m1", "waits", "c2")
    tale.moved(61.0, "m1", "acked")
    assert tale.told() == [("local", "first", "replied"), ("local", "waits", "acked")]


def test_an_acknowledgement_does_not_take_a_reply_back() -> None:
    tale = Tale()
    tale.said(1.0, "m1", "hello", "c1")
    tale.moved(1.1, "m1", "replied", via="websocket")
    tale.moved(1.2, "m1", "acked")
    assert tale.told()[0][2] == "replied"


def test_another_bot_s_conversation_is_not_this_one() -> None:
    tale = Tale()
    tale.attempt(0.5, "2", "slow")
    tale.said(1.0, "m1", "to echo", "c1")
    tale.said(1.1, "m1", "to slow", "c2", bot="slow")
    tale.moved(1.2, "m1", "rejected", because="no")
    tale.replied(1.3, "from slow", "s1", "2")
    assert tale.told() == [("local", "to echo", "queued")]
    assert tale.told("slow") == [("local", "to slow", "rejected"), ("websocket", "from slow", "complete")]


def test_what_nobody_can_read_is_left_out() -> None:
    tale = Tale()
    tale.said(1.0, "m1", "hello", "c1", state="teleported")
    tale.moved(1.1, "m9", "acked")
    tale.received(1.2, "1", "nonsense")
    tale.received(1.3, "1", DEFAULT.types.pong)
    assert tale.told() == []
    assert messages(Trace.of([], HEADER), DEFAULT, "echo") == ()


def test_what_comes_next_is_known_again() -> None:
    """The ledger goes on: a reply that was recorded is not shown a second time."""
    tale, ledger = Tale(), Ledger()
    tale.replied(1.0, "news", "s1")
    retell(ledger, Trace.of(tale.events(), HEADER), DEFAULT, "echo")
    again = take(ledger, Incoming(kind="reply", content="news", message_id="s1"), "Echo", 100.0)
    assert again.suppressed == "message_id"
    fresh = take(ledger, Incoming(kind="message", content="hi", username="ann", message_id="s2"), "Echo", 101.0)
    assert fresh.new
    assert [one.author for one in ledger.messages] == ["echo", "ann"]


def test_who_says_it() -> None:
    assert author_of(Incoming(kind="reply")) == "Assistant"
    assert author_of(Incoming(kind="message")) == "somebody"
    assert author_of(msgspec.structs.replace(Incoming(kind="message"), username="ann")) == "ann"
