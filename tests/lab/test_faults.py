"""Every fault of the catalogue, seen on the wire by a real client."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import struct
import time
from pathlib import Path

import httpx
import jwt
import pytest
import websockets

from chatkit.errors import LabError
from chatkit.faults import CATALOGUE
from chatkit.lab import LabServer, Storyteller
from chatkit.tap.hole import supported

needs_holes = pytest.mark.skipif(not supported(), reason="the kernel has no socket filters")


def ending(ended: websockets.ConnectionClosed) -> str:
    """``close 1001``, ``fin`` or ``rst``: by the close frame if one came, else by what the socket said."""
    if ended.rcvd is not None:
        return f"close {ended.rcvd.code}"
    return {"ConnectionResetError": "rst", "EOFError": "fin"}[type(ended.__cause__).__name__]


@pytest.mark.parametrize("how", ["rst", "fin"])
@pytest.mark.parametrize("kind", ["app", "protocol"])
async def test_early_ping_abort(house, how, kind) -> None:
    """Either ping inside the window is fatal; the pong still comes before the end."""
    ada = await (await house(f"early-ping-abort:window=5,delay=0.05,how={how}")).enter()
    if kind == "app":
        await ada.tell("ping", timestamp="t")
        assert (await ada.hear())["type"] == "pong"
    else:
        await asyncio.wait_for(await ada.ws.ping(), 2)
    assert ending(await ada.end()) == how


@pytest.mark.parametrize("fatal", ["app", "protocol"])
async def test_early_ping_abort_by_one_kind_of_ping(house, fatal) -> None:
    """The other kind is harmless, inside the window as well."""
    ada = await (await house(f"early-ping-abort:window=5,delay=0.05,ping={fatal}")).enter()
    if fatal == "app":
        await asyncio.wait_for(await ada.ws.ping(), 2)
    else:
        assert await ada.pong() == []
    await asyncio.sleep(0.1)
    await (ada.ws.ping() if fatal == "protocol" else ada.tell("ping", timestamp="t"))
    assert ending(await ada.end()) == "rst"


async def test_a_ping_after_the_window_is_harmless(house) -> None:
    """So is any other message inside it."""
    ada = await (await house("early-ping-abort:window=0.1,delay=0")).enter()
    await ada.tell("session_sync", data={"session_id": "s"})
    assert (await ada.hear())["type"] == "session_synced"
    await asyncio.sleep(0.12)
    assert await ada.pong() == []
    assert await ada.pong() == []


@pytest.mark.parametrize(("how", "seen"), [("fin", "fin"), ("rst", "rst"), ("close", "close 1001")])
@pytest.mark.parametrize("fault", ["idle-timeout:timeout=0.15", "max-lifetime:age=0.15"])
async def test_timers_end_a_silent_connection(house, fault, how, seen) -> None:
    """In each of the three ways."""
    ada = await (await house(f"{fault},how={how}")).enter()
    assert ending(await ada.end()) == seen


@pytest.mark.parametrize(
    ("counts", "keeper", "lives"),
    [
        ("any", "app", True),
        ("any", "protocol", True),
        ("app-ping", "protocol", False),
        ("protocol-ping", "app", False),
        ("data-frames", "protocol", False),
        ("inbound", "unanswered", False),
        ("outbound", "unanswered", True),
    ],
)
async def test_what_keeps_an_idle_connection_alive(house, counts, keeper, lives) -> None:
    """Only activity of the counted kind; directions are seen from the client."""
    # The keeper's rhythm leaves more than a second for a machine that is busy with something else.
    ada = await (await house(f"idle-timeout:timeout=1.5,counts={counts}")).enter()
    try:
        for _ in range(8):
            await asyncio.sleep(0.25)
            match keeper:
                case "app":
                    await ada.tell("ping", timestamp="t")
                case "unanswered":
                    await ada.tell("dance")
                case _:
                    await ada.ws.ping()
        await ada.tell("ping", timestamp="last")
        while (await ada.hear("pong"))["timestamp"] != "last":
            pass
        alive = True
    except websockets.ConnectionClosed:
        alive = False
    assert alive is lives


async def test_max_lifetime_ignores_traffic(house) -> None:
    """A busy connection dies as well."""
    ada = await (await house("max-lifetime:age=0.3")).enter()

    async def chatter() -> None:
        while True:
            await ada.tell("ping", timestamp="t")
            await ada.hear("pong")
            await asyncio.sleep(0.02)

    with pytest.raises(websockets.ConnectionClosed):
        await chatter()


async def test_server_crash(house) -> None:
    """All sockets end by FIN, the port refuses, then the same port serves again and the history is there."""
    home = await house()
    ada, grace = await home.enter(), await home.enter("grace", "slow")
    session = (await ada.chat("echo", "before")).json()["session_id"]
    home.lab.set_faults(["server-crash:after=0.05,gap=0.5"])
    assert [ending(await person.end()) for person in (ada, grace)] == ["fin", "fin"]
    with pytest.raises(httpx.ConnectError):
        await home.client().get("/health")
    async with asyncio.timeout(5):
        while True:
            try:
                back = await home.enter()
                break
            except OSError:
                await asyncio.sleep(0.05)
    history = await back.http.get(f"/api/conversations/sessions/{session}/messages")
    assert [m["content"] for m in history.json()] == ["before", "before"]
    assert home.lab.stats.crashes == 1


async def test_a_crash_cuts_an_answer_short_without_a_traceback(house, caplog) -> None:
    """The HTTP call ends without a response, the log stays quiet."""
    home = await house("server-crash:after=0.3,gap=0.1")
    http = home.client(home.lab.token)
    with pytest.raises(httpx.RemoteProtocolError):
        await http.post("/api/conversations/bots/slow/chat", json={"message": "x"})
    assert "Traceback" not in caplog.text


async def test_auth_rejected_before(house) -> None:
    """HTTP 403 on the upgrade; the API refuses the same token; health and login do not mind."""
    home = await house("auth-rejected")
    with pytest.raises(websockets.InvalidStatus) as refused:
        await home.enter()
    assert refused.value.response.status_code == 403
    assert (await home.client(home.lab.token).get("/api/bots/echo")).status_code == 401
    assert (await home.client().get("/health")).status_code == 200


async def test_auth_rejected_with_another_status(house) -> None:
    """As a gateway would."""
    with pytest.raises(websockets.InvalidStatus) as refused:
        await (await house("auth-rejected:status=401")).enter()
    assert refused.value.response.status_code == 401


@pytest.mark.parametrize(("words", "code"), [("", 4001), (",code=1008", 1008)])
async def test_auth_rejected_after(house, words, code) -> None:
    """Accepted, then closed, and no greeting."""
    ada = await (await house(f"auth-rejected:when=after{words}")).enter(greeted=False)
    with pytest.raises(websockets.ConnectionClosed) as ended:
        await ada.ws.recv()
    assert ending(ended.value) == f"close {code}"


async def test_token_expired(house) -> None:
    """Tokens say so themselves; at exp the connection ends with 4001 and the token opens nothing more."""
    home = await house("token-expired:after=2")
    token = home.lab.token
    exp = jwt.decode(token, options={"verify_signature": False, "verify_exp": False})["exp"]
    async with home.socket(token) as ws:
        assert json.loads(await ws.recv())["type"] == "connection_established"
        with pytest.raises(websockets.ConnectionClosed) as ended:
            await ws.recv()
    assert ending(ended.value) == "close 4001"
    assert time.time() >= exp - 0.05
    await asyncio.sleep(0.06)
    with pytest.raises(websockets.InvalidStatus):
        await home.socket(token)
    assert (await home.client(token).get("/api/bots/echo")).status_code == 401
    await home.enter()


async def test_token_expired_without_a_close_frame(house) -> None:
    """The same end, by RST."""
    ada = await (await house("token-expired:after=0.3,how=rst")).enter()
    assert ending(await ada.end()) == "rst"


async def test_no_established_message(house) -> None:
    """Silence after the upgrade, but the rest works."""
    ada = await (await house("no-established-message")).enter(greeted=False)
    assert await ada.pong() == []


async def test_slow_reply(house) -> None:
    """Pings are answered while the bot is late."""
    ada = await (await house("slow-reply:delay=0.3")).enter()
    waiting = asyncio.ensure_future(ada.chat("echo", "x"))  # noqa: TID251 - the test is its owner
    await ada.hear("typing_indicator")
    assert await ada.pong() == []
    assert not waiting.done()
    assert (await waiting).json()["processing_time"] >= 0.29


async def test_duplicate_delivery(house) -> None:
    """The same message twice on one socket."""
    ada = await (await house("duplicate-delivery")).enter()
    await ada.chat("echo", "x")
    assert await ada.hear("chat_response") == await ada.hear("chat_response")
    assert await ada.pong() == []


async def test_stuck_typing(house) -> None:
    """True, and never false: the bot's and a collaborator's."""
    home = await house("stuck-typing")
    ada, grace = await home.enter(), await home.enter("grace")
    await grace.tell("typing", data={"is_typing": True})
    await grace.tell("typing", data={"is_typing": False})
    await grace.pong()
    await ada.chat("echo", "x")
    heard = await ada.hear_until("chat_response")
    flags = [m["data"]["is_typing"] for m in heard if m["type"] == "typing_indicator"]
    assert flags == [True, True]


async def test_lost_reply(house) -> None:
    """HTTP has the answer, the socket never hears of it."""
    ada = await (await house("lost-reply")).enter()
    assert (await ada.chat("echo", "x")).json()["message"] == "x"
    assert await ada.pong() == ["typing_indicator", "typing_indicator"]


async def test_lost_reply_shares_replay(house) -> None:
    """The same seed loses the same replies, another seed others."""

    async def arrived(seed: int) -> list[str]:
        ada = await (await house("lost-reply:share=0.5", seed=seed)).enter()
        for n in range(16):
            await ada.chat("echo", str(n))
        await ada.tell("ping", timestamp="t")
        heard = await ada.hear_until("pong")
        return [m["data"]["content"] for m in heard if m["type"] == "chat_response"]

    once = await arrived(1)
    assert 0 < len(once) < 16
    assert await arrived(1) == once
    assert await arrived(2) != once


async def test_invalid_json(house) -> None:
    """One frame that is no JSON; the connection lives on."""
    ada = await (await house("invalid-json:after=0.05")).enter()
    with pytest.raises(json.JSONDecodeError):
        await ada.hear()
    assert await ada.pong() == []


async def test_big_frame(house) -> None:
    """A message of exactly that size; a client with a limit closes with 1009 itself."""
    home = await house("big-frame:size=2000000,after=0.05")
    roomy, narrow = await home.enter(max_size=None), await home.enter("grace")
    assert len(await roomy.ws.recv()) == 2_000_000
    assert await roomy.pong() == []
    ended = await narrow.end()
    assert ended.sent.code == 1009


async def test_health_down(house) -> None:
    """503, and the chat works."""
    home = await house("health-down")
    ada = await home.enter()
    assert (await ada.http.get("/health")).status_code == 503
    assert (await ada.chat("echo", "x")).status_code == 200


@pytest.mark.parametrize(
    ("words", "seen"), [("", "close 1011"), (",code=4500", "close 4500"), (",how=rst", "rst"), (",how=fin", "fin")]
)
async def test_server_error(house, words, seen) -> None:
    """On that type, not on others; the process lives."""
    home = await house("server-error:on=session_sync" + words)
    ada = await home.enter()
    assert await ada.pong() == []
    await ada.tell("session_sync", data={"session_id": "s"})
    assert ending(await ada.end()) == seen
    assert (await ada.http.get("/health")).status_code == 200


async def test_no_pong(house) -> None:
    """The application's pings are ignored, the library's are answered."""
    ada = await (await house("no-pong")).enter()
    await ada.tell("ping", timestamp="t")
    await ada.tell("session_sync", data={"session_id": "s"})
    assert (await ada.hear())["type"] == "session_synced"
    await asyncio.wait_for(await ada.ws.ping(), 2)


async def test_no_pong_of_either_kind(house) -> None:
    """The connection lives, both pings go unanswered."""
    ada = await (await house("no-pong:kind=both")).enter()
    await ada.tell("ping", timestamp="t")
    pong = await ada.ws.ping()
    await ada.tell("session_sync", data={"session_id": "s"})
    assert (await ada.hear())["type"] == "session_synced"
    assert not pong.done()


async def test_chunk_gap(house) -> None:
    """One number is missing, the final text is whole."""
    ada = await (await house("chunk-gap:seq=2", bots=[Storyteller(duration=0.05)])).enter(bot="storyteller")
    answer = await ada.chat("storyteller", "x")
    heard = await ada.hear_until("chat_response")
    numbers = [m["data"]["seq"] for m in heard if m["type"] == "chat_response_chunk"]
    assert numbers == [0, 1, *range(3, numbers[-1] + 1)]
    assert heard[-1]["data"]["content"] == answer.json()["message"]


def retransmitted(person) -> int:
    """Segments that the person's kernel sent again: ``tcpi_total_retrans`` of linux/tcp.h."""
    sock = person.ws.transport.get_extra_info("socket")
    return struct.unpack_from("I", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 100)[0]


