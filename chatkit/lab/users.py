"""Who may log in to the lab, and what they may do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

PASSWORD = "lab"
"""The password of every lab user: a constant, because the lab listens on loopback only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """One account."""

    name: str
    """What ``sub`` of a token says."""
    password: str = field(default=PASSWORD, repr=False)
    """Compared at login; never shown by ``repr``."""
    permission: Literal["owner", "viewer"] | None
    """On every bot; ``None`` sees no bot."""


USERS: Mapping[str, User] = MappingProxyType(
    {
        user.name: user
        for user in (
            User(name="ada", permission="owner"),
            User(name="grace", permission="viewer"),
            User(name="mallory", permission=None),
        )
    }
)
"""``ada`` is the default user, ``grace`` a collaborator, ``mallory`` has no permission."""
