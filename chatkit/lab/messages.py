"""The server's messages of the contract, built from values."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from chatkit.lab.store import Stored

Message = dict[str, Any]


def iso(at: float) -> str:
    """Unix time as ISO-8601 UTC with milliseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def established(*, user: str, connection_id: str, place: Message, capabilities: Sequence[str] = ()) -> Message:
    """The first message; ``place`` names the bot, or the ``connection_type`` of the other endpoints."""
    data: Message = {"user_id": user, "connection_id": connection_id} | place
    data |= {"capabilities": list(capabilities)} if capabilities else {}
    return {"type": "connection_established", "data": data}


def chat(
    role: Literal["assistant", "user"], said: Stored, *, bot_id: str, user: str, in_reply_to: str | None = None
) -> Message:
    """``chat_response`` for the assistant, ``chat_message`` for a collaborator; ``user`` is who asked."""
    data = {
        "message_id": said.id,
        "session_id": said.session_id,
        "user_id": user,
        "username": "Assistant" if role == "assistant" else user,
        "content": said.content,
        "role": role,
        "timestamp": iso(said.created_at),
        "metadata": {},
    }
    kind = "chat_response" if role == "assistant" else "chat_message"
    return {"type": kind, "bot_id": bot_id, "data": data | _reference(in_reply_to)}


def chunk(
    *, bot_id: str, message_id: str, session_id: str, seq: int, delta: str, in_reply_to: str | None = None
) -> Message:
    """One piece of a streamed reply."""
    data = {"message_id": message_id, "session_id": session_id, "seq": seq, "delta": delta}
    return {"type": "chat_response_chunk", "bot_id": bot_id, "data": data | _reference(in_reply_to)}


def ack(*, client_message_id: str | None, message_id: str, session_id: str) -> Message:
    """A user's message that came over the socket was taken."""
    data = {"client_message_id": client_message_id, "message_id": message_id, "session_id": session_id}
    return {"type": "message_ack", "data": data}


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


def resumed(*, session_id: object, replayed: int, complete: bool) -> Message:
    """The answer to ``resume``, after what was sent again."""
    return {"type": "resumed", "data": {"session_id": session_id, "replayed": replayed, "complete": complete}}


def subscribed(*, bot_id: str, bot_name: str, generation: int, capabilities: Sequence[str]) -> Message:
    """The answer to ``subscribe``, before what is sent again."""
    data = {"bot_id": bot_id, "bot_name": bot_name, "generation": generation, "capabilities": list(capabilities)}
    return {"type": "subscribed", "bot_id": bot_id, "data": data}


def error(text: str) -> Message:
    """Something was wrong with a message of the client."""
    return {"type": "error", "message": text}


def _reference(in_reply_to: str | None) -> Message:
    return {} if in_reply_to is None else {"in_reply_to": in_reply_to}
