"""The conversation over a real lab: replies once, typing taken back, nothing hangs."""

from __future__ import annotations

import asyncio
import json

import pytest

from chatkit.behaviour import Row
from chatkit.errors import ConnectionLost, InvalidInput
from chatkit.events import DeliveryChanged, DuplicateSuppressed, FrameReceived, FrameSent, GapDetected
from chatkit.lab import Bot, Storyteller
from chatkit.policy.status import State
from chatkit.profile import Profile, Send
from conftest import TICK, until

from .conftest import HELLO, RULES, Guest, peer, profile


def said(client) -> list[tuple[str, str]]:
    """Role and text of everything shown."""
    return [(message.role, message.text) for message in client.messages]


async def test_a_question_and_its_answer(lab, chat) -> None:
    """Shown once, though it came twice; the record says which copy was not shown."""
    client = await chat(await lab())
    delivery = client.send("hello")
    reply = await delivery
    assert (reply.text, reply.via, str(reply)) == ("hello", "websocket", "hello")
    assert said(client) == [("user", "hello"), ("assistant", "hello")]
    assert delivery.state == "replied"
    states = [event.state for event in client.trace if isinstance(event, DeliveryChanged)]
    assert [states[0], states[1], states[-1]] == ["queued", "written", "replied"]
    assert sum(isinstance(event, DuplicateSuppressed) for event in client.trace) == 1
    assert client.messages[1].author == "Echo"


async def test_the_broken_front_end_shows_every_reply_twice(lab, chat) -> None:
    """The mistake of the incident."""
    client = await chat(await lab(), policy="incident-before")
    await client.send("hello")
    await until(lambda: said(client) == [("user", "hello"), ("assistant", "hello"), ("assistant", "hello")])


async def test_equal_answers_to_equal_questions(lab, chat) -> None:
    """Two messages, asked at the same moment."""
    client = await chat(await lab())
    await asyncio.gather(*[client.send("yes") for _ in range(4)])
    assert said(client).count(("assistant", "yes")) == 4


async def test_every_response_sent_twice(lab, chat) -> None:
    """duplicate-delivery: known by its message_id."""
    client = await chat(await lab("duplicate-delivery"))
    await client.send("hello")
    await until(lambda: "message_id" in [e.key for e in client.trace if isinstance(e, DuplicateSuppressed)])
    assert said(client) == [("user", "hello"), ("assistant", "hello")]


async def test_a_reply_that_never_comes_over_the_websocket(lab, chat) -> None:
    """lost-reply: the HTTP copy is shown after a grace, and the message says so."""
    client = await chat(await lab("lost-reply"), rules={"reply_grace": 2 * TICK})
    delivery = client.send("hello")
    reply = await delivery
    assert (reply.text, reply.via) == ("hello", "http")
    await until(lambda: "not seen on the WebSocket" in delivery.message.because)
    assert said(client) == [("user", "hello"), ("assistant", "hello")]
    assert client.status.live


async def test_while_the_socket_is_down_http_carries_the_chat(lab, chat) -> None:
    """The reply becomes the message; the backend's copy went nowhere."""
    house = await lab()
    client = await chat(house, rules={"rows": (Row(close=1006, action="reconnect", least=1200),)})
    house.cut("rst")
    await client.wait(lambda status: status.state is State.BACKOFF)
    reply = await client.send("hello")
    assert (reply.text, reply.via) == ("hello", "http")
    assert said(client) == [("user", "hello"), ("assistant", "hello")]


class Waiting(Bot):
    """Answers when it is told to."""

    def __init__(self) -> None:
        super().__init__("waiting")
        self.asked, self.go_on = asyncio.Event(), asyncio.Event()

    async def reply(self, ask) -> str:
        self.asked.set()
        await self.go_on.wait()
        return ask.text


async def test_the_socket_goes_down_while_the_bot_thinks(lab, chat) -> None:
    """The answer comes by HTTP, or by the next connection, once."""
    bot = Waiting()
    house = await lab(bots=[bot])
    client = await chat(house, bot="waiting")
    delivery = client.send("hello")
    await bot.asked.wait()
    house.cut("rst")
    await until(lambda: client.ended)
    bot.go_on.set()
    assert (await delivery).text == "hello"
    await asyncio.sleep(2 * TICK)
    assert said(client).count(("assistant", "hello")) == 1


async def test_streaming(lab, chat) -> None:
    """One message that grows."""
    client = await chat(await lab(bots=[Storyteller(duration=4 * TICK)]), bot="storyteller")
    grown: list[int] = []
    client.subscribe(lambda what: grown.append(len(client.messages[-1].text)) if what == "message" else None)
    reply = await client.send("tell me")
    assert [message.role for message in client.messages] == ["user", "assistant"]
    assert client.messages[1].text == reply.text
    assert client.messages[1].chunks >= 20
    assert len(set(grown)) >= 15


