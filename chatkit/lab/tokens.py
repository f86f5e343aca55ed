"""Access and refresh tokens: JSON Web Tokens signed with HS256."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Literal

import jwt

from chatkit.errors import InvalidInput

TokenType = Literal["access", "refresh"]

_CHECKS = {"verify_exp": False, "verify_iat": False, "require": ["sub", "exp", "type"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a good token says."""

    user: str
    """``sub``."""
    expires_at: float
    """``exp``, Unix time in seconds."""
    issued_at: float
    """``iat``, Unix time in seconds; 0 when the token does not say."""


class TokenRefused(Exception):
    """A token that is not ours, not of this type, or expired; the text may go to the client."""


class Mint:
    """Issues and verifies tokens.

    Args:
        secret: at least 32 bytes; ``None`` makes a random one.
        access_ttl: lifetime of access tokens in seconds.
        refresh_ttl: lifetime of refresh tokens in seconds.
    """

    def __init__(
        self, secret: str | None = None, *, access_ttl: float = 1800.0, refresh_ttl: float = 604_800.0
    ) -> None:
        if secret is not None and len(secret.encode()) < 32:
            raise InvalidInput(
                "the secret is too short for HS256",
                expected="at least 32 bytes (RFC 7518, section 3.2)",
                got=f"{len(secret.encode())} bytes",
                where="secret",
                remedy="leave it out for a random one",
            )
        self._secret = secret or secrets.token_urlsafe(32)
        self.access_ttl = access_ttl
        self.refresh_ttl = refresh_ttl

    def issue(self, user: str, now: float, *, type: TokenType = "access", ttl: float | None = None) -> str:
        """A token for that user; ``now`` is Unix time, ``ttl`` seconds (negative for an expired one)."""
        if ttl is None:
            ttl = self.access_ttl if type == "access" else self.refresh_ttl
        # Fractions matter only for the short lifetimes of tests; RFC 7519 permits them in exp.
        expires = int(now) + round(ttl) if ttl >= 60 else round(now + ttl, 3)
        claims = {"sub": user, "exp": expires, "iat": int(now), "type": type}
        return jwt.encode(claims, self._secret, algorithm="HS256")

    def verify(self, token: str, now: float, *, type: TokenType = "access") -> Claims:
        """Reads a token.

        Raises:
            TokenRefused: with the reason.
        """
        try:
            # PyJWT truncates exp to whole seconds, so the expiry is compared here.
            claims = jwt.decode(token, self._secret, algorithms=["HS256"], options=_CHECKS)  # type: ignore[arg-type]
            found = Claims(user=claims["sub"], expires_at=float(claims["exp"]), issued_at=float(claims.get("iat", 0)))
        except (jwt.PyJWTError, TypeError, ValueError, UnicodeError):
            raise TokenRefused("invalid token") from None
        if claims["type"] != type:
            raise TokenRefused(f"not an {type} token" if type == "access" else f"not a {type} token")
        if found.expires_at <= now:
            raise TokenRefused("token expired")
        return found
