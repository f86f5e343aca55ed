"""The HTTP half of the contract, as a FastAPI application.

Dependencies are coroutines throughout: FastAPI would run plain functions on other threads, and the database
and the hub belong to the loop's thread.
"""

from __future__ import annotations

import math
import secrets
import threading
import time
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.requests import HTTPConnection
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field, ValidationError

from chatkit.faults.moments import Asked, Saying
from chatkit.lab import conversation
from chatkit.lab.backend import Backend, log
from chatkit.lab.bots import Bot
from chatkit.lab.runner import refusal
from chatkit.lab.sockets import mux_router
from chatkit.lab.sockets import router as sockets
from chatkit.lab.tokens import TokenRefused
from chatkit.lab.users import USERS, User

router = APIRouter()

_building = threading.Lock()
_NOWHERE = {"type": "http", "method": "GET", "path": "/", "headers": []}


class Login(BaseModel):
    """Body of the login."""

    username: str
    password: str


class Refresh(BaseModel):
    """Body of the refresh."""

    refresh_token: str


class NewSession(BaseModel):
    """Body of a new session."""

    title: str | None = Field(default=None, max_length=500)


class Chat(BaseModel):
    """Body of a chat message."""

    message: str = Field(min_length=1, max_length=10_000)
    session_id: str | None = None
    client_message_id: Any = None
    """Ignored, whatever it is, unless the lab is idempotent."""


