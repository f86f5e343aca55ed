"""Makes the captures beside it with tcpdump, dumpcap and editcap on loopback; run by hand, as root, never by a test.

    PYTHONPATH=. python tests/data/pcap/make.py [NAME …]

Tokens are scrubbed in the files: their signatures are replaced by a filler of the same length.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import re
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import uvicorn
import websockets
from websockets.exceptions import ConnectionClosed, InvalidStatus

from chatkit.lab import LabServer

HERE = Path(__file__).parent
NG = HERE.parent / "pcapng"
FAKE = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEiLCJleHAiOjE3OTU0NTMzMjV9.ZmFrZS1zaWduYXR1cmU"
_JWT = re.compile(rb"(eyJ[A-Za-z0-9_-]{5,}\.eyJ[A-Za-z0-9_-]*\.)([A-Za-z0-9_-]+)")
_PASSWORD = re.compile(rb'("(?:password|refresh_token)": ?")([^"]+)')


def scrub(data: bytes) -> bytes:
    """The same bytes with fake signatures; lengths stay."""

    def fake(match: re.Match[bytes]) -> bytes:
        filler = b"ZmFrZS1zaWduYXR1cmU" * 20
        return match[1] + filler[: len(match[2])]

    data = _JWT.sub(fake, data)
    return _PASSWORD.sub(lambda match: match[1] + b"x" * len(match[2]), data)


@contextlib.contextmanager
def captured(name: str, filter: str, *, device: str = "lo", snap: int = 0, folder: Path = HERE) -> Iterator[None]:
    """tcpdump while the block runs."""
    path = folder / name
    command = [
        "tcpdump",
        "-i",
        device,
        "-U",
        "--immediate-mode",
        "-Z",
        "root",
        "-s",
        str(snap),
        "-w",
        str(path),
        *filter.split(),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as dump:
        assert dump.stderr is not None
        while "listening" not in dump.stderr.readline():
            pass
        time.sleep(0.3)
        try:
            yield
        finally:
            time.sleep(0.5)
            dump.terminate()
            dump.wait()
    path.write_bytes(scrub(path.read_bytes()))


def url(lab: LabServer, bot: str = "echo") -> str:
    return f"{lab.url.replace('http', 'ws')}/api/ws/chat/{bot}?token={lab.token}"


def port(lab: LabServer) -> str:
    return lab.url.rpartition(":")[2]


def say(type_: str, **rest: object) -> str:
    return json.dumps({"type": type_} | rest)


async def until_over(ws: websockets.ClientConnection) -> None:
    with contextlib.suppress(ConnectionClosed):
        async with asyncio.timeout(8):
            async for _ in ws:
                pass


async def ping_at_once(lab: LabServer) -> None:
    async with websockets.connect(url(lab), compression=None, ping_interval=None) as ws:
        await ws.recv()
        await ws.send(say("ping", timestamp="2026-11-24T08:00:00Z"))
        await until_over(ws)


def ping_abort(name: str, how: str, **options: Any) -> None:
    with LabServer(
        faults=[f"early-ping-abort:window=3,delay=0.2,how={how}"], host=options.pop("host", "127.0.0.1")
    ) as lab:
        with captured(name, f"port {port(lab)}", **options):
            asyncio.run(ping_at_once(lab))


async def whole_life(lab: LabServer, compression: str | None = "deflate") -> None:
    headers = {"Authorization": f"Bearer {lab.token}"}
    async with httpx.AsyncClient(base_url=lab.url, headers=headers) as api:
        await api.get("/health")
        await api.head("/health")
        async with websockets.connect(url(lab), compression=compression, ping_interval=None) as ws:
            await ws.recv()
            await ws.send(say("typing", data={"is_typing": True}))
            await api.post("/api/conversations/bots/echo/chat", json={"message": "hello lighthouse"})
            await ws.send(say("ping", timestamp="2026-11-24T08:00:00Z"))
            await (await ws.ping(b"beat"))
            for _ in range(3):
                await ws.recv()
            await api.get("/api/bots/nobody")


def healthy(name: str = "healthy-deflate.pcap", **options: Any) -> None:
    with LabServer() as lab, captured(name, f"port {port(lab)}", **options):
        asyncio.run(whole_life(lab))


async def typing(lab: LabServer) -> None:
    async with websockets.connect(url(lab), ping_interval=None) as ws:
        await ws.recv()
        await ws.send(say("typing", data={"is_typing": True}))
        await until_over(ws)


def server_error() -> None:
    with LabServer(faults=["server-error:on=typing"]) as lab, captured("close-1011.pcap", f"port {port(lab)}"):
        asyncio.run(typing(lab))


def refused_403() -> None:
    async def knock(lab: LabServer) -> None:
        for _ in range(2):
            with contextlib.suppress(InvalidStatus):
                await websockets.connect(url(lab))

    with LabServer(faults=["auth-rejected:when=before"]) as lab, captured("refused-403.pcap", f"port {port(lab)}"):
        asyncio.run(knock(lab))


def refused_port() -> None:
    """The server comes back after two attempts that nobody hears."""

    async def knock(target: str) -> None:
        with contextlib.suppress(OSError):
            await websockets.connect(target)

    with LabServer() as lab:
        number = port(lab)
    with captured("refused-port.pcap", f"port {number}"):
        for _ in range(2):
            asyncio.run(knock(f"ws://127.0.0.1:{number}/api/ws/chat/echo"))
            time.sleep(0.2)
        with LabServer(port=int(number)) as lab:
            asyncio.run(whole_life(lab, None))


def unheard() -> None:
    """A listener whose queue is full answers no SYN."""
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        number = listener.getsockname()[1]
        fillers = []
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", number))
            fillers.append(filler)
        time.sleep(0.2)
        fillers.pop().close()
        with captured(
            "no-answer.pcap",
            f"port {number} and not port {fillers[0].getsockname()[1]} and not port {fillers[1].getsockname()[1]}",
        ):
            with socket.socket() as client:
                client.settimeout(3.5)
                with contextlib.suppress(OSError):
                    client.connect(("127.0.0.1", number))
        for filler in fillers:
            filler.close()


def middle(name: str = "mid-stream.pcap") -> None:
    async def main(lab: LabServer) -> None:
        async with websockets.connect(url(lab), compression="deflate", ping_interval=None) as ws:
            await ws.recv()
            await ws.send(say("ping", timestamp="2026-11-24T08:00:00Z"))
            await ws.recv()
            with captured(name, f"port {port(lab)}"):
                for n in range(3):
                    await ws.send(say("ping", timestamp=f"2026-11-24T08:00:0{n + 1}Z"))
                    await ws.recv()
                    await asyncio.sleep(0.05)
                await ws.close(1000, "goodbye")

    with LabServer() as lab:
        asyncio.run(main(lab))


def black_hole() -> None:
    async def main(lab: LabServer) -> None:
        ws = await websockets.connect(url(lab), compression=None, ping_interval=None)
        await ws.recv()
        for n in range(7):
            with contextlib.suppress(ConnectionClosed):
                await ws.send(say("ping", timestamp=f"2026-11-24T08:00:0{n}Z"))
            await asyncio.sleep(0.5)
        ws.transport.abort()

    with LabServer(faults=["black-hole:after=1"]) as lab, captured("black-hole.pcap", f"port {port(lab)}"):
        asyncio.run(main(lab))


# TLS


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Says hello, echoes, and answers any HTTP request."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": say("connection_established")})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": say("pong", echo=message["text"][:2000])})


def certificate(folder: Path) -> tuple[str, str]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "chat.example")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now).not_valid_after(now + timedelta(days=30))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (folder / "key.pem").write_bytes(pem)
    return str(folder / "cert.pem"), str(folder / "key.pem")


@contextlib.contextmanager
def tls_server(folder: Path) -> Iterator[int]:
    cert, key = certificate(folder)
    config = uvicorn.Config(
        application,
        port=0,
        ssl_certfile=cert,
        ssl_keyfile=key,
        lifespan="off",
        log_level="warning",
        ws_ping_interval=None,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


def tls(version: ssl.TLSVersion, stem: str, ciphers: str | None = None) -> None:
    async def main(number: int, keys: str) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version = context.maximum_version = version
        if ciphers:
            context.set_ciphers(ciphers)
        context.keylog_filename = keys
        target = f"wss://127.0.0.1:{number}/api/ws/chat/echo?token={FAKE}"
        async with websockets.connect(target, ssl=context, server_hostname="chat.example", ping_interval=None) as ws:
            await ws.recv()
            for text in ("one", "two", "x" * 3000):
                await ws.send(say("message", text=text))
                await ws.recv()

    with tempfile.TemporaryDirectory() as name, tls_server(Path(name)) as number:
        keys = str(HERE / f"{stem}.keys")
        Path(keys).unlink(missing_ok=True)
        with captured(f"{stem}.pcap", f"port {number}"):
            asyncio.run(main(number, keys))


def tls_all() -> None:
    tls(ssl.TLSVersion.TLSv1_3, "tls13-keys")
    tls(ssl.TLSVersion.TLSv1_2, "tls12-keys", "ECDHE-ECDSA-AES256-GCM-SHA384")
    tls(ssl.TLSVersion.TLSv1_2, "tls12-chacha-keys", "ECDHE-ECDSA-CHACHA20-POLY1305")
    (HERE / "tls13-no-keys.pcap").write_bytes((HERE / "tls13-keys.pcap").read_bytes())
    (HERE / "tls12-no-keys.pcap").write_bytes((HERE / "tls12-keys.pcap").read_bytes())
    secrets = f"tls,{HERE / 'tls13-keys.keys'}"
    out = NG / "tls13-dsb.pcapng"
    subprocess.run(["editcap", "--inject-secrets", secrets, str(HERE / "tls13-keys.pcap"), str(out)], check=True)


def ng() -> None:
    subprocess.run(["editcap", str(HERE / "ping-abort-rst.pcap"), str(NG / "ping-abort-rst.pcapng")], check=True)


def zipped() -> None:
    data = (HERE / "close-1011.pcap").read_bytes()
    (HERE / "close-1011-gzipped.pcap.gz").write_bytes(gzip.compress(data, mtime=0))


MADE: dict[str, Callable[[], None]] = {
    "rst": lambda: ping_abort("ping-abort-rst.pcap", "rst"),
    "fin": lambda: ping_abort("ping-abort-fin.pcap", "fin"),
    "any": lambda: ping_abort("ping-abort-any-sll2.pcap", "rst", device="any"),
    "ipv6": lambda: ping_abort("ping-abort-ipv6.pcap", "rst", host="::1"),
    "healthy": healthy,
    "snap": lambda: healthy("healthy-snaplen-96.pcap", snap=96),
    "1011": server_error,
    "403": refused_403,
    "refused": refused_port,
    "unheard": unheard,
    "middle": middle,
    "hole": black_hole,
    "tls": tls_all,
    "ng": ng,
    "zipped": zipped,
}

if __name__ == "__main__":
    os.umask(0o022)
    for name in sys.argv[1:] or MADE:
        print(name, flush=True)  # noqa: T201
        MADE[name]()
