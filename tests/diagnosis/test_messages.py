"""Messages by their type."""

from __future__ import annotations

from chatkit.diagnosis.facts import Facts
from chatkit.diagnosis.messages import received, text_at
from tests.diagnosis.stories.telling import Tale


def test_messages_of_a_type_in_the_order_of_time() -> None:
    """With their connection and their JSON; of any other type none, and none that only speaks of it."""
    tale = Tale()
    tale.opens(1, "1")
    tale.opens(2, "2")
    tale.received(3, "2", "chat_response", data={"content": "one"})
    tale.received(4, "1", "typing_indicator", data={"note": "chat_response"})
    tale.received(5, "1", "chat_response", data={"content": "two"})
    found = [(life.id, body["data"]["content"]) for life, _, body in received(Facts(tale.trace()), "chat_response")]
    assert found == [("2", "one"), ("1", "two")]


def test_text_at() -> None:
    """Texts and numbers as text; anything else is none."""
    body = {"data": {"message_id": 7, "content": "hi", "list": []}}
    assert [text_at(body, f"data.{name}") for name in ("message_id", "content", "list", "nothing")] == [
        "7",
        "hi",
        None,
        None,
    ]
