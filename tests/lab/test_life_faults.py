"""The faults of a life that began well, seen on the wire by a real client."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest
import websockets

from chatkit.lab import Storyteller

from .test_faults import ending


async def test_message_rate(house) -> None:
    """Closed at the frame that is too many; a slower client lives."""
    home = await house("message-rate:limit=3,window=20,code=4429")
    hasty, calm = await home.enter(), await home.enter("grace")
    for n in range(3):
        await hasty.tell("ping", timestamp=str(n))
    assert [(await hasty.hear("pong"))["timestamp"] for _ in range(3)] == ["0", "1", "2"]
    await hasty.ws.ping()
    assert ending(await hasty.end()) == "close 4429"
    for _ in range(3):
        assert await calm.pong() == []


@pytest.mark.parametrize("words", ["after=0.05", "after=0,on=typing"])
async def test_policy_violation(house, words) -> None:
    """By age or by a type, with the reason that was asked for."""
    ada = await (await house(f"policy-violation:{words},code=4100,reason=terms_of_use")).enter()
    if "typing" in words:
        assert await ada.pong() == []
        await ada.tell("typing", data={"is_typing": True})
    ended = await ada.end()
    assert (ended.rcvd.code, ended.rcvd.reason) == (4100, "terms of use")


@pytest.mark.parametrize("what", ["opcode", "rsv", "fragment"])
async def test_protocol_error(house, what) -> None:
    """The client is right to close with 1002; the server says the same."""
    home = await house(f"protocol-error:what={what},after=0.05")
    for compression in (None, "deflate"):
        ada = await home.enter(compression=compression)
        ended = await ada.end()
        assert ended.sent.code == 1002
        assert not ended.rcvd_then_sent


async def test_invalid_utf8(house) -> None:
    """The client closes with 1007."""
    ada = await (await house("invalid-utf8:after=0.05")).enter()
    ended = await ada.end()
    assert ended.sent.code == 1007


@pytest.mark.parametrize(("how", "seen"), [("close", "close 1009"), ("rst", "rst"), ("fin", "fin")])
async def test_message_too_big(house, how, seen) -> None:
    """A message of the limit passes, one byte more does not, compressed or not."""
    home = await house(f"message-too-big:limit=1000,how={how}")
    frame = len(json.dumps({"type": "ping", "timestamp": ""}))
    for compression in (None, "deflate"):
        ada = await home.enter(compression=compression)
        await ada.tell("ping", timestamp="x" * (1000 - frame))
        assert (await ada.hear())["type"] == "pong"
        await ada.tell("ping", timestamp="x" * (1001 - frame))
        assert ending(await ada.end()) == seen


@pytest.mark.parametrize(("how", "seen"), [("close", "close 1013"), ("rst", "rst")])
async def test_slow_consumer(house, how, seen) -> None:
    """Who does not read is ended when the buffer is full; who reads gets it all."""
    home = await house(f"slow-consumer:limit=200000,how={how},code=1013")
    slow = await home.enter(max_queue=1, compression=None)
    fast = await home.enter("grace", max_queue=None, compression=None)
    text = "x" * 65_536
    # Far more than the buffers of both kernels hold.
    for n in range(160):
        await home.lab.push("echo", {"type": "document_update", "data": {"n": n, "text": text}})
        heard = json.loads(await asyncio.wait_for(fast.ws.recv(), 5))
        assert heard["data"]["n"] == n
        if len(home.lab.stats.peers) == 1:
            break
    async with asyncio.timeout(5):
        while len(home.lab.stats.peers) > 1:
            await asyncio.sleep(0.02)
    assert ending(await slow.end()) == seen
    assert await fast.pong() == []


async def back(home, user: str = "ada"):
    """Somebody who tries until the port is open again."""
    async with asyncio.timeout(5):
        while True:
            try:
                return await home.enter(user)
            except OSError:
                await asyncio.sleep(0.05)


async def test_server_restart(house) -> None:
    """Everybody hears the code, the port refuses, then the same port serves again: over and over with a period."""
    home = await house()
    ada, grace = await home.enter(), await home.enter("grace", "slow")
    session = (await ada.chat("echo", "before")).json()["session_id"]
    home.lab.set_faults(["server-restart:after=0.05,gap=0.4,code=1001,period=2.5"])
    assert [ending(await person.end()) for person in (ada, grace)] == ["close 1001", "close 1001"]
    with pytest.raises(httpx.ConnectError):
        await home.client().get("/health")
    again = await back(home)
    history = await again.http.get(f"/api/conversations/sessions/{session}/messages")
    assert [m["content"] for m in history.json()] == ["before", "before"]
    assert ending(await again.end()) == "close 1001"
    home.lab.set_faults([])
    assert await (await back(home)).pong() == []
    assert (home.lab.stats.restarts, home.lab.stats.crashes) == (2, 0)


async def test_a_restart_without_a_gap(house) -> None:
    """The end is still in order."""
    home = await house()
    ada = await home.enter()
    home.lab.set_faults(["server-restart:after=0,gap=0"])
    assert ending(await ada.end()) in ("close 1012", "fin")
    assert await (await back(home)).pong() == []


async def test_worker_timeout(house) -> None:
    """Some end together without a close frame, the rest lives, health never blinks; the other half goes next."""
    home = await house(seed=4)
    people = [await home.enter() for _ in range(8)]
    home.lab.set_faults(["worker-timeout:after=0.1,workers=2,how=rst,period=2"])
    async with asyncio.timeout(5):
        while len(home.lab.stats.peers) == 8:
            await asyncio.sleep(0.02)
    assert (await people[0].http.get("/health")).status_code == 200
    living = []
    for person in people:
        try:
            assert await person.pong() == []
            living.append(person)
        except websockets.ConnectionClosed as ended:
            assert ending(ended) == "rst"
    assert 0 < len(living) < 8
    assert {ending(await person.end()) for person in living} == {"rst"}


async def test_crash_on_text(house) -> None:
    """The call ends without an answer, everybody's socket by FIN, and the server comes back."""
    home = await house("crash-on-text:text=poison,gap=0.3")
    ada, grace = await home.enter(), await home.enter("grace")
    assert (await ada.chat("echo", "water")).status_code == 200
    with pytest.raises(httpx.HTTPError):
        (await ada.chat("echo", "poison")).raise_for_status()
    assert [ending(await person.end()) for person in (ada, grace)] == ["fin", "fin"]
    assert await (await back(home)).pong() == []
    assert (home.lab.stats.crashes, home.lab.stats.chats) == (1, 1)


