"""The connection lives, the chat does not: group 6 of the taxonomy."""

from __future__ import annotations

from chatkit.events import BadMessageReceived, DeliveryChanged
from tests.diagnosis.stories import story
from tests.diagnosis.stories.telling import CAPTURE, Tale


def living(until: float = 120.0) -> Tale:
    """A connection that pings and lives to the end."""
    tale = Tale()
    tale.opens(1, "1")
    tale.pings(6, until, 20, "1")
    tale.notified(until, "1")
    return tale


@story("health-method-mismatch")
def the_monitor_uses_head() -> Tale:
    """HEAD is answered 405 three times, GET 200, the chat works."""
    tale = living()
    for n in range(3):
        tale.health(10 + 30 * n, 405, method="HEAD")
    tale.health(15)
    return tale


@story("health-method-mismatch", health_method="HEAD")
def the_monitor_is_said_to_use_head() -> Tale:
    """One look with HEAD is enough when the monitor is known to use it."""
    tale = living()
    tale.health(10, 405, method="HEAD")
    tale.health(15)
    return tale


@story("health-lies")
def health_is_down_and_the_chat_works() -> Tale:
    """503 all the time while messages are answered."""
    tale = living()
    for n in range(4):
        tale.health(10 + 20 * n, 503)
        tale.api(12 + 20 * n, purpose="chat", took=0.8)
        tale.hears(12.9 + 20 * n, "1", f"m{n}")
    return tale


@story("duplicate-delivery")
def every_answer_twice() -> Tale:
    """The same message id twice on one socket."""
    tale = living()
    for n in range(3):
        tale.hears(10 + 10 * n, "1", f"m{n}")
        tale.hears(10.05 + 10 * n, "1", f"m{n}")
    return tale


@story("duplicate-delivery")
def shown_by_both_transports() -> Tale:
    """The HTTP answer is shown, and the WebSocket's copy too."""
    tale = living()
    for n in range(3):
        at = 10.0 + 10 * n
        tale.api(at, purpose="chat", took=1.0)
        tale.put(at + 1.01, DeliveryChanged, "1", delivery=f"d{n}", state="replied", via="http")
        tale.hears(at + 1.1, "1", f"m{n}")
    return tale


@story("lost-reply")
def answers_never_come() -> Tale:
    """HTTP says 200, the socket stays silent."""
    tale = living()
    for n in range(5):
        tale.api(10 + 15 * n, purpose="chat", took=1.0)
    return tale


@story("multi-worker-split")
def three_of_four_answers_are_lost() -> Tale:
    """HTTP lands on one of four workers, the socket on another."""
    tale = living(500)
    for n in range(24):
        tale.api(10 + 20 * n, purpose="chat", took=1.0)
        if n % 4 == 1:
            tale.hears(11.1 + 20 * n, "1", f"m{n}")
    return tale


@story("slow-reply")
def answers_take_twenty_seconds() -> Tale:
    """Pings are answered at once meanwhile."""
    tale = living()
    for n in range(3):
        tale.api(10 + 30 * n, purpose="chat", took=20.0)
        tale.hears(30.1 + 30 * n, "1", f"m{n}")
    return tale


@story("stuck-typing")
def typing_for_ever() -> Tale:
    """Switched on, answered, never off."""
    tale = living()
    tale.received(20, "1", "typing_indicator", data={"user_id": "bot", "is_typing": True})
    tale.hears(23, "1")
    return tale


@story("out-of-order")
def a_chunk_is_missing() -> Tale:
    """Chunk 2 never comes."""
    tale = living()
    for seq in (0, 1, 3, 4):
        data = {"message_id": "m1", "session_id": "s", "seq": seq, "delta": "word "}
        tale.received(20 + 0.1 * seq, "1", "chat_response_chunk", data=data)
    tale.hears(21, "1")
    return tale


@story("reconnect-storm")
def twenty_attempts_a_second() -> Tale:
    """Lives of a moment that our side ends itself, each followed by the next attempt at once."""
    tale = Tale()
    for n in range(30):
        tale.opens(1 + 0.5 * n, str(n))
        tale.closed(1.4 + 0.5 * n, str(n), 1000, by="client")
    return tale


@story("connection-refused", also=("reconnect-storm",))
def twenty_attempts_a_second_at_a_closed_port() -> Tale:
    """The first ending is the true one; the storm is listed beside it."""
    tale = Tale()
    for n in range(30):
        tale.failed(1 + 0.05 * n, str(n), "tcp", "Connection refused")
    return tale


@story("wrong-contract")
def what_the_profile_does_not_know() -> Tale:
    """Messages without their fields; the connection lives."""
    tale = living()
    for n in range(3):
        tale.put(20 + 10 * n, BadMessageReceived, "1", detail="chat_response without data.content")
    return tale


@story("wrong-contract", CAPTURE)
def a_text_that_is_not_json() -> Tale:
    """One of many."""
    from chatkit.events import FrameReceived

    tale = living()
    tale.put(30, FrameReceived, "1", size=9, text="<!doctype")
    return tale
