"""What a row of health checks says; pure."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from chatkit.behaviour import Client
from chatkit.events import HealthChecked


class HealthState(StrEnum):
    """What the monitor says."""

    UNKNOWN = "unknown"
    """No answer yet."""
    HEALTHY = "healthy"
    """The last check succeeded."""
    FAILING = "failing"
    """The last check failed, but not yet often enough to say more."""
    UNHEALTHY = "unhealthy"
    """As many checks in a row failed as the rules name."""


class HealthStatus(Struct, frozen=True, kw_only=True):
    """The monitor's view."""

    state: HealthState = HealthState.UNKNOWN
    failures: int = 0
    """In a row."""
    last: HealthChecked | None = None
    head_status: int | None = None
    """What ``HEAD`` answered, when both methods were compared."""
    get_status: int | None = None

    @property
    def differs(self) -> bool:
        """Whether ``HEAD`` and ``GET`` tell different stories: a monitor that uses the wrong one is misled."""
        if self.head_status is None or self.get_status is None:
            return False
        return (self.head_status < 400) != (self.get_status < 400)


def advance(status: HealthStatus, checked: HealthChecked, rules: Client) -> HealthStatus:
    """The view after one more check; pure."""
    if checked.healthy:
        state, failures = HealthState.HEALTHY, 0
    else:
        failures = status.failures + 1
        state = HealthState.UNHEALTHY if failures >= rules.health_failures else HealthState.FAILING
    return HealthStatus(
        state=state, failures=failures, last=checked, head_status=status.head_status, get_status=status.get_status
    )