async def test_crash_on_text_over_the_socket(house) -> None:
    """The same where messages come that way."""
    home = await house("crash-on-text:text=poison,gap=0.1", send_via="websocket")
    ada = await home.enter()
    await ada.tell("message", data={"content": "some poison"})
    assert ending(await ada.end()) == "fin"
    assert home.lab.stats.crashes == 1


async def arrives(person, home, text: str) -> tuple[bool, int]:
    """Sends over a TCP connection of its own; whether the reply came, and how many connections that worker counts."""
    headers = {"Authorization": f"Bearer {home.lab.token}"}
    async with httpx.AsyncClient(base_url=home.lab.url, headers=headers, trust_env=False) as http:
        answer = await http.post("/api/conversations/bots/echo/chat", json={"message": text})
        assert answer.json()["message"] == text
        connected = (await http.get("/api/ws/stats")).json()["total_connections"]
        listed = (await http.get("/api/ws/connections")).json()["connections"]
        assert len(listed) == connected
    await person.tell("ping", timestamp="t")
    heard = await person.hear_until("pong")
    return text in [m["data"]["content"] for m in heard if m["type"] == "chat_response"], connected


async def test_multi_worker_split(house) -> None:
    """A share of the replies is lost, and the counts of the workers tell why."""
    home = await house("multi-worker-split:workers=2", seed=1)
    ada = await home.enter()
    outcomes = [await arrives(ada, home, str(n)) for n in range(16)]
    assert set(outcomes) == {(True, 1), (False, 0)}


async def test_a_kept_alive_connection_stays_with_its_worker(house) -> None:
    """All of its replies arrive, or none."""
    home = await house("multi-worker-split:workers=3", seed=2)
    ada = await home.enter()
    for person in [ada] + [await home.enter("grace") for _ in range(3)]:
        arrived = set()
        for n in range(3):
            await person.chat("echo", f"{n}")
            await ada.tell("ping", timestamp="t")
            heard = await ada.hear_until("pong")
            arrived.add(any(m["type"] == "chat_response" for m in heard))
        assert len(arrived) == 1


@pytest.mark.parametrize(("what", "type"), [("type", "assistant.delta"), ("field", "chat_response")])
async def test_wrong_contract(house, what, type) -> None:
    """JSON that the contract does not have; the connection lives on."""
    ada = await (await house(f"wrong-contract:what={what},after=0.05")).enter()
    message = await ada.hear()
    assert message["type"] == type
    assert "data" not in message
    assert await ada.pong() == []


async def test_chunks_out_of_order(house) -> None:
    """Two neighbours change places, in every reply; the final text is whole."""
    ada = await (await house("out-of-order:seq=2", bots=[Storyteller(duration=0.05)])).enter(bot="storyteller")
    for _ in range(2):
        answer = await ada.chat("storyteller", "x")
        heard = await ada.hear_until("chat_response")
        numbers = [m["data"]["seq"] for m in heard if m["type"] == "chat_response_chunk"]
        assert numbers == [0, 1, 3, 2, *range(4, numbers[-1] + 1)]
        assert heard[-1]["data"]["content"] == answer.json()["message"]


async def test_replies_out_of_order(house) -> None:
    """The first waits for the second; the last one, for which none comes, arrives late."""
    ada = await (await house("out-of-order:what=replies,wait=1")).enter()
    for text in ("one", "two", "three"):
        await ada.chat("echo", text)
    heard = [(await ada.hear("chat_response"))["data"]["content"] for _ in range(3)]
    assert heard == ["two", "one", "three"]
