"""What a session's history adds, in order, and what it proves about our messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.policy.delivery import DeliveryState
from chatkit.policy.history import HistoryRow, merge, read_rows
from chatkit.policy.ledger import Ledger
from chatkit.profile import DEFAULT


def row(id: str, role: str, text: str, at: float = 100.0, **more: str) -> HistoryRow:
    return HistoryRow(id=id, role=role, text=text, at=at, **more)


def shown(ledger: Ledger) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in ledger.messages]


def test_a_gap_is_filled_in_order() -> None:
    """Between what is known, not at the end."""
    ledger = Ledger()
    ledger.reply("one", "1", "s", "Bot", 1)
    ledger.reply("three", "3", "s", "Bot", 2)
    rows = [row(str(n), "assistant", text) for n, text in enumerate(["one", "two", "three", "four"], 1)]
    outcomes = merge(ledger, rows, "s", 9)
    assert [text for _, text in shown(ledger)] == ["one", "two", "three", "four"]
    assert sum(outcome.new for outcome in outcomes) == 2
    assert merge(ledger, rows, "s", 10) == []


def test_it_proves_that_a_message_arrived() -> None:
    """UNKNOWN becomes ACKED, and REPLIED where the answer stands there too."""
    ledger = Ledger()
    asked = ledger.sent("hello", 50, "s", "id-1")
    ledger.failed(asked.key, DeliveryState.UNKNOWN, "reset")
    merge(ledger, [row("1", "user", "hello")], "s", 9)
    assert ledger.message(asked.key).state == "acked"
    merge(ledger, [row("1", "user", "hello"), row("2", "assistant", "hi")], "s", 9)
    assert (ledger.message(asked.key).state, ledger.answer(asked.key)) == ("replied", ("hi", "history"))
    assert shown(ledger) == [("user", "hello"), ("assistant", "hi")]


def test_its_absence_proves_nothing() -> None:
    """The message stays as it was."""
    ledger = Ledger()
    asked = ledger.sent("hello", 50, "s", "id-1")
    ledger.failed(asked.key, DeliveryState.UNKNOWN, "reset")
    assert merge(ledger, [], "s", 9) == []
    assert ledger.message(asked.key).state == "unknown"


def test_an_older_equal_text_is_no_proof() -> None:
    """It was said before ours was sent."""
    ledger = Ledger()
    asked = ledger.sent("yes", 50, "s", "id-1")
    ledger.failed(asked.key, DeliveryState.UNKNOWN, "reset")
    merge(ledger, [row("1", "user", "yes", at=10.0)], "s", 9)
    assert ledger.message(asked.key).state == "unknown"
    assert ("user", "yes") in shown(ledger)[:-1] or len(shown(ledger)) == 2


def test_an_id_of_ours_is_proof_whatever_the_clock_says() -> None:
    """Where the backend keeps it."""
    ledger = Ledger()
    asked = ledger.sent("yes", 50, "s", "id-1")
    ledger.failed(asked.key, DeliveryState.UNKNOWN, "reset")
    merge(ledger, [row("1", "user", "yes", at=0.0, client_id="id-1")], "s", 9)
    assert ledger.message(asked.key).state == "acked"


def test_a_reply_shown_by_http_is_recognised() -> None:
    """It had no server's id; from then on it has."""
    ledger = Ledger()
    asked = ledger.sent("hello", 50, "s", "id-1")
    ledger.answered(asked.key, "hi", "s", 51, live=False)
    outcomes = merge(ledger, [row("1", "user", "hello"), row("2", "assistant", "hi")], "s", 60)
    assert [outcome.suppressed for outcome in outcomes if outcome.suppressed] == ["reply-of-request"]
    assert ledger.reply("hi", "2", "s", "Bot", 70).suppressed == "message_id"
    assert shown(ledger) == [("user", "hello"), ("assistant", "hi")]


def test_an_interrupted_stream_is_completed() -> None:
    """By the whole text."""
    ledger = Ledger()
    ledger.chunk("1", 0, "It ", "s", "Bot", 1)
    ledger.socket_down(2)
    merge(ledger, [row("1", "assistant", "It is so.")], "s", 3)
    assert [(m.text, m.state) for m in ledger.messages] == [("It is so.", "complete")]


def test_what_was_forgotten_is_not_shown_again() -> None:
    """Rows before all that is remembered were shown once."""
    ledger = Ledger(most=10)
    rows = [row(str(n), "assistant", f"text {n}") for n in range(30)]
    for n in range(25):
        ledger.reply(f"text {n}", str(n), "s", "Bot", n)
        ledger.trim()
    assert ledger.forgotten >= 15
    merge(ledger, rows, "s", 99)
    texts = [text for _, text in shown(ledger)]
    assert texts == sorted(texts, key=lambda text: int(text.split()[1]))
    assert texts[-1] == "text 29"
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize("before", [0, 1])
def test_an_answer_is_forgotten_with_its_question(before: int) -> None:
    """One that came by HTTP has no id of its own: alone it would be shown a second time."""
    ledger, rows = Ledger(most=10), [row("first", "user", "unanswered", client_id="first")]
    ledger.acked(ledger.sent("unanswered", 49, "s", "first").key)
    for n in range(before):
        ledger.other("hi", f"x{n}", "s", "grace", 1)
    for n in range(30):
        asked = ledger.sent(f"question {n}", 50 + n, "s", f"id-{n}")
        ledger.answered(asked.key, f"answer {n}", "s", 50 + n, live=False)
        ledger.trim()
        rows += [
            row(f"q{n}", "user", f"question {n}", client_id=f"id-{n}"),
            row(f"a{n}", "assistant", f"answer {n}", in_reply_to=f"id-{n}"),
        ]
    merge(ledger, rows, "s", 99)
    texts = [text for _, text in shown(ledger)]
    assert len(texts) == len(set(texts))
    assert texts[-2:] == ["question 29", "answer 29"]
    assert "question 0" not in texts


def test_rows_are_read_by_the_profiles_paths() -> None:
    """What cannot be read is left out, whatever it is."""
    raw = [
        {"id": 7, "role": "assistant", "content": "hi", "created_at": "2026-01-01T00:00:00Z"},
        {"id": "8", "role": "user", "content": "yo", "client_message_id": "c", "created_at": "yesterday"},
        {"role": None},
        "nonsense",
        {"id": True, "role": "user", "content": "x", "created_at": 5},
    ]
    found = read_rows(raw, DEFAULT.fields)
    assert [(r.id, r.role, r.text, r.at, r.client_id) for r in found] == [
        ("7", "assistant", "hi", 1767225600.0, None),
        ("8", "user", "yo", None, "c"),
        (None, "user", "x", 5.0, None),
    ]


@given(st.lists(st.sampled_from(["ws", "skip"]), max_size=8), st.lists(st.integers(0, 8), max_size=3))
def test_any_interleaving_shows_each_answer_once_and_in_order(heard: list[str], looks: list[int]) -> None:
    """Replies that came live or not, the history read at any moments: each once, in the order of the server."""
    ledger, rows = Ledger(), []
    for n, how in enumerate(heard):
        rows.append(row(str(n), "assistant", f"text {n % 2}"))
        if how == "ws":
            ledger.reply(f"text {n % 2}", str(n), "s", "Bot", n)
        if n in looks:
            merge(ledger, rows, "s", n)
    merge(ledger, rows, "s", 99)
    assert [message.message_id for message in ledger.messages] == [str(n) for n in range(len(heard))]
