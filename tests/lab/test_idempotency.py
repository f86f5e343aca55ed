"""A message with an id of the client's is processed once, however often it is sent."""

from __future__ import annotations

import asyncio
import sqlite3

import httpx
import pytest

from chatkit.lab import Bot, LabServer, Storyteller

from .conftest import PATIENCE, House, Person

ON = {"capabilities": ["idempotency"]}


class Gate(Bot):
    """Counts its questions; answers when the gate is open, or fails as often as told."""

    default_name = "Gate"

    def __init__(self, failures: int = 0) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.failures = failures
        self.open = asyncio.Event()

    async def reply(self, ask):
        self.asked.append(ask.text)
        await self.open.wait()
        if len(self.asked) <= self.failures:
            raise RuntimeError("not now")
        return f"answer {len(self.asked)}"

    async def was_asked(self, times: int = 1) -> None:
        """Waits until it works on something."""
        async with asyncio.timeout(PATIENCE):
            while len(self.asked) < times:
                await asyncio.sleep(0.01)


def rows(home: House) -> list[tuple[str, str, str | None, str | None]]:
    """Everything in all histories: role, content, client_message_id, in_reply_to."""
    found = [row for session in home.lab.sessions() for row in home.lab.history(session["id"])]
    return [(r["role"], r["content"], r.get("client_message_id"), r.get("in_reply_to")) for r in found]


async def replied(home: House) -> None:
    """Waits until an answer stands in a history."""
    async with asyncio.timeout(PATIENCE):
        while not any(row[0] == "assistant" for row in rows(home)):
            await asyncio.sleep(0.01)


async def test_a_repetition_gets_the_same_answer(house) -> None:
    """The whole of it; the bot is asked once, everybody hears one reply, the history has one of each."""
    bot = Gate()
    bot.open.set()
    home = await house(bots=[bot], **ON)
    ada, grace = await home.enter(bot="gate"), await home.enter("grace", "gate")
    first, again = [await ada.chat("gate", "hello", client_message_id="c1") for _ in range(2)]
    assert (first.status_code, first.json()) == (200, again.json())
    assert bot.asked == ["hello"]
    assert rows(home) == [("user", "hello", "c1", None), ("assistant", "answer 1", None, "c1")]
    for person, own in ((ada, []), (grace, ["chat_message"])):
        heard = [type for type in await person.pong() if type != "typing_indicator"]
        assert heard == [*own, "chat_response"]
    assert home.lab.stats.chats == 1


async def test_ids_of_others_are_other_ids(house) -> None:
    """By user, by bot; without an id nothing is a repetition."""
    home = await house(bots=["echo", "other"], **ON)
    ada, grace = await home.enter(), await home.enter("grace")
    for person, bot in ((ada, "echo"), (grace, "echo"), (ada, "other")):
        assert (await person.chat(bot, "hi", client_message_id="c")).status_code == 200
    for _ in range(2):
        await ada.chat("echo", "hi")
    assert [row[0] for row in rows(home)] == ["user", "assistant"] * 5


async def test_the_first_one_counts(house) -> None:
    """Its text and its conversation, whatever the repetition says."""
    home = await house(**ON)
    ada = await home.enter()
    first = (await ada.chat("echo", "one", client_message_id="c")).json()
    elsewhere = (await ada.chat("echo", "other")).json()["session_id"]
    again = await ada.chat("echo", "two", client_message_id="c", session_id=elsewhere)
    assert again.json() == first


async def test_replies_say_what_they_answer(house) -> None:
    """Final texts and chunks; what others hear of the question stays as it was."""
    home = await house(bots=[Storyteller(duration=0.05)], **ON)
    ada, grace = await home.enter(bot="storyteller"), await home.enter("grace", "storyteller")
    await ada.chat("storyteller", "go", client_message_id="c1")
    heard = await grace.hear_until("chat_response")
    about = [m["data"]["in_reply_to"] for m in heard if m["type"].startswith("chat_response")]
    assert set(about) == {"c1"}
    assert len(about) > 20
    assert heard[0]["type"] == "chat_message"
    assert not {"client_message_id", "in_reply_to"} & set(heard[0]["data"])
    await ada.chat("storyteller", "go")
    for message in await grace.hear_until("chat_response"):
        assert "in_reply_to" not in message["data"]


async def test_who_asks_again_meanwhile_waits_for_the_same_answer(house) -> None:
    """Three requests, one question."""
    bot = Gate()
    home = await house(bots=[bot], **ON)
    ada = await home.enter(bot="gate")
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(ada.chat("gate", "x", client_message_id="c")) for _ in range(3)]
        await bot.was_asked()
        while home.lab.stats.chats < 1:
            await asyncio.sleep(0.01)
        bot.open.set()
    assert [call.result().json()["message"] for call in calls] == ["answer 1"] * 3
    assert len(bot.asked) == 1


async def test_work_goes_on_when_the_client_hangs_up(house) -> None:
    """The answer is there for who asks again; without an id as well it is finished."""
    for extra in ({"client_message_id": "c"}, {}):
        bot = Gate()
        home = await house(bots=[bot], **ON)
        await _hang_up(home, bot, extra)
        bot.open.set()
        await replied(home)
        assert [row[:2] for row in rows(home)] == [("user", "x"), ("assistant", "answer 1")]
        if extra:
            answer = await (await home.enter(bot="gate")).chat("gate", "x", **extra)
            assert answer.json()["message"] == "answer 1"
            assert len(bot.asked) == 1


