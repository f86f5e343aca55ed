"""What an HTTP request beside the WebSocket is for, told from its method and path by the built-in contract."""

from __future__ import annotations

import re

from chatkit.profile import Paths

_PATHS = Paths()
_CALLS = (
    ("POST", "login", _PATHS.login),
    ("POST", "refresh", _PATHS.refresh),
    (None, "session", _PATHS.sessions),
    ("POST", "chat", _PATHS.chat),
    ("GET", "history", _PATHS.history),
    ("GET", "bot", _PATHS.bot),
)


def _pattern(path: str) -> re.Pattern[str]:
    """A path may stand below a prefix of a proxy."""
    return re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)) + "$")


_PATTERNS = tuple((method, purpose, _pattern(path)) for method, purpose, path in _CALLS)
_SOCKETS = tuple(_pattern(path) for path in (_PATHS.chat_socket, _PATHS.notifications_socket))
_SOCKET_WORD = re.compile(r"/(?:ws|wss|websockets?|socket|socket\.io)(?:/|$)", re.IGNORECASE)
_STATS = (_PATHS.stats, _PATHS.connections)


def purpose(method: str, target: str) -> str:
    """``login``, ``refresh``, ``bot``, ``session``, ``chat``, ``history``, ``health`` or ``other``."""
    path = target[:2048].partition("?")[0].rstrip("/")
    if path.endswith(_PATHS.health):
        return "health"
    for wanted, name, pattern in _PATTERNS:
        if wanted in (None, method.upper()) and pattern.search(path):
            return name
    return "other"


def is_socket(target: str) -> bool:
    """Whether a path is that of a WebSocket endpoint: the contract's, or one that says ``ws`` or ``socket``."""
    path = target[:2048].partition("?")[0].rstrip("/")
    if path.endswith(_STATS):
        return False
    return any(pattern.search(path) for pattern in _SOCKETS) or _SOCKET_WORD.search(path) is not None
