"""Makes the evidence that the runbooks read, with real tools on loopback; run by hand, as root, never by a test.

    PYTHONPATH=. python tests/data/runbooks/make.py [browser] [wire] [tls] [two]

Chromium (at /usr/bin/chromium, or in ``CHROMIUM``) writes HAR and NetLog in one session, tcpdump the captures, the
library ``websockets`` its debug log. Tokens are scrubbed in the files. Both ends of ``two`` are one machine: editcap
sets the clock of the server's capture ahead.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType

import websockets
from playwright.async_api import async_playwright
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from chatkit.lab import LabServer

HERE = Path(__file__).parent
SERVER_AHEAD = 3.2
"""Seconds by which the clock of the server's capture is ahead."""


def maker(folder: str) -> ModuleType:
    """The script that makes the evidence of another folder."""
    spec = importlib.util.spec_from_file_location(f"make_{folder.replace('-', '_')}", HERE.parent / folder / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


netlogs, captures, logs = maker("netlog"), maker("pcap"), maker("websockets-log")

# One Chromium session, its HAR and its NetLog

LOOP = """
async ({url}) => {
  const pause = ms => new Promise(done => setTimeout(done, ms));
  const codes = [];
  for (let life = 0; life < 3; life++) {
    const socket = new WebSocket(url);
    const closed = new Promise(done => socket.onclose = event => done(event.code));
    await new Promise(done => socket.addEventListener('message', done, {once: true}));
    socket.send(JSON.stringify({type: 'ping', timestamp: new Date().toISOString()}));
    codes.push(await closed);
    await pause(700);
  }
  return codes;
}
"""


async def browse(lab: LabServer, folder: Path) -> None:
    log = folder / "netlog.json"
    options = [*netlogs.FLAGS, f"--log-net-log={log}", "--net-log-capture-mode=IncludeSensitive"]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=netlogs.CHROMIUM, args=options)
        context = await browser.new_context(record_har_path=folder / "session.har", record_har_mode="full")
        page = await context.new_page()
        await page.goto(f"{lab.url}/health")
        print(await page.evaluate(LOOP, {"url": captures.url(lab)}))  # noqa: T201
        await context.close()
        await browser.close()


def browser() -> None:
    with tempfile.TemporaryDirectory() as name, LabServer(faults=["early-ping-abort:window=3"]) as lab:
        asyncio.run(browse(lab, Path(name)))
        (HERE / "browser-netlog.json").write_text(netlogs.trim(Path(name) / "netlog.json"), "utf-8")
        har = json.loads((Path(name) / "session.har").read_text("utf-8"))
        text = netlogs.JWT.sub(netlogs.FAKE_JWT, json.dumps(har, indent=1))
        (HERE / "browser-har.har").write_text(text, "utf-8")


# The wire


async def lives(lab: LabServer, count: int, quiet: float) -> None:
    """Some lives, one after the other: a ping after ``quiet`` seconds, then whatever comes."""
    for _ in range(count):
        async with websockets.connect(captures.url(lab), compression=None, ping_interval=None) as ws:
            await ws.recv()
            await asyncio.sleep(quiet)
            await ws.send(captures.say("ping", timestamp="2026-11-24T08:00:00Z"))
            with contextlib.suppress(ConnectionClosed, TimeoutError):
                async with asyncio.timeout(2):
                    async for _ in ws:
                        pass
        await asyncio.sleep(0.5)


def wire() -> None:
    for name, count, quiet in (("wire-incident.pcap", 3, 0.05), ("wire-healthy.pcap", 2, 3.5)):
        with LabServer(faults=["early-ping-abort:window=3"]) as lab:
            with captures.captured(name, f"port {captures.port(lab)}", folder=HERE):
                asyncio.run(lives(lab, count, quiet))


def reset(transport: asyncio.BaseTransport) -> None:
    """Ends TCP with a RST."""
    raw: socket.socket = transport.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()  # type: ignore[attr-defined]


async def aborting(ws: ServerConnection) -> None:
    """The incident's server, for TLS."""
    await ws.send(captures.say("connection_established", data={"bot_id": "echo"}))
    await ws.recv()
    await asyncio.sleep(0.2)
    reset(ws.transport)


async def encrypted(folder: Path, keys: Path) -> None:
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(*captures.certificate(folder))
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    theirs.check_hostname, theirs.verify_mode = False, ssl.CERT_NONE
    theirs.keylog_filename = str(keys)
    async with serve(aborting, "127.0.0.1", 0, ssl=ours, compression=None, ping_interval=None) as server:
        port = server.sockets[0].getsockname()[1]
        target = f"wss://127.0.0.1:{port}/api/ws/chat/echo?token={captures.FAKE}"
        with captures.captured("wire-tls.pcap", f"port {port}", folder=HERE):
            async with websockets.connect(target, ssl=theirs, compression=None, ping_interval=None) as ws:
                await ws.recv()
                await ws.send(captures.say("ping", timestamp="2026-11-24T08:00:00Z"))
                await captures.until_over(ws)


def tls() -> None:
    keys = HERE / "wire-tls.keys"
    keys.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(encrypted(Path(name), keys))


# Two places, and a hop between them


def hop(port: int) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """A proxy that passes everything on but a close frame of the server: it drops both sides instead."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, from_server: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if from_server and data[0] == 0x88:
                    break
                writer.write(data)
        writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, outer, from_server=False), pump(inner, writer, from_server=True))

    return relay


async def through(lab: LabServer) -> None:
    """Three lives that end at the first typing indicator, after a few pings."""
    relay = await asyncio.start_server(hop(int(captures.port(lab))), "127.0.0.1", 0)
    async with relay:
        where = captures.url(lab).replace(captures.port(lab), str(relay.sockets[0].getsockname()[1]))
        for _ in range(3):
            async with websockets.connect(where, compression=None, ping_interval=None) as ws:
                await ws.recv()
                for n in range(3):
                    await ws.send(captures.say("ping", timestamp=f"2026-11-24T08:00:0{n}Z"))
                    await ws.recv()
                    await asyncio.sleep(0.1 + 0.13 * n)
                await ws.send(captures.say("typing", data={"is_typing": True}))
                await captures.until_over(ws)
            await asyncio.sleep(0.5)


def two() -> None:
    import logging

    logging.getLogger("websockets").setLevel(logging.DEBUG)
    logs.HERE = HERE
    with LabServer(faults=["server-error:on=typing"]) as lab:
        with captures.captured("server-side.pcap", f"port {captures.port(lab)}", folder=HERE):
            with logs.Log("client-side.log", "asctime", "websockets.client"):
                asyncio.run(through(lab))
    path, shifted = HERE / "server-side.pcap", HERE / "shifted.pcap"
    subprocess.run(["editcap", "-F", "pcap", "-t", str(SERVER_AHEAD), str(path), str(shifted)], check=True)
    shifted.replace(path)


MADE = {"browser": browser, "wire": wire, "tls": tls, "two": two}

if __name__ == "__main__":
    os.umask(0o022)
    for name in sys.argv[1:] or MADE:
        MADE[name]()
