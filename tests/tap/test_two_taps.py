"""A real proxy between two taps: merged, their recordings say which side of the hop ended the connection."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

import chatkit
from chatkit import cli
from chatkit.lab import LabServer
from chatkit.tap import Tap
from conftest import PATIENCE
from tests.incidents.processes import MissingProgram, Program, find_program, folder, free_port, running

NGINX = """
{user} daemon off; worker_processes 1; pid {place}/nginx.pid; error_log {place}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {place}/a; proxy_temp_path {place}/b; fastcgi_temp_path {place}/c;
  uwsgi_temp_path {place}/d; scgi_temp_path {place}/e;
  server {{ listen 127.0.0.1:{port}; location / {{
    proxy_pass http://127.0.0.1:{behind}; proxy_http_version 1.1; proxy_read_timeout 2s;
    proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }} }}
}}
"""
HAPROXY = """
defaults
  mode http
  timeout connect 2s
  timeout client 1h
  timeout server 1h
  timeout tunnel 2s
frontend front
  bind 127.0.0.1:{port}
  default_backend chat
backend chat
  server lab 127.0.0.1:{behind}
"""
Proxy = Callable[[str], AbstractAsyncContextManager[str]]


@asynccontextmanager
async def nginx(to: str) -> AsyncIterator[str]:
    """The URL of an nginx whose ``proxy_read_timeout`` is two seconds."""
    async with folder() as place:
        user = "user root;" if os.geteuid() == 0 else ""
        port, configuration = free_port(), place / "nginx.conf"
        configuration.write_text(NGINX.format(user=user, place=place, port=port, behind=to.rpartition(":")[2]))
        command = [program("nginx"), "-p", str(place), "-e", str(place / "error.log"), "-c", str(configuration)]
        async with running(Program(command, port=port, log=place / "log")):
            yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def haproxy(to: str) -> AsyncIterator[str]:
    """The URL of an HAProxy whose ``timeout tunnel`` is two seconds."""
    async with folder() as place:
        port, configuration = free_port(), place / "haproxy.cfg"
        configuration.write_text(HAPROXY.format(port=port, behind=to.rpartition(":")[2]))
        command = [program("haproxy"), "-db", "-f", str(configuration)]
        async with running(Program(command, port=port, log=place / "log")):
            yield f"http://127.0.0.1:{port}"


def program(name: str) -> str:
    """Its path; without it the test is skipped."""
    try:
        return find_program(name)
    except MissingProgram as error:
        pytest.skip(str(error))


async def around(proxy: Proxy, behind: LabServer, place: Path, *, lives: Iterable[int], close: bool) -> None:
    """Connections through a tap, a proxy and a tap; they end by themselves unless ``close``; ``lives`` are their pings."""
    async with (
        Tap(behind.url, out=place / "behind.jsonl") as back,
        proxy(back.url) as hop,
        Tap(hop, out=place / "front.jsonl") as front,
    ):
        await asyncio.gather(*(live(f"{front.ws_url}/api/ws/chat/echo?token={behind.token}", n, close) for n in lives))


async def live(url: str, pings: int, close: bool) -> None:
    """One life: so many pings of the application, then silence."""
    async with connect(url, proxy=None, ping_interval=None) as websocket, asyncio.timeout(PATIENCE):
        await websocket.recv()
        with suppress(ConnectionClosed):
            for _ in range(pings):
                # Lives of different length, so that no age explains their end.
                await asyncio.sleep(0.6)
                await websocket.send('{"type": "ping"}')
        if not close:
            await websocket.wait_closed()


@pytest.mark.parametrize("proxy", [nginx, haproxy])
async def test_the_hop_itself_ended_it(lab, tmp_path, capsys, proxy) -> None:
    """In front of it the server's side acted first, behind it the client's: so what stands between did."""
    await around(proxy, await lab(), tmp_path, lives=range(6), close=False)
    front, behind = (chatkit.load(tmp_path / f"{name}.jsonl") for name in ("front", "behind"))
    assert {connection.ending.first for connection in front.connections} == {"server"}
    assert {connection.ending.first for connection in behind.connections} == {"client"}
    trace = chatkit.merge(front, behind, names=["front", "behind"])
    assert [connection.vantages for connection in trace.connections] == [("front", "behind")] * 6
    assert all(connection.ending.between for connection in trace.connections)
    assert [vantage.place for vantage in trace.header.vantages] == [0, 1]
    diagnosis = chatkit.diagnose(trace)
    assert (diagnosis.verdict, diagnosis.causes[0].id, diagnosis.causes[0].who) == ("fault", "idle-timeout", "proxy")
    assert cli.main(["inspect", str(tmp_path / "front.jsonl"), str(tmp_path / "behind.jsonl")]) == 1
    assert "idle-timeout" in capsys.readouterr().out


@pytest.mark.parametrize("proxy", [nginx, haproxy])
@pytest.mark.parametrize("who", ["client", "server"])
async def test_the_hop_only_passed_it_on(lab, tmp_path, proxy, who) -> None:
    """Both sides of it saw the same one act first."""
    faults = ["max-lifetime:age=0.3"] if who == "server" else []
    await around(proxy, await lab(*faults), tmp_path, lives=(0, 1), close=who == "client")
    trace = chatkit.merge(chatkit.load(tmp_path / "front.jsonl"), chatkit.load(tmp_path / "behind.jsonl"))
    assert trace.vantage_names == ("tap", "tap-2")
    for connection in trace.connections:
        assert (connection.vantages, connection.ending.first) == (("tap", "tap-2"), who)
        assert not connection.ending.between
