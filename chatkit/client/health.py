"""Watches the backend's health endpoint: ``GET`` every 30 s, 5 s to answer, unhealthy after three failures in a row."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from chatkit.behaviour import Client
from chatkit.client.http import HttpApi
from chatkit.policy.health import HealthStatus, advance


class HealthMonitor:
    """Checks now and then; :meth:`run` until cancelled.

    Args:
        api: where the endpoint is.
        rules: method, interval, time-out and number of failures.
        changed: called after every check.
    """

    def __init__(self, api: HttpApi, rules: Client, changed: Callable[[], None] = lambda: None) -> None:
        self._api, self._rules, self._changed = api, rules, changed
        self._asking = asyncio.Lock()
        self._asked = float("-inf")
        self.status = HealthStatus()

    async def run(self) -> None:
        """Checks at once and then every interval; cancelling loses at most the check under way."""
        while True:
            await self.check()
            await asyncio.sleep(self._rules.health_interval)

    async def check(self) -> HealthStatus:
        """One check by the monitor's own method."""
        checked = await self._api.health(self._rules.health_method, self._rules.health_timeout)
        self._asked = time.monotonic()
        self.status = advance(self.status, checked, self._rules)
        self._changed()
        return self.status

    async def fresh(self, age: float) -> HealthStatus:
        """A status that is at most ``age`` seconds old; everybody who asks at one moment shares one check."""
        async with self._asking:
            if time.monotonic() - self._asked > age:
                await self.check()
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
