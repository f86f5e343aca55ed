"""Made the logs beside it: websockets 17 at level DEBUG, against the lab and against a small server of its own.

Run by hand: ``python tests/data/websockets-log/make.py``. Tokens are replaced before anything is kept.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import subprocess
import sys
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

HERE = Path(__file__).parent
FAKE = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEiLCJleHAiOjE3OTU0NTMzMjV9.ZmFrZS1zaWduYXR1cmU"
PING = '{"type":"ping","timestamp":"2026-11-24T08:00:00Z"}'
FORMATS = {
    "asctime": "%(asctime)s %(levelname)s %(name)s %(message)s",
    "basic": "%(levelname)s:%(name)s:%(message)s",
    "bare": "%(message)s",
    "bracketed": "[%(asctime)s] [%(process)d] [%(levelname)s] %(message)s",
}


class Log:
    """Everything that websockets says, into one file."""

    def __init__(self, name: str, style: str, only: str = "websockets") -> None:
        self.path, self.only = HERE / name, only
        self.handler = logging.FileHandler(self.path, "w")
        self.handler.setFormatter(logging.Formatter(FORMATS[style]))

    def __enter__(self) -> None:
        logging.getLogger(self.only).addHandler(self.handler)

    def __exit__(self, *_: object) -> None:
        logging.getLogger(self.only).removeHandler(self.handler)
        self.handler.close()
        text = re.sub(r"eyJ[\w-]+\.[\w-]+\.[\w-]+", FAKE, self.path.read_text())
        self.path.write_text(re.sub(r'File "[^"]*/', 'File "/app/', re.sub(r"\[\d{3,}\]", "[4242]", text)))


def lab(*faults: str) -> tuple[subprocess.Popen[str], dict]:
    command = [sys.executable, "-m", "chatkit", "lab"] + [part for fault in faults for part in ("--fault", fault)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    return process, json.loads(process.stdout.readline())


def url(ready: dict) -> str:
    return f"{ready['ws_url']}/api/ws/chat/echo?token={ready['token']}"


async def against(name: str, style: str, faults: tuple[str, ...], story) -> None:
    process, ready = lab(*faults)
    try:
        with Log(name, style, "websockets.client"):
            await asyncio.wait_for(story(url(ready)), 30)
    finally:
        process.terminate()
        process.wait(10)


async def healthy(where: str) -> None:
    async with connect(where, ping_interval=0.6) as socket:
        await socket.recv()
        await socket.send(PING)
        await socket.recv()
        await asyncio.sleep(0.8)


async def loop(where: str) -> None:
    for _ in range(3):
        try:
            async with connect(where, ping_interval=None) as socket:
                await socket.send(PING)
                while True:
                    await socket.recv()
        except ConnectionClosed:
            await asyncio.sleep(0.3)


async def refused(where: str) -> None:
    try:
        async with connect(where):
            pass
    except InvalidStatus:
        pass


async def typing(where: str) -> None:
    async with connect(where) as socket:
        await socket.recv()
        await socket.send('{"type":"typing","data":{"is_typing":true}}')
        try:
            await socket.recv()
        except ConnectionClosed:
            pass


async def quiet(where: str) -> None:
    async with connect(where, ping_interval=0.5, ping_timeout=0.5) as socket:
        try:
            while True:
                await socket.recv()
        except ConnectionClosed:
            pass


async def handler(socket) -> None:
    await socket.send('{"type":"connection_established","data":{"bot_id":"echo"}}')
    async for message in socket:
        if "boom" in message:
            raise RuntimeError("no such bot")
        await socket.send(message)


async def server_side() -> None:
    with Log("server_exception.log", "asctime", "websockets.server"):
        async with serve(handler, "127.0.0.1", 0, ping_interval=None) as server:
            port = server.sockets[0].getsockname()[1]
            where = f"ws://127.0.0.1:{port}/api/ws/chat/echo?token={FAKE}"
            async with connect(where) as socket:
                await socket.recv()
                await socket.send("boom")
                try:
                    await socket.recv()
                except ConnectionClosed:
                    pass
            socket = await connect(where)
            await socket.recv()
            socket.transport.abort()
            await asyncio.sleep(0.2)
    with Log("both_sides.log", "asctime"):
        async with serve(handler, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            where = f"ws://127.0.0.1:{port}/api/ws/chat/echo?token={FAKE}"
            async with connect(where) as one:
                await one.recv()
                async with connect(where) as two:
                    await two.recv()
                    await one.send("first")
                    await one.recv()
                await one.send("still here")
                await one.recv()


async def main() -> None:
    logging.getLogger("websockets").setLevel(logging.DEBUG)
    await against("healthy.log", "asctime", (), healthy)
    await against("early_ping_abort.log", "basic", ("early-ping-abort:window=3",), loop)
    await against("refused.log", "bare", ("auth-rejected",), refused)
    await against("server_error.log", "bracketed", ("server-error",), typing)
    await against("keepalive_timeout.log", "asctime", ("no-pong:kind=both",), quiet)
    await against("idle_timeout.log", "asctime", ("idle-timeout:timeout=1",), quiet_until)
    await server_side()


async def quiet_until(where: str) -> None:
    async with connect(where, ping_interval=None) as socket:
        try:
            while True:
                await socket.recv()
        except ConnectionClosed:
            pass


if __name__ == "__main__":
    asyncio.run(main())
