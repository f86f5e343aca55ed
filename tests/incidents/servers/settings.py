"""What a server of this folder is told: options and the token's secret, by its environment."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

import jwt

BOTS = {"echo": "Echo", "other": "Other"}
OPTIONS, SECRET = "INCIDENT_OPTIONS", "INCIDENT_SECRET"
"""Names of the variables: ``key=number,…`` and the key of the tokens."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A good token."""

    user: str
    exp: float
    """Unix time."""


def options() -> dict[str, float]:
    """The options by name; what is not there is off."""
    pairs = (pair.split("=") for pair in os.environ.get(OPTIONS, "").split(",") if pair)
    return {key: float(value) for key, value in pairs}


def caller(token: str) -> Caller | None:
    """Who shows this token; ``None`` for a bad or an expired one."""
    try:
        claims: dict[str, Any] = jwt.decode(
            token, os.environ[SECRET], algorithms=["HS256"], options={"verify_exp": False}
        )
        found = Caller(user=str(claims["sub"]), exp=float(claims["exp"]))
    except (jwt.PyJWTError, KeyError, ValueError, UnicodeError):
        return None
    return found if found.exp > time.time() else None


def reply(session: str, message: str, text: str, at: str, *, bot: str, user: str) -> dict[str, Any]:
    """A ``chat_response`` of the contract."""
    data = {
        "message_id": message,
        "session_id": session,
        "user_id": user,
        "username": "Assistant",
        "content": text,
        "role": "assistant",
        "timestamp": at,
        "metadata": {},
    }
    return {"type": "chat_response", "bot_id": bot, "data": data}


def established(connection: str, *, bot: str, user: str) -> dict[str, Any]:
    """The first message on a socket."""
    data = {"bot_id": bot, "bot_name": BOTS[bot], "user_id": user, "connection_id": connection}
    return {"type": "connection_established", "data": data}
