"""The contract on FastAPI, as ``uvicorn tests.incidents.servers.fastapi_app:app`` serves it.

Options (seconds or counts): ``early_ping`` set-up takes that long and a ping before its end raises; ``idle`` closes
after that long without a message; ``age`` at that age; ``expire`` at the token's ``exp``; ``replace`` the former
socket of a user and bot; ``limit`` sockets at most; ``copies`` of each reply on the socket; ``slow`` the first reply
takes longer, ``jitter`` each by up to so much; ``block`` the loop for so long ``every`` so often; ``typing`` the
handler of that message raises; ``stuck`` the greeting never comes; ``backtrack`` each time after that long one worker gets lost in a
regular expression, which holds the interpreter, so that its supervisor kills it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException, WebSocket
from pydantic import BaseModel, Field
from starlette.websockets import WebSocketDisconnect

from tests.incidents.servers.settings import BOTS, Caller, caller, established, options, reply

OPTIONS = options()
STOPS = (WebSocketDisconnect, RuntimeError)
"""What a send to somebody who is gone raises."""
sockets: dict[WebSocket, tuple[str, str]] = {}
"""Bot and user of everybody connected to this worker."""


class Question(BaseModel):
    """Body of a chat message."""

    message: str = Field(min_length=1, max_length=10_000)
    session_id: str | None = None


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Tells that this worker serves, and blocks now and then, if told so."""
    Path(os.environ["INCIDENT_FOLDER"], f"up-{os.getpid()}").touch()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(block()), group.create_task(backtrack())]
        yield
        for task in tasks:
            task.cancel()


async def block() -> None:
    """A careless synchronous call, again and again."""
    while "block" in OPTIONS:
        await asyncio.sleep(OPTIONS["every"])
        time.sleep(OPTIONS["block"])


async def backtrack() -> None:
    """Every so often one worker, the first to come here, is lost until its supervisor ends it."""
    while period := OPTIONS.get("backtrack"):
        await asyncio.sleep(period - time.time() % period)
        with contextlib.suppress(FileExistsError):
            # One mark for each time: the others of the moment go on, and the worker that comes as a replacement, too.
            Path(os.environ["INCIDENT_FOLDER"], f"lost-{time.time() // period:.0f}").touch(exist_ok=False)
            # Exponential in the length: minutes.
            re.match(r"(a+)+$", "a" * 40 + "!")


app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)


async def known(authorization: Annotated[str, Header()] = "") -> Caller:
    """401 without a good token."""
    found = caller(authorization.removeprefix("Bearer "))
    if found is None:
        raise HTTPException(401, "not authenticated")
    return found


Known = Annotated[Caller, Depends(known)]


@app.get("/health")
async def health() -> dict[str, str]:
    """FastAPI answers HEAD with 405."""
    return {"status": "healthy"}


@app.get("/api/bots/{bot}")
async def details(bot: str, user: Known) -> dict[str, str]:
    """One bot."""
    if bot not in BOTS:
        raise HTTPException(404, "bot not found")
    return {"id": bot, "name": BOTS[bot], "permission": "viewer"}


@app.get("/api/ws/stats")
async def stats() -> dict[str, Any]:
    """Of this worker."""
    bots = [bot for bot, _ in sockets.values()]
    users = {user for _, user in sockets.values()}
    counts = {bot: bots.count(bot) for bot in sorted(set(bots))}
    return {"total_connections": len(bots), "connected_users": len(users), "bot_subscriptions": counts}


replied = 0


@app.post("/api/conversations/bots/{bot}/chat")
async def chat(bot: str, question: Question, user: Known) -> dict[str, Any]:
    """Echoes, by HTTP and to every socket of the bot that this worker knows."""
    global replied
    if bot not in BOTS:
        raise HTTPException(404, "bot not found")
    began = time.monotonic()
    wait = (0.0 if replied else OPTIONS.get("slow", 0.0)) + random.uniform(0, OPTIONS.get("jitter", 0.0))
    replied += 1
    await asyncio.sleep(wait)
    session, message = question.session_id or uuid.uuid4().hex, uuid.uuid4().hex
    told = reply(session, message, f"You said: {question.message}", now(), bot=bot, user=user.user)
    for ws in [ws for ws, (other, _) in sockets.items() if other == bot]:
        for _ in range(int(OPTIONS.get("copies", 1))):
            await tell(ws, told)
    seconds = round(time.monotonic() - began, 3)
    text = told["data"]["content"]
    return {"message": text, "session_id": session, "chunks_used": 0, "processing_time": seconds, "metadata": {}}


@app.websocket("/api/ws/chat/{bot}")
async def socket(ws: WebSocket, bot: str, token: str = "") -> None:
    """One life. A close before the upgrade is accepted becomes HTTP 403."""
    user = caller(token)
    if user is None or bot not in BOTS:
        await ws.close(4001 if user is None else 4003)
        return
    await ws.accept()
    if len(sockets) >= OPTIONS.get("limit", float("inf")):
        await ws.close(1013, "too many connections")
        return
    if "stuck" in OPTIONS:
        await asyncio.Event().wait()
    if "replace" in OPTIONS:
        for other in [other for other, place in sockets.items() if place == (bot, user.user)]:
            sockets.pop(other)
            await other.close(4009, "replaced by a new session")
    sockets[ws] = (bot, user.user)
    try:
        await tell(ws, established(uuid.uuid4().hex, bot=bot, user=user.user))
        await converse(ws, user)
    except WebSocketDisconnect:
        pass
    finally:
        sockets.pop(ws, None)


async def converse(ws: WebSocket, user: Caller) -> None:
    """Answers until somebody ends it."""
    loop = asyncio.get_running_loop()
    opened = loop.time()
    ready = opened + OPTIONS.get("early_ping", 0.0)
    ends = [(opened + OPTIONS["age"], 1001, "maximum age")] if "age" in OPTIONS else []
    ends += [(opened + user.exp - time.time(), 4001, "token expired")] if "expire" in OPTIONS else []
    while True:
        idle = [(loop.time() + OPTIONS["idle"], 1001, "idle timeout")] if "idle" in OPTIONS else []
        at, code, reason = min([*ends, *idle], default=(None, 1000, ""))
        try:
            async with asyncio.timeout_at(at):
                message = await ws.receive_json()
        except TimeoutError:
            await ws.close(code, reason)
            return
        except ValueError:
            await tell(ws, {"type": "error", "message": "invalid JSON"})
            continue
        kind = message.get("type") if isinstance(message, dict) else None
        if kind == "ping":
            if loop.time() < ready:
                raise RuntimeError("a ping for a subscription that is not there yet")
            await tell(ws, {"type": "pong", "timestamp": message.get("timestamp")})
        elif kind == "typing" and "typing" in OPTIONS:
            raise KeyError("user_id")


async def tell(ws: WebSocket, message: dict[str, Any]) -> None:
    """Sends; who is gone misses it."""
    try:
        await ws.send_json(message)
    except STOPS:
        sockets.pop(ws, None)


def now() -> str:
    """ISO-8601 UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
