"""The contract on aiohttp: ``python -m tests.incidents.servers.aiohttp_app PORT``.

Options: ``heartbeat`` the library's own pings, every so many seconds; ``idle`` its ``receive_timeout``; ``most`` bytes
of a message (``max_msg_size``); ``early_ping`` a ping within so many seconds cuts the connection; ``typing`` that
message ends the process; ``deflate`` 0 switches compression off.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import uuid
from datetime import UTC, datetime
from typing import Any

from aiohttp import WSMsgType, web

from tests.incidents.servers.settings import BOTS, Caller, caller, established, options, reply

OPTIONS = options()
sockets: dict[web.WebSocketResponse, str] = {}
"""The bot of everybody connected."""


async def health(request: web.Request) -> web.Response:
    """200; the route takes GET only."""
    return web.json_response({"status": "healthy"})


def known(request: web.Request) -> Caller:
    """401 without a good token, 404 for a bot that is not there."""
    found = caller(request.headers.get("Authorization", "").removeprefix("Bearer "))
    if found is None:
        raise web.HTTPUnauthorized
    if request.match_info["bot"] not in BOTS:
        raise web.HTTPNotFound
    return found


async def details(request: web.Request) -> web.Response:
    """One bot."""
    known(request)
    bot = request.match_info["bot"]
    return web.json_response({"id": bot, "name": BOTS[bot], "permission": "viewer"})


async def chat(request: web.Request) -> web.Response:
    """Echoes, by HTTP and to every socket of the bot."""
    user = known(request)
    bot = request.match_info["bot"]
    try:
        body: Any = await request.json()
        said = body["message"]
    except (ValueError, KeyError, TypeError):
        said = None
    if not isinstance(said, str) or not 1 <= len(said) <= 10_000:
        return web.json_response({"detail": "message: 1 to 10000 characters"}, status=422)
    session = body.get("session_id") or uuid.uuid4().hex
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    told = reply(session, uuid.uuid4().hex, f"You said: {said}", at, bot=bot, user=user.user)
    for ws in [ws for ws, other in sockets.items() if other == bot]:
        await ws.send_json(told)
    text = told["data"]["content"]
    answer = {"message": text, "session_id": session, "chunks_used": 0, "processing_time": 0.0, "metadata": {}}
    return web.json_response(answer)


async def socket(request: web.Request) -> web.StreamResponse:
    """One life."""
    user, bot = caller(request.query.get("token", "")), request.match_info["bot"]
    if user is None or bot not in BOTS:
        raise web.HTTPForbidden
    ws = web.WebSocketResponse(
        heartbeat=OPTIONS.get("heartbeat"),
        receive_timeout=OPTIONS.get("idle"),
        max_msg_size=int(OPTIONS.get("most", 1 << 22)),
        compress=bool(OPTIONS.get("deflate", 1)),
    )
    await ws.prepare(request)
    sockets[ws] = bot
    loop = asyncio.get_running_loop()
    opened = loop.time()
    try:
        await ws.send_json(established(uuid.uuid4().hex, bot=bot, user=user.user))
        async for message in ws:
            if message.type is not WSMsgType.TEXT:
                continue
            try:
                told = json.loads(message.data)
            except ValueError:
                await ws.send_json({"type": "error", "message": "invalid JSON"})
                continue
            kind = told.get("type") if isinstance(told, dict) else None
            if kind == "ping":
                if loop.time() - opened < OPTIONS.get("early_ping", 0.0) and request.transport is not None:
                    request.transport.abort()
                    return ws
                await ws.send_json({"type": "pong", "timestamp": told.get("timestamp")})
            elif kind == "typing" and "typing" in OPTIONS:
                os.abort()
    except TimeoutError:
        # What the library does when ``receive_timeout`` strikes: the handler ends, and with it the connection.
        pass
    finally:
        sockets.pop(ws, None)
    return ws


def build() -> web.Application:
    """The routes."""
    app = web.Application()
    app.router.add_get("/health", health, allow_head=False)
    app.router.add_get("/api/bots/{bot}", details)
    app.router.add_post("/api/conversations/bots/{bot}/chat", chat)
    app.router.add_get("/api/ws/chat/{bot}", socket)
    return app


if __name__ == "__main__":
    web.run_app(build(), host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
