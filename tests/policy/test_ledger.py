"""Which reply is which: every reply is shown once, whatever the order in which its copies come."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.policy.delivery import SETTLED, ChatMessage, DeliveryState, Outcome
from chatkit.policy.ledger import Ledger


class Desk:
    """A ledger with a clock that ticks once per fact."""

    def __init__(self, **options: bool) -> None:
        self.ledger = Ledger(**options)
        self.now = 0.0

    def _tick(self) -> float:
        self.now += 1
        return self.now

    def ask(self, text: str = "question", session: str | None = "s") -> str:
        return self.ledger.sent(text, self._tick(), session).key

    def http(self, key: str, text: str, *, live: bool = True, session: str | None = "s") -> list[Outcome]:
        return self.ledger.answered(key, text, session, self._tick(), live=live)

    def ws(self, text: str, id: str | None = None, session: str | None = "s") -> Outcome:
        return self.ledger.reply(text, id, session, "Bot", self._tick())

    def chunk(self, id: str, seq: int, delta: str) -> Outcome:
        return self.ledger.chunk(id, seq, delta, "s", "Bot", self._tick())

    def down(self) -> list[Outcome]:
        return self.ledger.socket_down(self._tick())

    @property
    def shown(self) -> list[tuple[str, str]]:
        """Text and transport of the replies, in order."""
        return [(m.text, m.via) for m in self.ledger.messages if m.role == "assistant"]

    @property
    def replies(self) -> list[ChatMessage]:
        return [m for m in self.ledger.messages if m.role == "assistant"]

    def state(self, key: str) -> str:
        return self.ledger.message(key).state


def suppressed(outcomes: list[Outcome] | Outcome) -> list[str]:
    return [o.suppressed for o in (outcomes if isinstance(outcomes, list) else [outcomes]) if o.suppressed]


def test_websocket_first() -> None:
    """Its copy is the message; the HTTP copy answers the question and is not shown."""
    desk = Desk()
    question = desk.ask()
    assert desk.ws("yes", "1").delivery is None
    assert desk.state(question) == DeliveryState.WRITTEN
    assert suppressed(desk.http(question, "yes")) == ["reply-of-request"]
    assert desk.shown == [("yes", "websocket")]
    assert (desk.state(question), desk.ledger.answer(question)) == ("replied", ("yes", "websocket"))
    assert desk.replies[0].also_via == "http"


def test_http_first() -> None:
    """Nothing is shown until the WebSocket's copy comes."""
    desk = Desk()
    question = desk.ask()
    assert suppressed(desk.http(question, "yes")) == []
    assert (desk.shown, desk.state(question), desk.ledger.answer(question)) == ([], "acked", None)
    outcome = desk.ws("yes", "1")
    assert (outcome.delivery, outcome.suppressed) == (question, "reply-of-request")
    assert desk.shown == [("yes", "websocket")]
    assert desk.ledger.answer(question) == ("yes", "websocket")


def test_the_socket_goes_down_between() -> None:
    """The HTTP reply that waited becomes the message."""
    desk = Desk()
    question = desk.ask()
    desk.http(question, "yes")
    assert [o.delivery for o in desk.down()] == [None, question]
    assert desk.shown == [("yes", "http")]
    assert desk.ledger.answer(question) == ("yes", "http")
    assert desk.down() == []


def test_the_socket_was_down_all_the_time() -> None:
    """The HTTP reply is the message at once."""
    desk = Desk()
    question = desk.ask()
    desk.http(question, "yes", live=False)
    assert desk.shown == [("yes", "http")]
    assert desk.state(question) == "replied"


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_held_replies_that_are_shown_late_keep_their_place(order: tuple[int, ...]) -> None:
    """Three lost their WebSocket copy; the fourth question's reply came meanwhile and stands after them."""
    desk = Desk()
    asked = [desk.ask(f"question {n}") for n in range(4)]
    for n in range(3):
        desk.http(asked[n], f"answer {n}")
    desk.ledger.reply("answer 3", "4", "s", "Bot", desk._tick(), in_reply_to=None)
    desk.http(asked[3], "answer 3")
    for n in order:
        desk.ledger.overdue(asked[n], desk._tick())
    assert [text for text, _ in desk.shown] == [f"answer {n}" for n in range(4)]
    assert [desk.ledger.answer(key) for key in asked] == [(f"answer {n}", "http") for n in range(3)] + [
        ("answer 3", "websocket")
    ]


