"""A lab on the test's own loop, and a person at its sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
import websockets

from chatkit.lab import LabServer

PATIENCE = 5.0
"""Seconds after which a message that should come is missing: far beyond every duration in these tests."""


class Person:
    """A WebSocket client that collects what it hears, and an HTTP client with the same token."""

    def __init__(self, ws: websockets.ClientConnection, http: httpx.AsyncClient) -> None:
        self.ws, self.http = ws, http

    async def hear(self, *types: str) -> dict[str, Any]:
        """The next message of one of these types (any, without types); others are skipped."""
        async with asyncio.timeout(PATIENCE):
            while True:
                message = json.loads(await self.ws.recv())
                if not types or message["type"] in types:
                    return message

    async def hear_until(self, type: str) -> list[dict[str, Any]]:
        """Everything up to and including the next message of that type."""
        heard = [await self.hear()]
        while heard[-1]["type"] != type:
            heard.append(await self.hear())
        return heard

    async def tell(self, type: str, **fields: Any) -> None:
        """Sends one message."""
        await self.ws.send(json.dumps({"type": type, **fields}))

    async def pong(self) -> list[str]:
        """Pings and returns the types heard before the pong: proof that nothing else was on its way."""
        await self.tell("ping", timestamp="now")
        return [message["type"] for message in (await self.hear_until("pong"))[:-1]]

    async def chat(self, bot: str, text: str, **fields: Any) -> httpx.Response:
        """Sends a chat message over HTTP."""
        return await self.http.post(
            f"/api/conversations/bots/{bot}/chat", json={"message": text, **fields}, timeout=PATIENCE
        )

    async def end(self) -> websockets.ConnectionClosed:
        """How the connection ended; messages on the way are read first."""
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    await self.ws.recv()
                except websockets.ConnectionClosed as ended:
                    return ended


class House:
    """A running lab and the people in it."""

    def __init__(self, lab: LabServer, stack: AsyncExitStack) -> None:
        self.lab, self._stack = lab, stack

    def client(self, token: str | None = None) -> httpx.AsyncClient:
        """An HTTP client; closed with the lab."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        http = httpx.AsyncClient(base_url=self.lab.url, headers=headers, trust_env=False)
        self._stack.push_async_callback(http.aclose)
        return http

    def socket(self, token: str, path: str = "/api/ws/chat/echo", **options: Any) -> websockets.connect:
        """A connection to be opened."""
        options = {
            "ping_interval": None,
            "proxy": None,
            "open_timeout": PATIENCE,
            "close_timeout": 1,
        } | options
        return websockets.connect(f"{self.lab.ws_url}{path}?token={token}", **options)

    async def enter(self, user: str = "ada", bot: str = "echo", *, greeted: bool = True, **options: Any) -> Person:
        """Somebody connected to a bot, after the greeting."""
        token = self.lab.token_for(user)
        ws = await self._stack.enter_async_context(self.socket(token, f"/api/ws/chat/{bot}", **options))
        person = Person(ws, self.client(token))
        if greeted:
            assert (await person.hear())["type"] == "connection_established"
        return person


@pytest.fixture
async def house() -> AsyncIterator[Callable[..., Any]]:
    """``await house("fault", …, bots=…)`` opens a lab, closed before the people leave."""
    async with AsyncExitStack() as people, AsyncExitStack() as labs:

        async def open_house(*faults: str, **options: Any) -> House:
            lab = await labs.enter_async_context(LabServer(faults=faults, **options))
            return House(lab, people)

        yield open_house
