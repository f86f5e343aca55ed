"""The recording tap: what the two sides did is in the trace, whatever it was."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import time
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

import chatkit
from chatkit.errors import InvalidInput
from chatkit.events import AttemptFailed, FrameReceived, HttpFailed, HttpRequested, Noted, TransportEnded
from chatkit.tap import Tap, pair, reaching, recorded
from chatkit.tap.certificates import local_certificate
from chatkit.tap.recording import listen_at
from chatkit.tap.side import reset_at_close
from conftest import PATIENCE, until

UPGRADE = b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: k\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


class Upstream:
    """A bare server behind a tap, and a bare client in front of it."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.socks: list[socket.socket] = []

    def __enter__(self) -> Upstream:
        return self

    def __exit__(self, *exc: object) -> None:
        for sock in (self.listener, *self.socks):
            sock.close()

    async def join(self, tap: Tap) -> tuple[socket.socket, socket.socket]:
        """Client and server of a WebSocket that is open through the tap."""
        client = await self.client(tap)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(PATIENCE):
            server, _ = await loop.sock_accept(self.listener)
            self.socks.append(server)
            await loop.sock_sendall(client, UPGRADE)
            assert await loop.sock_recv(server, 9999) == UPGRADE
            await loop.sock_sendall(server, SWITCH)
            assert await loop.sock_recv(client, 9999) == SWITCH
        return client, server

    async def client(self, tap: Tap) -> socket.socket:
        """A client that has said nothing yet."""
        client = socket.socket()
        client.setblocking(False)
        self.socks.append(client)
        host, port = tap.url.rpartition("/")[2].split(":")
        await asyncio.get_running_loop().sock_connect(client, (host, int(port)))
        return client


def ends(tap: Tap) -> list[TransportEnded]:
    return [event for event in tap.trace() if isinstance(event, TransportEnded)]


def failures(tap: Tap) -> list[AttemptFailed]:
    return [event for event in tap.trace() if isinstance(event, AttemptFailed)]


def notes(tap: Tap) -> list[str]:
    return [event.text for event in tap.trace() if isinstance(event, Noted)]


async def test_a_chat_goes_through_and_is_in_the_file_without_its_token(lab, tmp_path) -> None:
    """HTTP and WebSocket, no secret; the file is what memory has."""
    behind = await lab()
    file = tmp_path / "r.jsonl"
    async with Tap(behind.url, out=file) as tap:
        async with chatkit.ChatClient(tap.url, bot="echo", token=behind.token) as chat:
            assert (await chat.send("hello")).text == "hello"
    raw = file.read_text("utf-8")
    assert behind.token not in raw
    assert "eyJ" not in raw
    trace = chatkit.load(file)
    assert (trace.warnings, trace.origin.kind, len(trace)) == ((), "tap", len(tap.trace()))
    (connection,) = trace.connections
    assert (connection.ending.first, connection.ending.close_code) == ("client", 1000)
    assert {event.purpose for event in trace if isinstance(event, HttpRequested)} >= {"session", "chat"}
    assert chatkit.diagnose(trace).verdict == "no-fault"
    assert "TCP connections" in repr(tap)


@pytest.mark.parametrize("side", ["client", "server"])
@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_who_acted_first(side, how) -> None:
    """FIN and RST of either side, with its name."""
    with Upstream() as upstream:
        async with Tap(upstream.url) as tap:
            client, server = await upstream.join(tap)
            sock = client if side == "client" else server
            if how == "rst":
                reset_at_close(sock)
                sock.close()
            else:
                sock.shutdown(socket.SHUT_WR)
            await until(lambda: ends(tap))
        (end,) = ends(tap)
    assert (end.how, end.by) == (how, side)