def test_a_late_copy_after_a_degraded_reply() -> None:
    """The same message, not another one; and its number is known from then on."""
    desk = Desk()
    question = desk.ask()
    desk.http(question, "yes", live=False)
    assert desk.ws("yes", "1").suppressed == "reply-of-request"
    assert desk.shown == [("yes", "http")]
    assert desk.replies[0].also_via == "websocket"
    assert desk.ws("yes", "1").suppressed == "message_id"
    assert len(desk.shown) == 1


def test_a_degraded_reply_claims_one_copy_only() -> None:
    """The next equal answer is another message."""
    desk = Desk()
    desk.http(desk.ask(), "yes", live=False)
    desk.ws("yes", "1")
    desk.ws("yes", "2")
    assert desk.shown == [("yes", "http"), ("yes", "websocket")]


@pytest.mark.parametrize("first", ["http", "websocket"])
def test_a_degraded_reply_does_not_swallow_the_next_equal_answer(first: str) -> None:
    """Its copy went to a socket that was gone; a minute later "yes" is the answer to another question."""
    desk = Desk()
    desk.http(desk.ask(), "yes", live=False)
    desk.now += 60
    question = desk.ask()
    if first == "http":
        desk.http(question, "yes")
        desk.ws("yes", "2")
    else:
        desk.ws("yes", "2")
        desk.http(question, "yes")
    assert desk.shown == [("yes", "http"), ("yes", "websocket")]
    assert desk.state(question) == "replied"


def test_a_waiting_question_comes_before_a_degraded_reply() -> None:
    """Also right after it: whose HTTP answer came over a live socket awaits its copy."""
    desk = Desk()
    desk.http(desk.ask(), "yes", live=False)
    question = desk.ask()
    desk.http(question, "yes")
    assert desk.ws("yes", "2").delivery == question
    assert desk.shown == [("yes", "http"), ("yes", "websocket")]


@pytest.mark.parametrize("order", ["hhww", "wwhh", "hwhw", "whwh", "hwwh", "whhw"])
def test_two_equal_answers_to_two_questions_are_two_messages(order: str) -> None:
    """In every order of the four copies."""
    desk = Desk()
    questions = [desk.ask("really?"), desk.ask("really?")]
    http, ws = iter(questions), iter(["1", "2"])
    for letter in order:
        if letter == "h":
            desk.http(next(http), "yes")
        else:
            desk.ws("yes", next(ws))
    assert desk.shown == [("yes", "websocket")] * 2
    assert [desk.state(question) for question in questions] == ["replied", "replied"]


def test_the_same_message_id_twice() -> None:
    """The second copy is not shown, whatever its text."""
    desk = Desk()
    desk.ws("yes", "1")
    again = desk.ws("yes, really", "1")
    assert (again.suppressed, desk.shown) == ("message_id", [("yes", "websocket")])


def test_replies_without_an_id_are_messages_of_their_own() -> None:
    """Nothing tells that they are the same."""
    desk = Desk()
    desk.ws("yes")
    desk.ws("yes")
    assert len(desk.shown) == 2


def test_a_reply_nobody_here_asked_for() -> None:
    """A collaborator's: shown, and no question of ours is answered by it."""
    desk = Desk()
    desk.ws("to somebody else", "1")
    question = desk.ask()
    assert suppressed(desk.http(question, "mine")) == []
    assert desk.ws("mine", "2").delivery == question
    assert desk.shown == [("to somebody else", "websocket"), ("mine", "websocket")]


def test_what_was_said_before_the_question_does_not_answer_it() -> None:
    """Equal text from earlier is another message."""
    desk = Desk()
    desk.ws("yes", "1")
    question = desk.ask()
    assert suppressed(desk.http(question, "yes")) == []
    assert desk.ws("yes", "2").delivery == question
    assert len(desk.shown) == 2


@pytest.mark.parametrize(("mine", "theirs", "same"), [("s", "s", True), ("s", "t", False), (None, "t", True), ("s", None, True)])  # fmt: skip
def test_sessions_keep_conversations_apart(mine: str | None, theirs: str | None, same: bool) -> None:
    """Where both sides name one."""
    desk = Desk()
    question = desk.ask(session=mine)
    desk.http(question, "yes", session=mine)
    assert (desk.ws("yes", "1", session=theirs).delivery == question) == same


def test_show_both_is_the_mistake_of_the_incident() -> None:
    """Every reply twice."""
    for order in ("hw", "wh"):
        desk = Desk(show_both=True)
        question = desk.ask()
        for letter in order:
            desk.http(question, "yes") if letter == "h" else desk.ws("yes", "1")
        assert sorted(desk.shown) == [("yes", "http"), ("yes", "websocket")]
        assert desk.state(question) == "replied"