async def unanswered(person) -> None:
    """Pings, and waits until the kernel has sent that again, because nobody acknowledges it."""
    await person.tell("ping", timestamp="into the dark")
    async with asyncio.timeout(5):
        while not retransmitted(person):
            await asyncio.sleep(0.02)


@needs_holes
async def test_black_hole(house) -> None:
    """Nothing is acknowledged and nothing comes; when it heals, everything does."""
    home = await house("black-hole:after=0,duration=1")
    ada = await home.enter(greeted=False)
    await unanswered(ada)
    assert (await ada.hear())["type"] == "connection_established"
    assert (await ada.hear("pong"))["timestamp"] == "into the dark"
    assert await ada.pong() == []


@needs_holes
async def test_a_black_hole_for_ever(house) -> None:
    """A new connection works; what the server does to the old one is not seen."""
    home = await house("black-hole:after=0.05")
    ada = await home.enter()
    home.lab.set_faults([])
    await asyncio.sleep(0.06)
    await unanswered(ada)
    assert await (await home.enter("grace")).pong() == []
    home.lab.cut("fin")
    home.lab.cut("close")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ada.ws.recv(), 0.2)


@needs_holes
async def test_the_servers_own_keepalive_gives_up_in_a_black_hole_and_nobody_hears(house) -> None:
    """The server forgets the connection; neither its pings nor its end reach the client."""
    home = await house("black-hole:after=0.05", ws_ping_interval=0.1, ws_ping_timeout=0.1)
    ada = await home.enter()
    async with asyncio.timeout(5):
        while home.lab.stats.peers:
            await asyncio.sleep(0.02)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ada.ws.recv(), 0.2)