async def test_an_rst_behind_a_fin_is_noted() -> None:
    """The first end stays the end."""
    with Upstream() as upstream:
        async with Tap(upstream.url) as tap:
            client, server = await upstream.join(tap)
            client.shutdown(socket.SHUT_WR)
            await until(lambda: ends(tap))
            reset_at_close(server)
            server.close()
            await until(lambda: "an RST by the server followed" in notes(tap))
            assert [(end.how, end.by) for end in ends(tap)] == [("fin", "client")]


async def test_a_tap_that_is_stopped_blames_nobody(tmp_path) -> None:
    """Neither side ended it, and the recording is complete."""
    with Upstream() as upstream:
        async with Tap(upstream.url, out=tmp_path / "r.jsonl") as tap:
            await upstream.join(tap)
            assert tap.open == 1
        (end,) = ends(tap)
    assert (end.how, end.by, end.error) == ("local", None, pair.STOPPED)
    assert chatkit.load(tmp_path / "r.jsonl").warnings == ()


async def test_a_target_that_refuses() -> None:
    """The client gets an RST; the recording says what it wanted and why it failed, HTTP as well."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    async with Tap(url) as tap:
        with pytest.raises((WebSocketException, OSError)):
            await connect(f"{tap.ws_url}/ws?token=abcdefgh", proxy=None).__aenter__()
        async with httpx.AsyncClient(trust_env=False) as web:
            with pytest.raises(httpx.TransportError):
                await web.get(f"{tap.url}/api/bots/x")
        await until(lambda: [event for event in tap.trace() if isinstance(event, HttpFailed)])
    (failed,) = failures(tap)
    assert (failed.stage, "refused the connection" in failed.error) == ("tcp", True)
    (connection,) = tap.trace().connections
    assert (connection.state, connection.url.endswith("/ws?token=[redacted]")) == ("refused", True)


async def test_a_target_that_hangs(monkeypatch) -> None:
    """It is waited for until the client has enough."""
    monkeypatch.setattr(reaching, "LOOK", 0.02)
    monkeypatch.setattr(reaching, "AFTER_FIN", 0.05)
    with socket.socket() as full:
        # A backlog that is full: what comes is not answered.
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            with Upstream() as upstream:
                async with Tap(f"http://127.0.0.1:{port}") as tap:
                    client = await upstream.client(tap)
                    await asyncio.get_running_loop().sock_sendall(client, UPGRADE)
                    await until(lambda: tap.accepted == 1)
                    await asyncio.sleep(0.1)
                    assert failures(tap) == []
                    client.close()
                    await until(lambda: failures(tap))
    (failed,) = failures(tap)
    assert "had not accepted after" in failed.error
    assert tap.trace().connections[0].url == "ws://x/ws"


async def test_garbage_goes_through_and_is_named() -> None:
    """What is no HTTP is passed on all the same."""
    with Upstream() as upstream:
        async with Tap(upstream.url) as tap:
            client = await upstream.client(tap)
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(client, b"\x00\x01\x02 garbage")
            server, _ = await loop.sock_accept(upstream.listener)
            upstream.socks.append(server)
            assert await loop.sock_recv(server, 99) == b"\x00\x01\x02 garbage"
            await until(lambda: failures(tap))
    assert "no HTTP/1.1" in failures(tap)[0].error


async def test_tls_on_both_sides(tmp_path) -> None:
    """Clients trust the tap's CA, the tap trusts the server's; what is recorded is what lies above TLS."""
    certificate = local_certificate("none")
    (tmp_path / "ca.pem").write_text(certificate.ca_pem)

    async def echo(websocket) -> None:
        async for message in websocket:
            await websocket.send(message)

    from websockets.asyncio.server import serve

    async with serve(echo, "127.0.0.1", 0, ssl=certificate.context) as server:
        port = server.sockets[0].getsockname()[1]
        async with Tap(f"wss://127.0.0.1:{port}", tls=True, ca=tmp_path / "ca.pem") as tap:
            trusting = ssl.create_default_context(cadata=tap.ca_pem)
            assert tap.ws_url.startswith("wss://")
            async with connect(f"{tap.ws_url}/", ssl=trusting, proxy=None) as websocket:
                await websocket.send("through two of them")
                assert await websocket.recv() == "through two of them"
        (connection,) = tap.trace().connections
        assert (connection.url, connection.ending.close_code) == (f"{tap.ws_url}/", 1000)
        assert "TlsEstablished" in {type(event).__name__ for event in tap.trace()}
        async with Tap(f"wss://127.0.0.1:{port}") as tap:
            with pytest.raises((WebSocketException, OSError)):
                await connect(f"{tap.ws_url}/", proxy=None).__aenter__()
            await until(lambda: failures(tap))
    (failed,) = failures(tap)
    assert (failed.stage, "certificate is not accepted" in failed.error) == ("tls", True)


async def test_who_speaks_http_to_a_port_with_tls_is_told() -> None:
    """The client by an answer, the recording by an attempt that failed."""
    with Upstream() as upstream:
        async with Tap(upstream.url, tls=True) as tap:
            async with httpx.AsyncClient(trust_env=False) as web:
                answer = await web.get(tap.url.replace("https", "http") + "/")
            assert answer.status_code == 400
            await until(lambda: failures(tap))
    assert "no TLS" in failures(tap)[0].error


async def test_the_server_is_named_as_host_where_that_is_asked_for(lab) -> None:
    """Else the client's own words go on."""
    with Upstream() as upstream:
        async with Tap(upstream.url, rename=True) as tap:
            client = await upstream.client(tap)
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(client, UPGRADE)
            server, _ = await loop.sock_accept(upstream.listener)
            upstream.socks.append(server)
            request = await loop.sock_recv(server, 9999)
    assert f"Host: {upstream.url.rpartition('/')[2]}\r\n".encode() in request
    assert b"Host: x" not in request


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("frame-drop", "dropped"),
        ("frame-duplicate", "sent twice"),
        ("frame-delay:delay=0.05", "delayed by 0.05 s"),
        ("frame-corrupt", "its last byte changed"),
        ("close-injected:on=hello", "the WebSocket closed with 1008"),
        ("proxy-message-too-big:limit=5", "the connection ended by an RST"),
    ],
)
async def test_faults_are_declared_and_told(fault, words) -> None:
    """Which, with which seed, and each time; the client's side is what is recorded."""
    hello = b'\x81\x10{"type":"hello"}'
    with Upstream() as upstream:
        async with Tap(upstream.url, faults=[fault], seed=7) as tap:
            _, server = await upstream.join(tap)
            await asyncio.get_running_loop().sock_sendall(server, hello)
            await until(lambda: any(words in note for note in notes(tap)))
            await asyncio.sleep(0.1)
            got = [event for event in tap.trace() if isinstance(event, FrameReceived)]
    assert notes(tap)[0] == f"this tap has faults, seed 7: {fault}"
    assert len(got) == {"frame-drop": 0, "frame-duplicate": 2, "proxy-message-too-big:limit=5": 0}.get(fault, 1)
    end = ends(tap)[0]
    assert end.error == (pair.STOPPED if fault.startswith("frame") else pair.BY_FAULT)