# Streaming


def test_a_stream_grows_into_its_final_text() -> None:
    """One message all the time."""
    desk = Desk()
    question = desk.ask()
    keys = {desk.chunk("1", n, delta).message.key for n, delta in enumerate(["It ", "is ", "so"])}
    assert (len(keys), desk.replies[0].text, desk.replies[0].state) == (1, "It is so", "streaming")
    desk.http(question, "It is so.")
    assert desk.ws("It is so.", "1").delivery == question
    assert (desk.shown, desk.replies[0].state, desk.replies[0].chunks) == ([("It is so.", "websocket")], "complete", 3)


def test_a_stream_that_ends_before_the_http_answer() -> None:
    """Claimed by it."""
    desk = Desk()
    question = desk.ask()
    desk.chunk("1", 0, "yes")
    desk.ws("yes", "1")
    assert suppressed(desk.http(question, "yes")) == ["reply-of-request"]
    assert desk.shown == [("yes", "websocket")]


def test_a_gap_is_told_and_shown() -> None:
    """The missing piece is marked; the final text heals it."""
    desk = Desk()
    desk.chunk("1", 0, "a")
    outcome = desk.chunk("1", 3, "d")
    assert (outcome.gap, outcome.message.text, outcome.message.gap) == ((1, 3), "a…d", True)
    assert desk.chunk("1", 4, "e").gap is None
    desk.ws("abcde", "1")
    assert desk.shown == [("abcde", "websocket")]


def test_a_stream_that_begins_in_the_middle() -> None:
    """We came late: a gap at its start."""
    desk = Desk()
    assert desk.chunk("1", 2, "c").gap == (0, 2)


@pytest.mark.parametrize("seq", [0, 1])
def test_a_chunk_that_comes_twice(seq: int) -> None:
    """Not appended again."""
    desk = Desk()
    desk.chunk("1", 0, "a")
    desk.chunk("1", 1, "b")
    assert desk.chunk("1", seq, "x").suppressed == "message_id"
    assert desk.replies[0].text == "ab"


def test_a_chunk_after_the_end() -> None:
    """Not appended either."""
    desk = Desk()
    desk.chunk("1", 0, "a")
    desk.ws("ab", "1")
    assert desk.chunk("1", 1, "b").suppressed == "message_id"
    assert desk.shown == [("ab", "websocket")]


def test_an_interrupted_stream_is_completed_by_http() -> None:
    """The same message, whole."""
    desk = Desk()
    question = desk.ask()
    desk.chunk("1", 0, "It ")
    assert [o.message.state for o in desk.down()] == ["interrupted"]
    desk.http(question, "It is so.", live=False)
    assert desk.shown == [("It is so.", "websocket")]
    assert (desk.replies[0].state, desk.replies[0].also_via) == ("complete", "http")
    assert desk.ledger.answer(question) == ("It is so.", "http")


def test_an_interrupted_stream_of_another_reply_is_left_alone() -> None:
    """Its text does not begin this one."""
    desk = Desk()
    question = desk.ask()
    desk.chunk("1", 0, "Once upon ")
    desk.down()
    desk.http(question, "It is so.", live=False)
    assert desk.shown == [("Once upon ", "websocket"), ("It is so.", "http")]
    assert desk.replies[0].state == "interrupted"


def test_an_interrupted_stream_goes_on_after_a_reconnect() -> None:
    """The same message id."""
    desk = Desk()
    desk.chunk("1", 0, "It ")
    desk.down()
    desk.chunk("1", 1, "is")
    assert (desk.replies[0].text, desk.replies[0].state) == ("It is", "streaming")
    desk.ws("It is", "1")
    assert desk.replies[0].state == "complete"


# Ours


@pytest.mark.parametrize("state", [DeliveryState.REJECTED, DeliveryState.UNKNOWN])
def test_a_message_that_failed(state: DeliveryState) -> None:
    """It says why, and no later reply answers it."""
    desk = Desk()
    question = desk.ask()
    outcome = desk.ledger.failed(question, state, "HTTP 429")
    assert (outcome.message.state, outcome.message.because) == (state, "HTTP 429")
    assert desk.ws("yes", "1").delivery is None


