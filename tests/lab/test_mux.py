"""One socket for many bots."""

from __future__ import annotations

import json
from typing import Any

import pytest
import websockets

from .conftest import House, Person

ON = {"capabilities": ["mux"]}


async def enter(home: House, user: str = "ada") -> tuple[Person, dict[str, Any]]:
    """Somebody at the mux socket, and the greeting."""
    token = home.lab.token_for(user)
    ws = await home._stack.enter_async_context(home.socket(token, "/api/ws/mux"))
    return Person(ws, home.client(token)), json.loads(await ws.recv())


async def subscribe(person: Person, bot: object, generation: object = 1, **data: Any) -> dict[str, Any]:
    """Subscribes and returns the answer."""
    await person.tell("subscribe", data={"bot_id": bot, "generation": generation, **data})
    return await person.hear("subscribed", "error")


async def test_the_greeting(house) -> None:
    """It says what the connection is, and names no bot."""
    _, first = await enter(await house(**ON))
    assert first["type"] == "connection_established"
    assert set(first["data"]) == {"user_id", "connection_id", "connection_type", "capabilities"}
    assert (first["data"]["connection_type"], first["data"]["capabilities"]) == ("mux", ["mux"])


@pytest.mark.parametrize(("user", "ttl", "options"), [("ada", None, {}), ("ada", -5, ON), ("nobody", None, ON)])
async def test_the_door(house, user, ttl, options) -> None:
    """403 without the capability, as for any unknown route, and 403 for a bad token."""
    home = await house(**options)
    with pytest.raises(websockets.InvalidStatus) as refused:
        await home.socket(home.lab.token_for(user, ttl), "/api/ws/mux")
    assert refused.value.response.status_code == 403


async def test_subscribing(house) -> None:
    """From then on everything of that bot, and nothing of others."""
    home = await house(**ON)
    ada, _ = await enter(home)
    assert await subscribe(ada, "echo", 7) == {
        "type": "subscribed",
        "bot_id": "echo",
        "data": {"bot_id": "echo", "bot_name": "Echo", "generation": 7, "capabilities": ["mux"]},
    }
    await home.lab.say("grace", "slow", "not for us")
    await home.lab.say("grace", "echo", "hello", answer=True)
    heard = await ada.hear_until("chat_response")
    assert [m["type"] for m in heard] == ["chat_message", "typing_indicator", "typing_indicator", "chat_response"]
    assert {m["bot_id"] for m in heard} == {"echo"}


async def test_many_bots(house) -> None:
    """Each message says whose it is."""
    home = await house(**ON)
    ada, _ = await enter(home)
    await subscribe(ada, "echo")
    await subscribe(ada, "slow")
    for bot in ("slow", "echo"):
        await home.lab.say("grace", bot, "x")
    assert [(await ada.hear())["bot_id"] for _ in range(2)] == ["slow", "echo"]


@pytest.mark.parametrize(
    ("user", "bot", "generation", "text"),
    [
        ("ada", "unknown", 1, "bot unknown or not permitted"),
        ("mallory", "echo", 1, "bot unknown or not permitted"),
        ("ada", None, 1, "bot unknown or not permitted"),
        ("ada", ["echo"], 1, "bot unknown or not permitted"),
        ("ada", "echo", None, "the generation must be a whole number"),
        ("ada", "echo", "1", "the generation must be a whole number"),
        ("ada", "echo", True, "the generation must be a whole number"),
    ],
)
async def test_what_cannot_be_subscribed_to(house, user, bot, generation, text) -> None:
    """An error that names the bot; the connection stays."""
    home = await house(**ON)
    person, _ = await enter(home, user)
    error = await subscribe(person, bot, generation)
    assert error == {"type": "error", "message": text, "bot_id": bot}
    await home.lab.say("grace", "echo", "x")
    assert await person.pong() == []


