"""The tokens of one backend: who holds them, how they are renewed, and that they are renewed once for everybody.

They are announced to the recorder's redactor the moment they are known and never appear in an error or an event.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any

from chatkit.client.tasks import Tasks
from chatkit.errors import AuthError, ChatkitError, ConnectFailed
from chatkit.events import TokenChanged
from chatkit.policy.token import Claims, read_claims, token_state
from chatkit.recorder import Recorder

Provider = Callable[[], "str | Awaitable[str]"]
"""Gets an access token from wherever the application keeps them; plain or asynchronous."""


class Credentials:
    """Access token, refresh token, and whoever provides another one.

    Args:
        recorder: its redactor learns every token; changes are recorded without them.
        token: access token.
        refresh_token: what gets another one.
        provider: asked for an access token whenever one is needed; wins over the refresh token.
    """

    def __init__(
        self,
        recorder: Recorder,
        token: str | None = None,
        refresh_token: str | None = None,
        provider: Provider | None = None,
    ) -> None:
        self._recorder = recorder
        self._token: str | None = None
        self._refresh: str | None = None
        self._provider = provider
        self._tasks = Tasks(lambda error: None)  # whoever renews awaits the failure
        self._renewing: asyncio.Task[None] | None = None
        if token:
            self.keep(token, refresh_token, "set")
        elif refresh_token:
            recorder.redactor.add(refresh_token)
            self._refresh = refresh_token

    @property
    def token(self) -> str | None:
        """The access token itself, for the request that carries it; never for showing."""
        return self._token

    @property
    def refresh_token(self) -> str | None:
        """The refresh token itself; never for showing."""
        return self._refresh

    @property
    def claims(self) -> Claims | None:
        """Times in the access token, ``None`` if it has none."""
        return read_claims(self._token) if self._token else None

    @property
    def renewable(self) -> bool:
        """Whether another token could be had without asking the user."""
        return self._refresh is not None or self._provider is not None

    @property
    def provided(self) -> bool:
        """Whether tokens come from a provider."""
        return self._provider is not None

    def words(self) -> str:
        """The access token's state in words."""
        return token_state(self._token, time.time())

    def keep(self, token: str, refresh: str | None, how: str) -> None:
        """Uses these from now on."""
        self._recorder.redactor.add(token)
        self._recorder.redactor.add(refresh)
        self._token, self._refresh = token, refresh
        claims = read_claims(token)
        self._recorder.record(TokenChanged, how=how, expires=claims.exp if claims else None)

    async def renew(self, fetch: Callable[[], Awaitable[None]], stale: str | None = None) -> None:
        """Gets another access token; concurrent callers share one attempt.

        Args:
            fetch: asks the backend with the refresh token; the provider is asked instead where there is one.
            stale: the token that was refused. Where it is not in use any more, somebody renewed it already.

        Raises:
            AuthError: refused, or nothing to ask with.
            ConnectFailed: no answer.

        Cancelling leaves the attempt to the other callers.
        """
        if stale is not None and stale != self._token:
            return
        if self._renewing is None or self._renewing.done():
            work = self._ask_provider() if self._provider is not None else _run(fetch)
            self._renewing = self._tasks.spawn(work, "token renewal")
        await asyncio.shield(self._renewing)

    async def close(self) -> None:
        """Ends an attempt under way."""
        await self._tasks.close()

    async def _ask_provider(self) -> None:
        assert self._provider is not None
        try:
            given: Any = self._provider()
            token = await given if inspect.isawaitable(given) else given
        except Exception as error:
            raise self._explain(error) from None
        if not isinstance(token, str) or not token:
            raise AuthError("the token provider gave no token", refused_by="provider", got=type(token).__name__)
        self.keep(token, self._refresh, "provider")

    def _explain(self, error: Exception) -> ChatkitError:
        """What a provider's failure means: refused, or try again."""
        if isinstance(error, AuthError | ConnectFailed):
            return error
        text = self._recorder.redactor.text(f"{type(error).__name__}: {error}")
        status = getattr(getattr(error, "response", None), "status_code", getattr(error, "status", None))
        if status in (401, 403) or type(error).__name__ == "Unauthorized":
            return AuthError("the token provider was refused", refused_by="provider", got=text)
        return ConnectFailed("the token provider failed", target="provider", stage="token", got=text)


async def _run(fetch: Callable[[], Awaitable[None]]) -> None:
    await fetch()
