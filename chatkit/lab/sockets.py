"""The WebSocket half of the contract: admission, one reader and one writer for each connection."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import Literal

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from fastapi.responses import PlainTextResponse

from chatkit.faults.moments import (
    Action,
    Asked,
    CloseWith,
    Drop,
    Joined,
    Knocked,
    Opened,
    Refuse,
    Select,
    Sending,
    Spoil,
)
from chatkit.lab import messages
from chatkit.lab.backend import Backend
from chatkit.lab.bots import Bot
from chatkit.lab.hub import Peer
from chatkit.lab.messages import Message
from chatkit.lab.protocol import Line, line_of
from chatkit.lab.runner import delay
from chatkit.lab.speaker import Speaker
from chatkit.lab.tokens import Claims, TokenRefused
from chatkit.lab.users import User

router = APIRouter()
mux_router = APIRouter()
"""Only there when the lab has the capability."""

Endpoint = Literal["chat", "notifications", "mux"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Somebody who may come in."""

    user: User
    claims: Claims
    endpoint: Endpoint
    bot: Bot | None
    """``None`` on the endpoints that are not about one bot."""
    protocol: str | None
    """The subprotocol that is spoken; ``None`` for none."""
    token: str
    """A digest of the token."""

    def place(self) -> Message:
        """What the greeting says about the connection."""
        if self.bot is None:
            return {"connection_type": self.endpoint}
        return {"bot_id": self.bot.id, "bot_name": self.bot.name}


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
    location: str | None = None
    """The header ``Location``."""


@router.websocket("/api/ws/chat/{bot_id}")
async def chat(websocket: WebSocket, bot_id: str) -> None:
    """A chat connection."""
    await _serve(websocket, "chat", bot_id)


@router.websocket("/api/ws/chat/{bot_id}/")
async def chat_with_slash(websocket: WebSocket, bot_id: str) -> None:
    """Where a redirect may lead; unknown without one."""
    backend: Backend = websocket.app.state.backend
    if any(fault.id == "redirected" for fault in backend.plan.faults):
        await _serve(websocket, "chat", bot_id)
    else:
        await websocket.close()


@router.websocket("/api/ws/notifications")
async def notifications(websocket: WebSocket) -> None:
    """A connection that only hears."""
    await _serve(websocket, "notifications")


@mux_router.websocket("/api/ws/mux")
async def mux(websocket: WebSocket) -> None:
    """A connection that subscribes to bots."""
    await _serve(websocket, "mux")


async def _serve(websocket: WebSocket, endpoint: Endpoint, bot_id: str | None = None) -> None:
    backend: Backend = websocket.app.state.backend
    line = line_of(websocket.scope)
    answers = line.faults.ask(_asked(websocket, bot_id))
    if not await _waits(websocket, delay(answers)):
        return
    try:
        outcome = _admit(backend, line, websocket.query_params.get("token", ""), endpoint, bot_id, answers)
        if isinstance(outcome, Refusal):
            backend.counters.refused += 1
            await _turn_away(websocket, backend, outcome)
        else:
            for action in answers:
                if isinstance(action, Spoil):
                    line.spoil(action)
            await _attend(websocket, backend, line, outcome)
    finally:
        backend.leave(line.faults.ordinal)


def _asked(websocket: WebSocket, bot_id: str | None) -> Asked:
    return Asked(
        what="upgrade",
        bot=bot_id,
        path=websocket.url.path,
        host=websocket.headers.get("host", ""),
        origin=websocket.headers.get("origin"),
        protocols=tuple(websocket.scope["subprotocols"]),
    )


async def _waits(websocket: WebSocket, seconds: float) -> bool:
    """Whether the client is still there after that time."""
    if not seconds:
        return True
    await websocket.receive()  # websocket.connect, which is there already
    try:
        async with asyncio.timeout(seconds):
            await websocket.receive()
    except TimeoutError:
        return True
    return False


