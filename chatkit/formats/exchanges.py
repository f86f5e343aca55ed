"""What an HTTP request beside the WebSocket is for, told from its method and path as the built-in contract has them."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from chatkit.profile import DEFAULT

_PATHS = (
    ("health", None, DEFAULT.paths.health),
    ("login", "POST", DEFAULT.paths.login),
    ("refresh", "POST", DEFAULT.paths.refresh),
    ("chat", "POST", DEFAULT.paths.chat),
    ("session", None, DEFAULT.paths.sessions),
    ("history", "GET", DEFAULT.paths.history),
    ("bot", "GET", DEFAULT.paths.bot),
)
_HOLE = re.compile(r"\\\{\w+\\\}")
_KNOWN = tuple((purpose, method, re.compile(_HOLE.sub("[^/]+", re.escape(path)))) for purpose, method, path in _PATHS)
_LONGEST = 2048
"""Characters of a path that are looked at."""


def purpose(method: str, url: str) -> str:
    """``login``, ``refresh``, ``bot``, ``session``, ``chat``, ``history``, ``health`` or ``other``.

    A prefix before the path (a backend behind ``/app``) changes nothing.
    """
    parts = split_url(url)
    path = parts.path.rstrip("/") if parts is not None else ""
    if not path or len(path) > _LONGEST:
        return "other"
    for name, wanted, pattern in _KNOWN:
        if wanted in (None, method.upper()) and _ends_with(path, pattern):
            return name
    return "other"


def split_url(url: str) -> SplitResult | None:
    """The parts of a URL; ``None`` for what is none."""
    try:
        parts = urlsplit(url)
        parts.hostname, parts.port  # noqa: B018 both are parsed only when asked for
    except ValueError:
        return None
    return parts


def _ends_with(path: str, pattern: re.Pattern[str]) -> bool:
    return any(pattern.fullmatch(path, place) for place, letter in enumerate(path) if letter == "/")
