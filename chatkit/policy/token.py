"""What a JWT says about itself, without verifying it; pure. The token never leaves these functions."""

from __future__ import annotations

import base64
import binascii
import json

from msgspec import Struct


class Claims(Struct, frozen=True, kw_only=True):
    """Registered claims of RFC 7519, section 4.1, that matter to a connection; Unix seconds."""

    exp: float | None = None
    iat: float | None = None
    nbf: float | None = None


def read_claims(token: str) -> Claims | None:
    """The times in a compact JWT, ``None`` if it is none."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        header, claims = (json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in parts[:2])
    except (ValueError, binascii.Error, RecursionError):
        return None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        return None
    times = {name: _time(claims.get(name)) for name in ("exp", "iat", "nbf")}
    return Claims(**times)


def _time(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def token_state(token: str | None, now: float) -> str:
    """The state of a token in words: ``good, 27 min left``; ``expired 4 min ago``; ``none``; ``no JWT``."""
    if not token:
        return "none"
    claims = read_claims(token)
    if claims is None:
        return "not a JWT, cannot tell how long it lives"
    if claims.nbf is not None and claims.nbf > now:
        return f"not valid before {span(claims.nbf - now)} from now"
    if claims.exp is None:
        return "good, without expiry"
    if claims.exp <= now:
        return f"expired {span(now - claims.exp)} ago"
    return f"good, {span(claims.exp - now)} left"


def span(seconds: float) -> str:
    """A duration for people: ``40 s``, ``27 min``, ``3.2 h``, ``6 d``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172800 else f"{seconds / 86400:.0f} d"
