"""The console's words, from values."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from chatkit.behaviour import Client
from chatkit.events import HealthChecked
from chatkit.policy.delivery import ChatMessage
from chatkit.policy.health import HealthState, HealthStatus
from chatkit.policy.ledger import Ledger
from chatkit.policy.status import State, Status
from chatkit.views.console import MESSAGES_SHOWN, TEXT_SHOWN, Facts, empty, typing_words, view

FACTS = Facts(
    status=Status(state=State.STABLE, since=990.0, bot="Echo", connection="4"),
    explanation="Connection 4 holds.",
    messages=(),
    typing=(),
    health=HealthStatus(),
    rules=Client(),
    rtt=None,
    lag=None,
    expires=1000.0 + 27 * 60,
    has_token=True,
    epoch=900.0,
    now=1000.0,
)


def ours(state: str, because: str = "") -> ChatMessage:
    """A message of ours."""
    return ChatMessage(
        key="m1", role="user", author="you", text="hi", at=1.0, via="local", state=state, because=because
    )


def theirs(**changes: object) -> ChatMessage:
    """A reply."""
    message = ChatMessage(
        key="r1", role="assistant", author="Echo", text="hi", at=1.25, via="websocket", state="complete"
    )
    return replace(message, **changes)


def only(message: ChatMessage) -> dict[str, object]:
    """How the console shows one message."""
    (shown,) = view(replace(FACTS, messages=(message,)))["messages"]
    return shown


def test_view_is_plain_json() -> None:
    """The browser gets nothing but JSON; with and without a client the keys are the same."""
    shown = view(replace(FACTS, messages=(ours("written"), theirs()), typing=("Echo",)))
    assert json.loads(json.dumps(shown)) == shown
    assert set(shown) == set(empty(0.0))
    assert set(shown["state"]) == set(empty(0.0)["state"])


@pytest.mark.parametrize(
    ("state", "word", "button"),
    [
        (State.CONNECTING, "Connecting", "disconnect"),
        (State.CONNECTED, "Live", "disconnect"),
        (State.STABLE, "Live", "disconnect"),
        (State.BACKOFF, "Reconnecting", "retry"),
        (State.AUTH_REQUIRED, "Needs a token", "reconnect"),
        (State.FAILED, "Failed", "reconnect"),
        (State.CLOSED, "Closed", "connect"),
    ],
)
def test_state_line_has_one_word_and_the_button_that_makes_sense(state: State, word: str, button: str) -> None:
    """One word, one button."""
    line = view(replace(FACTS, status=replace(FACTS.status, state=state)))["state"]
    assert (line["word"], line["button"]) == (word, button)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (ours("written"), "sending over HTTP…"),
        (ours("acked"), "waiting for the reply"),
        (ours("replied"), "✓   replied"),
        (ours("rejected", "HTTP 429"), "not sent: HTTP 429"),
        (ours("expired", "waited 130 s"), "not sent: waited 130 s"),
        (ours("queued"), "waits: nothing carries it right now"),
        (ours("queued", "HTTP 503"), "waits: HTTP 503"),
        (ours("unknown", "timed out"), "unknown whether it arrived: timed out"),
        (theirs(), "Echo, live "),
        (theirs(also_via="http"), "also by HTTP, shown once"),
        (theirs(via="http"), "Echo, by HTTP "),
        (theirs(via="http", also_via="websocket"), "also by WebSocket, shown once"),
        (theirs(state="streaming", chunks=7), "typing… streamed, 7 chunks, no gap"),
        (theirs(state="streaming", chunks=1, gap=True), "1 chunk, a chunk is missing"),
        (theirs(state="interrupted", chunks=2), "interrupted after 2 chunks: the connection ended"),
    ],
)
def test_each_message_says_where_it_is(message: ChatMessage, words: str) -> None:
    """Sending, sent, failed; live, by HTTP; streamed, interrupted."""
    assert words in str(only(message)["meta"])


def test_hostile_text_is_passed_as_text_and_bounded() -> None:
    """Markup stays what it is: a text; a giant is cut and says so."""
    assert only(theirs(text="<script>x</script>"))["text"] == "<script>x</script>"
    text = str(only(theirs(text="x" * (TEXT_SHOWN + 5)))["text"])
    assert text.endswith(f"… ({TEXT_SHOWN + 5:,} characters)")


def test_long_conversations_show_their_end() -> None:
    """How many came before is said."""
    ledger = Ledger()
    for number in range(MESSAGES_SHOWN + 3):
        ledger.sent(str(number), float(number), None)
    shown = view(replace(FACTS, messages=ledger.messages))
    assert shown["earlier"] == 3
    assert shown["messages"][-1]["text"] == str(MESSAGES_SHOWN + 2)


@pytest.mark.parametrize(
    ("changes", "tone", "words"),
    [
        ({}, "ok", "token good, 27 min left"),
        ({"expires": 760.0}, "bad", "token expired 4 min ago"),
        ({"expires": None}, "ok", "token without expiry"),
        ({"has_token": False}, "warn", "no token"),
    ],
)
def test_token_is_a_state_never_a_text(changes: dict[str, object], tone: str, words: str) -> None:
    """Good, expired, absent."""
    assert view(replace(FACTS, **changes))["token"] == {"tone": tone, "text": words}


def test_health_line_names_method_answer_and_both_methods_when_compared() -> None:
    """HEAD 405 beside GET 200 stands there in words; failures in a row are counted."""
    checked = HealthChecked(id="1", at=1.0, method="GET", healthy=True, seconds=0.003, status=200)
    health = HealthStatus(state=HealthState.HEALTHY, last=checked, head_status=405, get_status=200)
    line = view(replace(FACTS, health=health, rtt=0.004, lag=0.002))["health"]
    assert line["text"] == "health GET 200 in 3 ms, every 30 s   HEAD 405, GET 200   ping 4 ms   loop lag 2 ms"
    down = HealthChecked(id="1", at=1.0, method="GET", healthy=False, seconds=5.0, error="timed out")
    line = view(replace(FACTS, health=HealthStatus(state=HealthState.UNHEALTHY, failures=3, last=down)))["health"]
    assert line == {"tone": "bad", "text": "health unhealthy, 3 in a row: GET timed out"}


def test_typing_names_people_briefly() -> None:
    """One, several, nobody."""
    assert typing_words(()) == ""
    assert typing_words(("Echo",)) == "Echo is typing…"
    assert typing_words(("a", "b", "c", "d")) == "a, b, c are typing…"


def test_what_an_earlier_process_said_is_marked() -> None:
    """Older than this process: found again."""
    facts = replace(FACTS, messages=(ours("replied"), theirs(at=60.0)), began=50.0)
    assert [message["former"] for message in view(facts)["messages"]] == [True, False]
    assert only(ours("replied"))["former"] is False
