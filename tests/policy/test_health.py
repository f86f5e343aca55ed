"""What a health monitor says after each check."""

from __future__ import annotations

import pytest

from chatkit.events import HealthChecked
from chatkit.policy.health import HealthState, HealthStatus, advance
from chatkit.profile import DEFAULT


def check(healthy: bool) -> HealthChecked:
    return HealthChecked(id="", at=0, method="GET", healthy=healthy, seconds=0.1, status=200 if healthy else 503)


@pytest.mark.parametrize(
    ("checks", "state", "failures"),
    [
        ("", HealthState.UNKNOWN, 0),
        ("+", HealthState.HEALTHY, 0),
        ("-", HealthState.FAILING, 1),
        ("--", HealthState.FAILING, 2),
        ("---", HealthState.UNHEALTHY, 3),
        ("----", HealthState.UNHEALTHY, 4),
        ("--+", HealthState.HEALTHY, 0),
        ("--+--", HealthState.FAILING, 2),
        ("---+", HealthState.HEALTHY, 0),
    ],
)
def test_three_failures_in_a_row(checks: str, state: HealthState, failures: int) -> None:
    """One success ends them."""
    status = HealthStatus()
    for sign in checks:
        status = advance(status, check(sign == "+"), DEFAULT.client)
    assert (status.state, status.failures) == (state, failures)
    assert (status.last is None) == (checks == "")


@pytest.mark.parametrize(
    ("head", "get", "differs"),
    [(405, 200, True), (200, 200, False), (503, 503, False), (None, 200, False), (405, None, False)],
)
def test_head_and_get_tell_different_stories(head: int | None, get: int | None, differs: bool) -> None:
    """A monitor that uses the wrong one is misled."""
    assert HealthStatus(head_status=head, get_status=get).differs == differs


def test_a_check_keeps_what_was_compared() -> None:
    """Only the own method moves the state."""
    status = advance(HealthStatus(head_status=405, get_status=200), check(True), DEFAULT.client)
    assert (status.head_status, status.get_status, status.differs) == (405, 200, True)