async def test_muted_pongs_are_told() -> None:
    """The client's pong does not reach the server."""
    with Upstream() as upstream:
        async with Tap(upstream.url, faults=["pongs-muted"]) as tap:
            client, server = await upstream.join(tap)
            await asyncio.get_running_loop().sock_sendall(client, b"\x8a\x80\x00\x00\x00\x00")
            await until(lambda: any("a pong of 0 B, client to server, dropped" in note for note in notes(tap)))
            with pytest.raises(BlockingIOError):
                server.recv(10)


async def test_a_recording_that_is_late_holds_the_path(monkeypatch) -> None:
    """Nothing is lost, memory has an end, and the recording says for how long it was."""
    monkeypatch.setattr(recorded, "MOST_BEHIND", 100_000)
    monkeypatch.setattr(pair, "MOST_BEHIND", 100_000)
    monkeypatch.setattr(recorded.behind, "__defaults__", (100_000,))
    frame = b"\x82\x7e\x40\x00" + bytes(16_384)
    with Upstream() as upstream:
        async with Tap(upstream.url) as tap:
            client, server = await upstream.join(tap)
            loop = asyncio.get_running_loop()
            with tap.recorder._lock:  # nothing becomes an event meanwhile
                sending = asyncio.ensure_future(loop.sock_sendall(server, frame * 400))  # noqa: TID251
                reading = asyncio.ensure_future(_drained(client, len(frame) * 400))  # noqa: TID251
                await asyncio.sleep(0.3)
                assert tap.recorder.put - tap.recorder.taken < 100_000 + 2 * 65_536
            await asyncio.wait_for(asyncio.gather(sending, reading), PATIENCE)
            await until(lambda: any("held up the server" in note for note in notes(tap)))
            got = [event for event in tap.trace() if isinstance(event, FrameReceived)]
    assert len(got) == 400


