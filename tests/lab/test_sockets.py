"""The WebSocket half of the contract, row by row."""

from __future__ import annotations

import json

import pytest
import websockets


async def test_the_first_message_says_who_and_where(house) -> None:
    """connection_established carries bot, user and connection."""
    home = await house()
    ada = await home.enter(greeted=False)
    first = await ada.hear()
    assert first["type"] == "connection_established"
    assert set(first["data"]) == {"bot_id", "bot_name", "user_id", "connection_id"}
    assert (first["data"]["bot_id"], first["data"]["bot_name"], first["data"]["user_id"]) == (
        "echo",
        "Echo",
        "ada",
    )


@pytest.mark.parametrize(
    ("user", "ttl", "path"),
    [
        ("ada", -5, "/api/ws/chat/echo"),
        ("nobody", None, "/api/ws/chat/echo"),
        ("mallory", None, "/api/ws/chat/echo"),
        ("ada", None, "/api/ws/chat/unknown"),
        ("ada", None, "/api/ws/no-such-route"),
        ("ada", -5, "/api/ws/notifications"),
    ],
)
async def test_a_refusal_before_accepting_is_http_403(house, user, ttl, path) -> None:
    """The close codes 4001 and 4003 never reach the client."""
    home = await house()
    with pytest.raises(websockets.InvalidStatus) as refused:
        await home.socket(home.lab.token_for(user, ttl), path)
    assert refused.value.response.status_code == 403
    assert home.lab.stats.opened == 0


@pytest.mark.parametrize(
    ("user", "ttl", "bot", "code"),
    [("ada", -5, "echo", 4001), ("nobody", None, "echo", 4001), ("mallory", None, "echo", 4003)],
)
async def test_a_refusal_after_accepting_delivers_its_code(house, user, ttl, bot, code) -> None:
    """The other kind of backend in the field."""
    home = await house(reject="after")
    async with home.socket(home.lab.token_for(user, ttl), f"/api/ws/chat/{bot}") as ws:
        with pytest.raises(websockets.ConnectionClosed) as ended:
            await ws.recv()
    assert ended.value.rcvd.code == code


async def test_no_token_and_garbage_are_refused(house) -> None:
    """Also a token signed by somebody else."""
    home, other = await house(), await house()
    for token in ("", "garbage", "a.b.c", other.lab.token):
        with pytest.raises(websockets.InvalidStatus):
            await home.socket(token)


async def test_a_refresh_token_opens_nothing(house) -> None:
    """Only the type access does."""
    home = await house()
    login = await home.client().post("/api/auth/login", json={"username": "ada", "password": "lab"})
    with pytest.raises(websockets.InvalidStatus):
        await home.socket(login.json()["refresh_token"])


@pytest.mark.parametrize("timestamp", ["2026-01-01T00:00:00.000Z", None, 17, {"odd": [1]}])
async def test_pong_echoes_the_timestamp(house, timestamp) -> None:
    """Whatever it was."""
    ada = await (await house()).enter()
    await ada.tell("ping", timestamp=timestamp)
    assert await ada.hear() == {"type": "pong", "timestamp": timestamp}


async def test_session_sync(house) -> None:
    """Answered with session_synced."""
    ada = await (await house()).enter()
    await ada.tell("session_sync", data={"session_id": "s1"})
    synced = await ada.hear()
    assert synced["type"] == "session_synced"
    assert (synced["data"]["session_id"], synced["data"]["bot_id"]) == ("s1", "echo")
    assert synced["data"]["timestamp"].endswith("Z")


@pytest.mark.parametrize(
    "text",
    ["{", "", "nonsense", "[" * 100_000, "[]", "3", "{}", '{"type": 3}', '{"type": "typing", "data": 1}'],
)
async def test_bad_messages_get_an_error_and_the_connection_stays(house, text) -> None:
    """An error has a message and no data."""
    ada = await (await house()).enter()
    await ada.ws.send(text)
    error = await ada.hear()
    assert error["type"] == "error"
    assert set(error) == {"type", "message"}
    assert await ada.pong() == []


async def test_binary_is_no_json_either(house) -> None:
    """An error as well."""
    ada = await (await house()).enter()
    await ada.ws.send(b"\x00\xff")
    assert (await ada.hear())["type"] == "error"


async def test_unknown_types_are_ignored(house) -> None:
    """Nothing comes back but the pong."""
    home = await house()
    ada = await home.enter()
    await ada.tell("dance", data={})
    assert await ada.pong() == []
    assert home.lab.stats.ignored == 1


