"""What is kept, and who is sent what again."""

from __future__ import annotations

from chatkit.lab.ring import Replay, Ring


def message(id: str, session: str = "s") -> dict[str, object]:
    """Some reply."""
    return {"type": "chat_response", "data": {"message_id": id, "session_id": session}}


def ids(replay: Replay) -> list[str]:
    """Of what is sent again."""
    return [one["data"]["message_id"] for one in replay.messages]


def filled(*messages: tuple[str, str, str | None], size: int = 10) -> Ring:
    """A ring of (id, session, besides)."""
    ring = Ring(size)
    for id, session, besides in messages:
        ring.add(message(id, session), besides)
    return ring


def test_after_a_message() -> None:
    """Everything that came later but one's own, in order, of all conversations."""
    ring = filled(("1", "s", None), ("2", "s", "ada"), ("3", "t", None), ("4", "s", "grace"))
    assert ids(ring.after("1", "ada")) == ["3", "4"]
    assert ids(ring.after("1", "grace")) == ["2", "3"]
    assert ids(ring.after("2", "ada")) == ["3", "4"]
    assert ring.after("4", "ada") == Replay((), complete=True)


def test_after_a_message_that_is_gone() -> None:
    """Nothing, and it is said: whatever the client claims to have seen."""
    ring = filled(("1", "s", None), ("2", "s", None), ("3", "s", None), size=2)
    for unknown in ("1", "never", 7, ["2"], {}):
        assert ring.after(unknown, "ada") == Replay((), complete=False)
    assert ids(ring.after("2", "ada")) == ["3"]


def test_of_a_session() -> None:
    """All that is there of it; incomplete once something had to make room."""
    ring = filled(("1", "s", None), ("2", "t", None), ("3", "s", "ada"), size=3)
    assert ids(ring.of_session("s", "ada")) == ["1"]
    assert ids(ring.of_session("s", "grace")) == ["1", "3"]
    assert ring.of_session("none", "ada") == Replay((), complete=True)
    ring.add(message("4"), None)
    assert ring.of_session("s", "ada").complete is False