async def _drained(sock: socket.socket, size: int) -> None:
    loop = asyncio.get_running_loop()
    while size > 0:
        size -= len(await loop.sock_recv(sock, 1 << 20))


def test_on_a_thread_of_its_own(tmp_path) -> None:
    """Starting and closing twice is fine; the trace stays."""
    with chatkit.LabServer() as lab, Tap(lab.url, out=tmp_path / "r.jsonl") as tap:
        assert tap.start() is tap
        time.sleep(0.05)  # a cell that blocks its loop does not stop it
        assert httpx.get(f"{tap.url}/health", trust_env=False).status_code == 200
        tap.close()
        tap.close()
    assert [type(event).__name__ for event in tap.trace()] == ["HealthChecked", "RecordingEnded"]


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        ({"to": "http://127.0.0.1:1/path"}, "no path"),
        ({"listen": "127.0.0.1"}, "host:port"),
        ({"listen": "a:b:1"}, "host:port"),
        ({"listen": 70_000}, "host:port"),
        ({"faults": ["stuck-typing"]}, "does not act on the path"),
        ({"faults": ["frame-dorp"]}, "did you mean"),
        ({"ca": "nowhere.pem"}, "cannot be read"),
    ],
)
def test_what_cannot_work(arguments, fragment) -> None:
    """Before anything starts."""
    with pytest.raises(InvalidInput, match=fragment):
        Tap(**{"to": "http://127.0.0.1:1"} | arguments)


def test_a_port_in_use_leaves_no_file(tmp_path: Path) -> None:
    """And a file that is there is not overwritten; asked too early it says so."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        tap = Tap("http://127.0.0.1:1", listen=taken.getsockname()[1], out=tmp_path / "r.jsonl")
        with pytest.raises(InvalidInput, match="cannot listen"):
            tap.start()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InvalidInput, match="nothing yet"):
        tap.trace()
    (tmp_path / "r.jsonl").write_text("evidence")
    with pytest.raises(InvalidInput, match="exists already"):
        Tap("http://127.0.0.1:1", out=tmp_path / "r.jsonl").start()
    assert (tmp_path / "r.jsonl").read_text() == "evidence"


def test_where_to_listen() -> None:
    """A port alone is on loopback."""
    assert listen_at(8080) == ("127.0.0.1", 8080)
    assert listen_at("0.0.0.0:1") == ("0.0.0.0", 1)
    assert listen_at("[::1]:2") == ("::1", 2)


def test_events_are_lines_of_json(tmp_path) -> None:
    """As of any recording."""
    with chatkit.LabServer() as lab, Tap(lab.url, out=tmp_path / "r.jsonl") as tap:
        httpx.get(f"{tap.url}/health", trust_env=False)
    lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert lines[0]["origin"] == {"kind": "tap", "target": lab.url}
    assert [line["type"] for line in lines[1:]] == ["HealthChecked", "RecordingEnded"]