async def _hang_up(home: House, bot: Gate, extra: dict[str, str]) -> None:
    """Sends a message and leaves while the bot works on it."""
    headers = {"Authorization": f"Bearer {home.lab.token}"}
    async with httpx.AsyncClient(base_url=home.lab.url, headers=headers, trust_env=False) as http:
        async with asyncio.TaskGroup() as group:
            body = {"message": "x", **extra}
            call = group.create_task(http.post("/api/conversations/bots/gate/chat", json=body))
            await bot.was_asked()
            call.cancel()
    await asyncio.sleep(0.05)


async def test_a_bot_that_failed_may_be_asked_again(house) -> None:
    """Who waits meanwhile gets the failure too; the question stands in the history once."""
    bot = Gate(failures=1)
    home = await house(bots=[bot], **ON)
    ada = await home.enter(bot="gate")
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(ada.chat("gate", "x", client_message_id="c")) for _ in range(2)]
        await bot.was_asked()
        await asyncio.sleep(0.1)
        bot.open.set()
    assert [call.result().status_code for call in calls] == [500, 500]
    again = await ada.chat("gate", "x", client_message_id="c")
    assert again.json()["message"] == "answer 2"
    assert rows(home) == [("user", "x", "c", None), ("assistant", "answer 2", None, "c")]


@pytest.mark.parametrize("finished", [True, False])
async def test_a_crash_forgets_nothing(house, finished) -> None:
    """Neither an answer nor a question whose answer it cut short."""
    bot = Gate()
    home = await house(bots=[bot], **ON)
    ada = await home.enter(bot="gate")
    if finished:
        bot.open.set()
        assert (await ada.chat("gate", "x", client_message_id="c")).status_code == 200
        home.lab.set_faults(["server-crash:after=0,gap=0.05"])
    else:
        with pytest.raises(httpx.RemoteProtocolError):
            await _asks_and_crashes(home, bot, ada)
        bot.open.set()
    answer = await _until_it_is_back(home)
    assert answer.json()["message"] == f"answer {1 if finished else 2}"
    assert [row[0] for row in rows(home)] == ["user", "assistant"]


async def _asks_and_crashes(home: House, bot: Gate, ada: Person) -> None:
    home.lab.set_faults(["server-crash:after=0.3,gap=0.05"])
    await ada.chat("gate", "x", client_message_id="c")


async def _until_it_is_back(home: House) -> httpx.Response:
    async with asyncio.timeout(PATIENCE):
        while home.lab.stats.crashes == 0:
            await asyncio.sleep(0.01)
        while True:
            try:
                return await (await home.enter(bot="gate")).chat("gate", "x", client_message_id="c")
            except OSError:
                await asyncio.sleep(0.02)


async def test_another_lab_on_the_same_file_knows_it(tmp_path) -> None:
    """As after a real crash of the process."""
    path = str(tmp_path / "lab.sqlite")
    answers = []
    for _ in range(2):
        async with LabServer(bots=["echo"], database=path, **ON) as lab:
            headers = {"Authorization": f"Bearer {lab.token}"}
            async with httpx.AsyncClient(base_url=lab.url, headers=headers, trust_env=False) as http:
                body = {"message": "x", "client_message_id": "c"}
                answers.append((await http.post("/api/conversations/bots/echo/chat", json=body)).json())
    assert answers[0] == answers[1]
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM messages").fetchone() == (2,)
    db.close()


@pytest.mark.parametrize("client_id", ["", "x" * 201, 7, ["c"], {}, True])
async def test_what_is_no_id(house, client_id) -> None:
    """422 where it would mean something, ignored where it does not; nothing of it comes back."""
    able, plain = await house(**ON), await house()
    refused = await (await able.enter()).chat("echo", "x", client_message_id=client_id)
    assert refused.status_code == 422
    assert [set(fault) for fault in refused.json()["detail"]] == [{"type", "loc", "msg"}]
    assert refused.json()["detail"][0]["loc"] == ["body", "client_message_id"]
    assert able.lab.sessions() == []
    assert (await (await plain.enter()).chat("echo", "x", client_message_id=client_id)).status_code == 200


@pytest.mark.parametrize("client_id", ["x", "y" * 200, "<b>'; DROP TABLE messages --", "🤖\x00"])
async def test_what_is_an_id(house, client_id) -> None:
    """Any text of 1 to 200 characters."""
    home = await house(**ON)
    ada = await home.enter()
    for _ in range(2):
        assert (await ada.chat("echo", "x", client_message_id=client_id)).status_code == 200
    assert [row[2:] for row in rows(home)] == [(client_id, None), (None, client_id)]


async def test_it_is_ignored_without_the_capability(house) -> None:
    """Each message is a new one, and nobody hears of the id."""
    home = await house()
    ada = await home.enter()
    for _ in range(2):
        await ada.chat("echo", "x", client_message_id="c")
        assert "in_reply_to" not in (await ada.hear("chat_response"))["data"]
    assert rows(home) == [("user", "x", None, None), ("assistant", "x", None, None)] * 2