def test_a_reply_that_is_overdue_on_a_live_socket() -> None:
    """It counts as answered over HTTP, once, and says why."""
    desk = Desk()
    question = desk.ask()
    assert desk.ledger.overdue(question, desk.now) == []
    desk.http(question, "yes")
    assert [o.delivery for o in desk.ledger.overdue(question, desk.now)] == [None, question, None]
    assert desk.shown == [("yes", "http")]
    assert desk.ledger.answer(question) == ("yes", "http")
    assert "not seen on the WebSocket" in desk.ledger.message(question).because
    assert desk.ledger.overdue(question, desk.now) == []
    assert desk.ws("yes", "1").suppressed == "reply-of-request"
    assert len(desk.shown) == 1


def test_messages_over_the_websocket_are_answered_in_their_order() -> None:
    """For backends that take them there: no text to compare, one answer each."""
    desk = Desk(via_socket=True)
    one, two = desk.ask("a"), desk.ask("b")
    first, second = desk.ws("A", "1"), desk.ws("B", "2")
    assert [(o.delivery, o.suppressed) for o in (first, second)] == [(one, None), (two, None)]
    assert [desk.ledger.answer(key) for key in (one, two)] == [("A", "websocket"), ("B", "websocket")]
    assert desk.ws("C", "3").delivery is None


def test_messages_of_other_users() -> None:
    """Shown as theirs, once."""
    ledger = Ledger()
    said = ledger.other("hi", "1", "s", "grace", 1.0).message
    assert (said.role, said.author, said.text, said.state) == ("user", "grace", "hi", "complete")
    assert ledger.other("hi", "1", "s", "grace", 2.0).suppressed == "message_id"
    assert len(ledger.messages) == 1


@given(st.data())
def test_with_a_live_socket_each_reply_is_shown_exactly_once(data: st.DataObject) -> None:
    """Any number of questions, equal texts among them, their copies in any order."""
    texts = data.draw(st.lists(st.sampled_from(["yes", "no", "It is so."]), min_size=1, max_size=6))
    desk, keys = Desk(), {}
    waiting: list[tuple[str, int]] = [("ask", n) for n in range(len(texts))]
    while waiting:
        step, n = waiting.pop(data.draw(st.integers(0, len(waiting) - 1)))
        match step:
            case "ask":
                keys[n] = desk.ask()
                waiting += [("http", n), ("ws", n)]
                if data.draw(st.booleans()):
                    waiting.append(("again", n))
            case "http":
                desk.http(keys[n], texts[n])
            case _:
                desk.ws(texts[n], str(n))
    assert sorted(desk.shown) == sorted((text, "websocket") for text in texts)
    assert {desk.state(key) for key in keys.values()} == {"replied"}
    assert [desk.ledger.answer(keys[n])[0] for n in keys] == [texts[n] for n in keys]


_FACTS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "http", "ws", "chunk", "down", "other", "overdue", "failed"]),
        st.integers(0, 3),
        st.sampled_from(["", "a", "ab"]),
        st.booleans(),
    ),
    max_size=25,
)


@given(_FACTS, st.booleans(), st.booleans())
def test_any_facts_leave_an_orderly_conversation(facts: list[Any], show_both: bool, via_socket: bool) -> None:
    """No exception; keys are unique; what is answered stays answered."""
    desk, keys, answered = Desk(show_both=show_both, via_socket=via_socket), [], {}
    for what, n, text, flag in facts:
        key = keys[n % len(keys)] if keys else None
        if what == "ask":
            keys.append(desk.ask(text))
        elif what == "ws":
            desk.ws(text, str(n) if flag else None)
        elif what == "chunk":
            desk.chunk(str(n), n, text)
        elif what == "down":
            desk.down()
        elif what == "other":
            desk.ledger.other(text, str(n), "s", "grace", desk.now)
        elif key is None or desk.state(key) != DeliveryState.WRITTEN:
            continue
        elif what == "http":
            desk.http(key, text, live=flag)
        elif what == "failed":
            desk.ledger.failed(key, DeliveryState.UNKNOWN, "x")
        else:
            desk.ledger.overdue(key, desk.now)
        answered = {k: desk.ledger.answer(k) for k in keys if desk.ledger.answer(k)} | answered
    assert len({m.key for m in desk.ledger.messages}) == len(desk.ledger.messages)
    assert all(desk.ledger.answer(key) == answer for key, answer in answered.items())


def test_settled_states_are_outcomes() -> None:
    """What is settled changes by itself no more; what waits or was acknowledged still does."""
    assert set(DeliveryState) - SETTLED == {DeliveryState.QUEUED, DeliveryState.WRITTEN, DeliveryState.ACKED}
