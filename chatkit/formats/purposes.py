"""What an HTTP exchange beside the WebSocket is for, told from its method and path as in the built-in profile."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from chatkit.profile import DEFAULT


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(".*" + re.sub(r"\\\{[a-z_]+\\\}", "[^/]+", re.escape(path)) + "/?")


_PATHS = DEFAULT.paths
_PURPOSES = [
    (method, _pattern(path), purpose)
    for method, path, purpose in (
        ("", _PATHS.health, "health"),
        ("POST", _PATHS.login, "login"),
        ("POST", _PATHS.refresh, "refresh"),
        ("", _PATHS.sessions, "session"),
        ("POST", _PATHS.chat, "chat"),
        ("GET", _PATHS.history, "history"),
        ("GET", _PATHS.bot, "bot"),
    )
]


def purpose(method: str, target: str) -> str:
    """``login``, ``refresh``, ``bot``, ``session``, ``chat``, ``history``, ``health`` or ``other``."""
    try:
        path = urlsplit(target).path
    except ValueError:
        return "other"
    return next(
        (name for verb, pattern, name in _PURPOSES if verb in ("", method) and pattern.fullmatch(path)), "other"
    )
