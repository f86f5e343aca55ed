"""Our messages on their way: queued, in order, once; nothing hangs, nothing is sent twice that must not be."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from chatkit.errors import AuthError, ConnectionEnded, ConnectionLost, QueueFull
from chatkit.events import DeliveryChanged, Resumed
from chatkit.lab import LabServer
from chatkit.policy.status import State
from chatkit.profile import Profile, Send
from conftest import TICK, until

from .conftest import RULES, Guest, peer, profile

ONCE = msgspec.structs.replace(profile(), send=Send(idempotent=True))


def asked(house: LabServer) -> list[str]:
    """What the backend stored of ours, in its order."""
    rows = [row for session in house.sessions() for row in house.history(session["id"])]
    return [row["content"] for row in rows if row["role"] == "user"]


async def test_messages_wait_for_the_backend_and_go_out_in_order(chat, unused_tcp_port) -> None:
    """Sent while nobody listens; a new one during the flush does not overtake."""
    client = await chat(f"http://127.0.0.1:{unused_tcp_port}", token="opaque", live=False, profile=ONCE)
    deliveries = [client.send(f"message {n}") for n in range(8)]
    await until(lambda: "no answer" in deliveries[0].message.because)
    assert {delivery.state for delivery in deliveries} == {"queued"}
    async with LabServer(port=unused_tcp_port, capabilities=["idempotency"]) as house:
        client.set_token(house.token)
        client.reconnect()
        await until(lambda: asked(house))
        deliveries.append(client.send("message 8"))
        assert [(await delivery).text for delivery in deliveries] == [f"message {n}" for n in range(9)]
        assert asked(house) == [f"message {n}" for n in range(9)]
        await client.close()
    assert client.unsent() == ()


async def test_the_queue_is_bounded(chat, unused_tcp_port) -> None:
    """The one too many is refused at once, with numbers; the rest waits."""
    client = await chat(f"http://127.0.0.1:{unused_tcp_port}", token="x", live=False, rules={"queue_messages": 3})
    for n in range(3):
        client.send(f"message {n}")
    with pytest.raises(QueueFull, match="at most 3 messages"):
        client.send("one too many")
    assert [item.text for item in client.unsent()] == ["message 0", "message 1", "message 2"]
    assert len(client.messages) == 3


async def test_a_message_that_must_not_be_repeated_is_unknown(chat) -> None:
    """The peer reads it and resets: told at once, sent once, kept in ``unsent``."""
    chats = []

    async def talk(guest: Guest) -> None:
        head = await guest.head()
        if b"/sessions" in head:
            guest.writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"id": "s"}')
            await guest.head()
        if b"POST" in guest.request:
            chats.append(guest.request)
        guest.reset()

    async with peer(talk) as port:
        client = await chat(f"http://127.0.0.1:{port}", token="opaque", live=False)
        delivery = client.send("hello")
        with pytest.raises(ConnectionLost, match="look into the history"):
            await delivery
        assert [item.text for item in client.unsent()] == ["hello"]
        await asyncio.sleep(10 * TICK)
        assert sum(b"/chat" in head for head in chats) == 1
        assert "not known whether" in client.explain()


async def test_where_the_backend_knows_ids_it_is_sent_again(lab, chat) -> None:
    """Cut in the middle of the answer again and again: processed once, answered once."""
    house = await lab("slow-reply:delay=0.2", capabilities=["idempotency"])
    client = await chat(house, profile=ONCE)
    deliveries = [client.send(f"message {n}") for n in range(5)]
    for _ in range(6):
        await asyncio.sleep(3 * TICK)
        house.cut("rst")
    assert [(await delivery).text for delivery in deliveries] == [f"message {n}" for n in range(5)]
    assert asked(house) == [f"message {n}" for n in range(5)]
    assert [m.text for m in client.messages if m.role == "assistant"] == [f"message {n}" for n in range(5)]


async def test_the_history_tells_that_it_arrived(lab, chat) -> None:
    """UNKNOWN, until the reconnect reads the history: then it has arrived, and its reply is shown in place."""
    house = await lab(send_via="websocket", bots=["echo"])
    own = Profile(client=msgspec.structs.replace(RULES, http_timeout=20 * TICK), send=Send(via="websocket"))
    client = await chat(house, profile=own)
    first = await client.send("first")
    assert first.text == "first"
    # The session of a socket backend is learnt from its replies.
    client._sender.outbox.set_session(client.messages[-1].session_id)
    house.set_faults(["slow-reply:delay=0.3"])
    delivery = client.send("second")
    await until(lambda: "second" in asked(house))
    house.cut("rst")
    with pytest.raises(ConnectionLost):
        await delivery
    assert delivery.state == "unknown"
    await until(lambda: delivery.state in ("acked", "replied"))
    assert client.unsent() == ()


async def test_poison_is_set_aside(lab, chat) -> None:
    """The server fails on it three times: it goes out no more, what is behind it does."""
    house = await lab("error-on-text:text=poison", capabilities=["idempotency"])
    client = await chat(house, profile=ONCE)
    bad, good = client.send("poison"), client.send("fine")
    assert (await good).text == "fine"
    with pytest.raises(Exception, match="set aside"):
        await bad
    assert bad.state == "rejected"
    assert [item.text for item in client.set_aside()] == ["poison"]
    assert client.counters.set_aside == 1


async def test_a_gap_is_filled_after_a_reconnect(lab, chat) -> None:
    """What others said meanwhile stands in the history, and the record says whether something may be missing."""
    house = await lab()
    client = await chat(house, rules={"retry_base": 8 * TICK})
    await client.send("mine")
    session = client._sender.session
    house.cut("rst")
    await until(lambda: client.ended)
    await house.say("grace", "echo", "theirs", session_id=session, answer=True)
    await until(lambda: any(isinstance(event, Resumed) for event in client.trace))
    resumed = next(event for event in client.trace if isinstance(event, Resumed))
    assert (resumed.recovered, resumed.replayed, resumed.gap_possible) == (True, 2, False)
    assert [m.text for m in client.messages] == ["mine", "mine", "theirs", "theirs"]


async def test_a_conversation_longer_than_its_memory(lab, chat) -> None:
    """What was forgotten is not shown again from the history; every delivery knows its end; nothing comes twice."""
    house = await lab(capabilities=["idempotency"])
    own = msgspec.structs.replace(profile(keep_messages=20), send=Send(idempotent=True))
    client = await chat(house, profile=own)
    deliveries = []
    for n in range(60):
        deliveries.append(client.send(f"message {n}"))
        await asyncio.sleep(TICK / 3)
        if n % 12 == 5:
            house.cut("rst")
        texts = [message.text for message in client.messages if message.role == "assistant"]
        assert len(texts) == len(set(texts))
    await asyncio.gather(*deliveries)
    assert {str(delivery.state) for delivery in deliveries} == {"replied"}
    assert asked(house) == [f"message {n}" for n in range(60)]
    assert len(client.messages) <= 22


async def test_a_backend_that_replays(lab, chat) -> None:
    """The capability ``resume``: the server sends again what was missed, other sessions included."""
    house = await lab(capabilities=["resume"])
    client = await chat(house, rules={"retry_base": 8 * TICK})
    await client.send("mine")
    house.cut("rst")
    await until(lambda: client.ended)
    for n in range(3):
        await house.say("grace", "echo", f"theirs {n}", answer=True)
    await until(lambda: any(isinstance(event, Resumed) for event in client.trace))
    await until(lambda: len(client.messages) == 8)
    resumed = next(event for event in client.trace if isinstance(event, Resumed))
    assert (resumed.recovered, resumed.replayed, resumed.gap_possible) == (True, 6, False)
    assert [m.text for m in client.messages if m.author == "grace"] == [f"theirs {n}" for n in range(3)]


async def test_polling_instead_of_trusting_the_push(lab, chat) -> None:
    """``history_poll``: a reply that the socket loses is found in the history."""
    client = await chat(await lab("lost-reply"), rules={"history_poll": 2 * TICK, "reply_grace": 60.0})
    reply = await client.send("hello")
    assert (reply.text, reply.via) == ("hello", "history")


async def test_states_that_take_no_messages(lab, chat, unused_tcp_port) -> None:
    """Not started, needs a token, failed, closed: each with its own sentence."""
    house = await lab()
    client = await chat(house, token=house.token_for("ada", -5), live=False)
    await client.wait(lambda status: status.state is State.AUTH_REQUIRED)
    with pytest.raises(AuthError, match="needs a token"):
        client.send("hello")
    failed = await chat(house, bot="nobody", live=False)
    await failed.wait(lambda status: status.state is State.FAILED)
    with pytest.raises(ConnectionEnded, match="does not know this bot"):
        failed.send("hello")
    await failed.close()
    with pytest.raises(ConnectionEnded, match="not open"):
        failed.send("hello")


async def test_one_process_has_the_queue(chat, unused_tcp_port, tmp_path: Path) -> None:
    """Another one is told at once, and the first goes on."""
    path = tmp_path / "queue.db"
    client = await chat(f"http://127.0.0.1:{unused_tcp_port}", token="x", live=False, queue=path)
    client.send("mine")
    code = "import chatkit, sys\nchatkit.connect(sys.argv[1], 'echo', token='x', queue=sys.argv[2], wait=1)"
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", code, f"http://127.0.0.1:{unused_tcp_port}", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "another process" in done.stderr
    assert [item.text for item in client.unsent()] == ["mine"]


async def test_a_damaged_queue_is_moved_aside(lab, chat, tmp_path: Path) -> None:
    """Service goes on, and the client says so."""
    path = tmp_path / "queue.db"
    path.write_bytes(b"this is no database" * 1000)
    client = await chat(await lab(), queue=path)
    assert (await client.send("hello")).text == "hello"
    assert [file.name for file in tmp_path.glob("queue.db.corrupt-*")]
    assert "corrupt" in client.explain()


_KILLED = """
import asyncio, sys
from chatkit.client import ChatClient
from chatkit.profile import Profile, Send

