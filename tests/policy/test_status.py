"""The client's state and what people are told about it."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.ending import Connection
from chatkit.events import AttemptStarted, FrameSent, Opened, TransportEnded
from chatkit.policy.status import LIVE, RESTING, Move, State, Status, Waiting, explain, fits, transition
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
            f"Connection 1 ended: {ENDING}. Retry 1 of 5 starts soon by itself; Retry now does not wait.",
        ),
        (
            Status(state=State.BACKOFF, attempt=1, max_attempts=5, because="nobody listens there"),
            [],
            "Nobody listens there. Retry 1 of 5 starts soon by itself; Retry now does not wait.",
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


WHEN = 1_795_449_725.0


def clock(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment):%H:%M:%S}"


@pytest.mark.parametrize(
    ("status", "waiting", "words"),
    [
        (
            Status(state=State.BACKOFF, attempt=2, max_attempts=5, because="the name does not resolve", since=WHEN, retry_at=WHEN + 4),
            Waiting(queued=2, by_http=True, durable=True),
            f"The name does not resolve. This is so since {clock(WHEN)}. Retry 2 of 5 starts at {clock(WHEN + 4)} by itself; "
            "Retry now does not wait. 2 messages of yours, kept in a file, wait and will go out when the backend answers again.",
        ),
        (
            Status(state=State.SUSPENDED, max_attempts=5, because="nobody listens there", since=WHEN, retry_at=WHEN + 30),
            Waiting(queued=1),
            f"Nobody listens there. This is so since {clock(WHEN)}. 5 retries in a row did not help, so the backend's health is "
            f"watched instead: the next look is at {clock(WHEN + 30)}, and a good answer starts an attempt. Retry now does not "
            "wait. 1 message of yours waits and will go out when the connection is back.",
        ),
        (
            Status(state=State.FAILED, because="the HTTP API does not know this bot", remedy="correct the bot's id", since=WHEN),
            Waiting(unknown=1),
            f"The HTTP API does not know this bot. This is so since {clock(WHEN)}. Nothing more is tried; Reconnect tries again. "
            "Correct the bot's id. For 1 message it is not known whether they arrived: look into the history before sending again.",
        ),
        (Status(state=State.CLOSED, because="closed by us"), Waiting(queued=3), "Closed by us. 3 messages of yours did not go out."),
        (Status(), Waiting(problem="the file was damaged"), "Idle. The file was damaged."),
    ],
)  # fmt: skip
def test_explain_says_when_and_what_waits(status: Status, waiting: Waiting, words: str) -> None:
    """State, why, since when, what happens next and when, what can be done; and what became of our messages."""
    assert explain(status, [], 5.0, waiting) == words


@given(st.lists(st.sampled_from(Move)), st.sampled_from(State))
def test_moves_that_do_not_fit_change_nothing(moves: list[Move], state: State) -> None:
    """Whatever comes in whatever order: closed stays closed, and a live state is entered from an attempt only."""
    for move in moves:
        before, state = state, transition(state, move)
        assert fits(before, move) or state is before
        if before is State.CLOSED:
            assert state is State.CLOSED
        if state is State.CONNECTED and before is not State.CONNECTED:
            assert before is State.CONNECTING
        if state is State.STABLE and before is not State.STABLE:
            assert before is State.CONNECTED


@pytest.mark.parametrize("state", sorted(set(State) - {State.CLOSED}))
def test_every_state_can_be_left(state: State) -> None:
    """By closing at least."""
    assert any(transition(state, move) is not state for move in Move)


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
