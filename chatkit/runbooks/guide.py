"""Which runbook for which symptom: a tree of questions as data (``guide.toml``), and the walk through it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import msgspec
from msgspec import Struct

from chatkit import display
from chatkit.runbooks import shelf

MOST_QUESTIONS = 3
START = "start"


class Answer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one may say to a question, and where it leads: exactly one of the two is set."""

    says: str
    runbook: str | None = None
    ask: str | None = None
    """The next question."""


class Question(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question and its answers."""

    question: str
    answers: tuple[Answer, ...]


@cache
def tree() -> Mapping[str, Question]:
    """The questions by name; ``start`` is the first."""
    data = Path(__file__).with_name("guide.toml").read_bytes()
    return msgspec.toml.decode(data, type=dict[str, Question])


def routes(questions: Mapping[str, Question], start: str = START) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every way through: the answers in order, and the runbook they lead to."""
    for answer in questions[start].answers:
        if answer.runbook is not None:
            yield (answer.says,), answer.runbook
        if answer.ask is not None:
            for said, runbook in routes(questions, answer.ask):
                yield (answer.says, *said), runbook


class Guide:
    """From what people see to the runbook that finds out why, in at most three questions.

    Args:
        folder: the folder of the runbooks, as a link from the notebook that shows the guide.

    Shows itself as questions that open to their answers, in a notebook with and without a kernel; ``print`` gives the
    same as a list. :attr:`questions` holds them as values, :attr:`books` the runbooks by name.

    >>> import chatkit
    >>> guide = chatkit.Guide()
    >>> guide.books["drops_right_after_connect"].title
    'The connection drops right after connect'
    """

    def __init__(self, folder: str = "runbooks") -> None:
        self.folder = folder.rstrip("/")
        self.questions = tree()
        self.books = {name: shelf.find(name) for name in sorted({name for _, name in routes(self.questions)})}

    def link(self, name: str) -> str:
        """Where the notebook of a runbook is, seen from the notebook that shows the guide."""
        return f"{self.folder}/{name}.ipynb"

    def __str__(self) -> str:
        return "\n".join(self._lines(START, ""))

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str | None:
        render = display.find("guide", "html")
        return None if render is None else render(self)

    def _lines(self, name: str, indent: str) -> Iterator[str]:
        question = self.questions[name]
        yield f"{indent}{question.question}"
        for answer in question.answers:
            if answer.runbook is not None:
                yield f"{indent}  - {answer.says}: {self.link(answer.runbook)}"
            if answer.ask is not None:
                yield f"{indent}  - {answer.says}:"
                yield from self._lines(answer.ask, f"{indent}      ")