def build_app(backend: Backend) -> FastAPI:
    """The application of one lab."""
    app = FastAPI(title="chatkit lab", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.backend = backend
    app.add_exception_handler(RequestValidationError, _unprocessable)
    app.include_router(router)
    app.include_router(sockets)
    if "mux" in backend.capabilities:
        app.include_router(mux_router)
    # FastAPI builds included routes at the first request, and silences pydantic meanwhile by `catch_warnings`, which is
    # not safe between threads: two labs that are asked at once would warn on stderr, or stay silent for good.
    with _building:
        for route in app.routes:
            route.matches({**_NOWHERE})
    return app


async def backend_of(connection: HTTPConnection) -> Backend:
    """The backend behind a request."""
    backend: Backend = connection.app.state.backend
    return backend


TheBackend = Annotated[Backend, Depends(backend_of)]


async def caller_of(request: Request, backend: TheBackend) -> User:
    """Who calls: 401 without a good bearer token."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    try:
        if scheme.lower() != "bearer" or not token:
            raise TokenRefused("not authenticated")
        user, _ = backend.known(token.strip())
    except TokenRefused as refused:
        raise _unauthorized(str(refused)) from None
    if refusal(backend.faults.ask(Asked(what="api"))):
        raise _unauthorized("token rejected")
    return user


Caller = Annotated[User, Depends(caller_of)]


async def permitted_bot(bot_id: str, user: Caller, backend: TheBackend) -> Bot:
    """The bot of the path: 404 unknown, 403 not permitted."""
    denied = refusal(backend.faults.ask(Asked(what="bot", bot=bot_id)))
    if bot_id not in backend.bots or (denied and denied.status == 404):
        raise HTTPException(404, "bot not found")
    if denied or user.permission is None:
        raise HTTPException(403, "no permission on this bot")
    return backend.bots[bot_id]


PermittedBot = Annotated[Bot, Depends(permitted_bot)]


async def arrival_of(request: Request) -> int:
    """The number of the TCP connection, of which a client may use several."""
    arrival: int = request.scope["state"]["arrival"]
    return arrival


Arrival = Annotated[int, Depends(arrival_of)]


@router.get("/health")
async def health(backend: TheBackend) -> Response:
    """Only GET is routed: HEAD is answered with 405 by FastAPI itself."""
    refused = refusal(backend.faults.ask(Asked(what="health")))
    if refused:
        return JSONResponse({"status": "unhealthy"}, status_code=refused.status)
    return JSONResponse({"status": "healthy"})


@router.post("/api/auth/login")
async def login(body: Login, backend: TheBackend) -> dict[str, str]:
    """Tokens for a name and a password."""
    user = USERS.get(body.username)
    good = secrets.compare_digest(body.password.encode(), user.password.encode()) if user else False
    if user is None or not good:
        raise _unauthorized("wrong user name or password")
    return _tokens(backend, user.name)


@router.post("/api/auth/refresh")
async def refresh(body: Refresh, backend: TheBackend) -> dict[str, str]:
    """Tokens for a refresh token."""
    try:
        claims = backend.mint.verify(body.refresh_token, time.time(), type="refresh")
    except TokenRefused as refused:
        raise _unauthorized(str(refused)) from None
    return _tokens(backend, claims.user)


@router.get("/api/bots/{bot_id}")
async def bot_details(bot: PermittedBot, user: Caller) -> dict[str, Any]:
    """One bot."""
    return {"id": bot.id, "name": bot.name, "permission": user.permission}


@router.post("/api/conversations/bots/{bot_id}/sessions")
async def new_session(
    bot: PermittedBot, user: Caller, backend: TheBackend, body: NewSession | None = None
) -> dict[str, Any]:
    """A new conversation."""
    return conversation.begin(backend, user.name, bot, body.title if body else None).as_json()


@router.post("/api/conversations/bots/{bot_id}/chat")
async def chat(body: Chat, bot: PermittedBot, user: Caller, backend: TheBackend, arrival: Arrival) -> dict[str, Any]:
    """One message; the response waits for the bot, which goes on when nobody waits for the response any more."""
    client_id = _client_id(backend, body.client_message_id)
    wait = backend.rate.take(user.name, time.monotonic())
    if wait > 0:
        raise HTTPException(429, "too many messages", headers={"Retry-After": str(math.ceil(wait))})
    broken = refusal(backend.faults.tell(Saying(text=body.message)))
    if broken:
        raise HTTPException(broken.status, HTTPStatus(broken.status).phrase)
    session = backend.session(bot, body.session_id)
    if body.session_id is not None and session is None:
        raise HTTPException(404, "session not found")
    question = conversation.take(backend, user.name, bot, body.message, session, client_id, arrival)
    try:
        answer = await conversation.answer(backend, question)
    except Exception as error:
        # A bot is somebody's own code: its traceback belongs in the log, not in the server's face.
        log.exception("bot %r failed", bot.id)
        raise HTTPException(500, f"the bot failed with {type(error).__name__}") from None
    return {
        "message": answer.text,
        "session_id": answer.session_id,
        "chunks_used": 0,
        "processing_time": round(answer.seconds, 3),
        "metadata": {},
    }


@router.get("/api/conversations/sessions/{session_id}/messages")
async def history(session_id: str, user: Caller, backend: TheBackend) -> list[dict[str, Any]]:
    """The history, oldest first."""
    if backend.store.session(session_id) is None:
        raise HTTPException(404, "session not found")
    if user.permission is None:
        raise HTTPException(403, "no permission on this session")
    return backend.store.history(session_id)


@router.get("/api/ws/stats")
async def stats(backend: TheBackend, arrival: Arrival) -> dict[str, Any]:
    """How many are connected to what."""
    return backend.hub.stats(backend.reach(arrival))


@router.get("/api/ws/connections")
async def connections(backend: TheBackend, arrival: Arrival) -> dict[str, Any]:
    """Who is connected to what; unauthenticated as in the original."""
    return {"connections": [peer.as_json() for peer in backend.hub.snapshot(backend.reach(arrival))]}


def _client_id(backend: Backend, value: object) -> str | None:
    try:
        return backend.client_id(value)
    except ValidationError as wrong:
        place = {"loc": ("body", "client_message_id")}
        raise RequestValidationError([{**fault, **place} for fault in wrong.errors()]) from None


def _tokens(backend: Backend, user: str) -> dict[str, str]:
    kind: Literal["refresh"] = "refresh"
    return {
        "access_token": backend.access_token(user),
        "refresh_token": backend.mint.issue(user, time.time(), type=kind),
        "token_type": "bearer",
    }


def _unauthorized(detail: str) -> HTTPException:
    return HTTPException(401, detail, headers={"WWW-Authenticate": "Bearer"})


async def _unprocessable(request: Request, error: Exception) -> Response:
    # FastAPI's own handler repeats the input: a password, or text that is no valid UTF-8.
    assert isinstance(error, RequestValidationError)
    detail = [{key: fault[key] for key in ("type", "loc", "msg")} for fault in error.errors()]
    return JSONResponse({"detail": detail}, status_code=422)
