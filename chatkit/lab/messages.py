"""The server's messages of the contract, built from values."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

Message = dict[str, Any]


def iso(at: float) -> str:
    """Unix time as ISO-8601 UTC with milliseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def established(*, user: str, connection_id: str, bot_id: str | None, bot_name: str | None) -> Message:
    """The first message; without a bot it is that of the notifications endpoint."""
    data: Message = {"user_id": user, "connection_id": connection_id}
    data |= {"connection_type": "notifications"} if bot_id is None else {"bot_id": bot_id, "bot_name": bot_name}
    return {"type": "connection_established", "data": data}


def chat(
    role: Literal["assistant", "user"],
    *,
    bot_id: str,
    message_id: str,
    session_id: str,
    user: str,
    content: str,
    at: float,
) -> Message:
    """``chat_response`` for the assistant, ``chat_message`` for a collaborator; ``user`` is who asked."""
    return {
        "type": "chat_response" if role == "assistant" else "chat_message",
        "bot_id": bot_id,
        "data": {
            "message_id": message_id,
            "session_id": session_id,
            "user_id": user,
            "username": "Assistant" if role == "assistant" else user,
            "content": content,
            "role": role,
            "timestamp": iso(at),
            "metadata": {},
        },
    }


def chunk(*, bot_id: str, message_id: str, session_id: str, seq: int, delta: str) -> Message:
    """One piece of a streamed reply."""
    data = {"message_id": message_id, "session_id": session_id, "seq": seq, "delta": delta}
    return {"type": "chat_response_chunk", "bot_id": bot_id, "data": data}


def typing(*, bot_id: str, user_id: str, username: str, is_typing: bool, at: float) -> Message:
    """Somebody, perhaps the bot, types or stops."""
    data = {"user_id": user_id, "username": username, "is_typing": is_typing}
    return {"type": "typing_indicator", "bot_id": bot_id, "data": data, "timestamp": iso(at)}


def pong(timestamp: object) -> Message:
    """The answer to an application ping."""
    return {"type": "pong", "timestamp": timestamp}


def session_synced(*, session_id: object, bot_id: str | None, at: float) -> Message:
    """The answer to ``session_sync``."""
    return {
        "type": "session_synced",
        "data": {"session_id": session_id, "bot_id": bot_id, "timestamp": iso(at)},
    }


def error(text: str) -> Message:
    """Something was wrong with a message of the client."""
    return {"type": "error", "message": text}
