"""What a row of health checks says, as tables."""

from __future__ import annotations

import msgspec
import pytest

from builders import event
from chatkit.behaviour import Client
from chatkit.events import HealthChecked
from chatkit.policy.health import HealthState, HealthStatus, advance

U, H, F, X = HealthState.UNKNOWN, HealthState.HEALTHY, HealthState.FAILING, HealthState.UNHEALTHY


def checked(healthy: bool) -> HealthChecked:
    """One answer by ``GET``."""
    made = event(HealthChecked, method="GET", healthy=healthy, seconds=0.003, status=200 if healthy else 503)
    assert isinstance(made, HealthChecked)
    return made


@pytest.mark.parametrize(
    ("answers", "limit", "states", "failures"),
    [
        ("", 3, [], 0),
        ("+", 3, [H], 0),
        ("-", 3, [F], 1),
        ("---", 3, [F, F, X], 3),
        ("-----", 3, [F, F, X, X, X], 5),
        ("--+--", 3, [F, F, H, F, F], 2),
        ("---+", 3, [F, F, X, H], 0),
        ("-+-", 1, [X, H, X], 1),
    ],
)
def test_advance(answers: str, limit: int, states: list[HealthState], failures: int) -> None:
    """One success is healthy again; only so many failures in a row are unhealthy."""
    status, seen, rules = HealthStatus(), [], Client(health_failures=limit)
    assert status.state is U
    for answer in answers:
        status = advance(status, checked(answer == "+"), rules)
        seen.append(status.state)
    assert (seen, status.failures) == (states, failures)


def test_the_last_answer_is_kept() -> None:
    """So that a view can say when and what it was."""
    answer = checked(False)
    assert advance(HealthStatus(), answer, Client()).last is answer


def test_comparing_the_methods_keeps_the_state_and_advancing_keeps_the_comparison() -> None:
    """Neither of the two forgets what the other one found."""
    failing = advance(HealthStatus(), checked(False), Client())
    compared = msgspec.structs.replace(failing, head_status=405, get_status=200)
    assert (compared.state, compared.failures, compared.last) == (F, 1, failing.last)
    later = advance(compared, checked(True), Client())
    assert (later.state, later.head_status, later.get_status) == (H, 405, 200)


@pytest.mark.parametrize(
    ("head", "get", "differs"),
    [
        (None, None, False),
        (405, None, False),
        (None, 200, False),
        (200, 204, False),
        (404, 503, False),
        (405, 200, True),
        (200, 503, True),
        (301, 200, False),
        (400, 399, True),
    ],
)
def test_differs(head: int | None, get: int | None, differs: bool) -> None:
    """Whether one method says up and the other down; unknown is no difference."""
    assert HealthStatus(head_status=head, get_status=get).differs == differs
