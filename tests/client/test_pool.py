"""Several bots over few sockets: references, linger, places, the shared socket, one stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest

from chatkit.client import BotPool
from chatkit.errors import ConnectionEnded, InvalidInput
from chatkit.events import HealthChecked, HttpRequested
from chatkit.lab import LabServer
from chatkit.policy.status import State
from chatkit.profile import Paths
from conftest import TICK, until

from .conftest import profile

BOTS = [f"bot {n}" for n in range(6)]


@pytest.fixture
async def pool() -> AsyncIterator[Callable[..., Awaitable[BotPool]]]:
    """``await pool(lab, …)`` is an open pool in ticks; it closes with the test."""
    async with AsyncExitStack() as stack:

        async def make(house: LabServer, *, rules: dict[str, Any] | None = None, mux: bool = False, **options: Any) -> BotPool:  # fmt: skip
            contract = profile(**rules or {})
            if mux:
                contract = msgspec.structs.replace(contract, paths=Paths(mux_socket="/api/ws/mux"))
            options = {"token": house.token, "profile": contract, "linger": 4 * TICK} | options
            return await stack.enter_async_context(BotPool(house.url, **options))

        yield make


async def test_a_bot_is_opened_when_it_is_wanted_and_lingers(lab, pool) -> None:
    """Nothing connects before; two users share one socket; after the last one it stays a while, then goes."""
    house = await lab(bots=BOTS)
    bots = await pool(house)
    assert (bots.sockets, house.stats.attempts) == (0, 0)
    async with bots.bot("bot-0") as chat:
        await chat.ready()
        async with bots.bot("bot-0") as again:
            assert again is chat
        assert (await chat.send("hello")).text == "hello"
        assert house.stats.opened == 1
    assert chat.status.live
    async with bots.bot("bot-0") as back:
        assert back is chat
    await until(lambda: chat.status.state is State.CLOSED)
    assert bots.status == {}


async def test_the_cap_holds_and_the_least_recently_used_gives_way(lab, pool) -> None:
    """Six bots, two sockets: never more than two, and whoever is spoken to gets a place; nothing is lost."""
    house = await lab(bots=BOTS)
    bots = await pool(house, max_sockets=2, rules={"reply_grace": 2 * TICK})
    most = 0
    chats = [await bots.acquire(f"bot-{n}") for n in range(6)]
    for n, chat in enumerate(chats):
        assert (await chat.send(f"hello {n}")).text == f"hello {n}"
        most = max(most, len(house.stats.peers))
        assert bots.sockets <= 2
    await until(lambda: chats[5].status.live)
    assert most <= 2
    assert chats[0].messages[-1].text == "hello 0"
    assert chats[0].status.state is State.IDLE


async def test_one_stream_with_the_bots_names(lab, pool) -> None:
    """What all bots say, once, in the order in which it comes; and the notifications."""
    house = await lab(bots=BOTS)
    bots = await pool(house)
    stream = bots.messages()
    bots.notifications()
    for n in range(3):
        chat = await bots.acquire(f"bot-{n}")
        await chat.ready()
        await chat.send(f"hello {n}")
    heard = [await anext(stream) for _ in range(3)]
    assert [(m.bot, m.bot_name, m.message.text) for m in heard] == [
        (f"bot-{n}", f"bot {n}", f"hello {n}") for n in range(3)
    ]
    await until(lambda: any(peer.bot_id is None for peer in house.stats.peers))
    await house.push(None, {"type": "notification", "bot_id": "bot-1", "data": {}})
    note = await anext(stream)
    assert (note.bot, note.message, note.notification.type) == ("bot-1", None, "notification")
    await bots.close()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_one_refresh_and_one_provider_call_for_all(lab, pool) -> None:
    """Twenty bots whose token expired ask once."""
    calls = []
    house = await lab(bots=[f"bot {n}" for n in range(20)])

    async def provider() -> str:
        calls.append(1)
        await asyncio.sleep(TICK)
        return house.token if len(calls) > 1 else house.token_for("ada", -5)

    bots = await pool(house, token=provider, max_sockets=20)
    chats = [await bots.acquire(f"bot-{n}") for n in range(20)]
    await asyncio.gather(*(chat.wait(lambda status: status.live) for chat in chats))
    assert len(calls) == 2


async def test_one_socket_carries_all(lab, pool) -> None:
    """Where the backend offers it: replies go to their bots, a lost socket is one for all, and the gap is filled."""
    house = await lab(bots=BOTS, capabilities=["mux"])
    bots = await pool(house, mux=True)
    chats = [await bots.acquire(f"bot-{n}") for n in range(4)]
    await asyncio.gather(*(chat.ready() for chat in chats))
    assert (house.stats.opened, bots.sockets) == (1, 1)
    replies = await asyncio.gather(*(chat.send(f"hello {n}") for n, chat in enumerate(chats)))
    assert [reply.text for reply in replies] == [f"hello {n}" for n in range(4)]
    assert [chat.messages[-1].text for chat in chats] == [f"hello {n}" for n in range(4)]
    house.cut("rst")
    await until(lambda: all(chat.ended for chat in chats))
    await asyncio.gather(*(chat.wait(lambda status: status.live) for chat in chats))
    assert (await chats[2].send("again")).text == "again"
    assert house.stats.opened == 2


async def test_a_bot_that_the_shared_socket_refuses(lab, pool) -> None:
    """Its client fails with a word; the others live."""
    house = await lab(bots=BOTS, capabilities=["mux"])
    bots = await pool(house, mux=True)
    good, bad = await bots.acquire("bot-0"), await bots.acquire("nobody")
    await good.ready()
    with pytest.raises(Exception, match="does not let us on this bot"):
        await bad.ready()
    assert bad.status.state is State.FAILED
    assert (await good.send("hello")).text == "hello"


async def test_health_is_asked_once_for_all(lab, pool) -> None:
    """One monitor for the host, not one for each bot."""
    house = await lab(bots=BOTS)
    bots = await pool(house, rules={"health_interval": 60.0})
    chats = [await bots.acquire(f"bot-{n}") for n in range(6)]
    await asyncio.gather(*(chat.ready() for chat in chats))
    looks = lambda: [e for e in bots.host.recorder.snapshot() if isinstance(e, HealthChecked)]  # noqa: E731
    await until(looks)
    assert len(looks()) == 1
    assert not any(isinstance(event, HttpRequested) for event in bots.host.recorder.snapshot())


async def test_misuse(lab) -> None:
    """Sentences."""
    house = await lab()
    with pytest.raises(InvalidInput, match="needs a socket"):
        BotPool(house.url, max_sockets=0)
    bots = BotPool(house.url, token=house.token)
    await bots.close()
    with pytest.raises(ConnectionEnded, match="pool is closed"):
        await bots.acquire("echo")
    bots.release("echo")
