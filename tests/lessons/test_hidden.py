"""The exercise on a real backend: solved by experiments, and not by looking into it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chatkit.ending import Connection
from chatkit.errors import ConnectFailed, InvalidInput
from chatkit.lessons import Exercise, exercise, hidden
from chatkit.riddle import CAUSES, draw

SEEDS = {
    cause: next(seed for seed in range(1000) if draw(seed, bytes(16)).fault.startswith(f"{cause}:")) for cause in CAUSES
}


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """No backend outlives its test."""
    yield
    while hidden._closers:
        hidden._closers.popitem()[1]()


def age(connection: Connection) -> float:
    """Seconds that it lived."""
    assert connection.ending is not None
    return connection.ending.age or 0.0


def died(connection: object) -> bool:
    """Whether the other side ended it."""
    return "by us" not in str(connection)


def solve(one: Exercise) -> tuple[str, dict[str, object]]:
    """As a patient reader would: one thing at a time, and what is measured is the answer."""
    silent, busy = one.life(3.2), one.life(3.2, ping_every=0.4)
    if died(silent):
        return ("max-lifetime", {"age_s": age(busy)}) if died(busy) else ("idle-timeout", {"timeout_s": age(silent)})
    if died(one.life(1.0, typing_at=0.3)):
        return "server-error", {"trigger": "typing"}
    if died(one.life(1.0, sync_at=0.3)):
        return "server-error", {"trigger": "session_sync"}
    for at in (0.8, 1.3, 1.8, 2.3, 2.8):
        if not died(one.life(at + 1.0, ping_at=at)):
            return "early-ping-abort", {"window_s": at - 0.25}
    raise AssertionError("every ping was fatal")


@pytest.mark.slow
@pytest.mark.parametrize("cause", CAUSES)
def test_experiments_find_what_is_hidden(cause: str) -> None:
    """Each kind of fault: the measured answer is right, and every other cause is not, whatever its number."""
    one = exercise(SEEDS[cause])
    found, parameters = solve(one)
    assert found == cause
    marked = one.check(found, **parameters)
    assert marked.right, marked
    for other in CAUSES.values():
        for value in other.words or (0.5, 1.0, 1.5, 2.0, 2.5, 3.0):
            if other.id != cause:
                assert not one.check(other.id, **{other.key: value}).right


def test_a_guess_is_not_confirmed() -> None:
    """Without a life nothing is right: all answers are told the same."""
    one = exercise(SEEDS["server-error"])
    said = {str(one.check("server-error", trigger=word)) for word in CAUSES["server-error"].words}
    assert len(said) == 1
    assert "No life in your recording" in said.pop()


def texts(value: object, depth: int = 4) -> Iterator[str]:
    """What a reader sees of an object by printing it, and what it holds."""
    yield repr(value)
    if depth:
        held = [*getattr(value, "__dict__", {}).values(), *(value if isinstance(value, list | tuple | set) else ())]
        for one in held:
            yield from texts(one, depth - 1)


def test_the_answer_does_not_lie_about() -> None:
    """No attribute, however deep, shows the fault; what is printed names every cause alike."""
    seed = SEEDS["idle-timeout"]
    one, fault = exercise(seed), draw(seed, bytes(16)).fault
    one.life(0.2)
    shown = "\n".join([*texts(one), str(one.trace), *map(str, one.trace)])
    assert fault not in shown
    assert fault.partition(",")[0] not in shown
    assert "LabServer" not in shown
    assert {repr(one).count(cause) for cause in CAUSES} == {1}
    assert set(one.causes) == set(CAUSES)


def test_without_a_seed_each_is_another() -> None:
    """Twice the same fault may be drawn; the seals differ always."""
    assert exercise()._seal != exercise()._seal


def test_the_next_one_closes_the_last() -> None:
    """Running the cell again leaks no backend."""
    first = exercise(1)
    exercise(2)
    with pytest.raises(ConnectFailed):
        first.life(0.5)


@pytest.mark.parametrize(
    ("seconds", "when"), [(0.0, {}), (100.0, {}), (2.0, {"ping_at": -1.0}), (2.0, {"ping_every": 0.0})]
)
def test_lives_that_cannot_be(seconds: float, when: dict[str, float]) -> None:
    """Are refused with the bounds."""
    with pytest.raises(InvalidInput, match="seconds from"):
        exercise(1).life(seconds, **when)
