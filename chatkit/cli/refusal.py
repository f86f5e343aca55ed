"""Why a backend turned us away, asked of its HTTP API: 403 on an upgrade alone does not say."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from chatkit.cli.options import Target, token_missing
from chatkit.errors import AuthError, ChatkitError, ConnectFailed, ConnectionEnded

if TYPE_CHECKING:
    from chatkit.client import ChatClient

ASK_LIMIT = 2.0
"""Seconds that the API may take to answer for the bot."""


async def explain(client: ChatClient, target: Target, error: BaseException | None) -> BaseException | None:
    """A better error than ``error`` where one can be had; the client is still open."""
    if not _refused(error) or (
        isinstance(error, AuthError) and target.user is not None and client.api.credentials.token is None
    ):
        return error  # no refusal of the socket, or the login itself was refused and said so
    if client.api.credentials.token is None:
        return token_missing(target)
    from chatkit.preflight import judge

    status = await _bot_status(client, target.bot)
    claims = client.api.credentials.claims
    expired = claims is not None and claims.exp is not None and claims.exp <= time.time()
    words = client.api.credentials.words()
    meaning, remedy, _ = judge.meaning(words if expired else None, status)
    return AuthError(
        f"the backend turns the connection away: {meaning}",
        refused_by=client.recorder.redactor.text(client.api.base),
        expired_at=claims.exp if claims is not None else None,
        got=f"the socket says {_socket_words(error)}; token {words}",
        remedy="log in again or give another token" if expired else remedy,
    )


def _refused(error: BaseException | None) -> bool:
    if isinstance(error, ConnectFailed):
        return error.status in (401, 403)
    if isinstance(error, ConnectionEnded):
        return error.what.startswith(("4001", "4003"))
    return isinstance(error, AuthError)


def _socket_words(error: BaseException | None) -> str:
    what = error.what if isinstance(error, ChatkitError) else str(error)
    for known in ("HTTP 401", "HTTP 403", "4001", "4003"):
        if known in what:
            return known
    return what


async def _bot_status(client: ChatClient, bot: str) -> int | None:
    try:
        async with asyncio.timeout(ASK_LIMIT):
            answer = await client.api.exchange("GET", client.api.bot_path(bot), "bot")
    except (ConnectFailed, TimeoutError):
        return None
    return answer.status_code
