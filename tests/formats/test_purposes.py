"""What a request is for."""

from __future__ import annotations

import pytest

from chatkit.formats.purposes import is_socket, purpose


@pytest.mark.parametrize(
    ("method", "target", "word"),
    [
        ("GET", "/health", "health"),
        ("HEAD", "/proxy/health?x=1", "health"),
        ("POST", "/api/auth/login", "login"),
        ("POST", "/api/auth/refresh", "refresh"),
        ("GET", "/api/bots/7", "bot"),
        ("POST", "/api/conversations/bots/7/sessions", "session"),
        ("POST", "/v2/api/conversations/bots/7/chat?x", "chat"),
        ("GET", "/api/conversations/sessions/9/messages", "history"),
        ("GET", "/api/auth/login", "other"),
        ("GET", "/", "other"),
    ],
)
def test_purposes(method: str, target: str, word: str) -> None:
    """Method and path, whatever stands before and after."""
    assert purpose(method, target) == word


@pytest.mark.parametrize(
    ("target", "yes"),
    [
        ("/api/ws/chat/echo?token=x", True),
        ("/api/ws/notifications", True),
        ("/socket.io/?EIO=4", True),
        ("/ws", True),
        ("/api/ws/stats", False),
        ("/api/ws/connections", False),
        ("/news/today", False),
    ],
)
def test_sockets(target: str, yes: bool) -> None:
    """Statistics about sockets are none."""
    assert is_socket(target) is yes