@needs_holes
async def test_the_end_of_the_lab_heals_black_holes() -> None:
    """Everybody hears 1012."""
    async with LabServer(faults=["black-hole:after=0"]) as lab:
        ws = await websockets.connect(f"{lab.ws_url}/api/ws/chat/echo?token={lab.token}", proxy=None)
        await asyncio.sleep(0.05)
    assert json.loads(await ws.recv())["type"] == "connection_established"
    with pytest.raises(websockets.ConnectionClosed) as ended:
        await ws.recv()
    assert ending(ended.value) == "close 1012"


async def test_stall() -> None:
    """Sockets and health are mute together; afterwards the pong is there."""
    with LabServer() as lab:
        async with websockets.connect(f"{lab.ws_url}/api/ws/chat/echo?token={lab.token}", proxy=None) as ws:
            await ws.recv()
            lab.set_faults(["stall:after=0,duration=1"])
            await asyncio.sleep(0.05)
            await ws.send('{"type": "ping", "timestamp": "t"}')
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ws.recv(), 0.2)
            async with httpx.AsyncClient(trust_env=False, timeout=0.2) as http:
                with pytest.raises(httpx.ReadTimeout):
                    await http.get(f"{lab.url}/health")
            assert json.loads(await asyncio.wait_for(ws.recv(), 5))["type"] == "pong"


