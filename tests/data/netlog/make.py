"""Makes the NetLogs in this folder: a real Chromium talks to the lab, then each log is scrubbed and trimmed.

Run by hand: ``python tests/data/netlog/make.py [NAME …]`` (Chromium at /usr/bin/chromium, or in ``CHROMIUM``). Only
loopback is talked to; the name that does not exist is answered by Chromium's own resolver rules.
"""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import json
import os
import re
import socket
import ssl
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import async_playwright

from chatkit.lab import LabServer

HERE = Path(__file__).parent
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FAKE_JWT = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEiLCJleHAiOjE3OTU0NTMzMjV9.ZmFrZS1zaWduYXR1cmU"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # What a browser asks for by itself is answered here.
    "--host-resolver-rules=MAP * ^NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]

OPEN = """
  const socket = new WebSocket(url);
  const closed = new Promise(done => socket.onclose = event => done([event.code, event.reason, event.wasClean]));
  const heard = type => new Promise(done => socket.addEventListener('message', event => {
    if (JSON.parse(event.data).type === type) done(event.data);
  }));
  const pause = ms => new Promise(done => setTimeout(done, ms));
"""
TALK = (
    OPEN
    + """
  await heard('connection_established');
  await fetch('/health', {method: 'HEAD'});
  await fetch('/health');
  const pong = heard('pong');
  socket.send(JSON.stringify({type: 'ping', timestamp: new Date().toISOString()}));
  await pong;
  const reply = heard('chat_response');
  await fetch(`/api/conversations/bots/${bot}/chat`, {
    method: 'POST',
    headers: {'Content-Type': 'application/json', 'Authorization': 'Bearer ' + token},
    body: JSON.stringify({message: 'hello'}),
  });
  await reply;
  socket.close(1000);
  return await closed;
"""
)
PING_AT_ONCE = (
    OPEN
    + """
  await heard('connection_established');
  socket.send(JSON.stringify({type: 'ping', timestamp: new Date().toISOString()}));
  return await closed;
"""
)
TYPE = (
    OPEN
    + """
  await heard('connection_established');
  await pause(200);
  socket.send(JSON.stringify({type: 'typing', data: {is_typing: true}}));
  return await closed;
"""
)
WAIT = OPEN + "return await closed;"


@asynccontextmanager
async def tls_in_front(port: int) -> AsyncIterator[int]:
    """A TLS end with a certificate that nobody trusts; gives its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = self_signed(Path(folder))
        context.load_cert_chain(certificate, key)

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, outer), pump(inner, writer), return_exceptions=True)

    server = await asyncio.start_server(relay, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost that is its own issuer."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    paths[1].write_bytes(key.private_bytes(pem, form, plain))
    return paths


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


async def browse(log: Path, page_url: str, script: str, arguments: dict[str, Any], *flags: str, mode: str) -> None:
    """Runs ``script`` in a page of ``page_url`` and leaves the NetLog of that browser's whole life."""
    options = [*FLAGS, *flags, f"--log-net-log={log}", f"--net-log-capture-mode={mode}"]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        page = await browser.new_page()
        await page.goto(page_url)
        names = ", ".join(arguments)
        result = await page.evaluate(f"async ({{{names}}}) => {{ {script} }}", arguments)
        sys.stdout.write(f"{log.stem}: {result}\n")
        await page.wait_for_timeout(200)
        await browser.close()


async def run(name: str, folder: Path, script: str, *faults: str, mode: str = "IncludeSensitive") -> Path:
    """One scenario against a lab of its own."""
    log = folder / f"{name}.json"
    async with LabServer(faults=faults) as lab:
        bot = lab.bots[0].id
        token = FAKE_JWT if name.startswith("refused") else lab.token
        url = f"{lab.ws_url}/api/ws/chat/{bot}?token={token}"
        flags: list[str] = []
        arguments = {"url": url, "bot": bot, "token": token}
        if name == "connection-refused":
            arguments["url"] = url.replace(lab.ws_url, f"ws://127.0.0.1:{closed_port()}")
        if name == "dns-failure":
            arguments["url"] = url.replace(lab.ws_url, "ws://chat.invalid")
        if name.startswith("tls"):
            async with tls_in_front(int(lab.url.rpartition(":")[2])) as port:
                arguments["url"] = url.replace(lab.ws_url, f"wss://localhost:{port}")
                if name == "tls-healthy":
                    flags.append("--ignore-certificate-errors")
                await browse(log, f"{lab.url}/health", script, arguments, *flags, mode=mode)
        else:
            await browse(log, f"{lab.url}/health", script, arguments, *flags, mode=mode)
    return log


