"""A person at a stack's door: chatkit's own recorded connection, and the HTTP API with the same token."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import httpx
from websockets.exceptions import ConnectionClosed

from chatkit.client.connection import RecordedConnection, close_quietly
from chatkit.client.opening import open_connection
from chatkit.ending import Ending
from chatkit.recorder import Recorder
from tests.incidents.incident import Site

PATIENCE = 30.0
"""Seconds after which something that should happen is missing: far beyond every duration in the catalogue."""


def trust(site: Site) -> ssl.SSLContext | None:
    """What a client of that site trusts: the authority that the environment names, as OpenSSL would."""
    if not site.url.startswith("https:"):
        return None
    return ssl.create_default_context(cafile=site.environment.get("SSL_CERT_FILE"))


class Visitor:
    """One connection, read all the time."""

    def __init__(self, connection: RecordedConnection, recorder: Recorder) -> None:
        self.connection = connection
        self._recorder = recorder
        self.heard: list[dict[str, Any]] = []
        self._news = asyncio.Condition()
        self.gone = False

    async def read(self) -> None:
        """Until it ends."""
        with suppress(ConnectionClosed):
            async for text in self.connection:
                with suppress(ValueError):
                    await self._tell(json.loads(text))
        await self.connection.wait_closed()
        self.gone = True
        await self._tell({"type": "gone"})

    async def _tell(self, message: dict[str, Any]) -> None:
        async with self._news:
            self.heard.append(message)
            self._news.notify_all()

    def count(self, type: str) -> int:
        """Messages of a type so far."""
        return sum(message.get("type") == type for message in self.heard)

    async def hears(self, type: str, within: float = PATIENCE) -> bool:
        """Whether a message of that type has come or comes within so many seconds."""
        try:
            async with asyncio.timeout(within), self._news:
                await self._news.wait_for(lambda: self.count(type) > 0)
        except TimeoutError:
            return False
        return True

    async def says(self, type: str, **fields: Any) -> None:
        """Sends one message; when it has ended, nothing."""
        with suppress(ConnectionClosed):
            await self.connection.send(json.dumps({"type": type, **fields}))

    async def pings(self, every: float) -> None:
        """Application pings until cancelled."""
        while True:
            await self.says("ping", timestamp="1")
            await asyncio.sleep(every)

    async def ending(self) -> Ending:
        """How it ended; waits for that."""
        assert await self.hears("gone"), "it still lives"
        ending = self._recorder.snapshot().connections[0].ending
        assert ending is not None
        return ending


@asynccontextmanager
async def visit(site: Site, **options: Any) -> AsyncIterator[Visitor]:
    """Opens a connection as the default user; ``ConnectFailed`` when it does not come about."""
    url = f"{site.ws_url}/api/ws/chat/{site.bot}?token={site.token}"
    with Recorder() as recorder:
        connection = await open_connection(url, recorder, proxy=False, ssl_context=trust(site), **options)
        visitor = Visitor(connection, recorder)
        reading = asyncio.get_running_loop().create_task(visitor.read(), name="visitor reads")
        try:
            yield visitor
        finally:
            await close_quietly(connection)
            connection.abort()
            await reading


@asynccontextmanager
async def api(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    """The HTTP API with the site's token."""
    headers = {"Authorization": f"Bearer {site.token}"}
    verify = trust(site) or False
    async with httpx.AsyncClient(
        base_url=site.url, headers=headers, trust_env=False, verify=verify, timeout=PATIENCE
    ) as http:
        yield http


async def ask(site: Site, text: str = "Hello?") -> httpx.Response:
    """One chat message on an HTTP connection of its own."""
    async with api(site) as http:
        return await http.post(f"/api/conversations/bots/{site.bot}/chat", json={"message": text})


def direct(site: Site) -> Site:
    """The same backend without the proxy."""
    assert site.direct_url is not None
    return replace(site, url=site.direct_url)
