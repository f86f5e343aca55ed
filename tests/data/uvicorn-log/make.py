"""Made the server logs in ``uvicorn-log``, ``gunicorn-log``, ``nginx-access`` and ``nginx-error`` with the real servers.

Run by hand: ``python tests/data/uvicorn-log/make.py [PYTHON_WITH_GUNICORN]``; nginx must be installed. The application
is below; tokens and paths of the machine are replaced before anything is kept.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
FAKE = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEiLCJleHAiOjE3OTU0NTMzMjV9.ZmFrZS1zaWduYXR1cmU"
SOCKET = f"/api/ws/chat/echo?token={FAKE}"


async def app(scope, receive, send) -> None:
    """A chat backend in forty lines."""
    if scope["type"] == "lifespan":
        while True:
            word = (await receive())["type"]
            await send({"type": f"{word}.complete"})
            if word.endswith("shutdown"):
                return
    elif scope["type"] == "http":
        await answer(scope, send)
    else:
        await receive()
        if b"token=" not in scope["query_string"]:
            await send({"type": "websocket.close", "code": 4001})
            return
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": '{"type":"connection_established","data":{"bot_id":"echo"}}'})
        while (message := await receive())["type"] == "websocket.receive":
            if message.get("text") == "boom":
                raise RuntimeError("no such bot")
            await send({"type": "websocket.send", "text": message["text"]})


async def answer(scope, send) -> None:
    path, method = scope["path"], scope["method"]
    if path == "/block":
        time.sleep(30)
    status = 200 if path.startswith("/api/") or path == "/block" or (path == "/health" and method == "GET") else 404
    if path == "/health" and method == "HEAD":
        status = 405
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def http(port: int, path: str, method: str = "GET", timeout: float = 5) -> None:
    try:
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
        urllib.request.urlopen(request, timeout=timeout).read()
    except (urllib.error.URLError, OSError):
        pass


def up(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit("the server does not come up")


async def visit(port: int, then: str = "close", path: str = SOCKET, wait: float = 0.3) -> None:
    """One client: ``close``, ``abort``, ``boom`` or ``stay`` until the other side ends it."""
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed, InvalidHandshake

    try:
        connection = await connect(f"ws://127.0.0.1:{port}{path}", ping_interval=None, proxy=None)
    except (InvalidHandshake, OSError):
        return
    try:
        await connection.recv()
        await asyncio.sleep(wait)
        if then == "boom":
            await connection.send("boom")
        if then == "abort":
            connection.transport.abort()
        elif then == "close":
            await connection.close()
        else:
            await asyncio.wait_for(connection.recv(), 12)
    except (ConnectionClosed, TimeoutError):
        pass


def scrub(path: Path, target: Path) -> None:
    text = path.read_text("utf-8", "replace").replace(str(HERE), "/app")
    text = re.sub(r'File "[^"]*/', 'File "/app/', text)
    text = re.sub(r"eyJ[\w-]+\.[\w-]+\.[\w-]+", FAKE, text)
    text = re.sub(r"\x1b\[\d+m", "", text)
    text = re.sub(r"/\S*/site-packages/|/\S*/\.gunicorn/", "/app/", text)
    text = re.sub(r"OS: Linux \S+", "OS: Linux 6.1.0", text)
    target.write_text(re.sub(r"/tmp/tmp\w+", "/app", text), "utf-8")


def start(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    return subprocess.Popen(command, stdout=log.open("wb"), stderr=subprocess.STDOUT, env=environment, cwd=HERE)


def uvicorn(name: str, *options: str, folder: Path) -> None:
    port, log = free_port(), folder / "uvicorn.log"
    server = start([sys.executable, "-m", "uvicorn", "make:app", "--port", str(port), *options], log)
    up(port)
    http(port, "/health", "HEAD")
    http(port, "/health")
    asyncio.run(visit(port, path="/api/ws/chat/echo"))
    asyncio.run(visit(port))
    asyncio.run(visit(port, "abort"))
    asyncio.run(visit(port, "boom"))
    http(port, "/api/conversations/bots/echo/chat", "POST")

    async def stop_under_two() -> None:
        clients = [asyncio.create_task(visit(port, "stay", wait=0)) for _ in range(2)]  # noqa: TID251
        await asyncio.sleep(0.6)
        server.send_signal(signal.SIGTERM)
        await asyncio.gather(*clients)

    asyncio.run(stop_under_two())
    server.wait(10)
    scrub(log, HERE / name)


def dated(folder: Path) -> Path:
    config = folder / "log.json"
    style = {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}
    handler = {"class": "logging.StreamHandler", "formatter": "dated", "stream": "ext://sys.stdout"}
    names = ("uvicorn", "uvicorn.error", "uvicorn.access")
    loggers = {name: {"handlers": ["out"], "level": "INFO", "propagate": False} for name in names}
    config.write_text(
        json.dumps({"version": 1, "formatters": {"dated": style}, "handlers": {"out": handler}, "loggers": loggers})
    )
    return config


def gunicorn(python: str, folder: Path) -> None:
    port, log = free_port(), folder / "gunicorn.log"
    worker = ["-w", "1", "-k", "uvicorn_worker.UvicornWorker", "--timeout", "2", "--graceful-timeout", "2"]
    server = start(
        [python, "-m", "gunicorn", "make:app", "-b", f"127.0.0.1:{port}", *worker, "--access-logfile", "-"], log
    )
    up(port)
    time.sleep(1)
    asyncio.run(visit(port))

    async def kill() -> None:
        clients = [asyncio.create_task(visit(port, "stay", wait=0)) for _ in range(2)]  # noqa: TID251
        await asyncio.sleep(0.6)
        await asyncio.to_thread(http, port, "/block", "GET", 6)
        await asyncio.gather(*clients)

    asyncio.run(kill())
    time.sleep(1.5)
    asyncio.run(visit(port))
    server.send_signal(signal.SIGTERM)
    server.wait(15)
    scrub(log, HERE.parent / "gunicorn-log" / "worker_timeout.log")


NGINX = """
daemon off; pid {folder}/nginx.pid; worker_processes 1; error_log {folder}/error.log info;
events {{ worker_connections 64; }}
http {{
  log_format timed '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
                   '"$http_referer" "$http_user_agent" rt=$request_time urt=$upstream_response_time';
  log_format json escape=json '{{"time":"$time_iso8601","method":"$request_method","uri":"$request_uri",'
                   '"status":$status,"request_time":$request_time,"upgrade":"$http_upgrade"}}';
  access_log {folder}/combined.log combined; access_log {folder}/timed.log timed; access_log {folder}/json.log json;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder};
  scgi_temp_path {folder};
  map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
  server {{
    listen 127.0.0.1:{port};
    proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
    proxy_set_header Host $host; proxy_read_timeout 2s;
    location / {{ proxy_pass http://127.0.0.1:{backend}; }}
    location /down/ {{ proxy_pass http://127.0.0.1:{nobody}; }}
  }}
}}
"""


def nginx(folder: Path) -> None:
    port, backend, nobody = free_port(), free_port(), free_port()
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port, backend=backend, nobody=nobody))
    command = [sys.executable, "-m", "uvicorn", "make:app", "--port", str(backend), "--ws", "websockets-sansio"]
    server = start(command, folder / "backend.log")
    up(backend)
    proxy = subprocess.Popen(["/usr/sbin/nginx", "-c", str(config), "-p", str(folder)], stderr=subprocess.DEVNULL)
    up(port)
    http(port, "/health", "HEAD")
    http(port, "/health")
    asyncio.run(visit(port))  # healthy
    asyncio.run(visit(port, path="/api/ws/chat/echo"))  # 403
    asyncio.run(visit(port, "stay", wait=0))  # idle: the proxy ends it after 2 s
    asyncio.run(visit(port, "abort"))
    asyncio.run(visit(port, "boom"))
    asyncio.run(visit(port, path="/down/api/ws/chat/echo?token=" + FAKE))  # 502

    async def killed() -> None:
        client = asyncio.create_task(visit(port, "stay", wait=0))  # noqa: TID251
        await asyncio.sleep(0.5)
        server.kill()
        await client

    asyncio.run(killed())
    server.wait(5)
    asyncio.run(visit(port))  # 502
    proxy.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    proxy.send_signal(signal.SIGTERM)
    proxy.wait(10)
    for name in ("combined", "timed", "json"):
        scrub(folder / f"{name}.log", HERE.parent / "nginx-access" / f"{name}.log")
    scrub(folder / "error.log", HERE.parent / "nginx-error" / "info.log")
    text = (HERE.parent / "nginx-error" / "info.log").read_text()
    default = "".join(line for line in text.splitlines(True) if "[info]" not in line and "[notice]" not in line)
    (HERE.parent / "nginx-error" / "default_level.log").write_text(default)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        for kind in ("auto", "websockets-sansio", "wsproto", "websockets"):
            uvicorn(f"{kind.replace('-', '_')}.log", "--ws", kind, folder=Path(place))
        uvicorn(
            "../websockets-log/uvicorn_debug.log",
            "--ws",
            "websockets-sansio",
            "--log-level",
            "debug",
            folder=Path(place),
        )
        uvicorn("dated.log", "--ws", "websockets", "--log-config", str(dated(Path(place))), folder=Path(place))
    with tempfile.TemporaryDirectory() as place:
        nginx(Path(place))
    if len(sys.argv) > 1:
        with tempfile.TemporaryDirectory() as place:
            gunicorn(sys.argv[1], Path(place))
