"""Searches beside the kernel's own thread: what is too slow is ended, what nobody waits for is not gone on with."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from builders import Script, incident_trace
from chatkit.errors import InvalidInput
from chatkit.trace import Trace
from chatkit.views.query import matches
from chatkit.widgets import searching
from chatkit.widgets.feed import Feed
from chatkit.widgets.searching import Cancelled, Matcher, Searches, guarded

FOREVER = "/(a+)+$/"


def evil(count: int = 1) -> Trace:
    """Messages on which one expression tries 2 ** 60 ways."""
    script = Script()
    for n in range(count):
        script.received(n / 10, "1", "chat_message", text="a" * 60 + "!")
    return script.trace()


@pytest.mark.parametrize("query", ["pong", "/pong|ping/ sent", "-/p.ng/", "control or /RST/", "/nothing at all/"])
def test_the_other_process_finds_what_this_one_finds(query: str) -> None:
    """In words, payloads, whatever the case."""
    whole = incident_trace()
    assert matches(whole, query, guarded()).tolist() == matches(whole, query).tolist()


def test_an_expression_without_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """And says what to do; the process is gone."""
    monkeypatch.setattr(searching, "LIMIT", 0.3)
    matcher = Matcher("(a+)+$")
    assert matcher.fits(["baa", "b"]) == [True, False]
    with pytest.raises(InvalidInput, match="takes too long"):
        matcher.fits(["a" * 60 + "!"])
    matcher.close()
    matcher.close()
    assert matcher._process.returncode is not None
    with pytest.raises(InvalidInput, match="repetition within repetition"):
        Feed(evil(), lambda receiver, block: True).matches(FOREVER)


def test_between_chunks_it_is_asked_whether_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Words and expressions alike."""
    monkeypatch.setattr("chatkit.views.query.CHUNK", 2)
    for query in ("nothing", "/nothing/"):
        left = iter([True, True, False])
        with pytest.raises(Cancelled):
            matches(incident_trace(), query, guarded(left.__next__))
        assert list(left) == []


class Slow:
    """A search that looks whether to go on until it is let through."""

    def __init__(self) -> None:
        self.begun, self.through = threading.Event(), threading.Event()

    def matches(self, query: str, since: int, find) -> np.ndarray:
        def chunks():
            while query == "slow" and not self.through.is_set():
                self.begun.set()
                time.sleep(0.001)
                yield ["x"]

        list(find(["text", query], chunks()))
        return np.ones(3, dtype=bool)


def test_a_new_search_ends_the_older_one() -> None:
    """The older one gives no answer; another browser's goes on."""
    slow, told = Slow(), []
    searches = Searches(slow.matches, lambda *answer: told.append(answer[:3]))
    searches.ask("a", "slow", 0)
    searches.ask("b", "slow", 8)
    older = list(searches._latest.values())
    slow.begun.wait(5)
    searches.ask("a", "new", 0)
    older[0].join(5)
    if newer := searches._latest.get("a"):
        newer.join(5)
    assert told == [("a", "new", 0)]
    slow.through.set()
    searches.wait(5)
    assert told == [("a", "new", 0), ("b", "slow", 8)]
    assert not any(thread.is_alive() for thread in older)


@pytest.mark.parametrize("end", ["forget", "close"])
def test_nobody_is_told_what_nobody_wants(end: str) -> None:
    """A page that went away, a widget that was closed."""
    slow, told = Slow(), []
    searches = Searches(slow.matches, lambda *answer: told.append(answer))
    searches.ask("a", "slow", 0)
    (thread,) = searches._latest.values()
    slow.begun.wait(5)
    searches.forget("a") if end == "forget" else searches.close()
    thread.join(5)
    assert not thread.is_alive()
    assert told == []


def test_why_there_is_no_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A query that is none, an expression without end; a process that cannot be had."""
    monkeypatch.setattr(searching, "LIMIT", 0.3)
    told: list[str] = []
    searches = Searches(Feed(evil(), lambda receiver, block: True).matches, lambda *answer: told.append(answer[3]))
    for query in ("(", FOREVER):
        searches.ask("a", query, 0)
        searches.wait(10)
    monkeypatch.setattr(searching.sys, "executable", "/nowhere/python")
    searches.ask("a", "/x/", 0)
    searches.wait(10)
    assert [any(word in text for text in told) for word in ("missing", "takes too long", "/nowhere")] == [True] * 3
