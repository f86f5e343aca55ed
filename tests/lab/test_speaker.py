"""What may be said over a chat socket beyond the contract: resume, and messages."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import websockets

from chatkit.lab import Bot
from chatkit.lab.hub import OUTBOX_LIMIT
from chatkit.lab.ring import RING_SIZE

from .conftest import PATIENCE, Person

RESUME = {"capabilities": ["resume"]}
SOCKET = {"send_via": "websocket"}
SURE = {"send_via": "websocket", "capabilities": ["idempotency"]}


async def resume(person: Person, last: str | None = None, session: str | None = None) -> tuple[list[Any], dict]:
    """Asks for what was missed: the contents that are sent again, and ``data`` of the end."""
    await person.tell("resume", data={"session_id": session, "last_message_id": last})
    *again, end = await person.hear_until("resumed")
    return [message["data"].get("content") for message in again], end["data"]


async def test_resume_after_the_last_message(house) -> None:
    """Replies and others' messages in order, never one's own; typing is not worth it."""
    home = await house(**RESUME)
    ada = await home.enter()
    await home.lab.say("grace", "echo", "one")
    seen = (await ada.hear())["data"]["message_id"]
    await ada.ws.close()
    session = (await ada.chat("echo", "mine")).json()["session_id"]
    await home.lab.say("grace", "echo", "two", session_id=session)
    back = await home.enter()
    contents, end = await resume(back, seen)
    assert contents == ["mine", "two"]  # the first is the bot's echo
    assert end == {"session_id": None, "replayed": 2, "complete": True}
    assert await back.pong() == []


async def test_resume_sends_the_very_same_messages(house) -> None:
    """Byte for byte what others heard live."""
    home = await house(**RESUME)
    grace = await home.enter("grace")
    await home.lab.say("grace", "echo", "one", answer=True)
    live = await grace.hear("chat_response")
    late = await home.enter("grace")
    await late.tell("resume", data={"session_id": live["data"]["session_id"], "last_message_id": None})
    assert await late.hear() == live


async def test_resume_of_a_session(house) -> None:
    """Without a last message everything of it; without either nothing."""
    home = await house(**RESUME)
    session = await home.lab.say("grace", "echo", "one")
    await home.lab.say("grace", "echo", "elsewhere")
    await home.lab.say("grace", "echo", "two", session_id=session)
    ada = await home.enter()
    assert await resume(ada, session=session) == (
        ["one", "two"],
        {"session_id": session, "replayed": 2, "complete": True},
    )
    assert await resume(ada) == ([], {"session_id": None, "replayed": 0, "complete": True})


async def test_resume_after_something_unknown_is_incomplete(house) -> None:
    """Nothing is sent again."""
    home = await house(**RESUME)
    session = await home.lab.say("grace", "echo", "one")
    ada = await home.enter()
    end = {"session_id": session, "replayed": 0, "complete": False}
    assert await resume(ada, "never seen", session) == ([], end)


async def test_a_whole_ring_is_sent_again_and_live_messages_follow(house) -> None:
    """More than may wait for a slow reader otherwise; the oldest are gone."""
    home = await house(**RESUME)
    for n in range(RING_SIZE + 1):
        data = {"message_id": str(n), "session_id": "s", "content": n}
        await home.lab.push("echo", {"type": "chat_response", "bot_id": "echo", "data": data})
    assert RING_SIZE > OUTBOX_LIMIT
    ada = await home.enter()
    assert await resume(ada, "0") == ([], {"session_id": None, "replayed": 0, "complete": False})
    contents, end = await resume(ada, "1")
    assert contents == list(range(2, RING_SIZE + 1))
    assert end["complete"] is True
    contents, end = await resume(ada, session="s")
    assert (len(contents), end["complete"]) == (RING_SIZE, False)
    await ada.tell("resume", data={"session_id": "s", "last_message_id": None})
    await ada.tell("ping", timestamp="t")
    heard = await ada.hear_until("pong")
    assert heard[-2]["type"] == "resumed"


@pytest.mark.parametrize("last", [7, ["x"], {"a": 1}, True, "\ud800"])
async def test_resume_after_nonsense(house, last) -> None:
    """Is after something unknown."""
    ada = await (await house(**RESUME)).enter()
    assert (await resume(ada, last))[1]["complete"] is False


async def test_a_lost_reply_was_never_broadcast(house) -> None:
    """So resuming does not bring it either."""
    home = await house("lost-reply", **RESUME)
    ada = await home.enter()
    session = (await ada.chat("echo", "x")).json()["session_id"]
    assert (await resume(ada, session=session))[1]["replayed"] == 0


async def test_pushed_messages_of_any_shape_do_no_harm(house) -> None:
    """What has no id cannot be asked for."""
    home = await house(**RESUME)
    ada = await home.enter()
    odd = ({"type": "chat_response"}, {"type": "chat_message", "data": [1]}, {"type": "chat_response", "data": {}}, {})
    for message in odd:
        await home.lab.push("echo", message)
    await ada.tell("resume", data={"session_id": "s", "last_message_id": None})
    await ada.tell("ping", timestamp="t")
    async with asyncio.timeout(PATIENCE):
        heard = [await ada.ws.recv() for _ in range(len(odd) + 2)]
    assert '"replayed": 0' in heard[-2]


# Messages over the socket


async def test_a_message_over_the_socket(house) -> None:
    """Everybody hears the reply, the others the message; without idempotency nothing acknowledges it."""
    home = await house(**SOCKET)
    ada, grace = await home.enter(), await home.enter("grace")
    await ada.tell("message", data={"content": "hello", "client_message_id": "c"})
    mine, hers = await ada.hear_until("chat_response"), await grace.hear_until("chat_response")
    assert [m["type"] for m in mine] == ["typing_indicator", "typing_indicator", "chat_response"]
    assert [m["type"] for m in hers] == ["chat_message", *(m["type"] for m in mine)]
    assert mine[-1]["data"]["content"] == "hello"
    assert "in_reply_to" not in mine[-1]["data"]
    (session,) = home.lab.sessions()
    await ada.tell("message", data={"content": "more", "session_id": session["id"]})
    await ada.hear("chat_response")
    assert [row["content"] for row in home.lab.history(session["id"])] == ["hello", "hello", "more", "more"]
    assert (await ada.chat("echo", "over HTTP as well")).status_code == 200


async def test_a_message_is_acknowledged_and_repeated_to_who_asks_again(house) -> None:
    """The acknowledgement names what is stored; only the asker hears the same reply again."""
    home = await house(**SURE)
    ada, grace = await home.enter(), await home.enter("grace")
    first, again = [await _send_and_hear(ada) for _ in range(2)]
    (session,) = home.lab.sessions()
    question, answer = home.lab.history(session["id"])
    ack = {"client_message_id": "c", "message_id": question["id"], "session_id": session["id"]}
    assert first[0] == again[0] == {"type": "message_ack", "data": ack}
    assert first[-1] == again[-1]
    assert (first[-1]["data"]["in_reply_to"], first[-1]["data"]["message_id"]) == ("c", answer["id"])
    assert len(again) == 2
    assert (await grace.pong()).count("chat_response") == 1


async def _send_and_hear(person: Person) -> list[dict[str, Any]]:
    await person.tell("message", data={"content": "hello", "client_message_id": "c"})
    return await person.hear_until("chat_response")


async def test_http_and_socket_share_what_they_know(house) -> None:
    """A message that went over one is a repetition on the other."""
    home = await house(**SURE)
    ada = await home.enter()
    over_http = (await ada.chat("echo", "hello", client_message_id="c")).json()
    reply = (await ada.hear("chat_response"))["data"]
    again = (await _send_and_hear(ada))[-1]["data"]
    assert again == reply
    assert (again["content"], again["session_id"]) == (over_http["message"], over_http["session_id"])


async def test_without_an_id_it_is_acknowledged_by_its_place(house) -> None:
    """The id in the acknowledgement is null."""
    home = await house(**SURE)
    ada = await home.enter()
    await ada.tell("message", data={"content": "x"})
    ack = (await ada.hear("message_ack"))["data"]
    assert (ack["client_message_id"], ack["session_id"]) == (None, home.lab.sessions()[0]["id"])
    assert "in_reply_to" not in (await ada.hear("chat_response"))["data"]


class Patient(Bot):
    """Answers when it is told to, also after its asker left."""

    def __init__(self) -> None:
        super().__init__("Patient")
        self.asked = 0
        self.go = asyncio.Event()

    async def reply(self, ask):
        self.asked += 1
        await self.go.wait()
        return "at last"


async def test_a_slow_bot_does_not_block_reading(house) -> None:
    """Pings are answered meanwhile, other messages are taken."""
    bot = Patient()
    ada = await (await house(bots=[bot], **SURE)).enter(bot="patient")
    for client_id in ("a", "b"):
        await ada.tell("message", data={"content": "x", "client_message_id": client_id})
        assert (await ada.hear("message_ack"))["data"]["client_message_id"] == client_id
    await ada.pong()
    bot.go.set()
    assert {(await ada.hear("chat_response"))["data"]["in_reply_to"] for _ in range(2)} == {"a", "b"}


async def test_an_answer_goes_on_when_its_asker_leaves(house) -> None:
    """Who comes back and asks again waits for the same one."""
    bot = Patient()
    home = await house(bots=[bot], **SURE)
    ada = await home.enter(bot="patient")
    await ada.tell("message", data={"content": "x", "client_message_id": "c"})
    await ada.hear("typing_indicator")
    ada.ws.transport.abort()
    while home.lab.stats.peers:
        await asyncio.sleep(0.01)
    back = await home.enter(bot="patient")
    await back.tell("message", data={"content": "x", "client_message_id": "c"})
    await back.hear("message_ack")
    bot.go.set()
    assert (await back.hear("chat_response"))["data"]["content"] == "at last"
    assert (await back.pong(), bot.asked) == ([], 1)


async def test_a_bot_that_fails_is_an_error(house, caplog) -> None:
    """The connection lives, and the message may be sent again."""

    class Broken(Bot):
        async def reply(self, ask):
            raise RuntimeError("secret detail")

    home = await house(bots=[Broken("Broken")], **SURE)
    ada = await home.enter(bot="broken")
    for _ in range(2):
        await ada.tell("message", data={"content": "x", "client_message_id": "c"})
        assert await ada.hear("error") == {"type": "error", "message": "the bot failed with RuntimeError"}
    assert len(home.lab.history(home.lab.sessions()[0]["id"])) == 1
    assert "secret detail" in caplog.text


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"content": ""},
        {"content": "x" * 10_001},
        {"content": 3},
        {"content": "\ud800"},
        {"content": "x", "session_id": "none"},
        {"content": "x", "session_id": 3},
        {"content": "x", "client_message_id": ""},
        {"content": "x", "client_message_id": 7},
        {"content": "x", "client_message_id": "\ud800"},
    ],
)
async def test_what_is_no_message(house, data) -> None:
    """An error that repeats nothing; nothing is stored, the connection stays."""
    home = await house(**SURE)
    ada = await home.enter()
    await ada.tell("message", data=data)
    assert set(await ada.hear()) == {"type", "message"}
    assert await ada.pong() == []
    assert home.lab.sessions() == []


async def test_the_rate_limit_holds_here_too(house) -> None:
    """An error, and the message is not taken."""
    home = await house(rate_limit=1, **SOCKET)
    ada = await home.enter()
    for _ in range(2):
        await ada.tell("message", data={"content": "x"})
    assert (await ada.hear("error"))["message"] == "too many messages"
    assert home.lab.stats.chats == 1


async def test_a_poison_message_closes_the_socket(house) -> None:
    """With the fault's code, each time; it is not stored and poisons nobody else."""
    home = await house("error-on-text:text=poison", **SURE)
    grace = await home.enter("grace")
    for _ in range(2):
        ada = await home.enter()
        await ada.tell("message", data={"content": "a poison pill", "client_message_id": "c"})
        with pytest.raises(websockets.ConnectionClosed) as ended:
            await ada.hear("message_ack")
        assert ended.value.rcvd.code == 1011
    assert home.lab.sessions() == []
    await grace.tell("message", data={"content": "water"})
    assert (await grace.hear("chat_response"))["data"]["content"] == "water"
