"""What a transcript prints when something changed, without a socket."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import pytest

from chatkit.cli.transcript import Transcript
from chatkit.policy.status import State, Status


class Pretence:
    """What a transcript asks of a client."""

    def __init__(self) -> None:
        self.messages: list[SimpleNamespace] = []
        self.typing_users = ()
        self.ended = ()
        self.status = Status()


def message(key: str, text: str, state: str) -> SimpleNamespace:
    """A bot's message."""
    return SimpleNamespace(key=key, text=text, state=state, author="Bot", via="websocket")


def test_two_streams_do_not_mix(capsys) -> None:
    """The second waits until the first is whole; a whole that differs from its pieces is said again."""
    client = Pretence()
    transcript = Transcript(client)  # type: ignore[arg-type]
    client.messages = [message("r1", "a", "streaming"), message("r2", "x", "streaming")]
    transcript.see("message")
    client.messages = [message("r1", "a", "streaming"), message("r2", "xy", "complete")]
    transcript.see("message")
    client.messages[0] = message("r1", "abc", "complete")
    transcript.see("message")
    client.messages.append(message("r3", "12", "streaming"))
    transcript.see("message")
    client.messages[2] = message("r3", "1…2", "complete")
    transcript.see("message")
    client.messages.append(message("r4", "half", "streaming"))
    transcript.see("message")
    client.messages[3] = message("r4", "half", "interrupted")
    transcript.see("message")
    transcript.finish()
    assert capsys.readouterr().out.splitlines() == [
        "Bot: abc",
        "Bot: xy",
        "Bot: 12",
        "Bot (whole): 1…2",
        "Bot: half [interrupted]",
    ]


def test_states_in_words(capsys) -> None:
    """Each change once; stable is no news."""
    client = Pretence()
    transcript = Transcript(client)  # type: ignore[arg-type]
    for status in (
        Status(state=State.CONNECTING),
        Status(state=State.CONNECTED, bot="B\x1b"),
        Status(state=State.STABLE, bot="B\x1b"),
        Status(state=State.FAILED, because="gave up\nafter 5"),
        Status(state=State.CLOSED),
    ):
        client.status = status
        transcript.see("state")
        transcript.see("state")
    assert capsys.readouterr().err.splitlines() == ["Live: B␛", "Failed: gave up after 5"]


def test_a_wait_is_said_with_its_cause(capsys: pytest.CaptureFixture[str]) -> None:
    """The number of the retry, and how the connection ended; without an ending the state's own words."""
    client = Pretence()
    transcript = Transcript(client)  # type: ignore[arg-type]
    client.status = Status(state=State.BACKOFF, attempt=1, max_attempts=5, retry_at=0.0, because="nobody listens")
    transcript.see("state")
    client.ended = (SimpleNamespace(ending="RST by server\x1b[2J"),)
    client.status = Status(state=State.BACKOFF, attempt=2, max_attempts=5, retry_at=0.0, because="cut")
    transcript.see("state")
    assert capsys.readouterr().err.splitlines() == [
        "Reconnecting in 0.0 s (retry 1 of 5): nobody listens",
        "Reconnecting in 0.0 s (retry 2 of 5): RST by server␛[2J",
    ]


def test_a_state_does_not_stand_in_the_middle_of_a_reply(capsys: pytest.CaptureFixture[str]) -> None:
    """The open line is ended first."""
    client = Pretence()
    transcript = Transcript(client)  # type: ignore[arg-type]
    client.messages = [message("r1", "half", "streaming")]
    transcript.see("message")
    client.status = Status(state=State.FAILED, because="gave up")
    transcript.see("state")
    transcript.finish()
    assert capsys.readouterr() == ("Bot: half\n", "Failed: gave up\n")


def test_our_own_messages_are_not_said_again(capsys: pytest.CaptureFixture[str]) -> None:
    """We typed them; and what was said once is not said twice."""
    client = Pretence()
    transcript = Transcript(client)  # type: ignore[arg-type]
    ours = message("m1", "hi", "sent")
    ours.via = "local"
    client.messages = [ours, message("r1", "hello\x1b[2J", "complete")]
    transcript.see("message")
    transcript.see("message")
    assert capsys.readouterr().out == "Bot: hello␛[2J\n"


def test_typing_is_for_terminals(capsys: pytest.CaptureFixture[str]) -> None:
    """A file or a pipe does not hear of it."""
    client = Pretence()
    client.typing_users = ("Mira",)  # type: ignore[assignment]
    Transcript(client).see("typing")  # type: ignore[arg-type]
    assert capsys.readouterr() == ("", "")


class Gone(io.StringIO):
    """A pipe whose reader went away."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_reader_that_went_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Is remembered, and never raised into the client."""
    client = Pretence()
    transcript = Transcript(client)  # type: ignore[arg-type]
    client.messages = [message("r1", "a", "streaming")]
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", Gone())
        transcript.see("message")
        assert transcript.unread
        transcript.see("message")
        transcript.finish()