async def test_a_gap_in_a_stream(lab, chat) -> None:
    """On record, and healed by the whole text."""
    client = await chat(await lab("chunk-gap:seq=2", bots=[Storyteller(duration=2 * TICK)]), bot="storyteller")
    reply = await client.send("tell me")
    (gap,) = [event for event in client.trace if isinstance(event, GapDetected)]
    assert (gap.expected, gap.got) == (2, 3)
    assert client.messages[1].text == reply.text
    assert "…" not in reply.text


async def test_a_stream_that_is_cut(lab, chat) -> None:
    """Completed by the HTTP answer; nothing is shown twice."""
    house = await lab(bots=[Storyteller(duration=10 * TICK)])
    client = await chat(house, bot="storyteller", rules={"rows": (Row(close=1006, action="reconnect", least=40),)})
    delivery = client.send("tell me")
    await until(lambda: len(client.messages) > 1 and client.messages[1].chunks > 3)
    house.cut("fin")
    reply = await delivery
    assert reply.via == "http"
    assert [message.text for message in client.messages if message.role == "assistant"] == [reply.text]


async def test_collaborators(lab, chat) -> None:
    """Another user's question and its answer are shown as theirs."""
    house = await lab()
    client = await chat(house)
    await house.say("grace", "echo", "hi all", answer=True)
    await until(lambda: len(client.messages) == 2)
    assert [(m.role, m.author, m.text) for m in client.messages] == [
        ("user", "grace", "hi all"),
        ("assistant", "Echo", "hi all"),
    ]


async def test_rate_limited(lab, chat) -> None:
    """429: it was not processed, so it waits as long as the backend asks, and goes out once."""
    house = await lab(rate_limit=1, rate_window=1.0)
    client = await chat(house)
    await client.send("one")
    delivery = client.send("two")
    await until(lambda: "429" in delivery.message.because)
    assert delivery.state == "queued"
    assert (await delivery).text == "two"
    assert house.stats.chats == 2


async def test_a_connection_that_breaks_between_question_and_answer(chat) -> None:
    """UNKNOWN: it may have arrived; the caller is told and nothing hangs."""

    async def talk(guest: Guest) -> None:
        head = await guest.head()
        if b"/sessions" in head:
            guest.writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"id": "s"}')
            await guest.head()
        guest.reset()

    async with peer(talk) as port:
        client = await chat(f"http://127.0.0.1:{port}", token="opaque", live=False)
        delivery = client.send("hello")
        with pytest.raises(ConnectionLost, match="look into the history") as lost:
            await delivery
        assert (delivery.state, lost.value.outcome) == ("unknown", "unknown")


async def test_nothing_was_written_where_nobody_listens(chat, unused_tcp_port) -> None:
    """It certainly did not arrive: it waits, and expires with a word."""
    client = await chat(f"http://127.0.0.1:{unused_tcp_port}", token="opaque", live=False)
    delivery = client.send("hello", ttl=4 * TICK)
    await until(lambda: "no answer" in delivery.message.because)
    assert [item.text for item in client.unsent()] == ["hello"]
    assert "1 message of yours waits" in client.explain()
    with pytest.raises(ConnectionLost, match="was not sent"):
        await delivery
    assert (delivery.state, client.unsent()) == ("expired", ())


async def test_closing_while_an_answer_is_awaited(lab, chat) -> None:
    """Told that it is lost, at once."""
    bot = Waiting()
    client = await chat(await lab(bots=[bot]), bot="waiting")
    delivery = client.send("hello")
    await bot.asked.wait()
    await client.close()
    with pytest.raises(ConnectionLost, match="the client was closed"):
        await delivery


async def test_a_delivery_that_nobody_awaits(lab, chat) -> None:
    """No complaint about a result that nobody fetched."""
    client = await chat(await lab(rate_limit=0))
    client.send("hello", ttl=2 * TICK)
    await until(lambda: client.messages[0].state == "expired")


async def test_cancelling_the_wait_takes_nothing_back(lab, chat) -> None:
    """Somebody else may still await the same answer."""
    bot = Waiting()
    client = await chat(await lab(bots=[bot]), bot="waiting")
    delivery = client.send("hello")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2 * TICK):
            await delivery
    bot.go_on.set()
    assert (await delivery).text == "hello"
    assert (await delivery).text == "hello"
    assert "replied" in repr(delivery)


@pytest.mark.parametrize(
    ("text", "words"), [("", "empty"), (" \n", "empty"), ("x" * 10_001, "at most 10,000 characters")]
)
async def test_messages_that_the_backend_would_refuse(lab, chat, text: str, words: str) -> None:
    """Refused here, before anything is sent."""
    client = await chat(await lab())
    with pytest.raises(InvalidInput, match=words):
        client.send(text)
    assert client.messages == ()


