"""What all conversations with one backend share: its HTTP API and tokens, the pace of attempts, its health, our lag."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from weakref import WeakKeyDictionary

from chatkit.behaviour import Client
from chatkit.client.credentials import Provider
from chatkit.client.health import HealthMonitor
from chatkit.client.http import HttpApi
from chatkit.client.lag import LoopWatch
from chatkit.client.tasks import Tasks
from chatkit.policy.limiter import Limiter
from chatkit.profile import Profile
from chatkit.recorder import Recorder

_limiters: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, float], Limiter]] = WeakKeyDictionary()


def limiter_of(base: str, floor: float) -> Limiter:
    """The pace of attempts to one backend: one for all its clients on this loop, whoever made them."""
    mine = _limiters.setdefault(asyncio.get_running_loop(), {})
    return mine.setdefault((base, floor), Limiter(floor))


class Host:
    """One backend, for one client or for many.

    Args:
        url: its base URL.
        profile: the contract.
        rules: the clients' behaviour.
        recorder: where events go.
        token, refresh_token, provider: see :class:`chatkit.client.credentials.Credentials`.
        proxy: whether proxies of the environment are used; never for loopback addresses.
        lag: who watches the loop; a watch of its own when not given. Whoever gives one runs it.

    It owns the HTTP client and the tasks that watch health and loop. :meth:`start` begins them and may be called again;
    :meth:`close` ends them and is final.
    """

    def __init__(
        self,
        url: str,
        *,
        profile: Profile,
        rules: Client,
        recorder: Recorder,
        token: str | None = None,
        refresh_token: str | None = None,
        provider: Provider | None = None,
        proxy: bool = True,
        lag: LoopWatch | None = None,
    ) -> None:
        self.api = HttpApi(
            url,
            recorder=recorder,
            profile=profile,
            token=token,
            refresh_token=refresh_token,
            provider=provider,
            proxy=proxy,
        )
        self.profile, self.rules, self.recorder, self.proxy = profile, rules, recorder, proxy
        self.lag = lag or LoopWatch(recorder)
        self._watches_loop = lag is None
        self.health = HealthMonitor(self.api, rules, self._health_changed)
        self.listeners: list[Callable[[], None]] = []
        """Called after every look at the backend's health."""
        self.failure: BaseException | None = None
        """A defect of ours in a task of the host."""
        self._tasks = Tasks(self._crashed)
        self._watching = False

    @property
    def limiter(self) -> Limiter:
        """The pace of attempts to this backend."""
        return limiter_of(self.api.base, self.rules.retry_floor)

    def start(self) -> None:
        """Begins to watch health and loop."""
        if not self._watching:
            self._watching = True
            if self._watches_loop:
                self._tasks.spawn(self.lag.run(), "loop lag")
            self._tasks.spawn(self.health.run(), "health")

    async def renew_first(self) -> None:
        """Asks the provider for the first token, where there is one and no token yet. Raises as ``refresh``."""
        credentials = self.api.credentials
        if credentials.provided and credentials.token is None:
            await self.api.refresh()

    async def close(self) -> None:
        """Ends the tasks and closes idle connections; twice is fine."""
        await self._tasks.close()
        await self.api.aclose()

    def _health_changed(self) -> None:
        for listener in list(self.listeners):
            listener()

    def _crashed(self, error: BaseException) -> None:
        self.failure = error