async def main():
    client = ChatClient(sys.argv[1], bot="echo", token=sys.argv[2], queue=sys.argv[3], profile=Profile(send=Send(idempotent=True)))
    await client.start()
    for n in range(int(sys.argv[4]), int(sys.argv[4]) + 20):
        client.send(f"message {n}")
        print(n, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_a_killed_process_goes_on_with_the_same_queue(lab, chat, tmp_path: Path) -> None:
    """kill -9 while it sends: the next process sends the rest; every message arrived once and in order."""
    path = tmp_path / "queue.db"
    house = await lab("slow-reply:delay=0.05", capabilities=["idempotency"])
    for start in (0, 20):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _KILLED, house.url, house.token, str(path), str(start), stdout=subprocess.PIPE
        )
        while (line := await process.stdout.readline()) and int(line) < start + 19:
            pass
        await until(lambda: len(asked(house)) >= start + 3)  # noqa: B023
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
    client = await chat(house, profile=ONCE, queue=path)
    await until(lambda: not client.unsent())
    assert asked(house) == [f"message {n}" for n in range(40)]
    await until(lambda: sum(m.role == "assistant" for m in client.messages) == 40)


async def test_a_socket_backend_acknowledges_and_is_asked_again(lab, chat) -> None:
    """send.via = websocket with ids: cut in between, processed once."""
    house = await lab("slow-reply:delay=0.1", capabilities=["idempotency"], send_via="websocket")
    own = Profile(client=RULES, send=Send(via="websocket", idempotent=True))
    client = await chat(house, profile=own)
    deliveries = [client.send(f"message {n}") for n in range(4)]
    for _ in range(3):
        await asyncio.sleep(2 * TICK)
        house.cut("rst")
    await until(lambda: all(delivery.state in ("acked", "replied") for delivery in deliveries))
    assert sorted(asked(house)) == [f"message {n}" for n in range(4)]


async def test_every_step_is_on_record(lab, chat) -> None:
    """queued, written, acked, replied."""
    client = await chat(await lab())
    await client.send("hello")
    assert [e.state for e in client.trace if isinstance(e, DeliveryChanged)] == [
        "queued",
        "written",
        "acked",
        "replied",
    ]
