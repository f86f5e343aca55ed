"""The life of a lab: on a loop, on a thread, at its end."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import subprocess
import sys
import threading

import httpx
import pytest
import websockets
from websockets.sync.client import connect as connect_sync

from chatkit.errors import InvalidInput, LabError
from chatkit.lab import Bot, Echo, LabServer


def test_a_thread_of_its_own() -> None:
    """With `with`, from plain code: it listens inside and refuses afterwards."""
    with LabServer() as lab:
        url = lab.url
        assert httpx.get(f"{url}/health", trust_env=False).status_code == 200
        with connect_sync(f"{lab.ws_url}/api/ws/chat/echo?token={lab.token}", proxy=None) as ws:
            assert json.loads(ws.recv())["type"] == "connection_established"
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/health", trust_env=False)
    assert [t.name for t in threading.enumerate() if t.name == "chatkit-lab"] == []


def test_start_and_close_are_idempotent() -> None:
    """Twice is fine; a closed lab stays closed."""
    lab = LabServer()
    lab.close()
    lab = LabServer()
    assert lab.start() is lab.start()
    lab.close()
    lab.close()
    with pytest.raises(LabError, match="the lab cannot do that now"):
        lab.start()


def test_nothing_runs_before_the_start() -> None:
    """There is no address, and calls say what to do."""
    lab = LabServer()
    with pytest.raises(LabError, match="start"):
        _ = lab.url
    assert "not started" in repr(lab)


async def test_a_thread_beside_a_running_loop() -> None:
    """As in a notebook: the kernel's loop on this thread, the lab on its own; helpers work across."""
    with LabServer() as lab:
        async with websockets.connect(f"{lab.ws_url}/api/ws/chat/echo?token={lab.token}", proxy=None) as ws:
            assert json.loads(await ws.recv())["type"] == "connection_established"
            await lab.say("grace", "echo", "hello")
            said = json.loads(await ws.recv())
            assert (said["type"], said["data"]["username"]) == ("chat_message", "grace")
            await lab.typing("grace", "Echo")
            assert json.loads(await ws.recv())["data"]["is_typing"] is True
            lab.set_faults(["health-down"])
            lab.cut("rst")
            with pytest.raises(websockets.ConnectionClosed):
                await ws.recv()
        async with httpx.AsyncClient(trust_env=False) as http:
            assert (await http.get(f"{lab.url}/health")).status_code == 503


async def test_collaborators_can_be_made_to_speak(house) -> None:
    """say() with answer lets the bot reply; the history has it."""
    home = await house()
    ada = await home.enter()
    session = await home.lab.say("grace", "echo", "hello", answer=True)
    heard = await ada.hear_until("chat_response")
    assert heard[0]["type"] == "chat_message"
    assert heard[-1]["data"]["content"] == "hello"
    assert await home.lab.say("grace", "echo", "more", session_id=session) == session
    history = (await ada.http.get(f"/api/conversations/sessions/{session}/messages")).json()
    assert [m["content"] for m in history] == ["hello", "hello", "more"]
    with pytest.raises(InvalidInput):
        await home.lab.say("grace", "nobody", "x")
    with pytest.raises(LabError):
        await home.lab.say("grace", "echo", "x", session_id="none")


async def test_set_faults_is_for_new_connections(house) -> None:
    """The old one keeps its plan; a bad text changes nothing."""
    home = await house("no-pong")
    old = await home.enter()
    home.lab.set_faults(["server-error:on=dance"])
    with pytest.raises(InvalidInput):
        home.lab.set_faults(["no-such-fault"])
    assert [str(fault) for fault in home.lab.faults] == ["server-error:on=dance"]
    new = await home.enter()
    assert await new.pong() == []
    await new.tell("dance")
    assert (await new.end()).rcvd.code == 1011
    await old.tell("dance")
    await old.tell("ping", timestamp="t")
    await old.tell("session_sync", data={"session_id": "s"})
    assert (await old.hear())["type"] == "session_synced"


@pytest.mark.parametrize(("how", "code"), [("close", 1001), ("fin", None), ("rst", None)])
async def test_cut(house, how, code) -> None:
    """Everybody is gone; the next one may come."""
    home = await house()
    ada = await home.enter()
    home.lab.cut(how, code=1001)
    ended = await ada.end()
    assert (ended.rcvd.code if ended.rcvd else None) == code
    await home.enter()