async def test_typing_reaches_the_others(house) -> None:
    """Not the one who types, not people at other bots."""
    home = await house()
    ada, grace, elsewhere = await home.enter(), await home.enter("grace"), await home.enter("grace", "slow")
    await ada.tell("typing", data={"is_typing": True})
    await ada.tell("typing", data={"is_typing": False})
    shown = [await grace.hear(), await grace.hear()]
    assert [message["type"] for message in shown] == ["typing_indicator"] * 2
    assert [message["data"]["is_typing"] for message in shown] == [True, False]
    assert (shown[0]["bot_id"], shown[0]["data"]["username"], shown[0]["data"]["user_id"]) == (
        "echo",
        "ada",
        "ada",
    )
    assert "timestamp" in shown[0]
    assert await ada.pong() == []
    assert await elsewhere.pong() == []


async def test_the_reply_goes_to_everybody_and_the_question_to_the_others(house) -> None:
    """chat_response to all, the asker included; chat_message to collaborators."""
    home = await house()
    ada, grace = await home.enter(), await home.enter("grace")
    answer = (await ada.chat("echo", "hello")).json()
    mine, hers = await ada.hear_until("chat_response"), await grace.hear_until("chat_response")
    assert [m["type"] for m in mine] == ["typing_indicator", "typing_indicator", "chat_response"]
    assert [m["type"] for m in hers] == ["chat_message", *(m["type"] for m in mine)]
    reply, question = mine[-1], hers[0]
    assert reply == hers[-1]
    assert set(reply) == {"type", "bot_id", "data"}
    assert reply["data"] | {"message_id": "", "timestamp": ""} == {
        "message_id": "",
        "session_id": answer["session_id"],
        "user_id": "ada",
        "username": "Assistant",
        "content": "hello",
        "role": "assistant",
        "timestamp": "",
        "metadata": {},
    }
    assert (question["data"]["role"], question["data"]["username"]) == ("user", "ada")
    assert question["data"]["content"] == "hello"


async def test_a_bot_types_while_it_works(house) -> None:
    """True, then false, in the bot's name."""
    ada = await (await house(bots=["echo"])).enter()
    await ada.chat("echo", "hello")
    shown = await ada.hear_until("chat_response")
    assert [m["data"].get("is_typing") for m in shown] == [True, False, None]
    assert {m["data"]["username"] for m in shown[:2]} == {"Echo"}


async def test_streaming(house) -> None:
    """Chunks count from 0 and add up to the final chat_response of the same message."""
    from chatkit.lab import Storyteller

    ada = await (await house(bots=[Storyteller(duration=0.1)])).enter(bot="storyteller")
    await ada.chat("storyteller", "tell me")
    heard = await ada.hear_until("chat_response")
    chunks = [m for m in heard if m["type"] == "chat_response_chunk"]
    assert [m["data"]["seq"] for m in chunks] == list(range(len(chunks)))
    assert 20 <= len(chunks) <= 30
    assert "".join(m["data"]["delta"] for m in chunks) == heard[-1]["data"]["content"]
    assert {m["data"]["message_id"] for m in chunks} == {heard[-1]["data"]["message_id"]}
    assert set(chunks[0]["data"]) == {"message_id", "session_id", "seq", "delta"}


async def test_notifications(house) -> None:
    """The second endpoint greets with its type and hears what is pushed."""
    home = await house()
    async with home.socket(home.lab.token, "/api/ws/notifications") as ws:
        first = json.loads(await ws.recv())
        assert first["type"] == "connection_established"
        assert first["data"]["connection_type"] == "notifications"
        notice = {"type": "notification", "data": {"title": "hello"}}
        assert await home.lab.push(None, notice) == 1
        assert json.loads(await ws.recv()) == notice
        await ws.send('{"type": "ping", "timestamp": "t"}')
        assert json.loads(await ws.recv())["type"] == "pong"


async def test_hostile_names_and_texts_pass_unharmed(house) -> None:
    """HTML, nulls, emoji and lone surrogates in what people say and how bots are called."""
    home = await house(bots=["<img src=x onerror=alert(1)>"])
    bot = home.lab.bots[0]
    ada, grace = await home.enter(bot=bot.id), await home.enter("grace", bot.id)
    text = "<script>\x00 🤖 \u2028"
    assert (await ada.chat(bot.id, text)).json()["message"] == text
    assert (await grace.hear("chat_response"))["data"]["content"] == text
    await ada.ws.send('{"type": "ping", "timestamp": "\\ud800"}')
    assert (await ada.hear("pong"))["timestamp"] == "\ud800"
