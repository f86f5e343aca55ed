"""On the way to the server: where it is, what its silence or refusal means, and a client that leaves meanwhile."""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from chatkit.errors import InvalidInput

LOOK = 0.2
"""Seconds between two looks at the client while the server does not answer."""
AFTER_FIN = 2.0
"""Seconds that the server still has once the client has sent FIN: half-closed it may wait for an answer, or be gone."""
FIRST_BYTES = 0.5
"""Seconds that are waited for what a client wanted of a server that is not there."""
_MOST = 65_536
_GONE = getattr(select, "POLLRDHUP", 0)
_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


class ClientLeft(Exception):
    """The client ended its connection before the server was reached; the text says how."""


def target_of(url: str) -> tuple[str, int, bool]:
    """Host, port, and whether TLS is spoken there.

    Raises:
        InvalidInput: it is not scheme, host and port alone.
    """
    with suppress(ValueError):
        split = urlsplit(url)
        if (
            split.scheme in _PORTS
            and split.hostname
            and split.path in ("", "/")
            and not (split.query or split.username)
        ):
            port = split.port if split.port is not None else _PORTS[split.scheme]
            if port > 0:
                return split.hostname, port, split.scheme in ("https", "wss")
    raise InvalidInput(
        "nothing can be forwarded there",
        expected="http://host:port, or https, ws, wss; no path: that of the client's requests is kept",
        got=url,
        where="to",
    )


def address(host: str, port: int) -> str:
    """``host:port`` as it stands in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


async def readable(sock: socket.socket) -> None:
    """Returns when there are bytes, or an end, to be read; cancelling is fine."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(sock, _settle, ready)
    try:
        await ready
    finally:
        loop.remove_reader(sock)


async def first_bytes(sock: socket.socket) -> bytes:
    """What the client said first, which stays to be read; nothing when it says nothing for a moment."""
    sock.setblocking(False)
    with suppress(TimeoutError, OSError):
        async with asyncio.timeout(FIRST_BYTES):
            await readable(sock)
        return sock.recv(_MOST, socket.MSG_PEEK)
    return b""


async def unless_left(sock: socket.socket, work: Coroutine[Any, Any, Any]) -> None:
    """Awaits ``work`` for as long as the client stays; what it raises is raised. Cancelling cancels it.

    Raises:
        ClientLeft: the client went away first.
    """
    loop = asyncio.get_running_loop()
    task = loop.create_task(work, name="chatkit hop connect")
    deadline: float | None = None
    try:
        while not (await asyncio.wait({task}, timeout=LOOK))[0]:
            how = _left(sock)
            if how == "fin" and deadline is None:
                deadline = loop.time() + AFTER_FIN
            if how == "rst" or (deadline is not None and loop.time() > deadline):
                raise ClientLeft("RST" if how == "rst" else "FIN")
        task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})


def _left(sock: socket.socket) -> str | None:
    """Whether the client has ended its side, without reading."""
    poll = select.poll()
    poll.register(sock, _GONE)
    events = next((found for _, found in poll.poll(0)), 0)
    if events & (select.POLLERR | select.POLLHUP):
        return "rst"
    return "fin" if events & _GONE else None


def unreached(error: Exception, seconds: float, *, tls: bool) -> tuple[str, str]:
    """The step that failed on the way to the server, and a sentence about it."""
    if isinstance(error, ClientLeft):
        return "tcp", f"the server had not accepted after {seconds:.1f} s, when the client gave up by {error}"
    if isinstance(error, socket.gaierror):
        return "dns", f"the server's name has no address: {error.strerror}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return "tls", f"the server's certificate is not accepted: {error.verify_message}"
    if isinstance(error, ConnectionRefusedError):
        return "tcp", "the server refused the connection; the client got an RST"
    if isinstance(error, ssl.SSLError) or (tls and isinstance(error, ConnectionError)):
        return "tls", f"no TLS with the server: {error.strerror or error}"
    if isinstance(error, TimeoutError):
        return "tcp", f"the server did not answer for {seconds:.1f} s; the client got an RST"
    return "tcp", f"the server was not reached: {error}; the client got an RST"