async def test_closing_says_1012_and_does_not_hang(caplog) -> None:
    """With open connections, a silent one and a bot at work; no traceback."""

    class Stubborn(Bot):
        async def reply(self, ask):
            await asyncio.sleep(60)
            return ""

    lab = LabServer(bots=["echo", Stubborn("Stubborn")])
    async with httpx.AsyncClient(trust_env=False) as http, asyncio.TaskGroup() as group:
        async with lab:
            ws = await websockets.connect(f"{lab.ws_url}/api/ws/chat/echo?token={lab.token}", proxy=None)
            raw = socket.create_connection(lab.url.removeprefix("http://").split(":"))
            headers = {"Authorization": f"Bearer {lab.token}"}
            post = http.post(f"{lab.url}/api/conversations/bots/stubborn/chat", json={"message": "x"}, headers=headers)
            waiting = group.create_task(_fails(post))
            await ws.recv()
            while lab.stats.chats == 0:
                await asyncio.sleep(0.01)
        assert await waiting
        with pytest.raises(websockets.ConnectionClosed) as ended:
            await ws.recv()
        assert ended.value.rcvd.code == 1012
        raw.close()
    assert len(asyncio.all_tasks()) == 1
    assert "Traceback" not in caplog.text


async def _fails(call) -> bool:
    try:
        await call
    except httpx.HTTPError:
        return True
    return False


async def test_many_labs_at_once() -> None:
    """Each has its port and its tokens."""
    async with LabServer() as one, LabServer() as other:
        assert one.url != other.url
        with pytest.raises(websockets.InvalidStatus):
            await websockets.connect(f"{one.ws_url}/api/ws/chat/echo?token={other.token}", proxy=None)


def test_a_taken_port_is_named() -> None:
    """The error says which."""
    with LabServer() as lab:
        port = int(lab.url.rsplit(":", 1)[1])
        with pytest.raises(LabError, match=f"port {port} is taken"):
            LabServer(port=port).start()
    with LabServer(port=port) as again:
        assert again.url.endswith(f":{port}")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.org", "::"])
def test_only_loopback(host) -> None:
    """Unless one says so."""
    with pytest.raises(LabError, match="i_know"):
        LabServer(host=host)
    LabServer(host=host, i_know=True)


def test_nothing_shows_a_secret() -> None:
    """Neither repr nor HTML; the ready dict does, on purpose."""
    with LabServer(bots=["<b>x</b>"], faults=["stuck-typing"]) as lab:
        ready = lab.ready()
        for text in (repr(lab), lab._repr_html_(), str(lab), repr(lab.stats), repr(vars(lab))):
            assert "eyJ" not in text
            assert "'lab'" not in text
        assert "<b>x</b>" not in lab._repr_html_()
    assert list(ready) == ["ready", "url", "ws_url", "bots", "user", "password", "token", "faults"]
    assert ready["bots"] == [{"id": "b-x-b", "name": "<b>x</b>"}]
    assert ready["faults"] == ["stuck-typing"]
    assert json.loads(json.dumps(ready)) == ready


async def test_no_token_in_the_logs(house, caplog) -> None:
    """uvicorn would log the path with its query, websockets at DEBUG the whole request."""
    caplog.set_level(logging.NOTSET)
    logging.getLogger("websockets.client").setLevel(logging.WARNING)
    home = await house()
    ada = await home.enter()
    await ada.chat("echo", "x")
    with pytest.raises(websockets.InvalidStatus):
        await home.socket(home.lab.token_for("mallory"))
    assert "token=***" in caplog.text
    assert "eyJ" not in caplog.text


async def test_protocol_pings_only_on_request(house) -> None:
    """Off by default; with an interval the server pings, and closes with 1011 when nobody answers."""
    quiet = await (await house()).enter()
    await asyncio.sleep(0.15)
    assert await quiet.pong() == []
    home = await house(ws_ping_interval=0.05, ws_ping_timeout=0.1)
    ada = await home.enter()
    await asyncio.sleep(0.3)
    assert await ada.pong() == []
    deaf = await home.enter("grace")
    deaf.ws.transport.pause_reading()
    while len(home.lab.stats.peers) == 2:
        await asyncio.sleep(0.02)
    deaf.ws.transport.resume_reading()
    assert (await deaf.end()).rcvd.code == 1011


