"""From symptom to runbook: every way through the tree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import chatkit
from chatkit.runbooks import Guide, guide, names

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def test_every_runbook_is_reached() -> None:
    """And nothing else."""
    assert {runbook for _, runbook in guide.routes(guide.tree())} == set(names())


def test_in_three_answers_at_most() -> None:
    """Counted on every way."""
    assert max(len(said) for said, _ in guide.routes(guide.tree())) <= guide.MOST_QUESTIONS


def test_each_answer_leads_to_one_place() -> None:
    """A runbook or a question that exists; no answer twice below one question."""
    questions = guide.tree()
    for question in questions.values():
        assert question.question.endswith("?")
        said = [answer.says for answer in question.answers]
        assert len(set(said)) == len(said) > 1
        for answer in question.answers:
            assert (answer.runbook is None) != (answer.ask is None)
            assert answer.ask is None or answer.ask in questions


def test_no_question_is_left_alone() -> None:
    """Each but the first follows an answer."""
    questions = guide.tree()
    asked = {answer.ask for question in questions.values() for answer in question.answers}
    assert set(questions) == {guide.START} | (asked - {None})


def test_the_way_of_the_incident() -> None:
    """Two answers."""
    ways = [said for said, runbook in guide.routes(guide.tree()) if runbook == "drops_right_after_connect"]
    assert ways == [("It connects, then the connection drops", "Right after connecting, again and again")]


def test_in_plain_text() -> None:
    """One line for each question and each answer, with the link."""
    text = str(chatkit.Guide())
    assert text == repr(chatkit.Guide())
    assert text.startswith("What do people see?\n  - It never connects: runbooks/rejected_at_the_door.ipynb\n")
    ways = list(guide.routes(guide.tree()))
    assert len(re.findall(r"\.ipynb$", text, re.MULTILINE)) == len(ways)


@pytest.mark.parametrize("link", sorted({Guide().link(name) for name in names()}))
def test_links_lead_from_the_index(link: str) -> None:
    """To files that are there."""
    assert (NOTEBOOKS / link).is_file()


def test_another_folder() -> None:
    """For a notebook that stands elsewhere."""
    assert Guide("../books/").link("x") == "../books/x.ipynb"


def test_a_face() -> None:
    """Through the registry."""
    assert "<nav" in (Guide()._repr_html_() or "")