SCENARIOS: dict[str, tuple[Any, ...]] = {
    "healthy": (TALK,),
    "healthy-default-mode": (TALK,),
    "early-ping-abort": (PING_AT_ONCE, "early-ping-abort:window=3"),
    "refused-403": (WAIT,),
    "server-close-1011": (TYPE, "server-error:on=typing"),
    "connection-refused": (WAIT,),
    "dns-failure": (WAIT,),
    "idle-fin": (WAIT, "idle-timeout:timeout=1.5"),
    "tls-failure": (WAIT,),
    "tls-healthy": (TYPE, "server-error:on=typing"),
}


JWT = re.compile(r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
OURS = ("//127.0.0.1", "//localhost", "//chat.invalid")
BULKY = ("SSL_HANDSHAKE_MESSAGE_", "CERT_VERIF", "SSL_CLIENT_TRUST", "SSL_CERTIFICATES", "SSL_CONNECT_JOB_SSL_CONNECT")


def trim(log: Path) -> str:
    """What concerns our own requests, in the layout of Chrome; no token, nothing of this machine."""
    whole = json.loads(log.read_text("utf-8"))
    constants = whole["constants"]
    names = {number: name for name, number in constants["logEventTypes"].items()}
    kinds = {number: name for name, number in constants["logSourceType"].items()}
    events = [event for event in whole["events"] if not names[event["type"]].startswith(BULKY)]
    kept = ours(events, kinds)
    events = [event for event in events if event["source"]["id"] in kept]
    types = {event["type"] for event in events}
    sources = {event["source"]["type"] for event in events}
    short = {
        "clientInfo": {key: constants["clientInfo"][key] for key in ("name", "version")},
        "logCaptureMode": constants["logCaptureMode"],
        "logEventPhase": constants["logEventPhase"],
        "logEventTypes": {name: n for name, n in constants["logEventTypes"].items() if n in types},
        "logFormatVersion": constants["logFormatVersion"],
        "logSourceType": {name: n for name, n in constants["logSourceType"].items() if n in sources},
        "netError": constants["netError"],
        "timeTickOffset": constants["timeTickOffset"],
    }
    lines = ",\n".join(json.dumps(event, separators=(",", ":"), sort_keys=True) for event in events)
    head = json.dumps(short, separators=(",", ":"))
    return JWT.sub(FAKE_JWT, f'{{"constants":{head},\n"events": [\n{lines}],\n"polledData": [{{}}]\n}}\n')


def ours(events: list[dict[str, Any]], kinds: dict[int, str]) -> set[int]:
    """Ids of the sources that belong to requests of our page."""

    def is_ours(event: dict[str, Any]) -> bool:
        kind, url = kinds[event["source"]["type"]], str(event.get("params", {}).get("url", ""))
        return kind == "WEBSOCKET_CHANNEL" or (kind == "URL_REQUEST" and any(host in url for host in OURS))

    kept = {event["source"]["id"] for event in events if is_ours(event)}
    size = 0
    while len(kept) > size:
        size = len(kept)
        for event in events:
            other = event.get("params", {}).get("source_dependency", {}).get("id")
            if other is not None and (event["source"]["id"] in kept or other in kept):
                kept |= {event["source"]["id"], other}
    return kept


async def main(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in names or list(SCENARIOS):
            mode = "Default" if name.endswith("default-mode") else "IncludeSensitive"
            log = await run(name, Path(folder), *SCENARIOS[name], mode=mode)
            if keep := os.environ.get("KEEP_RAW"):
                (Path(keep) / log.name).write_bytes(log.read_bytes())
            (HERE / f"{name}.json").write_text(trim(log), "utf-8")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