async def test_stalls_come_again_with_a_period() -> None:
    """Mute, well, mute, well."""
    with LabServer(faults=["stall:after=0.2,duration=0.6,period=1.2"]) as lab:
        seen = []
        async with httpx.AsyncClient(trust_env=False, base_url=lab.url, timeout=0.2) as http, asyncio.timeout(10):
            while len(seen) < 5:
                try:
                    state = (await http.get("/health")).json()["status"]
                except httpx.ReadTimeout:
                    state = "mute"
                if seen[-1:] != [state]:
                    seen.append(state)
                await asyncio.sleep(0.02)
    assert seen == ["healthy", "mute", "healthy", "mute", "healthy"]


async def test_closing_ends_a_stall() -> None:
    """And the client hears 1012 as usual."""
    lab = LabServer(faults=["stall:after=0.3,duration=3600"]).start()
    async with websockets.connect(f"{lab.ws_url}/api/ws/chat/echo?token={lab.token}", proxy=None) as ws:
        await ws.recv()
        await asyncio.sleep(0.4)
        await asyncio.to_thread(lab.close)
        with pytest.raises(websockets.ConnectionClosed) as ended:
            await ws.recv()
        assert ending(ended.value) == "close 1012"


async def test_a_stall_never_blocks_the_callers_loop(house) -> None:
    """Refused on a loop that is not the lab's own, at the start and later."""
    with pytest.raises(LabError, match="block your own loop"):
        await house("stall:after=1,duration=1")
    home = await house()
    with pytest.raises(LabError, match="block your own loop"):
        home.lab.set_faults(["stall:after=1,duration=1"])
    assert home.lab.faults == ()