def _admit(
    backend: Backend, line: Line, token: str, endpoint: Endpoint, bot_id: str | None, answers: tuple[Action, ...]
) -> Admission | Refusal:
    when: Literal["before", "after"] = "after" if backend.reject == "after" else "before"
    try:
        user, claims = backend.known(token)
    except TokenRefused as refused:
        bad = Refusal(code=4001, reason=str(refused), when=when)
        return _fault(answers) or _fault(_knock(backend, line, None)) or bad
    broken = _fault(answers) or _fault(_knock(backend, line, user))
    if broken:
        return broken
    bot = backend.permitted(user, bot_id)
    if endpoint == "chat" and bot is None:
        return Refusal(code=4003, reason="bot unknown or not permitted", when=when)
    protocol = next((action.protocol for action in answers if isinstance(action, Select)), None)
    word = hashlib.sha256(token.encode()).hexdigest()
    return Admission(user=user, claims=claims, endpoint=endpoint, bot=bot, protocol=protocol, token=word)


def _knock(backend: Backend, line: Line, user: User | None) -> tuple[Action, ...]:
    return backend.faults.ask(Knocked(connection=line.faults.ordinal, user=user.name if user else None))


def _fault(answers: tuple[Action, ...]) -> Refusal | None:
    for action in answers:
        if isinstance(action, Refuse):
            return _refused(action)
        if isinstance(action, CloseWith):
            return Refusal(code=action.code, reason=action.reason, when="after")
    return None


def _refused(refuse: Refuse) -> Refusal:
    return Refusal(
        code=4001,
        reason=HTTPStatus(refuse.status).phrase,
        when="before",
        status=refuse.status,
        retry_after=refuse.retry_after,
        location=refuse.location,
    )


async def _turn_away(websocket: WebSocket, backend: Backend, refusal: Refusal) -> None:
    if refusal.when == "after":
        await websocket.accept()
    elif refusal.status != 403 or backend.plan.skew[0]:
        # Only a close before the acceptance becomes 403 by itself, with the library's own Date; other answers need a
        # response of ours.
        headers = {"Date": formatdate(backend.now(), usegmt=True)}
        headers |= {} if refusal.retry_after is None else {"Retry-After": f"{refusal.retry_after:.15g}"}
        query = f"?{websocket.url.query}" if websocket.url.query else ""
        headers |= {} if refusal.location is None else {"Location": refusal.location + query}
        await websocket.send_denial_response(PlainTextResponse(refusal.reason, refusal.status, headers))
        return
    await websocket.close(refusal.code, refusal.reason)


async def _attend(websocket: WebSocket, backend: Backend, line: Line, admission: Admission) -> None:
    bot = admission.bot
    peer = Peer(
        connection_id=uuid.uuid4().hex,
        user=admission.user.name,
        bot_id=bot.id if bot else None,
        opened_at=backend.now(),
        drop=line.drop,
        mux=admission.endpoint == "mux",
        arrival=websocket.scope["state"]["arrival"],
    )
    await websocket.accept(admission.protocol)
    line.faults.tell(Opened(expires_in=admission.claims.expires_at - backend.now()))
    _greet(peer, line, admission.place(), backend)
    async with asyncio.TaskGroup() as group:
        speaker = Speaker(backend, peer=peer, user=admission.user, bot=bot, faults=line.faults, group=group)
        backend.hub.join(peer)
        backend.join(Joined(connection=line.faults.ordinal, user=peer.user, bot=peer.bot_id, token=admission.token))
        backend.counters.opened += 1
        writer = group.create_task(_write(websocket, peer), name=f"write {peer.connection_id}")
        try:
            await _read(websocket, speaker)
        finally:
            # Answers under way go on without it: the group waits for them.
            writer.cancel()
            backend.hub.leave(peer)
            backend.leave(line.faults.ordinal)
            backend.counters.ended += 1


def _greet(peer: Peer, line: Line, place: Message, backend: Backend) -> None:
    if Drop() in line.faults.tell(Sending(type="connection_established")):
        return
    peer.post(
        messages.established(
            user=peer.user, connection_id=peer.connection_id, place=place, capabilities=backend.capabilities
        )
    )


async def _write(websocket: WebSocket, peer: Peer) -> None:
    try:
        while True:
            await websocket.send_text(await peer.next_text())
    except WebSocketDisconnect:
        return  # the reader hears of it as well and ends the connection's life


async def _read(websocket: WebSocket, speaker: Speaker) -> None:
    while True:
        event = await websocket.receive()
        if event["type"] == "websocket.disconnect":
            return
        speaker.says(event.get("text"))
