"""The WebSocket half of the contract: admission, one reader and one writer for each connection."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from dataclasses import dataclass
from typing import Any, Literal

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from fastapi.responses import PlainTextResponse

from chatkit.faults.moments import Asked, CloseWith, Drop, Opened, Refuse, Sending
from chatkit.lab import messages
from chatkit.lab.backend import Backend, log
from chatkit.lab.bots import Bot
from chatkit.lab.hub import Peer
from chatkit.lab.protocol import Line, line_of
from chatkit.lab.tokens import Claims, TokenRefused
from chatkit.lab.users import User

router = APIRouter()


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Somebody who may come in."""

    user: User
    claims: Claims
    bot: Bot | None
    """``None`` on the notifications endpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Somebody who may not."""

    code: int
    reason: str
    when: Literal["before", "after"]
    """Before the upgrade is accepted (the client sees HTTP 403), or after it."""
    status: int = 403
    """The HTTP status when it is before."""
    retry_after: float | None = None
    """Seconds for the header ``Retry-After``."""


@router.websocket("/api/ws/chat/{bot_id}")
async def chat(websocket: WebSocket, bot_id: str) -> None:
    """A chat connection."""
    await _serve(websocket, bot_id)


@router.websocket("/api/ws/notifications")
async def notifications(websocket: WebSocket) -> None:
    """A connection that only hears."""
    await _serve(websocket, None)


async def _serve(websocket: WebSocket, bot_id: str | None) -> None:
    backend: Backend = websocket.app.state.backend
    line = line_of(websocket.scope)
    outcome = _admit(backend, line, websocket.query_params.get("token", ""), bot_id)
    if isinstance(outcome, Refusal):
        backend.counters.refused += 1
        await _turn_away(websocket, outcome)
    else:
        await _attend(websocket, backend, line, outcome)


def _admit(backend: Backend, line: Line, token: str, bot_id: str | None) -> Admission | Refusal:
    when: Literal["before", "after"] = "after" if backend.reject == "after" else "before"
    for action in line.faults.ask(Asked(what="upgrade")):
        if isinstance(action, Refuse):
            return _refused(action)
        if isinstance(action, CloseWith):
            return Refusal(code=action.code, reason=action.reason, when="after")
    try:
        user, claims = backend.known(token)
    except TokenRefused as refused:
        return Refusal(code=4001, reason=str(refused), when=when)
    if bot_id is None:
        return Admission(user=user, claims=claims, bot=None)
    if bot_id not in backend.bots or user.permission is None:
        return Refusal(code=4003, reason="bot unknown or not permitted", when=when)
    return Admission(user=user, claims=claims, bot=backend.bots[bot_id])


def _refused(refuse: Refuse) -> Refusal:
    reason = "token rejected" if refuse.status == 403 else "overloaded"
    return Refusal(code=4001, reason=reason, when="before", status=refuse.status, retry_after=refuse.retry_after)


async def _turn_away(websocket: WebSocket, refusal: Refusal) -> None:
    if refusal.when == "after":
        await websocket.accept()
    elif refusal.status != 403:
        # Only a close before the acceptance becomes 403 by itself; other statuses need a response of ours.
        headers = {} if refusal.retry_after is None else {"Retry-After": f"{refusal.retry_after:.15g}"}
        await websocket.send_denial_response(PlainTextResponse(refusal.reason, refusal.status, headers))
        return
    await websocket.close(refusal.code, refusal.reason)


async def _attend(websocket: WebSocket, backend: Backend, line: Line, admission: Admission) -> None:
    bot = admission.bot
    peer = Peer(
        connection_id=uuid.uuid4().hex,
        user=admission.user.name,
        bot_id=bot.id if bot else None,
        opened_at=time.time(),
        drop=line.drop,
    )
    await websocket.accept()
    line.faults.tell(Opened(expires_in=admission.claims.expires_at - time.time()))
    _greet(peer, line, bot)
    backend.hub.join(peer)
    backend.counters.opened += 1
    try:
        async with asyncio.TaskGroup() as group:
            writer = group.create_task(_write(websocket, peer), name=f"write {peer.connection_id}")
            try:
                await _read(websocket, backend, peer, bot)
            finally:
                writer.cancel()
    finally:
        backend.hub.leave(peer)
        backend.counters.ended += 1


def _greet(peer: Peer, line: Line, bot: Bot | None) -> None:
    if Drop() in line.faults.tell(Sending(type="connection_established")):
        return
    greeting = messages.established(
        user=peer.user,
        connection_id=peer.connection_id,
        bot_id=bot.id if bot else None,
        bot_name=bot.name if bot else None,
    )
    peer.post(greeting)


async def _write(websocket: WebSocket, peer: Peer) -> None:
    try:
        while True:
            await websocket.send_text(await peer.next_text())
    except WebSocketDisconnect:
        return  # the reader hears of it as well and ends the connection's life


async def _read(websocket: WebSocket, backend: Backend, peer: Peer, bot: Bot | None) -> None:
    while True:
        event = await websocket.receive()
        if event["type"] == "websocket.disconnect":
            return
        _handle(backend, peer, bot, event.get("text"))


def _handle(backend: Backend, peer: Peer, bot: Bot | None, text: str | None) -> None:
    try:
        message = json.loads(text or "")
        kind, data = message["type"], message.get("data") or {}
        if not isinstance(kind, str) or not isinstance(data, dict):
            raise TypeError
    except (ValueError, RecursionError):
        peer.post(messages.error("invalid JSON"))
    except (AttributeError, KeyError, TypeError):
        peer.post(messages.error("expected an object with a type"))
    else:
        _answer(backend, peer, bot, kind, data, message)


def _answer(
    backend: Backend, peer: Peer, bot: Bot | None, kind: str, data: dict[str, Any], message: dict[str, Any]
) -> None:
    match kind:
        case "ping":
            peer.post(messages.pong(message.get("timestamp")))
        case "typing" if bot is not None:
            is_typing = bool(data.get("is_typing"))
            indicator = messages.typing(
                bot_id=bot.id, user_id=peer.user, username=peer.user, is_typing=is_typing, at=time.time()
            )
            backend.broadcast(bot.id, indicator, besides=peer.user)
        case "session_sync":
            synced = messages.session_synced(session_id=data.get("session_id"), bot_id=peer.bot_id, at=time.time())
            peer.post(synced)
        case _:
            backend.counters.ignored += 1
            log.info("ignored a message of type %.60r", kind)
