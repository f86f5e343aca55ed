"""Whom a window talks to: a lab, a chat that exists, a URL, or nobody yet."""

from __future__ import annotations

from typing import Any, Protocol

from chatkit.client.background import BackgroundChat


class Lab(Protocol):
    """What a window needs of a lab."""

    @property
    def url(self) -> str: ...
    @property
    def bots(self) -> list[Any]: ...
    @property
    def user(self) -> str: ...
    @property
    def password(self) -> str: ...


def describe(source: Lab | BackgroundChat | str | None) -> tuple[str, list[dict[str, str]], str | None, str | None]:
    """URL, bots (``id``, ``name``), user and password that a source brings."""
    if source is None:
        return "", [], None, None
    if isinstance(source, str):
        return source, [], None, None
    if isinstance(source, BackgroundChat):
        return source.url, [], None, None
    return source.url, [{"id": bot.id, "name": bot.name} for bot in source.bots], source.user, source.password
