"""Answers by HTTP that no socket brought: all, a share, those of other workers; and what was not listened to."""

from __future__ import annotations

import pytest

from chatkit.diagnosis.facts import Facts
from chatkit.diagnosis.replies import replies, unheard
from chatkit.events import ArmStarted
from tests.diagnosis.seen import of
from tests.diagnosis.stories.chat import living
from tests.diagnosis.stories.telling import CAPTURE, Tale


def facts(tale: Tale, header=CAPTURE) -> Facts:
    """Of a tale."""
    return Facts(tale.trace(header))


def listening(*until: float) -> Tale:
    """An investigation with so many sockets, each open until then; a message at 10 s."""
    tale = Tale()
    for n, end in enumerate(until):
        id = str(n + 1)
        tale.put(0.4, ArmStarted, id, arm=f"arm-{id}", role="arm", what="silent", alters="", settings={})
        tale.opens(1, id)
        tale.closed(end, id, 1000, by="client")
    return tale


@pytest.mark.parametrize(("came", "value"), [([], "all-lost"), ([0, 2], "share-lost"), ([0, 1, 2, 3], None)])
def test_replies(came, value) -> None:
    """All lost, a share, none."""
    tale = living()
    for n in range(4):
        tale.api(10 + 20 * n, purpose="chat", took=1.0)
        if n in came:
            tale.hears(11.2 + 20 * n, "1", f"m{n}")
    case = replies(facts(tale))
    assert (of(case)["replies"] if case is not None else None) == value


def test_replies_while_no_socket_was_open() -> None:
    """Could not come."""
    tale = Tale()
    tale.api(10, purpose="chat", took=1.0)
    tale.api(60, purpose="other")
    assert replies(facts(tale)) is None


@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        ("10" * 5, "split"),
        ("100" * 4, "split"),
        ("1101001", "unclear"),
        ("1" * 15 + "0", "no"),
        ("11000110" * 3, "split"),
    ],
)
def test_the_share_of_workers(pattern, value) -> None:
    """Every k-th answer, or enough of them at the share of k workers."""
    tale = living(20 + 20 * len(pattern))
    for n, came in enumerate(pattern):
        tale.api(10 + 20 * n, purpose="chat", took=1.0)
        if came == "1":
            tale.hears(11.2 + 20 * n, "1", f"m{n}")
    assert of(replies(facts(tale)))["workers"] == value


def test_one_answer_over_many_sockets_counts_once() -> None:
    """Copies of the first on other sockets do not stand for the second, which was lost."""
    tale = listening(60, 60, 60)
    for at in (10, 20):
        tale.api(at, purpose="chat", took=1.0)
    for id in "123":
        tale.hears(10.9, id, "m1")
    case = replies(facts(tale))
    assert case is not None
    assert (case.facts["lost"], case.facts["asked"]) == (1, 2)


def test_equal_answers_without_an_id_are_two() -> None:
    """On one socket the same text twice came twice."""
    tale = living()
    for at in (10, 30):
        tale.api(at, purpose="chat", took=1.0)
        tale.received(at + 0.1, "1", "chat_response", data={"content": "ok"})
    assert replies(facts(tale)) is None


@pytest.mark.parametrize(("until", "lost", "open_"), [(15, True, False), (12, False, True)])
def test_how_long_an_investigation_listened(until, lost, open_) -> None:
    """Three seconds after the answer by HTTP are enough; after less nothing is said but that."""
    tale = listening(until)
    tale.api(10, purpose="chat", took=0.5)
    found = facts(tale)
    assert (replies(found) is not None, bool(unheard(found))) == (lost, open_)


def test_a_reply_that_came_was_listened_to() -> None:
    """However short the rest of the life was."""
    tale = listening(11)
    tale.api(10, purpose="chat", took=0.5)
    tale.hears(10, "1", "m1")
    assert unheard(facts(tale)) == ()
