"""What an HTTP request beside a WebSocket is for, told from its method and path; pure."""

from __future__ import annotations

import re

from chatkit.profile import DEFAULT

_PATHS = [
    (name, method, re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)) + "/?$"))
    for name, method, path in (
        ("login", "POST", DEFAULT.paths.login),
        ("refresh", "POST", DEFAULT.paths.refresh),
        ("bot", "GET", DEFAULT.paths.bot),
        ("session", "POST", DEFAULT.paths.sessions),
        ("chat", "POST", DEFAULT.paths.chat),
        ("history", "GET", DEFAULT.paths.history),
        ("health", "GET", DEFAULT.paths.health),
        ("health", "HEAD", DEFAULT.paths.health),
    )
]


def purpose(method: str, path: str) -> str:
    """``login``, ``refresh``, ``bot``, ``session``, ``chat``, ``history``, ``health`` or ``other``.

    A prefix before the path, as a proxy adds one, does no harm.
    """
    path = path.partition("?")[0].partition("#")[0]
    return next((name for name, verb, known in _PATHS if verb == method and known.search(path)), "other")
