"""What the rules observe of a trace, for tests in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from chatkit.diagnosis import attempts, endings
from chatkit.diagnosis.case import Case
from chatkit.diagnosis.facts import Facts
from chatkit.trace import Header
from tests.builders import HEADER
from tests.diagnosis.stories.telling import Tale

Rule = Callable[[Facts], Iterator[Case]]


def attempt(tale: Tale, header: Header = HEADER) -> Case:
    """The one case of attempts that failed."""
    (case,) = attempts.cases(Facts(tale.trace(header)))
    return case


def deaths(tale: Tale, header: Header = HEADER) -> list[Case]:
    """The cases of lives that ended."""
    return list(endings.cases(Facts(tale.trace(header))))


def death(tale: Tale, header: Header = HEADER) -> Case:
    """The one case of lives that ended."""
    (case,) = deaths(tale, header)
    return case


def of(case: Case) -> dict[str, str]:
    """Its observations: value by observable."""
    return {one.of: one.value for one in case.observations}
