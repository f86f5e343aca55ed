"""Tokens are issued and verified with the time as an argument."""

from __future__ import annotations

import jwt
import pytest

from chatkit.errors import InvalidInput
from chatkit.lab.tokens import Mint, TokenRefused

NOW = 1_800_000_000.5
SECRET = "s" * 32


def test_a_good_token() -> None:
    """The claims come back; long lifetimes are whole seconds as usual."""
    claims = Mint(SECRET).verify(Mint(SECRET).issue("ada", NOW), NOW + 1799)
    assert (claims.user, claims.expires_at) == ("ada", 1_800_001_800)


@pytest.mark.parametrize(("ttl", "after", "good"), [(0.3, 0.2, True), (0.3, 0.4, False), (-1, 0, False)])
def test_short_lifetimes_are_exact(ttl, after, good) -> None:
    """To the millisecond, both ways."""
    mint = Mint(SECRET)
    token = mint.issue("ada", NOW, ttl=ttl)
    if good:
        assert mint.verify(token, NOW + after).expires_at == pytest.approx(NOW + ttl, abs=0.001)
    else:
        with pytest.raises(TokenRefused, match="token expired"):
            mint.verify(token, NOW + after)


def encode(secret: str = SECRET, algorithm: str = "HS256", **changes: object) -> str:
    """A token that somebody else made."""
    claims = {"sub": "ada", "exp": NOW + 60, "iat": NOW, "type": "access"} | changes
    return jwt.encode({k: v for k, v in claims.items() if v is not None}, secret, algorithm=algorithm)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "a.b.c",
        "ü.ü.ü",
        "\ud800",
        encode("t" * 32),
        encode("", algorithm="none"),
        encode(type=None),
        encode(type="refresh"),
        encode(sub=None),
        encode(exp=None),
        encode(exp="soon"),
    ],
)
def test_bad_tokens(token) -> None:
    """One exception, whatever is wrong."""
    with pytest.raises(TokenRefused):
        Mint(SECRET).verify(token, NOW)


def test_a_refresh_token_is_another_type() -> None:
    """Neither stands for the other."""
    mint = Mint()
    refresh = mint.issue("ada", NOW, type="refresh")
    assert mint.verify(refresh, NOW, type="refresh").user == "ada"
    with pytest.raises(TokenRefused, match="not an access token"):
        mint.verify(refresh, NOW)


def test_a_short_secret_is_refused() -> None:
    """RFC 7518 asks for 32 bytes."""
    with pytest.raises(InvalidInput, match="too short"):
        Mint("short")