async def test_accept_then_close(house) -> None:
    """The greeting comes, then the code."""
    ada = await (await house("accept-then-close:code=4000")).enter()
    assert ending(await ada.end()) == "close 4000"


async def test_accept_then_close_for_a_share(house) -> None:
    """Some live, some do not, and the seed says which."""
    home = await house("accept-then-close:share=0.5", seed=1)
    people = [await home.enter() for _ in range(8)]
    lives = []
    for person in people:
        try:
            lives.append(await person.pong() == [])
        except websockets.ConnectionClosed as ended:
            lives.append(False)
            assert ending(ended) == "close 1011"
    assert set(lives) == {True, False}


async def test_error_on_text(house) -> None:
    """500 for each message with that word, over and over; it is not stored, others are."""
    home = await house("error-on-text:text=poison")
    ada = await home.enter()
    for _ in range(2):
        assert (await ada.chat("echo", "some poison")).status_code == 500
    assert home.lab.stats.chats == 0
    assert (await ada.chat("echo", "some water")).status_code == 200
    assert (await ada.hear("chat_response"))["data"]["content"] == "some water"


@pytest.mark.parametrize(
    ("fault", "status", "header"),
    [
        ("overload", 503, "5"),
        ("overload:status=429,retry_after=2.5", 429, "2.5"),
        ("overload:retry_after=1e12", 503, "1000000000000"),
    ],
)
async def test_overload(house, fault, status, header, caplog) -> None:
    """A real HTTP answer to the upgrade; the API works; the log has nothing to complain about."""
    home = await house(fault)
    with pytest.raises(websockets.InvalidStatus) as refused:
        await home.enter()
    response = refused.value.response
    assert (response.status_code, response.headers["Retry-After"]) == (status, header)
    assert (await home.client(home.lab.token).get("/api/bots/echo")).status_code == 200
    assert (home.lab.stats.refused, home.lab.stats.opened) == (1, 0)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_faults_compose(house) -> None:
    """Two at once on one connection."""
    ada = await (await house("no-established-message", "max-lifetime:age=0.1,how=rst")).enter(greeted=False)
    assert ending(await ada.end()) == "rst"


def test_every_fault_is_tested_on_the_wire() -> None:
    """A new entry of the catalogue needs a test here, or in a file beside this one."""
    source = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*faults.py"))
    assert [id for id in CATALOGUE if f'"{id}' not in source] == []
