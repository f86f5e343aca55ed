"""The client's state and what people are told about it."""

from __future__ import annotations

import pytest

from chatkit.ending import Connection
from chatkit.events import AttemptStarted, FrameSent, Opened, TransportEnded
from chatkit.policy.status import LIVE, RESTING, State, Status, explain
from stories import story, text


def cut(id: str, how: str = "rst", at: float = 5.2) -> Connection:
    """A connection that ended 0.2 s after our ping."""
    return story(
        (0.0, AttemptStarted, {"url": "ws://h/p"}),
        (1.0, Opened),
        (at - 0.2, FrameSent, text("ping")),
        (at, TransportEnded, {"how": how, "by": "server"}),
        connection=id,
    ).connections[0]


ENDING = "RST by server, 0.2 s after our ping, age 4.2 s"


@pytest.mark.parametrize(
    ("status", "ended", "words"),
    [
        (Status(), [], "Idle."),
        (Status(state=State.CONNECTING), [], "Opening a connection."),
        (
            Status(state=State.CONNECTING, attempt=2, max_attempts=5),
            [cut("1")],
            f"Connection 1 ended: {ENDING}. Opening a connection (retry 2 of 5).",
        ),
        (Status(state=State.CONNECTED, connection="1"), [], "Connection 1 is open. The first ping waits 5 s."),
        (Status(state=State.STABLE, connection="1"), [], "Connection 1 holds."),
        (
            Status(state=State.STABLE, connection="2"),
            [cut("1")],
            f"Connection 2 holds. The one before it ended: {ENDING}.",
        ),
        (
            Status(state=State.CONNECTED, connection="4"),
            [cut("1"), cut("2", "fin"), cut("3")],
            f"Connection 4 is open. The first ping waits 5 s. 2 of the 3 before it ended: {ENDING}.",
        ),
        (
            Status(state=State.BACKOFF, attempt=1, max_attempts=5, because="x"),
            [cut("1")],
            f"Connection 1 ended: {ENDING}. Retry 1 of 5 is scheduled.",
        ),
        (
            Status(state=State.BACKOFF, attempt=1, max_attempts=5, because="nobody listens there"),
            [],
            "Nobody listens there. Retry 1 of 5 is scheduled.",
        ),
        (
            Status(state=State.AUTH_REQUIRED, because="HTTP 403: the token is wrong."),
            [],
            "HTTP 403: the token is wrong. Log in again or give another token.",
        ),
        (
            Status(state=State.FAILED, because="gave up after 5 retries"),
            [],
            "Gave up after 5 retries. Nothing more is tried; Reconnect tries again.",
        ),
        (Status(state=State.CLOSING), [], "Closing."),
        (Status(state=State.CLOSED, because="closed by us"), [], "Closed by us."),
    ],
)
def test_explain(status: Status, ended: list[Connection], words: str) -> None:
    """What happened, what happens next, what the reader can do."""
    assert explain(status, ended, 5.0) == words


def test_the_broken_front_end_explains_itself() -> None:
    """Without quiet time there is no waiting to announce."""
    status = Status(state=State.CONNECTED, connection="1")
    assert explain(status, [], 0.0) == "Connection 1 is open. The first ping went out at once."


@pytest.mark.parametrize("state", State)
def test_every_state_has_a_word_and_a_sentence(state: State) -> None:
    """Also with nothing known."""
    status = Status(state=state)
    assert status.word
    assert explain(status, [], 5.0).endswith(".")
    assert status.live == (state in LIVE)


def test_states_that_carry_replies_and_states_that_rest() -> None:
    """No state does both."""
    assert {State.CONNECTED, State.STABLE} == LIVE
    assert {State.AUTH_REQUIRED, State.FAILED, State.CLOSED} == RESTING
