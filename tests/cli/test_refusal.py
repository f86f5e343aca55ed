"""Which errors are asked about, and what becomes of them; a real client beside a real lab."""

from __future__ import annotations

import socket
from types import EllipsisType

import pytest

from chatkit.cli.options import Target
from chatkit.cli.refusal import explain
from chatkit.client import ChatClient
from chatkit.errors import AuthError, ConnectFailed, ConnectionEnded
from chatkit.profile import Profile


def target(url: str, bot: str = "echo", **fields: str | None) -> Target:
    """Where the client below goes."""
    empty = {"token": None, "user": None, "password": None}
    return Target(url=url, bot=bot, profile=Profile(), policy="incident", proxy=True, **(empty | fields))


def refused(status: int | None) -> ConnectFailed:
    """An upgrade that was answered with this."""
    return ConnectFailed(f"refused with HTTP {status}", target="ws://h", stage="upgrade", status=status)


@pytest.mark.parametrize(
    "error",
    [
        None,
        refused(404),
        refused(502),
        refused(None),
        ConnectionEnded("1006 by server"),
        ZeroDivisionError(),
    ],
)
async def test_what_is_no_refusal_stays(error: BaseException | None) -> None:
    """And nobody is asked: there is no such host."""
    client = ChatClient("http://nowhere.invalid", bot="echo", token="opaque-token")
    try:
        assert await explain(client, target("http://nowhere.invalid"), error) is error
    finally:
        await client.close()


@pytest.mark.parametrize(
    ("user", "ttl", "bot", "error", "words", "got"),
    [
        ("ada", None, "nope", refused(403), "there is no such bot", "the socket says HTTP 403; token good"),
        ("mallory", None, "echo", refused(403), "it is the permission", "HTTP 403"),
        ("ada", -240, "echo", refused(401), "it is the token (expired 4 min ago", "HTTP 401; token expired"),
        ("ada", None, "echo", refused(403), "the path of the socket", "HTTP 403"),
        ("nobody", None, "echo", ConnectionEnded("4001 by server"), "the HTTP API refuses it too", "says 4001"),
        ("mallory", None, "echo", ConnectionEnded("4003 by server"), "it is the permission", "says 4003"),
        ("ada", None, "nope", AuthError("4001: no token"), "there is no such bot", "says 4001"),
    ],
)
async def test_the_api_tells_refusals_apart(lab, user, ttl, bot, error, words, got) -> None:
    """By what it says of the bot, with the same token."""
    house = lab()
    token = house.token_for(user, ttl)
    client = ChatClient(house.url, bot=bot, token=token)
    try:
        better = await explain(client, target(house.url, bot, token=token), error)
    finally:
        await client.close()
    assert isinstance(better, AuthError)
    assert (words in better.what, got in str(better.got), bool(better.remedy)) == (True, True, True), better
    assert token not in str(better)
    assert (better.expired_at is not None) == (token.count(".") == 2)


@pytest.mark.parametrize(("user", "expected"), [(None, "none was given"), ("ada", ...)])
async def test_without_a_token(user: str | None, expected: str | EllipsisType) -> None:
    """The three ways are named; but a login that was refused said so itself."""
    url, error = "http://nowhere.invalid", AuthError("the login was refused")
    client = ChatClient(url, bot="echo")
    try:
        better = await explain(client, target(url, user=user, password=user), error)
    finally:
        await client.close()
    assert better is error if expected is ... else expected in str(better)


async def test_an_api_that_is_down() -> None:
    """Then the meanings are not told apart, and that is said."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        client = ChatClient(url, bot="echo", token="opaque-token")
        try:
            better = await explain(client, target(url, token="opaque-token"), refused(403))
        finally:
            await client.close()
    assert "not told apart" in str(better)
