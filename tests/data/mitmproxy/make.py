"""Makes the flow dumps in this folder: a client talks to the lab through a real mitmdump, tokens are made up after.

Run by hand: ``MITMDUMP=/path/to/mitmdump python tests/data/mitmproxy/make.py [NAME …]``; mitmproxy lives in a virtual
environment of its own. ``old-dialect-synthetic`` is written by hand after the shapes of mitmproxy 6 and earlier.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from chatkit.lab import LabServer

HERE = Path(__file__).parent
MITMDUMP = os.environ.get("MITMDUMP", "mitmdump")
FAKE_START = b"eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEiLCJleHAiOjE3OTU0NTMzMjV9."
FAKE_SIGNATURE = b"ZmFrZS1zaWduYXR1cmU"
FAKE_JWT = FAKE_START + FAKE_SIGNATURE
JWT = re.compile(rb"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
PING = json.dumps({"type": "ping", "timestamp": "2026-11-24T08:00:00Z"})
TYPING = json.dumps({"type": "typing", "data": {"is_typing": True}})

SCENARIOS = {
    "healthy": (),
    "early-ping-abort": ("early-ping-abort:window=3",),
    "server-close-1011": ("server-error:on=typing",),
    "refused-403": (),
    "backend-down": (),
}


async def talk(name: str, base: str, bot: str, token: str) -> None:
    """What the client does."""
    url = f"{base.replace('http', 'ws', 1)}/api/ws/chat/{bot}?token={token}"
    try:
        async with connect(url, ping_interval=None, proxy=None) as chat:
            await chat.recv()
            await chat.send(TYPING if name == "server-close-1011" else PING)
            if name == "healthy":
                await chat.recv()
                await over_http(base, bot, token)
                await chat.recv()
            else:
                async for _ in chat:
                    pass
    except (ConnectionClosed, InvalidStatus, OSError) as error:
        sys.stdout.write(f"{name}: {error}\n")


async def over_http(base: str, bot: str, token: str) -> None:
    async with httpx.AsyncClient(base_url=base, trust_env=False) as http:
        await http.head("/health")
        await http.get("/health")
        headers = {"Authorization": f"Bearer {token}"}
        await http.post(f"/api/conversations/bots/{bot}/chat", json={"message": "hello"}, headers=headers)


async def run(name: str, folder: Path) -> bytes:
    """The dump of one scenario."""
    dump = folder / f"{name}.flow"
    async with LabServer(faults=SCENARIOS[name]) as lab:
        upstream = f"http://127.0.0.1:{free_port()}" if name == "backend-down" else lab.url
        port = free_port()
        options = ["--mode", f"reverse:{upstream}", "-p", str(port), "--listen-host", "127.0.0.1", "-q"]
        settings = [f"confdir={folder}", "connection_strategy=lazy"]
        sets = [part for setting in settings for part in ("--set", setting)]
        proxy = await asyncio.create_subprocess_exec(MITMDUMP, *options, *sets, "-w", str(dump))
        try:
            await listening(port)
            token = FAKE_JWT.decode() if name == "refused-403" else lab.token
            await talk(name, f"http://127.0.0.1:{port}", lab.bots[0].id, token)
            await asyncio.sleep(0.5)
        finally:
            proxy.send_signal(signal.SIGINT)
            await proxy.wait()
    return JWT.sub(fake, dump.read_bytes())


def fake(match: re.Match[bytes]) -> bytes:
    """A made-up token of the same length: lengths stand in front of every value."""
    left = len(match.group()) - len(FAKE_START)
    return FAKE_START + (FAKE_SIGNATURE * 20)[:left]


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


async def listening(port: int) -> None:
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise RuntimeError("mitmdump does not listen")


def net(value: Any) -> bytes:
    """A tnetstring, as mitmproxy writes it."""
    if value is None:
        body, tag = b"", b"~"
    elif isinstance(value, bool):
        body, tag = str(value).lower().encode(), b"!"
    elif isinstance(value, int):
        body, tag = str(value).encode(), b"#"
    elif isinstance(value, float):
        body, tag = repr(value).encode(), b"^"
    elif isinstance(value, bytes):
        body, tag = value, b","
    elif isinstance(value, str):
        body, tag = value.encode(), b";"
    elif isinstance(value, list):
        body, tag = b"".join(map(net, value)), b"]"
    else:
        body, tag = b"".join(net(each) for pair in value.items() for each in pair), b"}"
    return b"%d:%s%s" % (len(body), body, tag)


def old_dialect() -> bytes:
    """mitmproxy 6 (dump version 10): the handshake is one flow, the messages another of type websocket."""
    began = 1600000000.0
    client = {"address": ["192.0.2.10", 50000], "timestamp_start": began, "timestamp_end": None}
    server = {
        "address": ["chat.example", 80],
        "ip_address": ["192.0.2.20", 80],
        "source_address": ["192.0.2.10", 50001],
        "timestamp_start": began,
        "timestamp_tcp_setup": began + 0.02,
        "timestamp_end": None,
        "via": None,
    }
    request = {
        "method": b"GET",
        "scheme": b"http",
        "host": "chat.example",
        "port": 80,
        "path": b"/api/ws/chat/echo?token=" + FAKE_JWT,
        "http_version": b"HTTP/1.1",
        "headers": [
            [b"Host", b"chat.example"],
            [b"Upgrade", b"websocket"],
            [b"Connection", b"Upgrade"],
            [b"Sec-WebSocket-Key", b"AAAAAAAAAAAAAAAAAAAAAA=="],
            [b"Sec-WebSocket-Version", b"13"],
        ],
        "content": b"",
        "timestamp_start": began + 0.03,
        "timestamp_end": began + 0.03,
    }
    response = {
        "status_code": 101,
        "reason": b"Switching Protocols",
        "http_version": b"HTTP/1.1",
        "headers": [[b"Upgrade", b"websocket"], [b"Connection", b"Upgrade"]],
        "content": b"",
        "timestamp_start": began + 0.05,
        "timestamp_end": began + 0.05,
    }
    shared = {"version": 10, "client_conn": client, "server_conn": server, "error": None, "intercepted": False}
    handshake = {
        **shared,
        "id": "00000000-0000-0000-0000-000000000001",
        "type": "http",
        "metadata": {"websocket": True},
        "request": request,
        "response": response,
    }
    established = json.dumps({"type": "connection_established", "data": {"bot_id": "echo"}}).encode()
    messages = {
        **shared,
        "id": "00000000-0000-0000-0000-000000000002",
        "type": "websocket",
        "metadata": {"websocket_handshake": "00000000-0000-0000-0000-000000000001"},
        "messages": [
            [1, False, established, began + 0.06, False],
            [1, True, PING.encode(), began + 5.06, False],
            [2, False, b"\x00\x01\x02", began + 5.08, False],
        ],
        "close_sender": "server",
        "close_code": 1001,
        "close_message": "(message missing)",
        "close_reason": "deploy",
        "server_conn": {**server, "timestamp_end": began + 60.0},
    }
    return net(handshake) + net(messages)


async def main(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in names or list(SCENARIOS):
            (HERE / f"{name}.flow").write_bytes(await run(name, Path(folder)))
    (HERE / "old-dialect-synthetic.flow").write_bytes(old_dialect())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