async def test_since(house) -> None:
    """What came after that message comes first, but one's own words; then what is new."""
    home = await house(**ON)
    ada, _ = await enter(home)
    await subscribe(ada, "echo")
    for text in ("one", "two"):
        await home.lab.say("grace", "echo", text)
    seen = (await ada.hear())["data"]["message_id"]
    await home.lab.say("ada", "echo", "mine")
    again, _ = await enter(home)
    assert (await subscribe(again, "echo", 2, since=seen))["type"] == "subscribed"
    await home.lab.say("grace", "echo", "three")
    assert [(await again.hear())["data"]["content"] for _ in range(2)] == ["two", "three"]
    stranger, _ = await enter(home)
    await subscribe(stranger, "echo", 1, since="never seen")
    assert await stranger.pong() == []


async def test_unsubscribing(house) -> None:
    """Only the present generation can; an old one, an unknown bot or nonsense change nothing."""
    home = await house(**ON)
    ada, _ = await enter(home)
    await subscribe(ada, "echo", 1)
    await subscribe(ada, "echo", 2)
    for data in ({"bot_id": "echo", "generation": 1}, {"bot_id": "slow", "generation": 2}, {"bot_id": ["echo"]}, {}):
        await ada.tell("unsubscribe", data=data)
    await ada.pong()
    await home.lab.say("grace", "echo", "heard once")
    assert await ada.pong() == ["chat_message"]
    await ada.tell("unsubscribe", data={"bot_id": "echo", "generation": 2})
    await ada.pong()
    await home.lab.say("grace", "echo", "not heard")
    assert await ada.pong() == []


async def test_typing_names_its_bot(house) -> None:
    """At the top; it reaches the others there, by whichever socket they came; of other bots it is ignored."""
    home = await house(**ON)
    ada, _ = await enter(home)
    grace, here = await enter(home, "grace"), await home.enter("grace")
    await subscribe(ada, "echo")
    await subscribe(grace[0], "echo")
    await ada.tell("typing", bot_id="echo", data={"is_typing": True})
    for person in (grace[0], here):
        shown = await person.hear()
        assert (shown["type"], shown["bot_id"], shown["data"]["user_id"]) == ("typing_indicator", "echo", "ada")
    await ada.tell("typing", bot_id="slow", data={"is_typing": True})
    await ada.tell("typing", data={"is_typing": True})
    assert await ada.pong() == []
    assert home.lab.stats.ignored == 2


async def test_ping_and_session_sync_as_usual(house) -> None:
    """Without a bot, or with one."""
    home = await house(**ON)
    ada, _ = await enter(home)
    await subscribe(ada, "echo")
    await ada.tell("session_sync", data={"session_id": "s"})
    assert (await ada.hear())["data"]["bot_id"] is None
    await ada.tell("session_sync", bot_id="echo", data={"session_id": "s"})
    assert (await ada.hear())["data"]["bot_id"] == "echo"
    assert await ada.pong() == []


async def test_notices_for_everybody_do_not_come_here(house) -> None:
    """They are the notifications endpoint's."""
    home = await house(**ON)
    ada, _ = await enter(home)
    assert await home.lab.push(None, {"type": "notification", "data": {}}) == 0
    assert await ada.pong() == []


async def test_a_message_over_the_mux(house) -> None:
    """Where messages come over sockets they name their bot too."""
    home = await house(capabilities=["mux", "idempotency"], send_via="websocket")
    ada, _ = await enter(home)
    await subscribe(ada, "echo")
    await ada.tell("message", bot_id="echo", data={"content": "hi", "client_message_id": "c"})
    assert (await ada.hear("message_ack"))["data"]["client_message_id"] == "c"
    assert (await ada.hear("chat_response"))["data"]["in_reply_to"] == "c"


async def test_who_is_connected(house) -> None:
    """One connection, any number of subscriptions."""
    home = await house(**ON)
    ada, _ = await enter(home)
    await home.enter("grace")
    await subscribe(ada, "echo")
    await subscribe(ada, "slow")
    http = home.client()
    assert (await http.get("/api/ws/stats")).json() == {
        "total_connections": 2,
        "connected_users": 2,
        "bot_subscriptions": {"echo": 2, "slow": 1},
    }
    mux, plain = (await http.get("/api/ws/connections")).json()["connections"]
    assert (mux["bot_id"], mux["subscriptions"]) == (None, ["echo", "slow"])
    assert set(plain) == {"connection_id", "user_id", "bot_id", "connected_at"}
    assert [peer.subscriptions for peer in home.lab.stats.peers] == [("echo", "slow"), None]