async def test_a_reader_that_does_not_read_holds_nobody_up(house) -> None:
    """Its messages wait, then it is dropped; the others hear everything."""
    home = await house()
    ada, stuck = await home.enter(), await home.enter("grace", compression=None)
    stuck.ws.transport.pause_reading()
    filler = {"type": "document_update", "data": {"x": "y" * 50_000}}
    sent = 0
    while len(home.lab.stats.peers) == 2:
        await home.lab.push("echo", filler)
        sent += 1
        assert (await ada.hear())["type"] == "document_update"
        assert sent < 4000
    assert await ada.pong() == []
    stuck.ws.transport.abort()


def test_the_database_may_be_a_file(tmp_path) -> None:
    """It is there again for the next lab; a path that cannot be one is named."""
    path = str(tmp_path / "lab.sqlite")
    with LabServer(database=path) as lab:
        session = asyncio.run(lab.say("ada", "echo", "hello"))
    with LabServer(database=path) as lab:
        headers = {"Authorization": f"Bearer {lab.token}"}
        url = f"{lab.url}/api/conversations/sessions/{session}/messages"
        assert len(httpx.get(url, headers=headers, trust_env=False).json()) == 1
    with pytest.raises(LabError, match="database"):
        LabServer(database=str(tmp_path)).start()


async def test_what_is_stored_can_be_read_from_any_thread(house) -> None:
    """On the lab's own loop, and beside it; in the shape of the HTTP API."""
    home = await house()
    session = await home.lab.say("ada", "echo", "hello", answer=True)
    over_http = await home.client(home.lab.token).get(f"/api/conversations/sessions/{session}/messages")
    assert home.lab.history(session) == over_http.json()
    assert [s["id"] for s in home.lab.sessions()] == [session]
    with LabServer() as lab:
        first, second = [await lab.say("ada", "echo", text) for text in ("one", "two")]
        assert [s["id"] for s in lab.sessions()] == [first, second]
        assert lab.sessions()[0] | {"id": "", "created_at": ""} == {
            "id": "",
            "bot_id": "echo",
            "user_id": "ada",
            "title": "Chat with Echo",
            "created_at": "",
        }
        assert [row["content"] for row in lab.history(second)] == ["two"]
        with pytest.raises(LabError, match="no such conversation"):
            lab.history("none")
    for closed in (lab, LabServer()):
        with pytest.raises(LabError, match="cannot do that now"):
            closed.sessions()
        with pytest.raises(LabError, match="cannot do that now"):
            closed.history(first)


def test_a_forgotten_lab_ends_with_the_interpreter() -> None:
    """Nothing hangs and nothing is printed."""
    code = "from chatkit.lab import LabServer; lab = LabServer().start(); print(lab.url)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", code], capture_output=True, text=True, timeout=20
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("options", "fragment"),
    [
        ({"faults": ["nothing"]}, "no fault"),
        ({"bots": []}, "needs a bot"),
        ({"bots": [Echo(), Echo()]}, "two bots have one id"),
        ({"bots": [Echo(id="a/b")]}, "path segment"),
        ({"secret": "short"}, "too short"),
        ({"capabilities": ["telepathy"]}, "no such capability"),
        ({"send_via": "pigeon"}, "cannot come that way"),
    ],
)
def test_what_cannot_work_is_said_at_once(options, fragment) -> None:
    """In the constructor, before anything runs."""
    with pytest.raises(InvalidInput, match=fragment):
        LabServer(**options)


async def test_a_cancelled_close_leaves_nothing_open() -> None:
    """Whoever cancels the end of `async with` gets the sockets closed all the same."""
    lab = LabServer(bots=["slow"])
    entered, leave = asyncio.Event(), asyncio.Event()

    async def use() -> None:
        async with lab:
            entered.set()
            await leave.wait()

    async with asyncio.TaskGroup() as group:
        user = group.create_task(use())
        await entered.wait()
        url = f"{lab.ws_url}/api/ws/chat/slow?token={lab.token}"
        async with websockets.connect(url, proxy=None, close_timeout=0.1) as ws:
            ws.transport.pause_reading()
            leave.set()
            await asyncio.sleep(0.01)
            user.cancel()
            async with asyncio.timeout(5):
                while lab.stats.peers:
                    await asyncio.sleep(0.01)
            ws.transport.resume_reading()
    assert user.cancelled()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(lab.url.removeprefix("http://").split(":"))
