"""Diagnoses on a thread of their own."""

from __future__ import annotations

import threading

from builders import incident_trace
from chatkit.canary import examiner
from chatkit.canary.examiner import Examiner, Question, answer
from chatkit.formats.jsonl import dump
from conftest import until_sync

DEAD = {"1": "t/1-1", "2": "t/1-2"}


def test_every_death_of_a_recording_gets_its_cause() -> None:
    """The incident's own."""
    told = answer(Question(target="t", dead=DEAD, recording=incident_trace()))
    assert [one.connection for one in told] == ["t/1-1", "t/1-2"]
    assert {(one.verdict, one.cause) for one in told} == {("fault", "early-ping-abort")}
    assert all(one.probability > 0.5 and one.headline for one in told)


def test_from_a_file_and_from_none(tmp_path) -> None:
    """A recording that is gone, or damaged, costs its diagnosis only."""
    path = tmp_path / "d.jsonl"
    dump(incident_trace(), path)
    assert answer(Question(target="t", dead=DEAD, recording=path))[0].cause == "early-ping-abort"
    path.unlink()
    assert answer(Question(target="t", dead=DEAD, recording=path))[0].verdict == "skipped"
    path.write_text("no recording")
    assert answer(Question(target="t", dead=DEAD, recording=path))[0].verdict == "skipped"


def test_one_after_the_other_and_so_many_wait(monkeypatch) -> None:
    """One more is refused; the end does not wait for what is under way."""
    monkeypatch.setattr(examiner, "MOST_WAITING", 2)
    busy, free = threading.Event(), threading.Event()

    def slow(question: Question) -> list[object]:
        busy.set()
        free.wait(10)
        return []

    monkeypatch.setattr(examiner, "answer", slow)
    one = Examiner()
    one._questions.maxsize = 2
    one.start()
    question = Question(target="t", dead=DEAD, recording=incident_trace())
    assert one.ask(question)
    until_sync(busy.is_set)
    assert [one.ask(question) for _ in range(3)] == [True, True, False]
    one.close(0.01)
    free.set()
    until_sync(lambda: not one._thread.is_alive())


def test_answers_are_taken_once() -> None:
    """By whoever keeps the state."""
    one = Examiner()
    one.start()
    one.ask(Question(target="t", dead=DEAD, recording=incident_trace()))
    until_sync(lambda: len(one._answers) == 2)
    assert len(one.answers()) == 2
    assert one.answers() == []
    one.close()
