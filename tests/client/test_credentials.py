"""Tokens: held in one place, renewed once for everybody, never shown."""

from __future__ import annotations

import asyncio

import pytest

from chatkit.client.credentials import Credentials
from chatkit.errors import AuthError, ConnectFailed
from conftest import TICK
from stories import make_jwt


async def test_concurrent_callers_share_one_attempt(recorder) -> None:
    """Twenty ask, one is made; who comes with a token that is gone already makes none."""
    calls = []
    credentials = Credentials(recorder, "old", "refresh")

    async def fetch() -> None:
        calls.append(1)
        await asyncio.sleep(TICK)
        credentials.keep("new", "refresh-2", "refresh")

    await asyncio.gather(*(credentials.renew(fetch, stale="old") for _ in range(20)))
    await credentials.renew(fetch, stale="old")
    assert (len(calls), credentials.token, credentials.refresh_token) == (1, "new", "refresh-2")
    await credentials.close()


async def test_a_caller_that_leaves_takes_nothing_from_the_others(recorder) -> None:
    """The attempt goes on."""
    credentials = Credentials(recorder, "old", "refresh")

    async def fetch() -> None:
        await asyncio.sleep(2 * TICK)
        credentials.keep("new", None, "refresh")

    first = asyncio.get_running_loop().create_task(credentials.renew(fetch))
    second = asyncio.get_running_loop().create_task(credentials.renew(fetch))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert credentials.token == "new"
    await credentials.close()


class Refused(Exception):
    """As an HTTP library raises it."""

    status = 403


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (OSError("no network"), ConnectFailed),
        (ValueError("whatever"), ConnectFailed),
        (Refused("no"), AuthError),
        (AuthError("no"), AuthError),
    ],
)
async def test_what_a_providers_failure_means(recorder, raised: Exception, expected: type[Exception]) -> None:
    """Refused, or try again."""

    def provider() -> str:
        raise raised

    credentials = Credentials(recorder, provider=provider)
    with pytest.raises(expected):
        await credentials.renew(_nothing)
    await credentials.close()


async def test_a_provider_that_gives_nothing(recorder) -> None:
    """An answer that is no token is a refusal, and is not shown."""
    credentials = Credentials(recorder, provider=lambda: None)
    with pytest.raises(AuthError, match="gave no token"):
        await credentials.renew(_nothing)
    await credentials.close()


async def test_no_token_is_shown(recorder) -> None:
    """The redactor knows every one."""
    token = make_jwt(exp=5)
    credentials = Credentials(recorder, token, "refresh-me")
    assert token not in recorder.redactor.text(f"{token} refresh-me")
    assert "refresh-me" not in recorder.redactor.text("refresh-me")
    assert (credentials.claims.exp, credentials.renewable, credentials.provided) == (5, True, False)
    assert credentials.words().startswith("expired")


async def _nothing() -> None:
    raise AssertionError("the provider is asked instead")