async def test_history(lab, chat) -> None:
    """What the backend stores; nothing before the first message."""
    client = await chat(await lab())
    assert await client.history() == []
    await client.send("hello")
    assert [(row["role"], row["content"]) for row in await client.history()] == [
        ("user", "hello"),
        ("assistant", "hello"),
    ]


async def test_one_session_for_all_messages(lab, chat) -> None:
    """Also when the first ones are sent at the same moment; the connection is bound to it."""
    client = await chat(await lab())
    await asyncio.gather(client.send("one"), client.send("two"))
    assert len({message.session_id for message in client.messages if message.role == "assistant"}) == 1
    await until(lambda: "session_synced" in client.trace.message_types)


# Typing


def typed(client) -> list[bool]:
    """What we told the server about our typing."""
    frames = [event for event in client.trace if isinstance(event, FrameSent) and event.text]
    bodies = [json.loads(event.text) for event in frames]
    return [body["data"]["is_typing"] for body in bodies if body["type"] == "typing"]


async def test_our_typing_is_taken_back(lab, chat) -> None:
    """By itself, some ticks after the last key."""
    client = await chat(await lab())
    client.typing()
    client.typing()
    await until(lambda: typed(client) == [True, False])


@pytest.mark.parametrize("how", ["false", "send"])
async def test_typing_ends_with_the_message(lab, chat, how: str) -> None:
    """Or when we say so; only once."""
    client = await chat(await lab(), rules={"typing_stop": 60.0})
    client.typing()
    if how == "send":
        await client.send("hello")
    else:
        client.typing(False)
        client.typing(False)
    await until(lambda: typed(client) == [True, False])


async def test_typing_while_the_socket_is_down_is_dropped(lab, chat) -> None:
    """It is news of this moment, nobody wants it later."""
    client = await chat(await lab("no-established-message"), live=False)
    client.typing()
    await asyncio.sleep(4 * TICK)
    assert typed(client) == []


async def test_others_typing(lab, chat) -> None:
    """Shown, taken back; an indicator that is never taken back expires."""
    house = await lab()
    client = await chat(house, rules={"typing_expire": 20 * TICK})
    await house.typing("grace", "echo")
    await until(lambda: client.typing_users == ("grace",))
    await house.typing("grace", "echo", on=False)
    await until(lambda: client.typing_users == ())
    await house.typing("grace", "echo")
    await until(lambda: client.typing_users == ("grace",))
    await until(lambda: client.typing_users == ())


async def test_a_bot_that_never_stops_typing(lab, chat) -> None:
    """stuck-typing: the indicator expires."""
    client = await chat(await lab("stuck-typing"))
    await client.send("hello")
    await until(lambda: client.typing_users == ())


async def test_nobody_types_on_a_socket_that_is_gone(lab, chat) -> None:
    """Indicators end with the connection."""
    house = await lab()
    client = await chat(house, rules={"typing_expire": 60.0})
    await house.typing("grace", "echo")
    await until(lambda: client.typing_users)
    house.cut("rst")
    await until(lambda: client.typing_users == ())


# Another backend


async def test_a_backend_that_takes_messages_over_the_websocket(chat) -> None:
    """Answers in their order; a question while the socket is down waits for it, and expires with a word."""
    down = asyncio.Event()

    async def talk(guest: Guest) -> None:
        if down.is_set():
            return
        await guest.accept(HELLO)
        while True:
            head = await guest.reader.readexactly(2)
            mask = await guest.reader.readexactly(4)
            body = await guest.reader.readexactly(head[1] & 0x7F)
            text = bytes(byte ^ mask[n % 4] for n, byte in enumerate(body)).decode()
            if json.loads(text)["type"] == "message":
                content = json.loads(text)["data"]["content"]
                answer = {"type": "chat_response", "data": {"content": content.upper(), "message_id": content}}
                guest.writer.write(b"\x81" + bytes([len(json.dumps(answer))]) + json.dumps(answer).encode())
            elif down.is_set():
                return

    own = Profile(client=RULES, send=Send(via="websocket"))
    async with peer(talk) as port:
        client = await chat(f"http://127.0.0.1:{port}", token="opaque", profile=own)
        replies = await asyncio.gather(client.send("a"), client.send("b"))
        assert [(reply.text, reply.via) for reply in replies] == [("A", "websocket"), ("B", "websocket")]
        down.set()
        await client.wait(lambda status: status.state is State.BACKOFF)
        delivery = client.send("c", ttl=2 * TICK)
        with pytest.raises(ConnectionLost, match="was not sent"):
            await delivery
        assert delivery.state == "expired"
    assert any(isinstance(event, FrameReceived) for event in client.trace)
    assert profile().send.via == "http"
