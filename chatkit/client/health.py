"""Watches the backend's health endpoint: ``GET`` every 30 s, 5 s to answer, unhealthy after three failures in a row."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import StrEnum

from msgspec import Struct

from chatkit.client.http import HttpApi
from chatkit.events import HealthChecked
from chatkit.profile import Client


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


class HealthMonitor:
    """Checks now and then; :meth:`run` until cancelled.

    Args:
        api: where the endpoint is.
        rules: method, interval, time-out and number of failures.
        changed: called after every check.
    """

    def __init__(self, api: HttpApi, rules: Client, changed: Callable[[], None] = lambda: None) -> None:
        self._api, self._rules, self._changed = api, rules, changed
        self.status = HealthStatus()

    async def run(self) -> None:
        """Checks at once and then every interval; cancelling loses at most the check under way."""
        while True:
            await self.check()
            await asyncio.sleep(self._rules.health_interval)

    async def check(self) -> HealthStatus:
        """One check by the monitor's own method."""
        checked = await self._api.health(self._rules.health_method, self._rules.health_timeout)
        self.status = advance(self.status, checked, self._rules)
        self._changed()
        return self.status

    async def compare(self) -> HealthStatus:
        """Asks by ``HEAD`` and by ``GET`` and keeps both answers beside the state, which only the own method moves."""
        head = await self._api.health("HEAD", self._rules.health_timeout)
        get = await self._api.health("GET", self._rules.health_timeout)
        status = self.status
        self.status = HealthStatus(
            state=status.state,
            failures=status.failures,
            last=status.last,
            head_status=head.status,
            get_status=get.status,
        )
        self._changed()
        return self.status
