"""What an exchange is for, from its method and path."""

from __future__ import annotations

import pytest

from chatkit.formats.purposes import purpose


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("GET", "/health", "health"),
        ("HEAD", "/health?x=1", "health"),
        ("POST", "/api/auth/login", "login"),
        ("POST", "/api/auth/refresh", "refresh"),
        ("GET", "/api/bots/echo", "bot"),
        ("POST", "/api/conversations/bots/echo/sessions", "session"),
        ("POST", "/api/conversations/bots/echo/chat", "chat"),
        ("GET", "/api/conversations/sessions/12/messages?limit=5", "history"),
        ("GET", "http://host/prefix/health", "health"),
        ("GET", "/healthy", "other"),
        ("GET", "/", "other"),
        ("GET", "//[", "other"),
    ],
)
def test_purposes(method: str, target: str, expected: str) -> None:
    """The built-in paths, also below a prefix."""
    assert purpose(method, target) == expected
